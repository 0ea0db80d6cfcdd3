// The MapLibre map: created once, then changed by functions. It does not know the controls around it.
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import { type GeoJSONSource, Map as MapLibre, Popup, ScaleControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import "maplibre-gl/dist/maplibre-gl.css";
import { EMPTY, loadBasemap, palette, style } from "./basemap";
import * as footprints from "./footprints";
import type { Box } from "./camera";

setWorkerUrl(workerUrl);

/** A path of the API as an absolute URL; {z}, {x} and {y} stay as they are. */
export const absoluteUrl = (path: string): string => (/^[a-z]+:/.test(path) ? path : new URL(".", document.baseURI).href + path.replace(/^\//, ""));

export function createMap(container: HTMLElement, dark: boolean, camera: { lon: number; lat: number; zoom: number } | null): MapLibre {
  const map = new MapLibre({
    container,
    style: style(dark),
    center: camera ? [camera.lon, camera.lat] : [8, 24],
    zoom: camera?.zoom ?? 1.3,
    minZoom: 0.6,
    maxZoom: 21,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    renderWorldCopies: true,
    fadeDuration: 120,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new ScaleControl({ maxWidth: 110 }), "bottom-right");
  return map;
}

/** Add the permanent layers, bottom to top. Imagery, heat map and classes are inserted between them. */
export function addLayers(map: MapLibre): void {
  const addSource = (id: string): void => void map.addSource(id, { type: "geojson", data: EMPTY });
  for (const id of ["coverage", "coverage-points", "classes", "class-points", "area", "measure"]) addSource(id);
  map.addSource("hits", { type: "geojson", data: EMPTY, tolerance: 0.2 });
  map.addSource("points", { type: "geojson", data: EMPTY });
  // Under imagery that is still on its way, the map is not white.
  map.addLayer({ id: "coverage-ground", type: "fill", source: "coverage", paint: { "fill-color": "#7d8a80", "fill-opacity": 0.4 } });
  map.addLayer({ id: "coverage-fill", type: "fill", source: "coverage", layout: { visibility: "none" }, paint: { "fill-color": "#6d7cff", "fill-opacity": 0.07 } });
  map.addLayer({ id: "coverage-line", type: "line", source: "coverage", paint: { "line-color": "#7f8cff", "line-width": 1.1, "line-opacity": 0.7, "line-dasharray": [3, 2] } });
  map.addLayer({ id: "coverage-point", type: "circle", source: "coverage-points", filter: footprints.SMALL, paint: { "circle-color": "#6674ee", "circle-radius": 4.5, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1.2, "circle-opacity": 0.85 } });
  map.addLayer({ id: "classes-fill", type: "fill", source: "classes", paint: { "fill-color": ["get", "color"], "fill-opacity": ["interpolate", ["linear"], ["get", "probability"], 0, 0.35, 1, 0.75] } });
  map.addLayer({ id: "classes-point", type: "circle", source: "class-points", filter: footprints.SMALL, paint: { "circle-color": ["get", "color"], "circle-radius": 5.5, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1, "circle-opacity": 0.95 } });
  for (const layer of footprints.LAYERS) map.addLayer(layer);
  map.addLayer({ id: "area-fill", type: "fill", source: "area", paint: { "fill-color": "#5b6cff", "fill-opacity": 0.08 } });
  map.addLayer({ id: "area-line", type: "line", source: "area", paint: { "line-color": "#5b6cff", "line-width": 2, "line-dasharray": [2, 1.5] } });
  map.addLayer({ id: "measure-line", type: "line", source: "measure", filter: ["==", ["geometry-type"], "LineString"], paint: { "line-color": "#e0531f", "line-width": 2.5 } });
  map.addLayer({ id: "measure-point", type: "circle", source: "measure", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-color": "#ffffff", "circle-radius": 4, "circle-stroke-color": "#e0531f", "circle-stroke-width": 2 } });
  void loadBasemap()
    .then((data) => {
      for (const [name, value] of Object.entries(data)) setData(map, name, value as FeatureCollection);
    })
    .catch(() => undefined); // without it the background is one colour
}

export function setData(map: MapLibre, source: string, data: FeatureCollection): void {
  void map.getSource<GeoJSONSource>(source)?.setData(data);
}

export const areaFeatures = (polygon: Polygon | MultiPolygon | null): FeatureCollection =>
  polygon ? { type: "FeatureCollection", features: [{ type: "Feature", properties: {}, geometry: polygon }] } : EMPTY;

export function setTheme(map: MapLibre, dark: boolean): void {
  const colors = palette(dark);
  map.setPaintProperty("water", "background-color", colors.water);
  map.setPaintProperty("land", "fill-color", colors.land);
  map.setPaintProperty("border", "line-color", colors.border);
  map.setPaintProperty("coast", "line-color", colors.coast);
  map.setPaintProperty("grid", "line-color", colors.grid);
  map.setPaintProperty("names", "text-color", colors.label);
  map.setPaintProperty("names", "text-halo-color", colors.halo);
}

/** Show raster tiles below the layer `below`; null removes them. */
export function setRaster(map: MapLibre, id: string, tiles: { tiles: string[]; minzoom?: number; maxzoom?: number; bounds?: Box } | null, below: string, opacity = 1): void {
  if (map.getLayer(id)) map.removeLayer(id);
  if (map.getSource(id)) map.removeSource(id);
  if (!tiles) return;
  const { minzoom = 0, maxzoom = 22, bounds } = tiles;
  map.addSource(id, { type: "raster", tiles: tiles.tiles.map(absoluteUrl), tileSize: 256, minzoom, maxzoom, ...(bounds ? { bounds } : {}) });
  map.addLayer({ id, type: "raster", source: id, paint: { "raster-opacity": opacity, "raster-fade-duration": 150, "raster-resampling": "nearest" } }, below);
}

/** Change the opacity of raster tiles that are shown. */
export function setRasterOpacity(map: MapLibre, id: string, opacity: number): void {
  if (map.getLayer(id)) map.setPaintProperty(id, "raster-opacity", opacity);
}

export function inView(map: MapLibre, [lon, lat]: [number, number]): boolean {
  return map.getBounds().contains([lon, lat]);
}

export function openPopup(map: MapLibre, at: [number, number], content: HTMLElement, onClose: () => void): Popup {
  const popup = new Popup({ closeButton: false, maxWidth: "none", className: "here", focusAfterOpen: false, offset: 6 });
  popup.setLngLat(at).setDOMContent(content).addTo(map);
  popup.on("close", onClose);
  return popup;
}
