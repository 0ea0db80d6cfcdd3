// What the archive holds, which model reads it, how good its index is, and the indexing jobs.
import { loadOverview } from "../model/actions";
import { sensorName } from "../model/hit";
import { overview, overviewFailure } from "../model/store";
import type { Overview } from "../api/calls";
import { Failed, Waiting } from "./bits";
import { Jobs } from "./Jobs";
import { Axis } from "./Histogram";
import { useMap } from "./mapState";
import { classColor } from "../model/color";
import { monthOf, Steps } from "../model/months";
import * as icons from "./icons";

export function ArchiveView() {
  const held = overview.value;
  return (
    <div class="archive scroller">
      <div class="row"><h2 class="grow">Archive</h2>{held?.bbox && <button type="button" class="button" onClick={() => useMap.fitBox(held.bbox!)}><icons.Fit />Show its coverage</button>}</div>
      {!held && (overviewFailure.value ? <Failed reason={overviewFailure.value.text} retry={() => void loadOverview()} /> : <Waiting what="Reading the archive" />)}
      {held && (
        <>
          <div class="numbers">
            <Number of={held.tiles} name="tiles" /><Number of={held.scenes} name="scenes" /><Number of={held.sensors.length} name="sensors" /><Number of={held.generation} name="generation" />
          </div>
          {held.failures > 0 && <p class="failed-note">{held.failures} {held.failures === 1 ? "scene" : "scenes"} could not be indexed; see the jobs below.</p>}
          <Months held={held} />
          <h3>Model</h3>
          <dl class="facts">
            <div><dt>Name</dt><dd>{held.model.name}</dd></div><div><dt>Vector length</dt><dd>{held.model.dim}</dd></div>
            <div><dt>Licence of the weights</dt><dd>{held.model.license}</dd></div><div><dt>Digest</dt><dd class="clip" title={held.model.digest}>{held.model.digest.slice(0, 16)}…</dd></div>
          </dl>
          <h3>Search index</h3>
          <Recall index={held.index} />
        </>
      )}
      <Jobs />
    </div>
  );
}

const Number = ({ of, name }: { of: number; name: string }) => <div><b>{of.toLocaleString("en")}</b><span>{name}</span></div>;

/** Tiles of each sensor: how many, and when; times of which nothing is held are empty, not left out. */
function Months({ held }: { held: Overview }) {
  const dated = held.months.flatMap(({ sensor, month, tiles }) => (month ? [{ sensor, at: monthOf(month), tiles }] : []));
  const steps = Steps.over(dated.map(({ at }) => at));
  const rows = held.sensors.map(({ id, tiles }) => {
    const counts = new Array<number>(steps?.count ?? 0).fill(0);
    for (const one of dated) if (one.sensor === id) counts[steps!.at(one.at)]! += one.tiles;
    return { id, tiles, counts, undated: held.months.find(({ sensor, month }) => sensor === id && !month)?.tiles ?? 0 };
  });
  const most = Math.max(1, ...rows.flatMap(({ counts }) => counts));
  return (
    <section aria-label="Tiles by sensor and time">
      <h3>Tiles by sensor and {steps?.unit ?? "time"}</h3>
      <table class="months">
        <thead><tr><th scope="col">Sensor</th><th scope="col">Tiles</th><th scope="col">{steps ? <Axis steps={steps} /> : "no dates"}</th></tr></thead>
        <tbody>
          {rows.map(({ id, tiles, counts, undated }, row) => (
            <tr key={id}>
              <th scope="row"><i style={{ background: classColor(row) }} />{sensorName(id)}</th>
              <td class="num">{tiles.toLocaleString("en")}</td>
              <td>
                {steps && <div class="cells" role="img" aria-label={counts.flatMap((count, step) => (count ? [`${steps.name(step)}: ${count}`] : [])).join(", ") || "none with a date"}>{counts.map((count, step) => <span key={step} title={`${steps.name(step)}: ${count.toLocaleString("en")} tiles`} style={count ? { background: classColor(row), opacity: 0.45 + 0.55 * Math.sqrt(count / most) } : {}} />)}</div>}
                {undated > 0 && <span class="dim small">{undated.toLocaleString("en")} without a date</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Recall({ index }: { index: Record<string, unknown> }) {
  const rows = Object.entries(index).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  const kind = String(index["index"] ?? index["kind"] ?? "none");
  if (kind === "none" || kind === "exact") return <p class="dim">None: the archive is small enough that every tile is compared, exactly. Recall is 1 by construction.</p>;
  return <dl class="facts">{rows.map(([name, value]) => <div key={name}><dt>{name.replaceAll("_", " ")}</dt><dd>{typeof value === "number" && !globalThis.Number.isInteger(value) ? value.toFixed(3) : String(value)}</dd></div>)}</dl>;
}
