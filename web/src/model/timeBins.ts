// Time in equal bins: months, or quarters, years and more where the archive covers many years.
import { formatMonth, t } from "../i18n";

const BIN_MONTHS = [1, 3, 12, 60, 120] as const;
const MAX_BINS = 36;

/** Months since year 0. */
export const monthOf = (time: string): number => Number(time.slice(0, 4)) * 12 + Number(time.slice(5, 7)) - 1;
const year = (month: number): number => Math.floor(month / 12);
const isoMonth = (month: number): string => `${year(month)}-${String((month % 12) + 1).padStart(2, "0")}`;

export const firstDay = (month: number): string => `${isoMonth(month)}-01`;
export const lastDay = (month: number): string => `${isoMonth(month)}-${new Date(Date.UTC(year(month), (month % 12) + 1, 0)).getUTCDate()}`;

export class TimeBins {
  private constructor(
    /** First month of the first bin. */
    readonly first: number,
    /** Months in a bin. */
    readonly months: number,
    readonly count: number,
  ) {}

  /** Bins over all these months, without gaps; null where there are none. */
  static over(all: readonly number[]): TimeBins | null {
    if (!all.length) return null;
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const fits = (months: number): boolean => Math.floor(high / months) - Math.floor(low / months) < MAX_BINS;
    const months = BIN_MONTHS.find(fits) ?? Math.ceil((high - low + 1) / MAX_BINS / 12) * 12;
    const first = Math.floor(low / months) * months;
    return new TimeBins(first, months, Math.floor(high / months) - first / months + 1);
  }

  /** The bin of a month; outside 0..count where it is before or after. */
  at(month: number): number {
    return Math.floor((month - this.first) / this.months);
  }

  /** The first month of a bin. */
  begin(bin: number): number {
    return this.first + bin * this.months;
  }

  name(bin: number): string {
    const [from, to] = [this.begin(bin), this.begin(bin + 1) - 1];
    if (this.months === 1) return formatMonth(from);
    if (this.months < 12) return t.calendar.to(formatMonth(from), formatMonth(to));
    return this.months === 12 ? String(year(from)) : t.calendar.to(String(year(from)), String(year(to)));
  }

  /** The ends of an axis: months or years. */
  get ends(): [string, string] {
    const [from, to] = [this.first, this.begin(this.count) - 1];
    return this.months < 12 ? [formatMonth(from), formatMonth(to)] : [String(year(from)), String(year(to))];
  }

  get unit(): string {
    return { 1: t.calendar.month, 3: t.calendar.quarter, 12: t.calendar.year }[this.months] ?? t.calendar.years(this.months / 12);
  }
}
