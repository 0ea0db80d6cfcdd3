// Time in equal steps of the calendar: months, or quarters, years and more where the archive's time is long.
const WIDTHS = [1, 3, 12, 60, 120] as const;
const MOST = 36;

/** Months are counted from the year 0. */
export const monthOf = (time: string): number => Number(time.slice(0, 4)) * 12 + Number(time.slice(5, 7)) - 1;
const year = (month: number): number => Math.floor(month / 12);
const said = (month: number): string => `${year(month)}-${String((month % 12) + 1).padStart(2, "0")}`;

export const firstDay = (month: number): string => `${said(month)}-01`;
export const lastDay = (month: number): string => `${said(month)}-${new Date(Date.UTC(year(month), (month % 12) + 1, 0)).getUTCDate()}`;

export class Steps {
  private constructor(
    readonly first: number,
    /** Months in a step. */
    readonly wide: number,
    readonly count: number,
  ) {}

  /** Steps over all these months, without a gap; null where there is none. */
  static over(months: readonly number[]): Steps | null {
    if (!months.length) return null;
    const [low, high] = [Math.min(...months), Math.max(...months)];
    const fits = (wide: number): boolean => Math.floor(high / wide) - Math.floor(low / wide) < MOST;
    const wide = WIDTHS.find(fits) ?? Math.ceil((high - low + 1) / MOST / 12) * 12;
    const first = Math.floor(low / wide) * wide;
    return new Steps(first, wide, Math.floor(high / wide) - first / wide + 1);
  }

  /** The step of a month; outside 0..count where it is before or after. */
  at(month: number): number {
    return Math.floor((month - this.first) / this.wide);
  }

  /** The month that a step begins with. */
  begin(step: number): number {
    return this.first + step * this.wide;
  }

  name(step: number): string {
    const [from, to] = [this.begin(step), this.begin(step + 1) - 1];
    if (this.wide === 1) return said(from);
    if (this.wide < 12) return `${said(from)} to ${said(to)}`;
    return this.wide === 12 ? String(year(from)) : `${year(from)} to ${year(to)}`;
  }

  /** The ends, for an axis: months or years. */
  get ends(): [string, string] {
    const [from, to] = [this.first, this.begin(this.count) - 1];
    return this.wide < 12 ? [said(from), said(to)] : [String(year(from)), String(year(to))];
  }

  get unit(): string {
    return { 1: "month", 3: "quarter", 12: "year" }[this.wide] ?? `${this.wide / 12} years`;
  }
}
