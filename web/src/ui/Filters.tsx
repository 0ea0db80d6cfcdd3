// The filters: area, date, collection, sensor, cloud cover, grouping.
import { useState } from "preact/hooks";
import { formatNumber, formatPercent, t } from "../i18n";
import { rectangle } from "../map/draw";
import { clearFilters, updateFilters, updateQuestion } from "../model/actions";
import { boundsOf, sensorName } from "../model/hit";
import { type Area, EMPTY, type Grouping, LIMITS } from "../model/question";
import { drawing, editingArea, overview, question } from "../model/store";
import { searchInFile } from "./files";
import { CheckboxList, Field, Popover, SegmentedControl, Slider } from "./components";
import * as icons from "./icons";
import { mapController } from "./mapController";

const GROUPS: readonly Grouping[] = ["place", "tile", "scene", "sensor", "collection"];

export function Filters() {
  const { filters, group, limit, byCell } = question.value;
  const archive = overview.value;
  const active = [filters.area, filters.from || filters.to, filters.collections.length, filters.sensors.length, filters.cloud !== null, filters.classifiers.length, group !== EMPTY.group].filter(Boolean).length;
  const useMapView = (): void => {
    const area = mapController.bounds();
    if (area) updateFilters({ area });
  };
  return (
    <Popover label={t.filters.label} side="right" wide button={<><icons.Funnel /><span class="wide-only">{t.filters.label}</span>{active > 0 && <span class="count" data-count={active} />}</>}>
      {(close) => (
        <div class="filters">
          <Field label={t.filters.area}>
            <div class="row">
              <button type="button" class="button grow" onClick={() => { close(); drawing.value = "box"; }}><icons.Box /> {t.common.drawBox}</button>
              <button type="button" class="button grow" onClick={() => { close(); drawing.value = "polygon"; }}><icons.Shape /> {t.common.drawPolygon}</button>
              <button type="button" class="button grow" onClick={useMapView}><icons.Fit /> {t.common.useMapView}</button>
            </div>
            <div class="row">
              {filters.area && <button type="button" class="button grow" onClick={() => { close(); editingArea.value = true; }}><icons.Edit /> {t.map.editArea}</button>}
              <label class="button grow"><icons.Upload /> {t.filters.upload}<input type="file" class="hidden" accept=".geojson,.json,.kml" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) { close(); void searchInFile(file); } event.currentTarget.value = ""; }} /></label>
            </div>
            <BoxFields area={filters.area} />
          </Field>
          <Field label={t.filters.date}>
            <div class="row">
              <input type="date" class="grow" aria-label={t.filters.from} value={filters.from} max={filters.to || undefined} onChange={(event) => updateFilters({ from: event.currentTarget.value })} />
              <span class="dim">{t.filters.until}</span>
              <input type="date" class="grow" aria-label={t.filters.to} value={filters.to} min={filters.from || undefined} onChange={(event) => updateFilters({ to: event.currentTarget.value })} />
            </div>
          </Field>
          <div class="two">
            <Field label={t.filters.collections}>
              <CheckboxList label={t.filters.collections} options={(archive?.collections ?? []).map(({ id, tiles }) => ({ id, name: id, count: tiles }))} chosen={filters.collections} onChange={(collections) => updateFilters({ collections })} />
            </Field>
            <Field label={t.filters.sensors}>
              <CheckboxList label={t.filters.sensors} options={(archive?.sensors ?? []).map(({ id, tiles }) => ({ id, name: sensorName(id), count: tiles }))} chosen={filters.sensors} onChange={(sensors) => updateFilters({ sensors })} />
            </Field>
          </div>
          <CloudCover />
          <Field label={t.filters.group}><SegmentedControl label={t.filters.group} value={group} options={GROUPS.map((name) => [name, t.filters.groups[name]] as const)} onChange={(value) => updateQuestion({ group: value })} /></Field>
          {(archive?.has_cells || byCell) && <Field label={t.filters.rankBy}><SegmentedControl label={t.filters.rankBy} value={byCell ? "cell" : "tile"} options={[["tile", t.filters.wholeTile], ["cell", t.filters.bestCell]]} onChange={(value) => updateQuestion({ byCell: value === "cell" })} /></Field>}
          <Field label={t.filters.limit}><SegmentedControl label={t.filters.limit} value={String(limit)} options={LIMITS.map((value) => [String(value), formatNumber(value)] as const)} onChange={(value) => updateQuestion({ limit: Number(value) })} /></Field>
          <div class="row end"><button type="button" class="link" onClick={clearFilters}>{t.filters.clear}</button></div>
        </div>
      )}
    </Popover>
  );
}

function CloudCover() {
  const { cloud } = question.value.filters;
  const [dragged, setDragged] = useState<number | null>(null);
  const available = overview.value?.has_cloud_cover ?? false;
  const value = dragged ?? cloud ?? 100;
  const text = formatPercent(value / 100);
  return (
    <Field label={t.filters.cloud} value={available ? text : t.filters.noCloud}>
      {available && <Slider label={t.filters.cloud} value={value} min={0} max={100} step={5} text={text} onInput={setDragged} onChange={(next) => { setDragged(null); updateFilters({ cloud: next >= 100 ? null : next }); }} />}
    </Field>
  );
}

/** Typed bounds, for those who cannot draw: west, south, east, north. */
function BoxFields({ area }: { area: Area | null }) {
  const box = area && boundsOf(area);
  const [typed, setTyped] = useState<(string | undefined)[]>([]);
  const value = (side: number): string => typed[side] ?? (box ? String(Math.round(box[side]! * 1e5) / 1e5) : "");
  const apply = (): void => {
    const numbers = t.filters.sides.map((_, side) => Number.parseFloat(value(side)));
    if (numbers.every(Number.isFinite) && numbers[0]! < numbers[2]! && numbers[1]! < numbers[3]!) {
      setTyped([]);
      updateFilters({ area: rectangle([numbers[0]!, numbers[1]!], [numbers[2]!, numbers[3]!]) });
    }
  };
  return (
    <div class="box-fields">
      {t.filters.sides.map((name, side) => (
        <label key={name}><span>{name}</span><input inputMode="decimal" placeholder="°" value={value(side)} onInput={(event) => { const next = [...typed]; next[side] = event.currentTarget.value; setTyped(next); }} onChange={apply} /></label>
      ))}
    </div>
  );
}
