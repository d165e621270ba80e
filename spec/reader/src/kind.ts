/** A kind of vector: how its bytes are laid out, what is hashed of it, and when it is refused. */

import { fromHex } from "./bytes.ts";
import type { Codec } from "./borsh.ts";
import type { Json, JsonObject } from "./json.ts";

export interface Kind<T> {
  codec: Codec<T>;
  /** Hashes, ids, roots and preimages, as the vector's `hashes` has them. */
  hashes(value: T, context: Context): JsonObject;
  /** What a check finds out, or `Refused`. */
  judge(value: T, context: Context): Json;
}

/** What a check needs to know beyond the bytes. */
export class Context {
  #fields: JsonObject;
  #used = new Set<string>();

  constructor(fields: JsonObject) {
    this.#fields = fields;
  }

  get(name: string): Json {
    const field = this.#fields[name];
    if (field === undefined) throw new Error(`context.${name} is missing`);
    this.#used.add(name);
    return field;
  }

  text(name: string): string {
    return String(this.get(name));
  }

  number(name: string): bigint {
    return BigInt(this.text(name));
  }

  bytes(name: string): Uint8Array {
    return fromHex(this.text(name));
  }

  list(name: string): Json[] {
    const field = this.get(name);
    if (!Array.isArray(field)) throw new Error(`context.${name} is no list`);
    return field;
  }

  /** A field that nothing asked for. */
  unused(): string | undefined {
    return Object.keys(this.#fields).find((name) => !this.#used.has(name));
  }
}
