/** Requests: what nodes answer as values, what they refuse as errors, and what becomes of a submission at each node. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ethBundle } from "../src/bundle.ts";
import { type Hex, fromHex, toHex } from "../src/bytes.ts";
import { Client } from "../src/client.ts";
import { NodeError, NotAccepted, type Outcome, WeftError } from "../src/errors.ts";
import { Key } from "../src/key.ts";
import { decodeProvenResult, resultsRootOf, verifyResult } from "../src/results.ts";
import { decodeTransaction, encodeTransaction, transactionId } from "../src/transaction.ts";
import { STATUS, deferred, hash, json, nowhere, problem, startNode, type Handler } from "./node.ts";
import { raw } from "./raw.ts";
import { bytesOf, vectorsOf } from "./vectors.ts";

const key = new Key(`0x${"07".repeat(32)}`);
const bundle = ethBundle({
  key, chainId: 1477n, height: 42n, sequence: 1n, amount: 5n, txs: [raw.type2], maxTimestamp: 1_790_000_010n,
});
const { transaction } = bundle;
const id = transactionId(transaction);

/** Takes transactions, and tells their ids. */
const takes: Handler = ({ method, path, headers, body }, response) => {
  assert.equal(`${method} ${path} ${headers["content-type"]}`, "POST /v1/transactions application/octet-stream");
  const taken = decodeTransaction(body);
  json(response, { id: transactionId(taken), status: "received" }, 202);
};

const refuses: Handler = (_, response) => problem(response, 422, "the bid is for height 42, the next one is 43", "payload.height");

function answers(status: number, body: string): Handler {
  return (_, response) => void response.writeHead(status).end(body);
}

/** Each node's outcome: accepted, or the error in words. */
function told(outcomes: Outcome[]): string[] {
  return outcomes.map((of) => (of.accepted ? "accepted" : `${of.error.name} ${of.error.message}`));
}

test("a submission goes to all nodes, and each one's outcome is told", async (context) => {
  const nodes = [
    await startNode(context, takes),
    await nowhere(),
    await startNode(context, refuses),
    await startNode(context, (_, response) => json(response, { id: hash("11"), status: "received" }, 202)),
    await startNode(context, answers(502, "<html>bad gateway</html>")),
    await startNode(context, answers(202, "nonsense")),
    await startNode(context, (_, response) => void response.socket!.destroy()),
    `${await startNode(context, ({ path }, response) => {
      assert.equal(path, "/weft/v1/transactions");
      json(response, { id, status: "received" }, 202);
    })}/weft`,
  ];
  const submission = await new Client(nodes).submit(transaction);
  assert.equal(submission.id, id);
  assert.deepEqual(submission.outcomes.map(({ url }) => url), nodes.map((url) => `${url}/`));
  const expected = [
    /^accepted$/,
    /^NodeError cannot be reached: .*ECONNREFUSED/,
    /^WeftError payload.height: the bid is for height 42, the next one is 43$/,
    /^NodeError took it for 0x1111/,
    /^NodeError answered 502 without saying why$/,
    /^NodeError its answer makes no sense/,
    /^NodeError cannot be reached/,
    /^accepted$/,
  ];
  told(submission.outcomes).forEach((outcome, i) => assert.match(outcome, expected[i]!));
  const refused = submission.outcomes[2]!;
  assert(!refused.accepted && refused.error instanceof WeftError);
  assert.deepEqual([refused.error.status, refused.error.field, refused.error.isTemporary], [422, "payload.height", false]);
});

test("a node that gives no answer is not waited for any longer", async (context) => {
  const url = await startNode(context, () => {});
  await assert.rejects(new Client([url], { timeoutMs: 20 }).submit(transaction), /gave no answer within 20 ms/);
  await assert.rejects(new Client([url], { timeoutMs: 20 }).status(), /gave no answer within 20 ms/);
});

test("a submission that no node accepts is an error with every reason", async (context) => {
  const nodes = [await nowhere(), await startNode(context, refuses)];
  await assert.rejects(new Client(nodes).submit(transaction), (error) => {
    assert(error instanceof NotAccepted);
    assert.equal(error.id, id);
    assert.match(error.message, /cannot be reached.*the next one is 43/);
    assert.deepEqual(error.outcomes.map(({ accepted }) => accepted), [false, false]);
    return true;
  });
});

