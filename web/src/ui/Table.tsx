// The results as a table. As in the grid, only rows near the view are rendered.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { formatFixed, formatPercent, t } from "../i18n";
import { select, setOverList, toggleStar, updateView } from "../model/actions";
import { formatDate, sensorName } from "../model/hit";
import type { Place } from "../model/places";
import { hovered, leadOf, selected, stars } from "../model/store";
import { Thumbnail } from "./Card";
import { ScoreBadge } from "./components";
import * as icons from "./icons";

const ROW_PX = 46;
const MARGIN_ROWS = 6;

export function Table({ places, head }: { places: readonly Place[]; head: ComponentChildren }) {
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 40]);
  useEffect(() => {
    const node = scroller.current!;
    const update = (): void => {
      const top = body.current!.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(-Math.min(0, top) / ROW_PX) - MARGIN_ROWS);
      const next: [number, number] = [first, first + Math.ceil(innerHeight / ROW_PX) + 2 * MARGIN_ROWS];
      setRange((before) => (before[0] === next[0] && before[1] === next[1] ? before : next));
    };
    update();
    node.addEventListener("scroll", update, { passive: true });
    addEventListener("scroll", update, { passive: true });
    addEventListener("resize", update);
    return () => {
      node.removeEventListener("scroll", update);
      removeEventListener("scroll", update);
      removeEventListener("resize", update);
      setOverList(false);
    };
  }, []);
  const [first, end] = [Math.min(range[0], places.length), Math.min(range[1], places.length)];
  return (
    <div class="scroller" ref={scroller}>
      {head}
      <table class="places" aria-label={t.results.list} aria-rowcount={places.length + 1} onPointerEnter={() => setOverList(true)} onPointerLeave={() => setOverList(false)}>
        <thead><tr><th scope="col"><span class="hidden">{t.table.image}</span></th><th scope="col">{t.table.score}</th><th scope="col">{t.table.date}</th><th scope="col">{t.table.location}</th><th scope="col">{t.table.cloud}</th><th scope="col"><span class="hidden">{t.common.star}</span></th></tr></thead>
        <tbody ref={body}>
          {first > 0 && <tr aria-hidden="true" style={{ height: `${first * ROW_PX}px` }}><td colSpan={6} /></tr>}
          {places.slice(first, end).map((place, offset) => <Row key={place.lead.id} place={place} rank={first + offset + 1} />)}
          {end < places.length && <tr aria-hidden="true" style={{ height: `${(places.length - end) * ROW_PX}px` }}><td colSpan={6} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

function Row({ place, rank }: { place: Place; rank: number }) {
  const { lead } = place;
  const cloud = lead.properties["bandsight:cloud_fraction"];
  const isStarred = stars.value.has(lead.id);
  return (
    <tr aria-rowindex={rank + 1} data-tile={lead.id} class={leadOf(selected.value) === lead.id ? "current" : ""} style={{ height: `${ROW_PX}px` }}
      onPointerEnter={() => { hovered.value = lead.id; }} onPointerLeave={() => { if (hovered.value === lead.id) hovered.value = null; }}>
      <td><button type="button" class="row-open" aria-label={t.table.open(rank)} onFocus={() => select(lead.id)} onClick={() => { select(lead.id); updateView({ tile: lead.id }); }}><Thumbnail id={lead.id} size={64} /></button></td>
      <td><ScoreBadge hit={lead} rank={rank} /></td>
      <td class="num">{formatDate(lead.time)}<span class="dim clip" title={lead.title}>{sensorName(lead.sensor)}{place.tiles.length > 1 && ` · ${t.table.images(place.tiles.length)}`}</span></td>
      <td class="num">{formatFixed(lead.centre[1], 3)}, {formatFixed(lead.centre[0], 3)}</td>
      <td class="num">{typeof cloud === "number" ? formatPercent(cloud) : "–"}</td>
      <td><button type="button" class={`bare star ${isStarred ? "on" : ""}`} aria-label={t.card.star(rank)} aria-pressed={isStarred} onClick={() => toggleStar(lead.id)}><icons.Star /></button></td>
    </tr>
  );
}
