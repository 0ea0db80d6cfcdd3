// One hit in the grid: its thumbnail, its score, and buttons for more or less like it.
import { useEffect, useRef, useState } from "preact/hooks";
import { imageProblem, thumbnail } from "../api/calls";
import { t } from "../i18n";
import { select, toggleStar, toggleTileExample, updateView } from "../model/actions";
import { rampColor } from "../model/color";
import { formatDate, sensorName, shortSensor } from "../model/hit";
import { datesOf, type Place } from "../model/places";
import { exampleSigns, hovered, leadOf, relativeScore, selected, signedOut, stars } from "../model/store";
import { ScoreBadge } from "./components";
import * as icons from "./icons";
import { mapController } from "./mapController";

/** Thumbnails of the first hits load before those further down. */
const EAGER = 12;
const MOST_MARKS = 8;

interface Props { place: Place; index: number; total: number; side: number; x: number; y: number }

export function Card({ place, index, total, side, x, y }: Props) {
  const hit = place.lead;
  const isSelected = leadOf(selected.value) === hit.id;
  const isHovered = leadOf(hovered.value) === hit.id;
  const sign = exampleSigns.value.get(hit.id);
  const starred = stars.value.has(hit.id);
  const rank = index + 1;
  const open = (): void => { select(hit.id); updateView({ tile: hit.id }); };
  const images = place.tiles.length;
  const description = `${sensorName(hit.sensor)}, ${formatDate(hit.time)}, ${hit.title}, ${images > 1 ? `${t.card.images(images)}, ` : ""}`;
  return (
    <li
      class={`card ${isSelected ? "current" : ""} ${isHovered ? "hovered" : ""} ${sign === 1 ? "for" : sign === -1 ? "against" : ""}`}
      data-tile={hit.id} aria-posinset={rank} aria-setsize={total}
      style={{ width: `${side}px`, transform: `translate(${x}px, ${y}px)` }}
      onPointerEnter={() => { hovered.value = hit.id; }} onPointerLeave={() => { if (hovered.value === hit.id) hovered.value = null; }}
    >
      <button type="button" class="face-button" aria-current={isSelected ? "true" : undefined} style={{ height: `${side}px` }}
        onFocus={() => select(hit.id)} onClick={open}>
        <Thumbnail id={hit.id} size={256} eager={index < EAGER} />
        <span class="hidden">{t.card.result(rank)}, {description}</span>
        <ScoreBadge hit={hit} rank={rank} />
        {images > 1 && <DateStrip place={place} />}
      </button>
      <div class="card-tools">
        <button type="button" class={`tool plus ${sign === 1 ? "on" : ""}`} aria-label={t.card.more(rank)} title={t.common.withKey(t.common.moreLikeThis, "+")} aria-pressed={sign === 1} onClick={() => toggleTileExample(hit.id, 1)}><icons.Plus /></button>
        <button type="button" class={`tool minus ${sign === -1 ? "on" : ""}`} aria-label={t.card.less(rank)} title={t.common.withKey(t.common.lessLikeThis, "−")} aria-pressed={sign === -1} onClick={() => toggleTileExample(hit.id, -1)}><icons.Minus /></button>
        <button type="button" class={`tool star ${starred ? "on" : ""}`} aria-label={t.card.star(rank)} title={t.common.withKey(t.common.star, "s")} aria-pressed={starred} onClick={() => toggleStar(hit.id)}><icons.Star /></button>
        <button type="button" class="tool" aria-label={t.card.zoom(rank)} title={t.common.withKey(t.card.zoomHint, "z")} onClick={() => { select(hit.id); mapController.zoomTo(hit); }}><icons.Pin /></button>
      </div>
      <p class="caption"><span class="clip" title={sensorName(hit.sensor)}>{shortSensor(hit.sensor)}</span><span class="dim num" title={images > 1 ? t.card.images(images) : undefined}>{hit.time ? formatDate(hit.time) : t.common.noDate}</span></p>
    </li>
  );
}

/** One mark for each image of a place in the order of time; the one that is shown is larger. */
function DateStrip({ place }: { place: Place }) {
  return (
    <span class="date-strip" aria-hidden="true" title={datesOf(place).map(({ time }) => formatDate(time)).join(", ")}>
      {datesOf(place).slice(0, MOST_MARKS).map((tile) => <i key={tile.id} class={tile.id === place.lead.id ? "shown" : ""} style={{ background: rampColor(relativeScore(tile)) }} />)}
      <b>{place.tiles.length}</b>
    </span>
  );
}

/** The thumbnail of a tile, or the reason why there is none. */
export function Thumbnail({ id, size, style, alt = "", eager = false }: { id: number; size: number; style?: string; alt?: string; eager?: boolean }) {
  const [state, setState] = useState<"wait" | "seen" | "failed">("wait");
  const [reason, setReason] = useState("");
  const tried = useRef(false);
  const src = thumbnail(id, size, style);
  const explain = (): void => {
    setState("failed");
    // Browsers do not show scripts the response to an image.
    void imageProblem(src).then((problem) => {
      if (problem !== null) setReason(problem);
      else if (!tried.current) setState("wait");
      tried.current = true;
    });
  };
  // What failed while the server asked for the key loads again once the user has signed in.
  useEffect(() => { if (!signedOut.value && state === "failed") setState("wait"); }, [signedOut.value]);
  return (
    <span class={`picture ${state}`}>
      {state === "failed" ? <span class="no-picture" title={reason}><b>{t.card.noImage}</b>{reason && <span class="why">{reason}</span>}</span> : <img key={src} src={src} alt={alt} width={size} height={size} loading={eager ? "eager" : "lazy"} fetchpriority={eager ? "high" : "auto"} decoding="async" draggable={false} onLoad={() => setState("seen")} onError={explain} />}
    </span>
  );
}
