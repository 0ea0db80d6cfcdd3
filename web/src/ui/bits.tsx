// Small parts that several views are made of.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Hit } from "../model/hit";
import { percent } from "../model/hit";
import { warm } from "../model/color";
import { byId, range, warmth } from "../model/store";

type Children = ComponentChildren;

export function IconButton(props: { label: string; keys?: string; on?: boolean; class?: string; disabled?: boolean; onClick: (event: MouseEvent) => void; children: Children }) {
  const { label, keys, on, class: more = "", disabled, onClick, children } = props;
  return (
    <button type="button" class={`icon-button ${more}`} aria-label={label} title={keys ? `${label} (${keys})` : label} disabled={disabled} onClick={onClick} {...(on === undefined ? {} : { "aria-pressed": on })}>
      {children}
    </button>
  );
}

/** A button and what it opens; Escape and a press elsewhere close it. */
export function Popover(props: { label: string; button: Children; class?: string; side?: "left" | "right"; wide?: boolean; children: (close: () => void) => Children }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setOpen(false);
      trigger.current?.focus();
    };
    document.addEventListener("pointerdown", outside);
    root.current?.addEventListener("keydown", escape);
    root.current?.querySelector<HTMLElement>(".popover input, .popover button, .popover select")?.focus({ preventScroll: true });
    const node = root.current;
    return () => {
      document.removeEventListener("pointerdown", outside);
      node?.removeEventListener("keydown", escape);
    };
  }, [open]);
  return (
    <div class="pop" ref={root}>
      <button ref={trigger} type="button" class={props.class ?? "button"} aria-label={props.label} title={props.label} aria-haspopup="dialog" aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
        {props.button}
      </button>
      {open && (
        <div class={`popover ${props.side ?? "left"} ${props.wide ? "wide" : ""}`} id={id} role="dialog" aria-label={props.label}>
          {props.children(() => setOpen(false))}
        </div>
      )}
    </div>
  );
}

/** How likely a hit is right: the number, its colour, and whether it counts as a match. */
export function Badge({ hit }: { hit: Hit }) {
  // Beside examples, places are ordered by likeness: the number that they are ordered by is shown.
  const likely = hit.probability !== null && !(byId.value.has(hit.id) && range.value.of === "score");
  const text = likely ? percent(hit.probability!) : (hit.score?.toFixed(2) ?? "");
  if (!text) return null;
  const chance = hit.probability === null ? "" : `${percent(hit.probability)} probable that the words are true of it${hit.match ? ", likely enough to count (✓)" : ""}; `;
  const title = `${chance}likeness ${hit.score?.toFixed(3) ?? "unknown"}`;
  return (
    <span class={`badge ${hit.match ? "match" : ""}`} title={title}>
      <i style={{ background: warm(warmth(hit)) }} />
      {text}
      {hit.match && <span class="tick" aria-label="a match">✓</span>}
    </span>
  );
}

export function Field(props: { label: string; value?: Children; children: Children; hint?: string }) {
  return (
    <div class="field">
      <div class="field-head"><span>{props.label}</span>{props.value !== undefined && <span class="dim">{props.value}</span>}</div>
      {props.children}
      {props.hint && <p class="hint">{props.hint}</p>}
    </div>
  );
}

export function Checks(props: { of: readonly { id: string; name: string; count?: number }[]; chosen: readonly string[]; label: string; onChange: (chosen: string[]) => void }) {
  return (
    <div class="checks" role="group" aria-label={props.label}>
      {props.of.map(({ id, name, count }) => (
        <label key={id} class="check">
          <input type="checkbox" checked={props.chosen.includes(id)} onChange={(event) => props.onChange(event.currentTarget.checked ? [...props.chosen, id] : props.chosen.filter((other) => other !== id))} />
          <span class="grow" title={id}>{name}</span>
          {count !== undefined && <span class="dim num">{count.toLocaleString("en")}</span>}
        </label>
      ))}
    </div>
  );
}

export function Segments<T extends string>(props: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void }) {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, name]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>{name}</button>
      ))}
    </div>
  );
}

export function Range(props: { label: string; value: number; min: number; max: number; step: number; onInput: (value: number) => void; onChange?: (value: number) => void; text?: string }) {
  const share = ((props.value - props.min) / (props.max - props.min || 1)) * 100;
  const read = (event: { currentTarget: HTMLInputElement }): number => Number(event.currentTarget.value);
  return (
    <input
      type="range" class="range" aria-label={props.label} aria-valuetext={props.text} min={props.min} max={props.max} step={props.step} value={props.value}
      style={`--share:${share}%`}
      onInput={(event) => props.onInput(read(event))} onChange={(event) => props.onChange?.(read(event))}
    />
  );
}

/** Waiting, with words after a while: nothing turns for ever without saying why. */
export function Waiting({ what }: { what: string }) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), 4000);
    return () => clearTimeout(timer);
  }, []);
  return <p class="waiting" role="status"><span class="spinner" aria-hidden="true" />{slow ? `${what} takes longer than usual…` : `${what}…`}</p>;
}

export function Failed({ reason, retry }: { reason: string; retry?: () => void }) {
  return (
    <div class="failed" role="alert">
      <p>{reason}</p>
      {retry && <button type="button" class="button" onClick={retry}>Try again</button>}
    </div>
  );
}

/** What an asynchronous question gives while it runs and after. */
export type Loaded<T> = { state: "busy" } | { state: "done"; value: T } | { state: "failed"; reason: string };

export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, on: readonly unknown[]): [Loaded<T>, () => void] {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "busy" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const mine = new AbortController();
    setLoaded({ state: "busy" });
    load(mine.signal).then(
      (value) => mine.signal.aborted || setLoaded({ state: "done", value }),
      (error: unknown) => mine.signal.aborted || setLoaded({ state: "failed", reason: error instanceof Error ? error.message : String(error) }),
    );
    return () => mine.abort();
  }, [...on, turn]);
  return [loaded, () => setTurn(turn + 1)];
}
