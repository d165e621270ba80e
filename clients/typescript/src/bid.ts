/** Bids (protocol sections 8 and 9). */

import type { Key } from "./key.ts";
import type { BidMode, Leg, Transaction } from "./transaction.ts";

/** What a bid pays for its inclusion at most if it does not say, in wei: a hundredth of an ether. */
export const DEFAULT_MAX_FEE = 10n ** 16n;

/** What a bid and its withdrawal have in common. */
export interface BidPlace {
  /** Who bids, and pays from its collateral. */
  key: Key;
  /** The Weft network's number. */
  chainId: bigint;
  /** The height whose lots it is for. It counts there only. */
  height: bigint;
  /** Of a bidder's bids for one height the one with the highest sequence counts. */
  sequence: bigint;
  /** Last block time, in milliseconds, at which it may be ordered. */
  validUntil: bigint;
  /** Most it pays for its inclusion, in wei: its bytes and the network's fee for bids. */
  maxFee?: bigint;
  /** By default the sequence, as in bundles: so a bid and a bundle that say the same are one transaction. */
  salt?: bigint;
}

export interface Bid extends BidPlace {
  /** What it pays if it wins, in wei. */
  amount: bigint;
  /** What it brings, in any order: one leg for each lot, 1 to 8. All are won or none. */
  legs: Leg[];
  /** By default inclusion. With `atomic` there are two legs or more, and all of them are executed or none. */
  mode?: BidMode;
}

/**
 * A signed bid for lots of one height.
 * @throws InvalidTransaction, RangeError, TypeError
 */
export function bid({ key, chainId, height, sequence, validUntil, amount, legs, ...rest }: Bid): Transaction {
  const { maxFee = DEFAULT_MAX_FEE, salt = sequence, mode = "inclusion" } = rest;
  const sorted = [...legs].sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
  const payload = { kind: "bid" as const, sequence, height, amount, mode, legs: sorted };
  return key.sign({ chainId, validUntil, salt, maxFee, payload });
}

/**
 * A signed withdrawal of the bidder's bid for a height. Its sequence has to be above the bid's.
 * @throws RangeError, TypeError
 */
export function withdrawBid(place: BidPlace): Transaction {
  return bid({ ...place, amount: 0n, legs: [] });
}
