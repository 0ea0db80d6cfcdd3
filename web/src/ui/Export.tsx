// The Export menu: a link, files, and the search as Python and curl.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { t } from "../i18n";
import { createLink, notify, notifyError } from "../model/actions";
import { exportBody } from "../model/export";
import { summary } from "../model/question";
import { curl, python } from "../model/snippets";
import { minProbability, question, stars, visibleHits } from "../model/store";
import { Popover } from "./components";
import * as icons from "./icons";

const formats = signal<calls.ExportFormat[]>([]);

async function loadFormats(): Promise<void> {
  if (formats.value.length) return;
  try {
    formats.value = await calls.exportFormats();
  } catch (error) {
    notify(t.errors.failed(t.export.formats, errorMessage(error)), undefined, true);
  }
}

export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify(t.export.copied(what));
  } catch {
    notify(t.errors.noClipboard(what), undefined, true);
  }
}

/** Save a blob under a file name. */
export function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function download(format: calls.ExportFormat, starred: boolean): Promise<void> {
  notify(t.export.preparing(format.title));
  try {
    const blob = await calls.exportResults(format.name, exportBody(question.value, minProbability.value, starred ? [...stars.value] : null));
    const name = summary(question.value).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "bandsight";
    saveFile(blob, `${name}${format.suffixes[0] ?? ""}`);
    notify(t.export.downloaded(format.title));
  } catch (error) {
    notify(t.errors.failed(format.title, errorMessage(error)), undefined, true);
  }
}

/** Copy a link that restores the page as it is. */
export const copyLink = (): void => void createLink().then((link) => copyText(link, t.export.what.link), notifyError);

function FormatButtons({ starred }: { starred: boolean }) {
  useEffect(() => void loadFormats(), []);
  return (
    <div class="row">
      {formats.value.map((format) => <button key={format.name} type="button" class="button grow" onClick={() => void download(format, starred)}>{format.title}</button>)}
    </div>
  );
}

export function Export() {
  const starred = stars.value.size;
  return (
    <Popover label={t.export.label} class="button primary" side="right" button={<><icons.Download />{t.export.label}</>}>
      {() => (
        <div class="menu">
          <h2>{t.export.link}</h2>
          <button type="button" onClick={copyLink}><icons.Share />{t.export.copyLink}</button>
          <h2>{t.export.download(visibleHits.value.length)}</h2>
          <FormatButtons starred={false} />
          {starred > 0 && <><h2>{t.export.downloadStarred(starred)}</h2><FormatButtons starred /></>}
          <h2>{t.export.code}</h2>
          <div class="row">
            <button type="button" class="button grow" onClick={() => void copyText(python(question.value), t.export.what.python)}>{t.export.python}</button>
            <button type="button" class="button grow" onClick={() => void copyText(curl(question.value), t.export.what.curl)}>{t.export.curl}</button>
          </div>
        </div>
      )}
    </Popover>
  );
}
