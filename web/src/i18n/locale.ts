// The language of the page, and the locale of its numbers and dates.
import { language } from "../model/storage";

/** Languages with a catalogue, by their BCP 47 tag, each named in itself. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const isKnown = (tag: string | null | undefined): tag is Language => tag !== null && tag !== undefined && tag in LANGUAGES;

/** What the user chose, or else the first language of the browser that the page speaks. */
export const LANGUAGE: Language = [language(), ...navigator.languages.map((tag) => tag.split("-")[0])].find(isKnown) ?? "en";

/** The reader's own variant of the language: Swiss German writes numbers in another way than German. */
export const LOCALE: string = navigator.languages.find((tag) => tag.split("-")[0] === LANGUAGE) ?? LANGUAGE;

document.documentElement.lang = LANGUAGE;
