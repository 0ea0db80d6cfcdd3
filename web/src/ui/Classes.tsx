// Zero-shot classes: labels in, a map of the classes and their shares out.
import { useState } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { formatNumber, t } from "../i18n";
import { minZoomOf } from "../map/footprints";
import { updateFilters, updateView } from "../model/actions";
import { classColors } from "../model/color";
import { boxOf } from "../model/hit";
import { filterMembers } from "../model/question";
import { classMap, drawing, question, view } from "../model/store";
import { ErrorMessage, Loading } from "./components";
import { saveFile } from "./Export";
import * as icons from "./icons";
import { mapController } from "./mapController";

const DEFAULT_LABELS = ["forest", "farmland", "water", "houses and roads", "bare ground"];
// Opacity of a class without a probability.
const UNKNOWN = 0.5;

export interface Share { label: string; color: string; tiles: number; share: number }

/** Give every tile the colour of its class, and sum up the classes. */
export function colorClasses(labels: readonly string[], map: calls.ClassMap): { map: calls.ClassMap; shares: Share[] } {
  const colors = classColors(labels);
  const features = map.features.map((feature) => {
    const { label, probability } = (feature.properties ?? {}) as { label?: unknown; probability?: unknown };
    return { ...feature, properties: { label: String(label), color: colors[labels.indexOf(String(label))], probability: probability === null ? UNKNOWN : Number(probability), z: minZoomOf({ box: boxOf(feature.geometry) }) } };
  });
  const shares = labels.map((label, index) => ({ label, color: colors[index]!, tiles: map.shares[label]?.tiles ?? 0, share: map.shares[label]?.area ?? 0 }));
  return { map: { ...map, features }, shares };
}

export function Classes() {
  const [draft, setDraft] = useState((view.value.classes.length ? view.value.classes : DEFAULT_LABELS).join(", "));
  const [state, setState] = useState<"idle" | "busy" | { reason: string }>("idle");
  const labels = [...new Set(draft.split(/[,\n]/).map((label) => label.trim()).filter(Boolean))];
  const result = classMap.value;
  const classify = async (): Promise<void> => {
    updateView({ classes: labels });
    setState("busy");
    try {
      const map = await calls.classMap({ labels, format: "geojson", ...filterMembers(question.value.filters) });
      classMap.value = { labels, map };
      setState("idle");
      if (!mapController.showsAny(map)) mapController.fitFeatures(map);
    } catch (error) {
      setState({ reason: errorMessage(error) });
    }
  };
  const useMapView = (): void => {
    const area = mapController.bounds();
    if (area) updateFilters({ area });
    updateView({ tab: "classes" });
  };
  return (
    <div class="classes scroller">
      <h2>{t.classes.title}</h2>
      <p class="dim">{t.classes.intro}</p>
      <form onSubmit={(event) => { event.preventDefault(); void classify(); }}>
        <label class="field-head" for="labels">{t.classes.labels}</label>
        <textarea id="labels" rows={3} value={draft} maxLength={2000} onInput={(event) => setDraft(event.currentTarget.value)} />
        <div class="row wrap">
          <button type="submit" class="button primary" disabled={labels.length < 2 || state === "busy"}>{t.classes.submit}</button>
          <button type="button" class="button" onClick={() => { drawing.value = "box"; }}><icons.Box />{question.value.filters.area ? t.classes.changeArea : t.classes.drawArea}</button>
          <button type="button" class="button" onClick={useMapView}><icons.Fit />{t.common.useMapView}</button>
          {labels.length < 2 && <span class="hint">{t.classes.atLeastTwo}</span>}
        </div>
      </form>
      {state === "busy" && <Loading what={t.classes.classifying} />}
      {typeof state === "object" && <ErrorMessage reason={state.reason} retry={() => void classify()} />}
      {result && state !== "busy" && <ClassShares labels={result.labels} map={result.map} />}
    </div>
  );
}

function ClassShares({ labels, map }: { labels: readonly string[]; map: calls.ClassMap }) {
  const { shares } = colorClasses(labels, map);
  const download = (): void => saveFile(new Blob([JSON.stringify(map)], { type: "application/geo+json" }), "classes.geojson");
  return (
    <section aria-label={t.classes.shares}>
      <div class="stack" aria-hidden="true">{shares.map(({ label, share, color }) => <span key={label} style={{ flexGrow: share, background: color }} />)}</div>
      <table class="legend-table">
        <thead><tr><th scope="col">{t.classes.class}</th><th scope="col">{t.classes.area}</th><th scope="col">{t.classes.tiles}</th></tr></thead>
        <tbody>{shares.map(({ label, share, color, tiles }) => <tr key={label}><th scope="row"><i style={{ background: color }} />{label}</th><td class="num">{(share * 100).toFixed(share < 0.1 ? 1 : 0)}%</td><td class="num dim">{formatNumber(tiles)}</td></tr>)}</tbody>
      </table>
      <div class="row">
        <button type="button" class="button" onClick={() => mapController.fitFeatures(map)}><icons.Fit />{t.classes.zoomToAll}</button>
        <button type="button" class="button" onClick={download}><icons.Download />GeoJSON</button>
        <span class="grow" />
        <button type="button" class="link" onClick={() => { classMap.value = null; updateView({ classes: [] }); }}>{t.common.clear}</button>
      </div>
    </section>
  );
}
