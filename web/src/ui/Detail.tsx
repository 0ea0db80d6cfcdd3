// One place in detail: large, in other band combinations, where in it the match lies, the same place at other times, its like.
import { useEffect, useRef, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { exampleTile, look, registered, select, star, step } from "../model/actions";
import { boxOf, dayOf, type Hit, percent, sensorName } from "../model/hit";
import { terms } from "../model/question";
import { asked, byId, hits, overview, question, signs, stars } from "../model/store";
import { Badge, Failed, IconButton, Range, useLoaded, Waiting } from "./bits";
import { Thumbnail } from "./Card";
import { useMap } from "./mapState";
import { copyLink } from "./TakeAway";
import * as icons from "./icons";

export function Detail({ id }: { id: number }) {
  const [loaded, retry] = useLoaded((signal) => (byId.value.has(id) ? Promise.resolve(byId.value.get(id)!) : calls.tile(id, { signal })), [id, byId.value.has(id)]);
  const back = (): void => look({ tile: null });
  // On a phone the map stands above: what was opened comes into view.
  const top = useRef<HTMLElement>(null);
  useEffect(() => {
    if (matchMedia("(max-width: 800px)").matches) top.current?.scrollIntoView({ block: "start" });
  }, []);
  return (
    <article ref={top} class="detail scroller" aria-label={`Tile ${id}`}>
      <header class="detail-head">
        <button type="button" class="button" onClick={back}><icons.Back />{hits.value.length ? "Results" : "Back"}</button>
        <span class="grow" />
        {byId.value.has(id) && <><IconButton label="Previous place" keys="k" onClick={() => step(-1)}><icons.Back /></IconButton><IconButton label="Next place" keys="j" onClick={() => step(1)}><icons.Next /></IconButton></>}
        <IconButton label="Copy a link to this place" onClick={copyLink}><icons.Share /></IconButton>
        <IconButton label="Zoom the map to it" keys="z" onClick={() => loaded.state === "done" && loaded.value && useMap.zoomTo(loaded.value)}><icons.Pin /></IconButton>
      </header>
      {loaded.state === "busy" && <Waiting what="Reading the tile" />}
      {loaded.state === "failed" && <Failed reason={loaded.reason} retry={retry} />}
      {loaded.state === "done" && (loaded.value ? <Place key={id} hit={loaded.value} /> : <Failed reason={`There is no tile ${id} in this archive.`} />)}
    </article>
  );
}

function Place({ hit }: { hit: Hit }) {
  const sign = signs.value.get(hit.id);
  return (
    <>
      <Large hit={hit} />
      <div class="row actions">
        <button type="button" class={`button plus ${sign === 1 ? "on" : ""}`} aria-pressed={sign === 1} onClick={() => exampleTile(hit.id, 1)}><icons.Plus />More like this</button>
        <button type="button" class={`button minus ${sign === -1 ? "on" : ""}`} aria-pressed={sign === -1} onClick={() => exampleTile(hit.id, -1)}><icons.Minus />Less</button>
        <span class="grow" />
        <IconButton label="Keep in the selection" keys="s" on={stars.value.has(hit.id)} class="star" onClick={() => star(hit.id)}><icons.Star /></IconButton>
        <a class="icon-button" href={`tiles/${hit.id}/crop.tif`} download aria-label="Download all bands as GeoTIFF" title="Download all bands as GeoTIFF"><icons.Download /></a>
      </div>
      <h2 class="clip" title={hit.title}>{sensorName(hit.sensor)} <span class="dim">{dayOf(hit.time)}</span></h2>
      <Facts hit={hit} />
      <Timeline hit={hit} />
      <Similar hit={hit} />
    </>
  );
}

function Large({ hit }: { hit: Hit }) {
  const [style, setStyle] = useState<string | undefined>();
  const [heat, setHeat] = useState(false);
  const [strength, setStrength] = useState(0.75);
  const [styles] = useLoaded((signal) => calls.styles(hit.id, { signal }), [hit.id]);
  const [explain, setExplain] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (!heat) return;
    let stale = false;
    setFailed(false);
    const { text, examples } = question.value;
    const plain = !examples.length && terms(text).wanted.length === 1 && !terms(text).unwanted.length;
    const address = plain ? Promise.resolve(`q=${encodeURIComponent(terms(text).wanted[0]!)}`) : registered(question.value).then((id) => `search=${id}`);
    address.then((query) => stale || setExplain(`tiles/${hit.id}/explain.png?${query}`), () => stale || setFailed(true));
    return () => { stale = true; };
  }, [heat, hit.id, question.value]);
  // The first is the one to begin with: it is what thumbnails show.
  const chosen = styles.state === "done" ? (styles.value.find((one) => one.name === style) ?? styles.value[0]) : undefined;
  return (
    <figure class="large">
      <div class="large-picture">
        <Thumbnail id={hit.id} size={768} {...(style ? { style } : {})} alt={`Tile ${hit.id}`} />
        {heat && explain && <img class="explain" src={explain} alt="Where in the tile the match lies" style={{ opacity: strength }} onError={() => setFailed(true)} />}
        <Badge hit={hit} />
      </div>
      <figcaption>
        {styles.state === "done" && styles.value.length > 0 && (
          <div class="styles" role="group" aria-label="Band combinations">
            {styles.value.filter(isMix).map((one) => <button key={one.name} type="button" aria-pressed={chosen?.name === one.name} title={`${one.title} (${one.bands.join(", ")})`} onClick={() => setStyle(one.name)}>{one.title.replace(/:.*/, "")}</button>)}
            {styles.value.some((one) => !isMix(one)) && (
              <select aria-label="A single band" class={chosen && !isMix(chosen) ? "on" : ""} value={chosen && !isMix(chosen) ? chosen.name : ""} onChange={(event) => setStyle(event.currentTarget.value || undefined)}>
                <option value="">Single band…</option>
                {styles.value.filter((one) => !isMix(one)).map((one) => <option key={one.name} value={one.name}>{one.title}</option>)}
              </select>
            )}
          </div>
        )}
        {asked.value && (
          <div class="row heat-row">
            <label class="check"><input type="checkbox" checked={heat} onChange={(event) => setHeat(event.currentTarget.checked)} />Where the match lies</label>
            {heat && !failed && <Range label="Strength of the overlay" value={strength} min={0.1} max={1} step={0.05} onInput={setStrength} />}
            {failed && <span class="hint">not to be had for this tile</span>}
          </div>
        )}
      </figcaption>
    </figure>
  );
}

