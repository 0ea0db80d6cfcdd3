// A registered search's body becomes a question again.
import type { Polygon } from "geojson";
import { type Body, EMPTY, type Example, keyOf, NO_FILTERS, type Part, type Question } from "./question";

/** Read a body as `toBody` writes it; what this page never writes is left out. */
export function fromBody(body: Body, like: Question = EMPTY): Question {
  const semantic = (body["semantic"] ?? {}) as Record<string, unknown>;
  const positive = listOf(semantic["positive"]);
  const isMain = (one: Record<string, unknown>): boolean => "text" in one;
  const main = semantic["text"] ?? body["q"] ?? (like.text ? positive.find(isMain)?.["text"] : undefined);
  const rest = positive.filter((one) => semantic["text"] !== undefined || !like.text || one !== positive.find(isMain));
  const wanted = [main ?? []].flat().map(String);
  return {
    ...EMPTY,
    text: like.text || wanted.join(", "),
    textWeight: like.textWeight,
    examples: [...rest.flatMap((one) => exampleOf(one, 1)), ...negatives(semantic, like).flatMap((one) => exampleOf(one, -1))],
    strategy: semantic["strategy"] === "best" ? "best" : "average",
    filters: { ...NO_FILTERS, ...like.filters, area: (body["intersects"] as Polygon | undefined) ?? like.filters.area },
    group: like.group,
    limit: like.limit,
  };
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? (value as Record<string, unknown>[]) : [];
}

// Sentences against stand in the search box already.
function negatives(semantic: Record<string, unknown>, like: Question): Record<string, unknown>[] {
  return listOf(semantic["negative"]).filter((one) => !(typeof one["text"] === "string" && like.text.includes(one["text"])));
}

function exampleOf(one: Record<string, unknown>, sign: 1 | -1): Example[] {
  const weight = typeof one["weight"] === "number" ? one["weight"] : 1;
  const part = partOf(one);
  return part ? [{ key: keyOf(part), sign, weight, part }] : [];
}

function partOf(one: Record<string, unknown>): Part | null {
  if (typeof one["id"] === "number") return { kind: "tile", id: one["id"] };
  if (one["text"] !== undefined) return { kind: "text", text: [one["text"]].flat().join(", ") };
  if (Array.isArray(one["point"])) return { kind: "point", lon: Number(one["point"][0]), lat: Number(one["point"][1]) };
  const vector = one["vector"] as { data?: unknown } | undefined;
  if (typeof vector?.data !== "string") return null;
  return { kind: "vector", name: typeof one["label"] === "string" ? one["label"] : "picture", vector: vector as { data: string } };
}
