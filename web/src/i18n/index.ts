// The page's texts. A translation is one more catalogue of the type `Messages`, listed in locale.ts and here.
import { de } from "./de";
import { en } from "./en";
import { LANGUAGE, type Language } from "./locale";

export type Messages = typeof en;
const CATALOGUES: Record<Language, Messages> = { en, de };
export const t: Messages = CATALOGUES[LANGUAGE];

/** A licence as people read it; SPDX identifiers that the catalogue does not list lose their prefix only. */
export const licenseName = (id: string): string => t.licenses[id] ?? id.replace(/^LicenseRef-/, "").replaceAll("-", " ");

export * from "./format";
export { LANGUAGE, LANGUAGES, type Language, LOCALE } from "./locale";
