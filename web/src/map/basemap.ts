// The basemap: land, borders and country names from Natural Earth, in the colours of the theme.
import type { FeatureCollection } from "geojson";
import type { GeometryCollection, Topology } from "topojson-specification";
import type { LayerSpecification, StyleSpecification } from "maplibre-gl";
import { feature, mesh } from "topojson-client";
import basemapUrl from "virtual:basemap";

export const EMPTY: FeatureCollection = { type: "FeatureCollection", features: [] };
const FONT = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"];

interface Palette { water: string; land: string; coast: string; border: string; label: string; halo: string; grid: string }
const LIGHT: Palette = { water: "#d9e2ea", land: "#f4f4f0", coast: "#b4c2ce", border: "#c9cdd2", label: "#66717f", halo: "#f4f4f0", grid: "#cbd6df" };
const DARK: Palette = { water: "#0c1117", land: "#1a212b", coast: "#39465a", border: "#2c3644", label: "#8492a6", halo: "#131a22", grid: "#161e28" };
export const palette = (dark: boolean): Palette => (dark ? DARK : LIGHT);

export function style(dark: boolean): StyleSpecification {
  const colors = palette(dark);
  const layers: LayerSpecification[] = [
    { id: "water", type: "background", paint: { "background-color": colors.water } },
    { id: "grid", type: "line", source: "grid", paint: { "line-color": colors.grid, "line-width": 0.7 } },
    { id: "land", type: "fill", source: "land", paint: { "fill-color": colors.land, "fill-antialias": false } },
    { id: "border", type: "line", source: "borders", paint: { "line-color": colors.border, "line-width": ["interpolate", ["linear"], ["zoom"], 1, 0.4, 6, 1] } },
    { id: "coast", type: "line", source: "coast", paint: { "line-color": colors.coast, "line-width": ["interpolate", ["linear"], ["zoom"], 1, 0.5, 6, 1.1] } },
    {
      id: "names", type: "symbol", source: "names", minzoom: 1.6, maxzoom: 8,
      layout: {
        "text-field": ["get", "name"], "text-font": FONT, "text-max-width": 7, "text-letter-spacing": 0.04,
        "text-size": ["interpolate", ["linear"], ["zoom"], 2, ["interpolate", ["linear"], ["get", "size"], 0, 9, 6, 12], 6, ["interpolate", ["linear"], ["get", "size"], 0, 12, 6, 17]],
        "symbol-sort-key": ["-", 0, ["get", "size"]], "text-padding": 6,
      },
      paint: { "text-color": colors.label, "text-halo-color": colors.halo, "text-halo-width": 1.2 },
    },
  ];
  const source = (data: FeatureCollection): { type: "geojson"; data: FeatureCollection } => ({ type: "geojson", data });
  return { version: 8, sources: { grid: source(graticule()), land: source(EMPTY), borders: source(EMPTY), coast: source(EMPTY), names: source(EMPTY) }, layers };
}

function graticule(): FeatureCollection {
  const line = (coordinates: number[][]): FeatureCollection["features"][number] => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } });
  const steps = (low: number, high: number): number[] => Array.from({ length: (high - low) / 10 + 1 }, (_, at) => low + at * 10);
  return {
    type: "FeatureCollection",
    features: [...steps(-180, 180).map((lon) => line([[lon, -85], [lon, 85]])), ...steps(-80, 80).map((lat) => line([[-180, lat], [180, lat]]))],
  };
}

export interface BasemapData { land: FeatureCollection; borders: FeatureCollection; coast: FeatureCollection; names: FeatureCollection }

export async function loadBasemap(): Promise<BasemapData> {
  const topology = (await (await fetch(basemapUrl)).json()) as Topology<{ countries: GeometryCollection<{ name: string }> }>;
  const { countries } = topology.objects;
  const land = feature(topology, countries);
  const single = (geometry: GeoJSON.Geometry): FeatureCollection => ({ type: "FeatureCollection", features: [{ type: "Feature", properties: {}, geometry }] });
  return {
    land,
    borders: single(mesh(topology, countries, (a, b) => a !== b)),
    coast: single(mesh(topology, countries, (a, b) => a === b)),
    names: { type: "FeatureCollection", features: land.features.flatMap(labelOf) },
  };
}

// A label at the centroid of the country's largest polygon.
function labelOf(country: GeoJSON.Feature<GeoJSON.Geometry, { name: string }>): GeoJSON.Feature[] {
  const { geometry } = country;
  const parts = geometry?.type === "Polygon" ? [geometry.coordinates] : geometry?.type === "MultiPolygon" ? geometry.coordinates : [];
  let best: { area: number; at: [number, number] } | null = null;
  for (const [ring] of parts) {
    let [area, x, y] = [0, 0, 0];
    for (let at = 0; ring && at + 1 < ring.length; at++) {
      const [a, b] = [ring[at] as [number, number], ring[at + 1] as [number, number]];
      const cross = a[0] * b[1] - b[0] * a[1];
      area += cross;
      x += (a[0] + b[0]) * cross;
      y += (a[1] + b[1]) * cross;
    }
    if (area && (!best || Math.abs(area) > best.area)) best = { area: Math.abs(area), at: [x / (3 * area), y / (3 * area)] };
  }
  if (!best) return [];
  return [{ type: "Feature", properties: { name: country.properties.name, size: Math.log10(1 + best.area) * 2 }, geometry: { type: "Point", coordinates: best.at } }];
}
