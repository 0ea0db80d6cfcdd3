// What narrows the search: place, time, collection, sensor, cloud, grouping.
import { useState } from "preact/hooks";
import type { Polygon } from "geojson";
import { boxOf, sensorName } from "../model/hit";
import { rectangle } from "../map/draw";
import { change, clearFilters, narrow } from "../model/actions";
import { type Grouping, LIMITS } from "../model/question";
import { drawing, overview, question } from "../model/store";
import { useMap } from "./mapState";
import { Checks, Field, Popover, Range, Segments } from "./bits";
import * as icons from "./icons";

export const GROUPS: readonly (readonly [Grouping, string])[] = [["", "off"], ["scene", "scene"], ["place", "place"], ["sensor", "sensor"], ["collection", "collection"]];

export function Filters() {
  const { filters, group, limit } = question.value;
  const held = overview.value;
  const count = [filters.area, filters.from || filters.to, filters.collections.length, filters.sensors.length, filters.cloud !== null, group].filter(Boolean).length;
  return (
    <Popover label="Filters" side="right" wide button={<><icons.Funnel /><span class="wide-only">Filters</span>{count > 0 && <span class="count">{count}</span>}</>}>
      {(close) => (
        <div class="filters">
          <Field label="Place">
            <div class="row">
              <button type="button" class="button grow" onClick={() => { close(); drawing.value = "box"; }}><icons.Box /> Draw a box</button>
              <button type="button" class="button grow" onClick={() => { close(); drawing.value = "polygon"; }}><icons.Shape /> Draw a polygon</button>
              <button type="button" class="button grow" onClick={() => { const area = useMap.bounds(); if (area) narrow({ area }); }}><icons.Fit /> The area in view</button>
            </div>
            <BoxFields area={filters.area} />
          </Field>
          <Field label="Time">
            <div class="row">
              <input type="date" class="grow" aria-label="From" value={filters.from} max={filters.to || undefined} onChange={(event) => narrow({ from: event.currentTarget.value })} />
              <span class="dim">to</span>
              <input type="date" class="grow" aria-label="To" value={filters.to} min={filters.from || undefined} onChange={(event) => narrow({ to: event.currentTarget.value })} />
            </div>
          </Field>
          <div class="two">
            <Field label="Collections">
              <Checks label="Collections" of={(held?.collections ?? []).map(({ id, tiles }) => ({ id, name: id, count: tiles }))} chosen={filters.collections} onChange={(collections) => narrow({ collections })} />
            </Field>
            <Field label="Sensors">
              <Checks label="Sensors" of={(held?.sensors ?? []).map(({ id, tiles }) => ({ id, name: sensorName(id), count: tiles }))} chosen={filters.sensors} onChange={(sensors) => narrow({ sensors })} />
            </Field>
          </div>
          <Cloud />
          <Field label="Only the best of each"><Segments label="Best of each" value={group} options={GROUPS} onChange={(value) => change({ group: value })} /></Field>
          <Field label="Places to show"><Segments label="How many places" value={String(limit)} options={LIMITS.map((one) => [String(one), one.toLocaleString("en")] as const)} onChange={(value) => change({ limit: Number(value) })} /></Field>
          <div class="row end"><button type="button" class="link" onClick={clearFilters}>Clear all filters</button></div>
        </div>
      )}
    </Popover>
  );
}

function Cloud() {
  const { cloud } = question.value.filters;
  const [held, setHeld] = useState<number | null>(null);
  const known = overview.value?.has_cloud_cover ?? false;
  const value = held ?? cloud ?? 100;
  return (
    <Field label="Cloud cover at most" value={known ? `${value} %` : "not known for these scenes"}>
      {known && <Range label="Cloud cover at most" value={value} min={0} max={100} step={5} text={`${value} percent`} onInput={setHeld} onChange={(next) => { setHeld(null); narrow({ cloud: next >= 100 ? null : next }); }} />}
    </Field>
  );
}

// The same as drawing, by keyboard: west, south, east, north.
function BoxFields({ area }: { area: Polygon | null }) {
  const box = area && boxOf(area);
  const names = ["West", "South", "East", "North"] as const;
  const [typed, setTyped] = useState<(string | undefined)[]>([]);
  const value = (at: number): string => typed[at] ?? (box ? String(Math.round(box[at]! * 1e5) / 1e5) : "");
  const apply = (): void => {
    const numbers = names.map((_, at) => Number.parseFloat(value(at)));
    if (numbers.every(Number.isFinite) && numbers[0]! < numbers[2]! && numbers[1]! < numbers[3]!) {
      setTyped([]);
      narrow({ area: rectangle([numbers[0]!, numbers[1]!], [numbers[2]!, numbers[3]!]) });
    }
  };
  return (
    <div class="box-fields">
      {names.map((name, at) => (
        <label key={name}><span>{name}</span><input inputMode="decimal" placeholder="°" value={value(at)} onInput={(event) => { const next = [...typed]; next[at] = event.currentTarget.value; setTyped(next); }} onChange={apply} /></label>
      ))}
    </div>
  );
}
