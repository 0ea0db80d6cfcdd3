// What the page knows, as signals; the functions that change it are in actions.ts.
import { computed, signal } from "@preact/signals";
import type { ClassMap, Overview } from "../api/calls";
import { type View, read, START } from "./address";
import type { Hit } from "./hit";
import { EMPTY, isAsked, type Question } from "./question";

export type Status =
  | { state: "idle" }
  | { state: "busy"; since: number }
  | { state: "done"; matched: number; nothing: boolean; complete: boolean }
  | { state: "failed"; reason: string };

const linked = read(location.hash);

export const question = signal<Question>(linked.question);
export const view = signal<View>(linked.view);
export const status = signal<Status>({ state: "idle" });
export const hits = signal<Hit[]>([]);
/** The tile that the keyboard or a click stands on. */
export const current = signal<number | null>(null);
/** The tile under the pointer, wherever that is. */
export const hovered = signal<number | null>(null);
export const stars = signal<ReadonlySet<number>>(new Set());
export const overview = signal<Overview | null>(null);
export const overviewFailure = signal<{ text: string; status: number } | null>(null);
export const help = signal(false);
export const said = signal<{ text: string; undo?: () => void; bad?: boolean } | null>(null);
export const drawing = signal<"box" | "polygon" | null>(null);
/** Id under which the present question is registered, for the heat map; null while it is not. */
export const heatSearch = signal<string | null>(null);
export const heatRange = signal<[number, number] | null>(null);
export const classMap = signal<{ labels: string[]; map: ClassMap } | null>(null);

// Parts of the view, for whom the rest of it is nothing new.
export const tab = computed(() => view.value.tab);
export const tile = computed(() => view.value.tile);
export const compare = computed(() => view.value.compare);
export const least = computed(() => view.value.least);
/** Hits that pass the probability slider, which acts at once and here. */
export const shown = computed<Hit[]>(() =>
  least.value > 0 ? hits.value.filter((hit) => hit.probability === null || hit.probability >= least.value) : hits.value,
);
export const byId = computed(() => new Map(hits.value.map((hit) => [hit.id, hit])));
export const asked = computed(() => isAsked(question.value));
/** How each tile stands as an example: 1 for, -1 against. */
export const signs = computed(() => {
  const made = new Map<number, 1 | -1>();
  for (const { part, sign } of question.value.examples) if (part.kind === "tile") made.set(part.id, sign);
  return made;
});
/** The range of probabilities (or cosines) that colours mean. */
export const range = computed<{ low: number; high: number; of: "probability" | "score" }>(() => {
  // Where examples take part in the order, probabilities of one sentence would contradict it.
  const mixed = question.value.examples.length > 0;
  const of = !mixed && hits.value.some((hit) => hit.probability !== null) ? "probability" : "score";
  const values = hits.value.map((hit) => hit[of]).filter((value) => value !== null);
  if (!values.length) return { low: 0, high: 1, of };
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high: Math.max(high, low + 1e-6), of };
});

/** Where a hit lies between the worst and the best of its answer, 0..1: its colour. */
export function warmth(hit: Hit): number {
  const { low, high, of } = range.value;
  const value = hit[of];
  return value === null ? 0 : (value - low) / (high - low);
}

export function reset(): void {
  question.value = EMPTY;
  view.value = { ...START, camera: view.value.camera };
}
