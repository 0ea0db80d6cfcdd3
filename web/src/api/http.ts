// Requests to the API. Every request ends: with a response, at its time limit, or when the caller aborts it.
import { t } from "../i18n";

/** An error with a message for people. `status` is 0 where there was no response. */
export class RequestError extends Error {
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
const UNAUTHORIZED = 401;

let onUnauthorized = (): void => undefined;
/** Set what happens when the server asks for the key. */
export function whenUnauthorized(act: () => void): void {
  onUnauthorized = act;
}

let onUnreachable = (): void => undefined;
/** Set what happens when the server does not answer at all. */
export function whenUnreachable(act: () => void): void {
  onUnreachable = act;
}

export async function request(path: string, init: RequestInit, { signal, timeoutMs = TIMEOUT_MS }: Options = {}): Promise<Response> {
  const limit = AbortSignal.timeout(timeoutMs);
  let response: Response;
  try {
    response = await fetch(path, { ...init, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (limit.aborted) throw new RequestError(t.errors.timeout(Math.round(timeoutMs / 1000)), 0);
    onUnreachable();
    throw new RequestError(t.errors.unreachable, 0);
  }
  if (response.status === UNAUTHORIZED) {
    onUnauthorized();
    throw new RequestError(t.errors.signedOut, response.status);
  }
  if (!response.ok) throw new RequestError(await problemDetail(response), response.status);
  return response;
}

export async function getJson<T>(path: string, options?: Options): Promise<T> {
  return parse<T>(await request(path, { headers: { Accept: "application/json" } }, options));
}

export async function postJson<T>(path: string, body: unknown, options?: Options): Promise<T> {
  const init = { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) };
  return parse<T>(await request(path, init, options));
}

async function parse<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (error instanceof DOMException) throw error;
    throw new RequestError(t.errors.badResponse, response.status);
  }
}

/** What a problem document says; of anything else, e.g. an error page of a proxy, the status. */
export async function problemDetail(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { detail?: unknown; title?: unknown };
    if (typeof problem.detail === "string") return problem.detail;
    if (typeof problem.title === "string") return problem.title;
  } catch {
    // Not a problem document.
  }
  return t.errors.status(response.status, response.statusText);
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
export const errorMessage = (error: unknown): string => (error instanceof Error ? error.message : String(error));
