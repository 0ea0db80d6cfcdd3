// The map. It follows the store; clicks and the pointer on it become actions.
import { computed, effect } from "@preact/signals";
import type { Polygon } from "geojson";
import type { Map as MapLibre, MapMouseEvent, Popup } from "maplibre-gl";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage, problemDetail } from "../api/http";
import { t } from "../i18n";
import { EMPTY } from "../map/basemap";
import { fit, nearBest, prefersReducedMotion } from "../map/camera";
import { draw } from "../map/draw";
import { editArea } from "../map/editArea";
import * as footprints from "../map/footprints";
import { createHighlighter, type Highlight } from "../map/highlight";
import * as maplibre from "../map/maplibre";
import { measure } from "../map/measure";
import { notify, savedSearchId, select, updateFilters, updateView } from "../model/actions";
import { rampColor } from "../model/color";
import { crossesItself } from "../model/geometry";
import { isLikelyEnough, type Hit } from "../model/hit";
import { changeLayer, changeOpacity } from "../model/change";
import { current, layer, layerOpacity } from "../model/labelling";
import * as store from "../model/store";
import { dark } from "../model/theme";
import { colorClasses } from "./Classes";
import { BASEMAP, layers, mapController } from "./mapController";
import { PlacePopup } from "./PlacePopup";

type Stop = () => void;

export function MapView() {
  const frame = useRef<HTMLDivElement>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let map: MapLibre;
    try {
      map = maplibre.createMap(frame.current!, dark.value, store.view.value.camera);
    } catch (failure) {
      setError(t.errors.noMap(errorMessage(failure)));
      return undefined;
    }
    map.getCanvas().setAttribute("aria-label", t.map.label);
    mapController.set(map);
    const stops: Stop[] = [];
    // Tests and scripts read here whether the map is fully drawn.
    const setDrawn = (drawn: boolean) => (): void => {
      const value = String(drawn);
      if (frame.current && frame.current.dataset["drawn"] !== value) frame.current.dataset["drawn"] = value;
    };
    map.on("error", ({ error }) => void explainMissing(error));
    map.on("render", setDrawn(false));
    map.on("idle", setDrawn(true));
    map.once("style.load", () => {
      maplibre.addLayers(map);
      stops.push(...followHits(map), ...followHighlights(map), ...followLayers(map), followHeatMap(map), ...followOverlays(map), followDrawing(map), followEditing(map), listen(map));
      frame.current?.setAttribute("data-ready", "true");
    });
    return () => {
      for (const stop of stops) stop();
      mapController.set(null);
      map.remove();
    };
  }, []);
  return (
    <>
      <div class="map-frame" ref={frame} data-testid="map" />
      {error && <p class="map-failed" role="alert">{error}</p>}
    </>
  );
}

const UNAUTHORIZED = 401;

/** Say why a map tile did not load. */
async function explainMissing(error: { message: string; status?: number; statusText?: string; body?: Blob }): Promise<void> {
  const { status, statusText = "", body } = error;
  if (status === UNAUTHORIZED) store.signedOut.value = true;
  else if (status !== undefined) store.imageryProblem.value = await problemDetail(new Response(body ?? null, { status, statusText }));
}

/** Run `act` after the next paint, once however often it is called: controls never wait for the map. */
function afterPaint(act: () => void, delayMs: () => number = () => 0): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(() => setTimeout(act)), delayMs());
  };
}

/** Camera moves write to the store, which an effect that reads the store must not do. */
const later = (act: () => void): unknown => setTimeout(act);

/** Longest wait of the map for a slider to rest. */
const SLOW_MS = 500;
/** Zoom levels above the one at which a footprint becomes visible: about ten times as wide. */
const CLOSE_UP = 3.3;
const TOP_HITS = 12;

/** The hits to show first: the likely ones, or the top ones where none is likely or examples change the order; only those near the best. */
function hitsToShow(hits: readonly Hit[]): readonly Hit[] {
  const likely = hits.filter(store.isLikely);
  return nearBest(likely.length ? likely : hits.slice(0, TOP_HITS));
}

