// What is known of a tile: rounded numbers with their units.
import { formatFixed, formatNumber, formatPercent, formatScore, t } from "../i18n";
import { boxOf, type Hit } from "../model/hit";
import { overview } from "../model/store";
import { mapController } from "./mapController";

/** Properties that the panel shows elsewhere or that say little to people. */
const HIDDEN = /^(datetime|title|proj:|bandsight:(window|sensor|rank|score|probability|match|matched|cell|model|digest|generation|scale))/;

export function Facts({ hit }: { hit: Hit }) {
  const [lon, lat] = hit.centre;
  const outline = overview.value?.coverage.features.find(({ properties }) => properties?.["title"] === hit.title && properties["collection"] === hit.collection);
  const names = t.detail.facts;
  const rows: [string, string][] = [
    [names.location, `${lat.toFixed(5)}, ${lon.toFixed(5)}`],
    ...(hit.probability === null ? [] : [[names.probability, formatPercent(hit.probability)] as [string, string]]),
    ...(hit.probabilityReason === null ? [] : [[names.probability, t.card.noProbability(hit.probabilityReason)] as [string, string]]),
    ...(hit.score === null ? [] : [[names.score, formatScore(hit.score)] as [string, string]]),
    ...(hit.matched ? [[names.matched, hit.matched] as [string, string]] : []),
    [names.scene, hit.title],
    [names.collection, hit.collection],
    ...(hit.scale > 1 ? [[names.scale, t.detail.coarser(hit.scale)] as [string, string]] : []),
    ...Object.entries(hit.properties)
      .filter(([name, value]) => !HIDDEN.test(name) && ["string", "number", "boolean"].includes(typeof value))
      .map(([name, value]) => [t.detail.properties[name] ?? name, propertyText(name, value)] as [string, string]),
    [names.tile, String(hit.id)],
  ];
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{name === names.scene && outline ? <button type="button" class="link" title={t.detail.showScene} onClick={() => mapController.fitBox(boxOf(outline.geometry))}>{value}</button> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A property's value with its unit. */
function propertyText(name: string, value: unknown): string {
  if (name === "gsd") return `${formatNumber(Number(Number(value).toPrecision(3)))} m`;
  if (name === "eo:cloud_cover") return formatPercent(Number(value) / 100);
  if (name.endsWith("_fraction")) return formatPercent(Number(value));
  if (/^view:(sun_|off_nadir|incidence_angle|azimuth)/.test(name)) return `${formatFixed(Number(value), 1)}°`;
  return typeof value === "number" ? formatNumber(Number(value.toPrecision(4))) : String(value);
}
