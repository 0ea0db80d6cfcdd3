// The page: asks the API and shows what it answers. Data goes into text nodes only, never into markup.

const byId = (id) => document.getElementById(id);
const make = (tag, text, props = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...props });

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

function filters() {
  const chosen = { limit: byId("limit").value || "24" };
  for (const name of ["bbox", "datetime", "sensors"]) {
    const value = byId(name).value.trim();
    if (value) chosen[name] = value;
  }
  if (chosen.datetime) chosen.datetime = rfc3339(chosen.datetime);
  return chosen;
}

// A day stands for its first moment where an interval begins, for its last where it ends.
function rfc3339(text) {
  const ends = text.split("/");
  const [first, last] = [ends[0], ends.at(-1)].map((end) => end.trim());
  const isDay = (end) => /^\d{4}-\d\d-\d\d$/.test(end);
  if (!isDay(first) && !isDay(last)) return text;
  return `${isDay(first) ? `${first}T00:00:00Z` : first}/${isDay(last) ? `${last}T23:59:59Z` : last}`;
}

// Items mark what is ours.
function plain({ id, properties }) {
  const own = Object.entries(properties).map(([name, value]) => [name.replace(/^bandsight:/, ""), value]);
  return { tile_id: id, probability: null, href: "", ...Object.fromEntries(own) };
}

let latest = 0;

async function show(what, request) {
  const mine = ++latest;
  say(`searching: ${what}…`);
  try {
    const answer = await request();
    const body = await answer.json();
    if (mine !== latest) return; // a newer query has begun
    if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
    byId("hits").replaceChildren(...body.features.map(card));
    if (!body.features.length) say(`no tile matches the filters: ${what}`);
    else if (body.nothing_matches) say(`nothing here is likely to be right; the nearest ${body.features.length}: ${what}`);
    else say(`${body.features.length} places: ${what}`);
  } catch (error) {
    if (mine === latest) say(error.message, true);
  }
}

// The middle of a footprint; of its first part where ±180° cuts it in two.
function centre({ type, coordinates }) {
  const ring = type === "Polygon" ? coordinates[0] : coordinates[0][0];
  return [0, 1].map((axis) => {
    const values = ring.map((point) => point[axis]);
    return (Math.min(...values) + Math.max(...values)) / 2;
  });
}

function card(feature) {
  const facts = plain(feature);
  const [lon, lat] = centre(feature.geometry);
  const item = make("li");
  item.append(
    make("img", "", {
      src: `tiles/${facts.tile_id}/thumbnail.png?size=256`,
      alt: `tile ${facts.tile_id} of ${facts.title ?? facts.scene}`,
      loading: "lazy",
    }),
  );
  const box = make("div", "", { className: "facts" });
  const chance = facts.probability === null ? "" : ` · ${Math.round(facts.probability * 100)} %`;
  box.append(make("b", `${facts.rank}. ${facts.score.toFixed(3)}${chance}${facts.match ? " ✓" : ""}`));
  box.append(make("div", facts.sensor));
  box.append(make("div", facts.datetime ? facts.datetime.slice(0, 16).replace("T", " ") : "time unknown"));
  box.append(make("div", `${lon.toFixed(4)}, ${lat.toFixed(4)}`, { title: "longitude, latitude" }));
  box.append(make("div", facts.title ?? facts.scene, { title: facts.href }));
  const more = make("button", "similar", { type: "button" });
  more.addEventListener("click", () => {
    scrollTo(0, 0);
    show(`like tile ${facts.tile_id}`, () => fetch(`tiles/${facts.tile_id}/similar?${new URLSearchParams(filters())}`));
  });
  box.append(more);
  item.append(box);
  return item;
}

function searchByImage(file) {
  const { limit, bbox, datetime, sensors } = filters();
  const body = { limit: Number(limit), datetime, bbox: bbox?.split(",").map(Number), sensors: sensors ? [sensors] : undefined };
  const form = new FormData();
  form.append("body", JSON.stringify(body));
  form.append("image", file);
  show(file.name, () => fetch("search", { method: "POST", body: form }));
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = byId("q").value.trim();
  if (!q) return say("type what the place looks like, e.g. “a river beside fields”", true);
  history.replaceState(null, "", `?${new URLSearchParams({ q, ...filters() })}`);
  show(`“${q}”`, () => fetch(`search?${new URLSearchParams({ q, ...filters() })}`));
});
byId("image").addEventListener("change", (event) => event.target.files[0] && searchByImage(event.target.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0]) searchByImage(event.dataTransfer.files[0]);
});

const [{ model, generation }, { collections }] = await Promise.all([
  fetch("version").then((answer) => answer.json()),
  fetch("collections").then((answer) => answer.json()),
]);
const held = collections.filter((row) => row.summaries["bandsight:model"]); // the others hold scenes
const tiles = held.reduce((sum, row) => sum + row["bandsight:tiles"], 0);
byId("about").textContent =
  `${tiles} tiles, generation ${generation}. Model ${model.name}, weights ${model.license}. ` +
  "A score is a cosine; the percentage is the probability that the sentence is true of the tile, ✓ that it is likely enough.";
for (const sensor of new Set(held.flatMap((row) => row.summaries["bandsight:sensor"]))) byId("sensors").append(make("option", sensor, { value: sensor }));
const linked = new URLSearchParams(location.search);
for (const name of ["bbox", "datetime", "sensors", "limit"]) if (linked.get(name)) byId(name).value = linked.get(name);
if (linked.get("q")) {
  byId("q").value = linked.get("q");
  byId("search").requestSubmit();
}
