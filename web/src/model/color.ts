// The colour ramp of scores, low to high: readable on light, dark and imagery, and with colour vision deficiency.
export const RAMP: readonly [number, string][] = [
  [0, "#4b4fc4"],
  [0.25, "#8a4fc9"],
  [0.5, "#cf5497"],
  [0.75, "#f27d52"],
  [1, "#ffc24b"],
];

const channels = (hex: string): number[] => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

export function rampColor(share: number): string {
  const at = Math.min(1, Math.max(0, share));
  const above = Math.max(1, RAMP.findIndex(([stop]) => stop >= at));
  const [low, from] = RAMP[above - 1]!;
  const [high, to] = RAMP[above]!;
  const part = (at - low) / (high - low);
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, index) => Math.round(value + part * (b[index]! - value))).join(" ")})`;
}

const CLASSES = ["#2f9e5b", "#2f7fd6", "#e0a100", "#cf4f4f", "#8b5bd6", "#16a3a8", "#d9669e", "#8a6d3b", "#7f8c99", "#a4c639"];
export const classColor = (index: number): string => CLASSES[index] ?? `hsl(${(index * 137.5) % 360} 55% 50%)`;

// The colours that maps use for these classes.
const CONVENTIONAL: readonly [RegExp, string][] = [
  [/water|lake|river|sea|ocean|pond|coast|reservoir/i, "#2f7fd6"],
  [/forest|wood|tree/i, "#2f8a4e"],
  [/farm|field|crop|agri|arable/i, "#e3b23c"],
  [/house|town|city|urban|village|built|road|building|residential/i, "#d1495b"],
  [/bare|sand|desert|soil|rock|mountain|quarry/i, "#a87c4f"],
  [/grass|pasture|meadow/i, "#9bc53d"],
  [/snow|ice|glacier/i, "#b8d8e8"],
  [/cloud/i, "#aab4c0"],
  [/wetland|marsh|swamp/i, "#3fa7a0"],
  [/industr|airport|harbour|port/i, "#8b5bd6"],
];

/** One colour for each label, conventional where possible, none twice. */
export function classColors(labels: readonly string[]): string[] {
  const used = new Set<string>();
  const colors = labels.map((label) => {
    const color = CONVENTIONAL.find(([pattern, one]) => pattern.test(label) && !used.has(one))?.[1] ?? null;
    if (color) used.add(color);
    return color;
  });
  const free = CLASSES.filter((color) => !used.has(color));
  return colors.map((color, at) => color ?? free.shift() ?? classColor(at + CLASSES.length));
}
