// Everything a person can do, as functions over the store; the controls, keys and map call these and nothing else.
import { batch, effect } from "@preact/signals";
import * as calls from "../api/calls";
import { Failure, isAbort, wordsOf } from "../api/http";
import * as address from "./address";
import { remember } from "./kept";
import { EMPTY, type Example, type Filters, inWords, isAsked, keyOf, NO_FILTERS, type Part, type Question, toBody, withExample } from "./question";
import { fromBody } from "./restore";
import * as store from "./store";

let running: AbortController | null = null;
const BETWEEN_MS = 1500;

/** Ask anew, and put the question into the browser's history. */
export function pose(question: Question): void {
  if (question === store.question.value) return;
  batch(() => {
    store.question.value = question;
    store.view.value = { ...store.view.value, tab: "search", tile: null, compare: null };
  });
  history.pushState(null, "", `#${address.write(question, store.view.value)}`);
  void run();
}

export const change = (part: Partial<Question>): void => pose({ ...store.question.value, ...part });
export const narrow = (part: Partial<Filters>): void => change({ filters: { ...store.question.value.filters, ...part } });
export const look = (part: Partial<address.View>): void => {
  store.view.value = { ...store.view.value, ...part };
};

export function searchText(text: string): void {
  const { question } = store;
  if (text.trim()) remember(text.trim());
  if (text === question.value.text && store.status.value.state !== "idle") void run();
  else change({ text });
}

/** Take a tile, picture or point as an example; the same sign again takes it back. */
export function example(part: Part, sign: 1 | -1): void {
  const before = store.question.value;
  const after = withExample(before, part, sign);
  if (!isAsked(after) && sign < 0 && after.examples.length > before.examples.length) {
    say("Say first what to look for: a sentence, or an example of it.");
    return;
  }
  pose(after);
  const there = after.examples.some((one) => one.key === keyOf(part));
  say(there ? (sign > 0 ? "More like this" : "Less like this") : "Example taken back", () => pose(before));
}

export const exampleTile = (id: number, sign: 1 | -1): void => example({ kind: "tile", id }, sign);

export function clearAll(): void {
  running?.abort();
  batch(() => {
    store.question.value = { ...EMPTY, limit: store.question.value.limit };
    store.view.value = { ...store.view.value, tile: null, compare: null, least: 0, heat: false };
    store.hits.value = [];
    store.status.value = { state: "idle" };
    store.current.value = null;
  });
  history.pushState(null, "", `#${address.write(store.question.value, store.view.value)}`);
}

export const clearFilters = (): void => {
  look({ least: 0 });
  change({ filters: NO_FILTERS, group: "" });
};

export function cancel(): void {
  running?.abort();
  store.status.value = { state: "failed", reason: "Stopped." };
}

/** Ask the server the present question. */
export async function run(): Promise<void> {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const question = store.question.value;
  store.heatSearch.value = null;
  if (!isAsked(question)) {
    batch(() => {
      store.hits.value = [];
      store.status.value = { state: "idle" };
    });
    return;
  }
  store.status.value = { state: "busy", since: Date.now() };
  try {
    let first = true;
    let last = 0;
    const show = (found: calls.Found, complete: boolean): void => {
      // The first page at once, the whole at its end; between them now and then.
      if (mine.signal.aborted || (!complete && !first && Date.now() - last < BETWEEN_MS)) return;
      last = Date.now();
      batch(() => {
        store.hits.value = found.hits;
        store.status.value = { state: "done", matched: found.matched, nothing: found.nothing, complete };
        if (first) store.current.value = null;
        first = false;
      });
    };
    const found = await calls.search(toBody(question), question.limit, (page) => show(page, false), { signal: mine.signal });
    show(found, true);
  } catch (error) {
    if (mine.signal.aborted || isAbort(error)) return;
    store.status.value = { state: "failed", reason: wordsOf(error) };
  }
}

/** Register the present question and return its id; one id for one question. */
const kept = new Map<string, Promise<calls.Registered>>();
export async function registered(question: Question): Promise<string> {
  const body = toBody(question);
  const key = JSON.stringify([body, question.limit]);
  let made = kept.get(key);
  if (!made) {
    made = calls.register(body, inWords(question), question.limit);
    kept.set(key, made);
    made.catch(() => kept.delete(key));
  }
  return (await made).id;
}

/** Too large for an address: the server keeps it. */
const isLarge = ({ part }: Example): boolean => part.kind === "picture" || part.kind === "vector";

/** A link that restores what is seen; what does not fit an address (pictures) is kept by the server. */
export async function permalink(): Promise<string> {
  const question = store.question.value;
  const pictures = question.examples.some(isLarge);
  const hash = address.write(question, store.view.value);
  const base = location.href.replace(/#.*$/, "");
  return pictures ? `${base}#search=${await registered(question)}&${hash}` : `${base}#${hash}`;
}

export function say(text: string, undo?: () => void, bad = false): void {
  store.said.value = { text, ...(undo ? { undo } : {}), bad };
}

export function select(id: number | null): void {
  store.current.value = id;
}

/** Step through the hits that are shown. */
export function step(by: 1 | -1): void {
  const list = store.shown.value;
  if (!list.length) return;
  const at = list.findIndex((hit) => hit.id === store.current.value);
  const next = at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, at + by));
  store.current.value = list[next]!.id;
  if (store.view.value.tile !== null) look({ tile: list[next]!.id });
}

export function star(id: number): void {
  const next = new Set(store.stars.value);
  if (!next.delete(id)) next.add(id);
  store.stars.value = next;
}

async function restore(): Promise<void> {
  const { question, view, search } = address.read(location.hash);
  batch(() => {
    store.question.value = question;
    store.view.value = view;
  });
  if (search) {
    try {
      const found = await calls.registered(search);
      if (found) store.question.value = { ...fromBody(found.search, question), group: question.group, limit: question.limit };
      else say("The linked search is no longer kept by the server.", undefined, true);
    } catch (error) {
      say(`The linked search cannot be read: ${wordsOf(error)}`, undefined, true);
    }
  }
  await run();
}

export async function loadOverview(): Promise<void> {
  try {
    store.overview.value = await calls.overview();
    store.overviewFailure.value = null;
  } catch (error) {
    store.overviewFailure.value = { text: wordsOf(error), status: error instanceof Failure ? error.status : 0 };
  }
}

/** Begin: read the address, follow it, and keep it up to date. */
export function start(): void {
  addEventListener("popstate", () => void restore());
  void loadOverview();
  void restore();
  // What is only looked at changes the address without a step in the history.
  let timer = 0;
  effect(() => {
    const hash = address.write(store.question.value, store.view.value);
    clearTimeout(timer);
    timer = setTimeout(() => {
      const search = address.read(location.hash).search;
      const pictures = store.question.value.examples.some(isLarge);
      const now = `#${search && pictures ? `search=${search}&` : ""}${hash}`;
      if (now !== location.hash && (now !== "#" || location.hash)) history.replaceState(null, "", now);
    }, 250);
  });
}
