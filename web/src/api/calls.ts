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

/** Search, page by page; `onPage` gets all hits so far after each page. */
export async function search(body: Body, limit: number, onPage: (results: SearchResults) => void, options: Options): Promise<SearchResults> {
  const results: SearchResults = { hits: [], matched: 0, noGoodMatch: false };
  let token: string | undefined;
  do {
    const pageSize = Math.min(PAGE_SIZE, limit - results.hits.length);
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
  } while (token && results.hits.length < limit);
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
