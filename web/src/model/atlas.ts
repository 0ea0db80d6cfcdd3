// The atlas on the page: its points, what they are coloured by, and which of them are chosen.
import { batch, computed, signal } from "@preact/signals";
import * as api from "../api/atlas";
import { errorMessage, isAbort, RequestError } from "../api/http";
import { formatDay, formatScore, t } from "../i18n";
import { classColor, classColors, rampColor } from "./color";
import { sensorName } from "./hit";
import { filterMembers, NO_FILTERS, type Question } from "./question";
import * as store from "./store";

export type ColorBy = "cluster" | "sensor" | "date" | "sentence" | "classes";
export const COLORS: readonly ColorBy[] = ["cluster", "sensor", "date", "sentence", "classes"];
export type Loaded = { state: "idle" } | { state: "busy"; share: number } | { state: "none"; reason: string } | { state: "failed"; reason: string } | { state: "done"; info: api.AtlasInfo; points: api.Points };

export const loaded = signal<Loaded>({ state: "idle" });
export const colorBy = signal<ColorBy>("cluster");
export const sentence = signal("");
export const classes = signal("");
export const chosen = signal<readonly number[]>([]);
export const coloring = signal<{ state: "idle" } | { state: "busy" } | { state: "failed"; reason: string }>({ state: "idle" });
/** A value for each point, and what it was asked for. */
const values = signal<{ by: ColorBy; of: string; names: string[]; numbers: Float32Array } | null>(null);
/** Which points the filters of the search leave; null for all. */
const passing = signal<Float32Array | null>(null);

const NOT_FOUND = 404;
const GREY = "#8a94a3";
const ATTEMPTS = 3;

export async function loadAtlas(signal?: AbortSignal): Promise<void> {
  const options = signal ? { signal } : {};
  loaded.value = { state: "busy", share: 0 };
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const info = await api.atlasInfo(options);
      const points = await api.atlasPoints(info, (share) => { loaded.value = { state: "busy", share }; }, options);
      if (!points) continue;
      batch(() => {
        loaded.value = { state: "done", info, points };
        chosen.value = [];
        values.value = null;
      });
      return;
    }
    throw new RequestError(t.atlas.changing, 0);
  } catch (error) {
    if (isAbort(error)) loaded.value = { state: "idle" };
    else loaded.value = { state: error instanceof RequestError && error.status === NOT_FOUND ? "none" : "failed", reason: errorMessage(error) };
  }
}

/** Colour by what was asked: a sentence or classes come from the server. */
export async function paint(by: ColorBy): Promise<void> {
  colorBy.value = by;
  const names = classes.value.split(",").map((one) => one.trim()).filter(Boolean);
  const text = sentence.value.trim();
  if ((by !== "sentence" || !text) && (by !== "classes" || names.length < 2)) return;
  const key = by === "sentence" ? text : names.join();
  if (values.value?.by === by && values.value.of === key) return;
  coloring.value = { state: "busy" };
  try {
    const numbers = await api.atlasValues(by === "sentence" ? { q: text } : { labels: names });
    if (loaded.value.state === "done" && numbers.length !== loaded.value.info.points) {
      await loadAtlas();
      return paint(by);
    }
    values.value = { by, of: key, names, numbers };
    coloring.value = { state: "idle" };
  } catch (error) {
    coloring.value = { state: "failed", reason: errorMessage(error) };
  }
}

/** Fade what the filters of the search leave out. */
export async function applyFilters({ filters }: Question): Promise<void> {
  if (JSON.stringify(filters) === JSON.stringify(NO_FILTERS)) {
    passing.value = null;
    return;
  }
  try {
    passing.value = await api.atlasValues(filterMembers(filters));
  } catch (error) {
    coloring.value = { state: "failed", reason: errorMessage(error) };
  }
}

export interface LegendEntry { name: string; color: string; count: number }
interface Coloured { colors: string[]; of: (index: number) => number; entries: LegendEntry[]; range: [string, string] | null }

const counted = (names: string[], colors: string[], of: (index: number) => number, points: number): LegendEntry[] => {
  const counts = new Array<number>(names.length).fill(0);
  for (let index = 0; index < points; index++) if (of(index) >= 0) counts[of(index)]!++;
  return names.map((name, at) => ({ name, color: colors[at]!, count: counts[at]! }));
};

const STEPS = 64;
const RAMP = Array.from({ length: STEPS }, (_, at) => rampColor(at / (STEPS - 1)));

