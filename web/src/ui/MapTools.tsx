// The map's own controls and its legend.
import { RAMP } from "../model/color";
import { percent } from "../model/hit";
import { asked, classMap, drawing, heatRange, hits, range, shown, view } from "../model/store";
import { coloured } from "./Classes";
import { IconButton, Popover } from "./bits";
import { layers, showHeat, useMap } from "./mapState";
import * as icons from "./icons";

export function MapTools() {
  const toggle = (shape: "box" | "polygon"): void => { drawing.value = drawing.value === shape ? null : shape; };
  const set = (name: keyof typeof layers.value, on: boolean): void => { layers.value = { ...layers.value, [name]: on }; };
  return (
    <>
      <div class="map-tools" role="toolbar" aria-label="Map">
        <div class="tool-group">
          <IconButton label="Zoom in" onClick={() => useMap.get()?.zoomIn()}><icons.Plus /></IconButton>
          <IconButton label="Zoom out" onClick={() => useMap.get()?.zoomOut()}><icons.Minus /></IconButton>
          <IconButton label="Fit the map to the results" keys="f" onClick={() => useMap.fit(shown.value)} disabled={!hits.value.length}><icons.Fit /></IconButton>
        </div>
        <div class="tool-group">
          <IconButton label="Draw a box to search in" keys="b" on={drawing.value === "box"} onClick={() => toggle("box")}><icons.Box /></IconButton>
          <IconButton label="Draw a polygon to search in" keys="p" on={drawing.value === "polygon"} onClick={() => toggle("polygon")}><icons.Shape /></IconButton>
        </div>
        <div class="tool-group">
          <IconButton label="Heat map of the question" keys="h" on={view.value.heat} disabled={!asked.value} onClick={() => showHeat(!view.value.heat)}><icons.Flame /></IconButton>
          <Popover label="Layers" class="icon-button" button={<icons.Layers />}>
            {() => (
              <div class="checks">
                {([["imagery", "Imagery of the archive"], ["footprints", "Results"], ["coverage", "Outlines of scenes"]] as const).map(([name, text]) => (
                  <label key={name} class="check"><input type="checkbox" checked={layers.value[name]} onChange={(event) => set(name, event.currentTarget.checked)} />{text}</label>
                ))}
                <label class="check"><input type="checkbox" checked={view.value.heat} disabled={!asked.value} onChange={(event) => showHeat(event.currentTarget.checked)} />Heat map of the question</label>
              </div>
            )}
          </Popover>
        </div>
      </div>
      {drawing.value && (
        <p class="draw-hint" role="status">{drawing.value === "box" ? "Drag a box on the map." : "Click each corner; double-click or Enter to finish."} <button type="button" class="link" onClick={() => { drawing.value = null; }}>Cancel (Esc)</button></p>
      )}
      <Legend />
      <p class="attribution">Land and borders: Natural Earth</p>
    </>
  );
}

function Legend() {
  const { low, high, of } = range.value;
  const { tab, heat } = view.value;
  if (tab === "classes" && classMap.value) {
    const { shares } = coloured(classMap.value.labels, classMap.value.map);
    return <div class="legend" aria-label="Classes">{shares.map((one) => <span key={one.label} class="key"><i style={{ background: one.color }} />{one.label}</span>)}</div>;
  }
  if (tab !== "search" || !hits.value.length) return null;
  const say_ = (value: number): string => (of === "probability" ? percent(value) : value.toFixed(2));
  return (
    <div class="legend" aria-label={of === "probability" ? "Colours: probability" : "Colours: likeness"}>
      <span class="key">{of === "probability" ? "Probability" : "Likeness"}</span>
      <span class="num">{say_(low)}</span><i class="ramp" style={{ background: `linear-gradient(90deg, ${RAMP.map(([stop, color]) => `${color} ${stop * 100}%`).join(", ")})` }} /><span class="num">{say_(high)}</span>
      {heat && <><span class="key heat-key"><icons.Flame />Heat, score</span>{heatRange.value && <><span class="num">{heatRange.value[0].toFixed(2)}</span><i class="ramp magma" /><span class="num">{heatRange.value[1].toFixed(2)}</span></>}</>}
    </div>
  );
}

