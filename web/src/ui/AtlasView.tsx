// The tab Atlas: the map of all tiles by likeness, its colours, what is chosen on it, and what stands out.
import { useEffect, useRef, useState } from "preact/hooks";
import { formatNumber, formatPercent, t } from "../i18n";
import type { AtlasInfo } from "../api/atlas";
import { type ScreenPoint, Scatter } from "../map/scatter";
import * as atlas from "../model/atlas";
import { question } from "../model/store";
import { AtlasReview } from "./AtlasReview";
import { ChosenTiles } from "./ChosenTiles";
import { ErrorMessage, Field, IconButton, Loading } from "./components";
import * as icons from "./icons";

const PICK_PX = 9;
const WHEEL_RATE = 0.0016;

export function AtlasView() {
  const { value } = atlas.loaded;
  useEffect(() => {
    if (value.state === "done") return undefined;
    const controller = new AbortController();
    void atlas.loadAtlas(controller.signal);
    return () => controller.abort();
  }, []);
  useEffect(() => { if (value.state === "done") void atlas.applyFilters(question.value); }, [value.state, question.value.filters]);
  return (
    <div class="atlas scroller">
      <h2>{t.atlas.title}</h2>
      {value.state === "busy" && <Loading what={t.atlas.loading(formatPercent(value.share))} />}
      {value.state === "failed" && <ErrorMessage reason={value.reason} retry={() => void atlas.loadAtlas()} />}
      {value.state === "none" && <div class="notice"><p><b>{t.atlas.none}</b></p><p>{t.atlas.noneHint}</p><code>bandsight atlas build</code></div>}
      {value.state === "done" && (
        <>
          <p class="dim">{t.atlas.intro}</p>
          {atlas.isStale.value && <div class="row"><p class="hint grow">{t.atlas.stale}</p><button type="button" class="button" onClick={() => void atlas.loadAtlas()}>{t.atlas.reload}</button></div>}
          <Colors />
          <Chart info={value.info} xy={value.points.xy} />
          <p class="dim small">{t.atlas.shown(formatNumber(value.info.points), formatNumber(value.info.tiles))}{value.info.missing > 0 && ` · ${t.atlas.missing(value.info.missing)}`}</p>
          <Legend info={value.info} />
          <ChosenTiles />
          <AtlasReview />
        </>
      )}
    </div>
  );
}

function Colors() {
  const by = atlas.colorBy.value;
  const apply = (event: Event): void => { event.preventDefault(); void atlas.paint(by); };
  return (
    <div class="atlas-colors">
      <Field label={t.atlas.colorBy}>
        <div class="sensor-tabs" role="group" aria-label={t.atlas.colorBy}>
          {atlas.COLORS.map((name) => <button key={name} type="button" aria-pressed={by === name} onClick={() => void atlas.paint(name)}>{t.atlas.colors[name]}</button>)}
        </div>
      </Field>
      {by === "sentence" && <form class="row" onSubmit={apply}><input class="grow" aria-label={t.atlas.sentence} placeholder={t.atlas.sentenceExample} maxLength={1000} value={atlas.sentence.value} onInput={(event) => { atlas.sentence.value = event.currentTarget.value; }} /><button type="submit" class="button primary" disabled={!atlas.sentence.value.trim()}>{t.atlas.apply}</button></form>}
      {by === "classes" && <form class="row" onSubmit={apply}><input class="grow" aria-label={t.atlas.classes} placeholder={t.atlas.classesExample} maxLength={1000} value={atlas.classes.value} onInput={(event) => { atlas.classes.value = event.currentTarget.value; }} /><button type="submit" class="button primary" disabled={atlas.classes.value.split(",").filter((one) => one.trim()).length < 2}>{t.atlas.apply}</button></form>}
      {atlas.coloring.value.state === "failed" && <ErrorMessage reason={atlas.coloring.value.reason} />}
    </div>
  );
}

const NAME_HEIGHT_PX = 21;
const LETTER_PX = 8;

/** Names of groups and where they stand; of two that would overlap, that of the larger group. */
function named(info: AtlasInfo, scatter: Scatter): { id: number; name: string; at: ScreenPoint }[] {
  const shown: { id: number; name: string; at: ScreenPoint }[] = [];
  for (const { id, name: english, x, y } of info.clusters) {
    const [name, at] = [atlas.clusterName(english), scatter.toScreen(x, y)];
    const isFree = shown.every((other) => Math.abs(other.at.y - at.y) > NAME_HEIGHT_PX || Math.abs(other.at.x - at.x) > (LETTER_PX * (name.length + other.name.length)) / 2 + LETTER_PX);
    if (isFree) shown.push({ id, name, at });
  }
  return shown;
}

