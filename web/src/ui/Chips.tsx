// One chip for each example and filter, with a button that removes it.
import type { ComponentChildren } from "preact";
import { formatLength, formatPercent, t } from "../i18n";
import { clearAll, clearFilters, updateFilters, updateQuestion, updateView } from "../model/actions";
import { boundsOf, formatDate, sensorName } from "../model/hit";
import { EMPTY, type Filters, terms, textOf } from "../model/question";
import { minProbability, question } from "../model/store";
import * as icons from "./icons";

export function Chips() {
  const { examples, filters, group } = question.value;
  const minimum = minProbability.value;
  const text = terms(question.value.text);
  const chips = [
    examples.some((example) => example.sign > 0) && text.positive.length > 0 && <TextChip key="text" text={text.positive.join(t.search.or)} onRemove={() => updateQuestion({ text: textOf({ ...text, positive: [] }) })} />,
    ...text.negative.map((term) => <TextChip key={`n${term}`} text={term} negative onRemove={() => updateQuestion({ text: textOf({ ...text, negative: text.negative.filter((other) => other !== term) }) })} />),
    filters.area && <Chip key="area" name={t.chips.removeArea} onRemove={() => updateFilters({ area: null })}><icons.Shape />{areaName(boundsOf(filters.area))}</Chip>,
    (filters.from || filters.to) && <Chip key="date" name={t.chips.removeDate} onRemove={() => updateFilters({ from: "", to: "" })}><icons.Clock />{dateName(filters.from, filters.to)}</Chip>,
    ...filters.collections.map((name) => <Chip key={`c${name}`} name={t.chips.collection(name)} onRemove={() => updateFilters({ collections: filters.collections.filter((other) => other !== name) })}>{name}</Chip>),
    ...filters.sensors.map((name) => <Chip key={`s${name}`} name={t.chips.sensor(sensorName(name))} onRemove={() => updateFilters({ sensors: filters.sensors.filter((other) => other !== name) })}>{sensorName(name)}</Chip>),
    filters.cloud !== null && <Chip key="cloud" name={t.chips.removeCloud} onRemove={() => updateFilters({ cloud: null })}>{t.chips.cloud(filters.cloud)}</Chip>,
    ...filters.classifiers.map((term) => <Chip key={`k${term}`} name={t.chips.classifier(term)} onRemove={() => updateFilters({ classifiers: filters.classifiers.filter((other) => other !== term) })}><icons.Tag />{term}</Chip>),
    group !== EMPTY.group && <Chip key="group" name={t.chips.removeGroup} onRemove={() => updateQuestion({ group: EMPTY.group })}>{t.chips.group(t.filters.groups[group])}</Chip>,
    minimum > 0 && <Chip key="probability" name={t.chips.removeProbability} onRemove={() => updateView({ minProbability: 0 })}>{t.chips.probability(formatPercent(minimum))}</Chip>,
  ].filter(Boolean);
  if (!chips.length) return null;
  const hasFilters = minimum > 0 || group !== EMPTY.group || hasAny(filters);
  return (
    <div class="chips" role="group" aria-label={t.chips.label}>
      {chips}
      {hasFilters && <button type="button" class="link" onClick={clearFilters}>{t.chips.clearFilters}</button>}
      <button type="button" class="link" onClick={clearAll}>{t.chips.startOver}</button>
    </div>
  );
}

const hasAny = ({ area, from, to, collections, sensors, cloud, classifiers }: Filters): boolean =>
  area !== null || from !== "" || to !== "" || collections.length > 0 || sensors.length > 0 || cloud !== null || classifiers.length > 0;

/** A description of the search box, where it is combined with examples or excludes something. */
function TextChip({ text, negative = false, onRemove }: { text: string; negative?: boolean; onRemove: () => void }) {
  const name = t.search.quoted(text);
  return <Chip kind={negative ? "words not" : "words"} name={negative ? t.search.not(name) : name} onRemove={onRemove}><span>{negative ? "−" : "+"} {name}</span></Chip>;
}

function Chip(props: { kind?: "words" | "words not"; name: string; onRemove: () => void; children: ComponentChildren }) {
  return (
    <span class={`chip ${props.kind ?? ""}`}>
      {props.children}
      <button type="button" class="bare" aria-label={t.common.remove(props.name)} title={t.common.remove(props.name)} onClick={props.onRemove}><icons.Close /></button>
    </span>
  );
}

function dateName(from: string, to: string): string {
  if (from && to) return t.chips.between(formatDate(from), formatDate(to));
  return from ? t.chips.since(formatDate(from)) : t.chips.until(formatDate(to));
}

const KM_PER_DEGREE_LON = 111.32; // at the equator
const KM_PER_DEGREE_LAT = 110.57;

function areaName([west, south, east, north]: [number, number, number, number]): string {
  const width = (east - west) * KM_PER_DEGREE_LON * Math.cos((((south + north) / 2) * Math.PI) / 180);
  return t.chips.area(formatLength(width), formatLength((north - south) * KM_PER_DEGREE_LAT));
}
