// The current question as a curl command and as Python code.
import { type Body, type Question, toBody } from "./question";

const base = (): string => new URL(".", document.baseURI).href.replace(/\/$/, "");

// Images are left out: they would fill the clipboard.
function withoutImages(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, one: unknown) => (key === "data" && typeof one === "string" && one.length > 200 ? "BASE64_OF_YOUR_IMAGE" : one)));
}

export function curl(question: Question): string {
  const body = JSON.stringify(withoutImages({ ...toBody(question), limit: question.limit }));
  return `curl -H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}' '${base()}/search'`;
}

export function python(question: Question): string {
  const { semantic, "filter-lang": _, ...filters } = withoutImages(toBody(question)) as Body;
  const { text, ...others } = semantic as Body;
  const keywords = Object.entries({ ...others, ...filters, limit: question.limit }).map(([name, value]) => `${name}=${literal(value)}`);
  const args = [...(text === undefined ? [] : [literal(text)]), ...keywords];
  return [
    "from bandsight import connect",
    "",
    `with connect(${literal(base())}) as archive:`,
    `    for item in archive.search(${args.join(", ")}):`,
    '        print(item.id, item.properties["bandsight:score"], item.bbox)',
    "",
  ].join("\n");
}

/** A value as a Python literal. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}

/** A tile as an Item, and its bands as a file. */
export function pythonForTile(id: number): string {
  return ["from bandsight import connect", "", `with connect(${literal(base())}) as archive:`, `    item = archive.item(${id})`, "    print(item[\"properties\"])", `    archive.crop(${id}, "tile-${id}.tif")`, ""].join("\n");
}

/** The address of a scene's map tiles, for QGIS and others that read XYZ tiles. */
export const tileUrl = (scene: string): string => `${base()}/scenes/${scene.replace(/^scene-/, "")}/tiles/{z}/{x}/{y}.png`;
