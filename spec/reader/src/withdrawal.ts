/** Withdrawals and the root over all of them (protocol section 10). */

import { type Bytes, ZERO_HASH, bigEndian, concat, toHex } from "./bytes.ts";
import { type Of, address, struct, u128, u64 } from "./borsh.ts";
import { keccak256 } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { commit, follow, leaf, path } from "./merkle.ts";
import { refuseIf } from "./refusal.ts";

const withdrawal = struct({ index: u64, to: address, amount: u128 });
type Withdrawal = Of<typeof withdrawal>;

function leafHash({ index, to, amount }: Withdrawal): Bytes {
  return leaf(keccak256, concat(bigEndian(index, 8), to, bigEndian(amount, 16)));
}

/** The commitment to a tree of so many withdrawals. */
function commitWithdrawals(root: Bytes, count: bigint | number): Bytes {
  return commit("weft/withdrawals/v1", root, count);
}

export const NO_WITHDRAWALS = commitWithdrawals(ZERO_HASH, 0);

/** A withdrawal and its path in a tree of `count`. */
const provenWithdrawal = struct({ withdrawal, count: u64, path });

export const provenWithdrawalKind: Kind<Of<typeof provenWithdrawal>> = {
  codec: provenWithdrawal,
  hashes: ({ withdrawal }) => ({ leaf: toHex(leafHash(withdrawal)) }),
  judge({ withdrawal, count, path }) {
    // A withdrawal's index is the place of its leaf.
    refuseIf(path.index !== withdrawal.index, "path");
    return toHex(commitWithdrawals(follow(keccak256, path, leafHash(withdrawal), count), count));
  },
};
