// The state of the page as signals. The functions that change it are in actions.ts.
import { computed, signal } from "@preact/signals";
import type { Position } from "geojson";
import type { ClassMap, Overview, SearchResults } from "../api/calls";
import { isLikelyEnough, type Hit } from "./hit";
import { fromHash, type View } from "./permalink";
import { type Place, placesOf, sorted, tilesAsPlaces } from "./places";
import { isClassifierSearch, isSearchable, terms, type Question } from "./question";
import { loadStars } from "./storage";

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
/** The question that `hits` answer: while examples are collected, the present question is ahead of it. */
export const answered = signal<Question>(initial.question);
/**
 * Refining a search does not change the list at once: "waiting" for the next example, "busy" asking the server, "held" back while the
 * pointer is over the list.
 */
export const refining = signal<"fresh" | "waiting" | "busy" | "held">("fresh");
export const held = signal<{ question: Question; results: SearchResults } | null>(null);
/** The tile that a key or a click selected. */
export const selected = signal<number | null>(null);
/** The tile under the pointer, in the list or on the map. */
export const hovered = signal<number | null>(null);
export const stars = signal<ReadonlySet<number>>(new Set(loadStars()));
export const overview = signal<Overview | null>(null);
export const overviewError = signal<{ text: string; status: number } | null>(null);
/** Whether the server asks for the key. It says so in the page, or later by its responses. */
export const signedOut = signal(document.getElementById("app")?.hasAttribute("data-sign-in") ?? false);
/** Whether this browser has signed in, and can therefore sign out. */
export const canSignOut = signal(false);
/** Whether the server does not answer at present. */
export const offline = signal(false);
export const helpOpen = signal(false);
export const toast = signal<{ text: string; undo?: () => void; isError?: boolean } | null>(null);
/** Why imagery is missing on the map. */
export const imageryProblem = signal<string | null>(null);
export const drawing = signal<"box" | "polygon" | "measure" | null>(null);
/** Whether the corners of the search area can be dragged. */
export const editingArea = signal(false);
/** Id of the saved search that the heat map shows; null while there is none. */
export const heatSearch = signal<string | null>(null);
/** How strongly the heat map covers the imagery, 0 to 1. */
export const heatOpacity = signal(0.75);
/** The line that is measured on the map. */
export const measured = signal<readonly Position[]>([]);
export const heatRange = signal<[number, number] | null>(null);
export const classMap = signal<{ labels: string[]; map: ClassMap } | null>(null);

// Parts of the view, so that a component renders again only when its own part changes.
export const tab = computed(() => view.value.tab);
export const tile = computed(() => view.value.tile);
export const compare = computed(() => view.value.compare);
/** A mix of examples has no probabilities, so the minimum waits for a question that has them. */
export const minProbability = computed(() => (isMix.value ? 0 : view.value.minProbability));
export const starred = computed(() => view.value.starred);
export const sort = computed(() => view.value.sort);
export const layout = computed(() => view.value.layout);
/** All places among the hits, best first. */
export const places = computed<Place[]>(() => (answered.value.group === "place" ? placesOf(hits.value) : tilesAsPlaces(hits.value)));
const likelyPlaces = computed<Place[]>(() => (minProbability.value > 0 ? places.value.filter(({ lead }) => isLikelyEnough(lead, minProbability.value)) : places.value));
/** Places that pass the probability slider, which filters in the browser, in the order that was chosen. */
export const visiblePlaces = computed<readonly Place[]>(() => sorted(likelyPlaces.value, sort.value));
/** The best tile of each visible place. */
export const visibleHits = computed<Hit[]>(() => visiblePlaces.value.map(({ lead }) => lead));
export const byId = computed(() => new Map(hits.value.map((hit) => [hit.id, hit])));
/** The tile that stands for each tile's place. */
const leads = computed(() => new Map(places.value.flatMap(({ lead, tiles }) => tiles.map(({ id }) => [id, lead.id] as const))));
export const leadOf = (id: number | null): number | null => (id === null ? null : (leads.value.get(id) ?? id));
export const searchable = computed(() => isSearchable(question.value));
/** The sign of each tile that is an example: 1 or -1. */
export const exampleSigns = computed(() => {
  const signs = new Map<number, 1 | -1>();
  for (const { part, sign } of question.value.examples) if (part.kind === "tile") signs.set(part.id, sign);
  return signs;
});
const isMix = computed(() => answered.value.examples.length > 0 || terms(answered.value.text).negative.length > 0);
const isByExamples = computed(() => answered.value.examples.length > 0);
/** Whether scores are probabilities of a trained classifier. */
export const isByClassifier = computed(() => isClassifierSearch(answered.value));
/** Whether a hit is a likely match: only where its probability is also what the hits are ranked by. */
export const isLikely = (hit: Hit): boolean => hit.match === true && hit.probability !== null && scoreRange.value.of === "probability";
/** The range of probabilities (or cosines) that the colour ramp covers. */
export const scoreRange = computed<{ low: number; high: number; of: "probability" | "score" }>(() => {
  // With examples, hits are ranked by score: probabilities of a sentence would contradict that order.
  const of = !isByExamples.value && hits.value.some((hit) => hit.probability !== null) ? "probability" : "score";
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
