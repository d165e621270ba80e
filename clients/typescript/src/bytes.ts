/** Byte strings and their 0x-hex. */

/** Bytes as 0x-hex. What this package returns has lower-case digits. */
export type Hex = `0x${string}`;

/** The bytes of 0x-hex of either case; `what` names it in errors. */
export function fromHex(text: string, what: string, length?: number): Uint8Array {
  const size = length === undefined ? "bytes" : `${length} bytes`;
  if (typeof text !== "string" || !/^0x([0-9a-fA-F]{2})*$/.test(text)) {
    throw new TypeError(`${what}: expected ${size} as 0x-hex`);
  }
  const bytes = new Uint8Array((text.length - 2) / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 + 2 * i, 4 + 2 * i), 16);
  if (length !== undefined && bytes.length !== length) {
    throw new TypeError(`${what}: expected ${size}, not ${bytes.length}`);
  }
  return bytes;
}

export function toHex(bytes: Uint8Array): Hex {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return join(parts);
}

/** The same for more parts than a call takes arguments. */
export function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** A number in so many bytes, highest first. */
export function bigEndian(value: bigint, length: number): Uint8Array {
  if (value < 0n || value >> BigInt(8 * length) !== 0n) {
    throw new RangeError(`${value} is not a number of ${8 * length} bits`);
  }
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/** The number that bytes stand for, highest first. */
export function fromBigEndian(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
