// The controls on the map and its legend.
import { formatArea, formatLength, formatNumber, formatPercent, formatScore, formatShare, t } from "../i18n";
import { CHANGE_RANGE, changeLayer, changeOpacity } from "../model/change";
import { RAMP } from "../model/color";
import { areaOf, lengthOf } from "../model/geometry";
import { layer, layerOpacity } from "../model/labelling";
import { classMap, drawing, editingArea, heatOpacity, heatRange, hits, imageryProblem, isByClassifier, measured, question, scoreRange, searchable, view, visibleHits } from "../model/store";
import { colorClasses } from "./Classes";
import { IconButton, Popover, Slider } from "./components";
import * as icons from "./icons";
import { BASEMAP, layers, mapController, showHeatMap } from "./mapController";

const LAYERS = ["imagery", "footprints", "coverage", ...(BASEMAP ? ["background" as const] : [])] as const;

export function MapTools() {
  const toggleDrawing = (shape: "box" | "polygon" | "measure"): void => { drawing.value = drawing.value === shape ? null : shape; };
  return (
    <>
      <div class="map-tools" role="toolbar" aria-label={t.map.tools}>
        <div class="tool-group">
          <IconButton label={t.map.zoomIn} onClick={() => mapController.get()?.zoomIn()}><icons.Plus /></IconButton>
          <IconButton label={t.map.zoomOut} onClick={() => mapController.get()?.zoomOut()}><icons.Minus /></IconButton>
          <IconButton label={t.map.fit} keys="f" onClick={() => mapController.fit(visibleHits.value)} disabled={!hits.value.length}><icons.Fit /></IconButton>
        </div>
        <div class="tool-group">
          <IconButton label={t.map.drawBox} keys="b" on={drawing.value === "box"} onClick={() => toggleDrawing("box")}><icons.Box /></IconButton>
          <IconButton label={t.map.drawPolygon} keys="p" on={drawing.value === "polygon"} onClick={() => toggleDrawing("polygon")}><icons.Shape /></IconButton>
          {question.value.filters.area && <IconButton label={t.map.editArea} on={editingArea.value} onClick={() => { editingArea.value = !editingArea.value; }}><icons.Edit /></IconButton>}
          <IconButton label={t.map.measure} keys="m" on={drawing.value === "measure"} onClick={() => toggleDrawing("measure")}><icons.Ruler /></IconButton>
        </div>
        <div class="tool-group">
          <IconButton label={t.map.heat} keys="h" on={view.value.heat} disabled={!searchable.value} onClick={() => showHeatMap(!view.value.heat)}><icons.Flame /></IconButton>
          <Popover label={t.map.layers} class="icon-button" button={<icons.Layers />}>
            {() => (
              <div class="checks">
                {LAYERS.map((name) => (
                  <label key={name} class="check"><input type="checkbox" checked={layers.value[name]} onChange={(event) => { layers.value = { ...layers.value, [name]: event.currentTarget.checked }; }} />{t.map.layerNames[name]}</label>
                ))}
                <label class="check"><input type="checkbox" checked={view.value.heat} disabled={!searchable.value} onChange={(event) => showHeatMap(event.currentTarget.checked)} />{t.map.heat}</label>
              </div>
            )}
          </Popover>
        </div>
      </div>
      {drawing.value && (
        <p class="draw-hint" role="status">{drawing.value === "measure" ? <Measured /> : drawing.value === "box" ? t.map.boxHint : t.map.polygonHint} <button type="button" class="link" onClick={() => { drawing.value = null; }}>{t.common.withKey(t.common.cancel, "Esc")}</button></p>
      )}
      {editingArea.value && !drawing.value && (
        <p class="draw-hint" role="status">{t.map.editHint} <button type="button" class="link" onClick={() => { editingArea.value = false; }}>{t.map.editDone}</button></p>
      )}
      {imageryProblem.value !== null && (
        <p class="map-problem" role="alert"><span class="grow">{t.map.imageryProblem(imageryProblem.value)}</span><IconButton label={t.common.close} onClick={() => { imageryProblem.value = null; }}><icons.Close /></IconButton></p>
      )}
      <div class="legends"><LayerLegend /><ChangeLegend /><Legend /></div>
      <p class="attribution">{BASEMAP?.attribution && layers.value.background ? BASEMAP.attribution : t.map.attribution}</p>
    </>
  );
}

