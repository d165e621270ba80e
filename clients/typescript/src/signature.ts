/** secp256k1 signatures, `r || s || v` with low `s` and `v` 27 or 28 (protocol section 3). */

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { concat, fromBigEndian, toHex, type Hex } from "./bytes.ts";
import { InvalidTransaction } from "./errors.ts";
import { keccak256 } from "./hash.ts";

/** Length of a signature. */
export const SIGNATURE_BYTES = 65;

/** The largest `s` that is low. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** The Ethereum address of a key. */
export function addressOf(secret: Uint8Array): Hex {
  return addressOfPublic(secp256k1.getPublicKey(secret, false));
}

function addressOfPublic(uncompressed: Uint8Array): Hex {
  return toHex(keccak256(uncompressed.subarray(1)).subarray(12));
}

/** Signs a 32-byte hash. The same hash gives the same signature (RFC 6979), here as in the node. */
export function sign(hash: Uint8Array, secret: Uint8Array): Uint8Array {
  const signed = secp256k1.sign(hash, secret, { prehash: false, format: "recovered" });
  return concat(signed.subarray(1), Uint8Array.of(27 + signed[0]!));
}

/** The address whose key signed a hash. */
export function recover(signature: Uint8Array, hash: Uint8Array): Hex {
  const v = signature[64];
  if (v !== 27 && v !== 28) {
    throw new InvalidTransaction("signature/recovery_byte", `recovery byte is ${v}, expected 27 or 28`);
  }
  if (fromBigEndian(signature.subarray(32, 64)) > HALF_ORDER) {
    throw new InvalidTransaction("signature/high_s", "s is not low");
  }
  const recovered = concat(Uint8Array.of(v - 27), signature.subarray(0, 64));
  let key: Uint8Array;
  try {
    key = secp256k1.Signature.fromBytes(recovered, "recovered").recoverPublicKey(hash).toBytes(false);
  } catch {
    throw new InvalidTransaction("signature/unrecoverable", "signature does not recover to a key");
  }
  return addressOfPublic(key);
}
