// Plane and spherical geometry of outlines: crossings, simplification, length and area.
import type { Position } from "geojson";

/** Longitudes without a jump at ±180°: 179 is followed by 181, not by −179. */
export function unwrapped(ring: Position[]): Position[] {
  let shift = 0;
  return ring.map(([lon, lat], at) => {
    const before = ring[at - 1];
    if (before && Math.abs(lon! - before[0]!) > 180) shift += lon! < before[0]! ? 360 : -360;
    return [lon! + shift, lat!];
  });
}

const turn = (a: Position, b: Position, c: Position): number => (b[0]! - a[0]!) * (c[1]! - a[1]!) - (b[1]! - a[1]!) * (c[0]! - a[0]!);

function cross(a: Position, b: Position, c: Position, d: Position): boolean {
  return turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0;
}

/** Whether two edges of a closed ring cross. Edges are sorted by longitude, so that only those that overlap are compared. */
export function crossesItself(ring: Position[]): boolean {
  const edges = ring.slice(1).map((end, at) => {
    const start = ring[at]!;
    return { start, end, at, west: Math.min(start[0]!, end[0]!), east: Math.max(start[0]!, end[0]!), south: Math.min(start[1]!, end[1]!), north: Math.max(start[1]!, end[1]!) };
  }).sort((a, b) => a.west - b.west);
  for (const [index, edge] of edges.entries()) {
    for (let next = index + 1; next < edges.length && edges[next]!.west <= edge.east; next++) {
      const other = edges[next]!;
      if (other.south <= edge.north && other.north >= edge.south && cross(edge.start, edge.end, other.start, other.end)) return true;
    }
  }
  return false;
}

/** Polygons with at most about so many corners (Douglas and Peucker 1973). Rings that vanish are left out, but for the largest. */
export function simplified(polygons: Position[][][], most: number): Position[][][] {
  if (polygons.flat(2).length <= most) return polygons;
  const all = polygons.flat(2);
  const extent = Math.max(spread(all, 0), spread(all, 1));
  let result = polygons;
  for (let tolerance = extent / 1e6; result.flat(2).length > most; tolerance *= 1.6) {
    result = polygons.map((rings) => rings.map((ring) => thinned(ring, tolerance)).filter((ring) => ring.length > 3)).filter((rings) => rings.length > 0);
    if (tolerance > extent) break;
  }
  return result;
}

function spread(positions: readonly Position[], axis: 0 | 1): number {
  let [low, high] = [Infinity, -Infinity];
  for (const position of positions) {
    low = Math.min(low, position[axis]!);
    high = Math.max(high, position[axis]!);
  }
  return high - low;
}

function thinned(ring: Position[], tolerance: number): Position[] {
  const last = ring.length - 1;
  const keep = new Uint8Array(ring.length);
  // A closed ring begins and ends at one corner: the corner in the middle is kept too.
  const middle = last >> 1;
  keep[0] = keep[last] = keep[middle] = 1;
  const pending: [number, number][] = [[0, middle], [middle, last]];
  while (pending.length) {
    const [first, end] = pending.pop()!;
    let [worst, at] = [tolerance, -1];
    for (let index = first + 1; index < end; index++) {
      const distance = distanceTo(ring[index]!, ring[first]!, ring[end]!);
      if (distance > worst) [worst, at] = [distance, index];
    }
    if (at < 0) continue;
    keep[at] = 1;
    pending.push([first, at], [at, end]);
  }
  return ring.filter((_, index) => keep[index]);
}

function distanceTo(point: Position, a: Position, b: Position): number {
  const [dx, dy] = [b[0]! - a[0]!, b[1]! - a[1]!];
  const length = dx * dx + dy * dy;
  const share = length ? Math.min(1, Math.max(0, ((point[0]! - a[0]!) * dx + (point[1]! - a[1]!) * dy) / length)) : 0;
  return Math.hypot(point[0]! - a[0]! - share * dx, point[1]! - a[1]! - share * dy);
}

const EARTH_KM = 6371.0088; // mean radius, IUGG
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** Length of a line on the sphere, km. */
export function lengthOf(line: readonly Position[]): number {
  return line.slice(1).reduce((sum, [lon, lat], at) => {
    const [x, y] = line[at]!;
    const half = Math.sin(radians(lat! - y!) / 2) ** 2 + Math.cos(radians(y!)) * Math.cos(radians(lat!)) * Math.sin(radians(lon! - x!) / 2) ** 2;
    return sum + 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(half)));
  }, 0);
}

/** Area inside a line whose ends are joined, on the sphere, km² (Chamberlain and Duquette 2007). */
export function areaOf(line: readonly Position[]): number {
  const sum = line.reduce((total, [lon, lat], at) => {
    const [x, y] = line[(at + 1) % line.length]!;
    return total + radians(x! - lon!) * (2 + Math.sin(radians(lat!)) + Math.sin(radians(y!)));
  }, 0);
  return Math.abs((sum * EARTH_KM * EARTH_KM) / 2);
}