/** The length of the line, and the area that it encloses. */
function Measured() {
  const line = measured.value;
  if (line.length < 2) return <>{t.map.measureHint}</>;
  return <b class="num">{formatLength(lengthOf(line))}{line.length > 2 && ` · ${formatArea(areaOf(line))}`}</b>;
}

/** The layer of a classifier: its colours and its opacity. */
function LayerLegend() {
  const shown = layer.value;
  if (!shown) return null;
  return (
    <div class="legend layer-legend" aria-label={t.classifier.layer(shown.cls, shown.version)}>
      <span class="key"><icons.Layers />{t.classifier.layer(shown.cls, shown.version)}</span>
      <span class="num">{formatPercent(0)}</span><i class="ramp viridis" /><span class="num">{formatShare(shown.high)}</span>
      <Slider label={t.classifier.opacity} value={layerOpacity.value} min={0} max={1} step={0.05} text={formatPercent(layerOpacity.value)} onInput={(value) => { layerOpacity.value = value; }} />
      <button type="button" class="bare" aria-label={t.classifier.hideLayer} title={t.classifier.hideLayer} onClick={() => { layer.value = null; }}><icons.Close /></button>
    </div>
  );
}

/** The layer of change: its colours and its opacity. */
function ChangeLegend() {
  if (changeLayer.value === null) return null;
  const [low, high] = CHANGE_RANGE;
  return (
    <div class="legend layer-legend" aria-label={t.change.layer}>
      <span class="key"><icons.Layers />{t.change.layer}</span>
      <span class="num">{formatNumber(low)}</span><i class="ramp inferno" /><span class="num">{formatNumber(high)}</span>
      <Slider label={t.classifier.opacity} value={changeOpacity.value} min={0} max={1} step={0.05} text={formatPercent(changeOpacity.value)} onInput={(value) => { changeOpacity.value = value; }} />
      <button type="button" class="bare" aria-label={t.change.hideLayer} title={t.change.hideLayer} onClick={() => { changeLayer.value = null; }}><icons.Close /></button>
    </div>
  );
}

function Legend() {
  const { low, high, of } = scoreRange.value;
  const { tab, heat } = view.value;
  if (tab === "classes" && classMap.value) {
    const { shares } = colorClasses(classMap.value.labels, classMap.value.map);
    return <div class="legend" aria-label={t.map.classLegend}>{shares.map(({ label, color }) => <span key={label} class="key"><i style={{ background: color }} />{label}</span>)}</div>;
  }
  if (tab !== "search" || !hits.value.length) return null;
  const format = (value: number): string => (of === "probability" || isByClassifier.value ? formatPercent(value) : formatScore(value));
  const name = of === "probability" || isByClassifier.value ? t.map.probability : t.map.similarity;
  const gradient = `linear-gradient(90deg, ${RAMP.map(([stop, color]) => `${color} ${stop * 100}%`).join(", ")})`;
  return (
    <div class="legend" aria-label={t.map.scale(name)}>
      <span class="key">{name}</span>
      <span class="num">{format(low)}</span><i class="ramp" style={{ background: gradient }} /><span class="num">{format(high)}</span>
      {heat && <><span class="key heat-key"><icons.Flame />{t.map.heatLegend}</span>{heatRange.value && <><span class="num">{formatScore(heatRange.value[0])}</span><i class="ramp magma" /><span class="num">{formatScore(heatRange.value[1])}</span></>}<Slider label={t.map.heatOpacity} value={heatOpacity.value} min={0} max={1} step={0.05} text={formatPercent(heatOpacity.value)} onInput={(value) => { heatOpacity.value = value; }} /></>}
    </div>
  );
}
