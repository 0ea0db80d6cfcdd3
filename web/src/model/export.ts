// The request body of an export: the question, the minimum probability, and the ids of starred tiles where only those are exported.
import { type Body, type Question, terms, toBody } from "./question";

export function exportBody(question: Question, minProbability: number, ids: readonly number[] | null): Body {
  const body = toBody(question);
  // Only sentences have probabilities; the server refuses a minimum without one.
  const hasText = terms(question.text).positive.length > 0 || question.examples.some(({ sign, part }) => sign > 0 && part.kind === "text");
  if (minProbability > 0 && hasText) body["semantic"] = { ...(body["semantic"] as Body), min_probability: minProbability };
  if (ids) body["ids"] = ids.map(String);
  return { ...body, limit: ids ? ids.length : question.limit };
}