/** Show hits, filter them by probability, and move to those of a new description. */
function followHits(map: MapLibre): Stop[] {
  // A link sets the camera; otherwise the map moves to the results of each new description.
  let shownText = store.view.value.camera === null ? null : store.question.value.text;
  // A fast map follows the slider. A slow one (no GPU, many hits) waits until the slider rests.
  let frameMs = SLOW_MS;
  const applyFilter = afterPaint(() => {
    const began = performance.now();
    map.once("idle", () => { frameMs = Math.min(SLOW_MS, performance.now() - began); });
    for (const layer of footprints.LAYERS) map.setFilter(layer.id, footprints.probabilityFilter(layer, store.minProbability.peek()));
  }, () => frameMs);
  return [
    effect(() => {
      // One footprint for each place: those of other dates would only darken it.
      const hits = store.places.value.map(({ lead }) => lead);
      maplibre.setData(map, "hits", footprints.polygons(hits, store.relativeScore, store.isLikely));
      maplibre.setData(map, "points", footprints.points(hits, store.relativeScore));
      const size = footprints.pointSize(hits.length);
      map.setPaintProperty("hits-point", "circle-radius", size.radius);
      map.setPaintProperty("hits-point", "circle-stroke-width", size.stroke);
      if (!hits.length) return;
      const best = hitsToShow(hits);
      const { text, examples } = store.answered.peek();
      // A search that is refined leaves the map where it is.
      if (shownText !== text || (!examples.length && !best.some((hit) => maplibre.inView(map, hit.centre)))) later(() => mapController.fit(best, footprints.minZoomOf(best[0]!) + CLOSE_UP));
      shownText = text;
    }),
    effect(() => {
      void store.minProbability.value;
      applyFilter();
    }),
    effect(() => {
      // Zoom to an opened tile unless it is visible already.
      const hit = store.tile.value === null ? undefined : store.byId.value.get(store.tile.value);
      if (hit && (map.getZoom() < footprints.minZoomOf(hit) + 1.8 || !maplibre.inView(map, hit.centre))) later(() => mapController.zoomTo(hit));
    }),
    effect(() => {
      const archive = store.overview.value;
      if (!archive) return;
      maplibre.setData(map, "coverage", archive.coverage);
      maplibre.setData(map, "coverage-points", footprints.centres(archive.coverage));
      if (shownText === null && archive.bbox && !store.searchable.peek()) {
        const { bbox } = archive;
        later(() => fit(map, bbox, 11));
      }
    }),
  ];
}

/** Highlight the selected and the hovered hit, and keep the selected one in view. */
function followHighlights(map: MapLibre): Stop[] {
  const highlight = createHighlighter(map);
  let lastSelected: number | null = null;
  const queued = (): Hit | null => (store.tab.peek() === "labels" ? (current.peek()?.hit ?? null) : null);
  const isVisible = (hit: Hit | undefined): hit is Hit => hit !== undefined && isLikelyEnough(hit, store.minProbability.peek());
  const update = afterPaint(() => {
    const byId = store.byId.peek();
    const selected = store.selected.peek();
    const hovered = store.hovered.peek();
    const highlights: Highlight[] = [];
    if (layers.peek().footprints && store.tab.peek() === "search") {
      for (const id of hovered === selected ? [selected] : [hovered, selected]) {
        const hit = id === null ? undefined : byId.get(id);
        if (isVisible(hit)) highlights.push({ hit, color: rampColor(store.relativeScore(hit)), selected: id === selected });
      }
    }
    const tile = queued();
    if (tile) highlights.push({ hit: tile, color: "#ffc24b", selected: true });
    highlight(highlights);
    const hit = selected === lastSelected || selected === null ? undefined : byId.get(selected);
    if (hit && !maplibre.inView(map, hit.centre)) map.easeTo({ center: hit.centre, duration: prefersReducedMotion() ? 0 : 500 });
    lastSelected = selected;
  });
  return [
    effect(() => {
      for (const signal of [store.hovered, store.selected, store.hits, store.minProbability, store.tab, layers, current]) void signal.value;
      update();
    }),
  ];
}

