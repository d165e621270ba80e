/** Streams: events in pieces, connections that break, nodes that repeat, skip, stall and refuse. */

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Client } from "../src/client.ts";
import { WeftError } from "../src/errors.ts";
import { type ServerEvent, serverEvents } from "../src/sse.ts";
import { type Request, deferred, hash, nowhere, problem, startNode } from "./node.ts";

/** Events of a text that comes in pieces. */
async function read(pieces: Iterable<string | Uint8Array>, most = 1000): Promise<ServerEvent[]> {
  async function* chunks() {
    for (const piece of pieces) yield typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  }
  const found: ServerEvent[] = [];
  for await (const event of serverEvents(chunks(), most)) found.push(event);
  return found;
}

test("events are the same in whatever pieces and with whatever line ends they come", async () => {
  const lines = [
    ": a comment", "", "event: auction", "id: 7", "data: {\"a\":", "data:\"ä€😀\"}", "", ":", "", "retry: 5", "id: 8", "",
    "data", "", "unknown: x", "data:  two", "", "data: never finished",
  ];
  const expected: ServerEvent[] = [
    { type: "auction", data: "{\"a\":\n\"ä€😀\"}", id: "7" },
    { type: "message", data: "", id: undefined },
    { type: "message", data: " two", id: undefined },
  ];
  for (const end of ["\n", "\r\n", "\r"]) {
    const bytes = new TextEncoder().encode(`\ufeff${lines.join(end)}`);
    for (let size = 1; size <= bytes.length; size++) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
      assert.deepEqual(await read(pieces), expected, `${JSON.stringify(end)}, ${size} bytes`);
    }
  }
});

test("an event that is too long, or never ends, is given up", async () => {
  function* forever(piece: string): Generator<string> {
    for (;;) yield piece;
  }
  await assert.rejects(read(forever("data: x")), /longer than 1000/);
  await assert.rejects(read(forever("data: x\n")), /longer than 1000/);
  await assert.rejects(read(forever("data: x\ndata: y\n")), /longer than 1000/);
  await assert.rejects(read([`data: ${"x".repeat(1000)}\n\n`]), /longer than 1000/);
  assert.equal((await read(Array(500).fill(": alive\n\n"))).length, 0);
});

/** An auction's event, as nodes write it. */
function event(height: number, next?: boolean): string {
  const lot = { namespace: "7", reserve: "3", bid: hash("01"), bidder: `0x${"02".repeat(20)}`, payment: "9", revenue: "5" };
  const bid = {
    bid: hash("01"), bidder: lot.bidder, height: `${height}`, sequence: "1", amount: "9", result: "won",
    detail: hash("00"), reason: "won",
  };
  const lots = next ? { next: { height: `${height + 1}`, lots: [{ namespace: "7", reserve: "4" }], bid_fee: "2" } } : {};
  const bundle = {
    bundle: hash("03"), bidder: lot.bidder, height: `${height - 1}`, decision: "committed", paid: "9",
    legs: [{ namespace: "7", revenue: "5" }, { namespace: "8", revenue: "2" }],
  };
  const auction = { height: `${height}`, lots: [lot], bids: [bid], bundles: [bundle], ...lots };
  return `event: auction\nid: ${height}\ndata: ${JSON.stringify(auction)}\n\n`;
}

/** Begins a stream, as nodes do. */
function begin(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
}

/** Sends and waits until it is on its way. */
function send(response: ServerResponse, text: string | Uint8Array): Promise<void> {
  return new Promise((sent) => response.write(text, () => sent()));
}

