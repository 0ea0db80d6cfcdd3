// The results: a headline, two histograms, the Export menu, the grid.
import { computed } from "@preact/signals";
import { t } from "../i18n";
import { cancelSearch, clearFilters, runSearch, updateFilters, updateQuestion, updateView } from "../model/actions";
import { hits, overview, question, searchable, status, visibleHits } from "../model/store";
import { Bookmarks } from "./Bookmarks";
import { ErrorMessage, Loading, RichText } from "./components";
import { Export } from "./Export";
import { Grid } from "./Grid";
import { DateHistogram, ProbabilityHistogram } from "./Histogram";
import { SuggestedSearches, Welcome } from "./Welcome";

export function Results() {
  const { value } = status;
  if (value.state === "idle" || !searchable.value) return <Welcome />;
  const hasHits = hits.value.length > 0;
  return (
    <div class={`results ${value.state === "busy" && hasHits ? "stale" : ""}`} aria-busy={value.state === "busy"}>
      {value.state === "failed" && <div class="notice"><ErrorMessage reason={value.reason} retry={() => void runSearch()} /></div>}
      {value.state === "busy" && !hasHits && <div class="notice"><Loading what={t.results.searching} /><button type="button" class="link" onClick={cancelSearch}>{t.results.stop}</button><Skeleton /></div>}
      {value.state === "done" && !hasHits && <NoResults />}
      {hasHits && <Grid hits={visibleHits.value} head={<Head />} />}
    </div>
  );
}

const likelyCount = computed(() => visibleHits.value.filter((hit) => hit.match).length);

function Head() {
  const { value } = status;
  const count = visibleHits.value.length;
  const matched = value.state === "done" ? value.matched : 0;
  const places = question.value.group === "place";
  const headline = matched > hits.value.length ? t.results.countOf(count, matched, places) : t.results.count(count, places);
  const noGoodMatch = value.state === "done" && value.noGoodMatch;
  return (
    <header class="results-head">
      <div class="row">
        <h2 class="grow">
          <span role="status">
            {value.state === "busy" ? t.common.loading(t.results.searching) : <><RichText text={headline} as="b" />{likelyCount.value > 0 && !noGoodMatch && <span class="dim">{t.results.likely(likelyCount.value)}</span>}</>}
          </span>
          {value.state === "done" && !value.complete && <span class="spinner" title={t.results.loadingMore} />}
        </h2>
        {value.state === "busy" && <button type="button" class="link" onClick={cancelSearch}>{t.results.stop}</button>}
        <Bookmarks />
        <Export />
      </div>
      {noGoodMatch && <div class="nothing" role="alert"><p><RichText text={t.results.noGoodMatches} as="b" /></p><Suggestions /></div>}
      <div class="histograms"><ProbabilityHistogram /><DateHistogram /></div>
      {count === 0 && hits.value.length > 0 && <p class="hint">{t.results.belowProbability} <button type="button" class="link" onClick={() => updateView({ minProbability: 0 })}>{t.results.showAll(hits.value.length)}</button></p>}
    </header>
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
    examples.length > 0 && text && remove(t.results.withoutExamples, () => updateQuestion({ examples: [] })),
    group && remove(t.results.ungroup, () => updateQuestion({ group: "" })),
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
