// The map and how it follows the store; presses and the pointer on it become actions.
import { computed, effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { render } from "preact";
import type { Map as MapLibre, MapMouseEvent, Popup } from "maplibre-gl";
import * as calls from "../api/calls";
import { look, narrow, registered, say, select } from "../model/actions";
import { wordsOf } from "../api/http";
import * as control from "../map/control";
import { EMPTY } from "../map/basemap";
import { draw } from "../map/draw";
import { type Mark, marker } from "../map/marked";
import { fit, still } from "../map/moves";
import * as footprints from "../map/footprints";
import { warm } from "../model/color";
import type { Hit } from "../model/hit";
import { dark } from "../model/theme";
import * as store from "../model/store";
import { coloured } from "./Classes";
import { Here } from "./Here";
import { layers, useMap } from "./mapState";

export function MapView() {
  const frame = useRef<HTMLDivElement>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    let map: MapLibre;
    try {
      map = control.make(frame.current!, dark.value, store.view.value.camera);
    } catch (error) {
      setFailed(`The map cannot be drawn here (${wordsOf(error)}); everything else works.`);
      return undefined;
    }
    map.getCanvas().setAttribute("aria-label", "Map of the results; arrow keys move it, plus and minus zoom");
    useMap.set(map);
    const stops: (() => void)[] = [];
    // Whoever waits for the picture (tests, scripts) sees here whether it is complete.
    const drawn = (done: boolean) => (): void => {
      const said = String(done);
      if (frame.current && frame.current.dataset["drawn"] !== said) frame.current.dataset["drawn"] = said;
    };
    map.on("render", drawn(false));
    map.on("idle", drawn(true));
    map.once("style.load", () => {
      control.furnish(map);
      stops.push(...follow(map), ...listen(map));
      frame.current?.setAttribute("data-ready", "true");
    });
    return () => {
      for (const stop of stops) stop();
      useMap.set(null);
      map.remove();
    };
  }, []);
  return (
    <>
      <div class="map-frame" ref={frame} data-testid="map" />
      {failed && <p class="map-failed" role="alert">{failed}</p>}
    </>
  );
}

/** Do it once the controls have been painted, however often it was asked for: a press never waits for the map. */
function afterPaint(act: () => void, pauseMs: () => number = () => 0): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(() => setTimeout(act)), pauseMs());
  };
}

const SLOW_MS = 500;
const AFTER_DRAWING_MS = 500;
let drawnAt = -AFTER_DRAWING_MS;

// Zooms beyond the one from which a footprint can be seen: about ten times as wide.
const CLOSE = 3.3;
const BEST = 12;
/** What of an answer to look at first: all that is likely, else (and beside examples, which order it anew) the first few. */
function leading(found: readonly Hit[]): readonly Hit[] {
  const likely = store.range.peek().of === "score" ? [] : found.filter((hit) => hit.match);
  return likely.length ? likely : found.slice(0, BEST);
}

// A move of the map writes its camera into the store: not from within an effect that reads the store.
const later = (act: () => void): unknown => setTimeout(act);