test("no height is skipped or comes twice, whatever a node does", async (context) => {
  const asked: string[] = [];
  const connections: ((response: ServerResponse) => Promise<void>)[] = [
    async (response) => {
      begin(response);
      await send(response, `: hello\n\n${event(5)}:\n\n${event(6).slice(0, 60)}`);
      response.socket!.destroy();
    },
    async (response) => {
      begin(response);
      await send(response, event(5));
      for (const byte of new TextEncoder().encode(event(6))) await send(response, Uint8Array.of(byte));
      response.end();
    },
    async (response) => {
      begin(response);
      response.end(event(8));
    },
    async (response) => problem(response, 503, "the node is stopping"),
    async (response) => {
      begin(response);
      response.end("event: auction\nid: 7\ndata: {\"height\":\"7\"}\n\n");
    },
    async (response) => {
      begin(response);
      response.end(event(7).replace("id: 7", "id: 8"));
    },
    async (response) => {
      begin(response);
      await send(response, `event: block\nid: 7\ndata: {}\n\n${event(6)}${event(7)}${event(8, true)}`);
    },
  ];
  const url = await startNode(context, async ({ path, headers }, response) => {
    asked.push(`${path} ${headers["last-event-id"]}`);
    await connections[asked.length - 1]!(response);
  });

  const heights: bigint[] = [];
  // As if there were so many nodes, between which there is no pause.
  const client = new Client(connections.map(() => url));
  for await (const auction of client.auctions({ from: 5n })) {
    heights.push(auction.height);
    assert.equal(auction.bids[0]!.height, auction.height);
    assert.equal(auction.bundles[0]!.height, auction.height - 1n);
    if (auction.height < 8n) {
      assert.equal(auction.next, undefined);
      continue;
    }
    assert.deepEqual(auction.next, { height: 9n, lots: [{ namespace: 7n, reserve: 4n }], bidFee: 2n });
    break;
  }
  assert.deepEqual(heights, [5n, 6n, 7n, 8n]);
  const again = "/v1/auctions/stream?from=7 6";
  assert.deepEqual(asked, [
    "/v1/auctions/stream?from=5 undefined",
    "/v1/auctions/stream?from=6 5",
    ...Array(5).fill(again),
  ]);
});

test("without a first height it begins with the latest, and a broken connection is no gap", async (context) => {
  let connections = 0;
  const asked: (string | undefined)[] = [];
  const url = await startNode(context, async ({ path, headers }, response) => {
    asked.push(path);
    begin(response);
    // The head has moved on in between.
    const last = headers["last-event-id"] as string | undefined;
    const first = last === undefined ? 41 : Number(last) + 1;
    await send(response, connections++ === 0 ? event(first) : event(first) + event(first + 1));
    response.socket!.destroy();
  });
  const heights: bigint[] = [];
  for await (const { height } of new Client([url]).auctions()) {
    heights.push(height);
    if (heights.length === 4) break;
  }
  assert.deepEqual(heights, [41n, 42n, 43n, 44n]);
  assert.equal(asked[0], "/v1/auctions/stream");
});

test("a node that shows that it is alive and brings nothing is left for another", async (context) => {
  const stalling = await startNode(context, (_, response) => {
    begin(response);
    response.write(event(5));
    const alive = setInterval(() => response.write(":\n\n"), 5);
    response.on("close", () => clearInterval(alive));
  });
  const other = await startNode(context, ({ headers }, response) => {
    begin(response);
    if (headers["last-event-id"] === "5") response.write(event(6));
  });
  const client = new Client([stalling, await nowhere(), other], { patienceMs: 100 });
  const heights: bigint[] = [];
  for await (const { height } of client.auctions()) {
    heights.push(height);
    if (height === 6n) break;
  }
  assert.deepEqual(heights, [5n, 6n]);
});

test("ends when told to, and closes the connection", async (context) => {
  const stop = new AbortController();
  const closed = deferred();
  const url = await startNode(context, (_, response) => {
    response.on("close", () => closed.resolve());
    begin(response);
    response.write(event(5));
  });
  const heights: bigint[] = [];
  for await (const { height } of new Client([url]).auctions({ signal: stop.signal })) {
    heights.push(height);
    void turn().then(() => stop.abort());
  }
  assert.deepEqual(heights, [5n]);
  await closed.promise;
  for await (const _ of new Client([url]).auctions({ signal: stop.signal })) assert.fail("it was told before");
});

test("a refusal by every node is an error, by one of them is not", async (context) => {
  const refuses = (_: Request, response: ServerResponse) => problem(response, 400, "expected a decimal number", "height");
  const [one, two] = [await startNode(context, refuses), await startNode(context, refuses)];
  await assert.rejects(new Client([one, two]).auctions().next(), (error) => {
    assert(error instanceof WeftError);
    assert.deepEqual([error.status, error.field, error.url], [400, "height", `${two}/`]);
    return true;
  });
  const fine = await startNode(context, (_, response) => {
    begin(response);
    response.write(event(5));
  });
  const stream = new Client([one, fine]).auctions();
  assert.equal((await stream.next()).value!.height, 5n);
  await stream.return();
});
