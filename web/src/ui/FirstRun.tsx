// No archive yet: what to do, in three lines. The page goes on by itself once the archive is there.
import { useEffect } from "preact/hooks";
import { loadOverview } from "../model/actions";
import { overviewFailure } from "../model/store";
import { copy } from "./TakeAway";
import * as icons from "./icons";

const AGAIN_MS = 3000;

export function FirstRun() {
  useEffect(() => {
    const timer = setInterval(() => void loadOverview(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const path = /bandsight index SCENE --archive (.+)$/.exec(overviewFailure.value?.text ?? "")?.[1];
  if (!path) return <div class="first-run"><h2>The archive cannot be opened</h2><p>{overviewFailure.value?.text}</p><p class="dim">This page goes on by itself once it can.</p></div>;
  return (
    <div class="first-run">
      <icons.Brand />
      <h2>There is no archive here yet</h2>
      <ol>
        <li><span>Index your scenes:</span><Command text={`bandsight index /data/scenes --archive ${path}`} /></li>
        <li><span>Or see the demo, real scenes of six sensors, from the source folder:</span><Command text="make demo" /></li>
        <li><span>Keep this page open: it goes on by itself.</span></li>
      </ol>
    </div>
  );
}

function Command({ text }: { text: string }) {
  return <button type="button" class="command" title="Copy" onClick={() => void copy(text, "Command")}><code>{text}</code></button>;
}
