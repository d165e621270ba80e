/** Transactions and namespace settings (protocol section 4). */

import { type Bytes, compare, toHex } from "./bytes.ts";
import { type Of, address, encode, hash, list, nothing, option, struct, u128, u64, u8, variants } from "./borsh.ts";
import { blake3 } from "./hash.ts";
import type { JsonObject } from "./json.ts";
import type { Kind } from "./kind.ts";
import { type Data, leg } from "./legs.ts";
import { ascending, refuseIf, within } from "./refusal.ts";
import { type Slot, showSigning, signed, signer } from "./signature.ts";

const MOST_BYTES = 128 * 1024;
const MOST_ITEMS = 4096;
const MOST_SUBMITTERS = 64;
const MOST_LEGS = 8;
const MOST_EXECUTORS = 16;
const MOST_PARTNERS = 64;
/** Of a bundle, and of a bid that is atomic. */
const LEAST_LEGS = 2;
/** The most that a bid offers, and that an auction's floor and a fee for holding are, in wei. */
const MOST_AMOUNT = 1n << 100n;

const SLOT: Slot = { is: "transaction", of: null };

const atomic = struct({
  executors: list(address),
  quorum: u8,
  bond: u128,
  hold_fee: u128,
  partners: variants({ anyone: [0, nothing], only: [1, list(u64)] }),
});

export const settings = struct({
  owner: address,
  revenue_recipient: address,
  submitters: variants({ anyone: [0, nothing], only: [1, list(address)] }),
  quota: option(struct({ bytes_per_second: u64, burst_bytes: u64 })),
  auction: option(struct({ every: u64, floor: u128 })),
  atomic: option(atomic),
});
export type Settings = Of<typeof settings>;

/** What ties the legs of a bid that wins. */
export const mode = variants({ inclusion: [0, nothing], atomic: [1, nothing] });

const bid = struct({
  sequence: u64,
  height: u64,
  amount: u128,
  mode,
  legs: list(leg),
});

const payload = variants({
  submit: [0, leg],
  transfer: [1, struct({ to: address, amount: u128 })],
  register_namespace: [2, struct({ namespace: u64, settings })],
  update_namespace: [3, struct({ namespace: u64, settings })],
  withdraw: [4, struct({ to: address, amount: u128 })],
  bid: [5, bid],
  lock_collateral: [6, struct({ amount: u128 })],
  release_collateral: [7, struct({ amount: u128 })],
  bundle: [8, struct({ legs: list(leg) })],
  verdict: [9, struct({ bundle: hash, namespace: u64, effects: option(hash) })],
});

const body = struct({ chain_id: u64, valid_until: u64, salt: u64, max_fee: u128, payload });

export const transaction = signed(body);
export type Transaction = Of<typeof transaction>;

/** Refuses executors of whom two quorums could say different things, or none. */
function checkAtomic({ executors, quorum, hold_fee, partners }: Of<typeof atomic>): void {
  refuseIf(executors.length === 0 || executors.length > MOST_EXECUTORS, "executors");
  refuseIf(!ascending(executors, compare), "unsorted_executors");
  refuseIf(2 * quorum <= executors.length || quorum > executors.length, "quorum");
  refuseIf(hold_fee > MOST_AMOUNT, "hold_fee");
  if (partners.is === "only") {
    refuseIf(partners.of.length > MOST_PARTNERS, "too_many_partners");
    refuseIf(!ascending(partners.of, (a, b) => (a < b ? -1 : 1)), "unsorted_partners");
  }
}

export function checkSettings({ submitters, quota, auction, atomic }: Settings): void {
  if (submitters.is === "only") {
    refuseIf(submitters.of.length > MOST_SUBMITTERS, "too_many_submitters");
    refuseIf(!ascending(submitters.of, compare), "unsorted_submitters");
  }
  refuseIf(quota !== null && (quota.bytes_per_second === 0n || quota.burst_bytes === 0n), "empty_quota");
  if (auction !== null) {
    refuseIf(auction.every === 0n, "auction_never");
    refuseIf(auction.floor > MOST_AMOUNT, "auction_floor");
  }
  if (atomic !== null) {
    refuseIf(auction === null, "atomic_without_auction");
    checkAtomic(atomic);
  }
}

/** Refuses what cannot go to a rollup. */
function checkData(items: Data): void {
  refuseIf(items.length === 0, "no_items");
  refuseIf(items.length > MOST_ITEMS, "too_many_items");
  refuseIf(items.some((item) => item.length === 0), "empty_item");
}

/** Refuses what cannot go to several rollups. */
function checkLegs(legs: Of<typeof leg>[]): void {
  refuseIf(legs.length > MOST_LEGS, "too_many_legs");
  refuseIf(!ascending(legs, (a, b) => (a.namespace < b.namespace ? -1 : 1)), "unsorted_legs");
  legs.forEach(({ data }) => checkData(data));
}

/** Refuses what neither offers something for lots nor withdraws, and what is atomic without several lots. */
function checkBid({ amount, mode, legs }: Of<typeof bid>): void {
  checkLegs(legs);
  refuseIf(amount > MOST_AMOUNT, "too_much");
  refuseIf((legs.length === 0) !== (amount === 0n), "half_bid");
  refuseIf(mode.is === "atomic" && legs.length < LEAST_LEGS, "atomic_legs");
}

function checkPayload(payload: Transaction["body"]["payload"]): void {
  switch (payload.is) {
    case "submit":
      checkData(payload.of.data);
      return;
    case "transfer":
    case "verdict":
      return;
    case "withdraw":
      refuseIf(payload.of.amount === 0n, "nothing_to_withdraw");
      return;
    case "bid":
      checkBid(payload.of);
      return;
    case "bundle":
      refuseIf(payload.of.legs.length < LEAST_LEGS, "too_few_legs");
      checkLegs(payload.of.legs);
      return;
    case "lock_collateral":
    case "release_collateral":
      refuseIf(payload.of.amount === 0n, "no_collateral");
      return;
    case "register_namespace":
    case "update_namespace":
      within("settings", () => checkSettings(payload.of.settings));
  }
}

export function transactionId(value: Transaction): Bytes {
  return blake3(encode(transaction, value));
}

/** Refuses a malformed transaction; finds out who sent a well-formed one. */
export function checkTransaction(value: Transaction, chainId: bigint): JsonObject {
  refuseIf(value.body.chain_id !== chainId, "chain_id");
  checkPayload(value.body.payload);
  const size = encode(transaction, value).length;
  refuseIf(size > MOST_BYTES, "too_large");
  const bodyHash = blake3(encode(body, value.body));
  const sender = within("signature", () => signer(SLOT, chainId, bodyHash, value.signature));
  return { sender: toHex(sender), bytes: size };
}

export const transactionKind: Kind<Transaction> = {
  codec: transaction,
  hashes: (value, context) => ({
    signing: showSigning(SLOT, context.number("chain_id"), blake3(encode(body, value.body))),
    id: toHex(transactionId(value)),
  }),
  judge: (value, context) => checkTransaction(value, context.number("chain_id")),
};
