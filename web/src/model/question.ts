// A question: a description, positive and negative examples, and filters. Plain immutable values.
import { t } from "../i18n";
import type { MultiPolygon, Polygon } from "geojson";

export type Part =
  | { kind: "text"; text: string }
  | { kind: "tile"; id: number }
  | { kind: "point"; lon: number; lat: number }
  | { kind: "image"; name: string; data: string; preview: string | null; wavelengths: number[] | null }
  /** What the server stores of an image in a saved search. */
  | { kind: "vector"; name: string; vector: { data: string } };

/** One example. `key` identifies it and does not depend on its weight. */
export interface Example {
  key: string;
  sign: 1 | -1;
  weight: number;
  part: Part;
}

export type Area = Polygon | MultiPolygon;

export interface Filters {
  area: Area | null;
  from: string;
  to: string;
  collections: string[];
  sensors: string[];
  cloud: number | null;
  /** Trained classifiers with their thresholds, e.g. "ponds > 0.8". */
  classifiers: string[];
}

/** What one result is. Tiles of one place are grouped by the page, the others by the server. */
export type Grouping = "place" | "tile" | "scene" | "collection" | "sensor";

export interface Question {
  text: string;
  textWeight: number;
  examples: Example[];
  strategy: "average" | "best";
  /** Whether tiles are ranked by their best cell. */
  byCell: boolean;
  filters: Filters;
  group: Grouping;
  limit: number;
}

export const NO_FILTERS: Filters = { area: null, from: "", to: "", collections: [], sensors: [], cloud: null, classifiers: [] };
export const LIMITS = [50, 200, 1000, 10000] as const;
export const EMPTY: Question = {
  text: "", textWeight: 1, examples: [], strategy: "average", byCell: false, filters: NO_FILTERS, group: "place", limit: 200,
};

/** A comma, or a word or quoted phrase that may have a minus before it. */
const TOKEN = /,|(?<minus>(?<![^\s,])[-−–])?(?:["“”](?<phrase>[^"“”]*)["“”]|(?<word>[^\s,"“”]+|["“”]))/g;

/**
 * Split the text of the search box. Commas separate alternatives. A minus excludes the word or words after it, up to the next comma or
 * minus; a quoted phrase ends where its quotes do.
 */
export function terms(text: string): { positive: string[]; negative: string[] } {
  const [positive, negative]: [string[][], string[][]] = [[[]], []];
  let current = positive[0]!;
  let atStart = true;
  const begin = (list: string[][]): void => { list.push((current = [])); };
  for (const { 0: token, groups } of text.matchAll(TOKEN)) {
    const { minus, phrase, word } = groups!;
    if (token === ",") begin(positive);
    else if (minus) begin(negative);
    // A minus on its own counts where a term begins; elsewhere it is a dash.
    if (atStart && word && /^[-−–]$/.test(word)) begin(negative);
    else current.push(...[phrase ?? word ?? ""].map((one) => one.trim()).filter(Boolean));
    if (minus && phrase !== undefined) current = positive.at(-1)!;
    atStart = token === ",";
  }
  const joined = (list: string[][]): string[] => list.map((words) => words.join(" ")).filter(Boolean);
  return { positive: joined(positive), negative: joined(negative) };
}

/** The text of the search box that has these terms. */
export function textOf({ positive, negative }: { positive: readonly string[]; negative: readonly string[] }): string {
  const quoted = (term: string): string => (term.includes(",") ? `"${term}"` : term);
  return [...positive.map(quoted), ...negative.map((term) => `-${quoted(term)}`)].join(", ");
}

/** Whether several positive parts are combined: averaged, or any of them. Without examples, descriptions are alternatives. */
export function isCombined(question: Question): boolean {
  const positive = question.examples.filter((example) => example.sign > 0).length;
  return positive > 1 || (positive === 1 && terms(question.text).positive.length > 0);
}

/** A search needs a description or a positive example. */
export function isSearchable(question: Question): boolean {
  return terms(question.text).positive.length > 0 || question.examples.some((example) => example.sign > 0);
}

export function keyOf(part: Part): string {
  switch (part.kind) {
    case "text": return `x:${part.text}`;
    case "tile": return `t:${part.id}`;
    case "point": return `p:${part.lon.toFixed(6)},${part.lat.toFixed(6)}`;
    case "image": return `i:${part.name}:${digest(part.data)}`;
    case "vector": return `v:${part.name}:${digest(part.vector.data)}`;
  }
}

/** A short digest of a text (cyrb53, 53 bits): two images of one name and size are two examples. */
function digest(text: string): string {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36);
}

