// The state of the page in the fragment of its URL, so that a link or a reload restores it.
import type { Position } from "geojson";
import { type Area, EMPTY, type Example, type Grouping, keyOf, NO_FILTERS, type Part, type Question } from "./question";

import { type Sort, SORTS } from "./places";
import { loadArea, storeArea } from "./storage";

export type Tab = "search" | "labels" | "classes" | "change" | "atlas" | "alerts" | "archive";
export type Layout = "grid" | "table";
export interface Camera { lon: number; lat: number; zoom: number }
export interface View {
  tab: Tab;
  tile: number | null;
  compare: [number, number] | null;
  minProbability: number;
  heat: boolean;
  /** Show the starred tiles instead of the results. */
  starred: boolean;
  sort: Sort;
  layout: Layout;
  /** The collection of labels that is open. */
  labels: string | null;
  classes: string[];
  camera: Camera | null;
}

export const START: View = { tab: "search", tile: null, compare: null, minProbability: 0, heat: false, starred: false, sort: "best", layout: "grid", labels: null, classes: [], camera: null };

const TABS: readonly string[] = ["search", "labels", "classes", "change", "atlas", "alerts", "archive"];
const GROUPS: readonly string[] = ["place", "tile", "scene", "collection", "sensor"];
const KEPT = "kept";
let keptAs: Area | null = null;

function keepArea(area: Area): string {
  if (keptAs !== area) storeArea(area);
  keptAs = area;
  return KEPT;
}

const keptArea = (): Area | null => (keptAs ??= loadArea());

const rounded = (value: number): string => String(Math.round(value * 1e6) / 1e6);

export function toHash(question: Question, view: View): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string | number | false | null): void => {
    if (value !== "" && value !== null && value !== false) params.append(name, String(value));
  };
  const { filters } = question;
  put("q", question.text);
  if (question.textWeight !== 1) put("qw", question.textWeight);
  for (const example of question.examples) put("ex", exampleText(example));
  if (question.strategy !== "average") put("strategy", question.strategy);
  // The browser keeps a long area until the tab is closed; a link to share has it as a saved search.
  if (filters.area) put("area", isLongArea(filters.area) ? keepArea(filters.area) : areaText(filters.area));
  put("from", filters.from);
  put("to", filters.to);
  for (const name of filters.collections) put("collection", name);
  for (const name of filters.sensors) put("sensor", name);
  put("cloud", filters.cloud);
  for (const name of filters.classifiers) put("classifier", name);
  if (question.byCell) put("cells", 1);
  if (question.group !== EMPTY.group) put("group", question.group);
  if (question.limit !== EMPTY.limit) put("n", question.limit);
  if (view.minProbability > 0) put("p", rounded(view.minProbability));
  if (view.tab !== "search") put("tab", view.tab);
  put("tile", view.tile);
  put("compare", view.compare && view.compare.join("~"));
  if (view.heat) put("heat", 1);
  if (view.starred) put("starred", 1);
  if (view.sort !== "best") put("sort", view.sort);
  if (view.layout !== "grid") put("layout", view.layout);
  put("labels", view.labels);
  for (const label of view.classes) put("class", label);
  if (view.camera) put("map", [view.camera.zoom.toFixed(2), view.camera.lat.toFixed(5), view.camera.lon.toFixed(5)].join("/"));
  return params.toString();
}

export interface Linked { question: Question; view: View; search: string | null; stars: number[] }

