// What stays in this browser: former sentences, saved selections, the theme.
import { signal } from "@preact/signals";

export interface Saved { name: string; hash: string; tiles: number[]; at: string }

function load<T>(name: string, or: T): T {
  try {
    return (JSON.parse(localStorage.getItem(`bandsight.${name}`) ?? "null") as T | null) ?? or;
  } catch {
    return or; // storage is off, or holds what another version wrote
  }
}

function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(`bandsight.${name}`, JSON.stringify(value));
  } catch {
    // Storage is full or off: the page works without.
  }
}

const list = <T>(value: T[]): T[] => (Array.isArray(value) ? value : []);
export const former = signal<string[]>(list(load<string[]>("history", [])).filter((text) => typeof text === "string"));
export const saved = signal<Saved[]>(list(load<Saved[]>("saved", [])));
export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>(load<Theme>("theme", "auto"));

export function remember(text: string): void {
  former.value = [text, ...former.value.filter((other) => other !== text)].slice(0, 12);
  keep("history", former.value);
}

export function forget(): void {
  former.value = [];
  keep("history", []);
}

export function save(one: Saved): void {
  saved.value = [one, ...saved.value.filter((other) => other.name !== one.name)].slice(0, 100);
  keep("saved", saved.value);
}

export function unsave(name: string): void {
  saved.value = saved.value.filter((other) => other.name !== name);
  keep("saved", saved.value);
}

export function setTheme(next: Theme): void {
  theme.value = next;
  keep("theme", next);
}
