// What this browser stores: recent searches, bookmarks, the theme.
import { signal } from "@preact/signals";

export interface Bookmark { name: string; hash: string; tiles: number[]; at: string }

function load<T>(name: string, fallback: T): T {
  try {
    return (JSON.parse(localStorage.getItem(`bandsight.${name}`) ?? "null") as T | null) ?? fallback;
  } catch {
    return fallback; // storage is off, or another version wrote it
  }
}

function store(name: string, value: unknown): void {
  try {
    localStorage.setItem(`bandsight.${name}`, JSON.stringify(value));
  } catch {
    // Storage is full or off: the page works without it.
  }
}

const list = <T>(value: T[]): T[] => (Array.isArray(value) ? value : []);
export const recentSearches = signal<string[]>(list(load<string[]>("history", [])).filter((text) => typeof text === "string"));
export const bookmarks = signal<Bookmark[]>(list(load<Bookmark[]>("saved", [])));
export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>(load<Theme>("theme", "auto"));

/** A search area that is too long for the URL, until the tab is closed. */
export function storeArea(area: unknown): void {
  try {
    sessionStorage.setItem("bandsight.area", JSON.stringify(area));
  } catch {
    // Storage is full or off: the area is lost when the page is loaded again.
  }
}

export function loadArea<T>(): T | null {
  try {
    return JSON.parse(sessionStorage.getItem("bandsight.area") ?? "null") as T | null;
  } catch {
    return null;
  }
}

/** Tiles that were starred in this browser. */
export const loadStars = (): number[] => list(load<number[]>("stars", [])).filter(Number.isSafeInteger);
export const storeStars = (ids: readonly number[]): void => store("stars", ids);
/** The name under which this person labels. */
export const annotator = signal<string>(String(load<string>("annotator", "") ?? ""));
export function setAnnotator(name: string): void {
  annotator.value = name;
  store("annotator", name);
}
/** The number of the newest alert that was seen here. */
export const seenAlert = signal<number>(Number(load<number>("alert", 0)) || 0);
export function setSeenAlert(number: number): void {
  seenAlert.value = Math.max(number, seenAlert.value);
  store("alert", seenAlert.value);
}
export const language = (): string | null => load<string | null>("language", null);
export const setLanguage = (tag: string): void => store("language", tag);

export function addToHistory(text: string): void {
  recentSearches.value = [text, ...recentSearches.value.filter((other) => other !== text)].slice(0, 12);
  store("history", recentSearches.value);
}

export function clearHistory(): void {
  recentSearches.value = [];
  store("history", []);
}

export function addBookmark(bookmark: Bookmark): void {
  bookmarks.value = [bookmark, ...bookmarks.value.filter((other) => other.name !== bookmark.name)].slice(0, 100);
  store("saved", bookmarks.value);
}

export function deleteBookmark(name: string): void {
  bookmarks.value = bookmarks.value.filter((other) => other.name !== name);
  store("saved", bookmarks.value);
}

export function setTheme(next: Theme): void {
  theme.value = next;
  store("theme", next);
}
