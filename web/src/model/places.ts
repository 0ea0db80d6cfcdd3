// Places: the tiles of several dates and scales that show one spot are one result, its best tile first.
import type { Hit } from "./hit";

export interface Place {
  /** The best tile: it stands for the place. */
  lead: Hit;
  /** All tiles of the place among the results, best first. */
  tiles: Hit[];
}

/** Part of the smaller of two footprints that both must share to show one spot. */
const SHARED = 0.5;
/** Beyond so many cells of the grid, comparing with every place of that size is quicker. */
const MOST_CELLS = 64;

interface Level { cell: number; at: Map<number, Place[]>; all: Place[] }

const area = ([west, south, east, north]: Hit["box"]): number => (east - west) * (north - south);

function isSameSpot(a: Hit["box"], b: Hit["box"]): boolean {
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const high = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return wide > 0 && high > 0 && wide * high >= SHARED * Math.min(area(a), area(b));
}

/** Each hit as a place of its own. */
export const tilesAsPlaces = (hits: readonly Hit[]): Place[] => hits.map((hit) => ({ lead: hit, tiles: [hit] }));

/** Group hits, best first, by the spot that they show; a hit joins the best place that it shares half of its ground with. */
export function placesOf(hits: readonly Hit[]): Place[] {
  const places: Place[] = [];
  const order = new Map<Place, number>();
  // One grid for each size of tile: a place is looked for among its neighbours only.
  const levels = new Map<number, Level>();
  for (const hit of hits) {
    const near = [...levels.values()].flatMap((level) => nearby(level, hit.box)).filter((place) => isSameSpot(place.lead.box, hit.box));
    const best = near.reduce<Place | null>((first, place) => (first === null || order.get(place)! < order.get(first)! ? place : first), null);
    if (best) {
      best.tiles.push(hit);
      continue;
    }
    const place = { lead: hit, tiles: [hit] };
    order.set(place, places.length);
    places.push(place);
    add(levels, place);
  }
  return places;
}

function add(levels: Map<number, Level>, place: Place): void {
  const [west, south, east, north] = place.lead.box;
  const size = Math.ceil(Math.log2(Math.max(east - west, north - south, 1e-9)));
  let level = levels.get(size);
  if (!level) levels.set(size, (level = { cell: 2 ** size, at: new Map(), all: [] }));
  level.all.push(place);
  for (const key of cells(level, place.lead.box)) {
    const there = level.at.get(key);
    if (there) there.push(place);
    else level.at.set(key, [place]);
  }
}

function nearby(level: Level, [west, south, east, north]: Hit["box"]): Place[] {
  const count = (Math.floor(east / level.cell) - Math.floor(west / level.cell) + 1) * (Math.floor(north / level.cell) - Math.floor(south / level.cell) + 1);
  if (count > MOST_CELLS || count > level.all.length) return level.all;
  const found = new Set<Place>();
  for (const key of cells(level, [west, south, east, north])) for (const place of level.at.get(key) ?? []) found.add(place);
  return [...found];
}

const COLUMNS = 2 ** 26;
function cells({ cell }: Level, [west, south, east, north]: Hit["box"]): number[] {
  const keys: number[] = [];
  for (let x = Math.floor(west / cell); x <= Math.floor(east / cell); x++) {
    for (let y = Math.floor(south / cell); y <= Math.floor(north / cell); y++) keys.push(x * COLUMNS + y);
  }
  return keys;
}

export type Sort = "best" | "newest" | "oldest" | "west";
export const SORTS: readonly Sort[] = ["best", "newest", "oldest", "west"];

/** Places in another order; places without a date come last. */
export function sorted(places: readonly Place[], sort: Sort): readonly Place[] {
  if (sort === "best") return places;
  if (sort === "west") return places.toSorted((a, b) => a.lead.centre[0] - b.lead.centre[0]);
  const sign = sort === "newest" ? -1 : 1;
  return places.toSorted((a, b) => {
    const [one, other] = [a.lead.time, b.lead.time];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    return sign * one.localeCompare(other);
  });
}

/** The dates of a place in order, one for each tile. */
export const datesOf = (place: Place): Hit[] => place.tiles.toSorted((a, b) => (a.time ?? "9").localeCompare(b.time ?? "9"));
