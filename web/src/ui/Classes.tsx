// Zero-shot classes: labels in, the area coloured by them, a legend with shares.
import { useState } from "preact/hooks";
import * as calls from "../api/calls";
import { wordsOf } from "../api/http";
import { look, narrow } from "../model/actions";
import { classColors } from "../model/color";
import { zoomOf } from "../map/footprints";
import { boxOf } from "../model/hit";
import { filterMembers } from "../model/question";
import { classMap, drawing, question, view } from "../model/store";
import { Failed, Waiting } from "./bits";
import { useMap } from "./mapState";
import * as icons from "./icons";

const USUAL = ["forest", "farmland", "water", "houses and roads", "bare ground"];

export interface Share { label: string; color: string; tiles: number; share: number }

/** Colour every tile by its class, and sum up. */
export function coloured(labels: readonly string[], map: calls.ClassMap): { map: calls.ClassMap; shares: Share[] } {
  const colors = classColors(labels);
  const features = map.features.map((one) => {
    const said = one.properties ?? {};
    const label = String(said["label"]);
    return { ...one, properties: { label, color: colors[labels.indexOf(label)], sure: Number(said["probability"]), z: zoomOf({ box: boxOf(one.geometry) }) } };
  });
  const shares = labels.map((label, at) => ({ label, color: colors[at]!, tiles: map.shares[label]?.tiles ?? 0, share: map.shares[label]?.area ?? 0 }));
  return { map: { ...map, features }, shares };
}

export function Classes() {
  const [draft, setDraft] = useState((view.value.classes.length ? view.value.classes : USUAL).join(", "));
  const [state, setState] = useState<"idle" | "busy" | { reason: string }>("idle");
  const labels = [...new Set(draft.split(/[,\n]/).map((label) => label.trim()).filter(Boolean))];
  const made = classMap.value;
  const run = async (): Promise<void> => {
    look({ classes: labels });
    setState("busy");
    try {
      const map = await calls.classMap({ labels, format: "geojson", ...filterMembers(question.value.filters) });
      classMap.value = { labels, map };
      setState("idle");
      if (!useMap.showsAny(map)) useMap.fitFeatures(map);
    } catch (error) {
      setState({ reason: wordsOf(error) });
    }
  };
  const { shares } = made ? coloured(made.labels, made.map) : { shares: [] };
  return (
    <div class="classes scroller">
      <h2>Classes</h2>
      <p class="dim">Name kinds of ground in your own words: every tile takes the one it looks most like. Nothing needs to be trained.</p>
      <form onSubmit={(event) => { event.preventDefault(); void run(); }}>
        <label class="field-head" for="labels">Labels, separated by commas</label>
        <textarea id="labels" rows={3} value={draft} maxLength={2000} onInput={(event) => setDraft(event.currentTarget.value)} />
        <div class="row wrap">
          <button type="submit" class="button primary" disabled={labels.length < 2 || state === "busy"}>Classify</button>
          <button type="button" class="button" onClick={() => { drawing.value = "box"; }}><icons.Box />{question.value.filters.area ? "Another area" : "Limit to an area"}</button>
          <button type="button" class="button" onClick={() => { const area = useMap.bounds(); if (area) narrow({ area }); look({ tab: "classes" }); }}><icons.Fit />Limit to the view</button>
          {labels.length < 2 && <span class="hint">two labels at least</span>}
        </div>
      </form>
      {state === "busy" && <Waiting what="Classifying" />}
      {typeof state === "object" && <Failed reason={state.reason} retry={() => void run()} />}
      {made && state !== "busy" && (
        <section aria-label="Shares of the classes">
          <div class="stack" aria-hidden="true">{shares.map((one) => <span key={one.label} style={{ flexGrow: one.share, background: one.color }} />)}</div>
          <table class="legend-table">
            <thead><tr><th scope="col">Class</th><th scope="col">Area</th><th scope="col">Tiles</th></tr></thead>
            <tbody>{shares.map((one) => <tr key={one.label}><th scope="row"><i style={{ background: one.color }} />{one.label}</th><td class="num">{(one.share * 100).toFixed(one.share < 0.1 ? 1 : 0)} %</td><td class="num dim">{one.tiles.toLocaleString("en")}</td></tr>)}</tbody>
          </table>
          <div class="row">
            <button type="button" class="button" onClick={() => useMap.fitFeatures(made.map)}><icons.Fit />Show all</button>
            <button type="button" class="button" onClick={() => download(made)}><icons.Download />GeoJSON</button>
            <span class="grow" />
            <button type="button" class="link" onClick={() => { classMap.value = null; look({ classes: [] }); }}>Clear</button>
          </div>
        </section>
      )}
    </div>
  );
}

function download({ map }: { map: calls.ClassMap }): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(map)], { type: "application/geo+json" }));
  Object.assign(document.createElement("a"), { href: url, download: "classes.geojson" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
