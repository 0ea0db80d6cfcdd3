// All dates of a place in order: how well each matches the search, as a chart, and each as a picture.
import * as calls from "../api/calls";
import { formatScore, t } from "../i18n";
import { updateView } from "../model/actions";
import { formatDate, type Hit, sensorName } from "../model/hit";
import { terms } from "../model/question";
import { answered } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, useAsync } from "./components";

/** Tiles whose pixels are more than this many times larger or smaller show another stretch of ground. */
const MOST_COARSER = 2.5;

export function Timeline({ hit }: { hit: Hit }) {
  const asked = sentence();
  const [dates, retry] = useAsync(async (signal) => datesOf(hit, await calls.timeline(...hit.centre, asked, { signal })), [hit.id, asked]);
  if (dates.state === "failed") return <section><h3>{t.detail.otherDates}</h3><ErrorMessage reason={dates.reason} retry={retry} /></section>;
  if (dates.state === "busy" || dates.value.length < 2) return null;
  return (
    <section aria-label={t.detail.otherDates}>
      <h3>{t.detail.otherDates} <span class="dim">{t.detail.dates(dates.value.length)}</span></h3>
      {asked && <Chart dates={dates.value} shown={hit} what={asked} />}
      <ul class="strip">
        {dates.value.map(({ tile, datetime, sensor, score }) => {
          const isShown = tile === hit.id;
          const label = isShown ? t.detail.thisDate(formatDate(datetime)) : t.detail.compareDate(formatDate(datetime));
          return (
            <li key={tile} class={isShown ? "current" : ""}>
              <button type="button" aria-label={label} title={`${label}, ${sensorName(sensor)}`} disabled={isShown} onClick={() => updateView({ compare: [tile, hit.id] })}>
                <Thumbnail id={tile} size={128} /><span>{formatDate(datetime)}</span>{score !== undefined && <span class="num">{formatScore(score)}</span>}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** What each date is compared with: the sentence or the classifier of the search. */
function sentence(): string | null {
  const { text } = answered.value;
  return text.startsWith("classifier:") ? text : (terms(text).positive[0] ?? null);
}

/** One tile of each scene, about as large as the one that is shown. */
function datesOf(hit: Hit, all: readonly calls.TimelineDate[]): calls.TimelineDate[] {
  const own = all.find(({ tile }) => tile === hit.id);
  const ground = (date: calls.TimelineDate): number => date.gsd_m * date.scale;
  const fits = (date: calls.TimelineDate): boolean => !own || Math.max(ground(date) / ground(own), ground(own) / ground(date)) <= MOST_COARSER;
  const scenes = new Map<string, calls.TimelineDate>();
  for (const date of all) {
    const scene = `${date.collection}/${date.scene}`;
    if (fits(date) && (!scenes.has(scene) || date.tile === hit.id)) scenes.set(scene, date);
  }
  return [...scenes.values()].sort((a, b) => (a.datetime ?? "9").localeCompare(b.datetime ?? "9"));
}

const [WIDE, HIGH, PAD] = [100, 30, 3];

/** The score over time. Only dates of the sensor that is shown are joined: others score on another level. */
function Chart({ dates, shown, what }: { dates: readonly calls.TimelineDate[]; shown: Hit; what: string }) {
  const dated = dates.flatMap(({ datetime, score, ...date }) => (datetime && score !== undefined ? [{ ...date, at: Date.parse(datetime), score }] : []));
  if (dated.length < 2) return null;
  const [first, last] = [dated[0]!.at, dated.at(-1)!.at];
  const scores = dated.map(({ score }) => score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const x = (at: number): number => PAD + ((at - first) / (last - first || 1)) * (WIDE - 2 * PAD);
  const y = (score: number): number => HIGH - PAD - ((score - low) / (high - low || 1)) * (HIGH - 2 * PAD);
  const line = dated.filter(({ sensor }) => sensor === shown.sensor).map(({ at, score }) => `${x(at).toFixed(1)},${y(score).toFixed(1)}`);
  const steps = dated.map(({ at, score }) => `${formatDate(new Date(at).toISOString())}: ${formatScore(score)}`).join(", ");
  return (
    <figure class="curve">
      <figcaption class="field-head"><span>{t.detail.scoreOverTime(what)}</span><span class="dim num">{formatScore(low)} – {formatScore(high)}</span></figcaption>
      <svg viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label={steps}>
        <polyline points={line.join(" ")} />
        {dated.map(({ tile, at, score }) => <line key={tile} class={`mark ${tile === shown.id ? "shown" : ""}`} x1={x(at)} x2={x(at)} y1={y(score)} y2={y(score)} />)}
      </svg>
    </figure>
  );
}
