// The present question as a curl command and as a call of the Python client.
import { type Body, type Question, toBody } from "./question";

const base = (): string => new URL(".", document.baseURI).href.replace(/\/$/, "");

// Pictures are shortened: they would fill the clipboard.
function short(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, one: unknown) => (key === "data" && typeof one === "string" && one.length > 200 ? "BASE64_OF_YOUR_PICTURE" : one)));
}

export function curl(question: Question): string {
  const body = JSON.stringify(short({ ...toBody(question), limit: question.limit }));
  return `curl -H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}' '${base()}/search'`;
}

export function python(question: Question): string {
  const { semantic, "filter-lang": _, ...filters } = short(toBody(question)) as Body;
  const { text, ...more } = semantic as Body;
  const named = Object.entries({ ...more, ...filters, limit: question.limit }).map(([name, value]) => `${name}=${literal(value)}`);
  const words = [...(text === undefined ? [] : [literal(text)]), ...named];
  return [
    "from bandsight import connect",
    "",
    `with connect(${literal(base())}) as archive:`,
    `    for item in archive.search(${words.join(", ")}):`,
    '        print(item.id, item.properties["bandsight:score"], item.bbox)',
    "",
  ].join("\n");
}

/** A value as Python writes it. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}
