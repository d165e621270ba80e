/** What ties the legs of a bundle or bid together (protocol section 9). */

import { type Bytes, bigEndian, concat, equal, fromHex, toHex } from "./bytes.ts";
import { type Of, bytes, encode, hash, list, struct, u64, u8 } from "./borsh.ts";
import { blake3, keccak256 } from "./hash.ts";
import type { Context, Kind } from "./kind.ts";
import { commit, leaf, root } from "./merkle.ts";
import { refuseIf } from "./refusal.ts";

/** Byte strings for one namespace. */
export const data = list(bytes);
export type Data = Of<typeof data>;

/** What a bid or a bundle brings to one namespace. */
export const leg = struct({ namespace: u64, data });

/** Where a leg stands among its siblings. */
export const place = struct({ index: u8, count: u8, root: hash });
export type Place = Of<typeof place>;

/** All legs, by namespace and digest. */
export const legs = list(struct({ namespace: u64, digest: hash }));
export type Legs = Of<typeof legs>;

function digestOf(items: Data): Bytes {
  return blake3(encode(data, items));
}

/** Content of a leaf. */
function layout({ namespace, digest }: Legs[number]): Bytes {
  return concat(bigEndian(namespace, 8), digest);
}

function legsRoot(of: Legs): Bytes {
  return commit("weft/legs/v1", root(keccak256, of.map((each) => leaf(keccak256, layout(each)))), of.length);
}

/** Whether a place stands for these legs, and the leg there brings these items to the namespace. */
export function standsFor(place: Place, of: Legs, namespace: bigint, items: Data): boolean {
  const own = of[place.index];
  return own !== undefined
    && place.count === of.length
    && equal(place.root, legsRoot(of))
    && own.namespace === namespace
    && equal(own.digest, digestOf(items));
}

/** Digests of what the legs bring. */
function digests(context: Context): Bytes[] {
  return context.list("data").map((items) => {
    if (!Array.isArray(items)) throw new Error("context.data holds no lists");
    return digestOf(items.map((item) => fromHex(String(item))));
  });
}

export const legsKind: Kind<Legs> = {
  codec: legs,
  hashes: (of, context) => ({
    digests: digests(context).map(toHex),
    layouts: of.map((each) => toHex(layout(each))),
    leaves: of.map((each) => toHex(leaf(keccak256, layout(each)))),
  }),
  judge(of, context) {
    const found = digests(context);
    refuseIf(found.length !== of.length, "count");
    refuseIf(of.some(({ digest }, i) => !equal(digest, found[i]!)), "digest");
    const whole = legsRoot(of);
    return {
      root: toHex(whole),
      places: of.map((_, index) => toHex(encode(place, { index, count: of.length, root: whole }))),
    };
  },
};
