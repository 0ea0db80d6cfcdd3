// A popup for a click on the map: the tiles there, their likely land cover, and more or less like them.
import * as calls from "../api/calls";
import { postJson } from "../api/http";
import { formatPercent, t } from "../i18n";
import { select, toggleExample, toggleTileExample, updateView } from "../model/actions";
import { formatDate, type Hit, sensorName } from "../model/hit";
import { exampleSigns } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, IconButton, Loading, useAsync } from "./components";
import * as icons from "./icons";

/** Labels for a first guess. They stay English, the language of the model. */
const LAND_COVER = ["forest", "farmland", "grassland", "a lake", "a river", "the sea", "a town", "houses", "an airport", "a harbour", "industry", "bare mountains", "desert", "snow and ice", "wetland", "clouds"];

export function PlacePopup({ lon, lat, first, close }: { lon: number; lat: number; first: number | null; close: () => void }) {
  const [tiles, retry] = useAsync(async (signal) => {
    const body = { intersects: { type: "Point", coordinates: [lon, lat] }, sortby: [{ field: "datetime", direction: "desc" }], limit: 60 };
    const found = await calls.listTiles(body, { signal });
    return found.toSorted((a, b) => Number(b.id === first) - Number(a.id === first));
  }, [lon, lat]);
  return (
    <section class="here-body" aria-label={t.place.label}>
      <header class="row"><b class="grow num">{lat.toFixed(4)}, {lon.toFixed(4)}</b><IconButton label={t.common.close} onClick={close}><icons.Close /></IconButton></header>
      {tiles.state === "busy" && <Loading what={t.place.loading} />}
      {tiles.state === "failed" && <ErrorMessage reason={tiles.reason} retry={retry} />}
      {tiles.state === "done" && (tiles.value.length ? <Tiles tiles={tiles.value} lon={lon} lat={lat} close={close} /> : <p class="dim">{t.place.none}</p>)}
    </section>
  );
}

function Tiles({ tiles, lon, lat, close }: { tiles: Hit[]; lon: number; lat: number; close: () => void }) {
  const first = tiles[0]!;
  const sign = exampleSigns.value.get(first.id);
  const open = (id: number): void => {
    select(id);
    updateView({ tile: id, tab: "search" });
    close();
  };
  return (
    <>
      <div class="here-top">
        <button type="button" class="here-picture" aria-label={t.place.open(first.id)} onClick={() => open(first.id)}><Thumbnail id={first.id} size={256} /></button>
        <div class="grow">
          <b>{sensorName(first.sensor)}</b> <span class="dim">{formatDate(first.time)}</span>
          <LandCover id={first.id} />
        </div>
      </div>
      {tiles.length > 1 && <ul class="strip">{tiles.slice(1, 9).map((tile) => <li key={tile.id}><button type="button" aria-label={t.place.openDate(tile.id, formatDate(tile.time))} onClick={() => open(tile.id)}><Thumbnail id={tile.id} size={64} /><span>{tile.time ? tile.time.slice(2, 7) : "–"}</span></button></li>)}</ul>}
      <div class="row">
        <button type="button" class={`button plus grow ${sign === 1 ? "on" : ""}`} onClick={() => { updateView({ tile: null }); toggleTileExample(first.id, 1); }}><icons.Plus />{t.place.findMore}</button>
        <button type="button" class={`button minus ${sign === -1 ? "on" : ""}`} aria-label={t.common.lessLikeThis} onClick={() => toggleTileExample(first.id, -1)}><icons.Minus />{t.common.less}</button>
      </div>
      {tiles.length > 1 && <button type="button" class="link" onClick={() => toggleExample({ kind: "point", lon, lat }, 1)}>{t.place.useAll(tiles.length)}</button>}
    </>
  );
}

interface Classified { tiles: { ranked: string[]; probabilities: Record<string, number | null> }[] }

function LandCover({ id }: { id: number }) {
  const [result] = useAsync((signal) => postJson<Classified>("classify", { labels: LAND_COVER, ids: [String(id)] }, { signal }), [id]);
  if (result.state !== "done") return <p class="hint">{result.state === "busy" ? "…" : ""}</p>;
  const tile = result.value.tiles[0];
  const best = (tile?.ranked ?? []).slice(0, 3).map((label) => ({ label, probability: tile?.probabilities[label] ?? null }));
  return <ul class="words" aria-label={t.place.landCover}>{best.map(({ label, probability }) => <li key={label}><span>{label}</span>{probability !== null && <span class="dim num">{formatPercent(probability)}</span>}</li>)}</ul>;
}
