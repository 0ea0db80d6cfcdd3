// What is asked: a sentence, examples for and against, and what narrows them. Plain values; every change makes a new one.
import type { Polygon } from "geojson";

export type Part =
  | { kind: "text"; text: string }
  | { kind: "tile"; id: number }
  | { kind: "point"; lon: number; lat: number }
  | { kind: "picture"; name: string; data: string; preview: string | null; wavelengths: number[] | null }
  /** What the server keeps of a picture in a registered search. */
  | { kind: "vector"; name: string; vector: { data: string } };

/** One example; `key` tells it from others and stays while its weight changes. */
export interface Example {
  key: string;
  sign: 1 | -1;
  weight: number;
  part: Part;
}

export interface Filters {
  area: Polygon | null;
  from: string;
  to: string;
  collections: string[];
  sensors: string[];
  cloud: number | null;
}

export type Grouping = "" | "scene" | "place" | "collection" | "sensor";

export interface Question {
  text: string;
  textWeight: number;
  examples: Example[];
  strategy: "average" | "best";
  filters: Filters;
  group: Grouping;
  limit: number;
}

export const NO_FILTERS: Filters = { area: null, from: "", to: "", collections: [], sensors: [], cloud: null };
export const LIMITS = [50, 200, 1000, 10000] as const;
export const EMPTY: Question = {
  text: "", textWeight: 1, examples: [], strategy: "average", filters: NO_FILTERS, group: "", limit: 200,
};

/** Commas part the sentences of the search box; one that begins with a minus says what is not meant. */
export function terms(text: string): { wanted: string[]; unwanted: string[] } {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  const unwanted = parts.filter((part) => /^[-−–]\s*\S/.test(part)).map((part) => part.slice(1).trim());
  return { wanted: parts.filter((part) => !/^[-−–]/.test(part)), unwanted };
}

export function isAsked(question: Question): boolean {
  return terms(question.text).wanted.length > 0 || question.examples.some((example) => example.sign > 0);
}

export function keyOf(part: Part): string {
  switch (part.kind) {
    case "text": return `x:${part.text}`;
    case "tile": return `t:${part.id}`;
    case "point": return `p:${part.lon.toFixed(6)},${part.lat.toFixed(6)}`;
    case "picture": return `i:${part.name}:${part.data.length}`;
    case "vector": return `v:${part.name}:${part.vector.data.slice(0, 24)}`;
  }
}

export function nameOf(part: Part): string {
  switch (part.kind) {
    case "text": return `“${part.text}”`;
    case "tile": return `tile ${part.id}`;
    case "point": return `${part.lat.toFixed(4)}, ${part.lon.toFixed(4)}`;
    case "picture": case "vector": return part.name;
  }
}

/** Adds an example, or turns the one that is there; the same sign again takes it out. */
export function withExample(question: Question, part: Part, sign: 1 | -1): Question {
  const key = keyOf(part);
  const there = question.examples.find((example) => example.key === key);
  const others = question.examples.filter((example) => example.key !== key);
  if (there?.sign === sign) return { ...question, examples: others };
  return { ...question, examples: [...others, { key, sign, weight: there?.weight ?? 1, part }] };
}

function asExample(part: Part, weight: number): Record<string, unknown> {
  const own = weight === 1 ? {} : { weight };
  switch (part.kind) {
    case "text": return { text: part.text, ...own };
    case "tile": return { id: part.id, ...own };
    case "point": return { point: [part.lon, part.lat], ...own };
    case "picture": {
      const wavelengths = part.wavelengths ? { wavelengths: part.wavelengths } : {};
      return { image: { data: part.data, ...wavelengths }, label: part.name, ...own };
    }
    case "vector": return { vector: part.vector, label: part.name, ...own };
  }
}

export type Body = Record<string, unknown>;

/** The members of Item Search that the filters mean. */
export function filterMembers(filters: Filters): Body {
  const body: Body = {};
  if (filters.area) body["intersects"] = filters.area;
  if (filters.from || filters.to) {
    const from = filters.from ? `${filters.from}T00:00:00Z` : "..";
    body["datetime"] = `${from}/${filters.to ? `${filters.to}T23:59:59Z` : ".."}`;
  }
  if (filters.collections.length) body["collections"] = filters.collections;
  if (filters.sensors.length) body["sensors"] = filters.sensors;
  if (filters.cloud !== null) {
    body["filter"] = { op: "<=", args: [{ property: "eo:cloud_cover" }, filters.cloud] };
    body["filter-lang"] = "cql2-json";
  }
  return body;
}

/** The body of POST /search, without how many hits and which fields. */
export function toBody(question: Question): Body {
  const { wanted, unwanted } = terms(question.text);
  const body = filterMembers(question.filters);
  const positive = question.examples.filter((example) => example.sign > 0);
  const negative = question.examples.filter((example) => example.sign < 0);
  const against = [
    ...unwanted.map((text) => ({ text })),
    ...negative.map((example) => asExample(example.part, example.weight)),
  ];
  const semantic: Body = {};
  // Sentences by themselves are alternatives; together with examples they are one part of a blend.
  const alternatives = wanted.length > 1 && !positive.length;
  if (alternatives) semantic["positive"] = wanted.map((text) => ({ text }));
  else if (wanted.length && !positive.length) semantic["text"] = wanted[0];
  else {
    const own = question.textWeight === 1 ? {} : { weight: question.textWeight };
    semantic["positive"] = [
      ...(wanted.length ? [{ text: wanted.length === 1 ? wanted[0] : wanted, ...own }] : []),
      ...positive.map((example) => asExample(example.part, example.weight)),
    ];
  }
  if (against.length) semantic["negative"] = against;
  if (question.strategy === "best" || alternatives) semantic["strategy"] = "best";
  if (question.group) Object.assign(semantic, { group_by: question.group, group_limit: 1 });
  body["semantic"] = semantic;
  return body;
}

/** A question in words, for titles and lists. */
export function inWords(question: Question): string {
  const { wanted, unwanted } = terms(question.text);
  const more = question.examples.filter((example) => example.sign > 0).map((example) => nameOf(example.part));
  const less = question.examples.filter((example) => example.sign < 0).map((example) => nameOf(example.part));
  const parts = [wanted.join(" or "), ...more.map((name) => `like ${name}`)];
  parts.push(...unwanted.map((name) => `not ${name}`), ...less.map((name) => `not like ${name}`));
  return parts.filter(Boolean).join(", ") || "everything";
}
