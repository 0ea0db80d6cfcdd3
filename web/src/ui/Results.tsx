// The results: a headline, sensors, two histograms, the Export menu, and the places as a grid or a table.
import { computed } from "@preact/signals";
import { formatNumber, t } from "../i18n";
import { cancelSearch, clearFilters, runSearch, showHeld, updateFilters, updateQuestion, updateView } from "../model/actions";
import { sensorName, shortSensor } from "../model/hit";
import { type Sort, SORTS } from "../model/places";
import { EMPTY, LIMITS } from "../model/question";
import { answered, hits, isByClassifier, isLikely, layout, overview, places, question, refining, searchable, sort, starred, status, visiblePlaces } from "../model/store";
import { Bookmarks } from "./Bookmarks";
import { ErrorMessage, IconButton, Loading, RichText } from "./components";
import { Export } from "./Export";
import { Grid } from "./Grid";
import { DateHistogram, ProbabilityHistogram } from "./Histogram";
import * as icons from "./icons";
import { Starred } from "./Starred";
import { Table } from "./Table";
import { SuggestedSearches, Welcome } from "./Welcome";

export function Results() {
  const { value } = status;
  if (starred.value) return <Starred />;
  if (value.state === "idle" || !searchable.value) return <Welcome />;
  const hasHits = hits.value.length > 0;
  const List = layout.value === "table" ? Table : Grid;
  return (
    <div class={`results ${value.state === "busy" && hasHits ? "stale" : ""}`} aria-busy={value.state === "busy"} data-refining={refining.value}>
      {value.state === "failed" && <div class="notice"><ErrorMessage reason={value.reason} retry={() => void runSearch()} /></div>}
      {value.state === "busy" && !hasHits && <div class="notice"><Loading what={t.results.searching} /><button type="button" class="link" onClick={cancelSearch}>{t.results.stop}</button><Skeleton /></div>}
      {value.state === "done" && !hasHits && <NoResults />}
      {hasHits && <List places={visiblePlaces.value} head={<Head />} />}
      {refining.value === "held" && <button type="button" class="button primary fresh" onClick={showHeld}>{t.results.showNew}</button>}
    </div>
  );
}

const likelyCount = computed(() => visiblePlaces.value.filter(({ lead }) => isLikely(lead)).length);
/** Sensors among the results that the model has no probabilities for. */
const uncalibrated = computed(() => [...new Set(places.value.filter(({ lead }) => lead.probabilityReason !== null).map(({ lead }) => lead.sensor))].map(sensorName));

function Head() {
  const { value } = status;
  const count = visiblePlaces.value.length;
  const areTiles = answered.value.group !== "place";
  const noGoodMatch = value.state === "done" && value.noGoodMatch;
  return (
    <header class="results-head">
      <div class="row">
        <h2 class="grow">
          <span role="status">
            {value.state === "busy" ? t.common.loading(t.results.searching) : <><RichText text={t.results.count(count, !areTiles)} as="b" />{likelyCount.value > 0 && !noGoodMatch && <span class="dim">{t.results.likely(likelyCount.value)}</span>}</>}
          </span>
          {value.state === "done" && !value.complete && <span class="spinner" title={t.results.loadingMore} />}
        </h2>
        {value.state === "busy" && <button type="button" class="link" onClick={cancelSearch}>{t.results.stop}</button>}
        <Bookmarks />
        <Export />
      </div>
      {noGoodMatch && <div class="nothing" role="alert"><p><RichText text={t.results.noGoodMatches} as="b" /></p><Suggestions /></div>}
      <SensorTabs />
      <div class="histograms"><ProbabilityHistogram /><DateHistogram /></div>
      <div class="row list-tools">
        <Extent />
        <label class="sort"><span class="hidden">{t.results.sort}</span><select aria-label={t.results.sort} value={sort.value} onChange={(event) => updateView({ sort: event.currentTarget.value as Sort })}>{SORTS.map((name) => <option key={name} value={name}>{t.results.sorts[name]}</option>)}</select></label>
        <IconButton label={t.results.grid} on={layout.value === "grid"} onClick={() => updateView({ layout: "grid" })}><icons.GridView /></IconButton>
        <IconButton label={t.results.table} on={layout.value === "table"} onClick={() => updateView({ layout: "table" })}><icons.Rows /></IconButton>
      </div>
      {uncalibrated.value.length > 0 && !isByClassifier.value && answered.value.examples.length === 0 && <p class="hint">{t.results.notCalibrated(uncalibrated.value.join(", "))}</p>}
      {count === 0 && hits.value.length > 0 && <p class="hint">{t.results.belowProbability} <button type="button" class="link" onClick={() => updateView({ minProbability: 0 })}>{t.results.showAll(places.value.length)}</button></p>}
    </header>
  );
}

