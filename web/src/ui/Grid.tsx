// The grid of thumbnails: only the rows near the view exist, so ten thousand cost as much as thirty.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Hit } from "../model/hit";
import { current } from "../model/store";
import { Card } from "./Card";

const GAP = 10;
const CAPTION = 25;
const WISHED = 120;

export function Grid({ hits, head }: { hits: readonly Hit[]; head: ComponentChildren }) {
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
    const watch = new ResizeObserver(measure);
    watch.observe(node);
    measure();
    // On a phone the page itself scrolls, not the panel.
    const scrolled = (): void => setTop(Math.max(0, -(list.current!.getBoundingClientRect().top - node.getBoundingClientRect().top) - (node.scrollHeight > node.clientHeight + 1 ? 0 : Math.min(0, node.getBoundingClientRect().top))));
    node.addEventListener("scroll", scrolled, { passive: true });
    addEventListener("scroll", scrolled, { passive: true });
    return () => {
      watch.disconnect();
      node.removeEventListener("scroll", scrolled);
      removeEventListener("scroll", scrolled);
    };
  }, []);
  const columns = Math.max(2, Math.floor((size.width + GAP) / (WISHED + GAP)));
  const side = (size.width - GAP * (columns - 1)) / columns;
  const row = side + CAPTION + GAP;
  const rows = Math.ceil(hits.length / columns);
  const first = Math.max(0, Math.floor(top / row) - 2);
  const last = Math.min(rows, Math.ceil((top + size.height) / row) + 2);
  // The current hit is brought into view, and gets the focus where the focus was in the grid.
  const now = current.value;
  useEffect(() => {
    const at = hits.findIndex((hit) => hit.id === now);
    if (at < 0) return;
    const node = scroller.current!;
    const y = list.current!.getBoundingClientRect().top - node.getBoundingClientRect().top + node.scrollTop + Math.floor(at / columns) * row;
    if (node.scrollHeight > node.clientHeight + 1) {
      if (y < node.scrollTop + 8) node.scrollTo({ top: y - 60 });
      else if (y + row > node.scrollTop + node.clientHeight) node.scrollTo({ top: y + row - node.clientHeight + 12 });
    }
    if (list.current!.contains(document.activeElement)) requestAnimationFrame(() => list.current?.querySelector<HTMLElement>(`[data-tile="${now}"] .face-button`)?.focus({ preventScroll: true }));
  }, [now]);
  // A place that was taken as an example leaves the list: who works by keyboard goes on with the one in its stead.
  const focus = document.activeElement;
  const left = list.current?.contains(focus) && focus?.matches(":focus-visible") ? focus : null;
  const before = left ? Number(left.closest<HTMLElement>(".card")?.ariaPosInSet ?? 1) - 1 : 0;
  useLayoutEffect(() => {
    if (left && !left.isConnected) list.current?.querySelector<HTMLElement>(`[data-tile="${hits[Math.min(before, hits.length - 1)]?.id}"] .face-button`)?.focus({ preventScroll: true });
  }, [hits]);
  const seen = hits.slice(first * columns, last * columns);
  return (
    <div class="scroller" ref={scroller}>
      {head}
      <ul class="grid" ref={list} aria-label="Places found" style={{ height: `${Math.max(0, rows * row - GAP)}px` }}>
        {seen.map((hit, index) => {
          const at = first * columns + index;
          return <Card key={hit.id} hit={hit} place={at} of={hits.length} side={side} x={(at % columns) * (side + GAP)} y={Math.floor(at / columns) * row} />;
        })}
      </ul>
    </div>
  );
}
