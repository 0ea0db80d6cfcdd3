// Before the first search: example searches that suit this archive, and other ways to start.
import { thumbnail } from "../api/calls";
import { t } from "../i18n";
import { loadOverview, searchText, updateView } from "../model/actions";
import { bookmarks, recentSearches } from "../model/storage";
import { overview, overviewError } from "../model/store";
import { BookmarkList } from "./Bookmarks";
import { ErrorMessage, Loading, RichText } from "./components";
import * as icons from "./icons";

const startSearch = (text: string): void => {
  updateView({ minProbability: 0 });
  searchText(text);
};

export function SuggestedSearches({ limit }: { limit: number }) {
  return <div class="row wrap">{(overview.value?.examples ?? []).slice(0, limit).map(({ text }) => <button key={text} type="button" class="button" onClick={() => startSearch(text)}>{text}</button>)}</div>;
}

export function Welcome() {
  const archive = overview.value;
  if (!archive) return <div class="notice">{overviewError.value ? <ErrorMessage reason={overviewError.value.text} retry={() => void loadOverview()} /> : <Loading what={t.welcome.opening} />}</div>;
  if (!archive.tiles) return (
    <div class="welcome"><h2>{t.welcome.empty}</h2><p class="dim">{t.welcome.emptyHint}</p><pre><code>bandsight index /data/scenes --archive …</code></pre></div>
  );
  return (
    <div class="welcome scroller">
      <h2>{t.welcome.title}</h2>
      <p class="dim">{t.welcome.intro(archive.tiles, archive.scenes, archive.sensors.length)}</p>
      <ul class="examples">
        {archive.examples.slice(0, 8).map(({ text, tile }) => (
          <li key={text}><button type="button" onClick={() => startSearch(text)}><img src={thumbnail(tile, 128)} alt="" width={64} height={64} loading="lazy" /><span>{text}</span></button></li>
        ))}
      </ul>
      <ul class="ways">
        <li><icons.Pin /><span>{t.welcome.clickMap}</span></li>
        <li><icons.Picture /><span>{t.welcome.dropImage}</span></li>
        <li><icons.Plus /><span><RichText text={t.welcome.plusMinus} as="kbd" /></span></li>
        <li><icons.Layers /><span><button type="button" class="link" onClick={() => updateView({ tab: "labels" })}>{t.welcome.map}</button></span></li>
        <li><icons.Help /><span><RichText text={t.welcome.shortcuts} as="kbd" /></span></li>
      </ul>
      {recentSearches.value.length > 0 && <><h3>{t.welcome.recent}</h3><div class="row wrap">{recentSearches.value.slice(0, 6).map((text) => <button key={text} type="button" class="button" onClick={() => startSearch(text)}><icons.Clock />{text}</button>)}</div></>}
      {bookmarks.value.length > 0 && <><h3>{t.bookmarks.label}</h3><BookmarkList /></>}
    </div>
  );
}
