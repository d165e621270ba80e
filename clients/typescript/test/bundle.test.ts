/** Bundles: what a node makes of their parameters is the transaction that was signed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_MAX_FEE, bid } from "../src/bid.ts";
import { type Bundle, ethBundle, legsOf, mevBundle } from "../src/bundle.ts";
import { type Hex, bigEndian, fromHex, toHex } from "../src/bytes.ts";
import { EncodingError, InvalidTransaction } from "../src/errors.ts";
import { chainIdOf } from "../src/ethereum.ts";
import { Key } from "../src/key.ts";
import { decodeTransaction, encodeTransaction, transactionId, verifyTransaction } from "../src/transaction.ts";
import { chainOf, raw } from "./raw.ts";

const key = new Key(`0x${"07".repeat(32)}`);
const offer = { key, chainId: 9n, height: 16n, sequence: 3n, amount: 50n };
const txs: Hex[] = [raw.type2, raw.legacy, raw.type4, raw.type1];

test("both shapes are the bid that was signed", () => {
  const eth = ethBundle({ ...offer, txs, maxTimestamp: 100n });
  const { transaction } = eth;
  assert.equal(verifyTransaction(transaction, 9n).sender, key.address);
  assert(transaction.payload.kind === "bid");
  assert.deepEqual(transaction.payload.legs, [
    { namespace: 5n, data: [raw.legacy] },
    { namespace: 7n, data: [raw.type1] },
    { namespace: 7001n, data: [raw.type2, raw.type4] },
  ]);
  assert.equal(reconstruct(eth), toHex(encodeTransaction(transaction)));

  const mev = mevBundle({ ...offer, txs, validUntil: 100_000n });
  assert.deepEqual(mev.transaction, transaction);
  assert.equal(reconstruct(mev), toHex(encodeTransaction(transaction)));
});

test("a bundle and a bid that say the same are one transaction", () => {
  assert.deepEqual(legsOf(txs).map(({ namespace }) => namespace), [5n, 7n, 7001n]);
  const plain = bid({ ...offer, legs: legsOf(txs).reverse(), validUntil: 100_000n });
  const bundle = ethBundle({ ...offer, txs, maxTimestamp: 100n });
  assert.equal(transactionId(plain), transactionId(bundle.transaction));
});

test("both shapes of an atomic bundle are the bid that was signed", () => {
  const eth = ethBundle({ ...offer, mode: "atomic", txs, maxTimestamp: 100n });
  const mev = mevBundle({ ...offer, mode: "atomic", txs, validUntil: 100_000n });
  assert(eth.transaction.payload.kind === "bid");
  assert.equal(eth.transaction.payload.mode, "atomic");
  assert.deepEqual(mev.transaction, eth.transaction);
  for (const bundle of [eth, mev]) {
    assert.equal(bundle.params.weft.mode, "atomic");
    assert.equal(reconstruct(bundle), toHex(encodeTransaction(eth.transaction)));
  }
  const plain = bid({ ...offer, mode: "atomic", legs: legsOf(txs), validUntil: 100_000n });
  assert.equal(transactionId(plain), transactionId(eth.transaction));

  const inclusion = ethBundle({ ...offer, mode: "inclusion", txs, maxTimestamp: 100n });
  assert.deepEqual(inclusion.transaction, ethBundle({ ...offer, txs, maxTimestamp: 100n }).transaction);
  assert.equal(reconstruct(inclusion), toHex(encodeTransaction(inclusion.transaction)));
});

test("what is atomic is for two rollups or more", () => {
  const atomic = { ...offer, mode: "atomic" as const };
  assert.throws(() => ethBundle({ ...atomic, txs: [raw.type2, raw.type4], maxTimestamp: 1n }), { reason: "atomic_legs" });
  assert.throws(() => ethBundle({ ...atomic, amount: 0n, txs: [], maxTimestamp: 1n }), { reason: "atomic_legs" });
  const other = { ...offer, mode: "both" as "atomic" };
  assert.throws(() => ethBundle({ ...other, txs, maxTimestamp: 1n }), /mode: expected one of inclusion, atomic/);
});

test("the largest numbers, a fee of its own and hex of either case arrive", () => {
  const most = { height: 2n ** 64n - 1n, sequence: 2n ** 64n - 1n, amount: 2n ** 100n, maxFee: 2n ** 128n - 1n };
  const upper = `0x${raw.type2.slice(2).toUpperCase()}` as Hex;
  for (const bundle of [
    mevBundle({ ...offer, ...most, txs: [upper], validUntil: 2n ** 64n - 1n }),
    ethBundle({ ...offer, ...most, txs: [upper], maxTimestamp: 2n ** 53n - 1n }),
  ]) {
    assert.equal(reconstruct(bundle), toHex(encodeTransaction(bundle.transaction)));
    assert.equal(verifyTransaction(bundle.transaction, 9n).sender, key.address);
  }
  assert.throws(() => ethBundle({ ...offer, txs, maxTimestamp: 2n ** 53n }), /maxTimestamp/);
  assert.throws(() => mevBundle({ ...offer, height: 2n ** 64n, txs, validUntil: 1n }), /height: .* 64 bits/);
  assert.throws(() => mevBundle({ ...offer, maxFee: -1n, txs, validUntil: 1n }), /maxFee/);
});

test("no transactions withdraw", () => {
  const bundle = ethBundle({ ...offer, amount: 0n, txs: [], maxTimestamp: 100n });
  assert.equal(reconstruct(bundle), toHex(encodeTransaction(bundle.transaction)));
  assert.throws(() => ethBundle({ ...offer, txs: [], maxTimestamp: 100n }), { reason: "half_bid" });
});

test("a changed parameter is another transaction, which the signature is not of", () => {
  const bundle = ethBundle({ ...offer, txs, maxTimestamp: 100n });
  const signed = toHex(encodeTransaction(bundle.transaction));
  const changed = structuredClone(bundle);
  changed.params.weft.amount = "51";
  const found = reconstruct(changed);
  assert.notEqual(found, signed);
  assert.notEqual(verifyTransaction(decodeTransaction(fromHex(found, "found")), 9n).sender, key.address);
});

test("the fee that a bundle does not name is the node's", () => {
  const source = readFileSync(new URL("../../../node/src/api/rpc/bundle.rs", import.meta.url), "utf8");
  const [, digits] = /const DEFAULT_MAX_FEE: Wei = ([0-9_]+);/.exec(source)!;
  assert.equal(DEFAULT_MAX_FEE, BigInt(digits!.replaceAll("_", "")));
});

/**
 * The transaction that the parameters of a bundle stand for, read as `node/src/api/rpc/bundle.rs` does and by nothing
 * that made it: chain ids are known beforehand, the borsh is written out.
 */
