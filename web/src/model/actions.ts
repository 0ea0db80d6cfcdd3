// Everything a user can do, as functions over the store. Controls, keys and the map call these.
import { batch, effect } from "@preact/signals";
import * as calls from "../api/calls";
import { errorMessage, isAbort, RequestError } from "../api/http";
import { t } from "../i18n";
import * as permalink from "./permalink";
import { EMPTY, type Example, type Filters, isCombined, isSearchable, keyOf, NO_FILTERS, type Part, type Question, summary, toBody, withExample } from "./question";
import type { Hit } from "./hit";
import { placesOf } from "./places";
import { fromBody } from "./restore";
import { addToHistory, storeStars } from "./storage";
import * as store from "./store";

let running: AbortController | null = null;
/** Shortest time between two updates of the list while pages arrive. */
const UPDATE_INTERVAL_MS = 1500;
/** Pause after the last + or − before the results refresh. */
const REFRESH_AFTER_MS = 900;
/** Where tiles of one place are grouped: fetch more until so many places are found, or so many tiles. */
const FEWEST_PLACES = 50;
const MOST_EXTRA_TILES = 2000;
let refreshTimer = 0;

/** Search for a question and add it to the browser's history. */
export function submit(question: Question): void {
  if (question === store.question.value) return;
  batch(() => {
    store.question.value = question;
    store.view.value = { ...store.view.value, tab: "search", tile: null, compare: null, starred: false };
  });
  history.pushState(null, "", `#${permalink.toHash(question, store.view.value)}`);
  void runSearch();
}

/** Take a question with other examples. The list stays as it is until no more are added for a moment. */
function collect(question: Question): void {
  if (!store.hits.value.length || !isSearchable(question) || !isSearchable(store.question.value)) {
    submit(question);
    return;
  }
  batch(() => {
    store.question.value = question;
    store.view.value = { ...store.view.value, tab: "search", compare: null, starred: false };
    store.refining.value = "waiting";
    store.held.value = null;
  });
  history.pushState(null, "", `#${permalink.toHash(question, store.view.value)}`);
  running?.abort();
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => void refresh(), REFRESH_AFTER_MS);
}

/** Whether the pointer is over the list of results. */
let overList = false;
export function setOverList(over: boolean): void {
  overList = over;
  if (!over) showHeld();
}

/** Show the results that were held back. */
export function showHeld(): void {
  const waiting = store.held.value;
  if (waiting) applyRefined(waiting.question, waiting.results);
}

function applyRefined(question: Question, results: calls.SearchResults): void {
  batch(() => {
    store.answered.value = question;
    store.hits.value = results.hits;
    store.status.value = { state: "done", matched: results.matched, noGoodMatch: results.noGoodMatch, complete: true };
    store.refining.value = "fresh";
    store.held.value = null;
  });
}

/** Search in the background, and show the results once they move nothing under the pointer. */
async function refresh(): Promise<void> {
  const controller = new AbortController();
  running = controller;
  const question = store.question.value;
  store.refining.value = "busy";
  store.heatSearch.value = null;
  try {
    const results = await calls.search(toBody(question), question.limit, () => undefined, { signal: controller.signal }, wantsMore(question));
    if (controller.signal.aborted) return;
    if (!overList) applyRefined(question, results);
    else {
      batch(() => {
        store.held.value = { question, results };
        store.refining.value = "held";
      });
    }
  } catch (error) {
    if (controller.signal.aborted || isAbort(error)) return;
    store.refining.value = "fresh";
    store.status.value = { state: "failed", reason: errorMessage(error) };
  }
}

/** Whether so many tiles show so few places that more should be fetched. */
function wantsMore({ group, limit }: Question): (hits: Hit[]) => boolean {
  if (group !== "place") return () => false;
  return (hits) => hits.length < MOST_EXTRA_TILES && placesOf(hits).length < Math.min(FEWEST_PLACES, limit);
}

