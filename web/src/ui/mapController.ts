// Access to the map for the controls that move it.
import { signal } from "@preact/signals";
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import type { Map as MapLibre } from "maplibre-gl";
import { fit } from "../map/camera";
import { rectangle } from "../map/draw";
import { minZoomOf } from "../map/footprints";
import { updateView } from "../model/actions";
import { boxOf, type Hit, unionBox } from "../model/hit";
import { visibleHits } from "../model/store";

/** The background map that the server's settings name. */
export const BASEMAP = JSON.parse(document.getElementById("app")?.dataset["basemap"] ?? "null") as { tiles: string; attribution: string } | null;
export const layers = signal({ imagery: true, footprints: true, coverage: true, background: true });
let map: MapLibre | null = null;
const AROUND = 1.6;

export const mapController = {
  set: (next: MapLibre | null): void => { map = next; },
  get: (): MapLibre | null => map,
  bounds(): Polygon | null {
    if (!map) return null;
    const bounds = map.getBounds();
    const [west, east] = [bounds.getWest(), bounds.getEast()];
    const whole = east - west >= 360;
    return rectangle([whole ? -180 : west, Math.max(-90, bounds.getSouth())], [whole ? 180 : east, Math.min(90, bounds.getNorth())]);
  },
  fitBox(box: [number, number, number, number], maxZoom?: number): void {
    if (map) fit(map, box, maxZoom);
  },
  fitFeatures(features: FeatureCollection<Polygon | MultiPolygon>): void {
    const box = unionBox(features.features.map(({ geometry }) => ({ box: boxOf(geometry) })));
    if (map && box) fit(map, box);
  },
  /** Whether any of these is in view and large enough to see. */
  showsAny(features: FeatureCollection<Polygon | MultiPolygon>): boolean {
    return features.features.some(({ geometry }) => {
      const box = boxOf(geometry);
      return map !== null && map.getZoom() >= minZoomOf({ box }) && map.getBounds().contains([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
    });
  },
  fit(hits: readonly Hit[], maxZoom?: number): void {
    const box = unionBox(hits);
    if (map && box) fit(map, box, maxZoom);
  },
  /** Zoom out, from one tile to those around it. */
  showAround(): void {
    map?.easeTo({ zoom: Math.max(map.getMinZoom(), map.getZoom() - AROUND) });
  },
  zoomTo(hit: Hit): void {
    if (!map) return;
    const [west, south, east, north] = hit.box;
    const [width, height] = [east - west, north - south];
    fit(map, [west - width, south - height, east + width, north + height], 20);
  },
};

const HEAT_ZOOM = 2.2;
/** The heat map has a cell for each tile. Where these are too small to see, zoom to the best hit. */
export function showHeatMap(on: boolean): void {
  updateView({ heat: on });
  const best = visibleHits.value[0];
  if (on && best && map && map.getZoom() < minZoomOf(best)) mapController.fit([best], minZoomOf(best) + HEAT_ZOOM);
}
