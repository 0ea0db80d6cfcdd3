// Two places or two dates on top of each other, with a line to swipe between them.
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { look } from "../model/actions";
import { dayOf, type Hit, sensorName } from "../model/hit";
import { byId } from "../model/store";
import { Badge, Failed, IconButton, useLoaded, Waiting } from "./bits";
import { Thumbnail } from "./Card";
import * as icons from "./icons";

export function Compare({ ids }: { ids: [number, number] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [at, setAt] = useState(50);
  const [loaded, retry] = useLoaded((signal) => Promise.all(ids.map(async (id) => byId.value.get(id) ?? (await calls.tile(id, { signal })))), ids);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const close = (): void => look({ compare: null });
  const pull = (event: PointerEvent): void => {
    const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    setAt(Math.min(100, Math.max(0, ((event.clientX - left) / width) * 100)));
  };
  return (
    <dialog class="compare" ref={dialog} aria-label="Compare two places" onClose={close} onCancel={close}>
      <header class="row">
        <h2 class="grow">Compare</h2>
        <IconButton label="Swap sides" onClick={() => look({ compare: [ids[1], ids[0]] })}><icons.Swipe /></IconButton>
        <IconButton label="Close" keys="Esc" onClick={close}><icons.Close /></IconButton>
      </header>
      {loaded.state === "busy" && <Waiting what="Reading both tiles" />}
      {loaded.state === "failed" && <Failed reason={loaded.reason} retry={retry} />}
      {loaded.state === "done" && (
        <>
          <div class="swipe" onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); pull(event); }} onPointerMove={(event) => event.buttons && pull(event)}>
            <Thumbnail id={ids[0]} size={1024} alt={`Left: ${words(loaded.value[0])}`} />
            <div class="swipe-top" style={{ clipPath: `inset(0 0 0 ${at}%)` }}><Thumbnail id={ids[1]} size={1024} alt={`Right: ${words(loaded.value[1])}`} /></div>
            <div class="swipe-line" style={{ left: `${at}%` }} aria-hidden="true"><span><icons.Swipe /></span></div>
          </div>
          <input type="range" class="range" aria-label="Where the line stands" min={0} max={100} value={at} onInput={(event) => setAt(Number(event.currentTarget.value))} />
          <div class="row">{loaded.value.map((one, side) => <p key={side} class={side ? "side right" : "side"}>{one ? <><Badge hit={one} /> <b>{dayOf(one.time)}</b> <span class="dim">{sensorName(one.sensor)} · tile {one.id}</span></> : "not in this archive"}</p>)}</div>
        </>
      )}
    </dialog>
  );
}

const words = (hit: Hit | null | undefined): string => (hit ? `${sensorName(hit.sensor)}, ${dayOf(hit.time)}` : "no such tile");
