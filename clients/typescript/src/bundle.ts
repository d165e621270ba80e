/**
 * Bundles as searchers know them, which are bids: what a node makes of their parameters is the transaction whose
 * signature is in them.
 */

import { bid } from "./bid.ts";
import { fromHex, toHex, type Hex } from "./bytes.ts";
import { EncodingError, InvalidTransaction } from "./errors.ts";
import { chainIdOf } from "./ethereum.ts";
import { keccak256 } from "./hash.ts";
import type { Key } from "./key.ts";
import { MAX_ITEMS, type BidMode, type Leg, type Transaction } from "./transaction.ts";

/** The field that neither shape has elsewhere. Numbers are decimal. */
export interface WeftField {
  bidder: Hex;
  sequence: string;
  amount: string;
  signature: Hex;
  mode?: BidMode;
  maxFee?: string;
  validUntil?: string;
}

/** The parameter of `eth_sendBundle`. */
export interface EthBundle {
  txs: Hex[];
  blockNumber: Hex;
  maxTimestamp: number;
  revertingTxHashes: Hex[];
  weft: WeftField;
}

/** The parameter of `mev_sendBundle`. */
export interface MevBundle {
  version: "v0.1";
  inclusion: { block: Hex; maxBlock: Hex };
  body: { tx: Hex; canRevert?: true }[];
  weft: WeftField;
}

/** A call of JSON-RPC that brings a bid. */
export type Bundle =
  | { method: "eth_sendBundle"; params: EthBundle; transaction: Transaction }
  | { method: "mev_sendBundle"; params: MevBundle; transaction: Transaction };

/** What both shapes need to know. */
export interface BundleOffer {
  /** Who bids, and pays from its collateral. */
  key: Key;
  /** The Weft network's number; those of the rollups are in the transactions. */
  chainId: bigint;
  /** The height of Weft whose lots it is for. */
  height: bigint;
  /** Of a bidder's bids for one height the one with the highest sequence counts. It is the salt, too. */
  sequence: bigint;
  /** What it pays if it wins, in wei. */
  amount: bigint;
  /** Raw signed transactions of one or more rollups, in order. None, and an amount of 0, withdraw an earlier bid. */
  txs: Hex[];
  /**
   * By default inclusion: transactions may revert. With `atomic` all transactions of all rollups are executed and none
   * fails, or none of them is executed; there are two rollups or more.
   */
  mode?: BidMode;
  /** Most it pays for its inclusion, in wei. */
  maxFee?: bigint;
}

/**
 * A bundle in the shape of `eth_sendBundle`.
 * @param offer with the last block time, in seconds, at which it may be ordered
 * @throws EncodingError, InvalidTransaction, RangeError, TypeError
 */
export function ethBundle({ maxTimestamp, ...offer }: BundleOffer & { maxTimestamp: bigint }): Bundle {
  if (maxTimestamp > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`maxTimestamp: ${maxTimestamp} is no number that JSON holds exactly`);
  }
  const { transaction, weft, txs } = asBid(offer, maxTimestamp * 1000n);
  const params = {
    txs,
    blockNumber: quantity(offer.height),
    maxTimestamp: Number(maxTimestamp),
    // Nothing is undone because something reverts, unless the bundle is atomic.
    revertingTxHashes: offer.mode === "atomic" ? [] : txs.map((tx) => toHex(keccak256(fromHex(tx, "txs")))),
    weft,
  };
  return { method: "eth_sendBundle", params, transaction };
}

/**
 * A bundle in the shape of `mev_sendBundle`.
 * @param offer with the last block time, in milliseconds, at which it may be ordered
 * @throws EncodingError, InvalidTransaction, RangeError, TypeError
 */
export function mevBundle({ validUntil, ...offer }: BundleOffer & { validUntil: bigint }): Bundle {
  const { transaction, weft, txs } = asBid(offer, validUntil);
  const block = quantity(offer.height);
  const params = {
    version: "v0.1" as const,
    inclusion: { block, maxBlock: block },
    body: txs.map((tx) => (offer.mode === "atomic" ? { tx } : { tx, canRevert: true as const })),
    weft: { ...weft, validUntil: validUntil.toString() },
  };
  return { method: "mev_sendBundle", params, transaction };
}

/** The bid that a bundle is, and what of it the parameters do not say elsewhere. */
function asBid({ txs, ...offer }: BundleOffer, validUntil: bigint) {
  const raw = txs.map((tx, i) => toHex(fromHex(tx, `txs[${i}]`)));
  const transaction = bid({ ...offer, validUntil, legs: legsOf(raw) });
  const weft: WeftField = {
    bidder: offer.key.address,
    sequence: offer.sequence.toString(),
    amount: offer.amount.toString(),
    signature: transaction.signature,
    ...(offer.mode === undefined ? {} : { mode: offer.mode }),
    ...(offer.maxFee === undefined ? {} : { maxFee: offer.maxFee.toString() }),
  };
  return { transaction, weft, txs: raw };
}

/**
 * The legs of raw transactions: each chain's in their order, ascending by chain id.
 * @throws EncodingError that says which one is no signed transaction with a chain id; InvalidTransaction
 */
export function legsOf(txs: Hex[]): Leg[] {
  if (txs.length > MAX_ITEMS) {
    throw new InvalidTransaction("too_many_items", `txs: at most ${MAX_ITEMS} transactions, not ${txs.length}`);
  }
  const legs = new Map<bigint, Hex[]>();
  txs.forEach((tx, i) => {
    const chainId = within(`txs[${i}]`, () => chainIdOf(tx));
    const data = legs.get(chainId);
    if (data === undefined) legs.set(chainId, [tx]);
    else data.push(tx);
  });
  const sorted = [...legs].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([namespace, data]) => ({ namespace, data }));
}

function within<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof EncodingError) throw new EncodingError(`${what}: ${error.message}`);
    throw error;
  }
}

/** A number as JSON-RPC writes it. */
function quantity(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}
