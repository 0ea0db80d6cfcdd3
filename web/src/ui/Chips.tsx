// One chip for each example and filter, with a button that removes it.
import type { ComponentChildren } from "preact";
import { formatLength, formatPercent, t } from "../i18n";
import { clearAll, clearFilters, toggleExample, updateFilters, updateQuestion, updateView } from "../model/actions";
import { boxOf, sensorName } from "../model/hit";
import { type Example, nameOf } from "../model/question";
import { question, view } from "../model/store";
import { PartIcon } from "./Examples";
import * as icons from "./icons";

export function Chips() {
  const { examples, filters, group, strategy } = question.value;
  const { minProbability } = view.value;
  const chips = [
    ...examples.map((example) => <ExampleChip key={example.key} example={example} />),
    strategy === "best" && <Chip key="strategy" name={t.chips.any} onRemove={() => updateQuestion({ strategy: "average" })}>{t.chips.any}</Chip>,
    filters.area && <Chip key="area" name={t.chips.removeArea} onRemove={() => updateFilters({ area: null })}><icons.Shape />{areaName(boxOf(filters.area))}</Chip>,
    (filters.from || filters.to) && <Chip key="date" name={t.chips.removeDate} onRemove={() => updateFilters({ from: "", to: "" })}><icons.Clock />{dateName(filters.from, filters.to)}</Chip>,
    ...filters.collections.map((name) => <Chip key={`c${name}`} name={t.chips.collection(name)} onRemove={() => updateFilters({ collections: filters.collections.filter((other) => other !== name) })}>{name}</Chip>),
    ...filters.sensors.map((name) => <Chip key={`s${name}`} name={t.chips.sensor(sensorName(name))} onRemove={() => updateFilters({ sensors: filters.sensors.filter((other) => other !== name) })}>{sensorName(name)}</Chip>),
    filters.cloud !== null && <Chip key="cloud" name={t.chips.removeCloud} onRemove={() => updateFilters({ cloud: null })}>{t.chips.cloud(filters.cloud)}</Chip>,
    group && <Chip key="group" name={t.chips.removeGroup} onRemove={() => updateQuestion({ group: "" })}>{t.chips.group(t.filters.groups[group])}</Chip>,
    minProbability > 0 && <Chip key="probability" name={t.chips.removeProbability} onRemove={() => updateView({ minProbability: 0 })}>{t.chips.probability(formatPercent(minProbability))}</Chip>,
  ].filter(Boolean);
  if (!chips.length) return null;
  const hasFilters = chips.length > examples.length;
  return (
    <div class="chips" role="group" aria-label={t.chips.label}>
      {chips}
      {hasFilters && <button type="button" class="link" onClick={clearFilters}>{t.chips.clearFilters}</button>}
      <button type="button" class="link" onClick={clearAll}>{t.chips.startOver}</button>
    </div>
  );
}

function ExampleChip({ example: { part, sign, weight } }: { example: Example }) {
  const name = nameOf(part);
  return (
    <Chip kind={sign > 0 ? "for" : "against"} name={sign > 0 ? t.search.like(name) : t.search.notLike(name)} onRemove={() => toggleExample(part, sign)}>
      <PartIcon part={part} />
      <span>{sign > 0 ? "+" : "−"} {name}{weight !== 1 && <b> ×{weight.toFixed(1)}</b>}</span>
    </Chip>
  );
}

function Chip(props: { kind?: "for" | "against"; name: string; onRemove: () => void; children: ComponentChildren }) {
  return (
    <span class={`chip ${props.kind ?? ""}`}>
      {props.children}
      <button type="button" class="bare" aria-label={t.common.remove(props.name)} title={t.common.remove(props.name)} onClick={props.onRemove}><icons.Close /></button>
    </span>
  );
}

function dateName(from: string, to: string): string {
  if (from && to) return t.chips.between(from, to);
  return from ? t.chips.since(from) : t.chips.until(to);
}

const KM_PER_DEGREE_LON = 111.32; // at the equator
const KM_PER_DEGREE_LAT = 110.57;

function areaName([west, south, east, north]: [number, number, number, number]): string {
  const width = (east - west) * KM_PER_DEGREE_LON * Math.cos((((south + north) / 2) * Math.PI) / 180);
  return t.chips.area(formatLength(width), formatLength((north - south) * KM_PER_DEGREE_LAT));
}
