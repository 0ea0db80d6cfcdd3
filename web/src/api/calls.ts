// The API calls of the page, each with the type of its response.
import type { Feature, FeatureCollection, MultiPolygon, Polygon } from "geojson";
import { type Hit, hitOf } from "../model/hit";
import type { Body } from "../model/question";
import { errorMessage, getJson, type Options, postJson, request } from "./http";

type Item = Feature<Polygon | MultiPolygon> & { collection?: string };
interface Link { rel: string; href: string; body?: { token?: string } }
interface Items { features: Item[]; links?: Link[]; numberMatched?: number; nothing_matches?: boolean }

export interface SearchResults { hits: Hit[]; matched: number; noGoodMatch: boolean }

const PAGE_SIZE = 1000;
// Cards and footprints never show these, and they are most of an Item's size.
const EXCLUDED_FIELDS = ["links", "assets", "stac_extensions", "bbox", "properties.proj:wkt2", "properties.proj:transform", "properties.proj:shape"];

/** Search, page by page; `onPage` gets all hits so far after each page. Beyond the limit, `wantsMore` decides. */
export async function search(body: Body, limit: number, onPage: (results: SearchResults) => void, options: Options, wantsMore: (hits: Hit[]) => boolean = () => false): Promise<SearchResults> {
  const results: SearchResults = { hits: [], matched: 0, noGoodMatch: false };
  let token: string | undefined;
  do {
    const left = limit - results.hits.length;
    const pageSize = Math.min(PAGE_SIZE, left > 0 ? left : limit);
    const page = await postJson<Items>("search", { ...body, limit: pageSize, fields: { exclude: EXCLUDED_FIELDS }, ...(token ? { token } : {}) }, options);
    const before = results.hits.length;
    results.hits = [...results.hits, ...page.features.map((item, index) => hitOf(item, before + index))];
    if (before === 0) {
      results.matched = page.numberMatched ?? page.features.length;
      results.noGoodMatch = page.nothing_matches ?? false;
    }
    token = nextToken(page.links);
    onPage({ ...results });
    if (!page.features.length) break;
  } while (token && (results.hits.length < limit || wantsMore(results.hits)));
  return results;
}

function nextToken(links: Link[] | undefined): string | undefined {
  const next = links?.find((link) => link.rel === "next");
  return next?.body?.token ?? (next ? (new URL(next.href, document.baseURI).searchParams.get("token") ?? undefined) : undefined);
}

/** List tiles by filters alone. */
export async function listTiles(body: Body, options?: Options): Promise<Hit[]> {
  const page = await postJson<Items>("search", { limit: 100, fields: { exclude: EXCLUDED_FIELDS }, ...body }, options);
  // A list that is not ranked also contains scenes.
  return page.features.filter((item) => Number.isInteger(Number(item.id))).map(hitOf);
}

const IDS_PER_REQUEST = 500;

/** Tiles by their ids; ids that the archive no longer has are left out. */
export async function getTiles(ids: readonly number[], options?: Options): Promise<Hit[]> {
  const found: Hit[] = [];
  for (let at = 0; at < ids.length; at += IDS_PER_REQUEST) {
    const part = ids.slice(at, at + IDS_PER_REQUEST).map(String);
    found.push(...(await listTiles({ ids: part, limit: part.length }, options)));
  }
  return found;
}

export async function getTile(id: number, options?: Options): Promise<Hit | null> {
  return (await listTiles({ ids: [String(id)] }, options))[0] ?? null;
}

export interface SavedSearch { id: string; title: string; search: Body }
export const saveSearch = (body: Body, title: string, hits: number): Promise<SavedSearch> =>
  postJson<SavedSearch>("searches", { ...body, title: title.slice(0, 200), hits: Math.min(10_000, hits) });
export async function getSavedSearch(id: string): Promise<SavedSearch | null> {
  const { searches } = await getJson<{ searches: SavedSearch[] }>("searches");
  return searches.find((search) => search.id === id) ?? null;
}

export interface Session { key_required: boolean; signed_in: boolean }
export const getSession = (): Promise<Session> => getJson<Session>("session");
export const signIn = (key: string): Promise<Session> => postJson<Session>("session", { key });
export const signOut = (): Promise<Response> => request("session", { method: "DELETE" });

