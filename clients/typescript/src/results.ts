/** What an auction came to, how atomic bundles were decided, and proofs of that (protocol sections 8 and 9). */

import { bigEndian, concat, equal, fromBigEndian, fromHex, toHex, type Hex } from "./bytes.ts";
import { Reader } from "./borsh.ts";
import { EncodingError } from "./errors.ts";
import { keccak256, tag } from "./hash.ts";

/** A lot that was sold. */
export interface SoldLot {
  /** Whose slice's head it is. */
  namespace: bigint;
  /** Its reserve, in wei. */
  reserve: bigint;
  /** The transaction of the bid that took it. */
  bid: Hex;
  /** Whose bid that is. */
  bidder: Hex;
  /** What the bid pays for all its lots, in wei. An atomic one pays when it is decided. */
  payment: bigint;
  /** What of that goes to the namespace now, in wei: nothing of an atomic one. */
  revenue: bigint;
}

/** What can become of a bid, in the order of the codes in leaves. */
export const BID_RESULTS = [
  "won",
  "lost",
  "below_reserve",
  "insolvent",
  "wrong_height",
  "no_lot",
  "replaced",
  "withdrawn",
  "not_atomic",
] as const;

export type BidResult = (typeof BID_RESULTS)[number];

/** A bid that was opened, and what became of it. */
export interface OpenedBid {
  /** The transaction that brought it. */
  bid: Hex;
  /** Who pays. */
  bidder: Hex;
  /** The height it is for. */
  height: bigint;
  sequence: bigint;
  /** What it offers, in wei. */
  amount: bigint;
  result: BidResult;
  /** What the result says more, 32 bytes: see `detailOf`. */
  detail: Hex;
}

/** What can become of an atomic bundle, in the order of the codes in leaves. */
export const DECISIONS = ["committed", "failed", "timed_out"] as const;

/**
 * All legs are executed; or none is, because a rollup's executors found that its leg fails, or because there were no
 * verdicts on each leg in time.
 */
export type Decision = (typeof DECISIONS)[number];

/** An atomic bundle that was decided. */
export interface DecidedBundle {
  /** The transaction of the bid that brought it. */
  bundle: Hex;
  /** Who pays. */
  bidder: Hex;
  /** The height that its legs stand at. */
  height: bigint;
  decision: Decision;
  /** What it pays, in wei. */
  paid: bigint;
  /** What of that goes to each leg's namespace, in wei; ascending by namespace. */
  legs: { namespace: bigint; revenue: bigint }[];
}

/** One thing that results say. */
export type AuctionResult =
  | ({ kind: "lot" } & SoldLot)
  | ({ kind: "bid" } & OpenedBid)
  | ({ kind: "bundle" } & DecidedBundle);

/** A result and the path from its leaf to the results root. */
export interface ProvenResult {
  result: AuctionResult;
  /** How many leaves there are. */
  count: bigint;
  path: { index: bigint; siblings: Hex[] };
}

/** Longest path: enough for 2^40 leaves. */
const MAX_PATH = 40;

const NOTHING = `0x${"00".repeat(32)}`;

/**
 * What the detail of a bid's result says: another bid (the highest winner that has one of its lots, or the bid that
 * replaced it), or a number (the reserves together, the collateral, or a namespace that offers no lot or takes part in no
 * atomic bundle).
 */
export function detailOf({ result, detail }: OpenedBid): { bid: Hex } | { number: bigint } | undefined {
  switch (result) {
    case "below_reserve":
    case "insolvent":
    case "no_lot":
    case "not_atomic":
      return { number: fromBigEndian(fromHex(detail, "detail", 32)) };
    case "lost":
      return detail === NOTHING ? undefined : { bid: detail };
    case "replaced":
      return { bid: detail };
    case "won":
    case "wrong_height":
    case "withdrawn":
      return undefined;
  }
}

/** Whether a result is what the header above its height commits to, by its `results_root`. */
export function verifyResult(proven: ProvenResult, resultsRoot: Hex): boolean {
  const root = resultsRootOf(proven);
  return root !== undefined && equal(fromHex(root, "root"), fromHex(resultsRoot, "resultsRoot", 32));
}

/** The results root that a proof leads to; nothing if its path does not fit such a tree. */
export function resultsRootOf({ result, count, path }: ProvenResult): Hex | undefined {
  const top = follow(keccak256(Uint8Array.of(0), layout(result)), count, path);
  if (top === undefined) return undefined;
  return toHex(keccak256(tag("weft/results/v1"), bigEndian(count, 8), top));
}

