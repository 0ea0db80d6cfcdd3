// Keys for what is done often; none of them works while something is being typed.
import { exampleTile, look, select, star, step } from "../model/actions";
import { asked, byId, current, drawing, help, shown, view } from "../model/store";
import { showHeat, useMap } from "./mapState";

let before: number | null = null;

export function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]")) return;
  if (document.querySelector("dialog[open]")) return;
  const inMap = Boolean(target.closest(".maplibregl-map"));
  const id = view.value.tile ?? current.value;
  const handled = act(event.key, id, inMap, target);
  if (handled) event.preventDefault();
}

function act(key: string, id: number | null, inMap: boolean, target: HTMLElement): boolean {
  switch (key) {
    case "/":
      document.querySelector<HTMLInputElement>("#q")?.focus();
      document.querySelector<HTMLInputElement>("#q")?.select();
      return true;
    case "?": help.value = true; return true;
    case "j": case "k":
      before = current.value;
      step(key === "j" ? 1 : -1);
      return true;
    case "Escape":
      if (drawing.value) drawing.value = null;
      else if (view.value.tile !== null) look({ tile: null });
      else if (current.value !== null) select(null);
      else return false;
      return true;
    case "b": drawing.value = "box"; return true;
    case "p": drawing.value = "polygon"; return true;
    case "h": if (asked.value) showHeat(!view.value.heat); return true;
    case "f": useMap.fit(shown.value); return true;
    default: break;
  }
  if (id === null) return false;
  switch (key) {
    // The map zooms by these keys where it has the focus.
    case "+": case "=": if (inMap) return false; exampleTile(id, 1); return true;
    case "-": case "−": case "_": if (inMap) return false; exampleTile(id, -1); return true;
    case "s": star(id); return true;
    case "z": { const hit = byId.value.get(id); if (hit) useMap.zoomTo(hit); return true; }
    case "c": if (before !== null && before !== id) look({ compare: [before, id] }); return true;
    case "Enter":
      // A dialog that has just closed may keep the focus on a button of its own for a while.
      if (target.closest("button, a, summary") && !target.closest("dialog")) return false;
      look({ tile: id });
      return true;
    default: return false;
  }
}
