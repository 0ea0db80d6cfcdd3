// Hits on the map: areas where they are large enough to see, points where they are not.
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import type { CircleLayerSpecification, ExpressionSpecification, FillLayerSpecification, FilterSpecification, LineLayerSpecification } from "maplibre-gl";
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
      type: "Feature", id: hit.id, geometry: hit.geometry, properties: { w: warmth(hit), p: hit.probability ?? 2, z: zoomOf(hit) },
    })),
  };
}

export function points(hits: readonly Hit[], warmth: (hit: Hit) => number): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: hits.map((hit) => ({
      type: "Feature", id: hit.id, geometry: { type: "Point", coordinates: hit.centre },
      properties: { w: warmth(hit), p: hit.probability ?? 2, z: zoomOf(hit) },
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

/** Dots of many hits are small: they would hide each other and the ground. */
export const dot = (hits: number): { radius: number; stroke: number } => (hits > 1000 ? { radius: 3.5, stroke: 0.6 } : { radius: 5.5, stroke: 1.1 });

const color: ExpressionSpecification = ["interpolate", ["linear"], ["get", "w"], ...RAMP.flat()] as unknown as ExpressionSpecification;

/** A point gives way to its area at its own zoom: what is not seen is not even drawn. */
export const SMALL: FilterSpecification = [">", ["get", "z"], ["zoom"]];
export const LARGE: FilterSpecification = ["<=", ["get", "z"], ["zoom"]];

/** Warmer hits cover more, and none so much that the ground under it changes its colour. */
export const FILL: ExpressionSpecification = ["+", 0.01, ["*", 0.09, ["get", "w"]]];

export const LAYERS: readonly (FillLayerSpecification | LineLayerSpecification | CircleLayerSpecification)[] = [
  { id: "hits-fill", type: "fill", source: "hits", filter: LARGE, paint: { "fill-color": color, "fill-opacity": FILL } },
  {
    id: "hits-line", type: "line", source: "hits", filter: LARGE, layout: { "line-join": "round" },
    paint: { "line-color": color, "line-width": 1.3, "line-opacity": ["+", 0.3, ["*", 0.7, ["get", "w"]]] },
  },
  {
    id: "hits-point", type: "circle", source: "points", filter: SMALL, layout: { "circle-sort-key": ["get", "w"] },
    paint: { "circle-color": color, "circle-opacity": 0.92, "circle-stroke-color": "#ffffff" },
  },
];

/** The filter of a layer of hits that hides what is less probable. */
export function probable(layer: (typeof LAYERS)[number], least: number): FilterSpecification {
  return least > 0 ? ["all", layer.filter as ExpressionSpecification, [">=", ["get", "p"], least]] : layer.filter!;
}

export const CLICKABLE = ["hits-fill", "hits-point"];
