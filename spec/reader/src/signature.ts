/** What signatures cover, and who signed (protocol section 3). */

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { type Bytes, bigEndian, concat, equal, fromBigEndian, toHex } from "./bytes.ts";
import {
  type Codec, type Of, type StructCodec, Malformed, decode, fixed, nothing, struct, u32, u64, u8, variants,
} from "./borsh.ts";
import { keccak256, tag } from "./hash.ts";
import type { JsonObject } from "./json.ts";
import type { Kind } from "./kind.ts";
import { refuseIf, Refused, within } from "./refusal.ts";

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

export const signature = fixed(65);

/** 1 prevote, 2 precommit. */
export const phase: Codec<number> = {
  read(input) {
    const kind = u8.read(input);
    if (kind !== 1 && kind !== 2) throw new Malformed(`vote kind ${kind}`);
    return kind;
  },
  write: u8.write,
  show: (kind) => (kind === 1 ? "prevote" : "precommit"),
};

export const PRECOMMIT = 2;

export const slot = variants({
  transaction: [0, nothing],
  peer: [1, nothing],
  batch: [2, struct({ incarnation: u32, seq: u64 })],
  observation: [3, struct({ height: u64 })],
  proposal: [4, struct({ height: u64, round: u32 })],
  vote: [5, struct({ kind: phase, height: u64, round: u32 })],
  bond: [6, nothing],
});

export type Slot = Of<typeof slot>;

function slotBytes(slot: Slot): Bytes {
  switch (slot.is) {
    case "transaction":
    case "peer":
    case "bond":
      return new Uint8Array();
    case "batch":
      return concat(bigEndian(slot.of.incarnation, 4), bigEndian(slot.of.seq, 8));
    case "observation":
      return bigEndian(slot.of.height, 8);
    case "proposal":
      return concat(bigEndian(0, 1), bigEndian(slot.of.height, 8), bigEndian(slot.of.round, 4));
    case "vote":
      return concat(bigEndian(slot.of.kind, 1), bigEndian(slot.of.height, 8), bigEndian(slot.of.round, 4));
  }
}

export function preimage(slot: Slot, chainId: bigint, bodyHash: Bytes): Bytes {
  return concat(tag(`weft/${slot.is}/v1`), bigEndian(chainId, 8), slotBytes(slot), bodyHash);
}

/** Body hash, preimage and signing hash, as vectors show them. */
export function showSigning(slot: Slot, chainId: bigint, bodyHash: Bytes): JsonObject {
  const signed = preimage(slot, chainId, bodyHash);
  return {
    body_hash: toHex(bodyHash),
    preimage: toHex(signed),
    signing_hash: toHex(keccak256(signed)),
  };
}

/** The address whose key signed a hash. */
export function recover(signature: Bytes, hash: Bytes): Bytes {
  const v = signature[64]!;
  refuseIf(v !== 27 && v !== 28, "recovery_byte");
  refuseIf(fromBigEndian(signature.subarray(32, 64)) > HALF_ORDER, "high_s");
  const recovered = concat(Uint8Array.of(v - 27), signature.subarray(0, 64));
  let key: Bytes;
  try {
    key = secp256k1.Signature.fromBytes(recovered, "recovered").recoverPublicKey(hash).toBytes(false);
  } catch {
    throw new Refused("unrecoverable");
  }
  return keccak256(key.subarray(1)).subarray(12);
}

/** Who signed a body hash under a slot. */
export function signer(slot: Slot, chainId: bigint, bodyHash: Bytes, signature: Bytes): Bytes {
  return recover(signature, keccak256(preimage(slot, chainId, bodyHash)));
}

/** Refuses a signature that is no good or somebody else's. */
export function checkSigner(expected: Bytes, slot: Slot, chainId: bigint, bodyHash: Bytes, signature: Bytes): void {
  within("signature", () => {
    const actual = signer(slot, chainId, bodyHash, signature);
    refuseIf(!equal(actual, expected), "wrong_signer");
  });
}

/** A body with its signature. */
export interface Signed<T> {
  body: T;
  signature: Bytes;
}

/** JSON has the signature among the body's fields. */
export function signed<T>(body: StructCodec<T>): StructCodec<Signed<T>> {
  return {
    ...(struct({ body, signature }) as Codec<Signed<T>>),
    show: (value) => ({ ...body.show(value.body), signature: signature.show(value.signature) }),
  };
}

export const signingKind: Kind<Bytes> = {
  codec: signature,
  hashes(_signature, context) {
    const of = decode(slot, context.bytes("slot"));
    const signing = showSigning(of, context.number("chain_id"), context.bytes("body_hash"));
    return { slot: slot.show(of), signing };
  },
  judge(signature, context) {
    const of = decode(slot, context.bytes("slot"));
    return toHex(signer(of, context.number("chain_id"), context.bytes("body_hash"), signature));
  },
};
