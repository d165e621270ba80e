/** What the network's contracts logged in an L1 block (protocol section 4). */

import { type Bytes, toHex } from "./bytes.ts";
import { type Of, address, bytes, encode, hash, list, records, struct, u128, u64 } from "./borsh.ts";
import { blake3 } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { refuseIf } from "./refusal.ts";

const MOST_BYTES = 1024 * 1024;
const MOST_MESSAGE_BYTES = 16_384;

const event = records({
  deposit: [0, struct({ to: address, amount: u128 })],
  stake: [1, struct({ validator: address, stake: u128 })],
  forced: [2, struct({ namespace: u64, index: u64, sender: address, fee: u128, data: bytes })],
  posted: [3, struct({ height: u64, block: hash, poster: address })],
});
type Event = Of<typeof event>;

/** The events of one L1 block, in log order. */
export const events = list(event);

export function eventsDigest(of: Event[]): Bytes {
  return blake3(encode(events, of));
}

/** Refuses a forced message of a length that the inbox does not take. */
function checkLength(event: Event): void {
  if (event.is !== "forced") return;
  const { length } = event.of.data;
  refuseIf(length === 0 || length > MOST_MESSAGE_BYTES, "forced");
}

export const eventsKind: Kind<Event[]> = {
  codec: events,
  hashes: (of) => ({ digest: toHex(eventsDigest(of)) }),
  judge(of) {
    const size = encode(events, of).length;
    refuseIf(size > MOST_BYTES, "too_large");
    of.forEach(checkLength);
    return { digest: toHex(eventsDigest(of)), bytes: size };
  },
};
