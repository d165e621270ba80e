/** Hash functions and tagged preimages (protocol section 3). */

import { blake3 as noble } from "@noble/hashes/blake3.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concat } from "./bytes.ts";

export function keccak256(...parts: Uint8Array[]): Uint8Array {
  return keccak_256(concat(...parts));
}

export function blake3(bytes: Uint8Array): Uint8Array {
  return noble(bytes);
}

/** keccak256 of a name, as it stands first in a preimage. */
export function tag(name: string): Uint8Array {
  return keccak_256(new TextEncoder().encode(name));
}