test("a bundle goes to all nodes by JSON-RPC, and its errors are WeftErrors", async (context) => {
  const rpc = (answer: object): Handler => ({ path, headers, body }, response) => {
    assert.equal(`${path} ${headers["content-type"]}`, "/rpc application/json");
    const { jsonrpc, id, method, params } = JSON.parse(body.toString());
    assert.deepEqual([jsonrpc, method, params], ["2.0", "eth_sendBundle", [bundle.params]]);
    json(response, { jsonrpc: "2.0", id, ...answer });
  };
  const document = { type: "about:blank#refused", title: "", status: 422, detail: "above collateral", field: "payload.amount" };
  const nodes = await Promise.all([
    { result: { bundleHash: id } },
    { error: { code: -32602, message: "weft.signature: is 0x01's for this bundle, not 0x02's" } },
    { error: { code: -32602, message: "maxTimestamp or weft.validUntil: is missing" } },
    { error: { code: -32000, message: "payload.amount: above collateral", data: document } },
    { error: { code: -32601, message: "there is no method eth_sendBundle" } },
    { error: { code: -32005, message: "too much" } },
    { result: { bundleHash: hash("22") } },
    { result: null },
  ].map((answer) => startNode(context, rpc(answer))));
  const { outcomes } = await new Client(nodes).sendBundle(bundle);
  const errors = outcomes.map((of) => {
    if (of.accepted) return "accepted";
    return of.error instanceof WeftError ? [of.error.status, of.error.field, of.error.detail] : of.error.name;
  });
  assert.deepEqual(errors, [
    "accepted",
    [400, "weft.signature", "is 0x01's for this bundle, not 0x02's"],
    [400, undefined, "maxTimestamp or weft.validUntil: is missing"],
    [422, "payload.amount", "above collateral"],
    [404, undefined, "there is no method eth_sendBundle"],
    [429, undefined, "too much"],
    "NodeError",
    "NodeError",
  ]);
});

test("answers are values", async (context) => {
  const owner = `0x${"33".repeat(20)}` as Hex;
  const sold = { namespace: "7", reserve: "3", bid: hash("01"), bidder: owner, payment: "9", revenue: "5" };
  const opened = {
    bid: hash("02"), bidder: owner, height: "41", sequence: "18446744073709551615", amount: "4", result: "lost",
    detail: hash("01"), reason: "lost to others that pay more",
  };
  const decided = {
    bundle: hash("03"), bidder: owner, height: "39", decision: "timed_out", paid: "0",
    legs: [{ namespace: "7", revenue: "0" }, { namespace: "18446744073709551615", revenue: "8" }],
  };
  const paths: Record<string, unknown> = {
    "/status": STATUS,
    [`/v1/accounts/${owner}`]: {
      address: owner, balance: "340282366920938463463374607431768211455", collateral: "12",
      releases: [{ at_ms: "1790000000001", amount: "2" }], release_count: 40, releasing: "900",
    },
    "/v1/auctions/next": { height: "42", lots: [{ namespace: "18446744073709551615", reserve: "1" }], bid_fee: "6" },
    "/v1/auctions/41": { height: "41", lots: [sold], bids: [opened], bundles: [decided] },
    "/v1/auctions/latest": { height: "41", lots: [], bids: [], bundles: [] },
    [`/v1/transactions/${id}`]: {
      id, status: "final", height: "41", position: 2, receipt: { status: "skipped", reason: "cannot_pay_fee", fee: "0" },
    },
    [`/v1/transactions/${hash("05")}`]: { id: hash("05"), status: "received" },
  };
  const url = await startNode(context, ({ path }, response) => {
    const found = paths[path];
    if (found === undefined) problem(response, 404, "this node knows no such thing");
    else json(response, found);
  });
  const client = new Client([url]);
  assert.deepEqual(await client.status(), {
    version: "0.1.0", chainId: 1477n, genesis: hash("aa"), height: 41n, block: hash("bb"), timeMs: 1_790_000_000_000n,
    pricePerByte: 8n, role: "validator", ready: true, reason: undefined,
  });
  assert.deepEqual(await client.account(owner), {
    address: owner, balance: 2n ** 128n - 1n, collateral: 12n, releases: [{ atMs: 1_790_000_000_001n, amount: 2n }],
    releaseCount: 40, releasing: 900n,
  });
  assert.deepEqual(await client.lots(), { height: 42n, lots: [{ namespace: 2n ** 64n - 1n, reserve: 1n }], bidFee: 6n });
  assert.deepEqual(await client.auction(41n), {
    height: 41n,
    lots: [{ namespace: 7n, reserve: 3n, bid: hash("01"), bidder: owner, payment: 9n, revenue: 5n }],
    bids: [{ ...opened, height: 41n, sequence: 2n ** 64n - 1n, amount: 4n }],
    bundles: [{
      ...decided, height: 39n, paid: 0n,
      legs: [{ namespace: 7n, revenue: 0n }, { namespace: 2n ** 64n - 1n, revenue: 8n }],
    }],
  });
  assert.deepEqual(await client.auction("latest"), { height: 41n, lots: [], bids: [], bundles: [] });
  assert.equal(await client.auction(99n), undefined);
  assert.deepEqual(await client.transaction(id), {
    id, status: "final", height: 41n, position: 2, withdrawal: undefined,
    receipt: { status: "skipped", reason: "cannot_pay_fee", fee: 0n },
  });
  assert.equal((await client.transaction(hash("05") as Hex))!.status, "received");
  assert.equal(await client.transaction(hash("06") as Hex), undefined);
  await assert.rejects(client.transaction("0x06"), /id: expected 32 bytes/);
});

