/** Transactions: their encoding, ids, and the rules of their form (protocol sections 3 and 4). */

import { bigEndian, concat, fromHex, toHex, type Hex } from "./bytes.ts";
import { Reader, Writer } from "./borsh.ts";
import { EncodingError, InvalidTransaction, type InvalidReason } from "./errors.ts";
import { blake3, keccak256, tag } from "./hash.ts";
import { SIGNATURE_BYTES, recover } from "./signature.ts";

/** Largest transaction, in bytes of borsh. */
export const MAX_TRANSACTION_BYTES = 128 * 1024;
/** Most data items of a submission or a leg. */
export const MAX_ITEMS = 4096;
/** Most legs of a bid. */
export const MAX_LEGS = 8;
/** Most that a bid can offer, in wei. */
export const MAX_BID_AMOUNT = 1n << 100n;

/** What a bid brings to the head of one namespace's slice. */
export interface Leg {
  /** The rollup. */
  namespace: bigint;
  /** Items that mean something to the rollup, none empty: for an EVM rollup raw transactions. */
  data: Hex[];
}

/** What ties the legs of a bid that wins, in the order of the codes. */
export const BID_MODES = ["inclusion", "atomic"] as const;

/**
 * With `inclusion` all legs are ordered at one height, or none; each rollup makes of its own what it makes of it. With
 * `atomic` all of them are executed, or none.
 */
export type BidMode = (typeof BID_MODES)[number];

/** What a transaction does. */
export type Payload =
  /** Orders data for a rollup. */
  | { kind: "submit"; namespace: bigint; data: Hex[] }
  /** Moves wei between accounts of the ledger. */
  | { kind: "transfer"; to: Hex; amount: bigint }
  /** Moves wei to Ethereum. */
  | { kind: "withdraw"; to: Hex; amount: bigint }
  /** Bids for lots of one height; legs ascend by namespace. Without legs it withdraws an earlier bid. */
  | { kind: "bid"; sequence: bigint; height: bigint; amount: bigint; mode: BidMode; legs: Leg[] }
  /** Puts up wei to back bids with. */
  | { kind: "lockCollateral"; amount: bigint }
  /** Takes collateral back. It backs nothing from then on, and is paid out after the network's delay. */
  | { kind: "releaseCollateral"; amount: bigint }
  /** Orders data for several rollups, all of it in one block or nothing; legs ascend by namespace. */
  | { kind: "bundle"; legs: Leg[] }
  /**
   * What an executor finds that a leg of an atomic bundle will do, 32 bytes as the rollup defines them; nothing if it
   * will not do what it is to do. The bundle is the bid's transaction.
   */
  | { kind: "verdict"; bundle: Hex; namespace: bigint; effects: Hex | undefined };

/** What a transaction's sender signs. */
export interface TransactionBody {
  /** The Weft network's number. */
  chainId: bigint;
  /** Last block time, in milliseconds, at which it may be ordered. */
  validUntil: bigint;
  /** Any number. It tells apart transactions that are otherwise alike. */
  salt: bigint;
  /** Most the sender pays for inclusion and, where it submits, for the namespace, in wei. */
  maxFee: bigint;
  payload: Payload;
}

/** A body and its signature, 65 bytes. */
export interface Transaction extends TransactionBody {
  signature: Hex;
}

const TAGS = {
  submit: 0,
  transfer: 1,
  withdraw: 4,
  bid: 5,
  lockCollateral: 6,
  releaseCollateral: 7,
  bundle: 8,
  verdict: 9,
} as const;

/**
 * The borsh of a transaction. The form is not checked, but numbers and bytes have to fit.
 * @throws RangeError, TypeError
 */
export function encodeTransaction(transaction: Transaction): Uint8Array {
  return concat(encodeBody(transaction), fromHex(transaction.signature, "signature", SIGNATURE_BYTES));
}

function encodeBody({ chainId, validUntil, salt, maxFee, payload }: TransactionBody): Uint8Array {
  const out = new Writer();
  out.u64(chainId, "chainId");
  out.u64(validUntil, "validUntil");
  out.u64(salt, "salt");
  out.u128(maxFee, "maxFee");
  encodePayload(out, payload);
  return out.done();
}

