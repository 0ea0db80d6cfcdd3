// Change between two periods: what the place was, what it is now, and the places that changed most, each with both pictures.
import { useState } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { formatFixed, formatNumber, t } from "../i18n";
import { updateView } from "../model/actions";
import { changeLayer, changeTiles } from "../model/change";
import { boxOf, formatDate } from "../model/hit";
import { filterMembers } from "../model/question";
import { overview, question } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, Field, Loading } from "./components";
import { saveFile } from "./Export";
import * as icons from "./icons";
import { mapController } from "./mapController";

type State = { state: "idle" } | { state: "busy" } | { state: "done"; value: calls.Changes; tiles: string; like: readonly [number, number] | null; all: boolean } | { state: "failed"; reason: string };

/** What was asked last stays while other views are open. */
let last: { form: Form; result: State } | null = null;
interface Form { until: string; from: string; was: string; now: string }

/** The year in the middle of what the archive covers, as a first guess at where to cut. */
function middle(): Form {
  const years = (overview.value?.months ?? []).flatMap(({ month }) => (month ? [Number(month.slice(0, 4))] : []));
  const cut = years.length ? Math.round((Math.min(...years) + Math.max(...years)) / 2) : 2020;
  return { until: `${cut - 1}-12-31`, from: `${cut}-01-01`, was: "", now: "" };
}

export function ChangeView() {
  const [form, setForm] = useState<Form>(last?.form ?? middle());
  const [result, setResult] = useState<State>(last?.result ?? { state: "idle" });
  const show = (next: State): void => {
    last = { form, result: next };
    setResult(next);
  };
  const put = (part: Partial<Form>): void => setForm({ ...form, ...part });
  /** Compare the periods for the sentences, or for changes like one. A least z of 0 gives the largest differences. */
  const find = async (leastZ?: number, like?: readonly [number, number]): Promise<void> => {
    show({ state: "busy" });
    changeLayer.value = null;
    const { area, collections, sensors, cloud, classifiers } = question.value.filters;
    const filters = filterMembers({ area, collections, sensors, cloud, classifiers, from: "", to: "" });
    const sentences = { ...(form.was.trim() ? { was: form.was.trim() } : {}), ...(form.now.trim() ? { now: form.now.trim() } : {}) };
    const body = { ...filters, before: `../${form.until}`, after: `${form.from}/..`, ...(like ? { like } : sentences) };
    try {
      const value = await calls.changes({ ...body, ...(leastZ === undefined ? {} : { min_z: leastZ }), limit: 60 });
      show({ state: "done", value, tiles: changeTiles(body), like: like ?? null, all: leastZ === 0 });
    } catch (error) {
      show({ state: "failed", reason: errorMessage(error) });
    }
  };
  const canFind = form.until !== "" && form.from !== "" && (form.was.trim() !== "" || form.now.trim() !== "");
  return (
    <div class="change scroller">
      <h2>{t.change.title}</h2>
      <p class="dim">{t.change.intro}</p>
      <form class="panel-form" onSubmit={(event) => { event.preventDefault(); if (canFind) void find(); }}>
        <div class="two">
          <Field label={t.change.before}><input type="date" aria-label={t.change.before} value={form.until} max={form.from || undefined} onChange={(event) => put({ until: event.currentTarget.value })} /></Field>
          <Field label={t.change.after}><input type="date" aria-label={t.change.after} value={form.from} min={form.until || undefined} onChange={(event) => put({ from: event.currentTarget.value })} /></Field>
          <Field label={t.change.was}><input aria-label={t.change.was} value={form.was} maxLength={1000} placeholder={t.change.wasExample} onInput={(event) => put({ was: event.currentTarget.value })} /></Field>
          <Field label={t.change.now}><input aria-label={t.change.now} value={form.now} maxLength={1000} placeholder={t.change.nowExample} onInput={(event) => put({ now: event.currentTarget.value })} /></Field>
        </div>
        <div class="row end"><button type="submit" class="button primary" disabled={!canFind || result.state === "busy"}>{t.change.find}</button></div>
      </form>
      {result.state === "busy" && <Loading what={t.change.finding} />}
      {result.state === "failed" && <ErrorMessage reason={result.reason} retry={() => void find()} />}
      {result.state === "done" && <Found changes={result.value} tiles={result.tiles} isAlike={result.like !== null} isAll={result.all} showAll={() => void find(0, result.like ?? undefined)} more={(like) => void find(undefined, like)} />}
    </div>
  );
}

interface FoundProps { changes: calls.Changes; tiles: string; isAlike: boolean; isAll: boolean; showAll: () => void; more: (like: readonly [number, number]) => void }

function Found({ changes, tiles, isAlike, isAll, showAll, more }: FoundProps) {
  const isShown = changeLayer.value === tiles;
  const toggle = (): void => {
    changeLayer.value = isShown ? null : tiles;
    if (!isShown && changes.features.length) mapController.fitFeatures(changes);
  };
  const download = (): void => saveFile(new Blob([JSON.stringify(changes)], { type: "application/geo+json" }), "changes.geojson");
  return (
    <section aria-label={t.change.results}>
      {isAlike && <p><b>{t.change.alike}</b></p>}
      <div class="row wrap"><p class="grow" role="status">{isAll ? t.change.summaryAll(formatNumber(changes.compared)) : t.change.summary(changes.changed, formatNumber(changes.compared))}</p><button type="button" class="button" aria-pressed={isShown} onClick={toggle}><icons.Layers />{isShown ? t.change.hideLayer : t.change.showLayer}</button>{changes.features.length > 0 && <button type="button" class="button" onClick={download}><icons.Download />GeoJSON</button>}</div>
      {!changes.features.length && <button type="button" class="button" onClick={showAll}>{t.change.largest}</button>}
      <ul class="changes">
        {changes.features.map(({ geometry, properties: one }) => (
          <li key={one.tile_after}>
            <button type="button" aria-label={t.change.compare(one.tile_before, one.tile_after)} onClick={() => { mapController.fitBox(boxOf(geometry)); updateView({ compare: [one.tile_before, one.tile_after] }); }}>
              <Thumbnail id={one.tile_before} size={256} /><Thumbnail id={one.tile_after} size={256} />
            </button>
            <p class="dim small"><span>{one.first_seen ? t.change.firstSeen(formatDate(one.first_seen)) : ""}</span> <span class="num">z {formatFixed(one.z, 1)}</span> <button type="button" class="link" aria-label={t.change.moreOf(one.tile_before, one.tile_after)} onClick={() => more([one.tile_before, one.tile_after])}>{t.change.more}</button></p>
          </li>
        ))}
      </ul>
    </section>
  );
}
