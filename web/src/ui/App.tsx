// The layout: search bar on top, map beside results.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { updateView } from "../model/actions";
import type { Tab } from "../model/permalink";
import * as store from "../model/store";
import { helpOpen, overview, overviewError } from "../model/store";
import { signOut } from "../model/session";
import { dark, toggleTheme } from "../model/theme";
import { Alerts, countUnseen, unseen } from "./Alerts";
import { ArchiveView } from "./ArchiveView";
import { AtlasView } from "./AtlasView";
import { ChangeView } from "./ChangeView";
import { Chips } from "./Chips";
import { Classes } from "./Classes";
import { Compare } from "./Compare";
import { IconButton } from "./components";
import { Detail } from "./Detail";
import { DropZone } from "./DropZone";
import { FirstRun } from "./FirstRun";
import { Help } from "./Help";
import * as icons from "./icons";
import { onKey } from "./keys";
import { Labels } from "./Labels";
import { MapTools } from "./MapTools";
import { Results } from "./Results";
import { SearchBar } from "./SearchBar";
import { SignInDialog, SignInPage } from "./SignIn";
import { Toast } from "./Toast";
import { Tray } from "./Tray";

const TABS: readonly Tab[] = ["search", "labels", "classes", "change", "atlas", "alerts", "archive"];

export function App() {
  const [tab, tile, compare] = [store.tab.value, store.tile.value, store.compare.value];
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => { if (overview.value !== null) void countUnseen(); }, [overview.value !== null]);
  if (store.signedOut.value && overview.value === null) return <SignInPage />;
  const noArchive = overview.value === null && overviewError.value?.status === 503;
  if (noArchive) return <main class="alone"><FirstRun /><Toast /></main>;
  return (
    <div class="app">
      <header class="top">
        <h1 class="brand"><icons.Brand /><span>Bandsight</span></h1>
        <SearchBar />
        <div class="top-tools">
          <IconButton label={dark.value ? t.app.lightTheme : t.app.darkTheme} onClick={toggleTheme}>{dark.value ? <icons.Sun /> : <icons.Moon />}</IconButton>
          <IconButton label={t.app.help} keys="?" onClick={() => { helpOpen.value = true; }}><icons.Help /></IconButton>
          {store.canSignOut.value && <IconButton label={t.signIn.signOut} onClick={() => void signOut()}><icons.SignOut /></IconButton>}
        </div>
      </header>
      <Chips />
      <main class="screen">
        <section class="map" aria-label={t.app.map}><LazyMap /><MapTools /></section>
        <section class="panel" aria-label={tab === "search" ? t.app.results : t.app.tabs[tab]}>
          <nav class="tabs" aria-label={t.app.views}>
            {TABS.map((name) => <button key={name} type="button" aria-current={tab === name ? "page" : undefined} onClick={() => updateView({ tab: name })}>{t.app.tabs[name]}{name === "alerts" && unseen.value > 0 && <span class="count" title={t.alerts.unseen(unseen.value)}>{unseen.value}</span>}</button>)}
          </nav>
          <div class="view" hidden={tab !== "search" || tile !== null}><Results /></div>
          {tab === "search" && tile !== null && <Detail key={tile} id={tile} />}
          {tab === "search" && <Tray />}
          {tab === "labels" && <Labels />}
          {tab === "classes" && <Classes />}
          {tab === "change" && <ChangeView />}
          {tab === "atlas" && <AtlasView />}
          {tab === "alerts" && <Alerts />}
          {tab === "archive" && <ArchiveView />}
        </section>
      </main>
      {compare && <Compare key={compare.join()} ids={compare} />}
      {helpOpen.value && <Help />}
      {store.signedOut.value && <SignInDialog />}
      <Toast />
      <DropZone />
    </div>
  );
}

/** The map's code is most of the page's size: it loads after the first paint. */
function LazyMap() {
  const [View, setView] = useState<ComponentType | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    import("./MapView").then(({ MapView }) => setView(() => MapView), () => setFailed(true));
  }, []);
  if (failed) return <p class="map-failed" role="alert">{t.app.mapNotLoaded}</p>;
  return View && <View />;
}
