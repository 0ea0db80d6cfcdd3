// The corners of an area as handles: drag them, move them with the arrow keys, remove them with Delete, add one between two others.
import type { Polygon, Position } from "geojson";
import { type Map as MapLibre, Marker } from "maplibre-gl";

const STEP_PX = 6;

export interface AreaLabels { corner: (number: number) => string; add: (number: number) => string }

/** Put handles on a polygon; `change` gets each new outline, and returns whether it is taken. */
export function editArea(map: MapLibre, area: Polygon, labels: AreaLabels, preview: (area: Polygon) => void, change: (area: Polygon) => boolean): { stop: () => void } {
  let ring = area.coordinates[0]!.slice(0, -1);
  let markers: Marker[] = [];
  const polygon = (corners: Position[]): Polygon => ({ type: "Polygon", coordinates: [[...corners, corners[0]!]] });
  const commit = (next: Position[], focus?: number): void => {
    if (change(polygon(next))) ring = next;
    else preview(polygon(ring));
    draw(focus);
  };
  const handle = (index: number): HTMLElement => {
    const node = document.createElement("button");
    Object.assign(node, { type: "button", className: "corner", title: labels.corner(index + 1), ariaLabel: labels.corner(index + 1) });
    node.addEventListener("click", (event) => event.stopPropagation());
    node.addEventListener("keydown", (event) => {
      const step = ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as Record<string, [number, number]>)[event.key];
      if (step) {
        const { x, y } = map.project(ring[index] as [number, number]);
        const { lng, lat } = map.unproject([x + step[0] * STEP_PX, y + step[1] * STEP_PX]);
        commit(ring.with(index, [lng, lat]), index);
      } else if ((event.key === "Delete" || event.key === "Backspace") && ring.length > 3) {
        commit(ring.toSpliced(index, 1), Math.max(0, index - 1));
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return node;
  };
  const draw = (focus?: number): void => {
    for (const marker of markers) marker.remove();
    markers = ring.flatMap((at, index) => {
      const corner = new Marker({ element: handle(index), draggable: true }).setLngLat(at as [number, number]).addTo(map);
      const moved = (): Position[] => { const { lng, lat } = corner.getLngLat(); return ring.with(index, [lng, lat]); };
      corner.on("drag", () => preview(polygon(moved())));
      corner.on("dragend", () => commit(moved(), index));
      const next = ring[(index + 1) % ring.length]!;
      const middle: Position = [(at[0]! + next[0]!) / 2, (at[1]! + next[1]!) / 2];
      const node = document.createElement("button");
      Object.assign(node, { type: "button", className: "corner between", title: labels.add(index + 1), ariaLabel: labels.add(index + 1) });
      node.addEventListener("click", (event) => {
        event.stopPropagation();
        commit(ring.toSpliced(index + 1, 0, middle), index + 1);
      });
      return [corner, new Marker({ element: node }).setLngLat(middle as [number, number]).addTo(map)];
    });
    if (focus !== undefined) markers[focus * 2]?.getElement().focus();
  };
  draw();
  return { stop: () => { for (const marker of markers) marker.remove(); } };
}
