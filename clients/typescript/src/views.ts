/** What nodes tell, as values. */

import type { Hex } from "./bytes.ts";
import type { Json } from "./json.ts";
import { BID_RESULTS, DECISIONS, type DecidedBundle, type OpenedBid, type SoldLot } from "./results.ts";

/** Where a node stands. */
export interface Status {
  version: string;
  /** The network's number. */
  chainId: bigint;
  /** The genesis block: the network's name. */
  genesis: Hex;
  /** The last height decided. */
  height: bigint;
  /** That block. */
  block: Hex;
  /** Its time in milliseconds. */
  timeMs: bigint;
  /** Wei per byte that every transaction pays. */
  pricePerByte: bigint;
  role: "validator" | "full";
  /** Whether the node does its work. */
  ready: boolean;
  /** Why not. */
  reason?: string | undefined;
}

export function status(json: Json): Status {
  return {
    version: json.get("version").text(),
    chainId: json.get("chain_id").number(),
    genesis: json.get("genesis").hex(32),
    height: json.get("height").number(),
    block: json.get("block").hex(32),
    timeMs: json.get("time_ms").number(),
    pricePerByte: json.get("price_per_byte").number(),
    role: json.get("role").oneOf(["validator", "full"]),
    ready: json.get("ready").flag(),
    reason: json.optional("reason", (reason) => reason.text()),
  };
}

/** An account. One that never held anything has a balance of 0. */
export interface Account {
  address: Hex;
  /** In wei. */
  balance: bigint;
  /** What it has put up to back its bids, in wei. */
  collateral: bigint;
  /** Collateral that is on its way back, soonest first, at most 32: from which block time on it is there, in milliseconds. */
  releases: { atMs: bigint; amount: bigint }[];
  /** How many such releases there are in all. */
  releaseCount: number;
  /** What they come to in all, in wei. */
  releasing: bigint;
}

export function account(json: Json): Account {
  return {
    address: json.get("address").hex(20),
    balance: json.get("balance").number(),
    collateral: json.get("collateral").number(),
    releases: json.get("releases").list((release) => ({
      atMs: release.get("at_ms").number(),
      amount: release.get("amount").number(),
    })),
    releaseCount: json.get("release_count").small(),
    releasing: json.get("releasing").number(),
  };
}

/** What is for sale at the next height. */
export interface Lots {
  height: bigint;
  /** Ascending by namespace. A bid has to offer its lots' reserves together at least, in wei. */
  lots: { namespace: bigint; reserve: bigint }[];
  /** What a bid costs on top of its bytes, in wei. */
  bidFee: bigint;
}

export function lots(json: Json): Lots {
  return {
    height: json.get("height").number(),
    lots: json.get("lots").list((lot) => ({
      namespace: lot.get("namespace").number(),
      reserve: lot.get("reserve").number(),
    })),
    bidFee: json.get("bid_fee").number(),
  };
}

/** What an auction came to. */
export interface Auction {
  height: bigint;
  /** The lots that were sold, ascending by namespace. */
  lots: SoldLot[];
  /** The bids that were opened, in block order, each with its result in words. */
  bids: (OpenedBid & { reason: string })[];
  /** The atomic bundles that were decided, ascending by id: of bids that won at earlier heights. */
  bundles: DecidedBundle[];
}

export function auction(json: Json): Auction {
  return {
    height: json.get("height").number(),
    lots: json.get("lots").list((lot) => ({
      namespace: lot.get("namespace").number(),
      reserve: lot.get("reserve").number(),
      bid: lot.get("bid").hex(32),
      bidder: lot.get("bidder").hex(20),
      payment: lot.get("payment").number(),
      revenue: lot.get("revenue").number(),
    })),
    bids: json.get("bids").list((bid) => ({
      bid: bid.get("bid").hex(32),
      bidder: bid.get("bidder").hex(20),
      height: bid.get("height").number(),
      sequence: bid.get("sequence").number(),
      amount: bid.get("amount").number(),
      result: bid.get("result").oneOf(BID_RESULTS),
      detail: bid.get("detail").hex(32),
      reason: bid.get("reason").text(),
    })),
    bundles: json.get("bundles").list(decidedBundle),
  };
}

function decidedBundle(json: Json): DecidedBundle {
  return {
    bundle: json.get("bundle").hex(32),
    bidder: json.get("bidder").hex(20),
    height: json.get("height").number(),
    decision: json.get("decision").oneOf(DECISIONS),
    paid: json.get("paid").number(),
    legs: json.get("legs").list((leg) => ({
      namespace: leg.get("namespace").number(),
      revenue: leg.get("revenue").number(),
    })),
  };
}

/** An auction as the stream brings it. */
export interface AuctionEvent extends Auction {
  /** What is for sale at the next height, if that was still to come. */
  next?: Lots | undefined;
}

export function auctionEvent(json: Json): AuctionEvent {
  return { ...auction(json), next: json.optional("next", lots) };
}

/** What became of an ordered transaction. */
export interface Receipt {
  status: "executed" | "skipped";
  /** Why it was skipped. */
  reason?: string | undefined;
  /** What its sender paid, in wei. */
  fee: bigint;
}

/** Where a transaction stands. */
export interface TransactionStatus {
  id: Hex;
  /** It waits at the node; a quorum of observations names its batch, which is no promise; it is ordered. */
  status: "received" | "expected" | "final";
  /** The height that ordered it. */
  height?: bigint | undefined;
  /** Its place among the transactions of the block. */
  position?: number | undefined;
  /** None for one that was ordered out of its window, or again. */
  receipt?: Receipt | undefined;
  /** The number of the withdrawal that it made. */
  withdrawal?: bigint | undefined;
}

export function transactionStatus(json: Json): TransactionStatus {
  return {
    id: json.get("id").hex(32),
    status: json.get("status").oneOf(["received", "expected", "final"]),
    height: json.optional("height", (height) => height.number()),
    position: json.optional("position", (position) => position.small()),
    receipt: json.optional("receipt", (receipt) => ({
      status: receipt.get("status").oneOf(["executed", "skipped"]),
      reason: receipt.optional("reason", (reason) => reason.text()),
      fee: receipt.get("fee").number(),
    })),
    withdrawal: json.optional("withdrawal", (index) => index.number()),
  };
}
