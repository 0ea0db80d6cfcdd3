// The results: what was found in words, the two histograms, what to take away, the grid.
import { computed } from "@preact/signals";
import { cancel, change, clearFilters, look, narrow, run } from "../model/actions";
import { asked, hits, overview, question, shown, status } from "../model/store";
import { Failed, Waiting } from "./bits";
import { Grid } from "./Grid";
import { Probabilities, Times } from "./Histogram";
import { Saved } from "./Saved";
import { TakeAway } from "./TakeAway";
import { Try, Welcome } from "./Welcome";

export function Results() {
  const now = status.value;
  if (now.state === "idle" || !asked.value) return <Welcome />;
  const before = hits.value;
  return (
    <div class={`results ${now.state === "busy" && before.length ? "stale" : ""}`} aria-busy={now.state === "busy"}>
      {now.state === "failed" && <div class="notice"><Failed reason={now.reason} retry={() => void run()} /></div>}
      {now.state === "busy" && !before.length && <div class="notice"><Waiting what="Searching" /><button type="button" class="link" onClick={cancel}>Stop</button><Skeleton /></div>}
      {now.state === "done" && !before.length && <Empty />}
      {before.length > 0 && <Grid hits={shown.value} head={<Head />} />}
    </div>
  );
}

const likelyNow = computed(() => shown.value.filter((hit) => hit.match).length);
const judged = computed(() => hits.value.some((hit) => hit.match !== null));

function Head() {
  const now = status.value;
  const count = shown.value.length;
  const likely = likelyNow.value;
  const known = judged.value;
  const matched = now.state === "done" ? now.matched : 0;
  return (
    <header class="results-head">
      <div class="row">
        <h2 class="grow"><span role="status">
          {now.state === "busy" ? "Searching…" : <><b>{count.toLocaleString("en")}</b> {count === 1 ? "place" : "places"}
            <span class="dim">{known ? ` · ${likely.toLocaleString("en")} likely` : ""}{matched > hits.value.length ? ` · of ${matched.toLocaleString("en")}` : ""}</span></>}</span>
          {now.state === "done" && !now.complete && <span class="spinner" title="more are coming" />}
        </h2>
        {now.state === "busy" && <button type="button" class="link" onClick={cancel}>Stop</button>}
        <Saved />
        <TakeAway />
      </div>
      {now.state === "done" && now.nothing && <Nothing />}
      <div class="histograms"><Probabilities /><Times /></div>
      {count === 0 && hits.value.length > 0 && <p class="hint">No hit is that likely. <button type="button" class="link" onClick={() => look({ least: 0 })}>Show all {hits.value.length}</button></p>}
    </header>
  );
}

/** Hits there are, but none is likely to be right: say so, and what may help. */
function Nothing() {
  return (
    <div class="nothing" role="alert">
      <p><b>Nothing here is likely to match.</b> These are the nearest, none of them likely.</p>
      <Ways />
    </div>
  );
}

function Empty() {
  return (
    <div class="notice empty">
      <h2>No place passes the filters</h2>
      <p class="dim">The archive holds {overview.value?.tiles.toLocaleString("en") ?? "no"} tiles; the filters leave none of them.</p>
      <Ways />
    </div>
  );
}

function Ways() {
  const { filters, group } = question.value;
  const ways = [
    filters.area && <button type="button" class="button" onClick={() => narrow({ area: null })}>Search everywhere</button>,
    (filters.from || filters.to) && <button type="button" class="button" onClick={() => narrow({ from: "", to: "" })}>At any time</button>,
    filters.sensors.length > 0 && <button type="button" class="button" onClick={() => narrow({ sensors: [] })}>With any sensor</button>,
    filters.collections.length > 0 && <button type="button" class="button" onClick={() => narrow({ collections: [] })}>In all collections</button>,
    filters.cloud !== null && <button type="button" class="button" onClick={() => narrow({ cloud: null })}>With any cloud</button>,
    question.value.examples.length > 0 && question.value.text && <button type="button" class="button" onClick={() => change({ examples: [] })}>Without the examples</button>,
  ].filter(Boolean);
  return (
    <>
      {ways.length > 0 && <div class="row wrap">{ways}{ways.length > 1 && <button type="button" class="link" onClick={clearFilters}>Clear all filters</button>}{group && <button type="button" class="link" onClick={() => change({ group: "" })}>Ungroup</button>}</div>}
      {(overview.value?.examples.length ?? 0) > 0 && <><p class="hint">Sentences that this archive can answer:</p><Try most={5} /></>}
    </>
  );
}

function Skeleton() {
  return <div class="skeleton" aria-hidden="true">{Array.from({ length: 12 }, (_, at) => <span key={at} />)}</div>;
}
