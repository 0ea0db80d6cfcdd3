// Hits on the map: polygons where they are large enough to see, points where they are not.
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import type { CircleLayerSpecification, ExpressionSpecification, FillLayerSpecification, FilterSpecification, LineLayerSpecification } from "maplibre-gl";
import { RAMP } from "../model/color";
import { boxOf, type Hit } from "../model/hit";

const MIN_VISIBLE_PX = 13;
const WORLD_PX = 512;

/** The zoom from which a footprint is wide enough to be drawn as a polygon. */
export function minZoomOf(hit: { box: Hit["box"] }): number {
  const wide = Math.max(1e-7, hit.box[2] - hit.box[0]);
  return Math.min(22, Math.max(0, Math.log2((MIN_VISIBLE_PX * 360) / (WORLD_PX * wide))));
}

/** What the filter compares with the minimum probability. */
const filterValue = (hit: Hit): number => hit.probability ?? (hit.probabilityReason === null ? 2 : 0);

export function polygons(hits: readonly Hit[], relativeScore: (hit: Hit) => number, isLikely: (hit: Hit) => boolean): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: hits.map((hit) => ({
      type: "Feature", id: hit.id, geometry: hit.geometry, properties: { w: relativeScore(hit), p: filterValue(hit), z: minZoomOf(hit), l: isLikely(hit) },
    })),
  };
}

export function points(hits: readonly Hit[], relativeScore: (hit: Hit) => number): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: hits.map((hit) => ({
      type: "Feature", id: hit.id, geometry: { type: "Point", coordinates: hit.centre },
      properties: { w: relativeScore(hit), p: filterValue(hit), z: minZoomOf(hit) },
    })),
  };
}

/** The centres of polygons, for zooms at which these are too small. */
export function centres(areas: FeatureCollection<Polygon | MultiPolygon>): FeatureCollection {
  return {
    type: "FeatureCollection",
    features: areas.features.map(({ geometry, properties }) => {
      const box = boxOf(geometry);
      return { type: "Feature", geometry: { type: "Point", coordinates: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] }, properties: { ...properties, z: minZoomOf({ box }) } };
    }),
  };
}

/** The size of points: small for many hits, which would hide each other. */
export const pointSize = (hits: number): { radius: number; stroke: number } => (hits > 1000 ? { radius: 3.5, stroke: 0.6 } : { radius: 5.5, stroke: 1.1 });

const color: ExpressionSpecification = ["interpolate", ["linear"], ["get", "w"], ...RAMP.flat()] as unknown as ExpressionSpecification;

/** Below its own zoom a hit is a point, above it a polygon; the other of the two is not drawn. */
export const SMALL: FilterSpecification = [">", ["get", "z"], ["zoom"]];
export const LARGE: FilterSpecification = ["<=", ["get", "z"], ["zoom"]];

/** Likely hits have an outline, the best of the others a fill; weak ones do not tint the imagery. */
export const FILL: ExpressionSpecification = ["case", ["get", "l"], 0.04, ["*", 0.2, ["^", ["get", "w"], 2]]];

export const LAYERS: readonly (FillLayerSpecification | LineLayerSpecification | CircleLayerSpecification)[] = [
  { id: "hits-fill", type: "fill", source: "hits", filter: LARGE, paint: { "fill-color": color, "fill-opacity": FILL } },
  {
    id: "hits-line", type: "line", source: "hits", filter: LARGE, layout: { "line-join": "round" },
    paint: { "line-color": color, "line-width": 1.3, "line-opacity": ["case", ["get", "l"], ["+", 0.3, ["*", 0.7, ["get", "w"]]], 0] },
  },
  {
    id: "hits-point", type: "circle", source: "points", filter: SMALL, layout: { "circle-sort-key": ["get", "w"] },
    paint: { "circle-color": color, "circle-opacity": 0.92, "circle-stroke-color": "#ffffff" },
  },
];

/** The filter of a layer that hides hits below the minimum probability. */
export function probabilityFilter(layer: (typeof LAYERS)[number], minProbability: number): FilterSpecification {
  return minProbability > 0 ? ["all", layer.filter as ExpressionSpecification, [">=", ["get", "p"], minProbability]] : layer.filter!;
}

export const CLICKABLE = ["hits-fill", "hits-point"];
