// Numbers, dates and counts as people read them.

/** BCP 47 tag of the language on the page. */
export const LOCALE = "en";

const plurals = new Intl.PluralRules(LOCALE);

export const formatNumber = (value: number): string => value.toLocaleString(LOCALE);

/** A share between 0 and 1 as a percentage. Values that only round to 0% or 100% are not shown as certain. */
export function formatPercent(share: number): string {
  if (share >= 0.995 && share < 1) return ">99%";
  if (share < 0.005 && share > 0) return "<1%";
  return `${Math.round(share * 100)}%`;
}

/** "1 result", "2 results", "10,000 results". */
export function count(value: number, one: string, other: string): string {
  return `${formatNumber(value)} ${plurals.select(value) === "one" ? one : other}`;
}

/** A duration to one unit: "90 s", "12 min", "3 h". */
export function formatDuration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A length in metres or kilometres. */
export function formatLength(km: number): string {
  if (km < 1) return `${Math.round(km * 1000)} m`;
  return km < 20 ? `${km.toFixed(1)} km` : `${formatNumber(Math.round(km))} km`;
}
