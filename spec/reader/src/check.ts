/** Checks one vector: bytes, content, hashes and verdict must all agree with the file. */

import { type Bytes, equal, fromHex, join, toHex } from "./bytes.ts";
import { Malformed, decode, encode } from "./borsh.ts";
import { keccak256 } from "./hash.ts";
import { type Json, type JsonObject, difference, isObject } from "./json.ts";
import { Context, type Kind } from "./kind.ts";
import { Refused } from "./refusal.ts";

const FIELDS = ["name", "context", "value", "borsh", "hashes", "verdict"];

/** Encodings longer than this may stand without their content. */
const LONG = 1200;

/** The first mismatch of a vector, with the field it is in; nothing if all agrees. */
export function checkVector<T>(kind: Kind<T>, vector: JsonObject): string | undefined {
  const unknown = Object.keys(vector).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) return `${unknown}: no such field`;
  if (!isObject(vector.context)) return "context: expected an object";
  try {
    const bytes = expand(vector.borsh);
    const value = tryDecode(kind, bytes);
    if (value === undefined) return compareFields(vector, undecodable(bytes));
    return checkValue(kind, vector, new Context(vector.context), bytes, value);
  } catch (error) {
    return `cannot be checked: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function checkValue<T>(
  kind: Kind<T>, vector: JsonObject, context: Context, bytes: Bytes, value: T,
): string | undefined {
  const again = encode(kind.codec, value);
  if (!equal(again, bytes)) return difference("borsh", toHex(bytes), toHex(again));

  const hidden = vector.value === null;
  if (hidden && bytes.length <= LONG) return "value: only a long encoding may stand without its content";
  const hashes = kind.hashes(value, context);
  const mismatch = compareFields(vector, {
    value: hidden ? null : kind.codec.show(value),
    hashes: hidden ? { ...hashes, keccak256: toHex(keccak256(bytes)) } : hashes,
    verdict: verdict(() => kind.judge(value, context)),
  });
  if (mismatch !== undefined) return mismatch;
  const unused = context.unused();
  return unused === undefined ? undefined : `context.${unused}: no check of this kind needs it`;
}

/** A vector's bytes, which may be a list of parts, each so many times. */
function expand(borsh: Json | undefined): Bytes {
  if (!Array.isArray(borsh)) return fromHex(String(borsh));
  const parts = borsh.map((part) => {
    if (!isObject(part)) throw new Error("borsh: expected parts of bytes and times");
    return new Array<Bytes>(Number(part.times)).fill(fromHex(String(part.bytes)));
  });
  return join(parts.flat());
}

function tryDecode<T>(kind: Kind<T>, bytes: Bytes): T | undefined {
  try {
    return decode(kind.codec, bytes);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** What a vector says whose bytes are no encoding. */
function undecodable(bytes: Bytes): JsonObject {
  const hashes = { keccak256: toHex(keccak256(bytes)) };
  return { context: {}, value: null, hashes, verdict: { refused: "encoding" } };
}

function verdict(judge: () => Json): Json {
  try {
    return { accepted: judge() };
  } catch (error) {
    if (error instanceof Refused) return { refused: error.reason };
    throw error;
  }
}

function compareFields(vector: JsonObject, found: JsonObject): string | undefined {
  for (const [field, value] of Object.entries(found)) {
    const mismatch = difference(field, vector[field], value);
    if (mismatch !== undefined) return mismatch;
  }
  return undefined;
}