/** Show the layers that are switched on: imagery, footprints, coverage, classes, the search area, the theme. */
function followLayers(map: MapLibre): Stop[] {
  let imageryShown = false;
  const area = computed(() => store.question.value.filters.area);
  return [
    effect(() => maplibre.setData(map, "area", maplibre.areaFeatures(area.value))),
    effect(() => maplibre.setTheme(map, dark.value)),
    effect(() => {
      const { footprints: hits, coverage } = layers.value;
      const tab = store.tab.value;
      const show = (id: string, on: boolean): unknown => map.setLayoutProperty(id, "visibility", on ? "visible" : "none");
      for (const { id } of footprints.LAYERS) show(id, hits && tab === "search");
      show("coverage-point", tab === "archive" || (tab === "search" && coverage && !store.searchable.value));
      show("coverage-line", coverage || tab === "archive");
      show("coverage-fill", tab === "archive");
      show("classes-fill", tab === "classes");
      show("classes-point", tab === "classes");
    }),
    effect(() => {
      const { imagery } = layers.value;
      map.setLayoutProperty("coverage-ground", "visibility", imagery ? "visible" : "none");
      // Map tiles that failed while the server asked for the key load again once the user has signed in.
      if (store.signedOut.value) imageryShown = false;
      if (!imagery) {
        maplibre.setRaster(map, "imagery", null, "coverage-fill");
        imageryShown = false;
      } else if (!store.signedOut.value && store.overview.value?.collections.length && !imageryShown) {
        imageryShown = true;
        calls.imageryTileJson().then(
          (tiles) => { if (imageryShown) maplibre.setRaster(map, "imagery", tiles, "coverage-fill"); },
          (error: unknown) => {
            imageryShown = false;
            store.imageryProblem.value = errorMessage(error);
          },
        );
      }
    }),
    effect(() => {
      maplibre.setRaster(map, "background", layers.value.background && BASEMAP ? { tiles: [BASEMAP.tiles] } : null, "coverage-ground");
    }),
    effect(() => {
      const result = store.classMap.value;
      const classes = result ? colorClasses(result.labels, result.map).map : null;
      maplibre.setData(map, "classes", classes ?? EMPTY);
      maplibre.setData(map, "class-points", classes ? footprints.centres(classes) : EMPTY);
    }),
  ];
}

/** Show the heat map of the current question while it is switched on. */
function followHeatMap(map: MapLibre): Stop {
  const visible = computed(() => store.view.value.heat && store.searchable.value && store.status.value.state === "done");
  return effect(() => {
    const question = store.question.value;
    map.setPaintProperty("hits-fill", "fill-opacity", visible.value ? 0 : footprints.FILL);
    if (!visible.value) {
      maplibre.setRaster(map, "heat", null, "classes-fill");
      return;
    }
    savedSearchId(question).then(
      (id) => {
        if (store.question.peek() !== question || !store.view.peek().heat) return;
        store.heatSearch.value = id;
        void calls.heatLegend(id).then((legend) => { store.heatRange.value = legend.range; }, () => undefined);
        maplibre.setRaster(map, "heat", { tiles: [`searches/${id}/heatmap/{z}/{x}/{y}.png?fade=true`] }, "classes-fill", store.heatOpacity.peek());
      },
      (error: unknown) => {
        updateView({ heat: false });
        notify(t.errors.noHeatMap(errorMessage(error)), undefined, true);
      },
    );
  });
}

/** Show the layers of a classifier and of change while they are switched on, and follow the sliders of all layers. */
function followOverlays(map: MapLibre): Stop[] {
  return [
    effect(() => {
      const shown = layer.value;
      maplibre.setRaster(map, "layer", shown && { tiles: [`searches/${shown.search}/heatmap/{z}/{x}/{y}.png?colormap=${LAYER_COLORS}&rescale=0,${shown.high}&fade=true`] }, "classes-fill", layerOpacity.peek());
    }),
    effect(() => maplibre.setRaster(map, "change", changeLayer.value === null ? null : { tiles: [changeLayer.value] }, "classes-fill", changeOpacity.peek())),
    effect(() => maplibre.setRasterOpacity(map, "layer", layerOpacity.value)),
    effect(() => maplibre.setRasterOpacity(map, "change", changeOpacity.value)),
    effect(() => maplibre.setRasterOpacity(map, "heat", store.heatOpacity.value)),
  ];
}

