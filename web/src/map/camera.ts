// Camera moves. A module of its own, because the map's code loads after the first paint.
import type { Map as MapLibre } from "maplibre-gl";

export type Box = [number, number, number, number];

export function fit(map: MapLibre, [west, south, east, north]: Box, maxZoom = 16): void {
  // West of 180° and east of it: a box that crosses ±180°.
  const end = east < west ? east + 360 : east;
  const pad = Math.min(64, map.getContainer().clientWidth / 8);
  map.fitBounds([[west, Math.max(-85, south)], [end, Math.min(85, north)]], { padding: pad, maxZoom, duration: prefersReducedMotion() ? 0 : 700 });
}

const MOST_WIDE = 24;

/** The best of these, and in their order those that lie so close to it that all are large enough to be seen at once. */
export function nearBest<T extends { box: Box }>(hits: readonly T[]): T[] {
  const first = hits[0];
  if (!first) return [];
  let [west, south, east, north] = first.box;
  const [wide, high] = [MOST_WIDE * (east - west), MOST_WIDE * (north - south)];
  return hits.filter(({ box }) => {
    const grown: Box = [Math.min(west, box[0]), Math.min(south, box[1]), Math.max(east, box[2]), Math.max(north, box[3])];
    const near = grown[2] - grown[0] <= wide && grown[3] - grown[1] <= high;
    if (near) [west, south, east, north] = grown;
    return near;
  });
}

export const prefersReducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
