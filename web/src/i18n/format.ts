// Numbers, dates and counts as people read them.
import { LOCALE } from "./locale";

const plurals = new Intl.PluralRules(LOCALE);
const dayFormat = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeZone: "UTC" });
const monthFormat = new Intl.DateTimeFormat(LOCALE, { year: "numeric", month: "short", timeZone: "UTC" });
const timeFormat = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const percentFormat = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });
const finePercentFormat = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const regions = new Intl.DisplayNames(LOCALE, { type: "region" });

export const formatNumber = (value: number): string => value.toLocaleString(LOCALE);

/** A number with exactly so many digits after the point. */
export const formatFixed = (value: number, digits: number): string =>
  value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });

/** A similarity. */
export const formatScore = (value: number): string => formatFixed(value, 2);

/** A share between 0 and 1 as a percentage. Values that only round to 0% or 100% are not shown as certain. */
export function formatPercent(share: number): string {
  if (share >= 0.995 && share < 1) return `>${percentFormat.format(0.99)}`;
  if (share < 0.005 && share > 0) return `<${percentFormat.format(0.01)}`;
  return percentFormat.format(share);
}

/** A share with one digit after the point where it is small. */
export const formatShare = (share: number): string => (share < 0.1 ? finePercentFormat : percentFormat).format(share);

/** "1 result", "2 results", "10,000 results". */
export function count(value: number, one: string, other: string): string {
  return `${formatNumber(value)} ${plurals.select(value) === "one" ? one : other}`;
}

/** The day of an RFC 3339 time, in UTC: "Feb 16, 2017". */
export const formatDay = (time: string): string => dayFormat.format(new Date(`${time.slice(0, 10)}T00:00:00Z`));

/** A day and time of day, in the reader's time zone. */
export const formatTime = (time: string): string => timeFormat.format(new Date(time));

/** A month, counted from year 0: "Feb 2017". */
export const formatMonth = (month: number): string => monthFormat.format(new Date(Date.UTC(Math.floor(month / 12), month % 12, 1)));

/** The name of a country, from its ISO 3166 code. */
export const formatCountry = (code: string): string => regions.of(code) ?? code;

/** A duration to one unit: "90 s", "12 min", "3 h". */
export function formatDuration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A length in metres or kilometres. */
export function formatLength(km: number): string {
  if (km < 1) return `${formatNumber(Math.round(km * 1000))} m`;
  return km < 20 ? `${formatFixed(km, 1)} km` : `${formatNumber(Math.round(km))} km`;
}

/** An area in square metres, hectares or square kilometres. */
export function formatArea(km2: number): string {
  if (km2 < 0.01) return `${formatNumber(Math.round(km2 * 1e6))} m²`;
  if (km2 < 1) return `${formatFixed(km2 * 100, 1)} ha`;
  return km2 < 100 ? `${formatFixed(km2, 1)} km²` : `${formatNumber(Math.round(km2))} km²`;
}
