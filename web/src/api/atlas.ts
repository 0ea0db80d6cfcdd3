// The atlas: a place for each tile near those of similar tiles, and what stands out among them.
import { getJson, type Options, request } from "./http";
import type { Body } from "../model/question";

export interface Cluster { id: number; name: string; words: string[]; x: number; y: number; tiles: number }
export interface AtlasInfo { points: number; tiles: number; missing: number; parts: number; part_size: number; generation: number; created: string; sensors: string[]; clusters: Cluster[]; unclustered: number }
/** Points column by column; x and y of a point stand together. */
export interface Points { ids: Float64Array; xy: Float32Array; days: Int32Array; cluster: Int16Array; sensor: Uint16Array }
export interface ReviewPair { tiles: [number, number]; likeness: number; kind: "copy" | "repeat" | "look-alike" }
export interface Outlier { tile: number; z: number; scene: string; looks_like: string | null }
export interface Frequent { name: string; tiles: number; share: number; much: boolean }
export interface Review {
  likeness: number;
  duplicates: { copies: number; repeats: number; lookalikes: number; scenes: { scenes: [string, string]; tiles: number; share: number }[]; pairs: ReviewPair[] };
  outliers: { count: number; tiles: Outlier[] };
  frequent: Record<"clusters" | "sensors" | "months", { effective: number; rows: Frequent[] }>;
  missing: { months: { first: string | null; last: string | null; gaps: { after: string; before: string; months: number }[] }; words: { name: string; probability: number }[] };
}

const REVIEW_TIMEOUT_MS = 600_000;
/** The day of a tile whose date is unknown. */
export const NO_DAY = -(2 ** 31);
const BYTES_PER_POINT = 24;

export const atlasInfo = (options?: Options): Promise<AtlasInfo> => getJson<AtlasInfo>("atlas", options);
export const review = (options?: Options): Promise<Review> => getJson<Review>("atlas/review?limit=24", { timeoutMs: REVIEW_TIMEOUT_MS, ...options });

/** All points of the atlas; null where a commit came between its parts. */
export async function atlasPoints(info: AtlasInfo, onPart: (share: number) => void, options?: Options): Promise<Points | null> {
  const { points } = info;
  const made: Points = { ids: new Float64Array(points), xy: new Float32Array(2 * points), days: new Int32Array(points), cluster: new Int16Array(points), sensor: new Uint16Array(points) };
  for (let part = 0, at = 0; part < info.parts; part++) {
    const response = await request(`atlas/points?part=${part}`, {}, options);
    if (Number(response.headers.get("Bandsight-Generation")) !== info.generation) return null;
    const data = await response.arrayBuffer();
    const count = data.byteLength / BYTES_PER_POINT;
    if (at + count > points) return null;
    made.ids.set(new Float64Array(data, 0, count), at);
    made.xy.set(new Float32Array(data, 8 * count, 2 * count), 2 * at);
    made.days.set(new Int32Array(data, 16 * count, count), at);
    made.cluster.set(new Int16Array(data, 20 * count, count), at);
    made.sensor.set(new Uint16Array(data, 22 * count, count), at);
    at += count;
    onPart(at / Math.max(1, points));
  }
  return made;
}

/** A number for each point: its score for a sentence, or the position of its best class. */
export async function atlasValues(body: Body, options?: Options): Promise<Float32Array> {
  const response = await request("atlas/values", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, options);
  return new Float32Array(await response.arrayBuffer());
}

