// Requests of the page: every one ends, by an answer, a time limit or the person; every failure says what happened.

/** A failure in words for people; `status` is 0 where no answer came. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export interface Options {
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

export const TIMEOUT_MS = 60_000;

export async function ask(path: string, init: RequestInit, { signal, timeoutMs = TIMEOUT_MS }: Options = {}): Promise<Response> {
  const limit = AbortSignal.timeout(timeoutMs);
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (limit.aborted) throw new Failure(`No answer within ${Math.round(timeoutMs / 1000)} seconds.`, 0);
    throw new Failure("The server cannot be reached.", 0);
  }
  if (!answer.ok) throw new Failure(await reason(answer), answer.status);
  return answer;
}

export async function getJson<T>(path: string, options?: Options): Promise<T> {
  return json<T>(await ask(path, { headers: { Accept: "application/json" } }, options));
}

export async function postJson<T>(path: string, body: unknown, options?: Options): Promise<T> {
  const init = { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) };
  return json<T>(await ask(path, init, options));
}

async function json<T>(answer: Response): Promise<T> {
  try {
    return (await answer.json()) as T;
  } catch (error) {
    if (error instanceof DOMException) throw error;
    throw new Failure("The answer was cut off or is not JSON.", answer.status);
  }
}

async function reason(answer: Response): Promise<string> {
  try {
    const problem = (await answer.json()) as { detail?: unknown; title?: unknown };
    if (typeof problem.detail === "string") return problem.detail;
    if (typeof problem.title === "string") return problem.title;
  } catch {
    // Not a problem document: a proxy's page, say.
  }
  return `The server answered ${answer.status} ${answer.statusText}.`;
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
