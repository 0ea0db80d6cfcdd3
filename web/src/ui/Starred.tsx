// The starred tiles as a view of their own, to be compared, exported and shared by a link.
import * as calls from "../api/calls";
import { t } from "../i18n";
import { notify, setStars, updateView } from "../model/actions";
import { tilesAsPlaces } from "../model/places";
import { layout, stars } from "../model/store";
import { ErrorMessage, Loading, useAsync } from "./components";
import { copyLink } from "./Export";
import { Grid } from "./Grid";
import * as icons from "./icons";
import { mapController } from "./mapController";
import { Table } from "./Table";

export function Starred() {
  const ids = [...stars.value];
  const [tiles, retry] = useAsync((signal) => (ids.length ? calls.getTiles(ids, { signal }) : Promise.resolve([])), [ids.join()]);
  const clear = (): void => {
    setStars([]);
    notify(t.starred.cleared, () => setStars(ids));
  };
  const found = tiles.state === "done" ? tiles.value.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id)) : [];
  const head = (
    <header class="results-head">
      <div class="row"><button type="button" class="button" onClick={() => updateView({ starred: false })}><icons.Back />{t.starred.back}</button><h2 class="grow">{t.starred.title(ids.length)}</h2></div>
      {ids.length > 0 && (
        <div class="row wrap">
          <button type="button" class="button" onClick={copyLink}><icons.Share />{t.starred.share}</button>
          <button type="button" class="button" disabled={!found.length} onClick={() => mapController.fit(found)}><icons.Fit />{t.starred.zoom}</button>
          {ids.length === 2 && <button type="button" class="button" onClick={() => updateView({ compare: ids as [number, number] })}><icons.Swipe />{t.bookmarks.compareTwo}</button>}
          <span class="grow" /><button type="button" class="link" onClick={clear}>{t.bookmarks.unstarAll}</button>
        </div>
      )}
      {tiles.state === "done" && found.length < ids.length && <p class="hint">{t.starred.gone(ids.length - found.length)}</p>}
    </header>
  );
  const List = layout.value === "table" ? Table : Grid;
  if (tiles.state === "done" && found.length) return <div class="results starred-view" aria-busy={false}><List places={tilesAsPlaces(found)} head={head} /></div>;
  return (
    <div class="results starred-view" aria-busy={tiles.state === "busy"}>
      <div class="scroller">
        {head}
        {tiles.state === "busy" && <Loading what={t.starred.loading} />}
        {tiles.state === "failed" && <ErrorMessage reason={tiles.reason} retry={retry} />}
        {!ids.length && <p class="dim">{t.starred.none}</p>}
      </div>
    </div>
  );
}