export const updateQuestion = (part: Partial<Question>): void => submit({ ...store.question.value, ...part });
export const updateFilters = (part: Partial<Filters>): void => updateQuestion({ filters: { ...store.question.value.filters, ...part } });
export const updateView = (part: Partial<permalink.View>): void => {
  store.view.value = { ...store.view.value, ...part };
};

export function searchText(text: string): void {
  const { question } = store;
  if (text.trim()) addToHistory(text.trim());
  if (text.trim() && !isSearchable({ ...question.value, text })) notify(t.errors.needsPositive);
  if (text === question.value.text && store.status.value.state !== "idle") void runSearch();
  else updateQuestion({ text });
}

/** Add a tile, image or point as an example; the same sign again removes it. */
export function toggleExample(part: Part, sign: 1 | -1): void {
  const before = store.question.value;
  const after = withExample(before, part, sign);
  if (!isSearchable(after) && sign < 0 && after.examples.length > before.examples.length) {
    notify(t.errors.needsPositive);
    return;
  }
  collect(after);
  const added = after.examples.some((example) => example.key === keyOf(part));
  notify(added ? (sign > 0 ? addedMessage(after) : t.examples.addedNegative) : t.examples.removed, () => collect(before));
}

function addedMessage(question: Question): string {
  if (!isCombined(question)) return t.examples.addedPositive;
  return question.strategy === "best" ? t.examples.addedAny : t.examples.addedTogether;
}

export const toggleTileExample = (id: number, sign: 1 | -1): void => toggleExample({ kind: "tile", id }, sign);

export function clearAll(): void {
  running?.abort();
  clearTimeout(refreshTimer);
  batch(() => {
    store.refining.value = "fresh";
    store.held.value = null;
    store.question.value = { ...EMPTY, limit: store.question.value.limit };
    store.view.value = { ...store.view.value, tile: null, compare: null, minProbability: 0, heat: false };
    store.hits.value = [];
    store.status.value = { state: "idle" };
    store.selected.value = null;
  });
  history.pushState(null, "", `#${permalink.toHash(store.question.value, store.view.value)}`);
}

export const clearFilters = (): void => {
  updateView({ minProbability: 0 });
  updateQuestion({ filters: NO_FILTERS, group: EMPTY.group });
};

export function cancelSearch(): void {
  running?.abort();
  store.status.value = { state: "failed", reason: t.errors.stopped };
}

/** Where results come from a later commit than the page knows, or from another archive, its overview is loaded again. */
function noticeCommit(hit: Hit | undefined): void {
  const generation = hit?.properties["bandsight:generation"];
  if (typeof generation === "number" && store.overview.value && generation !== store.overview.value.generation) void loadOverview();
}

/** Send the current question to the server. */
export async function runSearch(): Promise<void> {
  running?.abort();
  clearTimeout(refreshTimer);
  const controller = new AbortController();
  running = controller;
  const question = store.question.value;
  batch(() => {
    store.heatSearch.value = null;
    store.refining.value = "fresh";
    store.held.value = null;
  });
  if (!isSearchable(question)) {
    batch(() => {
      store.hits.value = [];
      store.status.value = { state: "idle" };
    });
    return;
  }
  store.status.value = { state: "busy", since: Date.now() };
  try {
    let first = true;
    let updatedAt = 0;
    const show = (results: calls.SearchResults, complete: boolean): void => {
      // Show the first page at once and the last when it arrives; pages between them at intervals.
      if (controller.signal.aborted || (!complete && !first && Date.now() - updatedAt < UPDATE_INTERVAL_MS)) return;
      updatedAt = Date.now();
      batch(() => {
        store.answered.value = question;
        store.hits.value = results.hits;
        store.status.value = { state: "done", matched: results.matched, noGoodMatch: results.noGoodMatch, complete };
        if (first) store.selected.value = null;
        first = false;
      });
    };
    const results = await calls.search(toBody(question), question.limit, (page) => show(page, false), { signal: controller.signal }, wantsMore(question));
    show(results, true);
    noticeCommit(results.hits[0]);
  } catch (error) {
    if (controller.signal.aborted || isAbort(error)) return;
    store.status.value = { state: "failed", reason: errorMessage(error) };
  }
}

