// One tile: large, in its band combinations, with what matched, on other dates, and similar tiles.
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { formatPercent, formatScore, t } from "../i18n";
import { moveSelection, savedSearchId, select, toggleStar, toggleTileExample, updateView } from "../model/actions";
import { formatDate, type Hit, sensorName } from "../model/hit";
import { nameOf, summary, terms } from "../model/question";
import { pythonForTile, tileUrl } from "../model/snippets";
import { answered, byId, exampleSigns, hits, isByClassifier, isLikely, question, searchable, stars } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, IconButton, Loading, ScoreBadge, Slider, useAsync } from "./components";
import { copyLink, copyText } from "./Export";
import { Facts } from "./Facts";
import * as icons from "./icons";
import { mapController } from "./mapController";
import { Neighbours } from "./Neighbours";
import { Timeline } from "./Timeline";

export function Detail({ id }: { id: number }) {
  const isHit = byId.value.has(id);
  const [tile, retry] = useAsync((signal) => (isHit ? Promise.resolve(byId.value.get(id)!) : calls.getTile(id, { signal })), [id, isHit]);
  const back = (): void => updateView({ tile: null });
  // On a phone the map is above the panel: scroll to what was opened.
  const top = useRef<HTMLElement>(null);
  useEffect(() => {
    if (matchMedia("(max-width: 800px)").matches) top.current?.scrollIntoView({ block: "start" });
  }, []);
  return (
    <article ref={top} class="detail scroller" aria-label={t.detail.label(id)}>
      <header class="detail-head">
        <button type="button" class="button" onClick={back}><icons.Back />{hits.value.length ? t.detail.results : t.detail.back}</button>
        <span class="grow" />
        {isHit && <><IconButton label={t.detail.previous} keys="k" onClick={() => moveSelection(-1)}><icons.Back /></IconButton><IconButton label={t.detail.next} keys="j" onClick={() => moveSelection(1)}><icons.Next /></IconButton></>}
        <IconButton label={t.detail.copyLink} onClick={copyLink}><icons.Share /></IconButton>
        <IconButton label={t.detail.zoom} keys="z" onClick={() => tile.state === "done" && tile.value && mapController.zoomTo(tile.value)}><icons.Pin /></IconButton>
      </header>
      {tile.state === "busy" && <Loading what={t.detail.loading} />}
      {tile.state === "failed" && <ErrorMessage reason={tile.reason} retry={retry} />}
      {tile.state === "done" && (tile.value ? <TileDetail key={id} hit={tile.value} /> : <ErrorMessage reason={t.detail.missing(id)} />)}
    </article>
  );
}

function TileDetail({ hit }: { hit: Hit }) {
  const sign = exampleSigns.value.get(hit.id);
  return (
    <>
      <LargeImage hit={hit} />
      <div class="row actions">
        <button type="button" class={`button plus ${sign === 1 ? "on" : ""}`} aria-pressed={sign === 1} onClick={() => toggleTileExample(hit.id, 1)}><icons.Plus />{t.common.moreLikeThis}</button>
        <button type="button" class={`button minus ${sign === -1 ? "on" : ""}`} aria-pressed={sign === -1} onClick={() => toggleTileExample(hit.id, -1)}><icons.Minus />{t.common.less}</button>
        <span class="grow" />
        <IconButton label={t.common.star} keys="s" on={stars.value.has(hit.id)} class="star" onClick={() => toggleStar(hit.id)}><icons.Star /></IconButton>
        <a class="icon-button" href={`tiles/${hit.id}/crop.tif`} download aria-label={t.detail.download} title={t.detail.download}><icons.Download /></a>
      </div>
      <h2 class="clip" title={hit.title}>{sensorName(hit.sensor)} <span class="dim">{formatDate(hit.time)}</span></h2>
      <WhyMatched hit={hit} />
      <Timeline hit={hit} />
      <Facts hit={hit} />
      <Neighbours hit={hit} />
      <SimilarTiles hit={hit} />
      <Elsewhere hit={hit} />
    </>
  );
}

/** The query string that tells /tiles/ID/explain.png what to explain. */
async function explainQuery(): Promise<string> {
  const { text, examples } = question.value;
  const { positive, negative } = terms(text);
  if (!examples.length && positive.length === 1 && !negative.length) return `q=${encodeURIComponent(positive[0]!)}`;
  return `search=${await savedSearchId(question.value)}`;
}

