/** Receipts: what became of an ordered transaction (protocol section 6). */

import { type Codec, type Of, nothing, u128, variants } from "./borsh.ts";
import type { Kind } from "./kind.ts";

const status = variants({
  executed: [0, nothing],
  skipped: [
    1,
    variants({
      fee_above_max: [0, nothing],
      cannot_pay_fee: [1, nothing],
      unknown_namespace: [2, nothing],
      not_admitted: [3, nothing],
      over_quota: [4, nothing],
      balance_too_low: [5, nothing],
      namespace_taken: [6, nothing],
      not_owner: [7, nothing],
      namespace_fee_not_covered: [8, nothing],
      overflow: [9, nothing],
      collateral_too_low: [10, nothing],
      nothing_to_judge: [11, nothing],
      not_executor: [12, nothing],
    }),
  ],
});

interface Receipt {
  status: Of<typeof status>;
  fee: bigint;
}

/** JSON has the reason beside the status. */
const receipt: Codec<Receipt> = {
  read: (input) => ({ status: status.read(input), fee: u128.read(input) }),
  write(output, value) {
    status.write(output, value.status);
    u128.write(output, value.fee);
  },
  show({ status, fee }) {
    const shown = { status: status.is, fee: u128.show(fee) };
    return status.of === null ? shown : { ...shown, reason: status.of.is };
  },
};

export const receiptKind: Kind<Receipt> = { codec: receipt, hashes: () => ({}), judge: () => null };
