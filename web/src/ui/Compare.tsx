// Two tiles on top of each other, with a divider to swipe between them.
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { t } from "../i18n";
import { updateView } from "../model/actions";
import { boxOf, formatDate, type Hit, sensorName } from "../model/hit";
import { byId } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, IconButton, Loading, ScoreBadge, useAsync } from "./components";
import * as icons from "./icons";

/** Where the second tile lies in the frame of the first, so that the same ground is at the same place; the whole frame if they share none. */
export function placed(first: Hit | null | undefined, second: Hit | null | undefined): Record<"left" | "top" | "width" | "height", string> {
  const frame = { left: "0%", top: "0%", width: "100%", height: "100%" };
  if (!first || !second) return frame;
  const [west, south, east, north] = boxOf(first.geometry);
  const [west2, south2, east2, north2] = boxOf(second.geometry);
  if (Math.max(west, west2) >= Math.min(east, east2) || Math.max(south, south2) >= Math.min(north, north2)) return frame;
  const across = (degrees: number): string => `${(100 * degrees) / (east - west)}%`;
  const down = (degrees: number): string => `${(100 * degrees) / (north - south)}%`;
  return { left: across(west2 - west), top: down(north - north2), width: across(east2 - west2), height: down(north2 - south2) };
}

export function Compare({ ids }: { ids: [number, number] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [position, setPosition] = useState(50);
  const [tiles, retry] = useAsync((signal) => Promise.all(ids.map(async (id) => byId.value.get(id) ?? (await calls.getTile(id, { signal })))), ids);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const close = (): void => updateView({ compare: null });
  const drag = (event: PointerEvent): void => {
    const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    setPosition(Math.min(100, Math.max(0, ((event.clientX - left) / width) * 100)));
  };
  return (
    <dialog class="compare" ref={dialog} aria-label={t.compare.label} onClose={close} onCancel={close}>
      <header class="row">
        <h2 class="grow">{t.compare.title}</h2>
        <IconButton label={t.compare.swap} onClick={() => updateView({ compare: [ids[1], ids[0]] })}><icons.Swipe /></IconButton>
        <IconButton label={t.common.close} keys="Esc" onClick={close}><icons.Close /></IconButton>
      </header>
      {tiles.state === "busy" && <Loading what={t.compare.loading} />}
      {tiles.state === "failed" && <ErrorMessage reason={tiles.reason} retry={retry} />}
      {tiles.state === "done" && (
        <>
          <div class="swipe" onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); drag(event); }} onPointerMove={(event) => event.buttons && drag(event)}>
            <Thumbnail id={ids[0]} size={1024} alt={t.compare.left(describe(tiles.value[0]))} />
            <div class="swipe-top" style={{ clipPath: `inset(0 0 0 ${position}%)` }}><div class="swipe-ground" style={placed(tiles.value[0], tiles.value[1])}><Thumbnail id={ids[1]} size={1024} alt={t.compare.right(describe(tiles.value[1]))} /></div></div>
            <div class="swipe-line" style={{ left: `${position}%` }} aria-hidden="true"><span><icons.Swipe /></span></div>
          </div>
          <input type="range" class="range" aria-label={t.compare.divider} min={0} max={100} value={position} onInput={(event) => setPosition(Number(event.currentTarget.value))} />
          <div class="row">{tiles.value.map((tile, side) => <p key={side} class={side ? "side right" : "side"}>{tile ? <><ScoreBadge hit={tile} /> <b>{formatDate(tile.time)}</b> <span class="dim">{sensorName(tile.sensor)} · {t.compare.tile(tile.id)}</span></> : t.compare.missing}</p>)}</div>
        </>
      )}
    </dialog>
  );
}

const describe = (hit: Hit | null | undefined): string => (hit ? `${sensorName(hit.sensor)}, ${formatDate(hit.time)}` : t.compare.missing);