function reconstruct({ method, params }: Bundle): string {
  const { weft, ...sent } = JSON.parse(JSON.stringify(params));
  const isEth = method === "eth_sendBundle";
  const items: string[] = isEth ? sent.txs : sent.body.map(({ tx }: { tx: string }) => tx);
  if (isEth) {
    assert.deepEqual(Object.keys(sent).sort(), ["blockNumber", "maxTimestamp", "revertingTxHashes", "txs"]);
    assert.equal(sent.revertingTxHashes.length, weft.mode === "atomic" ? 0 : items.length);
    assert.equal(weft.validUntil, undefined);
  } else {
    assert.deepEqual(Object.keys(sent).sort(), ["body", "inclusion", "version"]);
    assert.equal(sent.version, "v0.1");
    assert.equal(sent.inclusion.maxBlock, sent.inclusion.block);
    const mayRevert = weft.mode === "atomic" ? undefined : true;
    for (const { canRevert } of sent.body) assert.equal(canRevert, mayRevert);
  }
  assert.equal(weft.bidder, key.address);
  const legs = new Map<bigint, string[]>();
  for (const item of items) {
    const chain = chainOf.get(item)!;
    legs.set(chain, [...(legs.get(chain) ?? []), item]);
  }
  const ascending = [...legs].sort(([a], [b]) => Number(a - b));
  const until = isEth ? BigInt(sent.maxTimestamp) * 1000n : BigInt(weft.validUntil);
  const sequence = BigInt(weft.sequence);
  return [
    "0x",
    ...[little(9n, 8), little(until, 8), little(sequence, 8), little(BigInt(weft.maxFee ?? 10n ** 16n), 16), "05"],
    ...[little(sequence, 8), little(BigInt(isEth ? sent.blockNumber : sent.inclusion.block), 8)],
    ...[little(BigInt(weft.amount), 16), { inclusion: "00", atomic: "01" }[(weft.mode ?? "inclusion") as string]],
    little(BigInt(ascending.length), 4),
    ...ascending.flatMap(([chain, data]) => [
      little(chain, 8),
      little(BigInt(data.length), 4),
      ...data.flatMap((item) => [little(BigInt(item.length / 2 - 1), 4), item.slice(2)]),
    ]),
    weft.signature.slice(2),
  ].join("");
}

function little(value: bigint, length: number): string {
  return Buffer.from(bigEndian(value, length)).reverse().toString("hex");
}

test("chain ids of transactions that others made", () => {
  for (const [transaction, chain] of chainOf) assert.equal(chainIdOf(transaction as Hex), chain);
});

