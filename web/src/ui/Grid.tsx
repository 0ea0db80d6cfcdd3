// The grid of results. Only rows near the view are rendered, so ten thousand results cost as much as thirty.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { setOverList } from "../model/actions";
import type { Place } from "../model/places";
import { leadOf, selected } from "../model/store";
import { Card } from "./Card";

const GAP_PX = 10;
const CAPTION_PX = 25;
const CARD_PX = 120;

const faceOf = (list: HTMLElement | null, id: number | null | undefined): HTMLElement | null | undefined =>
  list?.querySelector<HTMLElement>(`[data-tile="${id}"] .face-button`);

export function Grid({ places, head }: { places: readonly Place[]; head: ComponentChildren }) {
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const [size, setSize] = useState({ width: 440, height: 800 });
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const node = scroller.current!;
    const measure = (): void => {
      const next = { width: list.current?.clientWidth ?? node.clientWidth, height: Math.min(innerHeight, node.clientHeight || innerHeight) };
      setSize((before) => (before.width === next.width && before.height === next.height ? before : next));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(node);
    measure();
    // A finger is over the list only while it touches it.
    const onTouchEnd = (event: PointerEvent): void => { if (event.pointerType === "touch") setOverList(false); };
    addEventListener("pointerup", onTouchEnd);
    // On a phone the page scrolls, not the panel.
    const onScroll = (): void => {
      const nodeTop = node.getBoundingClientRect().top;
      const pageScroll = scrolls(node) ? 0 : Math.min(0, nodeTop);
      setTop(Math.max(0, nodeTop - list.current!.getBoundingClientRect().top - pageScroll));
    };
    node.addEventListener("scroll", onScroll, { passive: true });
    addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      removeEventListener("pointerup", onTouchEnd);
      setOverList(false);
      node.removeEventListener("scroll", onScroll);
      removeEventListener("scroll", onScroll);
    };
  }, []);
  const columns = Math.max(2, Math.floor((size.width + GAP_PX) / (CARD_PX + GAP_PX)));
  const side = (size.width - GAP_PX * (columns - 1)) / columns;
  const rowHeight = side + CAPTION_PX + GAP_PX;
  const rows = Math.ceil(places.length / columns);
  const firstRow = Math.max(0, Math.floor(top / rowHeight) - 2);
  const endRow = Math.min(rows, Math.ceil((top + size.height) / rowHeight) + 2);
  // Scroll to the selected hit, and focus it where the grid had the focus.
  const selectedId = leadOf(selected.value);
  useEffect(() => {
    const index = places.findIndex(({ lead }) => lead.id === selectedId);
    if (index < 0) return;
    const node = scroller.current!;
    const y = list.current!.getBoundingClientRect().top - node.getBoundingClientRect().top + node.scrollTop + Math.floor(index / columns) * rowHeight;
    if (scrolls(node)) {
      if (y < node.scrollTop + 8) node.scrollTo({ top: y - 60 });
      else if (y + rowHeight > node.scrollTop + node.clientHeight) node.scrollTo({ top: y + rowHeight - node.clientHeight + 12 });
    }
    if (list.current!.contains(document.activeElement)) requestAnimationFrame(() => faceOf(list.current, selectedId)?.focus({ preventScroll: true }));
  }, [selectedId]);
  // A hit that becomes an example leaves the list. With the keyboard, the focus moves to the hit that takes its position.
  const focused = document.activeElement;
  const focusedCard = list.current?.contains(focused) && focused?.matches(":focus-visible") ? focused : null;
  const focusedIndex = focusedCard ? Number(focusedCard.closest<HTMLElement>(".card")?.ariaPosInSet ?? 1) - 1 : 0;
  useLayoutEffect(() => {
    if (focusedCard && !focusedCard.isConnected) faceOf(list.current, places[Math.min(focusedIndex, places.length - 1)]?.lead.id)?.focus({ preventScroll: true });
  }, [places]);
  const rendered = places.slice(firstRow * columns, endRow * columns);
  return (
    <div class="scroller" ref={scroller}>
      {head}
      <ul class="grid" ref={list} aria-label={t.results.list} onPointerEnter={() => setOverList(true)} onPointerLeave={() => setOverList(false)} style={{ height: `${Math.max(0, rows * rowHeight - GAP_PX)}px` }}>
        {rendered.map((place, offset) => {
          const index = firstRow * columns + offset;
          return <Card key={place.lead.id} place={place} index={index} total={places.length} side={side} x={(index % columns) * (side + GAP_PX)} y={Math.floor(index / columns) * rowHeight} />;
        })}
      </ul>
    </div>
  );
}

const scrolls = (node: HTMLElement): boolean => node.scrollHeight > node.clientHeight + 1;
