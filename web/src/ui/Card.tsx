// One hit in the grid: its picture, how likely it is, and more or less like it.
import { useState } from "preact/hooks";
import { thumbnail } from "../api/calls";
import { dayOf, type Hit, sensorName, shortSensor } from "../model/hit";
import { exampleTile, look, select, star } from "../model/actions";
import { current, hovered, signs, stars } from "../model/store";
import { Badge } from "./bits";
import { useMap } from "./mapState";
import * as icons from "./icons";

// Pictures at the top of the list come before those of the map.
const FIRST = 12;

interface Place { hit: Hit; place: number; of: number; side: number; x: number; y: number }

export function Card({ hit, place, of, side, x, y }: Place) {
  const isCurrent = current.value === hit.id;
  const sign = signs.value.get(hit.id);
  const starred = stars.value.has(hit.id);
  const open = (): void => { select(hit.id); look({ tile: hit.id }); };
  const name = `${sensorName(hit.sensor)}, ${dayOf(hit.time)}, ${hit.title}, `;
  return (
    <li
      class={`card ${isCurrent ? "current" : ""} ${hovered.value === hit.id ? "hovered" : ""} ${sign === 1 ? "for" : sign === -1 ? "against" : ""}`}
      data-tile={hit.id} aria-posinset={place + 1} aria-setsize={of}
      style={{ width: `${side}px`, transform: `translate(${x}px, ${y}px)` }}
      onPointerEnter={() => { hovered.value = hit.id; }} onPointerLeave={() => { if (hovered.value === hit.id) hovered.value = null; }}
    >
      <button type="button" class="face-button" aria-current={isCurrent ? "true" : undefined} style={{ height: `${side}px` }}
        onFocus={() => select(hit.id)} onClick={open}>
        <Thumbnail id={hit.id} size={256} first={place < FIRST} />
        <span class="rank">{place + 1}</span>
        <span class="hidden">{name}</span>
        <Badge hit={hit} />
      </button>
      <div class="card-tools">
        <button type="button" class={`tool plus ${sign === 1 ? "on" : ""}`} aria-label={`More like ${place + 1}`} title="More like this (+)" aria-pressed={sign === 1} onClick={() => exampleTile(hit.id, 1)}><icons.Plus /></button>
        <button type="button" class={`tool minus ${sign === -1 ? "on" : ""}`} aria-label={`Less like ${place + 1}`} title="Less like this (−)" aria-pressed={sign === -1} onClick={() => exampleTile(hit.id, -1)}><icons.Minus /></button>
        <button type="button" class={`tool star ${starred ? "on" : ""}`} aria-label={`Keep ${place + 1}`} title="Keep in the selection (s)" aria-pressed={starred} onClick={() => star(hit.id)}><icons.Star /></button>
        <button type="button" class="tool" aria-label={`Zoom the map to ${place + 1}`} title="Zoom the map to it (z)" onClick={() => { select(hit.id); useMap.zoomTo(hit); }}><icons.Pin /></button>
      </div>
      <p class="caption"><span class="clip" title={sensorName(hit.sensor)}>{shortSensor(hit.sensor)}</span><span class="dim num">{dayOf(hit.time)}</span></p>
    </li>
  );
}

/** A picture that says so when it cannot be had, and asks again once it is pressed. */
export function Thumbnail({ id, size, style, alt = "", first = false }: { id: number; size: number; style?: string; alt?: string; first?: boolean }) {
  const [state, setState] = useState<"wait" | "seen" | "failed">("wait");
  const src = thumbnail(id, size, style);
  return (
    <span class={`picture ${state}`}>
      {state === "failed" ? <span class="no-picture">no picture</span> : <img key={src} src={src} alt={alt} width={size} height={size} loading={first ? "eager" : "lazy"} fetchpriority={first ? "high" : "auto"} decoding="async" draggable={false} onLoad={() => setState("seen")} onError={() => setState("failed")} />}
    </span>
  );
}
