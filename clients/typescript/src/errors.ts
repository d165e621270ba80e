/** What can go wrong, by whose fault it is. */

import type { Hex } from "./bytes.ts";

/** Bytes that are no encoding of what they should be. */
export class EncodingError extends Error {
  override name = "EncodingError";
}

/** Why a node would refuse a transaction before it looks at its ledger: the names of `spec/vectors`. */
export type InvalidReason =
  | "chain_id"
  | "no_items"
  | "too_many_items"
  | "empty_item"
  | "nothing_to_withdraw"
  | "no_collateral"
  | "too_many_legs"
  | "unsorted_legs"
  | "too_much"
  | "half_bid"
  | "too_few_legs"
  | "atomic_legs"
  | "too_large"
  | "signature/recovery_byte"
  | "signature/high_s"
  | "signature/unrecoverable";

/** A transaction that breaks a rule of its form (protocol section 4). */
export class InvalidTransaction extends Error {
  override name = "InvalidTransaction";

  constructor(readonly reason: InvalidReason, message: string) {
    super(message);
  }
}

/** A node's refusal: its problem document (RFC 9457), or an error of JSON-RPC. */
export class WeftError extends Error {
  override name = "WeftError";

  constructor(
    /** The node. */
    readonly url: string,
    /** The HTTP status; for an error of JSON-RPC the one that the same problem has elsewhere. */
    readonly status: number,
    /** What is wrong. */
    readonly detail: string,
    /** The field or parameter that is at fault, if it is one. */
    readonly field?: string,
  ) {
    super(field === undefined ? detail : `${field}: ${detail}`);
  }

  /** Whether the same request may be served a little later, or by another node. */
  get isTemporary(): boolean {
    return this.status === 429 || this.status >= 500;
  }
}

/** A node that is out of reach, takes too long, or answers with what makes no sense. */
export class NodeError extends Error {
  override name = "NodeError";

  constructor(readonly url: string, message: string, cause?: unknown) {
    super(message, { cause });
  }
}

/** What one node made of a submission. */
export type Outcome =
  | { url: string; accepted: true }
  | { url: string; accepted: false; error: WeftError | NodeError };

/** No node accepted a submission. */
export class NotAccepted extends Error {
  override name = "NotAccepted";

  constructor(
    /** The transaction's id. */
    readonly id: Hex,
    /** Each node's reason. */
    readonly outcomes: Outcome[],
  ) {
    const reasons = outcomes.map((of) => `${of.url}: ${of.accepted ? "accepted" : of.error.message}`);
    super(`no node accepted ${id}: ${reasons.join("; ")}`);
  }
}
