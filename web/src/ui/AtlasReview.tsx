// What stands out in the archive: near-duplicates, outliers, what there is much of, and what is missing.
import { useState } from "preact/hooks";
import { review, type Review } from "../api/atlas";
import { errorMessage } from "../api/http";
import { formatNumber, formatPercent, t } from "../i18n";
import { updateView } from "../model/actions";
import { chooseTiles, clusterName } from "../model/atlas";
import { sensorName } from "../model/hit";
import { Thumbnail } from "./Card";
import { Pictures } from "./ChosenTiles";
import { ErrorMessage, Loading } from "./components";

type State = { state: "idle" } | { state: "busy" } | { state: "failed"; reason: string } | { state: "done"; value: Review };
/** What was found stays while other views are open. */
let last: State = { state: "idle" };

export function AtlasReview() {
  const [found, setFound] = useState<State>(last);
  const show = (next: State): void => {
    last = next;
    setFound(next);
  };
  const find = (): void => {
    show({ state: "busy" });
    review().then((value) => show({ state: "done", value }), (error: unknown) => show({ state: "failed", reason: errorMessage(error) }));
  };
  return (
    <section class="review" aria-label={t.atlas.review}>
      <div class="row"><h3 class="grow">{t.atlas.review}</h3>{found.state !== "busy" && <button type="button" class="button" onClick={find}>{t.atlas.findOut}</button>}</div>
      {found.state === "idle" && <p class="hint">{t.atlas.reviewHint}</p>}
      {found.state === "busy" && <Loading what={t.atlas.reviewing} />}
      {found.state === "failed" && <ErrorMessage reason={found.reason} retry={find} />}
      {found.state === "done" && <Report found={found.value} />}
    </section>
  );
}

function Report({ found }: { found: Review }) {
  const { duplicates, outliers, frequent, missing } = found;
  const looks = new Map(outliers.tiles.map(({ tile, looks_like }) => [tile, looks_like === null ? null : clusterName(looks_like)]));
  const much = [
    ...frequent.clusters.rows.map((row) => ({ ...row, name: clusterName(row.name) })),
    ...frequent.sensors.rows.map((row) => ({ ...row, name: sensorName(row.name) })),
    ...frequent.months.rows,
  ].filter((row) => row.much);
  return (
    <>
      <h4>{t.atlas.duplicates}</h4>
      <p class="small">{t.atlas.pairs(duplicates.copies, duplicates.repeats, duplicates.lookalikes)}</p>
      <ul class="small">{duplicates.scenes.map(({ scenes: [one, two], share }) => <li key={`${one} ${two}`} class="clip">{t.atlas.twice(one, two, formatPercent(share))}</li>)}</ul>
      <ul class="changes">
        {duplicates.pairs.slice(0, 6).map(({ tiles: [one, two], kind }) => (
          <li key={`${one}-${two}`}>
            <button type="button" aria-label={t.atlas.pair(one, two)} onClick={() => updateView({ compare: [one, two] })}><Thumbnail id={one} size={128} /><Thumbnail id={two} size={128} /></button>
            <p class="dim small">{t.atlas.kinds[kind]}</p>
          </li>
        ))}
      </ul>
      <h4>{t.atlas.outliers}</h4>
      <div class="row"><p class="small grow">{t.atlas.outliersHint(outliers.count)}</p>{outliers.tiles.length > 0 && <button type="button" class="link" onClick={() => chooseTiles(outliers.tiles.map(({ tile }) => tile))}>{t.atlas.showOutliers}</button>}</div>
      <Pictures ids={outliers.tiles.slice(0, 12).map(({ tile }) => tile)} title={(id) => t.atlas.outlier(id, looks.get(id) ?? null)} />
      <h4>{t.atlas.frequent}</h4>
      {much.length ? <ul class="small">{much.map(({ name, tiles, share }) => <li key={name} class="row"><span class="grow clip">{name}</span><span class="dim num">{formatNumber(tiles)} · {formatPercent(share)}</span></li>)}</ul> : <p class="small">{t.atlas.nothingFrequent}</p>}
      <h4>{t.atlas.missingTitle}</h4>
      <ul class="small">{missing.months.gaps.slice(0, 5).map(({ months, after, before }) => <li key={after}>{t.atlas.gap(months, after, before)}</li>)}</ul>
      {missing.words.length > 0 && <p class="small">{t.atlas.noWords(missing.words.map(({ name }) => clusterName(name)).join(", "))}</p>}
    </>
  );
}