/** Colours by rank between two values, so that a few extremes do not use up the ramp. */
function ramp(numbers: ArrayLike<number>, known: (value: number) => boolean, text: (value: number) => string): Coloured {
  const sorted = Float64Array.from(numbers).filter(known).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const [low, high] = [at(0.02), at(0.995)];
  const of = (index: number): number => (known(numbers[index]!) ? Math.round(Math.min(1, Math.max(0, (numbers[index]! - low) / (high - low || 1))) * (STEPS - 1)) : -1);
  return { colors: RAMP, of, entries: [], range: sorted.length ? [text(low), text(high)] : null };
}

const DAY_MS = 86_400_000;
const dayText = (day: number): string => formatDay(new Date(day * DAY_MS).toISOString());

export const coloured = computed<Coloured | null>(() => {
  const { value } = loaded;
  if (value.state !== "done") return null;
  const { info, points } = value;
  const byName = (names: string[], colors: string[], of: (index: number) => number): Coloured => ({ colors, of, range: null, entries: counted(names, colors, of, info.points) });
  if (colorBy.value === "sensor") return byName(info.sensors.map(sensorName), info.sensors.map((_, at) => classColor(at)), (index) => points.sensor[index]!);
  if (colorBy.value === "date") return ramp(points.days, (day) => day !== api.NO_DAY, dayText);
  const asked = values.value?.by === colorBy.value ? values.value : null;
  if (asked?.by === "sentence") return ramp(asked.numbers, Number.isFinite, formatScore);
  if (asked) {
    const { names, numbers } = asked;
    return byName(names, classColors(names), (index) => (Number.isFinite(numbers[index]!) ? numbers[index]! : -1));
  }
  const names = info.clusters.map(({ name }) => clusterName(name));
  return byName(names, names.map((_, at) => classColor(at)), (index) => points.cluster[index]!);
});

/** The name of a cluster in the language of the page, as far as its words are known. */
export const clusterName = (name: string): string => name.split(", ").map((word) => t.atlas.words[word] ?? word).join(", ");

const channels = (color: string): [number, number, number] => {
  const found = color.startsWith("#") ? [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)) : (color.match(/[\d.]+/g) ?? []).map(Number);
  return color.startsWith("hsl") ? fromHsl(found[0]!, found[1]! / 100, found[2]! / 100) : [found[0]!, found[1]!, found[2]!];
};

function fromHsl(hue: number, saturation: number, light: number): [number, number, number] {
  const amount = saturation * Math.min(light, 1 - light);
  const part = (at: number): number => {
    const k = (at + hue / 30) % 12;
    return Math.round(255 * (light - amount * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

/** Four bytes for each point; what is not chosen fades while something is. */
export const rgba = computed<Uint8Array | null>(() => {
  const { value } = loaded;
  if (value.state !== "done" || !coloured.value) return null;
  const { colors, of } = coloured.value;
  const parsed = colors.map(channels);
  const grey = channels(GREY);
  const made = new Uint8Array(4 * value.info.points);
  const strong = chosen.value.length ? new Set(chosen.value) : null;
  const left = passing.value?.length === value.info.points ? passing.value : null;
  for (let index = 0; index < value.info.points; index++) {
    const at = of(index);
    const faded = (strong && !strong.has(index)) || (left && !Number.isFinite(left[index]!));
    made.set(at < 0 ? grey : parsed[at]!, 4 * index);
    made[4 * index + 3] = faded ? 36 : at < 0 ? 110 : 225;
  }
  return made;
});

export const chosenIds = computed<number[]>(() => (loaded.value.state === "done" ? chosen.value.map((index) => (loaded.value as { points: api.Points }).points.ids[index]!) : []));

export function chooseCluster(cluster: number): void {
  const { value } = loaded;
  if (value.state !== "done") return;
  const found: number[] = [];
  value.points.cluster.forEach((one, index) => { if (one === cluster) found.push(index); });
  chosen.value = found;
}

/** Choose tiles by their ids, e.g. those of a list. */
export function chooseTiles(ids: readonly number[]): void {
  const { value } = loaded;
  if (value.state !== "done") return;
  const wanted = new Set(ids);
  const found: number[] = [];
  value.points.ids.forEach((one, index) => { if (wanted.has(one)) found.push(index); });
  chosen.value = found;
}

/** Where the archive has changed since, the atlas is out of date. */
export const isStale = computed(() => loaded.value.state === "done" && store.overview.value !== null && store.overview.value.generation !== loaded.value.info.generation);
