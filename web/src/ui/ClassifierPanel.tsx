// The classifier of a collection: training, its figures in plain words, its layer on the map, and its use in searches.
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { formatNumber, formatPercent, formatScore, formatShare, formatTime, t } from "../i18n";
import { notifyError, searchText, updateFilters, updateView } from "../model/actions";
import * as labelling from "../model/labelling";
import { isSearchable } from "../model/question";
import { question, view } from "../model/store";
import { ErrorMessage, Loading, Slider, useAsync } from "./components";
import { saveFile } from "./Export";
import * as icons from "./icons";
import { mapController } from "./mapController";

/** Labels with and without a class from which on training is worth a try. */
const ENOUGH = 3;

export function ClassifierPanel({ details }: { details: calls.LabelDetails }) {
  const [newest] = labelling.versions.value;
  const positive = Object.keys(details.classes).reduce((sum, cls) => sum + (details.counts[cls] ?? 0), 0);
  const negative = details.counts[labelling.NONE] ?? 0;
  // The first figures appear below the queue, out of sight.
  const section = useRef<HTMLElement>(null);
  const awaited = useRef(false);
  useEffect(() => {
    if (newest && awaited.current) section.current?.scrollIntoView({ block: "start" });
    awaited.current = false;
  }, [newest?.version]);
  const enough = positive >= ENOUGH && negative >= ENOUGH;
  return (
    <section class="classifier" aria-label={t.classifier.title} ref={section}>
      <h3>{t.classifier.title}</h3>
      <div class="row wrap">
        <button type="button" class={`button ${enough ? "primary" : ""}`} disabled={labelling.training.value || positive === 0} onClick={() => { awaited.current = !newest; void labelling.train(); }}>{labelling.training.value ? t.classifier.training : newest ? t.classifier.trainAgain : t.classifier.train}</button>
        {!enough && <span class="hint">{t.classifier.needs(ENOUGH)}</span>}
        {newest && <span class="dim small">{t.classifier.version(newest.version, newest.labels, formatTime(newest.created))}</span>}
      </div>
      {newest && <Trained key={newest.version} classifier={newest} />}
    </section>
  );
}

function Trained({ classifier }: { classifier: calls.Classifier }) {
  const [cls, setCls] = useState(classifier.classes[0] ?? "");
  const report = classifier.report.classes[cls];
  return (
    <>
      {classifier.classes.length > 1 && <select aria-label={t.classes.class} value={cls} onChange={(event) => setCls(event.currentTarget.value)}>{classifier.classes.map((one) => <option key={one}>{one}</option>)}</select>}
      {classifier.report.warnings.length > 0 && <ul class="nothing notes">{classifier.report.warnings.map((text) => <li key={text}>{text}</li>)}</ul>}
      {report && <Figures report={report} calibrated={classifier.calibrated[cls] ?? false} />}
      <Mistakes classifier={classifier} />
      <LayerControls key={cls} classifier={classifier} cls={cls} />
    </>
  );
}

/** What the figures mean, with their intervals. */
function Figures({ report, calibrated }: { report: calls.ClassReport; calibrated: boolean }) {
  const figure = (name: string, text: string, of: calls.Figure | undefined) =>
    of && <div key={name}><dt>{text}</dt><dd>{formatPercent(of.value)}{of.interval && <span class="dim"> {t.classifier.interval(formatPercent(of.interval[0]), formatPercent(of.interval[1]))}</span>}</dd></div>;
  return (
    <>
      <dl class="facts">
        {figure("precision", t.classifier.precision, report.precision)}
        {figure("recall", t.classifier.recall, report.recall)}
        {report.average_precision && <div><dt>{t.classifier.averagePrecision}</dt><dd>{formatScore(report.average_precision.value)}{report.average_precision.interval && <span class="dim"> {t.classifier.interval(formatScore(report.average_precision.interval[0]), formatScore(report.average_precision.interval[1]))}</span>}</dd></div>}
        <div><dt>{t.classifier.share}</dt><dd>{formatShare(report.share_of_archive)}</dd></div>
        <div><dt>{t.classifier.places}</dt><dd>{t.classifier.placesOf(report.places.with, report.places.without)}</dd></div>
        <div><dt>{t.classifier.probabilities}</dt><dd>{calibrated ? t.classifier.calibrated(report.calibration ? formatShare(report.calibration.expected_calibration_error) : "") : t.classifier.uncalibrated}</dd></div>
      </dl>
      {report.learning_curve && report.learning_curve.length > 1 && <LearningCurve curve={report.learning_curve} />}
    </>
  );
}

