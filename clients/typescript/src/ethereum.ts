/** For which chain a raw Ethereum transaction is: the little of RLP that tells. */

import { fromBigEndian, fromHex, type Hex } from "./bytes.ts";
import { EncodingError } from "./errors.ts";

interface Item {
  isList: boolean;
  content: Uint8Array;
}

/** How many fields each type has when it is signed, where its lists are, and its name. */
const TYPES: Record<number, { fields: number; lists: number[]; name: string }> = {
  0: { fields: 9, lists: [], name: "a legacy transaction" },
  1: { fields: 11, lists: [7], name: "a transaction of type 1" },
  2: { fields: 12, lists: [8], name: "a transaction of type 2" },
  4: { fields: 13, lists: [8, 9], name: "a transaction of type 4" },
};

/**
 * The EIP-155 chain id of a signed transaction: legacy, or of type 1, 2 or 4. No signature is checked.
 * @throws EncodingError, TypeError
 */
export function chainIdOf(raw: Hex): bigint {
  const bytes = fromHex(raw, "transaction");
  const first = bytes[0];
  if (first === undefined) throw new EncodingError("the transaction has no bytes");
  if (first >= 0x80 && first < 0xc0) {
    throw new EncodingError("the transaction is wrapped in a string of RLP; expected it bare");
  }
  const type = first >= 0xc0 ? 0 : first;
  if (type === 3) throw new EncodingError("transactions of type 3 carry blobs, which no rollup takes");
  const shape = TYPES[type];
  if (first === 0 || shape === undefined) throw new EncodingError(`there is no transaction type ${first} here`);

  const whole = items(type === 0 ? bytes : bytes.subarray(1));
  if (whole.length !== 1 || !whole[0]!.isList) {
    throw new EncodingError(`${shape.name} is one list of RLP and nothing else`);
  }
  const fields = items(whole[0]!.content);
  if (fields.length !== shape.fields) {
    throw new EncodingError(`${shape.name} that is signed has ${shape.fields} fields, not ${fields.length}`);
  }
  fields.forEach((field, i) => {
    if (field.isList !== shape.lists.includes(i)) {
      throw new EncodingError(`field ${i} of ${shape.name} is of the wrong kind`);
    }
  });
  const [v, r, s] = fields.slice(-3).map((field) => number(field.content));
  if (r === 0n || s === 0n) throw new EncodingError("the transaction is not signed");
  if (type !== 0) {
    if (v! > 1n) throw new EncodingError(`the parity of ${shape.name} is ${v}, expected 0 or 1`);
    return within64(number(fields[0]!.content));
  }
  if (v === 27n || v === 28n) throw new EncodingError("a transaction without a chain id could be for any rollup");
  if (v! < 35n) throw new EncodingError(`v of a legacy transaction is ${v}, expected 35 or more`);
  return within64((v! - 35n) / 2n);
}

function within64(chainId: bigint): bigint {
  if (chainId >> 64n !== 0n) throw new EncodingError(`chain id ${chainId} is no namespace: it is above 64 bits`);
  return chainId;
}

/** A number, without zeros in front. */
function number(bytes: Uint8Array): bigint {
  if (bytes.length > 32) throw new EncodingError("a number of more than 32 bytes");
  if (bytes[0] === 0) throw new EncodingError("a number with a zero in front");
  return fromBigEndian(bytes);
}

/** The items that bytes of RLP are, one after the other, each in its only form. */
function items(bytes: Uint8Array): Item[] {
  const found: Item[] = [];
  for (let at = 0; at < bytes.length; ) {
    const head = bytes[at]!;
    const isList = head >= 0xc0;
    const base = isList ? 0xc0 : 0x80;
    let [start, length] = [at + 1, head - base];
    if (head < 0x80) {
      [start, length] = [at, 1];
    } else if (length > 55) {
      const digits = bytes.subarray(start, start + length - 55);
      start += length - 55;
      const long = fromBigEndian(digits);
      if (digits[0] === 0 || long < 56n) throw new EncodingError("a length of RLP that is not in its shortest form");
      length = Number(long);
    }
    if (start + length > bytes.length) throw new EncodingError("RLP ends too early");
    const content = bytes.subarray(start, start + length);
    if (!isList && head === 0x81 && content[0]! < 0x80) {
      throw new EncodingError("a byte of RLP that is not in its shortest form");
    }
    found.push({ isList, content });
    at = start + length;
  }
  return found;
}
