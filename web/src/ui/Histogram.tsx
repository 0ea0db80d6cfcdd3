// Two small pictures of an answer that are handles too: how probable its hits are, and when they were taken.
import { computed } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { percent } from "../model/hit";
import { look, narrow } from "../model/actions";
import { warm } from "../model/color";
import { hits, least as leastNow, overview, question } from "../model/store";
import { firstDay, lastDay, monthOf, Steps } from "../model/months";
import { Range } from "./bits";

const BINS = 36;
const STEPS = 200;

function bars(counts: readonly number[], color: (at: number) => string) {
  const most = Math.max(1, ...counts);
  // The square root keeps single hits visible beside hundreds.
  return counts.map((count, at) => <rect key={at} x={at + 0.1} width={0.8} y={20 - 20 * Math.sqrt(count / most)} height={20 * Math.sqrt(count / most)} fill={color(at)} rx={0.2} />);
}

const spread = computed(() => {
  const known = hits.value.map((hit) => hit.probability).filter((value) => value !== null);
  if (!known.length) return null;
  const [low, high] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [1, 0] as [number, number]);
  const top = Math.min(1, Math.max(0.01, high));
  const counts = new Array<number>(BINS).fill(0);
  for (const value of known) counts[Math.min(BINS - 1, Math.floor((value / top) * BINS))]! += 1;
  return { low, high, top, counts };
});

/** Hits by probability; the slider hides what is less likely, at once. */
export function Probabilities() {
  if (!spread.value) return null;
  const { low, high, top, counts } = spread.value;
  const least = leastNow.value;
  const cut = (least / top) * BINS;
  const share = (at: number): number => (((at + 0.5) / BINS) * top - low) / (top - low || 1);
  return (
    <div class="histogram">
      <div class="field-head"><span>Probability</span><output class="dim">{least > 0 ? `at least ${percent(least)}` : `up to ${percent(high)}`}</output></div>
      <svg viewBox={`0 0 ${BINS} 20`} preserveAspectRatio="none" aria-hidden="true">{bars(counts, (at) => (at + 0.5 < cut ? "var(--bar-off)" : warm(share(at))))}</svg>
      <Range label="Least probability" value={Math.min(least, top)} min={0} max={top} step={top / STEPS} text={percent(least)} onInput={(value) => look({ least: value >= top ? top : value })} />
    </div>
  );
}

const months = computed(() => {
  const known = (overview.value?.months ?? []).flatMap(({ month, tiles }) => (month ? [{ at: monthOf(month), tiles }] : []));
  const steps = Steps.over(known.map(({ at }) => at));
  if (!steps || !hits.value.length) return null;
  const counts = new Array<number>(steps.count).fill(0);
  const held = new Array<number>(steps.count).fill(0);
  for (const { time } of hits.value) {
    const step = time ? steps.at(monthOf(time)) : -1;
    if (step >= 0 && step < steps.count) counts[step]! += 1;
  }
  for (const { at, tiles } of known) held[steps.at(at)]! += tiles;
  return { steps, counts, held };
});

/** Where time begins and ends. */
export function Axis({ steps }: { steps: Steps }) {
  const [from, to] = steps.ends;
  return <div class="axis"><span>{from}</span>{to !== from && <span>{to}</span>}</div>;
}

/** Hits over the archive's whole time; dragging across it keeps that time only. */
export function Times() {
  const frame = useRef<SVGSVGElement>(null);
  const [pulled, setPulled] = useState<[number, number] | null>(null);
  if (!months.value) return null;
  const { steps, counts, held } = months.value;
  const { first, wide, count: bins } = steps;
  const { from, to } = question.value.filters;
  const chosen: [number, number] | null = pulled ?? (from || to ? [from ? (monthOf(from) - first) / wide : 0, to ? (monthOf(to) - first + 1) / wide : bins] : null);
  const at = (event: PointerEvent): number => {
    const { left, width } = frame.current!.getBoundingClientRect();
    return Math.min(bins, Math.max(0, ((event.clientX - left) / width) * bins));
  };
  const done = (): void => {
    if (!pulled) return;
    const [a, b] = [Math.floor(Math.min(...pulled)), Math.max(Math.floor(Math.min(...pulled)) + 1, Math.ceil(Math.max(...pulled)))];
    setPulled(null);
    narrow({ from: firstDay(steps.begin(a)), to: lastDay(steps.begin(b) - 1) });
  };
  const [low, high] = chosen ? [Math.min(...chosen), Math.max(...chosen)] : [0, bins];
  return (
    <div class="histogram time">
      <div class="field-head"><span>Time</span><span class="dim">{chosen && !pulled ? <button type="button" class="link" onClick={() => narrow({ from: "", to: "" })}>all times</button> : "drag across it to narrow"}</span></div>
      <svg
        ref={frame} viewBox={`0 0 ${bins} 20`} preserveAspectRatio="none" role="img" aria-label={`Hits by ${steps.unit} from ${steps.name(0)} to ${steps.name(bins - 1)}; the filters take dates by keyboard`}
        onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); setPulled([at(event), at(event)]); }}
        onPointerMove={(event) => pulled && setPulled([pulled[0], at(event)])} onPointerUp={done} onPointerCancel={() => setPulled(null)}
      >
        {chosen && <rect x={low} width={Math.max(0.15, high - low)} y={0} height={20} class="chosen" />}
        {held.map((count, bin) => count > 0 && <rect key={`h${bin}`} x={bin + 0.1} width={0.8} y={18.6} height={1.4} class="held" />)}
        {bars(counts, (bin) => (bin + 1 <= low || bin >= high ? "var(--bar-off)" : "var(--bar)"))}
      </svg>
      <Axis steps={steps} />
    </div>
  );
}