function encodePayload(out: Writer, payload: Payload): void {
  const data = (items: Hex[], what: string) =>
    out.list(items, (item) => out.bytestring(fromHex(item, what)));
  const legs = (all: Leg[]) =>
    out.list(all, (leg) => {
      out.u64(leg.namespace, "legs.namespace");
      data(leg.data, "legs.data");
    });
  const kind = TAGS[payload.kind];
  if (kind === undefined) throw new TypeError(`payload.kind: there is no ${payload.kind}`);
  out.u8(kind);
  switch (payload.kind) {
    case "submit":
      out.u64(payload.namespace, "namespace");
      data(payload.data, "data");
      break;
    case "transfer":
    case "withdraw":
      out.put(fromHex(payload.to, "to", 20));
      out.u128(payload.amount, "amount");
      break;
    case "bid":
      out.u64(payload.sequence, "sequence");
      out.u64(payload.height, "height");
      out.u128(payload.amount, "amount");
      out.u8(codeOf(BID_MODES, payload.mode, "mode"));
      legs(payload.legs);
      break;
    case "bundle":
      legs(payload.legs);
      break;
    case "verdict":
      out.put(fromHex(payload.bundle, "bundle", 32));
      out.u64(payload.namespace, "namespace");
      out.u8(payload.effects === undefined ? 0 : 1);
      if (payload.effects !== undefined) out.put(fromHex(payload.effects, "effects", 32));
      break;
    case "lockCollateral":
    case "releaseCollateral":
      out.u128(payload.amount, "amount");
  }
}

function codeOf<T extends string>(all: readonly T[], name: T, what: string): number {
  const code = all.indexOf(name);
  if (code < 0) throw new TypeError(`${what}: expected one of ${all.join(", ")}`);
  return code;
}

/**
 * The transaction that bytes are the borsh of. Transactions that register or update namespaces are not read.
 * @throws EncodingError
 */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  const input = new Reader(bytes);
  const body: TransactionBody = {
    chainId: input.u64(),
    validUntil: input.u64(),
    salt: input.u64(),
    maxFee: input.u128(),
    payload: decodePayload(input),
  };
  const signature = toHex(input.take(SIGNATURE_BYTES));
  input.end();
  return { ...body, signature };
}

function decodePayload(input: Reader): Payload {
  const data = () => input.list(() => toHex(input.bytestring()));
  const legs = () => input.list(() => ({ namespace: input.u64(), data: data() }));
  const kind = input.u8();
  switch (kind) {
    case TAGS.submit:
      return { kind: "submit", namespace: input.u64(), data: data() };
    case TAGS.transfer:
      return { kind: "transfer", to: toHex(input.take(20)), amount: input.u128() };
    case TAGS.withdraw:
      return { kind: "withdraw", to: toHex(input.take(20)), amount: input.u128() };
    case TAGS.bid:
      return {
        kind: "bid",
        sequence: input.u64(),
        height: input.u64(),
        amount: input.u128(),
        mode: decodeMode(input),
        legs: legs(),
      };
    case TAGS.bundle:
      return { kind: "bundle", legs: legs() };
    case TAGS.verdict:
      return {
        kind: "verdict",
        bundle: toHex(input.take(32)),
        namespace: input.u64(),
        effects: decodeEffects(input),
      };
    case TAGS.lockCollateral:
      return { kind: "lockCollateral", amount: input.u128() };
    case TAGS.releaseCollateral:
      return { kind: "releaseCollateral", amount: input.u128() };
    case 2:
    case 3:
      throw new EncodingError("a transaction that registers or updates a namespace is not read here");
    default:
      throw new EncodingError(`there is no payload ${kind}`);
  }
}

function decodeMode(input: Reader): BidMode {
  const code = input.u8();
  const mode = BID_MODES[code];
  if (mode === undefined) throw new EncodingError(`a bid has no mode ${code}`);
  return mode;
}

function decodeEffects(input: Reader): Hex | undefined {
  const tag = input.u8();
  if (tag > 1) throw new EncodingError(`option tag ${tag}`);
  return tag === 1 ? toHex(input.take(32)) : undefined;
}