function LearningCurve({ curve }: { curve: readonly { labels: number; average_precision: number }[] }) {
  const most = Math.max(...curve.map(({ labels }) => labels));
  const points = curve.map(({ labels, average_precision }) => `${((labels / most) * 100).toFixed(1)},${(40 - average_precision * 40).toFixed(1)}`);
  const [first, last] = [curve[0]!, curve.at(-1)!];
  return (
    <figure class="curve">
      <figcaption class="field-head"><span>{t.classifier.curve}</span><span class="dim">{t.classifier.curveSteps(first.labels, formatScore(first.average_precision), last.labels, formatScore(last.average_precision))}</span></figcaption>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true"><polyline points={points.join(" ")} /></svg>
    </figure>
  );
}

function Mistakes({ classifier }: { classifier: calls.Classifier }) {
  const { mistakes } = classifier.report;
  if (!mistakes.length) return null;
  return (
    <details>
      <summary>{t.classifier.mistakes(mistakes.length)}</summary>
      <ul class="strip wrapped">
        {mistakes.slice(0, 12).map(({ tile, label, probability }) => <li key={`${tile}${label}`}><button type="button" title={t.classifier.mistake(label, formatPercent(probability))} aria-label={t.place.open(tile)} onClick={() => updateView({ tile, tab: "search" })}><img class="picture" src={calls.thumbnail(tile, 128)} alt="" /><span>{label}</span></button></li>)}
      </ul>
    </details>
  );
}

const FIRST_THRESHOLD = 0.5;

function LayerControls({ classifier, cls }: { classifier: calls.Classifier; cls: string }) {
  const [threshold, setThreshold] = useState(FIRST_THRESHOLD);
  const [settled, setSettled] = useState(FIRST_THRESHOLD);
  const [summary, retry] = useAsync((signal) => calls.layerSummary(classifier.name, cls, settled, { signal }), [settled]);
  const { layer } = labelling;
  const isShown = layer.value?.name === classifier.name && layer.value.cls === cls && layer.value.version === classifier.version;
  const term = labelling.termOf(classifier, cls);
  const toggle = (): void => {
    if (isShown) layer.value = null;
    else labelling.showLayer(classifier, cls).then(mapController.showAround, notifyError);
  };
  const filter = (): void => {
    const others = question.value.filters.classifiers.filter((one) => !one.startsWith(classifier.name));
    updateFilters({ classifiers: [...others, `${term} > ${settled}`] });
  };
  const download = (): void => void calls.layerPolygons(classifier.name, cls, settled).then((blob) => saveFile(blob, `${classifier.name}-${cls}.geojson`), notifyError);
  return (
    <>
      <div class="field-head"><span>{t.classifier.threshold}</span><span class="num">{formatPercent(threshold)}</span></div>
      <Slider label={t.classifier.threshold} value={threshold} min={0.05} max={0.95} step={0.05} text={formatPercent(threshold)} onInput={setThreshold} onChange={setSettled} />
      {summary.state === "busy" && <Loading what={t.classifier.applying} />}
      {summary.state === "failed" && <ErrorMessage reason={summary.reason} retry={retry} />}
      {summary.state === "done" && <p>{t.classifier.above(formatNumber(summary.value.above), summary.value.tiles)}{summary.value.above === 0 && <> {t.classifier.noneAbove}</>}</p>}
      <div class="row wrap">
        <button type="button" class={`button ${isShown ? "" : "primary"}`} aria-pressed={isShown} onClick={toggle}><icons.Layers />{isShown ? t.classifier.hideLayer : t.classifier.showLayer}</button>
        <button type="button" class="button" onClick={() => searchText(`classifier:${term}`)}><icons.Search />{t.classifier.rank}</button>
        {isSearchable(question.value) && view.value.tab === "labels" && <button type="button" class="button" onClick={filter}><icons.Funnel />{t.classifier.filter}</button>}
        <button type="button" class="button" onClick={download}><icons.Download />{t.classifier.polygons}</button>
      </div>
    </>
  );
}
