/** Hash functions and tagged preimages (protocol section 3). */

import { blake3 as nobleBlake3 } from "@noble/hashes/blake3.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { type Bytes, concat } from "./bytes.ts";

export type HashFunction = (...parts: Bytes[]) => Bytes;

export const keccak256: HashFunction = (...parts) => keccak_256(concat(...parts));

export const blake3: HashFunction = (...parts) => nobleBlake3(concat(...parts));

/** blake3's extended output. */
export function stretch(bytes: Bytes, length: number): Bytes {
  return nobleBlake3(bytes, { dkLen: length });
}

/** keccak256 of a name, as it stands first in a preimage. */
export function tag(name: string): Bytes {
  return keccak_256(Uint8Array.from(name, (letter) => letter.charCodeAt(0)));
}

export function hashFunction(name: string): HashFunction {
  if (name === "keccak256") return keccak256;
  if (name === "blake3") return blake3;
  throw new Error(`unknown hash function ${name}`);
}
