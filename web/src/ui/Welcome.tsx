// Before the first question: sentences that this archive can answer, each with its best place; and the other ways to ask.
import { thumbnail } from "../api/calls";
import { loadOverview, look, searchText } from "../model/actions";
import { former, saved } from "../model/kept";
import { overview, overviewFailure } from "../model/store";
import { Failed, Waiting } from "./bits";
import { SavedList } from "./Saved";
import * as icons from "./icons";

const ask = (text: string): void => {
  look({ least: 0 });
  searchText(text);
};

export function Try({ most }: { most: number }) {
  return <div class="row wrap">{(overview.value?.examples ?? []).slice(0, most).map((one) => <button key={one.text} type="button" class="button" onClick={() => ask(one.text)}>{one.text}</button>)}</div>;
}

export function Welcome() {
  const held = overview.value;
  if (!held) return <div class="notice">{overviewFailure.value ? <Failed reason={overviewFailure.value.text} retry={() => void loadOverview()} /> : <Waiting what="Opening the archive" />}</div>;
  if (!held.tiles) return (
    <div class="welcome"><h2>This archive is empty</h2><p class="dim">Index some scenes into it; they appear here by themselves.</p><pre><code>bandsight index /data/scenes --archive …</code></pre></div>
  );
  return (
    <div class="welcome scroller">
      <h2>What are you looking for?</h2>
      <p class="dim">{held.tiles.toLocaleString("en")} tiles of {held.scenes.toLocaleString("en")} scenes, {held.sensors.length} {held.sensors.length === 1 ? "sensor" : "sensors"}. Describe a place in your own words, or begin with one of these:</p>
      <ul class="examples">
        {held.examples.slice(0, 8).map((one) => (
          <li key={one.text}><button type="button" onClick={() => ask(one.text)}><img src={thumbnail(one.tile, 128)} alt="" width={64} height={64} loading="lazy" /><span>{one.text}</span></button></li>
        ))}
      </ul>
      <ul class="ways">
        <li><icons.Pin /><span>Click the map: what is here, and where else</span></li>
        <li><icons.Picture /><span>Drop or paste a picture anywhere, GeoTIFF too</span></li>
        <li><icons.Plus /><span>Press <kbd>+</kbd> or <kbd>−</kbd> on a result for more or less like it</span></li>
        <li><icons.Help /><span>Press <kbd>?</kbd> for all keys</span></li>
      </ul>
      {former.value.length > 0 && <><h3>Lately</h3><div class="row wrap">{former.value.slice(0, 6).map((text) => <button key={text} type="button" class="button" onClick={() => ask(text)}><icons.Clock />{text}</button>)}</div></>}
      {saved.value.length > 0 && <><h3>Saved</h3><SavedList /></>}
    </div>
  );
}