export function nameOf(part: Part): string {
  switch (part.kind) {
    case "text": return t.search.quoted(part.text);
    case "tile": return t.search.tile(part.id);
    case "point": return `${part.lat.toFixed(4)}, ${part.lon.toFixed(4)}`;
    case "image": case "vector": return part.name;
  }
}

/** Add an example or change its sign; the same sign again removes it. */
export function withExample(question: Question, part: Part, sign: 1 | -1): Question {
  const key = keyOf(part);
  const existing = question.examples.find((example) => example.key === key);
  const others = question.examples.filter((example) => example.key !== key);
  if (existing?.sign === sign) return { ...question, examples: others };
  return { ...question, examples: [...others, { key, sign, weight: existing?.weight ?? 1, part }] };
}

function exampleBody(part: Part, weight: number): Record<string, unknown> {
  const weighted = weight === 1 ? {} : { weight };
  switch (part.kind) {
    case "text": return { text: part.text, ...weighted };
    case "tile": return { id: part.id, ...weighted };
    case "point": return { point: [part.lon, part.lat], ...weighted };
    case "image": {
      const wavelengths = part.wavelengths ? { wavelengths: part.wavelengths } : {};
      return { image: { data: part.data, ...wavelengths }, label: part.name, ...weighted };
    }
    case "vector": return { vector: part.vector, label: part.name, ...weighted };
  }
}

export type Body = Record<string, unknown>;

/** The filters as members of STAC Item Search. */
export function filterMembers(filters: Filters): Body {
  const body: Body = {};
  if (filters.area) body["intersects"] = filters.area;
  if (filters.from || filters.to) {
    const from = filters.from ? `${filters.from}T00:00:00Z` : "..";
    body["datetime"] = `${from}/${filters.to ? `${filters.to}T23:59:59Z` : ".."}`;
  }
  if (filters.collections.length) body["collections"] = filters.collections;
  if (filters.sensors.length) body["sensors"] = filters.sensors;
  if (filters.classifiers.length) body["classifiers"] = filters.classifiers;
  if (filters.cloud !== null) {
    body["filter"] = { op: "<=", args: [{ property: "eo:cloud_cover" }, filters.cloud] };
    body["filter-lang"] = "cql2-json";
  }
  return body;
}

/** A trained classifier in place of a description. */
const CLASSIFIER = /^classifier:\s*[\w.-]/;
export const isClassifierSearch = (question: Question): boolean => CLASSIFIER.test(question.text.trim()) && !question.examples.length;

const grouping = ({ group, byCell }: Question): Body => ({
  ...(group === "place" || group === "tile" ? {} : { group_by: group, group_limit: 1 }),
  ...(byCell ? { by_cell: true } : {}),
});

/** The body of POST /search, without limit and fields. */
export function toBody(question: Question): Body {
  const text = terms(question.text);
  const body = filterMembers(question.filters);
  const positive = question.examples.filter((example) => example.sign > 0);
  const negative = question.examples.filter((example) => example.sign < 0);
  const negatives = [
    ...text.negative.map((one) => ({ text: one })),
    ...negative.map((example) => exampleBody(example.part, example.weight)),
  ];
  const semantic: Body = {};
  // Without examples, several descriptions are alternatives; with examples, they are one part of the average.
  const alternatives = text.positive.length > 1 && !positive.length;
  if (isClassifierSearch(question)) {
    body["semantic"] = { classifier: question.text.trim(), ...grouping(question) };
    return body;
  }
  if (alternatives) semantic["positive"] = text.positive.map((one) => ({ text: one }));
  else if (text.positive.length && !positive.length) semantic["text"] = text.positive[0];
  else {
    const weighted = question.textWeight === 1 ? {} : { weight: question.textWeight };
    semantic["positive"] = [
      ...(text.positive.length ? [{ text: text.positive.length === 1 ? text.positive[0] : text.positive, ...weighted }] : []),
      ...positive.map((example) => exampleBody(example.part, example.weight)),
    ];
  }
  if (negatives.length) semantic["negative"] = negatives;
  if (question.strategy === "best" || alternatives) semantic["strategy"] = "best";
  Object.assign(semantic, grouping(question));
  body["semantic"] = semantic;
  return body;
}

/** A short summary for titles and file names. */
export function summary(question: Question): string {
  const { positive, negative } = terms(question.text);
  const names = (sign: 1 | -1): string[] => question.examples.filter((example) => example.sign === sign).map((example) => nameOf(example.part));
  const parts = [positive.join(t.search.or), ...names(1).map(t.search.like), ...negative.map(t.search.not), ...names(-1).map(t.search.notLike)];
  return parts.filter(Boolean).join(", ") || t.search.everything;
}
