// Saved selections: a question and the places kept of it, in this browser.
import { useState } from "preact/hooks";
import { look, say } from "../model/actions";
import * as address from "../model/address";
import { save, saved, unsave } from "../model/kept";
import { inWords } from "../model/question";
import { question, stars, view } from "../model/store";
import { Popover } from "./bits";
import * as icons from "./icons";

export function SavedList() {
  return (
    <ul class="saved">
      {saved.value.map((one) => (
        <li key={one.name}>
          <a class="grow clip" href={`#${one.hash}`} onClick={(event) => { event.preventDefault(); stars.value = new Set(one.tiles); location.hash = one.hash; }}>{one.name}</a>
          <span class="dim num">{one.tiles.length ? `${one.tiles.length} ★` : ""}</span>
          <button type="button" class="bare" aria-label={`Delete ${one.name}`} onClick={() => { unsave(one.name); say("Deleted", () => save(one)); }}><icons.Trash /></button>
        </li>
      ))}
    </ul>
  );
}

export function Saved() {
  const [name, setName] = useState<string | null>(null);
  const title = name ?? inWords(question.value).slice(0, 80);
  return (
    <Popover label="Saved selections" class="icon-button" side="right" button={<><icons.Star />{stars.value.size > 0 && <span class="count">{stars.value.size}</span>}</>}>
      {(close) => (
        <div>
          <h2>Save this selection</h2>
          <p class="hint">The question, its filters and the places marked ★ ({stars.value.size || "none yet"}), in this browser.</p>
          <div class="row">
            <input class="grow" aria-label="Name" value={title} maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />
            <button type="button" class="button primary" onClick={() => {
              save({ name: title.trim() || "unnamed", hash: address.write(question.value, { ...view.value, tile: null, compare: null }), tiles: [...stars.value], at: new Date().toISOString() });
              setName(null);
              close();
              say("Saved");
            }}>Save</button>
          </div>
          {stars.value.size === 2 && <div class="row"><button type="button" class="button grow" onClick={() => { close(); look({ compare: [...stars.value] as [number, number] }); }}><icons.Swipe />Compare the two</button></div>}
          {stars.value.size > 0 && <button type="button" class="link" onClick={() => { stars.value = new Set(); }}>Unstar all</button>}
          {saved.value.length > 0 && <><h2>Saved before</h2><SavedList /></>}
        </div>
      )}
    </Popover>
  );
}
