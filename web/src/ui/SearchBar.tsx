// The search box: a sentence, former ones, sentences that work on this archive, and a picture.
import { useRef, useState } from "preact/hooks";
import { example, say, searchText } from "../model/actions";
import { forget, former } from "../model/kept";
import { pictureOf } from "../model/picture";
import { overview, question } from "../model/store";
import { wordsOf } from "../api/http";
import { Filters } from "./Filters";
import { Mix } from "./Mix";
import * as icons from "./icons";

export async function takePicture(file: File): Promise<void> {
  try {
    example(await pictureOf(file), 1);
  } catch (error) {
    say(wordsOf(error), undefined, true);
  }
}

export function SearchBar() {
  const [draft, setDraft] = useState<string | null>(null);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const text = draft ?? question.value.text;
  const like = text.trim().toLowerCase();
  // All of them before anything new is typed; then those that have every word so far.
  const fits = (one: string): boolean => one !== text && (like === question.value.text.toLowerCase() || like.split(/\s+/).every((word) => one.toLowerCase().includes(word)));
  const recent = former.value.filter(fits).slice(0, 5);
  const works = (overview.value?.examples ?? []).filter((one) => fits(one.text) && !recent.includes(one.text)).slice(0, 6);
  const options = [...recent, ...works.map((one) => one.text)];
  const submit = (value: string): void => {
    setDraft(null);
    setOpen(false);
    setAt(-1);
    searchText(value);
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const by = event.key === "ArrowDown" ? 1 : -1;
      const next = at + by;
      setAt(next < -1 ? options.length - 1 : next >= options.length ? -1 : next);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  return (
    <form class="search" role="search" onSubmit={(event) => { event.preventDefault(); submit(at >= 0 ? options[at]! : text); }}>
      <div class="search-box" onFocusOut={(event) => { if (!event.currentTarget.contains(event.relatedTarget as Node)) { setOpen(false); setAt(-1); } }}>
        <icons.Search />
        <input
          ref={input} id="q" class="search-input" type="text" role="combobox" enterkeyhint="search" autocomplete="off" spellcheck={false} maxLength={1000}
          aria-label="What does the place look like?" aria-expanded={open && options.length > 0} aria-controls="suggestions" aria-autocomplete="list" aria-activedescendant={open && at >= 0 ? `suggestion-${at}` : undefined}
          placeholder="Describe a place: a lake surrounded by fields" value={text}
          onInput={(event) => { setDraft(event.currentTarget.value); setOpen(true); setAt(-1); }} onFocus={() => setOpen(true)} onClick={() => setOpen(true)} onKeyDown={key}
        />
        {text && <button type="button" class="bare" aria-label="Clear the sentence" title="Clear" onClick={() => { setDraft(""); input.current?.focus(); }}><icons.Close /></button>}
        <button type="button" class="bare" aria-label="Search by a picture" title="Search by a picture: choose, drop or paste one; GeoTIFF too" onClick={() => file.current?.click()}><icons.Picture /></button>
        <input ref={file} type="file" class="hidden" tabIndex={-1} aria-hidden="true" accept="image/png,image/jpeg,image/webp,image/tiff,.tif,.tiff" onChange={(event) => { const one = event.currentTarget.files?.[0]; if (one) void takePicture(one); event.currentTarget.value = ""; }} />
        <button type="submit" class="go">Search</button>
        {open && options.length > 0 && (
          <div class="suggestions">
            <ul id="suggestions" role="listbox" aria-label="Suggestions">
              {options.map((one, index) => (
                <li key={one} id={`suggestion-${index}`} role="option" aria-selected={index === at} class={index === at ? "on" : ""} onPointerDown={(event) => { event.preventDefault(); submit(one); }}>
                  {index < recent.length ? <icons.Clock /> : <icons.Bolt />}
                  <span class="grow">{one}</span>
                  {index >= recent.length && <span class="dim">in this archive</span>}
                </li>
              ))}
            </ul>
            <p class="hint row"><span class="grow">Commas separate alternatives; a minus excludes: <i>river, canal, −town</i></span>
              {former.value.length > 0 && <button type="button" class="link" onPointerDown={(event) => { event.preventDefault(); forget(); }}>Forget former searches</button>}</p>
          </div>
        )}
      </div>
      <Mix />
      <Filters />
    </form>
  );
}
