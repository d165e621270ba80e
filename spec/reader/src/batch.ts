/** Batches (protocol section 4). */

import { type Bytes, ZERO_HASH, equal, toHex } from "./bytes.ts";
import { type Of, address, encode, hash, list, struct, u32, u64 } from "./borsh.ts";
import { blake3 } from "./hash.ts";
import type { Json } from "./json.ts";
import type { Kind } from "./kind.ts";
import { Refused, refuseIf } from "./refusal.ts";
import { type Slot, checkSigner, showSigning, signed } from "./signature.ts";
import { type Transaction, checkTransaction, transaction, transactionId } from "./transaction.ts";

const MOST_BYTES = 256 * 1024;
const MOST_TRANSACTIONS = 8192;

const body = struct({
  lane: struct({ author: address, incarnation: u32 }),
  seq: u64,
  parent: hash,
  transactions: list(transaction),
});

export const batch = signed(body);
export type Batch = Of<typeof batch>;

export function batchDigest(value: Batch): Bytes {
  return blake3(encode(body, value.body));
}

function slotOf({ body }: Batch): Slot {
  return { is: "batch", of: { incarnation: body.lane.incarnation, seq: body.seq } };
}

/** What a check says of one of a batch's transactions, which does not spoil the batch. */
function judgeTransaction(value: Transaction, chainId: bigint): Json {
  try {
    checkTransaction(value, chainId);
    return { accepted: toHex(transactionId(value)) };
  } catch (error) {
    if (error instanceof Refused) return { refused: error.reason };
    throw error;
  }
}

export const batchKind: Kind<Batch> = {
  codec: batch,
  hashes: (value, context) => ({
    signing: showSigning(slotOf(value), context.number("chain_id"), batchDigest(value)),
    digest: toHex(batchDigest(value)),
  }),
  judge(value, context) {
    const chainId = context.number("chain_id");
    const { lane, seq, parent, transactions } = value.body;
    refuseIf(transactions.length === 0, "empty");
    refuseIf(transactions.length > MOST_TRANSACTIONS, "too_many");
    refuseIf(seq === 0n || (seq === 1n) !== equal(parent, ZERO_HASH), "parent");
    const size = encode(batch, value).length;
    refuseIf(size > MOST_BYTES, "too_large");
    checkSigner(lane.author, slotOf(value), chainId, batchDigest(value), value.signature);
    return { bytes: size, transactions: transactions.map((each) => judgeTransaction(each, chainId)) };
  },
};
