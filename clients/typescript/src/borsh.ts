/** borsh (protocol section 3): little-endian numbers, u32 lengths. */

import { join } from "./bytes.ts";
import { EncodingError } from "./errors.ts";

export class Reader {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.#at) throw new EncodingError("bytes end too early");
    this.#at += length;
    return this.bytes.slice(this.#at - length, this.#at);
  }

  number(length: number): bigint {
    return this.take(length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  u8(): number {
    return Number(this.number(1));
  }

  u64(): bigint {
    return this.number(8);
  }

  u128(): bigint {
    return this.number(16);
  }

  /** A byte string with its length. */
  bytestring(): Uint8Array {
    return this.take(Number(this.number(4)));
  }

  list<T>(item: () => T): T[] {
    const items: T[] = [];
    // Every item has bytes, so a count that is too large ends with them.
    for (let left = this.number(4); left > 0n; left--) items.push(item());
    return items;
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw new EncodingError("bytes are left over");
  }
}

export class Writer {
  #parts: Uint8Array[] = [];

  put(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  /** A number in so many bytes; `what` names it in errors. */
  number(value: bigint, length: number, what: string): void {
    if (typeof value !== "bigint") throw new TypeError(`${what}: expected a bigint`);
    if (value < 0n || value >> BigInt(8 * length) !== 0n) {
      throw new RangeError(`${what}: ${value} is not a number of ${8 * length} bits`);
    }
    const bytes = new Uint8Array(length);
    for (let i = 0, rest = value; i < length; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
    this.put(bytes);
  }

  u8(value: number): void {
    this.put(Uint8Array.of(value));
  }

  u64(value: bigint, what: string): void {
    this.number(value, 8, what);
  }

  u128(value: bigint, what: string): void {
    this.number(value, 16, what);
  }

  bytestring(bytes: Uint8Array): void {
    this.number(BigInt(bytes.length), 4, "length");
    this.put(bytes);
  }

  list<T>(items: readonly T[], item: (of: T) => void): void {
    this.number(BigInt(items.length), 4, "length");
    items.forEach(item);
  }

  done(): Uint8Array {
    return join(this.#parts);
  }
}
