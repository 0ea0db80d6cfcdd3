// Every example and filter that holds, each with its own way out.
import type { ComponentChildren } from "preact";
import { boxOf, percent, sensorName } from "../model/hit";
import { change, clearAll, clearFilters, example, look, narrow } from "../model/actions";
import { nameOf } from "../model/question";
import { question, view } from "../model/store";
import { GROUPS } from "./Filters";
import { Face } from "./Mix";
import * as icons from "./icons";

export function Chips() {
  const { examples, filters, group, strategy } = question.value;
  const { least } = view.value;
  const chips = [
    ...examples.map((one) => (
      <Chip key={one.key} kind={one.sign > 0 ? "for" : "against"} name={`${one.sign > 0 ? "like" : "not like"} ${nameOf(one.part)}${one.weight === 1 ? "" : ` ×${one.weight.toFixed(1)}`}`} onRemove={() => example(one.part, one.sign)}>
        <Face part={one.part} />
        <span>{one.sign > 0 ? "+" : "−"} {nameOf(one.part)}{one.weight !== 1 && <b> ×{one.weight.toFixed(1)}</b>}</span>
      </Chip>
    )),
    strategy === "best" && <Chip key="strategy" name="any one of the parts" onRemove={() => change({ strategy: "average" })}>any one of the parts</Chip>,
    filters.area && <Chip key="area" name="the drawn area" onRemove={() => narrow({ area: null })}><icons.Shape />{areaName(boxOf(filters.area))}</Chip>,
    (filters.from || filters.to) && <Chip key="time" name="the time" onRemove={() => narrow({ from: "", to: "" })}><icons.Clock />{filters.from && filters.to ? `${filters.from} – ${filters.to}` : filters.from ? `from ${filters.from}` : `until ${filters.to}`}</Chip>,
    ...filters.collections.map((name) => <Chip key={`c${name}`} name={`collection ${name}`} onRemove={() => narrow({ collections: filters.collections.filter((other) => other !== name) })}>{name}</Chip>),
    ...filters.sensors.map((name) => <Chip key={`s${name}`} name={`sensor ${sensorName(name)}`} onRemove={() => narrow({ sensors: filters.sensors.filter((other) => other !== name) })}>{sensorName(name)}</Chip>),
    filters.cloud !== null && <Chip key="cloud" name="the cloud cover" onRemove={() => narrow({ cloud: null })}>cloud ≤ {filters.cloud} %</Chip>,
    group && <Chip key="group" name="the grouping" onRemove={() => change({ group: "" })}>best of each {GROUPS.find(([value]) => value === group)?.[1]}</Chip>,
    least > 0 && <Chip key="least" name="the least probability" onRemove={() => look({ least: 0 })}>at least {percent(least)}</Chip>,
  ].filter(Boolean);
  if (!chips.length) return null;
  const narrowed = chips.length > examples.length;
  return (
    <div class="chips" role="group" aria-label="Examples and filters">
      {chips}
      {narrowed && <button type="button" class="link" onClick={clearFilters}>Clear filters</button>}
      <button type="button" class="link" onClick={clearAll}>Start over</button>
    </div>
  );
}

function Chip(props: { kind?: "for" | "against"; name: string; onRemove: () => void; children: ComponentChildren }) {
  return (
    <span class={`chip ${props.kind ?? ""}`}>
      {props.children}
      <button type="button" class="bare" aria-label={`Remove ${props.name}`} title={`Remove ${props.name}`} onClick={props.onRemove}><icons.Close /></button>
    </span>
  );
}

function areaName([west, south, east, north]: [number, number, number, number]): string {
  const wide = (east - west) * 111.32 * Math.cos((((south + north) / 2) * Math.PI) / 180);
  const tall = (north - south) * 110.57;
  const size = (km: number): string => (km < 1 ? `${Math.round(km * 1000)} m` : km < 20 ? `${km.toFixed(1)} km` : `${Math.round(km).toLocaleString("en")} km`);
  return `area ${size(wide)} × ${size(tall)}`;
}
