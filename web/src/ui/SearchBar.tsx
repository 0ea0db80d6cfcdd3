// The search box: a description, recent and suggested searches, and an image.
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { notify, searchText } from "../model/actions";
import { coordinatesOf, type Town, townsNamed } from "../model/gazetteer";
import { clearHistory, recentSearches } from "../model/storage";
import { overview, question } from "../model/store";
import { RichText } from "./components";
import { Examples } from "./Examples";
import { takeFile } from "./files";
import { Filters } from "./Filters";
import * as icons from "./icons";
import { mapController } from "./mapController";

const MOST_TOWNS = 4;
const FEWEST_LETTERS = 3;

/** Places whose name begins with the text, or the place whose coordinates it is. */
function useTowns(text: string, open: boolean): Town[] {
  const [towns, setTowns] = useState<Town[]>([]);
  const typed = text.trim();
  useEffect(() => {
    let stale = false;
    const at = coordinatesOf(typed);
    if (at) setTowns([{ name: typed, region: "", ...at }]);
    else if (!open || typed.length < FEWEST_LETTERS) setTowns([]);
    else townsNamed(typed, MOST_TOWNS).then((found) => stale || setTowns(found), () => stale || setTowns([])); // without the names, search still works
    return () => { stale = true; };
  }, [typed, open]);
  return towns;
}

const TOWN_DEGREES = 0.12;

export function SearchBar() {
  const [draft, setDraft] = useState<string | null>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const text = draft ?? question.value.text;
  const typed = text.trim().toLowerCase();
  // All suggestions until the user types; then those that contain every word.
  const fits = (option: string): boolean => option !== text && (typed === question.value.text.toLowerCase() || typed.split(/\s+/).every((word) => option.toLowerCase().includes(word)));
  const recent = recentSearches.value.filter(fits).slice(0, 5);
  const suggested = (overview.value?.examples ?? []).map((example) => example.text).filter((option) => fits(option) && !recent.includes(option)).slice(0, 6);
  const towns = useTowns(text, open && draft !== null);
  const texts = [...recent, ...suggested];
  const options = texts.length + towns.length;
  const goTo = ({ name, lon, lat }: Town): void => {
    setDraft(null);
    setOpen(false);
    setActive(-1);
    mapController.fitBox([lon - TOWN_DEGREES, lat - TOWN_DEGREES, lon + TOWN_DEGREES, lat + TOWN_DEGREES], 13);
    notify(t.search.movedTo(name));
  };
  /** Towns are listed first: who types a name usually means the place. */
  const choose = (index: number): void => { if (index < towns.length) goTo(towns[index]!); else search(texts[index - towns.length]!); };
  const search = (value: string): void => {
    setDraft(null);
    setOpen(false);
    setActive(-1);
    searchText(value);
  };
  const submit = (): void => {
    const at = coordinatesOf(text);
    if (active >= 0) choose(active);
    else if (at) goTo({ name: text.trim(), region: "", ...at });
    else search(text);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const next = active + (event.key === "ArrowDown" ? 1 : -1);
      setActive(next < -1 ? options - 1 : next >= options ? -1 : next);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  return (
    <form class="search" role="search" onSubmit={(event) => { event.preventDefault(); submit(); }}>
      <div class="search-box" onFocusOut={(event) => { if (!event.currentTarget.contains(event.relatedTarget as Node)) { setOpen(false); setActive(-1); } }}>
        <icons.Search />
        <input
          ref={input} id="q" class="search-input" type="text" role="combobox" enterkeyhint="search" autocomplete="off" spellcheck={false} maxLength={1000}
          aria-label={t.search.label} aria-expanded={open && options > 0} aria-controls="suggestions" aria-autocomplete="list" aria-activedescendant={open && active >= 0 ? `suggestion-${active}` : undefined}
          placeholder={t.search.placeholder} value={text}
          onInput={(event) => { setDraft(event.currentTarget.value); setOpen(true); setActive(-1); }} onFocus={() => setOpen(true)} onClick={() => setOpen(true)} onKeyDown={onKeyDown}
        />
        {text && <button type="button" class="bare" aria-label={t.search.clear} title={t.common.clear} onClick={() => { setDraft(""); input.current?.focus(); }}><icons.Close /></button>}
        <button type="button" class="bare" aria-label={t.search.byImage} title={t.search.byImageHint} onClick={() => file.current?.click()}><icons.Picture /></button>
        <input ref={file} type="file" class="hidden" tabIndex={-1} aria-hidden="true" accept="image/png,image/jpeg,image/webp,image/tiff,.tif,.tiff" onChange={(event) => { const chosen = event.currentTarget.files?.[0]; if (chosen) void takeFile(chosen); event.currentTarget.value = ""; }} />
        <button type="submit" class="go">{t.search.submit}</button>
        {open && options > 0 && (
          <div class="suggestions">
            <ul id="suggestions" role="listbox" aria-label={t.search.suggestions}>
              {towns.map((town, index) => (
                <li key={`${town.lon},${town.lat}`} id={`suggestion-${index}`} role="option" aria-selected={index === active} class={index === active ? "on" : ""} onPointerDown={(event) => { event.preventDefault(); goTo(town); }}>
                  <icons.Pin /><span class="grow">{town.name} <span class="dim">{town.region}</span></span><span class="dim">{t.search.goTo}</span>
                </li>
              ))}
              {texts.map((option, at) => (
                <li key={option} id={`suggestion-${towns.length + at}`} role="option" aria-selected={towns.length + at === active} class={towns.length + at === active ? "on" : ""} onPointerDown={(event) => { event.preventDefault(); search(option); }}>
                  {at < recent.length ? <icons.Clock /> : <icons.Bolt />}
                  <span class="grow">{option}</span>
                  {at >= recent.length && <span class="dim">{t.search.suggested}</span>}
                </li>
              ))}
            </ul>
            <p class="hint row"><span class="grow"><RichText text={t.search.syntax} as="i" /></span>
              {recentSearches.value.length > 0 && <button type="button" class="link" onPointerDown={(event) => { event.preventDefault(); clearHistory(); }}>{t.search.clearHistory}</button>}</p>
          </div>
        )}
      </div>
      <Examples />
      <Filters />
    </form>
  );
}
