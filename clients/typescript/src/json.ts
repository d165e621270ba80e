/** Answers of nodes: JSON with numbers as decimal strings and bytes as 0x-hex, checked as it is read. */

import { fromHex, toHex, type Hex } from "./bytes.ts";

/** An answer that is not as it should be. The path says where. */
export class Unexpected extends Error {
  constructor(at: string, expected: string) {
    super(`${at}: expected ${expected}`);
  }
}

/** A value of an answer and where it is. */
export class Json {
  constructor(readonly value: unknown, readonly at = "answer") {}

  get(name: string): Json {
    if (typeof this.value !== "object" || this.value === null || Array.isArray(this.value)) {
      throw new Unexpected(this.at, "an object");
    }
    return new Json((this.value as Record<string, unknown>)[name], `${this.at}.${name}`);
  }

  /** Something, or nothing where there is nothing. */
  optional<T>(name: string, read: (field: Json) => T): T | undefined {
    const field = this.get(name);
    return field.value === undefined || field.value === null ? undefined : read(field);
  }

  list<T>(read: (item: Json) => T): T[] {
    if (!Array.isArray(this.value)) throw new Unexpected(this.at, "a list");
    return this.value.map((item, i) => read(new Json(item, `${this.at}[${i}]`)));
  }

  text(): string {
    if (typeof this.value !== "string") throw new Unexpected(this.at, "a string");
    return this.value;
  }

  flag(): boolean {
    if (typeof this.value !== "boolean") throw new Unexpected(this.at, "true or false");
    return this.value;
  }

  /** A number that is a number in JSON. */
  small(): number {
    if (!Number.isSafeInteger(this.value) || (this.value as number) < 0) throw new Unexpected(this.at, "a number");
    return this.value as number;
  }

  /** A number of up to 128 bits, as decimal digits. */
  number(): bigint {
    const { value } = this;
    if (typeof value !== "string" || !/^[0-9]{1,39}$/.test(value)) throw new Unexpected(this.at, "decimal digits");
    return BigInt(value);
  }

  hex(length: number): Hex {
    try {
      return toHex(fromHex(this.text(), this.at, length));
    } catch {
      throw new Unexpected(this.at, `${length} bytes as 0x-hex`);
    }
  }

  oneOf<T extends string>(all: readonly T[]): T {
    const found = all.find((each) => each === this.value);
    if (found === undefined) throw new Unexpected(this.at, `one of ${all.join(", ")}`);
    return found;
  }
}
