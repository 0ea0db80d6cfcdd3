// The search box: a description, recent and suggested searches, and an image.
import { useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { notifyError, searchText, toggleExample } from "../model/actions";
import { readImage } from "../model/image";
import { clearHistory, recentSearches } from "../model/storage";
import { overview, question } from "../model/store";
import { RichText } from "./components";
import { Examples } from "./Examples";
import { Filters } from "./Filters";
import * as icons from "./icons";

export async function searchByImage(file: File): Promise<void> {
  try {
    toggleExample(await readImage(file), 1);
  } catch (error) {
    notifyError(error);
  }
}

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
  const options = [...recent, ...suggested];
  const search = (value: string): void => {
    setDraft(null);
    setOpen(false);
    setActive(-1);
    searchText(value);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const next = active + (event.key === "ArrowDown" ? 1 : -1);
      setActive(next < -1 ? options.length - 1 : next >= options.length ? -1 : next);
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  return (
    <form class="search" role="search" onSubmit={(event) => { event.preventDefault(); search(active >= 0 ? options[active]! : text); }}>
      <div class="search-box" onFocusOut={(event) => { if (!event.currentTarget.contains(event.relatedTarget as Node)) { setOpen(false); setActive(-1); } }}>
        <icons.Search />
        <input
          ref={input} id="q" class="search-input" type="text" role="combobox" enterkeyhint="search" autocomplete="off" spellcheck={false} maxLength={1000}
          aria-label={t.search.label} aria-expanded={open && options.length > 0} aria-controls="suggestions" aria-autocomplete="list" aria-activedescendant={open && active >= 0 ? `suggestion-${active}` : undefined}
          placeholder={t.search.placeholder} value={text}
          onInput={(event) => { setDraft(event.currentTarget.value); setOpen(true); setActive(-1); }} onFocus={() => setOpen(true)} onClick={() => setOpen(true)} onKeyDown={onKeyDown}
        />
        {text && <button type="button" class="bare" aria-label={t.search.clear} title={t.common.clear} onClick={() => { setDraft(""); input.current?.focus(); }}><icons.Close /></button>}
        <button type="button" class="bare" aria-label={t.search.byImage} title={t.search.byImageHint} onClick={() => file.current?.click()}><icons.Picture /></button>
        <input ref={file} type="file" class="hidden" tabIndex={-1} aria-hidden="true" accept="image/png,image/jpeg,image/webp,image/tiff,.tif,.tiff" onChange={(event) => { const chosen = event.currentTarget.files?.[0]; if (chosen) void searchByImage(chosen); event.currentTarget.value = ""; }} />
        <button type="submit" class="go">{t.search.submit}</button>
        {open && options.length > 0 && (
          <div class="suggestions">
            <ul id="suggestions" role="listbox" aria-label={t.search.suggestions}>
              {options.map((option, index) => (
                <li key={option} id={`suggestion-${index}`} role="option" aria-selected={index === active} class={index === active ? "on" : ""} onPointerDown={(event) => { event.preventDefault(); search(option); }}>
                  {index < recent.length ? <icons.Clock /> : <icons.Bolt />}
                  <span class="grow">{option}</span>
                  {index >= recent.length && <span class="dim">{t.search.suggested}</span>}
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