export interface Example { text: string; tile: number; probability: number | null }
export interface SensorMonth { sensor: string; month: string | null; tiles: number }
export interface Overview {
  generation: number;
  tiles: number;
  scenes: number;
  failures: number;
  bbox: [number, number, number, number] | null;
  collections: { id: string; tiles: number; scenes: number; sensors: string[] }[];
  sensors: { id: string; tiles: number; scenes: number }[];
  months: SensorMonth[];
  has_cloud_cover: boolean;
  /** Whether there are scenes whose tiles can be ranked by their best cell. */
  has_cells: boolean;
  coverage: FeatureCollection<Polygon | MultiPolygon>;
  coverage_complete: boolean;
  model: { name: string; digest: string; dim: number; license: string };
  index: Record<string, unknown>;
  examples: Example[];
}
export const overview = (options?: Options): Promise<Overview> => getJson<Overview>("overview", options);

export interface Style { name: string; title: string; bands: string[] }
export async function styles(id: number, options?: Options): Promise<Style[]> {
  const response = await getJson<{ styles: Style[] } | Style[]>(`tiles/${id}/styles`, options);
  return Array.isArray(response) ? response : response.styles;
}

export interface TileJson { tiles: string[]; minzoom?: number; maxzoom?: number; bounds?: [number, number, number, number] }
/** The TileJSON of all imagery, with a relative tile URL: behind a proxy, the server may not know its own address. */
export const imageryTileJson = async (options?: Options): Promise<TileJson> =>
  ({ ...(await getJson<TileJson>("imagery/tilejson.json", options)), tiles: ["imagery/tiles/{z}/{x}/{y}.png"] });

/** Why an image did not load; null where it loads now. */
export async function imageProblem(path: string, options?: Options): Promise<string | null> {
  try {
    await request(path, {}, options);
    return null;
  } catch (error) {
    return errorMessage(error);
  }
}

export type ClassMap = FeatureCollection<Polygon | MultiPolygon> & { shares: Record<string, { tiles: number; area: number }> };
export const classMap = (body: Body, options?: Options): Promise<ClassMap> => postJson<ClassMap>("classify/map", body, options);

export interface ExportFormat { name: string; title: string; suffixes: string[] }
export const exportFormats = async (options?: Options): Promise<ExportFormat[]> =>
  (await getJson<{ formats: ExportFormat[] }>("export-formats", options)).formats;

