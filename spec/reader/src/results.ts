/** What a block's auction came to, which atomic bundles it decided, and proofs of that (protocol sections 8 and 9). */

import { type Bytes, ZERO_HASH, bigEndian, concat, equal, fromBigEndian, toHex } from "./bytes.ts";
import { type Of, address, hash, list, nothing, records, struct, u128, u64, variants } from "./borsh.ts";
import { keccak256 } from "./hash.ts";
import type { Json } from "./json.ts";
import type { Kind } from "./kind.ts";
import { commit, follow, leaf, path, root } from "./merkle.ts";

const outcomes = {
  won: 0,
  lost: 1,
  below_reserve: 2,
  insolvent: 3,
  wrong_height: 4,
  no_lot: 5,
  replaced: 6,
  withdrawn: 7,
  not_atomic: 8,
};

const decisions = { committed: 0, failed: 1, timed_out: 2 };

/** What became of an atomic bundle. */
export const decision = variants({
  committed: [decisions.committed, nothing],
  failed: [decisions.failed, nothing],
  timed_out: [decisions.timed_out, nothing],
});

const soldLot = struct({
  namespace: u64,
  reserve: u128,
  bid: hash,
  bidder: address,
  payment: u128,
  revenue: u128,
});

const openedBid = struct({
  bid: hash,
  bidder: address,
  height: u64,
  sequence: u64,
  amount: u128,
  result: variants({
    won: [outcomes.won, nothing],
    lost: [outcomes.lost, nothing],
    below_reserve: [outcomes.below_reserve, nothing],
    insolvent: [outcomes.insolvent, nothing],
    wrong_height: [outcomes.wrong_height, nothing],
    no_lot: [outcomes.no_lot, nothing],
    replaced: [outcomes.replaced, nothing],
    withdrawn: [outcomes.withdrawn, nothing],
    not_atomic: [outcomes.not_atomic, nothing],
  }),
  detail: hash,
});

const decidedBundle = struct({
  bundle: hash,
  bidder: address,
  height: u64,
  decision,
  paid: u128,
  legs: list(struct({ namespace: u64, revenue: u128 })),
});

/** One thing that the results say. */
const result = records({ lot: [0, soldLot], bid: [1, openedBid], bundle: [2, decidedBundle] });
type Result = Of<typeof result>;

/** Content of a leaf. */
function layout(of: Result): Bytes {
  if (of.is === "lot") {
    const { namespace, reserve, bid, bidder, payment, revenue } = of.of;
    return concat(
      Uint8Array.of(0), bigEndian(namespace, 8), bigEndian(reserve, 16), bid, bidder,
      bigEndian(payment, 16), bigEndian(revenue, 16),
    );
  }
  if (of.is === "bundle") {
    const { bundle, bidder, height, decision, paid, legs } = of.of;
    return concat(
      Uint8Array.of(2), bundle, bidder, bigEndian(height, 8), Uint8Array.of(decisions[decision.is]),
      bigEndian(paid, 16),
      ...legs.flatMap(({ namespace, revenue }) => [bigEndian(namespace, 8), bigEndian(revenue, 16)]),
    );
  }
  const { bid, bidder, height, sequence, amount, result, detail } = of.of;
  return concat(
    Uint8Array.of(1), bid, bidder, bigEndian(height, 8), bigEndian(sequence, 8),
    bigEndian(amount, 16), Uint8Array.of(outcomes[result.is]), detail,
  );
}

function leafHash(of: Result): Bytes {
  return leaf(keccak256, layout(of));
}

/** The commitment to a tree of so many results. */
function commitResults(root: Bytes, count: bigint | number): Bytes {
  return commit("weft/results/v1", root, count);
}

export const NO_RESULTS = commitResults(ZERO_HASH, 0);

/** What the detail of a bid's result says: another bid, a number, or nothing. */
function detailOf(of: Result): Json {
  if (of.is !== "bid") return null;
  const { result, detail } = of.of;
  switch (result.is) {
    case "below_reserve":
    case "insolvent":
    case "no_lot":
    case "not_atomic":
      return { number: fromBigEndian(detail).toString() };
    case "lost":
      return equal(detail, ZERO_HASH) ? null : { bid: toHex(detail) };
    case "replaced":
      return { bid: toHex(detail) };
    case "won":
    case "wrong_height":
    case "withdrawn":
      return null;
  }
}

/** A lot, a bid or a bundle and its path in a tree of `count`. */
export const provenResult = struct({ result, count: u64, path });
export type ProvenResult = Of<typeof provenResult>;

/** The results root that a path leads to. */
export function resultsRootOf({ result, count, path }: ProvenResult): Bytes {
  return commitResults(follow(keccak256, path, leafHash(result), count), count);
}

export const provenResultKind: Kind<ProvenResult> = {
  codec: provenResult,
  hashes: ({ result }) => ({ layout: toHex(layout(result)), leaf: toHex(leafHash(result)) }),
  judge: (proven) => ({ root: toHex(resultsRootOf(proven)), detail: detailOf(proven.result) }),
};

/** The lots of a block that were sold, then its bids, then the bundles that it decided. */
const results = struct({ lots: list(soldLot), bids: list(openedBid), bundles: list(decidedBundle) });
type Results = Of<typeof results>;

function leavesOf({ lots, bids, bundles }: Results): Bytes[] {
  const all: Result[] = [
    ...lots.map((of) => ({ is: "lot" as const, of })),
    ...bids.map((of) => ({ is: "bid" as const, of })),
    ...bundles.map((of) => ({ is: "bundle" as const, of })),
  ];
  return all.map(leafHash);
}

export const resultsKind: Kind<Results> = {
  codec: results,
  hashes: (of) => ({ leaves: leavesOf(of).map(toHex) }),
  judge(of) {
    const leaves = leavesOf(of);
    return toHex(commitResults(root(keccak256, leaves), leaves.length));
  },
};
