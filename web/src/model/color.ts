// The one ramp of scores, cold to warm; readable on light, dark and imagery, and told apart by people who see fewer colours.
export const RAMP: readonly [number, string][] = [
  [0, "#4b4fc4"],
  [0.25, "#8a4fc9"],
  [0.5, "#cf5497"],
  [0.75, "#f27d52"],
  [1, "#ffc24b"],
];

const channels = (hex: string): number[] => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

export function warm(share: number): string {
  const at = Math.min(1, Math.max(0, share));
  const above = Math.max(1, RAMP.findIndex(([stop]) => stop >= at));
  const [low, from] = RAMP[above - 1]!;
  const [high, to] = RAMP[above]!;
  const part = (at - low) / (high - low);
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, index) => Math.round(value + part * (b[index]! - value))).join(" ")})`;
}

/** Colours of classes; the first ten are Okabe and Ito's with two more, later ones turn around the wheel. */
const CLASSES = ["#2f9e5b", "#2f7fd6", "#e0a100", "#cf4f4f", "#8b5bd6", "#16a3a8", "#d9669e", "#8a6d3b", "#7f8c99", "#a4c639"];
export const classColor = (index: number): string => CLASSES[index] ?? `hsl(${(index * 137.5) % 360} 55% 50%)`;
