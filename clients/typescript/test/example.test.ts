/** The examples of the README, run against a node that sells one lot, or two. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { type Hex, bigEndian } from "../src/bytes.ts";
import { Key } from "../src/key.ts";
import { type OpenedBid, resultsRootOf } from "../src/results.ts";
import { type Transaction, decodeTransaction, transactionId, verifyTransaction } from "../src/transaction.ts";
import { STATUS, hash, json, problem, startNode } from "./node.ts";
import { raw } from "./raw.ts";

const key = new Key(`0x${"07".repeat(32)}`);

test("the README shows the examples as they stand", () => {
  const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
  for (const name of ["bid", "atomic"]) {
    assert(read("README.md").includes(`\`\`\`ts\n${read(`examples/${name}.ts`)}\`\`\`\n`), name);
  }
});

test("the example locks collateral, follows the stream, bids, wins and proves it", async (context) => {
  const submitted: Transaction[] = [];
  let stream: ServerResponse | undefined;
  let asked = 0;
  const send = (height: number, bids: object[] = [], next?: object) => {
    const data = JSON.stringify({ height: `${height}`, lots: [], bids, bundles: [], next });
    stream!.write(`event: auction\nid: ${height}\ndata: ${data}\n\n`);
  };
  const lots = (height: number) => ({ height: `${height}`, lots: [{ namespace: "7001", reserve: "20" }], bid_fee: "1" });
  const url = await startNode(context, ({ path, body }, response) => {
    switch (path) {
      case "/status":
        return json(response, STATUS);
      case "/v1/transactions": {
        const transaction = decodeTransaction(body);
        submitted.push(transaction);
        json(response, { id: transactionId(transaction), status: "received" }, 202);
        if (submitted.length > 1) {
          send(43, [{ ...written(wonBy(transaction)), reason: "won" }], lots(44));
          send(44);
        }
        return;
      }
      case "/v1/auctions/stream":
        stream = response.writeHead(200, { "content-type": "text/event-stream" });
        send(41, [], lots(42));
        return send(42, [], lots(43));
      case `/v1/accounts/${key.address}`: {
        // It is there once the next height is decided.
        const collateral = asked++ === 0 ? "0" : "1000000000000000000";
        const none = { releases: [], release_count: 0, releasing: "0" };
        return json(response, { address: key.address, balance: "1", collateral, ...none });
      }
      case "/v1/auctions/43?proof=1":
        response.end(borsh(wonBy(submitted[1]!)));
        return;
      case "/v1/blocks/44":
        return json(response, { header: { height: "44", parent_outcome: { results_root: rootOf(wonBy(submitted[1]!)) } } });
      default:
        return problem(response, 404, `no such path: ${path}`);
    }
  });

  const log = context.mock.method(console, "log", () => {});
  Object.assign(process.env, { KEY: `0x${"07".repeat(32)}`, NODES: url, NAMESPACE: "7001", TRANSACTION: raw.type2 });
  await import("../examples/bid.ts");

  assert.deepEqual(log.mock.calls.map((call) => call.arguments), [["43: won"], ["proven"]]);
  assert.deepEqual(submitted.map(({ payload }) => payload), [
    { kind: "lockCollateral", amount: 10n ** 18n },
    { kind: "bid", sequence: 1n, height: 43n, amount: 41n, mode: "inclusion", legs: [{ namespace: 7001n, data: [raw.type2] }] },
  ]);
  for (const transaction of submitted) assert.equal(verifyTransaction(transaction, 1477n).sender, key.address);
});

test("the atomic example bids when all its lots are for sale, wins, and waits for the decision", async (context) => {
  const submitted: Transaction[] = [];
  let stream: ServerResponse | undefined;
  const send = (height: number, lots: string[], bids: object[] = [], bundles: object[] = []) => {
    const next = {
      height: `${height + 1}`, lots: lots.map((namespace) => ({ namespace, reserve: "20" })), bid_fee: "1",
    };
    const data = JSON.stringify({ height: `${height}`, lots: [], bids, bundles, next });
    stream!.write(`event: auction\nid: ${height}\ndata: ${data}\n\n`);
  };
  const decided = (bundle: string) => ({
    bundle, bidder: key.address, height: "43", decision: "committed", paid: "81", legs: [],
  });
  const url = await startNode(context, ({ path, body }, response) => {
    switch (path) {
      case "/status":
        return json(response, STATUS);
      case "/v1/transactions": {
        const transaction = decodeTransaction(body);
        submitted.push(transaction);
        const id = transactionId(transaction);
        json(response, { id, status: "received" }, 202);
        send(43, ["7"], [{ ...written(wonBy(transaction)), reason: "won" }]);
        send(44, ["7", "5", "7001"], [], [decided(hash("11"))]);
        return send(45, ["7", "5", "7001"], [], [decided(hash("22")), decided(id)]);
      }
      case "/v1/auctions/stream":
        stream = response.writeHead(200, { "content-type": "text/event-stream" });
        send(41, ["5", "7"]);
        return send(42, ["5", "7", "7001"]);
      default:
        return problem(response, 404, `no such path: ${path}`);
    }
  });

  const log = context.mock.method(console, "log", () => {});
  const legs = `7001=${raw.type2},5=${raw.legacy}`;
  Object.assign(process.env, { KEY: `0x${"07".repeat(32)}`, NODES: url, LEGS: legs });
  await import("../examples/atomic.ts");

  assert.deepEqual(log.mock.calls.map((call) => call.arguments), [["43: won"], ["45: committed, paid 81"]]);
  assert.deepEqual(submitted.map(({ payload }) => payload), [{
    kind: "bid", sequence: 1n, height: 43n, amount: 81n, mode: "atomic",
    legs: [{ namespace: 5n, data: [raw.legacy] }, { namespace: 7001n, data: [raw.type2] }],
  }]);
});

/** What became of the bid that a transaction brings. */
function wonBy(transaction: Transaction): OpenedBid {
  const { payload } = transaction;
  assert(payload.kind === "bid");
  const { height, sequence, amount } = payload;
  const bid = transactionId(transaction);
  return { bid, bidder: key.address, height, sequence, amount, result: "won", detail: hash("00") as Hex };
}

/** A bid as JSON. */
function written({ height, sequence, amount, ...bid }: OpenedBid) {
  return { ...bid, height: `${height}`, sequence: `${sequence}`, amount: `${amount}` };
}

/** A list of one proven bid. */
function borsh({ bid, bidder, height, sequence, amount }: OpenedBid): Buffer {
  const little = (value: bigint, length: number) => Buffer.from(bigEndian(value, length)).reverse();
  const hex = (text: string) => Buffer.from(text.slice(2), "hex");
  const numbers = [little(height, 8), little(sequence, 8), little(amount, 16)];
  const proof = [little(1n, 8), little(0n, 8), little(0n, 4)];
  return Buffer.concat([little(1n, 4), little(1n, 1), hex(bid), hex(bidder), ...numbers, Buffer.alloc(33), ...proof]);
}

function rootOf(bid: OpenedBid): Hex {
  return resultsRootOf({ result: { kind: "bid", ...bid }, count: 1n, path: { index: 0n, siblings: [] } })!;
}