const LAYER_COLORS = "viridis";
const MOST_HANDLES = 120;

/** Let the corners of the search area be dragged while it is edited. */
function followEditing(map: MapLibre): Stop {
  const active = computed(() => store.editingArea.value && !store.drawing.value);
  return effect(() => {
    const on = active.value;
    const area = on ? store.question.peek().filters.area : null;
    if (!area || area.type !== "Polygon" || area.coordinates.length !== 1 || area.coordinates[0]!.length > MOST_HANDLES) {
      if (on) later(() => { store.editingArea.value = false; if (area) notify(t.errors.notEditable, undefined, true); });
      return undefined;
    }
    const preview = (shown: Polygon): void => maplibre.setData(map, "area", maplibre.areaFeatures(shown));
    const editing = editArea(map, area, { corner: t.map.corner, add: t.map.addCorner }, preview, (changed) => {
      if (crossesItself(changed.coordinates[0]!)) {
        notify(t.errors.areaCrosses, undefined, true);
        return false;
      }
      const { tab } = store.view.peek();
      updateFilters({ area: changed });
      updateView({ tab });
      return true;
    });
    return editing.stop;
  });
}

function followDrawing(map: MapLibre): Stop {
  return effect(() => {
    const shape = store.drawing.value;
    if (!shape) return undefined;
    if (shape === "measure") return measure(map, (line) => { store.measured.value = line; }, () => { store.drawing.value = null; }).stop;
    const preview = (area: Parameters<typeof maplibre.areaFeatures>[0]): void => maplibre.setData(map, "area", maplibre.areaFeatures(area ?? store.question.peek().filters.area));
    const drawing = draw(map, shape, preview, (area) => {
      store.drawing.value = null;
      if (!area) return;
      const { tab } = store.view.peek();
      updateFilters({ area });
      updateView({ tab });
    }, () => notify(t.errors.drawingCrosses, undefined, true));
    return drawing.stop;
  });
}

/** Turn the pointer on the map into actions. */
function listen(map: MapLibre): Stop {
  let popup: Popup | null = null;
  const hitAt = (event: MapMouseEvent): number | null => {
    const { x, y } = event.point;
    const features = map.queryRenderedFeatures([[x - 3, y - 3], [x + 3, y + 3]], { layers: footprints.CLICKABLE });
    const best = features.toSorted((a, b) => Number(b.properties["w"]) - Number(a.properties["w"]))[0];
    return best ? Number(best.id) : null;
  };
  const onMove = (event: MapMouseEvent): void => {
    if (store.drawing.peek()) return;
    const id = hitAt(event);
    store.hovered.value = id;
    map.getCanvas().style.cursor = id === null ? "" : "pointer";
  };
  const onLeave = (): void => {
    store.hovered.value = null;
  };
  const onClick = (event: MapMouseEvent): void => {
    if (store.drawing.peek()) return;
    const id = hitAt(event);
    if (id !== null) {
      select(id);
      if (store.view.peek().tile !== null) updateView({ tile: id });
    }
    const node = document.createElement("div");
    const { lng, lat } = event.lngLat.wrap();
    const hit = id === null ? undefined : store.byId.peek().get(id);
    const at: [number, number] = hit && map.getZoom() < footprints.minZoomOf(hit) ? hit.centre : [lng, lat];
    popup?.remove();
    popup = maplibre.openPopup(map, at, node, () => { render(null, node); popup = null; });
    render(<PlacePopup lon={at[0]} lat={at[1]} first={id} close={() => popup?.remove()} />, node);
  };
  const onMoveEnd = (): void => {
    const { lng, lat } = map.getCenter();
    updateView({ camera: { lon: lng, lat, zoom: map.getZoom() } });
  };
  const onEscape = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && popup) popup.remove();
  };
  map.on("mousemove", onMove);
  map.on("mouseout", onLeave);
  map.on("click", onClick);
  map.on("moveend", onMoveEnd);
  addEventListener("keydown", onEscape);
  return () => removeEventListener("keydown", onEscape);
}
