// What leaves the page: a link, files, and the same question as Python and curl.
import * as calls from "../api/calls";
import { wordsOf } from "../api/http";
import { permalink, say } from "../model/actions";
import { inWords } from "../model/question";
import { curl, python } from "../model/snippets";
import { question, shown, stars, view } from "../model/store";
import { exportBody } from "../model/taking";
import { Popover } from "./bits";
import * as icons from "./icons";

const FORMATS = [["geojson", "GeoJSON", "geojson"], ["csv", "CSV", "csv"], ["geoparquet", "GeoParquet", "parquet"]] as const;

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say(`${what} could not be copied: the browser does not allow it here.`, undefined, true);
  }
}

async function download(format: (typeof FORMATS)[number], starred: boolean): Promise<void> {
  say(`Preparing ${format[1]}…`);
  try {
    const blob = await calls.exported(format[0], exportBody(question.value, view.value.least, starred ? [...stars.value] : null));
    const url = URL.createObjectURL(blob);
    const name = inWords(question.value).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "bandsight";
    Object.assign(document.createElement("a"), { href: url, download: `${name}.${format[2]}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say(`${format[1]} downloaded`);
  } catch (error) {
    say(`${format[1]}: ${wordsOf(error)}`, undefined, true);
  }
}

/** Copy the address of all that is asked and seen. */
export const copyLink = (): void => void permalink().then((link) => copy(link, "Link"), (error: unknown) => say(wordsOf(error), undefined, true));

export function TakeAway() {
  const kept = stars.value.size;
  return (
    <Popover label="Export" class="button primary" side="right" button={<><icons.Download />Export</>}>
      {() => (
        <div class="menu">
          <h2>Link</h2>
          <button type="button" onClick={copyLink}><icons.Share />Copy a link that restores all of this</button>
          <h2>Download {shown.value.length.toLocaleString("en")} places</h2>
          <div class="row">{FORMATS.map((format) => <button key={format[0]} type="button" class="button grow" onClick={() => void download(format, false)}>{format[1]}</button>)}</div>
          {kept > 0 && <><h2>Download the {kept} with ★</h2><div class="row">{FORMATS.map((format) => <button key={format[0]} type="button" class="button grow" onClick={() => void download(format, true)}>{format[1]}</button>)}</div></>}
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
