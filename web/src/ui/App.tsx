// The one screen: question on top, map beside results.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Tab } from "../model/address";
import { look } from "../model/actions";
import * as store from "../model/store";
import { help, overview, overviewFailure } from "../model/store";
import { dark, toggle } from "../model/theme";
import { ArchiveView } from "./Archive";
import { IconButton } from "./bits";
import { Chips } from "./Chips";
import { Classes } from "./Classes";
import { Compare } from "./Compare";
import { Detail } from "./Detail";
import { Drop } from "./Drop";
import { FirstRun } from "./FirstRun";
import { Help } from "./Help";
import { onKey } from "./keys";
import { MapTools } from "./MapTools";
import { Results } from "./Results";
import { SearchBar } from "./SearchBar";
import { Toast } from "./Toast";
import * as icons from "./icons";

const TABS: readonly (readonly [Tab, string])[] = [["search", "Search"], ["classes", "Classes"], ["archive", "Archive"]];

export function App() {
  const [tab, tile, compare] = [store.tab.value, store.tile.value, store.compare.value];
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const missing = overview.value === null && overviewFailure.value?.status === 503;
  if (missing) return <main class="alone"><FirstRun /><Toast /></main>;
  return (
    <div class="app">
      <header class="top">
        <h1 class="brand"><icons.Brand /><span>Bandsight</span></h1>
        <SearchBar />
        <nav class="tabs" aria-label="Views">
          {TABS.map(([name, text]) => <button key={name} type="button" aria-current={tab === name ? "page" : undefined} onClick={() => look({ tab: name })}>{text}</button>)}
        </nav>
        <div class="top-tools">
          <IconButton label={dark.value ? "Light colours" : "Dark colours"} onClick={toggle}>{dark.value ? <icons.Sun /> : <icons.Moon />}</IconButton>
          <IconButton label="Keys and help" keys="?" onClick={() => { help.value = true; }}><icons.Help /></IconButton>
        </div>
      </header>
      <Chips />
      <main class="screen">
        <section class="map" aria-label="Map"><LaterMap /><MapTools /></section>
        <section class="panel" aria-label={tab === "search" ? "Results" : tab === "classes" ? "Classes" : "Archive"}>
          <div class="view" hidden={tab !== "search" || tile !== null}><Results /></div>
          {tab === "search" && tile !== null && <Detail key={tile} id={tile} />}
          {tab === "classes" && <Classes />}
          {tab === "archive" && <ArchiveView />}
        </section>
      </main>
      {compare && <Compare key={compare.join()} ids={compare} />}
      {help.value && <Help />}
      <Toast />
      <Drop />
    </div>
  );
}

/** The map's code is most of the page's weight: it comes behind the first paint. */
function LaterMap() {
  const [View, setView] = useState<ComponentType | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    import("./MapView").then(({ MapView }) => setView(() => MapView), () => setFailed(true));
  }, []);
  if (failed) return <p class="map-failed" role="alert">The map could not be loaded; everything else works. Reload to try again.</p>;
  return View && <View />;
}