/** Where a path leads from a leaf in a tree of `count` leaves (protocol section 3). */
function follow(leaf: Uint8Array, count: bigint, path: ProvenResult["path"]): Uint8Array | undefined {
  if (path.index < 0n || path.index >= count || path.siblings.length > MAX_PATH) return undefined;
  const siblings = path.siblings.map((sibling) => fromHex(sibling, "path.siblings", 32));
  const node = (left: Uint8Array, right: Uint8Array) => keccak256(Uint8Array.of(1), left, right);
  let at = leaf;
  for (let index = path.index, width = count; width > 1n; index /= 2n, width = (width + 1n) / 2n) {
    const isRight = index % 2n === 1n;
    // The last of an odd number goes up as it is.
    if (!isRight && index + 1n === width) continue;
    const sibling = siblings.shift();
    if (sibling === undefined) return undefined;
    at = isRight ? node(sibling, at) : node(at, sibling);
  }
  return siblings.length === 0 ? at : undefined;
}

/** Content of a result's leaf. */
function layout(result: AuctionResult): Uint8Array {
  const bidder = fromHex(result.bidder, "bidder", 20);
  if (result.kind === "bundle") {
    const { height, decision, paid, legs } = result;
    const bundle = fromHex(result.bundle, "bundle", 32);
    const code = Uint8Array.of(DECISIONS.indexOf(decision));
    const revenues = legs.flatMap(({ namespace, revenue }) => [bigEndian(namespace, 8), bigEndian(revenue, 16)]);
    return concat(Uint8Array.of(2), bundle, bidder, bigEndian(height, 8), code, bigEndian(paid, 16), ...revenues);
  }
  const bid = fromHex(result.bid, "bid", 32);
  if (result.kind === "lot") {
    const { namespace, reserve, payment, revenue } = result;
    const head = [Uint8Array.of(0), bigEndian(namespace, 8), bigEndian(reserve, 16)];
    return concat(...head, bid, bidder, bigEndian(payment, 16), bigEndian(revenue, 16));
  }
  const { height, sequence, amount } = result;
  const numbers = [bigEndian(height, 8), bigEndian(sequence, 8), bigEndian(amount, 16)];
  const code = Uint8Array.of(BID_RESULTS.indexOf(result.result));
  return concat(Uint8Array.of(1), bid, bidder, ...numbers, code, fromHex(result.detail, "detail", 32));
}

/**
 * Reads the borsh of a list of proven results.
 * @throws EncodingError
 */
export function decodeProvenResults(bytes: Uint8Array): ProvenResult[] {
  return whole(bytes, (input) => input.list(() => readProven(input)));
}

/**
 * Reads the borsh of a proven result.
 * @throws EncodingError
 */
export function decodeProvenResult(bytes: Uint8Array): ProvenResult {
  return whole(bytes, readProven);
}

function whole<T>(bytes: Uint8Array, read: (input: Reader) => T): T {
  const input = new Reader(bytes);
  const value = read(input);
  input.end();
  return value;
}

function readProven(input: Reader): ProvenResult {
  return {
    result: readResult(input),
    count: input.u64(),
    path: { index: input.u64(), siblings: input.list(() => toHex(input.take(32))) },
  };
}

function readResult(input: Reader): AuctionResult {
  const kind = input.u8();
  if (kind > 2) throw new EncodingError(`there is no result of kind ${kind}`);
  if (kind === 0) {
    return {
      kind: "lot",
      namespace: input.u64(),
      reserve: input.u128(),
      bid: toHex(input.take(32)),
      bidder: toHex(input.take(20)),
      payment: input.u128(),
      revenue: input.u128(),
    };
  }
  if (kind === 2) {
    return {
      kind: "bundle",
      bundle: toHex(input.take(32)),
      bidder: toHex(input.take(20)),
      height: input.u64(),
      decision: readDecision(input),
      paid: input.u128(),
      legs: input.list(() => ({ namespace: input.u64(), revenue: input.u128() })),
    };
  }
  return {
    kind: "bid",
    bid: toHex(input.take(32)),
    bidder: toHex(input.take(20)),
    height: input.u64(),
    sequence: input.u64(),
    amount: input.u128(),
    result: readCode(input),
    detail: toHex(input.take(32)),
  };
}

function readDecision(input: Reader): Decision {
  const code = input.u8();
  const decision = DECISIONS[code];
  if (decision === undefined) throw new EncodingError(`a bundle has no decision ${code}`);
  return decision;
}

function readCode(input: Reader): BidResult {
  const code = input.u8();
  const result = BID_RESULTS[code];
  if (result === undefined) throw new EncodingError(`a bid has no result ${code}`);
  return result;
}
