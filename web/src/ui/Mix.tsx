// What the question is mixed from: each part with its sign and weight.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { thumbnail } from "../api/calls";
import { change, example, pose } from "../model/actions";
import { type Example, nameOf, terms } from "../model/question";
import { question } from "../model/store";
import { Popover, Range, Segments } from "./bits";
import * as icons from "./icons";

export function Face({ part }: { part: Example["part"] }) {
  if (part.kind === "tile") return <img class="face" src={thumbnail(part.id, 64)} alt="" />;
  if (part.kind === "picture" && part.preview) return <img class="face" src={part.preview} alt="" />;
  return <span class="face">{part.kind === "point" ? <icons.Pin /> : part.kind === "text" ? "“ ”" : <icons.Picture />}</span>;
}

export function Mix() {
  const { examples, text, textWeight, strategy } = question.value;
  const [draft, setDraft] = useState("");
  const { wanted } = terms(text);
  const set = (key: string, with_: Partial<Example>): void =>
    change({ examples: examples.map((one) => (one.key === key ? { ...one, ...with_ } : one)) });
  const add = (sign: 1 | -1): void => {
    const said = draft.trim();
    if (!said) return;
    setDraft("");
    example({ kind: "text", text: said }, sign);
  };
  return (
    <Popover label="Mix and weights" class="button" side="right" wide button={<><icons.Sliders /><span class="wide-only">Mix</span>{examples.length > 0 && <span class="count">{examples.length}</span>}</>}>
      {() => (
        <div class="mix">
          <h2>What to look for</h2>
          {wanted.length > 0 && <Row face={<span class="face">“ ”</span>} name={wanted.join(" or ")} sign={1} weight={textWeight} onWeight={(weight) => change({ textWeight: weight })} />}
          {examples.map((one) => (
            <Row key={one.key} face={<Face part={one.part} />} name={nameOf(one.part)} sign={one.sign} weight={one.weight}
              onWeight={(weight) => set(one.key, { weight })} onTurn={() => set(one.key, { sign: one.sign > 0 ? -1 : 1 })}
              onRemove={() => pose({ ...question.value, examples: examples.filter((other) => other.key !== one.key) })} />
          ))}
          {!wanted.length && !examples.length && <p class="hint">Nothing yet. Type a sentence, press + or − on a result, click the map, or drop a picture anywhere.</p>}
          <div class="row">
            <input class="grow" aria-label="Another sentence" placeholder="another sentence, e.g. a harbour" value={draft} maxLength={300} onInput={(event) => setDraft(event.currentTarget.value)} onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); add(1); } }} />
            <button type="button" class="button plus" aria-label="More like this sentence" title="More like this" onClick={() => add(1)}><icons.Plus /></button>
            <button type="button" class="button minus" aria-label="Less like this sentence" title="Less like this" onClick={() => add(-1)}><icons.Minus /></button>
          </div>
          <div class="field-head"><span>Together they mean</span></div>
          <Segments label="How parts count together" value={strategy} options={[["average", "a blend of all"], ["best", "any one of them"]]} onChange={(value) => change({ strategy: value })} />
        </div>
      )}
    </Popover>
  );
}

function Row(props: { face: ComponentChildren; name: string; sign: 1 | -1; weight: number; onWeight: (weight: number) => void; onTurn?: () => void; onRemove?: () => void }) {
  const [held, setHeld] = useState<number | null>(null);
  const weight = held ?? props.weight;
  return (
    <div class={`mix-row ${props.sign > 0 ? "for" : "against"}`}>
      <button type="button" class="sign" disabled={!props.onTurn} aria-label={props.sign > 0 ? `${props.name}: wanted; turn to unwanted` : `${props.name}: unwanted; turn to wanted`} onClick={props.onTurn}>{props.sign > 0 ? "+" : "−"}</button>
      {props.face}
      <span class="grow clip" title={props.name}>{props.name}</span>
      <Range label={`Weight of ${props.name}`} value={weight} min={0.1} max={3} step={0.1} onInput={setHeld} onChange={(value) => { setHeld(null); props.onWeight(value); }} />
      <span class="num weight">×{weight.toFixed(1)}</span>
      {props.onRemove ? <button type="button" class="bare" aria-label={`Remove ${props.name}`} onClick={props.onRemove}><icons.Close /></button> : <span class="bare-space" />}
    </div>
  );
}
