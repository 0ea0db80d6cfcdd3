// One hit in the grid: its thumbnail, its score, and buttons for more or less like it.
import { useEffect, useRef, useState } from "preact/hooks";
import { imageProblem, thumbnail } from "../api/calls";
import { t } from "../i18n";
import { select, toggleStar, toggleTileExample, updateView } from "../model/actions";
import { formatDate, type Hit, sensorName, shortSensor } from "../model/hit";
import { exampleSigns, hovered, selected, signedOut, stars } from "../model/store";
import { ScoreBadge } from "./components";
import * as icons from "./icons";
import { mapController } from "./mapController";

/** Thumbnails of the first hits load before those further down. */
const EAGER = 12;

interface Props { hit: Hit; index: number; total: number; side: number; x: number; y: number }

export function Card({ hit, index, total, side, x, y }: Props) {
  const isSelected = selected.value === hit.id;
  const sign = exampleSigns.value.get(hit.id);
  const starred = stars.value.has(hit.id);
  const rank = index + 1;
  const open = (): void => { select(hit.id); updateView({ tile: hit.id }); };
  const description = `${sensorName(hit.sensor)}, ${formatDate(hit.time)}, ${hit.title}, `;
  return (
    <li
      class={`card ${isSelected ? "current" : ""} ${hovered.value === hit.id ? "hovered" : ""} ${sign === 1 ? "for" : sign === -1 ? "against" : ""}`}
      data-tile={hit.id} aria-posinset={rank} aria-setsize={total}
      style={{ width: `${side}px`, transform: `translate(${x}px, ${y}px)` }}
      onPointerEnter={() => { hovered.value = hit.id; }} onPointerLeave={() => { if (hovered.value === hit.id) hovered.value = null; }}
    >
      <button type="button" class="face-button" aria-current={isSelected ? "true" : undefined} style={{ height: `${side}px` }}
        onFocus={() => select(hit.id)} onClick={open}>
        <Thumbnail id={hit.id} size={256} eager={index < EAGER} />
        <span class="rank">{rank}</span>
        <span class="hidden">{description}</span>
        <ScoreBadge hit={hit} />
      </button>
      <div class="card-tools">
        <button type="button" class={`tool plus ${sign === 1 ? "on" : ""}`} aria-label={t.card.more(rank)} title={t.common.withKey(t.common.moreLikeThis, "+")} aria-pressed={sign === 1} onClick={() => toggleTileExample(hit.id, 1)}><icons.Plus /></button>
        <button type="button" class={`tool minus ${sign === -1 ? "on" : ""}`} aria-label={t.card.less(rank)} title={t.common.withKey(t.common.lessLikeThis, "−")} aria-pressed={sign === -1} onClick={() => toggleTileExample(hit.id, -1)}><icons.Minus /></button>
        <button type="button" class={`tool star ${starred ? "on" : ""}`} aria-label={t.card.star(rank)} title={t.common.withKey(t.common.star, "s")} aria-pressed={starred} onClick={() => toggleStar(hit.id)}><icons.Star /></button>
        <button type="button" class="tool" aria-label={t.card.zoom(rank)} title={t.common.withKey(t.card.zoomHint, "z")} onClick={() => { select(hit.id); mapController.zoomTo(hit); }}><icons.Pin /></button>
      </div>
      <p class="caption"><span class="clip" title={sensorName(hit.sensor)}>{shortSensor(hit.sensor)}</span><span class="dim num">{formatDate(hit.time)}</span></p>
    </li>
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
