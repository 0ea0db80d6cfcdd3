// The body of an export: the question, what the slider leaves of it, and the kept places where only those are wanted.
import { type Body, type Question, terms, toBody } from "./question";

export function exportBody(question: Question, least: number, only: readonly number[] | null): Body {
  const body = toBody(question);
  // Probabilities belong to sentences; the server refuses them of a question without one.
  const said = terms(question.text).wanted.length > 0 || question.examples.some((one) => one.sign > 0 && one.part.kind === "text");
  if (least > 0 && said) body["semantic"] = { ...(body["semantic"] as Body), min_probability: least };
  if (only) body["ids"] = only.map(String);
  return { ...body, limit: only ? only.length : question.limit };
}
