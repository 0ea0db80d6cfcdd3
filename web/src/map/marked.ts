// What is pointed at, drawn over the map and not into it: light follows the pointer without a new frame of the map.
import type { Map as MapLibre } from "maplibre-gl";
import type { Hit } from "../model/hit";
import { zoomOf } from "./footprints";

export interface Mark { hit: Hit; color: string; current: boolean }

const SVG = "http://www.w3.org/2000/svg";

/** Return a function that shows these marks and no others; they move with the map. */
export function marker(map: MapLibre): (marks: readonly Mark[]) => void {
  const sheet = document.createElementNS(SVG, "svg");
  sheet.setAttribute("class", "marks");
  sheet.setAttribute("aria-hidden", "true");
  map.getCanvasContainer().append(sheet);
  let shown: readonly Mark[] = [];
  const place = (): void => {
    if (shown.length || sheet.childElementCount) sheet.replaceChildren(...shown.flatMap((mark) => shapes(map, mark)));
  };
  map.on("move", place);
  map.on("resize", place);
  return (marks) => {
    shown = marks;
    place();
  };
}

function shapes(map: MapLibre, { hit, color, current }: Mark): SVGElement[] {
  if (map.getZoom() < zoomOf(hit)) {
    const { x, y } = map.project(nearest(map, hit.centre));
    return [make("circle", { cx: x, cy: y, r: 8.5, fill: color, stroke: current ? "#111827" : "#ffffff", "stroke-width": 2.4 })];
  }
  const rings = hit.geometry.type === "Polygon" ? hit.geometry.coordinates : hit.geometry.coordinates.flat();
  const path = rings.map((ring) => {
    const shift = nearest(map, ring[0] as [number, number])[0] - ring[0]![0]!;
    return `M${ring.map(([lon, lat]) => map.project([lon! + shift, lat!])).map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
  }).join("");
  const line = (stroke: string, wide: number): SVGElement => make("path", { d: path, fill: "none", stroke, "stroke-width": wide, "stroke-linejoin": "round" });
  return current ? [line("#ffffff", 4.5), line(color, 2.2)] : [line(color, 3)];
}

// Where the world stands side by side with itself, the one in the middle counts.
function nearest(map: MapLibre, [lon, lat]: [number, number]): [number, number] {
  return [lon + 360 * Math.round((map.getCenter().lng - lon) / 360), lat];
}

function make(name: string, said: Record<string, string | number>): SVGElement {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(said)) node.setAttribute(key, String(value));
  return node;
}