/** Of how many tiles these are the best, and a button for more. */
function Extent() {
  const { value } = status;
  const matched = value.state === "done" ? value.matched : 0;
  const found = hits.value.length;
  const next = LIMITS.find((limit) => limit > question.value.limit);
  const text = matched > found ? t.results.bestOf(found, matched) : t.results.fromTiles(found);
  return (
    <p class="grow dim small">{text}{matched > found && next !== undefined && <> · <button type="button" class="link" onClick={() => updateQuestion({ limit: next })}>{t.results.more(formatNumber(next))}</button></>}</p>
  );
}

/** Shown as tabs; beyond that, all sensors are under Filters. */
const MOST_TABS = 6;

/** One click shows the results of one sensor. */
function SensorTabs() {
  const sensors = overview.value?.sensors ?? [];
  const chosen = question.value.filters.sensors;
  if (sensors.length < 2) return null;
  const tabs = sensors.toSorted((a, b) => b.tiles - a.tiles).slice(0, MOST_TABS);
  return (
    <div class="sensor-tabs" role="group" aria-label={t.filters.sensors}>
      <button type="button" aria-pressed={chosen.length === 0} onClick={() => chosen.length && updateFilters({ sensors: [] })}>{t.results.allSensors}</button>
      {tabs.map(({ id }) => <button key={id} type="button" title={sensorName(id)} aria-pressed={chosen.length === 1 && chosen[0] === id} onClick={() => updateFilters({ sensors: [id] })}>{shortSensor(id)}</button>)}
    </div>
  );
}

function NoResults() {
  return (
    <div class="notice empty">
      <h2>{t.results.none}</h2>
      {overview.value && <p class="dim">{t.results.noneOf(overview.value.tiles)}</p>}
      <Suggestions />
    </div>
  );
}

/** Filters to remove, and other searches to try. */
function Suggestions() {
  const { examples, filters, group, text } = question.value;
  const remove = (name: string, onClick: () => void) => <button key={name} type="button" class="button" onClick={onClick}>{name}</button>;
  const buttons = [
    filters.area && remove(t.results.anyArea, () => updateFilters({ area: null })),
    (filters.from || filters.to) && remove(t.results.anyDate, () => updateFilters({ from: "", to: "" })),
    filters.sensors.length > 0 && remove(t.results.anySensor, () => updateFilters({ sensors: [] })),
    filters.collections.length > 0 && remove(t.results.anyCollection, () => updateFilters({ collections: [] })),
    filters.cloud !== null && remove(t.results.anyCloud, () => updateFilters({ cloud: null })),
    filters.classifiers.length > 0 && remove(t.results.anyClassifier, () => updateFilters({ classifiers: [] })),
    examples.length > 0 && text && remove(t.results.withoutExamples, () => updateQuestion({ examples: [] })),
    group !== EMPTY.group && group !== "tile" && remove(t.results.ungroup, () => updateQuestion({ group: EMPTY.group })),
  ].filter(Boolean);
  return (
    <>
      {buttons.length > 0 && <div class="row wrap">{buttons}{buttons.length > 1 && <button type="button" class="link" onClick={clearFilters}>{t.filters.clear}</button>}</div>}
      {(overview.value?.examples.length ?? 0) > 0 && <><p class="hint">{t.results.tryThese}</p><SuggestedSearches limit={5} /></>}
    </>
  );
}

function Skeleton() {
  return <div class="skeleton" aria-hidden="true">{Array.from({ length: 12 }, (_, index) => <span key={index} />)}</div>;
}
