/** Headers: 454 bytes, big-endian (protocol section 4). */

import { type Bytes, bigEndian, concat, fromBigEndian, toHex } from "./bytes.ts";
import { type Codec, type Of, address, encode, fixed, hash, struct, u16, u64 } from "./borsh.ts";
import { keccak256, tag } from "./hash.ts";
import type { Kind } from "./kind.ts";

export const VERSION = 4;
export const NO_KEY = new Uint8Array(48);

const bigU16: Codec<number> = {
  read: (input) => Number(fromBigEndian(input.take(2))),
  write: (output, value) => output.put(bigEndian(value, 2)),
  show: u16.show,
};

const bigU64: Codec<bigint> = {
  read: (input) => fromBigEndian(input.take(8)),
  write: (output, value) => output.put(bigEndian(value, 8)),
  show: u64.show,
};

/** JSON has null for no key. */
const unsealKey: Codec<Bytes> = {
  ...fixed(48),
  show: (key) => (key.some((byte) => byte !== 0) ? toHex(key) : null),
};

export const outcome = struct({
  ledger_root: hash,
  slices_root: hash,
  results_root: hash,
  withdrawals_root: hash,
  unseal_key: unsealKey,
});

export const header = struct({
  version: bigU16,
  chain_id: bigU64,
  height: bigU64,
  time_ms: bigU64,
  parent: hash,
  proposer: address,
  validators_hash: hash,
  next_validators_hash: hash,
  l1_origin: struct({ number: bigU64, hash }),
  observations_root: hash,
  batches_root: hash,
  events_root: hash,
  parent_outcome: outcome,
});
export type Header = Of<typeof header>;

function preimage(value: Header): Bytes {
  return concat(tag("weft/header/v1"), encode(header, value));
}

export function blockId(value: Header): Bytes {
  return keccak256(preimage(value));
}

export const headerKind: Kind<Header> = {
  codec: header,
  hashes: (value) => ({ preimage: toHex(preimage(value)), id: toHex(blockId(value)) }),
  judge: () => null,
};
