// The page's texts. A translation is one more catalogue of the type `Messages`; numbers and plurals follow LOCALE in format.ts.
import { en } from "./en";

export type Messages = typeof en;
export const t: Messages = en;

/** A licence as people read it; SPDX identifiers that the catalogue does not list lose their prefix only. */
export const licenseName = (id: string): string => t.licenses[id] ?? id.replace(/^LicenseRef-/, "").replaceAll("-", " ");

export * from "./format";
