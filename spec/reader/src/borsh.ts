/**
 * borsh (protocol section 3): little-endian numbers, u32 lengths. A codec reads a value, writes it
 * back, and shows it as JSON.
 */

import { type Bytes, toHex } from "./bytes.ts";
import type { Json, JsonObject } from "./json.ts";

/** Bytes that are no encoding of what they should be. */
export class Malformed extends Error {}

export class Input {
  #at = 0;

  constructor(readonly bytes: Bytes) {}

  take(length: number): Bytes {
    if (length > this.bytes.length - this.#at) throw new Malformed("bytes end too early");
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }

  number(length: number): bigint {
    return this.take(length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw new Malformed("bytes are left over");
  }
}

export class Output {
  #bytes: number[] = [];

  put(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#bytes.push(byte);
  }

  number(value: bigint | number, length: number): void {
    let rest = BigInt(value);
    for (let i = 0; i < length; i++) {
      this.#bytes.push(Number(rest & 0xffn));
      rest >>= 8n;
    }
    if (rest !== 0n) throw new Error(`${value} does not fit into ${length} bytes`);
  }

  done(): Bytes {
    return Uint8Array.from(this.#bytes);
  }
}

export interface Codec<T> {
  read(input: Input): T;
  write(output: Output, value: T): void;
  show(value: T): Json;
}

/** A codec of fields, which JSON has as an object. */
export interface StructCodec<T> extends Codec<T> {
  show(value: T): JsonObject;
}

/** What a codec reads. */
export type Of<C> = C extends Codec<infer T> ? T : never;

export function encode<T>(codec: Codec<T>, value: T): Bytes {
  const output = new Output();
  codec.write(output, value);
  return output.done();
}

export function decode<T>(codec: Codec<T>, bytes: Bytes): T {
  const input = new Input(bytes);
  const value = codec.read(input);
  input.end();
  return value;
}

/** A number that JSON holds as a number. */
function small(length: number): Codec<number> {
  return {
    read: (input) => Number(input.number(length)),
    write: (output, value) => output.number(value, length),
    show: (value) => value,
  };
}

/** A number that JSON holds as a decimal string. */
function large(length: number): Codec<bigint> {
  return {
    read: (input) => input.number(length),
    write: (output, value) => output.number(value, length),
    show: (value) => value.toString(),
  };
}

export const u8 = small(1);
export const u16 = small(2);
export const u32 = small(4);
export const u64 = large(8);
export const u128 = large(16);

/** A u64 that JSON holds as a number. */
export const seats: Codec<bigint> = { ...u64, show: Number };

/** So many bytes. */
export function fixed(length: number): Codec<Bytes> {
  return {
    read: (input) => input.take(length),
    write: (output, value) => output.put(value),
    show: toHex,
  };
}

export const hash = fixed(32);
export const address = fixed(20);

/** A byte string with its length. */
export const bytes: Codec<Bytes> = {
  read: (input) => input.take(Number(input.number(4))),
  write(output, value) {
    output.number(value.length, 4);
    output.put(value);
  },
  show: toHex,
};

export function list<T>(item: Codec<T>): Codec<T[]> {
  return {
    read(input) {
      const items: T[] = [];
      for (let left = input.number(4); left > 0n; left--) items.push(item.read(input));
      return items;
    },
    write(output, items) {
      output.number(items.length, 4);
      for (const each of items) item.write(output, each);
    },
    show: (items) => items.map(item.show),
  };
}

export function option<T>(some: Codec<T>): Codec<T | null> {
  return {
    read(input) {
      const tag = input.number(1);
      if (tag > 1n) throw new Malformed(`option tag ${tag}`);
      return tag === 1n ? some.read(input) : null;
    },
    write(output, value) {
      output.number(value === null ? 0 : 1, 1);
      if (value !== null) some.write(output, value);
    },
    show: (value) => (value === null ? null : some.show(value)),
  };
}

// A codec is invariant in its type, so that only `any` stands for all of them.
type Fields = { [name: string]: Codec<any> };
export type Struct<F extends Fields> = { [K in keyof F]: Of<F[K]> };

/** Fields one after the other. */
export function struct<F extends Fields>(fields: F): StructCodec<Struct<F>> {
  const named = Object.entries(fields);
  return {
    read: (input) => Object.fromEntries(named.map(([name, codec]) => [name, codec.read(input)])) as Struct<F>,
    write: (output, value) => named.forEach(([name, codec]) => codec.write(output, value[name])),
    show: (value) => Object.fromEntries(named.map(([name, codec]) => [name, codec.show(value[name])])),
  };
}

/** No bytes: the content of a variant that is only a name. */
export const nothing: Codec<null> = { read: () => null, write: () => {}, show: () => null };

type Variants = { [name: string]: [tag: number, content: Codec<any>] };
export type Variant<V extends Variants> = {
  [K in keyof V]: { is: K; of: Of<V[K][1]> };
}[keyof V];

/** A tag and what it says follows. JSON has the name alone, or an object of name and content. */
export function variants<V extends Variants>(all: V): Codec<Variant<V>> {
  return {
    read(input) {
      const tag = Number(input.number(1));
      for (const [is, [of, content]] of Object.entries(all)) {
        if (of === tag) return { is, of: content.read(input) } as Variant<V>;
      }
      throw new Malformed(`tag ${tag}`);
    },
    write(output, value) {
      const [tag, content] = all[value.is]!;
      output.number(tag, 1);
      content.write(output, value.of);
    },
    show(value) {
      const content = all[value.is]![1];
      const name = String(value.is);
      return content === nothing ? name : { [name]: content.show(value.of) };
    },
  };
}

type Records = { [name: string]: [tag: number, fields: StructCodec<any>] };

/** A tag and the fields that it says follow. JSON has the name, as `kind`, among the fields. */
export function records<V extends Records>(all: V): Codec<Variant<V>> {
  return {
    ...variants(all),
    show: (value) => ({ kind: String(value.is), ...all[value.is]![1].show(value.of) }),
  };
}

/** LEB128 in its shortest form, up to 64 bits (protocol section 4). */
export function readVarint(input: Input): bigint {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = input.number(1);
    value |= (byte & 0x7fn) << shift;
    if (value >= 1n << 64n) throw new Malformed("varint above 64 bits");
    if (byte < 0x80n) {
      if (byte === 0n && shift > 0n) throw new Malformed("varint not in its shortest form");
      return value;
    }
    if (shift >= 63n) throw new Malformed("varint above 64 bits");
  }
}

export function writeVarint(output: Output, value: bigint | number): void {
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) output.number((rest & 0x7fn) | 0x80n, 1);
  output.number(rest, 1);
}
