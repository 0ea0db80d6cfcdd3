// The tray under the results: the examples with their pictures, how they are combined, and what becomes of them.
import { t } from "../i18n";
import { toggleExample, updateQuestion, updateView } from "../model/actions";
import { type Example, isCombined, nameOf } from "../model/question";
import { question, refining } from "../model/store";
import { PartIcon } from "./Examples";
import * as icons from "./icons";

export function Tray() {
  const { examples, strategy } = question.value;
  const combined = isCombined(question.value);
  if (!examples.length) return null;
  const signed = (sign: 1 | -1): Example[] => examples.filter((example) => example.sign === sign);
  const hasTiles = examples.some(({ part }) => part.kind === "tile");
  return (
    <section class="tray" aria-label={t.tray.label}>
      <div class="row">
        <ul class="tray-items">
          {signed(1).map((example) => <Item key={example.key} example={example} />)}
          {signed(-1).map((example) => <Item key={example.key} example={example} />)}
        </ul>
        {hasTiles && <button type="button" class="button" onClick={() => updateView({ tab: "labels", labels: null })}><icons.Tag />{t.tray.labelThese}</button>}
      </div>
      <p class="row wrap tray-state">
        {combined && <span class="combination">{strategy === "best" ? t.chips.matchAny : t.chips.matchTogether}</span>}
        {combined && <button type="button" class="link" onClick={() => updateQuestion({ strategy: strategy === "best" ? "average" : "best" })}>{strategy === "best" ? t.chips.changeToTogether : t.chips.changeToAny}</button>}
        <span class="grow" role="status">{refining.value === "held" ? t.tray.held : refining.value !== "fresh" && <><span class="spinner" aria-hidden="true" />{t.tray.updating}</>}</span>
        <button type="button" class="link" onClick={() => updateQuestion({ examples: [] })}>{t.tray.clear}</button>
      </p>
    </section>
  );
}

function Item({ example: { part, sign, weight } }: { example: Example }) {
  const name = nameOf(part);
  const what = sign > 0 ? t.search.like(name) : t.search.notLike(name);
  return (
    <li class={`chip ${sign > 0 ? "for" : "against"} ${part.kind === "tile" ? "tile" : ""}`} title={what}>
      {part.kind === "tile" ? <button type="button" aria-label={t.place.open(part.id)} onClick={() => updateView({ tile: part.id, tab: "search" })}><PartIcon part={part} large /></button> : <PartIcon part={part} />}
      <span class={part.kind === "tile" ? "hidden" : "clip"}>{sign > 0 ? "+" : "−"} {name}</span>
      {weight !== 1 && <b>×{weight.toFixed(1)}</b>}
      <button type="button" class="bare" aria-label={t.common.remove(what)} title={t.common.remove(what)} onClick={() => toggleExample(part, sign)}><icons.Close /></button>
    </li>
  );
}
