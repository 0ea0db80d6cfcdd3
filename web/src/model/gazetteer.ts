// Places by name, offline: cities of GeoNames, loaded the first time somebody types; and coordinates.
import gazetteerUrl from "virtual:gazetteer";
import { formatCountry } from "../i18n";

export interface Town { name: string; region: string; lon: number; lat: number }

interface Row { name: string; folded: string; country: string; admin: string; lon: number; lat: number }
let loading: Promise<Row[]> | null = null;

/** Lower case without accents: "São Paulo" and "sao paulo" are one name. */
const folded = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

async function load(): Promise<Row[]> {
  const response = await fetch(gazetteerUrl);
  if (!response.ok) throw new Error(response.statusText);
  return (await response.text()).split("\n").map((line) => {
    const [name, country, admin, lon, lat] = line.split("\t") as [string, string, string, string, string];
    return { name, folded: folded(name), country, admin, lon: Number(lon) / 100, lat: Number(lat) / 100 };
  });
}

/** Cities whose name begins with this text, the largest first. */
export async function townsNamed(text: string, most: number): Promise<Town[]> {
  loading ??= load();
  loading.catch(() => { loading = null; });
  const typed = folded(text.trim().replace(/,.*/, ""));
  const found: Row[] = [];
  for (const row of await loading) {
    if (row.folded.startsWith(typed)) found.push(row);
    if (found.length >= most) break;
  }
  return found.map(({ name, country, admin, lon, lat }) => ({ name, region: [/^[A-Z]{2}$/.test(admin) ? admin : "", formatCountry(country)].filter(Boolean).join(", "), lon, lat }));
}

const NUMBER = String.raw`([-−+]?\d{1,3}(?:[.]\d+)?)\s*°?\s*(?:(\d{1,2}(?:[.]\d+)?)\s*[′']\s*)?(?:(\d{1,2}(?:[.]\d+)?)\s*[″"]\s*)?`;
const COORDINATES = new RegExp(`^\\s*${NUMBER}([NS])?\\s*[,;\\s]\\s*${NUMBER}([EWO])?\\s*$`, "i");

/** Latitude and longitude in degrees, or degrees, minutes and seconds; null where the text is anything else. */
export function coordinatesOf(text: string): { lon: number; lat: number } | null {
  const match = COORDINATES.exec(text);
  if (!match) return null;
  const value = (degrees: string, minutes: string | undefined, seconds: string | undefined, side: string | undefined): number => {
    const whole = Number(degrees.replace("−", "-"));
    const size = Math.abs(whole) + Number(minutes ?? 0) / 60 + Number(seconds ?? 0) / 3600;
    return (whole < 0 || /^[-−]/.test(degrees) ? -1 : 1) * (/[SW]/i.test(side ?? "") ? -1 : 1) * size;
  };
  const [, a, b, c, ns, d, e, f, ew] = match as unknown as string[];
  const [lat, lon] = [value(a!, b, c, ns), value(d!, e, f, ew)];
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lon, lat } : null;
}