function LargeImage({ hit }: { hit: Hit }) {
  const [style, setStyle] = useState<string | undefined>();
  const [highlight, setHighlight] = useState(false);
  const [opacity, setOpacity] = useState(0.75);
  const [overlay, setOverlay] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);
  const [styles] = useAsync((signal) => calls.styles(hit.id, { signal }), [hit.id]);
  useEffect(() => {
    if (!highlight) return;
    let stale = false;
    setFailed(false);
    explainQuery().then((query) => stale || setOverlay(`tiles/${hit.id}/explain.png?${query}`), () => stale || setFailed(true));
    return () => { stale = true; };
  }, [highlight, hit.id, question.value]);
  // The first style is the one of the thumbnails.
  const chosen = styles.state === "done" ? (styles.value.find(({ name }) => name === style) ?? styles.value[0]) : undefined;
  return (
    <figure class="large">
      <div class="large-picture">
        <Thumbnail id={hit.id} size={768} {...(style ? { style } : {})} alt={t.detail.label(hit.id)} />
        {highlight && overlay && <img class="explain" src={overlay} alt={t.detail.highlighted} style={{ opacity }} onError={() => setFailed(true)} />}
        <ScoreBadge hit={hit} />
      </div>
      <figcaption>
        {styles.state === "done" && styles.value.length > 0 && <StyleButtons styles={styles.value} chosen={chosen} onChange={setStyle} />}
        {searchable.value && (
          <div class="row heat-row">
            <label class="check"><input type="checkbox" checked={highlight} onChange={(event) => setHighlight(event.currentTarget.checked)} />{t.detail.highlight}</label>
            {highlight && !failed && <Slider label={t.detail.opacity} value={opacity} min={0.1} max={1} step={0.05} onInput={setOpacity} />}
            {failed && <span class="hint">{t.detail.noHighlight}</span>}
          </div>
        )}
      </figcaption>
    </figure>
  );
}

const isSingleBand = ({ bands }: calls.Style): boolean => bands.length === 1;

function StyleButtons({ styles, chosen, onChange }: { styles: readonly calls.Style[]; chosen: calls.Style | undefined; onChange: (name: string | undefined) => void }) {
  const singleBands = styles.filter(isSingleBand);
  const chosenBand = chosen && isSingleBand(chosen) ? chosen.name : "";
  return (
    <div class="styles" role="group" aria-label={t.detail.bandCombinations}>
      {styles.filter((style) => !isSingleBand(style)).map((style) => <button key={style.name} type="button" aria-pressed={chosen?.name === style.name} title={`${style.title} (${style.bands.join(", ")})`} onClick={() => onChange(style.name)}>{style.title.replace(/:.*/, "")}</button>)}
      {singleBands.length > 0 && (
        <select aria-label={t.detail.singleBand} class={chosenBand ? "on" : ""} value={chosenBand} onChange={(event) => onChange(event.currentTarget.value || undefined)}>
          <option value="">{t.detail.chooseBand}</option>
          {singleBands.map((style) => <option key={style.name} value={style.name}>{style.title}</option>)}
        </select>
      )}
    </div>
  );
}

const SIMILAR = 12;

function SimilarTiles({ hit }: { hit: Hit }) {
  const [similar, retry] = useAsync(async (signal) => {
    const { hits: found } = await calls.search({ semantic: { ids: [hit.id] } }, SIMILAR + 1, () => undefined, { signal });
    return found.filter((tile) => tile.id !== hit.id).slice(0, SIMILAR);
  }, [hit.id]);
  return (
    <section aria-label={t.detail.similar}>
      <h3>{t.detail.similar}</h3>
      {similar.state === "busy" && <Loading what={t.detail.findingSimilar} />}
      {similar.state === "failed" && <ErrorMessage reason={similar.reason} retry={retry} />}
      {similar.state === "done" && (
        <ul class="strip wrapped">
          {similar.value.map((tile) => (
            <li key={tile.id}>
              <button type="button" aria-label={t.detail.similarTile(tile.id, tile.score === null ? t.card.unknown : formatScore(tile.score))} onClick={() => { select(tile.id); updateView({ tile: tile.id }); }}><Thumbnail id={tile.id} size={128} /><span>{tile.score === null ? "" : formatScore(tile.score)}</span></button>
              <button type="button" class="mini" aria-label={t.detail.compareTile(tile.id)} title={t.common.compare} onClick={() => updateView({ compare: [hit.id, tile.id] })}><icons.Swipe /></button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** In words: what of the search this tile answers, and how sure that is. */
function WhyMatched({ hit }: { hit: Hit }) {
  if (!byId.value.has(hit.id)) return null;
  const { examples } = answered.value;
  const what = hit.matched ?? summary(answered.value);
  const liked = examples.filter(({ sign }) => sign > 0).map(({ part }) => nameOf(part));
  const text =
    isByClassifier.value && hit.score !== null ? t.detail.whyClassifier(formatPercent(hit.score), what.replace(/^classifier:/, ""))
    : examples.length ? t.detail.whyExamples(hit.score === null ? t.card.unknown : formatScore(hit.score), liked.length ? liked.join(", ") : what)
    : hit.probability !== null ? t.detail.whyProbability(formatPercent(hit.probability), what, isLikely(hit))
    : t.detail.whyRank(hit.rank, what);
  return <p class="why">{text}{hit.probabilityReason && !examples.length && <span class="dim"> {t.detail.noProbability(hit.probabilityReason)}</span>}</p>;
}

/** The tile outside of this page: as Python, as a layer of QGIS, as a file. */
function Elsewhere({ hit }: { hit: Hit }) {
  return (
    <section aria-label={t.detail.elsewhere}>
      <h3>{t.detail.elsewhere}</h3>
      <div class="row wrap">
        <button type="button" class="button" onClick={() => void copyText(pythonForTile(hit.id), t.export.what.python)}>{t.export.python}</button>
        <button type="button" class="button" title={t.detail.qgisHint} onClick={() => void copyText(tileUrl(hit.scene), t.export.what.address)}>{t.detail.qgis}</button>
        <a class="button" href={`tiles/${hit.id}/crop.tif`} download>{t.detail.geotiff}</a>
      </div>
      <p class="hint">{t.detail.qgisHint}</p>
    </section>
  );
}
