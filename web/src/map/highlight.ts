// Outlines of the selected and the hovered hit: an SVG over the map, so that following the pointer draws no new map frame.
import type { Map as MapLibre } from "maplibre-gl";
import type { Hit } from "../model/hit";
import { minZoomOf } from "./footprints";

export interface Highlight { hit: Hit; color: string; selected: boolean }

const SVG = "http://www.w3.org/2000/svg";

/** Return a function that replaces the highlights; they move with the map. */
export function createHighlighter(map: MapLibre): (highlights: readonly Highlight[]) => void {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "highlights");
  svg.setAttribute("aria-hidden", "true");
  map.getCanvasContainer().append(svg);
  let highlights: readonly Highlight[] = [];
  const update = (): void => {
    if (highlights.length || svg.childElementCount) svg.replaceChildren(...highlights.flatMap((highlight) => shapes(map, highlight)));
  };
  map.on("move", update);
  map.on("resize", update);
  return (next) => {
    highlights = next;
    update();
  };
}

function shapes(map: MapLibre, { hit, color, selected }: Highlight): SVGElement[] {
  if (map.getZoom() < minZoomOf(hit)) {
    const { x, y } = map.project(nearest(map, hit.centre));
    return [element("circle", { cx: x, cy: y, r: 8.5, fill: color, stroke: selected ? "#111827" : "#ffffff", "stroke-width": 2.4 })];
  }
  const whole = pathOf(map, hit.geometry);
  const line = (path: string, stroke: string, width: number): SVGElement => element("path", { d: path, fill: "none", stroke, "stroke-width": width, "stroke-linejoin": "round" });
  const outline = selected ? [line(whole, "#ffffff", 4.5), line(whole, color, 2.2)] : [line(whole, color, 3)];
  if (!hit.part) return outline;
  // The part that the score is of, within the outline of its tile.
  const part = pathOf(map, hit.part);
  return [...outline, line(part, "#ffffff", 3.6), line(part, color, 1.6)];
}

function pathOf(map: MapLibre, geometry: Hit["geometry"]): string {
  const rings = geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat();
  return rings.map((ring) => {
    const shift = nearest(map, ring[0] as [number, number])[0] - ring[0]![0]!;
    return `M${ring.map(([lon, lat]) => map.project([lon! + shift, lat!])).map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
  }).join("");
}

// Where the map shows the world more than once, use the copy nearest to the centre.
function nearest(map: MapLibre, [lon, lat]: [number, number]): [number, number] {
  return [lon + 360 * Math.round((map.getCenter().lng - lon) / 360), lat];
}

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}
