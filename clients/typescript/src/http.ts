/** Requests to one node: each ends in time, and no answer is longer than allowed. */

import { NodeError, WeftError } from "./errors.ts";
import { Json } from "./json.ts";

/** Most bytes of a refusal that are read. */
const MAX_PROBLEM = 64 * 1024;

export interface Request {
  /** Path and query, below the node's address. */
  path: string;
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  body?: Uint8Array | string;
}

/** How long an answer may take and be. */
export interface Limits {
  timeoutMs: number;
  bytes: number;
}

/**
 * The body of a node's answer.
 * @throws WeftError for a problem document; NodeError
 */
export async function ask(url: string, request: Request, limits: Limits): Promise<Uint8Array> {
  const controller = new AbortController();
  const late = new NodeError(url, `gave no answer within ${limits.timeoutMs} ms`);
  const timer = setTimeout(() => controller.abort(late), limits.timeoutMs);
  try {
    const response = await open(url, request, controller.signal);
    return await readAll(url, response, limits.bytes, controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A node's answer, with its body still to be read.
 * @throws WeftError for a problem document; NodeError; whatever the signal was aborted with
 */
export async function open(url: string, { path, ...init }: Request, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url + path, { ...init, signal, redirect: "error" });
  } catch (error) {
    signal.throwIfAborted();
    throw new NodeError(url, `cannot be reached: ${reasonOf(error)}`, error);
  }
  if (response.ok) return response;
  throw problem(url, response.status, await readAll(url, response, MAX_PROBLEM, signal));
}

/** What `fetch` hides in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}

/** The body of an answer of at most so many bytes. */
async function readAll(url: string, response: Response, most: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(url, response, signal)) {
    length += chunk.length;
    if (length > most) throw new NodeError(url, `its answer is longer than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The body of an answer as it comes. */
export async function* chunksOf(url: string, response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new NodeError(url, `its answer broke off: ${reasonOf(error)}`, error);
  } finally {
    // Whoever needs no more of it lets the connection go; one that broke off is gone already.
    reader.cancel().catch(() => {});
  }
}

function problem(url: string, status: number, body: Uint8Array): WeftError | NodeError {
  try {
    return weftError(url, parse(body));
  } catch {
    return new NodeError(url, `answered ${status} without saying why`);
  }
}

/** The refusal that a problem document is. */
export function weftError(url: string, document: Json): WeftError {
  const field = document.optional("field", (field) => field.text());
  return new WeftError(url, document.get("status").small(), document.get("detail").text(), field);
}

/** JSON of a body; throws if it is none. */
export function parse(body: Uint8Array): Json {
  return new Json(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)));
}
