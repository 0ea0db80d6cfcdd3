// How the map moves; apart from the map's own code, which is loaded behind the first paint.
import type { Map as MapLibre } from "maplibre-gl";

export type Box = [number, number, number, number];

export function fit(map: MapLibre, [west, south, east, north]: Box, most = 16): void {
  const pad = Math.min(64, map.getContainer().clientWidth / 8);
  map.fitBounds([[west, Math.max(-85, south)], [east, Math.min(85, north)]], { padding: pad, maxZoom: most, duration: still() ? 0 : 700 });
}

export const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
