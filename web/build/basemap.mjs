// Land, borders and names of countries from Natural Earth (public domain, by way of world-atlas), made small for the wire.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { geoEquirectangular } from "d3-geo";
import { geoProject } from "d3-geo-projection";
import { feature, quantize } from "topojson-client";
import { topology } from "topojson-server";
import { filter, filterWeight, presimplify, quantile, simplify } from "topojson-simplify";

const KEPT = 0.42; // share of the points that stays: about 5 km of detail, what a world view can show
const GRID = 2e4; // steps of the coordinates over 360°

export function basemap() {
  const file = createRequire(import.meta.url).resolve("world-atlas/countries-50m.json");
  const atlas = JSON.parse(readFileSync(file, "utf8"));
  // The atlas lies on a sphere: its rings run across ±180° and are cut there for a flat map.
  const flat = geoEquirectangular().scale(180 / Math.PI).translate([0, 0]).reflectY(true).precision(0);
  const countries = geoProject(feature(atlas, atlas.objects.countries), flat);
  for (const country of countries.features) {
    country.properties = { name: country.properties.name };
    delete country.id;
  }
  let made = presimplify(topology({ countries }, 1e6));
  made = simplify(made, quantile(made, 1 - KEPT));
  made = filter(made, filterWeight(made, 1e-4));
  delete made.bbox;
  return JSON.stringify(quantize(made, GRID));
}
