// Small components that several views share.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { errorMessage } from "../api/http";
import { formatNumber, formatPercent, formatScore, t } from "../i18n";
import { rampColor } from "../model/color";
import type { Hit } from "../model/hit";
import { byId, isByClassifier, isLikely, relativeScore, scoreRange, signedOut } from "../model/store";

type Children = ComponentChildren;

/** A text of the catalogue, with the parts in {braces} as elements `as`. */
export function RichText({ text, as: Tag }: { text: string; as: "b" | "kbd" | "i" | "code" }) {
  return <>{text.split(/[{}]/).map((part, index) => (index % 2 ? <Tag key={index}>{part}</Tag> : part))}</>;
}

export function IconButton(props: { label: string; keys?: string; on?: boolean; class?: string; disabled?: boolean; onClick: (event: MouseEvent) => void; children: Children }) {
  const { label, keys, on, class: extra = "", disabled, onClick, children } = props;
  return (
    <button type="button" class={`icon-button ${extra}`} aria-label={label} title={keys ? t.common.withKey(label, keys) : label} disabled={disabled} onClick={onClick} {...(on === undefined ? {} : { "aria-pressed": on })}>
      {children}
    </button>
  );
}

/** A button and what it opens; Escape or a click elsewhere closes it. */
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

/**
 * The one number of a hit: its probability where that is known and decides the order, its position where the model is not calibrated for
 * its imagery, its similarity otherwise.
 */
export function ScoreBadge({ hit, rank }: { hit: Hit; rank?: number }) {
  const isResult = byId.value.has(hit.id);
  const byScore = isResult && scoreRange.value.of === "score" && !isByClassifier.value;
  const likely = isLikely(hit);
  const text = scoreText(hit, rank ?? hit.rank, byScore);
  if (!text) return null;
  const probability = hit.probability === null ? null : formatPercent(hit.probability);
  const title = t.card.score(probability, hit.probabilityReason, likely, hit.score === null ? t.card.unknown : formatScore(hit.score));
  return (
    <span class={`badge ${likely ? "match" : ""}`} title={title}>
      {isResult && <i style={{ background: rampColor(relativeScore(hit)) }} />}
      {text}
      {likely && <span class="tick" aria-label={t.card.likelyMatch}>✓</span>}
    </span>
  );
}

/** The number of a hit as text; see `ScoreBadge`. */
export function scoreText(hit: Hit, rank: number, byScore: boolean): string {
  if (isByClassifier.value && hit.score !== null) return formatPercent(hit.score);
  if (hit.probability !== null && !byScore) return formatPercent(hit.probability);
  if (hit.probabilityReason !== null && !byScore) return t.card.rank(rank);
  return hit.score === null ? "" : formatScore(hit.score);
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

export function CheckboxList(props: { options: readonly { id: string; name: string; count?: number }[]; chosen: readonly string[]; label: string; onChange: (chosen: string[]) => void }) {
  return (
    <div class="checks" role="group" aria-label={props.label}>
      {props.options.map(({ id, name, count }) => (
        <label key={id} class="check">
          <input type="checkbox" checked={props.chosen.includes(id)} onChange={(event) => props.onChange(event.currentTarget.checked ? [...props.chosen, id] : props.chosen.filter((other) => other !== id))} />
          <span class="grow" title={id}>{name}</span>
          {count !== undefined && <span class="dim num">{formatNumber(count)}</span>}
        </label>
      ))}
    </div>
  );
}

export function SegmentedControl<T extends string>(props: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void }) {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, name]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>{name}</button>
      ))}
    </div>
  );
}

export function Slider(props: { label: string; value: number; min: number; max: number; step: number; onInput: (value: number) => void; onChange?: (value: number) => void; text?: string }) {
  const share = ((props.value - props.min) / (props.max - props.min || 1)) * 100;
  const valueOf = (event: { currentTarget: HTMLInputElement }): number => Number(event.currentTarget.value);
  return (
    <input
      type="range" class="range" aria-label={props.label} aria-valuetext={props.text} min={props.min} max={props.max} step={props.step} value={props.value}
      style={`--share:${share}%`}
      onInput={(event) => props.onInput(valueOf(event))} onChange={(event) => props.onChange?.(valueOf(event))}
    />
  );
}

const SLOW_MS = 4000;

/** A spinner with a text that changes after a few seconds. */
export function Loading({ what }: { what: string }) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return <p class="waiting" role="status"><span class="spinner" aria-hidden="true" />{slow ? t.common.stillLoading(what) : t.common.loading(what)}</p>;
}

export function ErrorMessage({ reason, retry }: { reason: string; retry?: () => void }) {
  return (
    <div class="failed" role="alert">
      <p>{reason}</p>
      {retry && <button type="button" class="button" onClick={retry}>{t.common.tryAgain}</button>}
    </div>
  );
}

/** The state of an asynchronous call. */
export type Async<T> = { state: "busy" } | { state: "done"; value: T } | { state: "failed"; reason: string };

export function useAsync<T>(load: (signal: AbortSignal) => Promise<T>, dependencies: readonly unknown[]): [Async<T>, () => void] {
  const [result, setResult] = useState<Async<T>>({ state: "busy" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    setResult({ state: "busy" });
    load(controller.signal).then(
      (value) => controller.signal.aborted || setResult({ state: "done", value }),
      (error: unknown) => controller.signal.aborted || setResult({ state: "failed", reason: errorMessage(error) }),
    );
    return () => controller.abort();
  }, [...dependencies, attempt]);
  // What failed while the server asked for the key loads again once the user has signed in.
  useEffect(() => { if (!signedOut.value && result.state === "failed") setAttempt(attempt + 1); }, [signedOut.value]);
  return [result, () => setAttempt(attempt + 1)];
}