/** Signals → map. */
function follow(map: MapLibre): (() => void)[] {
  // A link says where to look; else the map goes where a new sentence is answered best.
  let led = store.view.value.camera === null ? null : store.question.value.text;
  const mark = marker(map);
  let stood: number | null = null;
  const pointed = afterPaint(() => {
    const { hovered, current, byId, least } = store;
    const seen = layers.peek().footprints && store.tab.peek() === "search";
    const marks = (seen ? [current.peek(), hovered.peek()] : []).flatMap((id, at): Mark[] => {
      const hit = id === null || (at === 1 && id === current.peek()) ? undefined : byId.peek().get(id);
      const hidden = !hit || (hit.probability !== null && hit.probability < least.peek());
      return hidden ? [] : [{ hit, color: warm(store.warmth(hit)), current: at === 0 }];
    });
    mark(marks.reverse());
    // The map follows who steps through the places.
    const hit = current.peek() === stood ? undefined : byId.peek().get(current.peek() ?? -1);
    if (hit && !control.inView(map, hit.centre)) map.easeTo({ center: hit.centre, duration: still() ? 0 : 500 });
    stood = current.peek();
  });
  // What is drawn in no time follows the slider; a map that takes long (no GPU, many hits) waits until the slider rests.
  let tookMs = SLOW_MS;
  const filtered = afterPaint(() => {
    const began = performance.now();
    map.once("idle", () => { tookMs = Math.min(SLOW_MS, performance.now() - began); });
    for (const layer of footprints.LAYERS) map.setFilter(layer.id, footprints.probable(layer, store.least.peek()));
  }, () => tookMs);
  const mosaics = new Set<string>();
  const heat = computed(() => store.view.value.heat && store.asked.value && store.status.value.state === "done");
  return [
    effect(() => {
      const found = store.hits.value;
      control.put(map, "hits", footprints.areas(found, store.warmth));
      control.put(map, "points", footprints.points(found, store.warmth));
      const size = footprints.dot(found.length);
      map.setPaintProperty("hits-point", "circle-radius", size.radius);
      map.setPaintProperty("hits-point", "circle-stroke-width", size.stroke);
      if (!found.length) return;
      const best = leading(found);
      const { text } = store.question.peek();
      if (led !== text || !best.some((hit) => control.inView(map, hit.centre))) later(() => useMap.fit(best, footprints.zoomOf(best[0]!) + CLOSE));
      led = text;
    }),
    effect(() => {
      void store.least.value;
      filtered();
    }),
    effect(() => {
      void store.hovered.value;
      void store.current.value;
      void store.hits.value;
      void store.least.value;
      void store.tab.value;
      void layers.value;
      pointed();
    }),
    effect(() => {
      // What is opened is shown on the map too, unless it can be seen there already.
      const hit = store.tile.value === null ? undefined : store.byId.peek().get(store.tile.value);
      if (hit && (map.getZoom() < footprints.zoomOf(hit) + 1.8 || !control.inView(map, hit.centre))) later(() => useMap.zoomTo(hit));
    }),
    effect(() => control.put(map, "area", control.area(store.question.value.filters.area))),
    effect(() => control.paint(map, dark.value)),
    effect(() => {
      const { footprints: shown, coverage } = layers.value;
      const tab = store.tab.value;
      const show = (id: string, on: boolean): unknown => map.setLayoutProperty(id, "visibility", on ? "visible" : "none");
      for (const { id } of footprints.LAYERS) show(id, shown && tab === "search");
      show("coverage-point", tab === "archive" || (tab === "search" && coverage && !store.asked.value));
      show("coverage-line", coverage || tab === "archive");
      show("coverage-fill", tab === "archive");
      show("classes-fill", tab === "classes");
      show("classes-point", tab === "classes");
    }),
    effect(() => {
      const held = store.overview.value;
      if (!held) return;
      control.put(map, "coverage", held.coverage);
      control.put(map, "coverage-points", footprints.middles(held.coverage));
      if (led === null && held.bbox && !store.asked.peek()) {
        const { bbox } = held;
        later(() => fit(map, bbox, 11));
      }
    }),
    effect(() => {
      const { imagery } = layers.value;
      for (const { id } of store.overview.value?.collections ?? []) {
        const layer = `imagery-${id}`;
        if (!imagery) {
          control.raster(map, layer, null, "coverage-fill");
          mosaics.delete(id);
        } else if (!mosaics.has(id)) {
          mosaics.add(id);
          calls.mosaic(id).then((tiles) => control.raster(map, layer, tiles, "coverage-fill"), () => mosaics.delete(id));
        }
      }
    }),
    effect(() => {
      const made = store.classMap.value;
      const map_ = made ? coloured(made.labels, made.map).map : null;
      control.put(map, "classes", map_ ?? EMPTY);
      control.put(map, "class-points", map_ ? footprints.middles(map_) : EMPTY);
    }),
    effect(() => {
      const wanted = heat.value;
      const question = store.question.value;
      map.setPaintProperty("hits-fill", "fill-opacity", wanted ? 0 : footprints.FILL);
      if (!wanted) {
        control.raster(map, "heat", null, "classes-fill");
        return;
      }
      registered(question).then(
        (id) => {
          if (store.question.peek() !== question || !store.view.peek().heat) return;
          store.heatSearch.value = id;
          void calls.heatLegend(id).then((legend) => { store.heatRange.value = legend.range; }, () => undefined);
          control.raster(map, "heat", { tiles: [`searches/${id}/heatmap/{z}/{x}/{y}.png`] }, "classes-fill", 0.8);
        },
        (error: unknown) => {
          look({ heat: false });
          say(`The heat map cannot be had: ${wordsOf(error)}`, undefined, true);
        },
      );
    }),
    effect(() => {
      const shape = store.drawing.value;
      if (!shape) return undefined;
      const drawn = draw(map, shape, (area) => control.put(map, "area", area ? control.area(area) : control.area(store.question.peek().filters.area)), (area) => {
        store.drawing.value = null;
        drawnAt = performance.now();
        if (!area) return;
        const { tab } = store.view.peek();
        narrow({ area });
        look({ tab });
      });
      return drawn.stop;
    }),
  ];
}

/** Pointer on the map → actions. */
function listen(map: MapLibre): (() => void)[] {
  let open: Popup | null = null;
  const hitAt = (event: MapMouseEvent): number | null => {
    const { x, y } = event.point;
    const found = map.queryRenderedFeatures([[x - 3, y - 3], [x + 3, y + 3]], { layers: footprints.CLICKABLE });
    const best = found.toSorted((a, b) => Number(b.properties["w"]) - Number(a.properties["w"]))[0];
    return best ? Number(best.id) : null;
  };
  const move = (event: MapMouseEvent): void => {
    if (store.drawing.peek()) return;
    const id = hitAt(event);
    store.hovered.value = id;
    map.getCanvas().style.cursor = id === null ? "" : "pointer";
  };
  const leave = (): void => {
    store.hovered.value = null;
  };
  const press = (event: MapMouseEvent): void => {
    // Letting go of a drawn box is no press on the map.
    if (store.drawing.peek() || performance.now() - drawnAt < AFTER_DRAWING_MS) return;
    const id = hitAt(event);
    if (id !== null) {
      select(id);
      if (store.view.peek().tile !== null) look({ tile: id });
    }
    const node = document.createElement("div");
    const { lng, lat } = event.lngLat.wrap();
    const hit = id === null ? undefined : store.byId.peek().get(id);
    const at: [number, number] = hit && map.getZoom() < footprints.zoomOf(hit) ? hit.centre : [lng, lat];
    open?.remove();
    open = control.popup(map, at, node, () => { render(null, node); open = null; });
    render(<Here lon={at[0]} lat={at[1]} first={id} close={() => open?.remove()} />, node);
  };
  const moved = (): void => {
    const { lng, lat } = map.getCenter();
    look({ camera: { lon: lng, lat, zoom: map.getZoom() } });
  };
  const escape = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && open) open.remove();
  };
  map.on("mousemove", move);
  map.on("mouseout", leave);
  map.on("click", press);
  map.on("moveend", moved);
  addEventListener("keydown", escape);
  return [() => removeEventListener("keydown", escape)];
}
