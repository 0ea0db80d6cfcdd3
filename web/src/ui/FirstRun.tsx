// What to do while there is no archive. The page continues by itself once the archive can be opened.
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import { loadOverview } from "../model/actions";
import { overviewError } from "../model/store";
import { copyText } from "./Export";
import * as icons from "./icons";

const RETRY_MS = 3000;
/** The archive's path in the server's message. */
const INDEX_COMMAND = /bandsight index \S+ --archive (.+)$/;

export function FirstRun() {
  useEffect(() => {
    const timer = setInterval(() => void loadOverview(), RETRY_MS);
    return () => clearInterval(timer);
  }, []);
  const path = INDEX_COMMAND.exec(overviewError.value?.text ?? "")?.[1];
  if (!path) return <div class="first-run"><h2>{t.welcome.cannotOpen}</h2><p>{overviewError.value?.text}</p><p class="dim">{t.welcome.waits}</p></div>;
  return (
    <div class="first-run">
      <icons.Brand />
      <h2>{t.welcome.noArchive}</h2>
      <ol>
        <li><span>{t.welcome.indexScenes}</span><Command text={`bandsight index /data/scenes --archive ${path}`} /></li>
        <li><span>{t.welcome.runDemo}</span><Command text="make demo" /></li>
        <li><span>{t.welcome.keepOpen}</span></li>
      </ol>
    </div>
  );
}

function Command({ text }: { text: string }) {
  return <button type="button" class="command" title={t.common.copy} onClick={() => void copyText(text, t.export.what.command)}><code>{text}</code></button>;
}
