/** Checks one golden vector: what its bytes are, what is hashed of them and what becomes of them must be what it says. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fromHex, join, toHex, type Hex } from "../src/bytes.ts";
import { EncodingError, InvalidTransaction } from "../src/errors.ts";
import { keccak256 } from "../src/hash.ts";
import { Key } from "../src/key.ts";
import { decodeProvenResult, detailOf, resultsRootOf, verifyResult, type AuctionResult } from "../src/results.ts";
import { recover } from "../src/signature.ts";
import {
  type Payload, type Transaction, decodeTransaction, encodeTransaction, signingHash, signingPreimage, transactionId,
  verifyTransaction,
} from "../src/transaction.ts";

export interface Vector {
  name: string;
  context: Record<string, string>;
  value: unknown;
  borsh: string | { bytes: string; times: number }[];
  hashes: Record<string, any>;
  verdict: { accepted?: any; refused?: string };
}

export function vectorsOf(kind: string): Vector[] {
  const file = new URL(`../../../spec/vectors/${kind}.json`, import.meta.url);
  const { kind: named, vectors } = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(named, kind);
  return vectors;
}

/** A vector's bytes, which may be parts, each so many times. */
export function bytesOf({ borsh }: Vector): Uint8Array {
  if (typeof borsh === "string") return fromHex(borsh, "borsh");
  return join(borsh.flatMap(({ bytes, times }) => Array<Uint8Array>(times).fill(fromHex(bytes, "borsh"))));
}

/** The key that vectors of a name are signed with. */
function keyOf(name: string): Key {
  return new Key(keccak256(new TextEncoder().encode(name)));
}

/** Where a payload's tag stands. */
const TAG_AT = 40;

/** Whether it is a transaction that this client does not read: one that registers or updates a namespace. */
export function isOfNamespace(vector: Vector): boolean {
  return vector.verdict.refused !== "encoding" && [2, 3].includes(bytesOf(vector)[TAG_AT]!);
}

export function checkTransaction(vector: Vector): void {
  const bytes = bytesOf(vector);
  if (isOfNamespace(vector)) {
    assert.throws(() => decodeTransaction(bytes), /registers or updates a namespace/);
    return;
  }
  if (checkUndecodable(vector, bytes, decodeTransaction)) return;

  const transaction = decodeTransaction(bytes);
  assert.deepEqual(encodeTransaction(transaction), bytes);
  checkValue(vector, showTransaction(transaction), bytes);
  assert.equal(transactionId(transaction), vector.hashes.id);
  const chainId = BigInt(vector.context.chain_id!);
  assert.deepEqual(verdict(() => {
    const { sender, bytes } = verifyTransaction(transaction, chainId);
    return { sender, bytes };
  }), vector.verdict);
  // What is meant for another network signs that one's number, and the vector has this one's.
  if (transaction.chainId !== chainId) return;
  const preimage = signingPreimage(transaction);
  assert.deepEqual(vector.hashes.signing, showSigning(preimage));
  if (vector.verdict.refused?.startsWith("signature/")) return;
  assert.equal(keyOf("sender").signHash(signingHash(transaction)), transaction.signature, "RFC 6979");
}

/** Signatures of every slot are one kind; only a transaction's preimage is made here. */
export function checkSigning(vector: Vector): void {
  const bytes = bytesOf(vector);
  const read = (all: Uint8Array) => {
    if (all.length !== 65) throw new EncodingError("expected 65 bytes");
    return all;
  };
  if (checkUndecodable(vector, bytes, read)) return;
  checkValue(vector, toHex(bytes), bytes);
  const preimage = fromHex(vector.hashes.signing.preimage, "preimage");
  assert.deepEqual(vector.hashes.signing, showSigning(preimage));
  assert.equal(vector.context.body_hash, vector.hashes.signing.body_hash);
  const hash = keccak256(preimage);
  const found = verdict(() => recover(bytes, hash));
  if (found.refused !== undefined) found.refused = found.refused.replace("signature/", "");
  assert.deepEqual(found, vector.verdict);
  const signer = keyOf("signer");
  if (found.accepted === signer.address) assert.equal(signer.signHash(hash), toHex(bytes), "RFC 6979");
}

