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
  const body = short({ ...toBody(question), limit: question.limit }) as Body;
  return [
    "import json", "import urllib.request", "",
    `body = ${literal(body)}`,
    `request = urllib.request.Request(${JSON.stringify(`${base()}/search`)}, json.dumps(body).encode(), {"Content-Type": "application/json"})`,
    "with urllib.request.urlopen(request) as answer:",
    '    for hit in json.load(answer)["features"]:',
    '        print(hit["id"], hit["properties"]["bandsight:score"], hit["bbox"])',
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
