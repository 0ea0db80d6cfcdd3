// The tiles chosen on the atlas: their pictures, as results, and as labels.
import { useState } from "preact/hooks";
import * as calls from "../api/calls";
import { t } from "../i18n";
import { notify, notifyError, setStars, updateView } from "../model/actions";
import * as atlas from "../model/atlas";
import { annotator } from "../model/storage";
import { stars } from "../model/store";
import { Thumbnail } from "./Card";
import { useAsync } from "./components";

const PICTURES = 12;
const MOST_STARRED = 500;
const MOST_LABELLED = 10_000;

/** Some of a list, evenly over it. */
const some = (ids: readonly number[], count: number): number[] => (ids.length <= count ? [...ids] : Array.from({ length: count }, (_, at) => ids[Math.floor((at * ids.length) / count)]!));

export function ChosenTiles() {
  const ids = atlas.chosenIds.value;
  if (!ids.length) return null;
  const starred = some(ids, MOST_STARRED);
  const star = (): void => {
    const before = [...stars.value];
    setStars([...new Set([...starred, ...before])]);
    updateView({ tab: "search", tile: null, starred: true });
    notify(t.atlas.chosen(starred.length), () => setStars(before));
  };
  return (
    <section class="chosen" aria-label={t.atlas.chosen(ids.length)}>
      <div class="row"><h3 class="grow"><span role="status">{t.atlas.chosen(ids.length)}</span></h3><button type="button" class="link" onClick={() => { atlas.chosen.value = []; }}>{t.atlas.clear}</button></div>
      <Pictures ids={some(ids, PICTURES)} />
      <div class="row wrap"><button type="button" class="button primary" onClick={star}>{t.atlas.star(starred.length)}</button></div>
      <LabelAll ids={some(ids, MOST_LABELLED)} />
    </section>
  );
}

export function Pictures({ ids, title }: { ids: readonly number[]; title?: (id: number) => string }) {
  return (
    <ul class="atlas-strip">
      {ids.map((id) => <li key={id}><button type="button" aria-label={title?.(id) ?? t.atlas.outlier(id, null)} title={title?.(id)} onClick={() => updateView({ tab: "search", tile: id })}><Thumbnail id={id} size={128} /></button></li>)}
    </ul>
  );
}

function LabelAll({ ids }: { ids: readonly number[] }) {
  const [found] = useAsync((signal) => calls.labelCollections({ signal }), []);
  const [name, setName] = useState("");
  const [cls, setCls] = useState("");
  if (found.state !== "done") return null;
  if (!found.value.length) return <p class="hint">{t.atlas.noCollections}</p>;
  const collection = found.value.find((one) => one.name === name) ?? found.value[0]!;
  const classes = [...Object.keys(collection.classes), "none"];
  const own = classes.includes(cls) ? cls : classes[0]!;
  const label = async (): Promise<void> => {
    try {
      await calls.addLabels(collection.name, own, ids, annotator.value.trim() || "anonymous");
      notify(t.atlas.labelled(ids.length, own));
    } catch (error) {
      notifyError(error);
    }
  };
  return (
    <form class="row wrap" onSubmit={(event) => { event.preventDefault(); void label(); }}>
      <select aria-label={t.atlas.labelIn} value={collection.name} onChange={(event) => setName(event.currentTarget.value)}>{found.value.map((one) => <option key={one.name}>{one.name}</option>)}</select>
      <select aria-label={t.atlas.labelClass} value={own} onChange={(event) => setCls(event.currentTarget.value)}>{classes.map((one) => <option key={one}>{one}</option>)}</select>
      <button type="submit" class="button">{t.atlas.label}</button>
    </form>
  );
}