/** A transaction's id: the blake3 of its borsh, signature included. */
export function transactionId(transaction: Transaction): Hex {
  return toHex(blake3(encodeTransaction(transaction)));
}

/** What a transaction's sender signs: the keccak256 of the preimage (protocol section 3). */
export function signingHash(body: TransactionBody): Uint8Array {
  return keccak256(signingPreimage(body));
}

export function signingPreimage(body: TransactionBody): Uint8Array {
  return concat(tag("weft/transaction/v1"), bigEndian(body.chainId, 8), blake3(encodeBody(body)));
}

/** What checking a transaction finds out. */
export interface Witness {
  id: Hex;
  /** Whose signature it has. */
  sender: Hex;
  /** Its size in borsh: what fees are charged on. */
  bytes: number;
}

/**
 * Checks all that a node checks before it looks at its ledger, for the network of that number.
 * @throws InvalidTransaction
 */
export function verifyTransaction(transaction: Transaction, chainId: bigint): Witness {
  if (transaction.chainId !== chainId) {
    refuse("chain_id", `chainId is ${transaction.chainId}, this network is ${chainId}`);
  }
  checkForm(transaction);
  const encoded = encodeTransaction(transaction);
  const sender = recover(encoded.slice(-SIGNATURE_BYTES), signingHash(transaction));
  return { id: toHex(blake3(encoded)), sender, bytes: encoded.length };
}

/**
 * Checks a body's form and size.
 * @throws InvalidTransaction
 */
export function checkForm(body: TransactionBody): void {
  checkPayload(body.payload);
  const bytes = encodeBody(body).length + SIGNATURE_BYTES;
  if (bytes > MAX_TRANSACTION_BYTES) {
    refuse("too_large", `transaction has ${bytes} bytes, at most ${MAX_TRANSACTION_BYTES} allowed`);
  }
}

function checkPayload(payload: Payload): void {
  switch (payload.kind) {
    case "submit":
      return checkData(payload.data);
    case "withdraw":
      if (payload.amount === 0n) refuse("nothing_to_withdraw", "amount to withdraw is zero");
      return;
    case "bid":
      return checkBid(payload);
    case "bundle":
      if (payload.legs.length < 2) refuse("too_few_legs", `a bundle has two legs or more, not ${payload.legs.length}`);
      return checkLegs(payload.legs);
    case "lockCollateral":
    case "releaseCollateral":
      if (payload.amount === 0n) refuse("no_collateral", "amount of collateral is zero");
      return;
    case "transfer":
    case "verdict":
  }
}

function checkBid({ amount, mode, legs }: Extract<Payload, { kind: "bid" }>): void {
  if (amount > MAX_BID_AMOUNT) refuse("too_much", `bid offers ${amount} wei, at most ${MAX_BID_AMOUNT} allowed`);
  if ((amount === 0n) !== (legs.length === 0)) {
    refuse("half_bid", "a bid has legs and an amount above zero, or withdraws and has neither");
  }
  if (mode === "atomic" && legs.length < 2) {
    refuse("atomic_legs", `an atomic bid has two legs or more, not ${legs.length}`);
  }
  checkLegs(legs);
}

function checkLegs(legs: Leg[]): void {
  if (legs.length > MAX_LEGS) refuse("too_many_legs", `it has ${legs.length} legs, at most ${MAX_LEGS} allowed`);
  for (let i = 1; i < legs.length; i++) {
    if (legs[i - 1]!.namespace >= legs[i]!.namespace) {
      refuse("unsorted_legs", "legs must be strictly ascending by namespace");
    }
  }
  legs.forEach((leg) => checkData(leg.data));
}

function checkData(data: Hex[]): void {
  if (data.length === 0) refuse("no_items", "data has no items");
  if (data.length > MAX_ITEMS) refuse("too_many_items", `data has ${data.length} items, at most ${MAX_ITEMS} allowed`);
  const empty = data.indexOf("0x");
  if (empty >= 0) refuse("empty_item", `data item ${empty} is empty`);
}

function refuse(reason: InvalidReason, message: string): never {
  throw new InvalidTransaction(reason, message);
}
