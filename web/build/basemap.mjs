// Land, borders and country names from Natural Earth (public domain, from the package world-atlas), simplified for download.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { geoEquirectangular } from "d3-geo";
import { geoProject } from "d3-geo-projection";
import { feature, quantize } from "topojson-client";
import { topology } from "topojson-server";
import { filter, filterWeight, presimplify, quantile, simplify } from "topojson-simplify";

const KEEP_SHARE = 0.42; // share of the points to keep: about 5 km of detail, enough for a world view
const QUANTIZATION = 2e4; // steps of the coordinates over 360°

export function basemap() {
  const file = createRequire(import.meta.url).resolve("world-atlas/countries-50m.json");
  const atlas = JSON.parse(readFileSync(file, "utf8"));
  // The rings of the atlas cross ±180°; projecting cuts them there for a flat map.
  const flat = geoEquirectangular().scale(180 / Math.PI).translate([0, 0]).reflectY(true).precision(0);
  const countries = geoProject(feature(atlas, atlas.objects.countries), flat);
  for (const country of countries.features) {
    country.properties = { name: country.properties.name };
    delete country.id;
  }
  let simplified = presimplify(topology({ countries }, 1e6));
  simplified = simplify(simplified, quantile(simplified, 1 - KEEP_SHARE));
  simplified = filter(simplified, filterWeight(simplified, 1e-4));
  delete simplified.bbox;
  return JSON.stringify(quantize(simplified, QUANTIZATION));
}