function Chart({ info, xy }: { info: AtlasInfo; xy: Float32Array }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const scatter = useRef<Scatter | null>(null);
  const [failed, setFailed] = useState(false);
  const [, setDrawn] = useState(0);
  const [lassoing, setLassoing] = useState(false);
  const [line, setLine] = useState<ScreenPoint[]>([]);
  const drag = useRef<{ at: ScreenPoint; moved: boolean; lasso: boolean } | null>(null);
  useEffect(() => {
    let made: Scatter;
    try {
      made = new Scatter(canvas.current!, () => setDrawn((count) => count + 1));
    } catch {
      setFailed(true);
      return undefined;
    }
    scatter.current = made;
    // The observer may still fire once when the view has left the page, and its reference is empty.
    const node = frame.current!;
    const fit = new ResizeObserver(() => made.resize(node.clientWidth, node.clientHeight, Math.min(2, devicePixelRatio)));
    fit.observe(node);
    return () => { fit.disconnect(); made.close(); scatter.current = null; };
  }, []);
  useEffect(() => scatter.current?.setPlaces(xy), [xy, failed]);
  useEffect(() => { if (atlas.rgba.value) scatter.current?.setColors(atlas.rgba.value); }, [atlas.rgba.value, failed]);
  // Preact's own wheel listeners are passive: the page would scroll as well.
  useEffect(() => {
    const turn = (event: WheelEvent): void => { event.preventDefault(); scatter.current?.zoomAt(place(event), Math.exp(-event.deltaY * WHEEL_RATE)); };
    const node = canvas.current!;
    node.addEventListener("wheel", turn, { passive: false });
    return () => node.removeEventListener("wheel", turn);
  }, []);
  const place = (event: MouseEvent): ScreenPoint => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const down = (event: PointerEvent): void => {
    canvas.current!.setPointerCapture(event.pointerId);
    const lasso = lassoing || event.shiftKey;
    drag.current = { at: place(event), moved: false, lasso };
    if (lasso) setLine([place(event)]);
  };
  const move = (event: PointerEvent): void => {
    const { current } = drag;
    if (!current) return;
    const at = place(event);
    if (Math.hypot(at.x - current.at.x, at.y - current.at.y) < 3 && !current.moved) return;
    current.moved = true;
    if (current.lasso) setLine((before) => [...before, at]);
    else {
      scatter.current?.pan(at.x - current.at.x, at.y - current.at.y);
      current.at = at;
    }
  };
  const up = (event: PointerEvent): void => {
    const { current } = drag;
    drag.current = null;
    if (!current || !scatter.current) return;
    if (current.lasso && current.moved) {
      atlas.chosen.value = scatter.current.inside(line);
      setLassoing(false);
    } else if (!current.moved) {
      const found = scatter.current.pick(place(event), PICK_PX);
      atlas.chosen.value = found === null ? [] : [found];
    }
    setLine([]);
  };
  const names = info.clusters.map(({ name }) => atlas.clusterName(name)).join(", ");
  return (
    <div class={`atlas-frame ${lassoing ? "lassoing" : ""}`} ref={frame}>
      {failed && <p class="notice">{t.atlas.noWebGl}</p>}
      <canvas ref={canvas} role="img" aria-label={t.atlas.canvas(formatNumber(info.points), names)} hidden={failed} onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => { drag.current = null; setLine([]); }} />
      {scatter.current && atlas.colorBy.value === "cluster" && named(info, scatter.current).map(({ id, name, at }) => <span key={id} class="atlas-name" aria-hidden="true" style={{ left: `${at.x}px`, top: `${at.y}px` }}>{name}</span>)}
      {line.length > 1 && <svg class="atlas-lasso" aria-hidden="true"><polygon points={line.map(({ x, y }) => `${x},${y}`).join(" ")} /></svg>}
      <div class="atlas-tools">
        <IconButton label={t.atlas.lasso} keys={t.atlas.lassoKeys} on={lassoing} onClick={() => setLassoing(!lassoing)}><icons.Lasso /></IconButton>
        <IconButton label={t.atlas.reset} onClick={() => scatter.current?.reset()}><icons.Fit /></IconButton>
      </div>
      {atlas.coloring.value.state === "busy" && <span class="spinner atlas-busy" />}
    </div>
  );
}

/** What each colour means; groups are buttons that choose their tiles, for those who do not draw. */
function Legend({ info }: { info: AtlasInfo }) {
  const made = atlas.coloured.value;
  if (!made) return null;
  if (made.range) return <div class="ramp-legend"><span class="num">{made.range[0]}</span><i style={{ background: `linear-gradient(90deg, ${made.colors.join(", ")})` }} /><span class="num">{made.range[1]}</span></div>;
  const ofClusters = made.entries.length === info.clusters.length && atlas.colorBy.value === "cluster";
  return (
    <ul class="atlas-legend" aria-label={t.atlas.legend}>
      {made.entries.map(({ name, color, count }, at) => (
        <li key={name}>
          {ofClusters
            ? <button type="button" onClick={() => atlas.chooseCluster(at)}><i style={{ background: color }} />{name}<span class="dim num">{formatNumber(count)}</span></button>
            : <span><i style={{ background: color }} />{name}<span class="dim num">{formatNumber(count)}</span></span>}
        </li>
      ))}
      {ofClusters && info.unclustered > 0 && <li><span><i class="none" />{t.atlas.between}<span class="dim num">{formatNumber(info.unclustered)}</span></span></li>}
    </ul>
  );
}
