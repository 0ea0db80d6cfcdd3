// Keyboard shortcuts. None of them works while the user types.
import { moveSelection, select, toggleStar, toggleTileExample, updateView } from "../model/actions";
import * as labelling from "../model/labelling";
import { byId, drawing, editingArea, helpOpen, searchable, selected, view, visibleHits } from "../model/store";
import { mapController, showHeatMap } from "./mapController";

/** The tile that was selected before the last j or k: the other side of a comparison. */
let previous: number | null = null;

export function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]")) return;
  if (document.querySelector("dialog[open]")) return;
  const inMap = Boolean(target.closest(".maplibregl-map"));
  const id = view.value.tile ?? selected.value;
  if (handle(event.key, id, inMap, target)) event.preventDefault();
}

/** Keys of the queue of labels. They count only while it shows a tile. */
function handleQueue(key: string): boolean {
  const classes = Object.keys(labelling.details.value?.classes ?? {});
  if (key === "u") {
    labelling.undoLabel();
    return true;
  }
  if (!labelling.current.value) return false;
  const numbered = /^[1-9]$/.test(key) ? classes[Number(key) - 1] : undefined;
  if (numbered !== undefined) labelling.label(numbered);
  else if ((key === "a" || key === "ArrowRight") && classes[0] !== undefined) labelling.label(classes[0]);
  else if (key === "r" || key === "ArrowLeft") labelling.label(labelling.NONE);
  else if (key === "s" || key === "ArrowDown") labelling.label(labelling.SKIP);
  else return false;
  return true;
}

function handle(key: string, id: number | null, inMap: boolean, target: HTMLElement): boolean {
  if (view.value.tab === "labels" && view.value.labels !== null && !inMap && !target.closest("input, select") && handleQueue(key)) return true;
  switch (key) {
    case "/":
      document.querySelector<HTMLInputElement>("#q")?.focus();
      document.querySelector<HTMLInputElement>("#q")?.select();
      return true;
    case "?": helpOpen.value = true; return true;
    case "j": case "k":
      previous = selected.value;
      moveSelection(key === "j" ? 1 : -1);
      return true;
    case "Escape":
      if (drawing.value) drawing.value = null;
      else if (editingArea.value) editingArea.value = false;
      else if (view.value.tile !== null) updateView({ tile: null });
      else if (selected.value !== null) select(null);
      else return false;
      return true;
    case "b": drawing.value = "box"; return true;
    case "p": drawing.value = "polygon"; return true;
    case "m": drawing.value = drawing.value === "measure" ? null : "measure"; return true;
    case "h": if (searchable.value) showHeatMap(!view.value.heat); return true;
    case "f": mapController.fit(visibleHits.value); return true;
    default: break;
  }
  if (id === null) return false;
  switch (key) {
    // MapLibre zooms with these keys while the map has the focus.
    case "+": case "=": if (inMap) return false; toggleTileExample(id, 1); return true;
    case "-": case "−": case "_": if (inMap) return false; toggleTileExample(id, -1); return true;
    case "s": toggleStar(id); return true;
    case "z": { const hit = byId.value.get(id); if (hit) mapController.zoomTo(hit); return true; }
    case "c": if (previous !== null && previous !== id) updateView({ compare: [previous, id] }); return true;
    case "Enter":
      // A dialog that has just closed can keep the focus on one of its buttons for a moment.
      if (target.closest("button, a, summary") && !target.closest("dialog")) return false;
      updateView({ tile: id });
      return true;
    default: return false;
  }
}
