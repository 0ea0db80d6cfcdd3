// What the archive holds, which model reads it, how good its index is, and the indexing jobs.
import { loadOverview } from "../model/actions";
import { sensorName } from "../model/hit";
import { overview, overviewFailure } from "../model/store";
import type { Overview } from "../api/calls";
import { Failed, Waiting } from "./bits";
import { Jobs } from "./Jobs";
import { useMap } from "./mapState";
import { classColor } from "../model/color";
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

/** Tiles of each sensor: how many, and in which months. */
function Months({ held }: { held: Overview }) {
  const months = [...new Set(held.months.flatMap(({ month }) => (month ? [month] : [])))].sort();
  const most = Math.max(1, ...held.months.map(({ tiles }) => tiles));
  return (
    <section aria-label="Tiles by sensor and month">
      <h3>Tiles by sensor and month</h3>
      <table class="months">
        <thead><tr><th scope="col">Sensor</th><th scope="col">Tiles</th><th scope="col">{months.length ? `${months[0]} to ${months.at(-1)}` : "no dates"}</th></tr></thead>
        <tbody>
          {held.sensors.map(({ id, tiles }, row) => {
            const own = new Map(held.months.filter(({ sensor, month }) => sensor === id && month).map(({ month, tiles: count }) => [month, count]));
            const undated = held.months.find(({ sensor, month }) => sensor === id && !month)?.tiles ?? 0;
            return (
              <tr key={id}>
                <th scope="row"><i style={{ background: classColor(row) }} />{sensorName(id)}</th>
                <td class="num">{tiles.toLocaleString("en")}</td>
                <td><div class="cells">{months.map((month) => <span key={month} title={`${month}: ${own.get(month) ?? 0} tiles`} style={own.has(month) ? { background: classColor(row), opacity: 0.35 + 0.65 * Math.sqrt((own.get(month) ?? 0) / most) } : {}} />)}</div>{undated > 0 && <span class="dim small">{undated} undated</span>}</td>
              </tr>
            );
          })}
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