const isMix = ({ bands }: calls.Style): boolean => bands.length > 1;

const HIDDEN = /^(datetime|title|proj:|bandsight:(window|sensor|rank|score|probability|match|matched|cell|model|digest|generation|scale))/;

function Facts({ hit }: { hit: Hit }) {
  const [lon, lat] = hit.centre;
  const outline = overview.value?.coverage.features.find(({ properties }) => properties?.["title"] === hit.title && properties["collection"] === hit.collection);
  const rows: [string, string][] = [
    ["Place", `${lat.toFixed(5)}, ${lon.toFixed(5)}`],
    ...(hit.probability === null ? [] : [["Probability", percent(hit.probability)] as [string, string]]),
    ...(hit.score === null ? [] : [["Score", hit.score.toFixed(3)] as [string, string]]),
    ...(hit.matched ? [["Nearest to", hit.matched] as [string, string]] : []),
    ["Scene", hit.title],
    ["Collection", hit.collection],
    ...(hit.scale > 1 ? [["Scale", `1 : ${hit.scale}`] as [string, string]] : []),
    ...Object.entries(hit.properties).filter(([name, value]) => !HIDDEN.test(name) && ["string", "number", "boolean"].includes(typeof value)).map(([name, value]) => [label(name), shown(name, value)] as [string, string]),
    ["Tile", String(hit.id)],
  ];
  return <dl class="facts">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{name === "Scene" && outline ? <button type="button" class="link" title="Show the whole scene on the map" onClick={() => useMap.fitBox(boxOf(outline.geometry))}>{value}</button> : value}</dd></div>)}</dl>;
}

const label = (name: string): string => ({ gsd: "Pixel size", "eo:cloud_cover": "Cloud", platform: "Platform", "bandsight:scene": "Scene id", "bandsight:valid_fraction": "Valid pixels", "bandsight:scale": "Level", "bandsight:bands_from": "Bands known from" })[name] ?? name;
function shown(name: string, value: unknown): string {
  if (name === "gsd") return `${value} m`;
  if (name === "eo:cloud_cover") return `${Math.round(Number(value))} %`;
  if (name.endsWith("_fraction")) return `${Math.round(Number(value) * 100)} %`;
  return String(value);
}

/** Tiles of the same cell, in time. */
function Timeline({ hit }: { hit: Hit }) {
  const [loaded, retry] = useLoaded(
    async (signal) => {
      const body = { intersects: { type: "Point", coordinates: hit.centre }, sortby: [{ field: "datetime", direction: "asc" }], limit: 200 };
      const found = await calls.list(body, { signal });
      return found.filter((one) => one.cell === hit.cell || one.id === hit.id);
    },
    [hit.id],
  );
  if (loaded.state === "failed") return <section><h3>At other times</h3><Failed reason={loaded.reason} retry={retry} /></section>;
  if (loaded.state === "busy" || loaded.value.length < 2) return null;
  return (
    <section aria-label="The same place at other times">
      <h3>The same place in time <span class="dim">{loaded.value.length} dates</span></h3>
      <ul class="strip">
        {loaded.value.map((one) => (
          <li key={one.id} class={one.id === hit.id ? "current" : ""}>
            <button type="button" aria-label={`${dayOf(one.time)}${one.id === hit.id ? ", shown above" : ": compare"}`} title={one.id === hit.id ? "shown above" : "Compare"} disabled={one.id === hit.id} onClick={() => look({ compare: [one.id, hit.id] })}>
              <Thumbnail id={one.id} size={128} /><span>{dayOf(one.time)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Similar({ hit }: { hit: Hit }) {
  const [loaded, retry] = useLoaded(async (signal) => {
    const found: Hit[] = [];
    const answer = await calls.search({ semantic: { ids: [hit.id] } }, 13, () => undefined, { signal });
    found.push(...answer.hits.filter((one) => one.id !== hit.id).slice(0, 12));
    return found;
  }, [hit.id]);
  return (
    <section aria-label="Places that look like it">
      <h3>Looks like it</h3>
      {loaded.state === "busy" && <Waiting what="Looking for its like" />}
      {loaded.state === "failed" && <Failed reason={loaded.reason} retry={retry} />}
      {loaded.state === "done" && (
        <ul class="strip wrapped">
          {loaded.value.map((one) => (
            <li key={one.id}>
              <button type="button" aria-label={`Tile ${one.id}, likeness ${one.score?.toFixed(2) ?? "unknown"}`} onClick={() => { select(one.id); look({ tile: one.id }); }}><Thumbnail id={one.id} size={128} /><span>{one.score?.toFixed(2)}</span></button>
              <button type="button" class="mini" aria-label={`Compare with tile ${one.id}`} title="Compare" onClick={() => look({ compare: [hit.id, one.id] })}><icons.Swipe /></button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

