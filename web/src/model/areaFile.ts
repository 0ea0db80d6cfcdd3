// An area of interest from a file: GeoJSON or KML, with as many corners as the server takes.
import type { Geometry, Position } from "geojson";
import { t } from "../i18n";
import { crossesItself, simplified, unwrapped } from "./geometry";
import type { Area } from "./question";

const MIB = 2 ** 20;
const MAX_MIB = 60;
/** Corners to aim for: the server takes 10,000. Fewer are tried where simplifying makes an outline cross itself. */
const CORNERS = [5000, 2500, 1000, 300];

export interface AreaFile { area: Area; found: number; kept: number }

export const isAreaFile = (file: File): boolean => /\.(geojson|json|kml|kmz)$/i.test(file.name);

export async function readArea(file: File): Promise<AreaFile> {
  if (file.size > MAX_MIB * MIB) throw new Error(t.errors.areaTooLarge(file.name, Math.round(file.size / MIB), MAX_MIB));
  if (/\.kmz$/i.test(file.name)) throw new Error(t.errors.kmz(file.name));
  const text = await file.text();
  const polygons = (text.trimStart().startsWith("<") ? fromKml(text, file.name) : fromGeoJson(text, file.name)).map((rings) => rings.map(unwrapped));
  if (!polygons.length) throw new Error(t.errors.noPolygon(file.name));
  const found = polygons.flat(2).length;
  for (const most of CORNERS) {
    const kept = simplified(polygons, most);
    if (kept.length && !kept.some((rings) => rings.some(crossesItself))) return { area: areaOf(kept), found, kept: kept.flat(2).length };
  }
  throw new Error(t.errors.crosses(file.name));
}

const areaOf = (polygons: Position[][][]): Area =>
  polygons.length === 1 ? { type: "Polygon", coordinates: polygons[0]! } : { type: "MultiPolygon", coordinates: polygons };

function fromGeoJson(text: string, name: string): Position[][][] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(t.errors.areaFormat(name));
  }
  const polygons = polygonsOf(value);
  for (const [lon, lat] of polygons.flat(2)) {
    if (!Number.isFinite(lon) || !Number.isFinite(lat) || Math.abs(lon!) > 540 || Math.abs(lat!) > 90) throw new Error(t.errors.notDegrees(name));
  }
  return polygons;
}

function polygonsOf(value: unknown): Position[][][] {
  const one = value as { type?: string; features?: unknown[]; geometry?: unknown; geometries?: unknown[] } & Partial<Geometry>;
  switch (one?.type as string) {
    case "FeatureCollection": return (one.features ?? []).flatMap(polygonsOf);
    case "Feature": return polygonsOf(one.geometry);
    case "GeometryCollection": return (one.geometries ?? []).flatMap(polygonsOf);
    case "Polygon": return [(one as { coordinates: Position[][] }).coordinates];
    case "MultiPolygon": return (one as { coordinates: Position[][][] }).coordinates;
    default: return [];
  }
}

/** The contents of all elements of a name. A DOMParser would do the same, but its reports of errors violate the page's content policy. */
const contents = (text: string, name: string): string[] =>
  [...text.matchAll(new RegExp(`<(?:\\w+:)?${name}\\b[^>]*>([\\s\\S]*?)</(?:\\w+:)?${name}\\s*>`, "g"))].map(([, inner]) => inner!);

function fromKml(text: string, name: string): Position[][][] {
  const kml = text.replace(/<!--[\s\S]*?-->/g, "");
  const found = contents(kml, "Polygon");
  if (found.length !== (kml.match(/<(?:\w+:)?Polygon\b/g)?.length ?? 0) || !/<\/(?:\w+:)?kml\s*>/.test(kml)) throw new Error(t.errors.areaFormat(name));
  const rings = (polygon: string, boundary: string): Position[][] =>
    contents(polygon, boundary).flatMap((one) => contents(one, "coordinates")).map((one) => closed(coordinates(one))).filter((ring) => ring.length > 3);
  return found.map((polygon) => [...rings(polygon, "outerBoundaryIs"), ...rings(polygon, "innerBoundaryIs")]).filter((polygon) => polygon.length > 0);
}

/** "lon,lat[,height]" separated by spaces. */
const coordinates = (text: string): Position[] =>
  text.trim().split(/\s+/).map((one) => one.split(",").slice(0, 2).map(Number)).filter((position) => position.length === 2 && position.every(Number.isFinite));

const closed = (ring: Position[]): Position[] => {
  const [first, last] = [ring[0], ring.at(-1)];
  return first && last && (first[0] !== last[0] || first[1] !== last[1]) ? [...ring, first] : ring;
};
