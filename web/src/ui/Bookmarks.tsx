// Bookmarks: a search and its starred tiles, stored in this browser.
import { useState } from "preact/hooks";
import { t } from "../i18n";
import { notify, setStars, updateView } from "../model/actions";
import * as permalink from "../model/permalink";
import { summary } from "../model/question";
import { addBookmark, bookmarks, deleteBookmark } from "../model/storage";
import { question, stars, view } from "../model/store";
import { Popover } from "./components";
import * as icons from "./icons";

export function BookmarkList() {
  return (
    <ul class="saved">
      {bookmarks.value.map((bookmark) => (
        <li key={bookmark.name}>
          <a class="grow clip" href={`#${bookmark.hash}`} onClick={(event) => { event.preventDefault(); setStars(bookmark.tiles); location.hash = bookmark.hash; }}>{bookmark.name}</a>
          <span class="dim num">{bookmark.tiles.length ? t.bookmarks.starred(bookmark.tiles.length) : ""}</span>
          <button type="button" class="bare" aria-label={t.common.delete(bookmark.name)} onClick={() => { deleteBookmark(bookmark.name); notify(t.bookmarks.deleted, () => addBookmark(bookmark)); }}><icons.Trash /></button>
        </li>
      ))}
    </ul>
  );
}

export function Bookmarks() {
  const [name, setName] = useState<string | null>(null);
  const title = name ?? summary(question.value).slice(0, 80);
  const starred = stars.value.size;
  const add = (): void => {
    const hash = permalink.toHash(question.value, { ...view.value, tile: null, compare: null });
    addBookmark({ name: title.trim() || t.bookmarks.untitled, hash, tiles: [...stars.value], at: new Date().toISOString() });
    setName(null);
    notify(t.bookmarks.saved);
  };
  return (
    <Popover label={t.bookmarks.label} class="icon-button" side="right" button={<><icons.Star />{starred > 0 && <span class="count" data-count={starred} />}</>}>
      {(close) => (
        <div>
          <h2>{t.bookmarks.title}</h2>
          <p class="hint">{t.bookmarks.hint(starred)}</p>
          <div class="row">
            <input class="grow" aria-label={t.bookmarks.name} value={title} maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />
            <button type="button" class="button primary" onClick={() => { add(); close(); }}>{t.bookmarks.save}</button>
          </div>
          {starred === 2 && <div class="row"><button type="button" class="button grow" onClick={() => { close(); updateView({ compare: [...stars.value] as [number, number] }); }}><icons.Swipe />{t.bookmarks.compareTwo}</button></div>}
          {starred > 0 && <div class="row"><button type="button" class="button grow" onClick={() => { close(); updateView({ starred: true, tile: null, tab: "search" }); }}><icons.Star />{t.starred.show(starred)}</button></div>}
          {starred > 0 && <button type="button" class="link" onClick={() => setStars([])}>{t.bookmarks.unstarAll}</button>}
          {bookmarks.value.length > 0 && <><h2>{t.bookmarks.label}</h2><BookmarkList /></>}
        </div>
      )}
    </Popover>
  );
}