const savedSearches = new Map<string, Promise<calls.SavedSearch>>();
/** Save a question on the server and return its id; the same question gets the same id. */
export async function savedSearchId(question: Question): Promise<string> {
  const body = toBody(question);
  const key = JSON.stringify([body, question.limit]);
  let pending = savedSearches.get(key);
  if (!pending) {
    pending = calls.saveSearch(body, summary(question), question.limit);
    savedSearches.set(key, pending);
    pending.catch(() => savedSearches.delete(key));
  }
  return (await pending).id;
}

/** Images and vectors do not fit into a URL: the server stores them. */
const isLarge = ({ part }: Example): boolean => part.kind === "image" || part.kind === "vector";
const needsSaving = ({ examples, filters }: Question): boolean => examples.some(isLarge) || permalink.isLongArea(filters.area);

/** A link that restores the page. A question with images is saved on the server first. */
export async function createLink(): Promise<string> {
  const question = store.question.value;
  const hash = permalink.toHash(question, store.view.value);
  const base = location.href.replace(/#.*$/, "");
  const stars = store.view.value.starred && store.stars.value.size ? `&stars=${[...store.stars.value].join(",")}` : "";
  return (needsSaving(question) ? `${base}#search=${await savedSearchId(question)}&${hash}` : `${base}#${hash}`) + stars;
}

export function notify(text: string, undo?: () => void, isError = false): void {
  store.toast.value = { text, ...(undo ? { undo } : {}), isError };
}

export const notifyError = (error: unknown): void => notify(errorMessage(error), undefined, true);

export function select(id: number | null): void {
  store.selected.value = id;
}

/** Select the next or the previous visible hit. */
export function moveSelection(by: 1 | -1): void {
  const list = store.visibleHits.value;
  if (!list.length) return;
  const lead = store.leadOf(store.selected.value);
  const index = list.findIndex((hit) => hit.id === lead);
  const next = index < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, index + by));
  store.selected.value = list[next]!.id;
  if (store.view.value.tile !== null) updateView({ tile: list[next]!.id });
}

export function toggleStar(id: number): void {
  const next = new Set(store.stars.value);
  if (!next.delete(id)) next.add(id);
  setStars([...next]);
}

export function setStars(ids: readonly number[]): void {
  store.stars.value = new Set(ids);
  storeStars(ids);
}

async function restore(): Promise<void> {
  const { question, view, search, stars } = permalink.fromHash(location.hash);
  batch(() => {
    store.question.value = question;
    store.view.value = view;
  });
  if (stars.length) setStars([...new Set([...stars, ...store.stars.value])]);
  if (search) {
    try {
      const saved = await calls.getSavedSearch(search);
      if (saved) store.question.value = { ...fromBody(saved.search, question), group: question.group, limit: question.limit };
      else notify(t.errors.linkExpired, undefined, true);
    } catch (error) {
      notify(t.errors.linkUnreadable(errorMessage(error)), undefined, true);
    }
  }
  await runSearch();
}

export async function loadOverview(): Promise<void> {
  try {
    store.overview.value = await calls.overview();
    store.overviewError.value = null;
  } catch (error) {
    store.overviewError.value = { text: errorMessage(error), status: error instanceof RequestError ? error.status : 0 };
  }
}

/** Restore the page from its URL and keep the URL up to date. */
export function start(): void {
  addEventListener("popstate", () => void restore());
  void loadOverview();
  void restore();
  // Changes of the view replace the URL without a new entry in the history.
  let timer = 0;
  effect(() => {
    const hash = permalink.toHash(store.question.value, store.view.value);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { search } = permalink.fromHash(location.hash);
      const keepsSearch = search && needsSaving(store.question.value);
      const next = `#${keepsSearch ? `search=${search}&` : ""}${hash}`;
      if (next !== location.hash && (next !== "#" || location.hash)) history.replaceState(null, "", next);
    }, 250);
  });
}