test("what is no signed transaction with a chain id is refused with what is wrong", () => {
  const of = (...fields: string[]) => toHex(list(...fields));
  const legacy = (v: string, r = "01", s = "01") => of("", "", "", "", "", "", v, r, s);
  const body = raw.type2.slice(4);
  const refused: [what: string, transaction: Hex, why: RegExp][] = [
    ["nothing", "0x", /no bytes/],
    ["27", legacy("1b"), /without a chain id/],
    ["28", legacy("1c"), /without a chain id/],
    ["a small v", legacy("22"), /v .* is 34/],
    ["a chain id above 64 bits", legacy("020000000000000023"), /above 64 bits/],
    ["a zero in front", legacy("0025"), /zero in front/],
    ["an r that is too long", legacy("25", "01".repeat(33)), /more than 32 bytes/],
    ["unsigned by EIP-155", legacy("25", "", ""), /not signed/],
    ["unsigned", of("", "", "", "", "", ""), /9 fields, not 6/],
    ["blobs", `0x03${body}`, /blobs/],
    ["a type that nobody knows", `0x05${body}`, /no transaction type 5/],
    ["type 0", `0x00${body}`, /no transaction type 0/],
    ["another type's fields", `0x01${body}`, /11 fields, not 12/],
    ["a transaction in a string", `0xb8${body}`, /wrapped/],
    ["one byte short", raw.type2.slice(0, -2) as Hex, /too early/],
    ["one byte more", `${raw.type2}00`, /one list/],
    ["two of them", `${raw.type2}${body}`, /one list/],
    ["a string for an access list", raw.type2.replace("c080a0", "8080a0") as Hex, /field 8 .* wrong kind/],
    ["a parity of 2", raw.type2.replace("c080a0", "c002a0") as Hex, /parity .* is 2/],
    ["a long length for little", "0xf801c0", /shortest form/],
    ["a length with a zero in front", "0xf900c0", /shortest form/],
    ["a length beyond everything", "0xffffffffffffffffff", /too early/],
    ["a small byte with a length", "0xc28101", /shortest form/],
  ];
  for (const [what, transaction, why] of refused) {
    assert.throws(() => chainIdOf(transaction), (error: Error) => {
      assert(error instanceof EncodingError, what);
      assert.match(error.message, why, what);
      return true;
    });
    assert.throws(() => legsOf([raw.type2, transaction]), /^EncodingError: txs\[1\]: /, what);
  }
  assert.equal(chainIdOf(legacy("25")), 1n);
  assert.equal(chainIdOf(legacy("020000000000000021")), 2n ** 64n - 1n);
  assert.throws(() => ethBundle({ ...offer, txs: ["0xabc"], maxTimestamp: 1n }), /txs\[0\]: expected bytes as 0x-hex/);
});

test("more than a bid may bring is refused", () => {
  assert.throws(() => legsOf(Array(4097).fill(raw.type2)), { reason: "too_many_items" });
  const legs = Array.from({ length: 9 }, (_, i) => ({ namespace: BigInt(i), data: ["0x01" as Hex] }));
  const place = { ...offer, validUntil: 1n };
  assert.throws(() => bid({ ...place, legs }), { reason: "too_many_legs" });
  assert.throws(() => bid({ ...place, legs: [...legs.slice(0, 2), legs[0]!] }), { reason: "unsorted_legs" });
  assert.throws(() => bid({ ...place, amount: 2n ** 100n + 1n, legs: legs.slice(0, 2) }), InvalidTransaction);
});

test("a key is 32 bytes below the order, and errors do not repeat it", () => {
  const bytes = fromHex("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "key");
  const address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
  assert.equal(new Key(bytes).address, address);
  assert.equal(new Key(toHex(bytes).slice(2)).address, address);
  for (const bad of ["0x", "00".repeat(32), "ff".repeat(32), `${toHex(bytes)}00`, "secret"]) {
    assert.throws(() => new Key(bad), (error: Error) => !error.message.includes(bad.slice(2, 8) || "?"));
  }
  assert(!JSON.stringify(new Key(bytes)).includes("ac09"));
});

/** A list of strings in RLP, each given in hex, shorter than 56 bytes in all. */
function list(...fields: string[]): Uint8Array {
  const content = fields.map((hex) => {
    const bytes = Buffer.from(hex, "hex");
    return bytes.length === 1 && bytes[0]! < 0x80 ? bytes : Buffer.from([0x80 + bytes.length, ...bytes]);
  });
  const whole = Buffer.concat(content);
  assert(whole.length < 56);
  return Uint8Array.from([0xc0 + whole.length, ...whole]);
}
