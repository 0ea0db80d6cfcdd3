// What leaves the page: a link, files, and the same question as Python and curl.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as calls from "../api/calls";
import { wordsOf } from "../api/http";
import { permalink, say } from "../model/actions";
import { inWords } from "../model/question";
import { curl, python } from "../model/snippets";
import { question, shown, stars, view } from "../model/store";
import { exportBody } from "../model/taking";
import { Popover } from "./bits";
import * as icons from "./icons";

const formats = signal<calls.ExportFormat[]>([]);

/** Ask the server for its formats, once. */
async function loadFormats(): Promise<void> {
  if (formats.value.length) return;
  try {
    formats.value = await calls.exportFormats();
  } catch (error) {
    say(`Formats: ${wordsOf(error)}`, undefined, true);
  }
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say(`${what} could not be copied: the browser does not allow it here.`, undefined, true);
  }
}

async function download(format: calls.ExportFormat, starred: boolean): Promise<void> {
  say(`Preparing ${format.title}…`);
  try {
    const blob = await calls.exported(format.name, exportBody(question.value, view.value.least, starred ? [...stars.value] : null));
    const url = URL.createObjectURL(blob);
    const name = inWords(question.value).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "bandsight";
    Object.assign(document.createElement("a"), { href: url, download: `${name}${format.suffixes[0] ?? ""}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say(`${format.title} downloaded`);
  } catch (error) {
    say(`${format.title}: ${wordsOf(error)}`, undefined, true);
  }
}

/** Copy the address of all that is asked and seen. */
export const copyLink = (): void => void permalink().then((link) => copy(link, "Link"), (error: unknown) => say(wordsOf(error), undefined, true));

function Formats({ starred }: { starred: boolean }) {
  useEffect(() => void loadFormats(), []);
  return (
    <div class="row">
      {formats.value.map((format) => <button key={format.name} type="button" class="button grow" onClick={() => void download(format, starred)}>{format.title}</button>)}
    </div>
  );
}

export function TakeAway() {
  const kept = stars.value.size;
  return (
    <Popover label="Export" class="button primary" side="right" button={<><icons.Download />Export</>}>
      {() => (
        <div class="menu">
          <h2>Link</h2>
          <button type="button" onClick={copyLink}><icons.Share />Copy a link that restores all of this</button>
          <h2>Download {shown.value.length.toLocaleString("en")} places</h2>
          <Formats starred={false} />
          {kept > 0 && <><h2>Download the {kept} with ★</h2><Formats starred /></>}
          <h2>The same in code</h2>
          <div class="row">
            <button type="button" class="button grow" onClick={() => void copy(python(question.value), "Python")}>Copy as Python</button>
            <button type="button" class="button grow" onClick={() => void copy(curl(question.value), "curl command")}>Copy as curl</button>
          </div>
        </div>
      )}
    </Popover>
  );
}
