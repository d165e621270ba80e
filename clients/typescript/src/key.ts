/** Keys: one secp256k1 key is an account, by its Ethereum address (protocol section 3). */

import { fromHex, toHex, type Hex } from "./bytes.ts";
import { addressOf, sign } from "./signature.ts";
import { checkForm, signingHash, type Transaction, type TransactionBody } from "./transaction.ts";

/** A key that signs. It keeps its secret to itself: nothing prints or serialises it. */
export class Key {
  /** The account. */
  readonly address: Hex;
  readonly #secret: Uint8Array;

  /**
   * @param secret 32 bytes or their hex, with or without 0x
   * @throws TypeError, which does not repeat what it was given
   */
  constructor(secret: Uint8Array | string) {
    try {
      this.#secret = typeof secret === "string"
        ? fromHex(secret.startsWith("0x") ? secret : `0x${secret}`, "key", 32)
        : Uint8Array.from(secret);
      this.address = addressOf(this.#secret);
    } catch {
      throw new TypeError("no key: expected 32 bytes or their hex, above zero and below the group's order");
    }
  }

  /**
   * Signs a transaction.
   * @throws InvalidTransaction if no node would take it; RangeError, TypeError
   */
  sign(body: TransactionBody): Transaction {
    checkForm(body);
    return { ...body, signature: this.signHash(signingHash(body)) };
  }

  /** Signs a 32-byte hash: 65 bytes `r || s || v`. */
  signHash(hash: Uint8Array): Hex {
    return toHex(sign(hash, this.#secret));
  }
}
