// The parts of a search, each with its sign and weight, and how they are combined.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { thumbnail } from "../api/calls";
import { t } from "../i18n";
import { submit, toggleExample, updateQuestion } from "../model/actions";
import { type Example, nameOf, type Part, terms } from "../model/question";
import { question } from "../model/store";
import { Popover, SegmentedControl, Slider } from "./components";
import * as icons from "./icons";

const TEXT_ICON = "“ ”";

export function PartIcon({ part, large = false }: { part: Part; large?: boolean }) {
  if (part.kind === "tile") return <img class="face" src={thumbnail(part.id, large ? 128 : 64)} alt="" />;
  if (part.kind === "image" && part.preview) return <img class="face" src={part.preview} alt="" />;
  return <span class="face">{part.kind === "point" ? <icons.Pin /> : part.kind === "text" ? TEXT_ICON : <icons.Picture />}</span>;
}

export function Examples() {
  const { examples, text, textWeight, strategy } = question.value;
  const [draft, setDraft] = useState("");
  const { positive } = terms(text);
  const change = (key: string, part: Partial<Example>): void =>
    updateQuestion({ examples: examples.map((example) => (example.key === key ? { ...example, ...part } : example)) });
  const remove = (key: string): void => submit({ ...question.value, examples: examples.filter((example) => example.key !== key) });
  const add = (sign: 1 | -1): void => {
    const description = draft.trim();
    if (!description) return;
    setDraft("");
    toggleExample({ kind: "text", text: description }, sign);
  };
  return (
    <Popover label={t.examples.label} class="button" side="right" wide button={<><icons.Sliders /><span class="wide-only">{t.examples.button}</span>{examples.length > 0 && <span class="count" data-count={examples.length} />}</>}>
      {() => (
        <div class="mix">
          <h2>{t.examples.title}</h2>
          {positive.length > 0 && <Row icon={<span class="face">{TEXT_ICON}</span>} name={positive.join(t.search.or)} sign={1} weight={textWeight} onWeight={(weight) => updateQuestion({ textWeight: weight })} />}
          {examples.map((example) => (
            <Row key={example.key} icon={<PartIcon part={example.part} />} name={nameOf(example.part)} sign={example.sign} weight={example.weight}
              onWeight={(weight) => change(example.key, { weight })} onToggleSign={() => change(example.key, { sign: example.sign > 0 ? -1 : 1 })}
              onRemove={() => remove(example.key)} />
          ))}
          {!positive.length && !examples.length && <p class="hint">{t.examples.empty}</p>}
          <div class="row">
            <input class="grow" aria-label={t.examples.add} placeholder={t.examples.addPlaceholder} value={draft} maxLength={300} onInput={(event) => setDraft(event.currentTarget.value)} onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); add(1); } }} />
            <button type="button" class="button plus" aria-label={t.examples.more} title={t.common.moreLikeThis} onClick={() => add(1)}><icons.Plus /></button>
            <button type="button" class="button minus" aria-label={t.examples.less} title={t.common.lessLikeThis} onClick={() => add(-1)}><icons.Minus /></button>
          </div>
          <div class="field-head"><span>{t.examples.combine}</span></div>
          <SegmentedControl label={t.examples.combine} value={strategy} options={[["average", t.examples.average], ["best", t.examples.any]]} onChange={(value) => updateQuestion({ strategy: value })} />
        </div>
      )}
    </Popover>
  );
}

function Row(props: { icon: ComponentChildren; name: string; sign: 1 | -1; weight: number; onWeight: (weight: number) => void; onToggleSign?: () => void; onRemove?: () => void }) {
  const [dragged, setDragged] = useState<number | null>(null);
  const weight = dragged ?? props.weight;
  return (
    <div class={`mix-row ${props.sign > 0 ? "for" : "against"}`}>
      <button type="button" class="sign" disabled={!props.onToggleSign} aria-label={props.sign > 0 ? t.examples.makeNegative(props.name) : t.examples.makePositive(props.name)} onClick={props.onToggleSign}>{props.sign > 0 ? "+" : "−"}</button>
      {props.icon}
      <span class="grow clip" title={props.name}>{props.name}</span>
      <Slider label={t.examples.weight(props.name)} value={weight} min={0.1} max={3} step={0.1} onInput={setDragged} onChange={(value) => { setDragged(null); props.onWeight(value); }} />
      <span class="num weight">×{weight.toFixed(1)}</span>
      {props.onRemove ? <button type="button" class="bare" aria-label={t.common.remove(props.name)} onClick={props.onRemove}><icons.Close /></button> : <span class="bare-space" />}
    </div>
  );
}