test("results come with proofs, which lead to the header above", async (context) => {
  const vectors = vectorsOf("proven_result").slice(0, 20);
  const proven = vectors.map((vector) => toHex(bytesOf(vector)).slice(2)).join("");
  const root = vectors[0]!.verdict.accepted.root;
  const node = (results_root: string): Handler => ({ path, headers }, response) => {
    if (path === "/v1/auctions/41?proof=1" && headers.accept === "application/octet-stream") {
      response.end(fromHex(`0x14000000${proven}`, "results"));
    } else if (path === "/v1/blocks/42") {
      json(response, { id: hash("01"), header: { height: "42", parent_outcome: { results_root } }, certificate: {} });
    } else {
      problem(response, 404, "not decided yet");
    }
  };
  const honest = await startNode(context, node(root));
  const client = new Client([await nowhere(), honest, await startNode(context, node(root))]);
  const results = (await client.provenResults(41n))!;
  assert.equal(results.length, 20);
  assert.equal(results.at(-1)!.result.kind, "bundle");
  const found = (await client.resultsRoot(41n))!;
  assert(results.every((result) => verifyResult(result, found)));
  const [first, ...rest] = results;
  assert(first?.result.kind === "lot");
  const lot = first.result;
  const withRevenue = (revenue: bigint) => ({ ...first, result: { ...lot, revenue } });
  assert(verifyResult(withRevenue(lot.revenue), found));
  assert(!verifyResult(withRevenue(lot.revenue + 1n), found));
  assert(!verifyResult({ ...rest[0]!, count: 0n }, found));
  assert.throws(() => verifyResult(withRevenue(lot.revenue + 2n ** 128n), found), RangeError);
  assert.equal(await client.resultsRoot(42n), undefined);
  assert.equal(await client.provenResults(42n), undefined);

  const liar = await startNode(context, node(hash("99")));
  await assert.rejects(new Client([honest, liar]).resultsRoot(41n), /another header at height 42/);
  await assert.rejects(new Client([await nowhere()]).resultsRoot(41n), NodeError);
});

test("a path that fits no tree leads nowhere", () => {
  const { result } = decodeProvenResult(bytesOf(vectorsOf("proven_result")[0]!));
  const lead = (count: bigint, index: bigint, siblings: number) =>
    resultsRootOf({ result, count, path: { index, siblings: Array(siblings).fill(hash("01")) } }) !== undefined;
  assert(lead(1n, 0n, 0) && lead(2n ** 40n, 0n, 40));
  assert(!lead(0n, 0n, 0) && !lead(1n, 1n, 0) && !lead(1n, -1n, 0), "no such place");
  assert(!lead(2n ** 41n, 0n, 41), "longer than any path");
});

test("what one node cannot answer another one does", async (context) => {
  const fine = await startNode(context, (_, response) => json(response, STATUS));
  const bad: Handler[] = [
    (_, response) => problem(response, 503, "the node is stopping"),
    (_, response) => problem(response, 404, "no such path"),
    answers(200, "{"),
    answers(200, JSON.stringify({ ...STATUS, height: 41 })),
    ...["", "-41", "0x29", "4".repeat(40)].map((height) => answers(200, JSON.stringify({ ...STATUS, height }))),
    answers(200, JSON.stringify({ ...STATUS, block: "0x00" })),
    (_, response) => void response.writeHead(302, { location: `${fine}/status` }).end(),
  ];
  for (const handler of bad) {
    const url = await startNode(context, handler);
    assert.equal((await new Client([url, fine]).status()).height, 41n);
    await assert.rejects(new Client([url]).status(), (error) => error instanceof NodeError || error instanceof WeftError);
  }
  await assert.rejects(new Client([await startNode(context, bad[3]!)]).status(), /answer.height: expected decimal digits/);
});

test("answers and refusals that do not end are given up", async (context) => {
  for (const status of [200, 500]) {
    const closed = deferred();
    const url = await startNode(context, async (_, response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(status, { "content-type": "application/json" });
      while (!response.closed) {
        await new Promise<void>((sent) => response.write(" ".repeat(65_536), () => sent()));
      }
    });
    await assert.rejects(new Client([url]).status(), /longer than \d+ bytes/);
    await closed.promise;
  }
});

test("urls are addresses and nothing else", () => {
  assert.throws(() => new Client([]), /urls/);
  for (const bad of ["ftp://a", "http://user:secret@a", "http://a/?b", "http://a/#c"]) {
    assert.throws(() => new Client(["http://a", bad]), (error: Error) => /urls\[1\]/.test(error.message) && !/secret/.test(error.message));
  }
});

test("the body that is submitted is the transaction", async (context) => {
  const bodies: string[] = [];
  const url = await startNode(context, ({ body }, response) => {
    bodies.push(toHex(body));
    json(response, { id, status: "received" }, 202);
  });
  await new Client([url]).submit(transaction);
  assert.deepEqual(bodies, [toHex(encodeTransaction(transaction))]);
});
