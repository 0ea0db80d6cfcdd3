// Camera moves. A module of its own, because the map's code loads after the first paint.
import type { Map as MapLibre } from "maplibre-gl";

export type Box = [number, number, number, number];

export function fit(map: MapLibre, [west, south, east, north]: Box, maxZoom = 16): void {
  const pad = Math.min(64, map.getContainer().clientWidth / 8);
  map.fitBounds([[west, Math.max(-85, south)], [east, Math.min(85, north)]], { padding: pad, maxZoom, duration: prefersReducedMotion() ? 0 : 700 });
}

export const prefersReducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