export function checkProvenResult(vector: Vector): void {
  const bytes = bytesOf(vector);
  if (checkUndecodable(vector, bytes, decodeProvenResult)) return;
  const proven = decodeProvenResult(bytes);
  const { count, path, result } = proven;
  const shown = { index: path.index.toString(), siblings: path.siblings };
  checkValue(vector, { count: count.toString(), path: shown, result: showResult(result) }, bytes);
  const root = resultsRootOf(proven);
  const detail = result.kind === "bid" ? detailOf(result) : undefined;
  const found = detail !== undefined && "number" in detail ? { number: detail.number.toString() } : detail;
  const expected = root === undefined ? { refused: "path" } : { accepted: { root, detail: found ?? null } };
  assert.deepEqual(vector.verdict, expected);
  assert.equal(root !== undefined && verifyResult(proven, root), root !== undefined);
  // The leaf is what a tree of one leads to; its preimage is in the vector.
  const layout = fromHex(vector.hashes.layout, "layout");
  assert.equal(toHex(keccak256(Uint8Array.of(0), layout)), vector.hashes.leaf);
  const alone = { result, count: 1n, path: { index: 0n, siblings: [] } };
  const tag = keccak256(new TextEncoder().encode("weft/results/v1"));
  const one = fromHex("0x0000000000000001", "count");
  assert.equal(resultsRootOf(alone), toHex(keccak256(tag, one, fromHex(vector.hashes.leaf, "leaf"))));
}

/** Whether a vector is of bytes that are no encoding, which is checked then. */
function checkUndecodable(vector: Vector, bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown): boolean {
  if (vector.hashes.keccak256 !== undefined) assert.equal(toHex(keccak256(bytes)), vector.hashes.keccak256);
  if (vector.verdict.refused !== "encoding") return false;
  assert.throws(() => decode(bytes), EncodingError);
  assert.equal(vector.value, null);
  return true;
}

/** The content of the longest encodings is left out. */
function checkValue(vector: Vector, found: unknown, bytes: Uint8Array): void {
  if (vector.value === null) assert(bytes.length > 1200);
  else assert.deepEqual(found, vector.value);
}

function verdict(check: () => unknown): { accepted?: unknown; refused?: string } {
  try {
    return { accepted: check() };
  } catch (error) {
    if (error instanceof InvalidTransaction) return { refused: error.reason };
    throw error;
  }
}

/** Body hash, preimage and signing hash of a preimage, which ends with the body hash. */
function showSigning(preimage: Uint8Array) {
  return {
    body_hash: toHex(preimage.slice(-32)),
    preimage: toHex(preimage),
    signing_hash: toHex(keccak256(preimage)),
  };
}

function showTransaction({ chainId, validUntil, salt, maxFee, payload, signature }: Transaction) {
  return {
    chain_id: chainId.toString(),
    valid_until: validUntil.toString(),
    salt: salt.toString(),
    max_fee: maxFee.toString(),
    payload: showPayload(payload),
    signature,
  };
}

function showPayload(payload: Payload) {
  const data = ({ namespace, data }: { namespace: bigint; data: Hex[] }) => ({ namespace: namespace.toString(), data });
  switch (payload.kind) {
    case "submit":
      return { submit: data(payload) };
    case "transfer":
      return { transfer: { to: payload.to, amount: payload.amount.toString() } };
    case "withdraw":
      return { withdraw: { to: payload.to, amount: payload.amount.toString() } };
    case "bid": {
      const { sequence, height, amount, mode, legs } = payload;
      const numbers = { sequence: sequence.toString(), height: height.toString(), amount: amount.toString() };
      return { bid: { ...numbers, mode, legs: legs.map(data) } };
    }
    case "verdict": {
      const { bundle, namespace, effects } = payload;
      return { verdict: { bundle, namespace: namespace.toString(), effects: effects ?? null } };
    }
    case "bundle":
      return { bundle: { legs: payload.legs.map(data) } };
    case "lockCollateral":
      return { lock_collateral: { amount: payload.amount.toString() } };
    case "releaseCollateral":
      return { release_collateral: { amount: payload.amount.toString() } };
  }
}

/** JSON has numbers as decimal strings. */
function showResult(result: AuctionResult) {
  return JSON.parse(JSON.stringify(result, (_, field) => (typeof field === "bigint" ? field.toString() : field)));
}
