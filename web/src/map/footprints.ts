// Hits on the map: areas where they are large enough to see, points where they are not.
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import type { ExpressionSpecification, LayerSpecification } from "maplibre-gl";
import { RAMP } from "../model/color";
import { boxOf, type Hit } from "../model/hit";

const SEEN_PX = 13;
const EARTH_PX = 512;

/** The zoom from which a footprint is wide enough to be seen as an area. */
export function zoomOf(hit: { box: Hit["box"] }): number {
  const wide = Math.max(1e-7, hit.box[2] - hit.box[0]);
  return Math.min(22, Math.max(0, Math.log2((SEEN_PX * 360) / (EARTH_PX * wide))));
}

export function areas(hits: readonly Hit[], warmth: (hit: Hit) => number): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: hits.map((hit) => ({
      type: "Feature", id: hit.id, geometry: hit.geometry, properties: { id: hit.id, w: warmth(hit), p: hit.probability ?? 2 },
    })),
  };
}

export function points(hits: readonly Hit[], warmth: (hit: Hit) => number): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: hits.map((hit) => ({
      type: "Feature", id: hit.id, geometry: { type: "Point", coordinates: hit.centre },
      properties: { id: hit.id, w: warmth(hit), p: hit.probability ?? 2, z: zoomOf(hit) },
    })),
  };
}

/** The middles of areas, for where they are too small to be seen. */
export function middles(areas: FeatureCollection<Polygon | MultiPolygon>): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: areas.features.map(({ geometry, properties }) => {
      const box = boxOf(geometry);
      return { type: "Feature", geometry: { type: "Point", coordinates: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] }, properties: { ...properties, z: zoomOf({ box }) } };
    }),
  };
}

const color: ExpressionSpecification = ["interpolate", ["linear"], ["get", "w"], ...RAMP.flat()] as unknown as ExpressionSpecification;
const state = (name: string): ExpressionSpecification => ["boolean", ["feature-state", name], false];
const lit = (on: number, off: number): ExpressionSpecification => ["case", state("current"), on, state("hover"), on, off];

// A point gives way to its area at its own zoom: the step of each zoom asks the feature.
export function small(value: unknown): ExpressionSpecification {
  const steps = Array.from({ length: 23 }, (_, zoom) => [zoom, ["case", [">", ["get", "z"], zoom], value, 0]]).flat();
  return ["step", ["zoom"], value, ...steps] as unknown as ExpressionSpecification;
}

/** Warmer hits cover more; what is looked at covers least. */
export const FILL: ExpressionSpecification = ["case", state("current"), 0.04, state("hover"), 0.06, ["+", 0.015, ["*", 0.13, ["get", "w"]]]];

export const LAYERS: readonly LayerSpecification[] = [
  { id: "hits-fill", type: "fill", source: "hits", paint: { "fill-color": color, "fill-opacity": FILL } },
  {
    id: "hits-line", type: "line", source: "hits", layout: { "line-join": "round" },
    paint: { "line-color": ["case", state("current"), "#ffffff", color], "line-width": ["case", state("current"), 4.5, state("hover"), 3, 1.3], "line-opacity": ["case", state("current"), 1, state("hover"), 1, ["+", 0.3, ["*", 0.7, ["get", "w"]]]] },
  },
  {
    id: "hits-current", type: "line", source: "hits", layout: { "line-join": "round" },
    paint: { "line-color": color, "line-width": ["case", state("current"), 2.2, 0], "line-opacity": ["case", state("current"), 1, 0] },
  },
  {
    id: "hits-point", type: "circle", source: "points", layout: { "circle-sort-key": ["get", "w"] },
    paint: {
      "circle-color": color,
      "circle-radius": lit(8.5, 5.5),
      "circle-opacity": small(0.92),
      "circle-stroke-color": ["case", state("current"), "#111827", "#ffffff"],
      "circle-stroke-width": lit(2.4, 1.1),
      "circle-stroke-opacity": small(1),
    },
  },
];

export const CLICKABLE = ["hits-fill", "hits-point"];
export const FILTERED = LAYERS.map((layer) => layer.id);
