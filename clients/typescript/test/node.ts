/** Nodes for tests: small HTTP servers on ports that the system picks. */

import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request with its body read. */
export interface Request {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

export type Handler = (request: Request, response: ServerResponse) => void | Promise<void>;

/** Starts a node that ends with the test. */
export async function startNode(context: TestContext, handler: Handler): Promise<string> {
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method, url, headers } = incoming;
    await handler({ method: method!, path: url!, headers, body: Buffer.concat(chunks) }, response);
  });
  const url = await listen(server);
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return url;
}

/** An address at which nobody listens. */
export async function nowhere(): Promise<string> {
  const server = createServer();
  const url = await listen(server);
  server.close();
  await once(server, "close");
  return url;
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A promise and what fulfils it. */
export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

/** A problem document, as nodes write them. */
export function problem(response: ServerResponse, status: number, detail: string, field?: string): void {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ type: "about:blank#refused", title: "Refused", status, detail, field }));
}

export const hash = (byte: string) => `0x${byte.repeat(32)}`;

/** A node's `/status`. */
export const STATUS = {
  version: "0.1.0",
  chain_id: "1477",
  genesis: hash("aa"),
  height: "41",
  block: hash("bb"),
  time_ms: "1790000000000",
  price_per_byte: "8",
  role: "validator",
  validator: `0x${"cc".repeat(20)}`,
  peer_id: "12D3KooW",
  peers: 3,
  validator_peers: 3,
  best_peer_height: "41",
  mempool_transactions: 0,
  mempool_bytes: 0,
  uptime_seconds: 9,
  ready: true,
};
