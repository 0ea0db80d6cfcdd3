// The state of the page as signals. The functions that change it are in actions.ts.
import { computed, signal } from "@preact/signals";
import type { ClassMap, Overview } from "../api/calls";
import { isLikelyEnough, type Hit } from "./hit";
import { fromHash, type View } from "./permalink";
import { isSearchable, type Question } from "./question";

export type Status =
  | { state: "idle" }
  | { state: "busy"; since: number }
  | { state: "done"; matched: number; noGoodMatch: boolean; complete: boolean }
  | { state: "failed"; reason: string };

const initial = fromHash(location.hash);

export const question = signal<Question>(initial.question);
export const view = signal<View>(initial.view);
export const status = signal<Status>({ state: "idle" });
export const hits = signal<Hit[]>([]);
/** The tile that a key or a click selected. */
export const selected = signal<number | null>(null);
/** The tile under the pointer, in the list or on the map. */
export const hovered = signal<number | null>(null);
export const stars = signal<ReadonlySet<number>>(new Set());
export const overview = signal<Overview | null>(null);
export const overviewError = signal<{ text: string; status: number } | null>(null);
/** Whether the server asks for the key. It says so in the page, or later by its responses. */
export const signedOut = signal(document.getElementById("app")?.hasAttribute("data-sign-in") ?? false);
/** Whether this browser has signed in, and can therefore sign out. */
export const canSignOut = signal(false);
export const helpOpen = signal(false);
export const toast = signal<{ text: string; undo?: () => void; isError?: boolean } | null>(null);
/** Why imagery is missing on the map. */
export const imageryProblem = signal<string | null>(null);
export const drawing = signal<"box" | "polygon" | null>(null);
/** Id of the saved search that the heat map shows; null while there is none. */
export const heatSearch = signal<string | null>(null);
export const heatRange = signal<[number, number] | null>(null);
export const classMap = signal<{ labels: string[]; map: ClassMap } | null>(null);

// Parts of the view, so that a component renders again only when its own part changes.
export const tab = computed(() => view.value.tab);
export const tile = computed(() => view.value.tile);
export const compare = computed(() => view.value.compare);
export const minProbability = computed(() => view.value.minProbability);
/** Hits that pass the probability slider, which filters in the browser. */
export const visibleHits = computed<Hit[]>(() =>
  minProbability.value > 0 ? hits.value.filter((hit) => isLikelyEnough(hit, minProbability.value)) : hits.value,
);
export const byId = computed(() => new Map(hits.value.map((hit) => [hit.id, hit])));
export const searchable = computed(() => isSearchable(question.value));
/** The sign of each tile that is an example: 1 or -1. */
export const exampleSigns = computed(() => {
  const signs = new Map<number, 1 | -1>();
  for (const { part, sign } of question.value.examples) if (part.kind === "tile") signs.set(part.id, sign);
  return signs;
});
/** The range of probabilities (or cosines) that the colour ramp covers. */
export const scoreRange = computed<{ low: number; high: number; of: "probability" | "score" }>(() => {
  // With examples, hits are ranked by score: probabilities of a sentence would contradict that order.
  const hasExamples = question.value.examples.length > 0;
  const of = !hasExamples && hits.value.some((hit) => hit.probability !== null) ? "probability" : "score";
  const values = hits.value.map((hit) => hit[of]).filter((value) => value !== null);
  if (!values.length) return { low: 0, high: 1, of };
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high: Math.max(high, low + 1e-6), of };
});

/** The score of a hit between the lowest (0) and the highest (1) of all hits: its colour. */
export function relativeScore(hit: Hit): number {
  const { low, high, of } = scoreRange.value;
  const value = hit[of];
  return value === null ? 0 : (value - low) / (high - low);
}
