// A hit as the page needs it, read from a STAC Item.
import { formatDay, t } from "../i18n";
import type { Feature, Polygon, MultiPolygon, Position } from "geojson";

export interface Hit {
  id: number;
  rank: number;
  score: number | null;
  probability: number | null;
  /** Why there is no probability, where the model has none for this imagery. */
  probabilityReason: string | null;
  match: boolean | null;
  matched: string | null;
  geometry: Polygon | MultiPolygon;
  centre: [number, number];
  box: [number, number, number, number];
  time: string | null;
  title: string;
  sensor: string;
  collection: string;
  scene: string;
  cell: string;
  scale: number;
  /** The footprint of the part of the tile that the score is of; null for a score of the whole tile. */
  part: Polygon | MultiPolygon | null;
  properties: Record<string, unknown>;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

export function hitOf(item: Feature<Polygon | MultiPolygon> & { collection?: string }, index: number): Hit {
  const properties = (item.properties ?? {}) as Record<string, unknown>;
  const own = (name: string): unknown => properties[`bandsight:${name}`];
  const box = boxOf(item.geometry);
  return {
    id: Number(item.id),
    rank: number(own("rank")) ?? index + 1,
    score: number(own("score")),
    probability: number(own("probability")),
    probabilityReason: text(own("probability_reason")) || null,
    match: typeof own("match") === "boolean" ? (own("match") as boolean) : null,
    matched: matchedOf(own("matched")),
    geometry: item.geometry,
    centre: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2],
    box,
    time: text(properties["datetime"]) || null,
    title: text(properties["title"]),
    sensor: text(own("sensor")),
    collection: text(item.collection),
    scene: text(own("scene")),
    cell: text(own("cell")),
    scale: number(own("scale")) ?? 1,
    part: (own("best_cell") as { geometry?: Polygon | MultiPolygon } | undefined)?.geometry ?? null,
    properties,
  };
}

/** Whether a hit passes a minimum probability; examples have none, imagery that the model is not calibrated for never does. */
export const isLikelyEnough = (hit: Hit, minimum: number): boolean =>
  minimum <= 0 || (hit.probability === null ? hit.probabilityReason === null : hit.probability >= minimum);

function matchedOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (value && typeof value === "object" && "text" in value) return text((value as { text: unknown }).text) || null;
  return null;
}

/** The bounding box of a footprint; of its first part where the footprint crosses ±180°. */
export function boxOf(geometry: Polygon | MultiPolygon): [number, number, number, number] {
  const ring: Position[] = (geometry.type === "Polygon" ? geometry.coordinates[0] : geometry.coordinates[0]?.[0]) ?? [];
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const [lon, lat] of ring as [number, number][]) {
    west = Math.min(west, lon);
    east = Math.max(east, lon);
    south = Math.min(south, lat);
    north = Math.max(north, lat);
  }
  return [west, south, east, north];
}

/** The box that contains all parts of an area. */
export function boundsOf(area: Polygon | MultiPolygon): [number, number, number, number] {
  if (area.type === "Polygon") return boxOf(area);
  return unionBox(area.coordinates.map((coordinates) => ({ box: boxOf({ type: "Polygon", coordinates }) }))) ?? [-180, -90, 180, 90];
}

/** The box that contains all of these. */
export function unionBox(hits: readonly { box: [number, number, number, number] }[]): [number, number, number, number] | null {
  if (!hits.length) return null;
  let [west, south, east, north] = hits[0]!.box;
  for (const { box } of hits) {
    west = Math.min(west, box[0]);
    south = Math.min(south, box[1]);
    east = Math.max(east, box[2]);
    north = Math.max(north, box[3]);
  }
  return [west, south, east, north];
}

export const formatDate = (time: string | null): string => (time ? formatDay(time) : t.common.unknownDate);

/** sentinel2_l2a → Sentinel-2 L2A. */
export function sensorName(sensor: string): string {
  return sensor
    .split("_")
    .map((word) => {
      const known = { sentinel1: "Sentinel-1", sentinel2: "Sentinel-2", sentinel3: "Sentinel-3", naip: "NAIP", aviris: "AVIRIS", enmap: "EnMAP", emit: "EMIT", prisma: "PRISMA", modis: "MODIS", rgb: "RGB", rgbn: "RGB + NIR", dem: "DEM", sar: "SAR", landsat: "Landsat", planetscope: "PlanetScope" }[word];
      return known ?? (/^[lb]?\d/.test(word) || word.length <= 3 ? word.toUpperCase() : word[0]!.toUpperCase() + word.slice(1));
    })
    .join(" ");
}

/** A short name for captions: S2 L2A. */
export const shortSensor = (sensor: string): string => sensorName(sensor).replace(/^Sentinel-/, "S").replace(/^Landsat(\d+)? ?/, "L$1 ").replace("RGB + NIR", "RGBN").replace("Worldview", "WV").trim();
