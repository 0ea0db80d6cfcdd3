// Two histograms of the results that are filters too: probability and date.
import { computed } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { formatPercent, t } from "../i18n";
import { updateFilters, updateView } from "../model/actions";
import { rampColor } from "../model/color";
import { hits, minProbability, overview, question } from "../model/store";
import { firstDay, lastDay, monthOf, TimeBins } from "../model/timeBins";
import { Slider } from "./components";

const PROBABILITY_BINS = 36;
const SLIDER_STEPS = 200;
const HEIGHT = 20;

function bars(counts: readonly number[], color: (bin: number) => string) {
  const most = Math.max(1, ...counts);
  // The square root keeps single hits visible beside hundreds.
  const height = (count: number): number => HEIGHT * Math.sqrt(count / most);
  return counts.map((count, bin) => <rect key={bin} x={bin + 0.1} width={0.8} y={HEIGHT - height(count)} height={height(count)} fill={color(bin)} rx={0.2} />);
}

const probabilities = computed(() => {
  const values = hits.value.map((hit) => hit.probability).filter((value) => value !== null);
  if (!values.length) return null;
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [1, 0] as [number, number]);
  const top = Math.min(1, Math.max(0.01, high));
  const counts = new Array<number>(PROBABILITY_BINS).fill(0);
  for (const value of values) counts[Math.min(PROBABILITY_BINS - 1, Math.floor((value / top) * PROBABILITY_BINS))]! += 1;
  return { low, high, top, counts };
});

/** Results by probability; the slider hides less likely ones at once. */
export function ProbabilityHistogram() {
  if (!probabilities.value) return null;
  const { low, high, top, counts } = probabilities.value;
  const minimum = minProbability.value;
  const cut = (minimum / top) * PROBABILITY_BINS;
  const share = (bin: number): number => (((bin + 0.5) / PROBABILITY_BINS) * top - low) / (top - low || 1);
  return (
    <div class="histogram">
      <div class="field-head"><span>{t.results.probability}</span><output class="dim">{minimum > 0 ? t.results.atLeast(formatPercent(minimum)) : t.results.upTo(formatPercent(high))}</output></div>
      <svg viewBox={`0 0 ${PROBABILITY_BINS} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">{bars(counts, (bin) => (bin + 0.5 < cut ? "var(--bar-off)" : rampColor(share(bin))))}</svg>
      <Slider label={t.results.minProbability} value={Math.min(minimum, top)} min={0} max={top} step={top / SLIDER_STEPS} text={formatPercent(minimum)} onInput={(value) => updateView({ minProbability: value >= top ? top : value })} />
    </div>
  );
}

const dates = computed(() => {
  const archive = (overview.value?.months ?? []).flatMap(({ month, tiles }) => (month ? [{ month: monthOf(month), tiles }] : []));
  const bins = TimeBins.over(archive.map(({ month }) => month));
  if (!bins || !hits.value.length) return null;
  const counts = new Array<number>(bins.count).fill(0);
  const archiveCounts = new Array<number>(bins.count).fill(0);
  for (const { time } of hits.value) {
    const bin = time ? bins.at(monthOf(time)) : -1;
    if (bin >= 0 && bin < bins.count) counts[bin]! += 1;
  }
  for (const { month, tiles } of archive) archiveCounts[bins.at(month)]! += tiles;
  return { bins, counts, archiveCounts };
});

/** The first and the last label of the time axis. */
export function Axis({ bins }: { bins: TimeBins }) {
  const [from, to] = bins.ends;
  return <div class="axis"><span>{from}</span>{to !== from && <span>{to}</span>}</div>;
}

/** Results over the time that the archive covers; dragging across it filters by date. */
export function DateHistogram() {
  const frame = useRef<SVGSVGElement>(null);
  const [dragged, setDragged] = useState<[number, number] | null>(null);
  if (!dates.value) return null;
  const { bins, counts, archiveCounts } = dates.value;
  const { from, to } = question.value.filters;
  const filtered: [number, number] | null = from || to ? [from ? (monthOf(from) - bins.first) / bins.months : 0, to ? (monthOf(to) - bins.first + 1) / bins.months : bins.count] : null;
  const chosen = dragged ?? filtered;
  const binAt = (event: PointerEvent): number => {
    const { left, width } = frame.current!.getBoundingClientRect();
    return Math.min(bins.count, Math.max(0, ((event.clientX - left) / width) * bins.count));
  };
  const finish = (): void => {
    if (!dragged) return;
    const first = Math.floor(Math.min(...dragged));
    const end = Math.max(first + 1, Math.ceil(Math.max(...dragged)));
    setDragged(null);
    updateFilters({ from: firstDay(bins.begin(first)), to: lastDay(bins.begin(end) - 1) });
  };
  const [low, high] = chosen ? [Math.min(...chosen), Math.max(...chosen)] : [0, bins.count];
  return (
    <div class="histogram time">
      <div class="field-head"><span>{t.results.date}</span><span class="dim">{chosen && !dragged ? <button type="button" class="link" onClick={() => updateFilters({ from: "", to: "" })}>{t.results.allDates}</button> : t.results.dragDates}</span></div>
      <svg
        ref={frame} viewBox={`0 0 ${bins.count} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={t.results.dateHistogram(bins.unit, bins.name(0), bins.name(bins.count - 1))}
        onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); setDragged([binAt(event), binAt(event)]); }}
        onPointerMove={(event) => dragged && setDragged([dragged[0], binAt(event)])} onPointerUp={finish} onPointerCancel={() => setDragged(null)}
      >
        {chosen && <rect x={low} width={Math.max(0.15, high - low)} y={0} height={HEIGHT} class="chosen" />}
        {archiveCounts.map((count, bin) => count > 0 && <rect key={`h${bin}`} x={bin + 0.1} width={0.8} y={18.6} height={1.4} class="held" />)}
        {bars(counts, (bin) => (bin + 1 <= low || bin >= high ? "var(--bar-off)" : "var(--bar)"))}
      </svg>
      <TimeSlider bins={bins} low={Math.floor(low)} end={Math.ceil(high)} preview={setDragged} />
      <Axis bins={bins} />
    </div>
  );
}

/** The first and the last period as two thumbs on one track; the filter changes when a thumb is let go. */
function TimeSlider({ bins, low, end, preview }: { bins: TimeBins; low: number; end: number; preview: (range: [number, number] | null) => void }) {
  const apply = (first: number, last: number): void => {
    preview(null);
    const all = first === 0 && last === bins.count - 1;
    updateFilters(all ? { from: "", to: "" } : { from: firstDay(bins.begin(first)), to: lastDay(bins.begin(last + 1) - 1) });
  };
  const last = Math.max(low, end - 1);
  const thumb = (label: string, value: number, limits: (next: number) => [number, number]) => (
    <input type="range" aria-label={label} aria-valuetext={bins.name(value)} min={0} max={bins.count - 1} step={1} value={value}
      onInput={(event) => { const [from, to] = limits(Number(event.currentTarget.value)); preview([from, to + 1]); }}
      onChange={(event) => apply(...limits(Number(event.currentTarget.value)))} />
  );
  if (bins.count < 2) return null;
  return (
    <div class="range-pair">
      {thumb(t.results.firstPeriod, low, (next) => [Math.min(next, last), last])}
      {thumb(t.results.lastPeriod, last, (next) => [low, Math.max(next, low)])}
    </div>
  );
}
