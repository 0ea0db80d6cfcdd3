// The calls of the API that the page makes, each with the shape of its answer.
import type { Feature, FeatureCollection, MultiPolygon, Polygon } from "geojson";
import { type Hit, hitOf } from "../model/hit";
import type { Body } from "../model/question";
import { ask, getJson, type Options, postJson } from "./http";

type Item = Feature<Polygon | MultiPolygon> & { collection?: string };
interface Link { rel: string; href: string; body?: { token?: string } }
interface Items { features: Item[]; links?: Link[]; numberMatched?: number; nothing_matches?: boolean }

export interface Found { hits: Hit[]; matched: number; nothing: boolean }

const PAGE = 1000;
// What a card or a footprint never shows stays away: it is most of an Item's weight.
const LEFT_OUT = ["links", "assets", "stac_extensions", "bbox", "properties.proj:wkt2", "properties.proj:transform", "properties.proj:shape"];

/** Ask for hits; each page is handed on as it comes. */
export async function search(body: Body, limit: number, each: (found: Found) => void, options: Options): Promise<Found> {
  const found: Found = { hits: [], matched: 0, nothing: false };
  let token: string | undefined;
  do {
    const wanted = Math.min(PAGE, limit - found.hits.length);
    const page = await postJson<Items>("search", { ...body, limit: wanted, fields: { exclude: LEFT_OUT }, ...(token ? { token } : {}) }, options);
    const before = found.hits.length;
    found.hits = [...found.hits, ...page.features.map((item, at) => hitOf(item, before + at))];
    if (before === 0) {
      found.matched = page.numberMatched ?? page.features.length;
      found.nothing = page.nothing_matches ?? false;
    }
    token = tokenOf(page.links);
    each({ ...found });
    if (!page.features.length) break;
  } while (token && found.hits.length < limit);
  return found;
}

function tokenOf(links: Link[] | undefined): string | undefined {
  const next = links?.find((link) => link.rel === "next");
  return next?.body?.token ?? (next ? (new URL(next.href, document.baseURI).searchParams.get("token") ?? undefined) : undefined);
}

/** Tiles by plain filters, without a question. */
export async function list(body: Body, options?: Options): Promise<Hit[]> {
  const page = await postJson<Items>("search", { limit: 100, fields: { exclude: LEFT_OUT }, ...body }, options);
  // A list without a question holds scenes too.
  return page.features.filter((item) => Number.isInteger(Number(item.id))).map(hitOf);
}

export async function tile(id: number, options?: Options): Promise<Hit | null> {
  return (await list({ ids: [String(id)] }, options))[0] ?? null;
}

export interface Registered { id: string; title: string; search: Body }
export const register = (body: Body, title: string, hits: number): Promise<Registered> =>
  postJson<Registered>("searches", { ...body, title: title.slice(0, 200), hits: Math.min(10_000, hits) });
export async function registered(id: string): Promise<Registered | null> {
  const { searches } = await getJson<{ searches: Registered[] }>("searches");
  return searches.find((search) => search.id === id) ?? null;
}

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
  const answer = await getJson<{ styles: Style[] } | Style[]>(`tiles/${id}/styles`, options);
  return Array.isArray(answer) ? answer : answer.styles;
}

export interface TileJson { tiles: string[]; minzoom?: number; maxzoom?: number; bounds?: [number, number, number, number] }
export const mosaic = (collection: string, options?: Options): Promise<TileJson> =>
  getJson<TileJson>(`collections/${encodeURIComponent(collection)}/tilejson.json`, options);

export type ClassMap = FeatureCollection<Polygon | MultiPolygon> & { shares: Record<string, { tiles: number; area: number }> };
export const classMap = (body: Body, options?: Options): Promise<ClassMap> => postJson<ClassMap>("classify/map", body, options);

export interface ExportFormat { name: string; title: string; suffixes: string[] }
export const exportFormats = async (options?: Options): Promise<ExportFormat[]> =>
  (await getJson<{ formats: ExportFormat[] }>("export-formats", options)).formats;

export async function exported(format: string, body: Body, options?: Options): Promise<Blob> {
  return (await ask(`search/export?format=${format}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, options)).blob();
}

export interface HeatLegend { range: [number, number] }
export const heatLegend = (id: string, options?: Options): Promise<HeatLegend> => getJson<HeatLegend>(`searches/${id}/heatmap/legend.json`, options);

export const thumbnail = (id: number, size: number, style?: string): string =>
  `tiles/${id}/thumbnail.png?size=${size}${style ? `&style=${encodeURIComponent(style)}` : ""}`;
