// What the archive contains, its model, its search index, and the indexing jobs.
import type { Overview } from "../api/calls";
import { formatNumber, licenseName, t } from "../i18n";
import { loadOverview } from "../model/actions";
import { classColor } from "../model/color";
import { sensorName } from "../model/hit";
import { overview, overviewError } from "../model/store";
import { monthOf, TimeBins } from "../model/timeBins";
import { ErrorMessage, Loading } from "./components";
import { Axis } from "./Histogram";
import * as icons from "./icons";
import { Jobs } from "./Jobs";
import { mapController } from "./mapController";

export function ArchiveView() {
  const archive = overview.value;
  return (
    <div class="archive scroller">
      <div class="row"><h2 class="grow">{t.archive.title}</h2>{archive?.bbox && <button type="button" class="button" onClick={() => mapController.fitBox(archive.bbox!)}><icons.Fit />{t.archive.showCoverage}</button>}</div>
      {!archive && (overviewError.value ? <ErrorMessage reason={overviewError.value.text} retry={() => void loadOverview()} /> : <Loading what={t.archive.loading} />)}
      {archive && (
        <>
          <div class="numbers">
            <Figure value={archive.tiles} name={t.archive.tiles} /><Figure value={archive.scenes} name={t.archive.scenes} /><Figure value={archive.sensors.length} name={t.archive.sensors} /><Figure value={archive.generation} name={t.archive.generation} />
          </div>
          {archive.failures > 0 && <p class="failed-note">{t.archive.failures(archive.failures)}</p>}
          <TilesOverTime archive={archive} />
          <h3>{t.archive.model}</h3>
          <dl class="facts">
            <div><dt>{t.archive.name}</dt><dd>{archive.model.name}</dd></div><div><dt>{t.archive.dimensions}</dt><dd>{archive.model.dim}</dd></div>
            <div><dt>{t.archive.license}</dt><dd>{licenseName(archive.model.license)}</dd></div><div><dt>{t.archive.digest}</dt><dd class="clip" title={archive.model.digest}>{archive.model.digest.slice(0, 16)}…</dd></div>
          </dl>
          <h3>{t.archive.index}</h3>
          <IndexFigures index={archive.index} />
        </>
      )}
      <Jobs />
    </div>
  );
}

const Figure = ({ value, name }: { value: number; name: string }) => <div><b>{formatNumber(value)}</b><span>{name}</span></div>;

/** Tiles of each sensor over time. Periods without tiles are empty, not left out. */
function TilesOverTime({ archive }: { archive: Overview }) {
  const dated = archive.months.flatMap(({ sensor, month, tiles }) => (month ? [{ sensor, month: monthOf(month), tiles }] : []));
  const bins = TimeBins.over(dated.map(({ month }) => month));
  const rows = archive.sensors.map(({ id, tiles }) => {
    const counts = new Array<number>(bins?.count ?? 0).fill(0);
    for (const { sensor, month, tiles: count } of dated) if (sensor === id) counts[bins!.at(month)]! += count;
    return { id, tiles, counts, undated: archive.months.find(({ sensor, month }) => sensor === id && !month)?.tiles ?? 0 };
  });
  const most = Math.max(1, ...rows.flatMap(({ counts }) => counts));
  const title = t.archive.byTime(bins?.unit ?? t.archive.time);
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <table class="months">
        <thead><tr><th scope="col">{t.archive.sensor}</th><th scope="col">{t.archive.tilesColumn}</th><th scope="col">{bins ? <Axis bins={bins} /> : t.archive.noDates}</th></tr></thead>
        <tbody>
          {rows.map(({ id, tiles, counts, undated }, row) => (
            <tr key={id}>
              <th scope="row"><i style={{ background: classColor(row) }} />{sensorName(id)}</th>
              <td class="num">{formatNumber(tiles)}</td>
              <td>
                {bins && <Cells bins={bins} counts={counts} most={most} color={classColor(row)} />}
                {undated > 0 && <span class="dim small">{t.archive.undated(undated)}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Cells({ bins, counts, most, color }: { bins: TimeBins; counts: readonly number[]; most: number; color: string }) {
  const label = counts.flatMap((count, bin) => (count ? [t.archive.stepCount(bins.name(bin), count)] : [])).join(", ") || t.archive.noDates;
  return (
    <div class="cells" role="img" aria-label={label}>
      {counts.map((count, bin) => <span key={bin} title={t.archive.stepCount(bins.name(bin), count)} style={count ? { background: color, opacity: 0.45 + 0.55 * Math.sqrt(count / most) } : {}} />)}
    </div>
  );
}

function IndexFigures({ index }: { index: Record<string, unknown> }) {
  const kind = String(index["index"] ?? index["kind"] ?? "none");
  if (kind === "none" || kind === "exact") return <p class="dim">{t.archive.noIndex}</p>;
  const rows = Object.entries(index).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  return <dl class="facts">{rows.map(([name, value]) => <div key={name}><dt>{t.archive.indexFigures[name] ?? name.replaceAll("_", " ")}</dt><dd>{typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value)}</dd></div>)}</dl>;
}
