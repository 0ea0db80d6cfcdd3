// The tiles around a tile, as they lie on the ground.
import * as calls from "../api/calls";
import { t } from "../i18n";
import { rectangle } from "../map/draw";
import { select, updateView } from "../model/actions";
import type { Hit } from "../model/hit";
import { Thumbnail } from "./Card";
import { useAsync } from "./components";

const AROUND = [-1, 0, 1] as const;

export function Neighbours({ hit }: { hit: Hit }) {
  const [tiles] = useAsync(async (signal) => around(hit, await calls.listTiles({ intersects: surroundings(hit), collections: [hit.collection], limit: 200 }, { signal })), [hit.id]);
  // Without neighbours there is nothing to show, and a failed request is shown by the other parts.
  if (tiles.state !== "done" || tiles.value.size < 2) return null;
  const { value } = tiles;
  return (
    <section aria-label={t.detail.neighbours}>
      <h3>{t.detail.neighbours}</h3>
      <div class="around">
        {AROUND.toReversed().flatMap((y) => AROUND.map((x) => {
          const tile = value.get(`${x},${y}`);
          if (!tile) return <span key={`${x},${y}`} />;
          if (tile.id === hit.id) return <span key="own" class="own"><Thumbnail id={tile.id} size={128} /></span>;
          return <button key={tile.id} type="button" aria-label={t.detail.neighbour(t.detail.sides[`${x},${y}`] ?? "", tile.id)} onClick={() => { select(tile.id); updateView({ tile: tile.id }); }}><Thumbnail id={tile.id} size={128} /></button>;
        }))}
      </div>
    </section>
  );
}

/** The ground up to the middle of the tiles around. */
function surroundings({ box: [west, south, east, north] }: Hit) {
  const [wide, high] = [(east - west) / 2, (north - south) / 2];
  return rectangle([west - wide, Math.max(-90, south - high)], [east + wide, Math.min(90, north + high)]);
}

/** The tile of the same scene and scale that lies in each direction, the nearest where several do. */
function around(hit: Hit, tiles: readonly Hit[]): Map<string, Hit> {
  const [wide, high] = [hit.box[2] - hit.box[0], hit.box[3] - hit.box[1]];
  const found = new Map<string, { tile: Hit; off: number }>([["0,0", { tile: hit, off: 0 }]]);
  for (const tile of tiles) {
    if (tile.scene !== hit.scene || tile.scale !== hit.scale || tile.id === hit.id) continue;
    const [dx, dy] = [(tile.centre[0] - hit.centre[0]) / wide, (tile.centre[1] - hit.centre[1]) / high];
    const [x, y] = [Math.round(dx), Math.round(dy)];
    const off = Math.hypot(dx - x, dy - y);
    const there = found.get(`${x},${y}`);
    if (Math.abs(x) <= 1 && Math.abs(y) <= 1 && (!there || off < there.off)) found.set(`${x},${y}`, { tile, off });
  }
  return new Map([...found].map(([key, { tile }]) => [key, tile]));
}
