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
