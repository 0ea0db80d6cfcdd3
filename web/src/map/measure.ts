// Measuring: a line that is clicked on the map. Its length, and the area where it is closed, are shown while it grows.
import type { FeatureCollection, Position } from "geojson";
import type { Map as MapLibre, MapMouseEvent } from "maplibre-gl";
import { setData } from "./maplibre";

const NEAR_PX = 5;

/** Measure until `stop` is called; `show` gets the corners after each of them, and while the pointer moves. */
export function measure(map: MapLibre, show: (line: Position[]) => void, done: () => void): { stop: () => void } {
  const line: Position[] = [];
  let finished = false;
  const update = (next?: Position): void => {
    const shown = next && !finished ? [...line, next] : line;
    setData(map, "measure", features(shown));
    show(shown);
  };
  const click = ({ lngLat, point }: MapMouseEvent): void => {
    if (finished) {
      line.length = 0;
      finished = false;
    }
    const last = line.at(-1);
    const at = last && map.project(last as [number, number]);
    // A double click ends the line.
    if (at && Math.hypot(at.x - point.x, at.y - point.y) < NEAR_PX) finished = true;
    else line.push([lngLat.lng, lngLat.lat]);
    update();
  };
  const move = ({ lngLat }: MapMouseEvent): void => { if (line.length) update([lngLat.lng, lngLat.lat]); };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "Escape") done();
    else if (event.key === "Enter") finished = true;
    else if (event.key === "Backspace") line.pop();
    else return;
    update();
    event.preventDefault();
    event.stopPropagation();
  };
  map.on("click", click);
  map.on("mousemove", move);
  addEventListener("keydown", key, true);
  map.doubleClickZoom.disable();
  map.getCanvas().style.cursor = "crosshair";
  return {
    stop: () => {
      map.off("click", click);
      map.off("mousemove", move);
      removeEventListener("keydown", key, true);
      setTimeout(() => map.doubleClickZoom.enable());
      map.getCanvas().style.cursor = "";
      setData(map, "measure", features([]));
      show([]);
    },
  };
}

function features(line: readonly Position[]): FeatureCollection {
  const points = line.map((coordinates) => ({ type: "Feature" as const, properties: {}, geometry: { type: "Point" as const, coordinates } }));
  return { type: "FeatureCollection", features: line.length > 1 ? [{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: [...line] } }, ...points] : points };
}