export function fromHash(hash: string): Linked {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (name: string): string => params.get(name) ?? "";
  const number = (name: string): number | null => {
    const value = Number.parseFloat(text(name));
    return Number.isFinite(value) ? value : null;
  };
  const group = text("group");
  const tab = text("tab");
  const compare = text("compare").split("~").map(Number);
  const question: Question = {
    text: text("q").slice(0, 1000),
    textWeight: number("qw") ?? 1,
    examples: params.getAll("ex").map(exampleOf).filter((example) => example !== null),
    strategy: text("strategy") === "best" ? "best" : "average",
    byCell: text("cells") === "1",
    filters: {
      ...NO_FILTERS,
      area: text("area") === KEPT ? keptArea() : areaOf(text("area")),
      from: day(text("from")),
      to: day(text("to")),
      collections: params.getAll("collection"),
      sensors: params.getAll("sensor"),
      cloud: number("cloud"),
      classifiers: params.getAll("classifier").slice(0, 8),
    },
    group: (GROUPS.includes(group) ? group : EMPTY.group) as Grouping,
    limit: Math.min(10000, Math.max(1, number("n") ?? EMPTY.limit)),
  };
  const view: View = {
    tab: (TABS.includes(tab) ? tab : "search") as Tab,
    tile: integer(text("tile")),
    compare: compare.length === 2 && compare.every(Number.isSafeInteger) ? [compare[0]!, compare[1]!] : null,
    minProbability: Math.min(1, Math.max(0, number("p") ?? 0)),
    heat: text("heat") === "1",
    starred: text("starred") === "1",
    sort: (SORTS as readonly string[]).includes(text("sort")) ? (text("sort") as Sort) : "best",
    layout: text("layout") === "table" ? "table" : "grid",
    labels: text("labels") || null,
    classes: params.getAll("class"),
    camera: cameraOf(text("map")),
  };
  const stars = text("stars").split(",").map(integer).filter((id) => id !== null);
  return { question, view, stars, search: /^[0-9a-f]{16}$/.test(text("search")) ? text("search") : null };
}

function integer(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function day(text: string): string {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? text : "";
}

function cameraOf(text: string): Camera | null {
  const [zoom, lat, lon] = text.split("/").map(Number);
  return [zoom, lat, lon].every((value) => Number.isFinite(value)) ? { zoom: zoom!, lat: lat!, lon: lon! } : null;
}

// Sign, kind, value and, after an asterisk, weight: +t:17*1.5. Images are too large for a URL.
function exampleText({ sign, weight, part, key }: Example): string {
  if (part.kind === "image" || part.kind === "vector") return "";
  return `${sign > 0 ? "+" : "-"}${key}${weight === 1 ? "" : `*${rounded(weight)}`}`;
}

function exampleOf(text: string): Example | null {
  const match = /^([+-])([txp]):(.*?)(?:\*([\d.]+))?$/s.exec(text);
  if (!match) return null;
  const [, sign, kind, value, weight] = match as unknown as [string, string, string, string, string | undefined];
  const part = partOf(kind, value);
  if (!part) return null;
  return { key: keyOf(part), sign: sign === "+" ? 1 : -1, weight: weight ? Number(weight) || 1 : 1, part };
}

function partOf(kind: string, value: string): Part | null {
  if (kind === "x") return { kind: "text", text: value };
  if (kind === "t") return integer(value) === null ? null : { kind: "tile", id: Number(value) };
  const [lon, lat] = value.split(",").map(Number);
  return Number.isFinite(lon) && Number.isFinite(lat) ? { kind: "point", lon: lon!, lat: lat! } : null;
}

/** Corners that still fit into a URL; larger areas travel as a saved search. */
const MOST_CORNERS = 300;

const ringsOf = (area: Area): Position[][][] => (area.type === "Polygon" ? [area.coordinates] : area.coordinates);
export const cornersOf = (area: Area): number => ringsOf(area).flat(2).length;
export const isLongArea = (area: Area | null): boolean => area !== null && cornersOf(area) > MOST_CORNERS;

/** "lon lat,…": rings of a polygon are separated by "|", polygons by ";". */
export function areaText(area: Area): string {
  const ring = (positions: Position[]): string => positions.slice(0, -1).map(([lon, lat]) => `${rounded(lon!)} ${rounded(lat!)}`).join(",");
  return ringsOf(area).map((rings) => rings.map(ring).join("|")).join(";");
}

export function areaOf(text: string): Area | null {
  const polygons = text.split(";").map((polygon) => polygon.split("|").map((ring) => {
    const positions: Position[] = ring.split(",").map((pair) => pair.trim().split(/\s+/).map(Number));
    return positions.length >= 3 && positions.every((point) => point.length === 2 && point.every(Number.isFinite)) ? [...positions, positions[0]!] : null;
  }));
  if (polygons.some((rings) => rings.some((ring) => ring === null))) return null;
  const coordinates = polygons as Position[][][];
  return coordinates.length === 1 ? { type: "Polygon", coordinates: coordinates[0]! } : { type: "MultiPolygon", coordinates };
}
