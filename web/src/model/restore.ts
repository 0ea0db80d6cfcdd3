// Turns the body of a saved search back into a question.
import { t } from "../i18n";
import { type Area, type Body, EMPTY, type Example, type Filters, keyOf, NO_FILTERS, type Part, type Question } from "./question";

/** Read a body that `toBody` wrote. Text, filters and limits that the link holds come from `linked`. */
export function fromBody(body: Body, linked: Question = EMPTY): Question {
  const semantic = (body["semantic"] ?? {}) as Record<string, unknown>;
  const positive = listOf(semantic["positive"]);
  const hasText = (example: Record<string, unknown>): boolean => "text" in example;
  // One description alone is what the search box holds.
  const inBox = linked.text || (positive.length === 1 && semantic["text"] === undefined) ? positive.find(hasText) : undefined;
  const main = semantic["classifier"] ?? semantic["text"] ?? body["q"] ?? inBox?.["text"];
  const others = positive.filter((example) => semantic["text"] !== undefined || example !== inBox);
  const texts = [main ?? []].flat().map(String);
  return {
    ...EMPTY,
    text: linked.text || texts.join(", "),
    textWeight: linked.textWeight,
    examples: [...others.flatMap((example) => exampleOf(example, 1)), ...negatives(semantic, linked).flatMap((example) => exampleOf(example, -1))],
    strategy: semantic["strategy"] === "best" ? "best" : "average",
    byCell: semantic["by_cell"] === true,
    filters: { ...(linked === EMPTY ? filtersOf(body) : linked.filters), area: (body["intersects"] as Area | undefined) ?? linked.filters.area },
    group: linked.group,
    limit: linked.limit,
  };
}

/** The filters of a body that no link accompanies. */
function filtersOf(body: Body): Filters {
  const [from, to] = typeof body["datetime"] === "string" ? body["datetime"].split("/") : [];
  const day = (time: string | undefined): string => (time && time !== ".." ? time.slice(0, 10) : "");
  const names = (name: string): string[] => (Array.isArray(body[name]) ? body[name].map(String) : []);
  const args = (body["filter"] as { args?: unknown[] } | undefined)?.args;
  return {
    ...NO_FILTERS,
    from: day(from), to: day(to),
    collections: names("collections"), sensors: names("sensors"), classifiers: names("classifiers"),
    cloud: typeof args?.[1] === "number" ? args[1] : null,
  };
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? (value as Record<string, unknown>[]) : [];
}

// Negative descriptions are in the search box already.
function negatives(semantic: Record<string, unknown>, linked: Question): Record<string, unknown>[] {
  return listOf(semantic["negative"]).filter(({ text }) => !(typeof text === "string" && linked.text.includes(text)));
}

function exampleOf(body: Record<string, unknown>, sign: 1 | -1): Example[] {
  const weight = typeof body["weight"] === "number" ? body["weight"] : 1;
  const part = partOf(body);
  return part ? [{ key: keyOf(part), sign, weight, part }] : [];
}

function partOf(body: Record<string, unknown>): Part | null {
  if (typeof body["id"] === "number") return { kind: "tile", id: body["id"] };
  if (body["text"] !== undefined) return { kind: "text", text: [body["text"]].flat().join(", ") };
  if (Array.isArray(body["point"])) return { kind: "point", lon: Number(body["point"][0]), lat: Number(body["point"][1]) };
  const vector = body["vector"] as { data?: unknown } | undefined;
  if (typeof vector?.data !== "string") return null;
  return { kind: "vector", name: typeof body["label"] === "string" ? body["label"] : t.search.untitled, vector: vector as { data: string } };
}
