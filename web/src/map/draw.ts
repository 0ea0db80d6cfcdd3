// Drawing a box or a polygon with the pointer. Enter or a double click finishes, Escape cancels.
import type { Polygon } from "geojson";
import type { Map as MapLibre } from "maplibre-gl";
import { crossesItself } from "../model/geometry";

type Point = [number, number];
interface Drawing { stop: () => void }

export const rectangle = ([x1, y1]: Point, [x2, y2]: Point): Polygon => {
  const [w, e, s, n] = [Math.min(x1, x2), Math.max(x1, x2), Math.min(y1, y2), Math.max(y1, y2)];
  return { type: "Polygon", coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] };
};
/** Longitudes may lie beyond ±180°, so that an area can cross it. */
const clamp = ([lon, lat]: Point): Point => [Math.min(540, Math.max(-540, lon)), Math.min(90, Math.max(-90, lat))];

/** Ignore the click of the pointer press that finishes a drawing, however late it arrives. */
function ignoreClick(surface: HTMLElement): void {
  const stop = (): void => {
    surface.removeEventListener("click", ignore, true);
    removeEventListener("pointerdown", stop, true);
  };
  const ignore = (event: MouseEvent): void => {
    event.stopPropagation();
    stop();
  };
  surface.addEventListener("click", ignore, true);
  addEventListener("pointerdown", stop, true);
}

/** Draw an area: `preview` gets it while it grows, `done` gets it when it is finished, or null. An outline that crosses itself is not finished. */
export function draw(map: MapLibre, shape: "box" | "polygon", preview: (area: Polygon | null) => void, done: (area: Polygon | null) => void, onCross: () => void): Drawing {
  const surface = map.getCanvasContainer();
  const canvas = map.getCanvas();
  const ring: Point[] = [];
  let start: Point | null = null;
  const at = (event: PointerEvent | MouseEvent): Point => {
    const frame = canvas.getBoundingClientRect();
    const { lng, lat } = map.unproject([event.clientX - frame.left, event.clientY - frame.top]);
    return clamp([lng, lat]);
  };
  const closed = (points: Point[]): Polygon => ({ type: "Polygon", coordinates: [[...points, points[0]!]] });
  const finish = (area: Polygon | null): void => {
    stop();
    done(area);
  };
  const close = (): void => {
    // A double click adds its point twice.
    const clean = ring.filter((point, index) => index === 0 || point.some((value, axis) => Math.abs(value - ring[index - 1]![axis]!) > 1e-9));
    if (clean.length < 3) return;
    if (crossesItself([...clean, clean[0]!])) onCross();
    else finish(closed(clean));
  };
  const down = (event: PointerEvent): void => {
    if (event.button !== 0 || event.target !== canvas) return;
    event.preventDefault();
    event.stopPropagation();
    if (shape === "box") {
      start = at(event);
      surface.setPointerCapture(event.pointerId);
      return;
    }
    const first = ring[0] && map.project(ring[0]);
    const frame = canvas.getBoundingClientRect();
    if (first && ring.length >= 3 && Math.hypot(event.clientX - frame.left - first.x, event.clientY - frame.top - first.y) < 12) {
      ignoreClick(surface);
      return close();
    }
    ring.push(at(event));
    if (ring.length > 1) preview(closed(ring));
  };
  const move = (event: PointerEvent): void => {
    if (start) preview(rectangle(start, at(event)));
    else if (ring.length) preview(closed([...ring, at(event)]));
  };
  const up = (event: PointerEvent): void => {
    if (!start) return;
    const [a, b] = [map.project(start), map.project(at(event))];
    const area = rectangle(start, at(event));
    start = null;
    if (Math.abs(a.x - b.x) > 4 && Math.abs(a.y - b.y) > 4) {
      ignoreClick(surface);
      finish(area);
    } else preview(null);
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "Escape") finish(null);
    else if (event.key === "Backspace" && shape === "polygon") {
      ring.pop();
      preview(ring.length > 1 ? closed(ring) : null);
    }
    else if (event.key === "Enter" && shape === "polygon") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const stop = (): void => {
    surface.removeEventListener("pointerdown", down, true);
    surface.removeEventListener("pointermove", move);
    surface.removeEventListener("pointerup", up);
    surface.removeEventListener("dblclick", close, true);
    removeEventListener("keydown", key, true);
    map.dragPan.enable();
    // Later, so that the double click that closed a polygon does not zoom too.
    setTimeout(() => map.doubleClickZoom.enable());
    map.boxZoom.enable();
    canvas.style.cursor = "";
    preview(null);
  };
  map.dragPan.disable();
  map.doubleClickZoom.disable();
  map.boxZoom.disable();
  canvas.style.cursor = "crosshair";
  surface.addEventListener("pointerdown", down, true);
  surface.addEventListener("pointermove", move);
  surface.addEventListener("pointerup", up);
  surface.addEventListener("dblclick", close, true);
  addEventListener("keydown", key, true);
  return { stop };
}
