// What is at a place that was pressed: its tiles, what they may show, and more or less like it.
import * as calls from "../api/calls";
import { postJson } from "../api/http";
import { example, exampleTile, look, select } from "../model/actions";
import { dayOf, type Hit, percent, sensorName } from "../model/hit";
import { signs } from "../model/store";
import { Failed, IconButton, useLoaded, Waiting } from "./bits";
import { Thumbnail } from "./Card";
import * as icons from "./icons";

// What ground mostly is, for a first word on a place.
const KINDS = ["forest", "farmland", "grassland", "a lake", "a river", "the sea", "a town", "houses", "an airport", "a harbour", "industry", "bare mountains", "desert", "snow and ice", "wetland", "clouds"];

export function Here({ lon, lat, first, close }: { lon: number; lat: number; first: number | null; close: () => void }) {
  const [loaded, retry] = useLoaded(async (signal) => {
    const body = { intersects: { type: "Point", coordinates: [lon, lat] }, sortby: [{ field: "datetime", direction: "desc" }], limit: 60 };
    const found = await calls.list(body, { signal });
    return found.toSorted((a, b) => Number(b.id === first) - Number(a.id === first));
  }, [lon, lat]);
  return (
    <section class="here-body" aria-label="What is here">
      <header class="row"><b class="grow num">{lat.toFixed(4)}, {lon.toFixed(4)}</b><IconButton label="Close" onClick={close}><icons.Close /></IconButton></header>
      {loaded.state === "busy" && <Waiting what="Looking what is here" />}
      {loaded.state === "failed" && <Failed reason={loaded.reason} retry={retry} />}
      {loaded.state === "done" && (loaded.value.length ? <Tiles tiles={loaded.value} lon={lon} lat={lat} close={close} /> : <p class="dim">The archive holds no imagery of this place.</p>)}
    </section>
  );
}

function Tiles({ tiles, lon, lat, close }: { tiles: Hit[]; lon: number; lat: number; close: () => void }) {
  const top = tiles[0]!;
  const sign = signs.value.get(top.id);
  return (
    <>
      <div class="here-top">
        <button type="button" class="here-picture" aria-label={`Details of tile ${top.id}`} onClick={() => { select(top.id); look({ tile: top.id, tab: "search" }); close(); }}><Thumbnail id={top.id} size={256} /></button>
        <div class="grow">
          <b>{sensorName(top.sensor)}</b> <span class="dim">{dayOf(top.time)}</span>
          <Words id={top.id} />
        </div>
      </div>
      {tiles.length > 1 && <ul class="strip">{tiles.slice(1, 9).map((one) => <li key={one.id}><button type="button" aria-label={`Details of tile ${one.id}, ${dayOf(one.time)}`} onClick={() => { select(one.id); look({ tile: one.id, tab: "search" }); close(); }}><Thumbnail id={one.id} size={64} /><span>{one.time ? one.time.slice(2, 7) : "–"}</span></button></li>)}</ul>}
      <div class="row">
        <button type="button" class={`button plus grow ${sign === 1 ? "on" : ""}`} onClick={() => exampleTile(top.id, 1)}><icons.Plus />Find more like this</button>
        <button type="button" class={`button minus ${sign === -1 ? "on" : ""}`} aria-label="Less like this" onClick={() => exampleTile(top.id, -1)}><icons.Minus />Less</button>
      </div>
      {tiles.length > 1 && <button type="button" class="link" onClick={() => example({ kind: "point", lon, lat }, 1)}>Use all {tiles.length} tiles of this point as the example</button>}
    </>
  );
}

interface Classified { tiles: { probabilities: Record<string, number> }[] }

function Words({ id }: { id: number }) {
  const [loaded] = useLoaded((signal) => postJson<Classified>("classify", { labels: KINDS, ids: [String(id)] }, { signal }), [id]);
  if (loaded.state !== "done") return <p class="hint">{loaded.state === "busy" ? "…" : ""}</p>;
  const best = Object.entries(loaded.value.tiles[0]?.probabilities ?? {}).toSorted((a, b) => b[1] - a[1]).slice(0, 3);
  return <ul class="words" aria-label="What it may be">{best.map(([label, probability]) => <li key={label}><span>{label}</span><span class="dim num">{percent(probability)}</span></li>)}</ul>;
}
