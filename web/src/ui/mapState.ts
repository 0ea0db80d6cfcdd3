// The one map, for controls that move it.
import type { Map as MapLibre } from "maplibre-gl";
import type { FeatureCollection, MultiPolygon, Polygon } from "geojson";
import { signal } from "@preact/signals";
import { fit } from "../map/moves";
import { zoomOf } from "../map/footprints";
import { rectangle } from "../map/draw";
import { look } from "../model/actions";
import { around, boxOf, type Hit } from "../model/hit";
import { shown } from "../model/store";

export const layers = signal({ imagery: true, footprints: true, coverage: true });
let map: MapLibre | null = null;

export const useMap = {
  set: (made: MapLibre | null): void => { map = made; },
  get: (): MapLibre | null => map,
  bounds(): Polygon | null {
    if (!map) return null;
    const bounds = map.getBounds();
    return rectangle([Math.max(-180, bounds.getWest()), Math.max(-90, bounds.getSouth())], [Math.min(180, bounds.getEast()), Math.min(90, bounds.getNorth())]);
  },
  fitBox(box: [number, number, number, number]): void {
    if (map) fit(map, box);
  },
  fitFeatures(found: FeatureCollection<Polygon | MultiPolygon>): void {
    const box = around(found.features.map(({ geometry }) => ({ box: boxOf(geometry) })));
    if (map && box) fit(map, box);
  },
  /** Say whether some of it is in view and large enough to be seen. */
  showsAny(found: FeatureCollection<Polygon | MultiPolygon>): boolean {
    return found.features.some(({ geometry }) => {
      const box = boxOf(geometry);
      return map !== null && map.getZoom() >= zoomOf({ box }) && map.getBounds().contains([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
    });
  },
  fit(hits: readonly Hit[], most?: number): void {
    const box = around(hits);
    if (map && box) fit(map, box, most);
  },
  zoomTo(hit: Hit): void {
    if (!map) return;
    const [west, south, east, north] = hit.box;
    const [wide, tall] = [east - west, north - south];
    fit(map, [west - wide, south - tall, east + wide, north + tall], 20);
  },
};

const NEAR = 2.2;
/** The heat map is as fine as tiles are: where they are too small to be seen, the map goes to the best of them. */
export function showHeat(on: boolean): void {
  look({ heat: on });
  const best = shown.value[0];
  if (on && best && map && map.getZoom() < zoomOf(best)) useMap.fit([best], zoomOf(best) + NEAR);
}
