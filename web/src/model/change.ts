// The map layer of change: the URL of its tiles while it is shown.
import { signal } from "@preact/signals";
import type { Body } from "./question";

export const changeLayer = signal<string | null>(null);
export const changeOpacity = signal(0.8);

/** The z-scores of the first and the last colour; the server paints them. */
export const CHANGE_RANGE = [0, 8] as const;

/** The URL of the map tiles of a comparison, from the body of the same comparison. */
export function changeTiles(body: Body): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    if (name === "limit" || name === "min_z" || value === undefined || value === null) continue;
    if (Array.isArray(value)) query.set(name, value.join(","));
    else query.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  return `change/heatmap/{z}/{x}/{y}.png?${query}`;
}