export async function exportResults(format: string, body: Body, options?: Options): Promise<Blob> {
  return (await request(`search/export?format=${format}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, options)).blob();
}

export interface HeatLegend { range: [number, number] }
export const heatLegend = (id: string, options?: Options): Promise<HeatLegend> => getJson<HeatLegend>(`searches/${id}/heatmap/legend.json`, options);

export const thumbnail = (id: number, size: number, style?: string): string =>
  `tiles/${id}/thumbnail.png?size=${size}${style ? `&style=${encodeURIComponent(style)}` : ""}`;

// Labels, classifiers and their layers.
export interface LabelCollection { name: string; classes: Record<string, string>; created: string; labels: number }
export interface LabelDetails extends LabelCollection {
  tiles: number;
  counts: Record<string, number>;
  annotators: Record<string, number>;
  conflicts: number;
  conflicting: { tile: number; classes: Record<string, string[]> }[];
  versions: number[];
}
export interface Figure { value: number; interval: [number, number] | null }
export interface ClassReport {
  labels: number;
  share_of_archive: number;
  places: { with: number; without: number };
  average_precision?: Figure;
  precision?: Figure;
  recall?: Figure;
  calibration?: { expected_calibration_error: number };
  learning_curve?: { labels: number; average_precision: number }[];
}
export interface Classifier {
  name: string;
  version: number;
  created: string;
  labels: number;
  classes: string[];
  calibrated: Record<string, boolean>;
  report: {
    classes: Record<string, ClassReport>;
    places: number;
    left_out: Record<string, number>;
    warnings: string[];
    mistakes: { tile: number; label: string; class: string; probability: number }[];
  };
}
export interface LayerSummary { classifier: string; class: string; version: number; calibrated: boolean; threshold: number; tiles: number; above: number; expected_share: number; histogram: number[] }

const labelsPath = (name: string, rest = ""): string => `labels/${encodeURIComponent(name)}${rest}`;
export const labelCollections = async (options?: Options): Promise<LabelCollection[]> => (await getJson<{ collections: LabelCollection[] }>("labels", options)).collections;
export const labelDetails = (name: string, options?: Options): Promise<LabelDetails> => getJson<LabelDetails>(labelsPath(name), options);
export const createLabels = (name: string, classes: Record<string, string>): Promise<LabelCollection> => postJson<LabelCollection>("labels", { name, classes });
export const deleteLabels = (name: string): Promise<Response> => request(labelsPath(name), { method: "DELETE" });
export const addLabels = (name: string, cls: string, tiles: readonly number[], annotator: string): Promise<{ labels: number }> =>
  postJson(labelsPath(name, "/items"), { class: cls, tiles, annotator });
export const removeLabel = (name: string, tile: number, annotator: string): Promise<Response> =>
  request(labelsPath(name, `/items/${tile}?annotator=${encodeURIComponent(annotator)}`), { method: "DELETE" });
export const exportLabels = async (name: string): Promise<Blob> => (await request(labelsPath(name, "/items"), {})).blob();

export interface Proposal { hit: Hit; cls: string; probability: number | null }
export async function proposals(name: string, limit: number, options?: Options): Promise<Proposal[]> {
  const { features } = await getJson<Items>(labelsPath(name, `/proposals?limit=${limit}`), options);
  return features.map((item, index) => ({
    hit: hitOf(item, index),
    cls: String(item.properties?.["bandsight:class"] ?? ""),
    probability: typeof item.properties?.["bandsight:class_probability"] === "number" ? item.properties["bandsight:class_probability"] : null,
  }));
}
const TRAIN_TIMEOUT_MS = 600_000;
export const trainClassifier = (name: string): Promise<Classifier> => postJson<Classifier>(labelsPath(name, "/classifiers"), {}, { timeoutMs: TRAIN_TIMEOUT_MS });
export const classifiers = async (name: string, options?: Options): Promise<Classifier[]> => (await getJson<{ classifiers: Classifier[] }>(labelsPath(name, "/classifiers"), options)).classifiers;
const layerQuery = (cls: string, threshold: number): string => `?class=${encodeURIComponent(cls)}&threshold=${threshold}`;
export const layerSummary = (name: string, cls: string, threshold: number, options?: Options): Promise<LayerSummary> => getJson<LayerSummary>(labelsPath(name, `/layer${layerQuery(cls, threshold)}`), options);
export const layerPolygons = async (name: string, cls: string, threshold: number): Promise<Blob> => (await request(labelsPath(name, `/layer/polygons${layerQuery(cls, threshold)}`), {}, { timeoutMs: TRAIN_TIMEOUT_MS })).blob();

// Saved searches that go on, and their alerts.
export interface Subscription { id: string; title: string; created: string; request: Body; min_score: number; min_probability: number | null; webhook: string | null; email: string | null; digest: "hourly" | "daily" | null; per_place: boolean; paused: boolean; secret?: string }
export interface Alert {
  number: number;
  id: string;
  subscription: string;
  tile: number;
  score: number;
  created: string;
  scene?: string;
  datetime?: string | null;
  geometry?: Polygon | MultiPolygon;
  state: "listed" | "pending" | "delivered" | "failed";
  error: string;
}
export const subscriptions = async (options?: Options): Promise<Subscription[]> => (await getJson<{ subscriptions: Subscription[] }>("subscriptions", options)).subscriptions;
export const subscribe = (body: Body): Promise<Subscription> => postJson<Subscription>("subscriptions", body);
export const pauseSubscription = (id: string, paused: boolean): Promise<Subscription> => postJson<Subscription>(`subscriptions/${id}/${paused ? "pause" : "resume"}`, {});
export const testSubscription = (id: string): Promise<{ delivered: boolean; error: string }> => postJson(`subscriptions/${id}/test`, {});
export const unsubscribe = (id: string): Promise<Response> => request(`subscriptions/${id}`, { method: "DELETE" });
export const alerts = async (limit: number, before: number | null, options?: Options): Promise<Alert[]> =>
  (await getJson<{ alerts: Alert[] }>(`alerts?limit=${limit}${before === null ? "" : `&before=${before}`}`, options)).alerts;

// The dates of a place, and change between two periods.
export interface TimelineDate { tile: number; datetime: string | null; scene: string; collection: string; sensor: string; gsd_m: number; scale: number; cloud_fraction: number | null; score?: number; likeness?: number }
export const timeline = async (lon: number, lat: number, q: string | null, options?: Options): Promise<TimelineDate[]> =>
  (await getJson<{ dates: TimelineDate[] }>(`timeline?lon=${lon}&lat=${lat}${q ? `&q=${encodeURIComponent(q)}` : ""}`, options)).dates;
export interface ChangeProperties { z: number; before: number; after: number; tile_before: number; tile_after: number; first_seen: string | null; last_seen_before: string | null; dates_before: number; dates_after: number }
export type Changes = FeatureCollection<Polygon | MultiPolygon, ChangeProperties> & { places: number; compared: number; changed: number };
export const changes = (body: Body, options?: Options): Promise<Changes> => postJson<Changes>("change", body, options);
