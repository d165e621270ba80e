/** Trees, paths and commitments (protocol section 3). */

import { type Bytes, ZERO_HASH, bigEndian, concat, equal, fromHex, toHex } from "./bytes.ts";
import { type Of, hash, list, struct, u64 } from "./borsh.ts";
import { type HashFunction, hashFunction, keccak256, tag } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { Refused, refuseIf } from "./refusal.ts";

export function leaf(h: HashFunction, content: Bytes): Bytes {
  return h(Uint8Array.of(0), content);
}

function node(h: HashFunction, left: Bytes, right: Bytes): Bytes {
  return h(Uint8Array.of(1), left, right);
}

/** Each level of a tree, from the leaves to the root. */
function levels(h: HashFunction, leaves: Bytes[]): Bytes[][] {
  const all = [leaves];
  for (let level = leaves; level.length > 1; ) {
    const above: Bytes[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i]!, level[i + 1]];
      above.push(right === undefined ? left : node(h, left, right));
    }
    all.push(above);
    level = above;
  }
  return all;
}

export function root(h: HashFunction, leaves: Bytes[]): Bytes {
  return levels(h, leaves).at(-1)![0] ?? ZERO_HASH;
}

export function commit(name: string, root: Bytes, count: bigint | number): Bytes {
  return keccak256(concat(tag(name), bigEndian(count, 8), root));
}

/** The commitment to a list of hashes. */
export function commitHashes(name: string, hashes: Bytes[]): Bytes {
  return commit(name, root(keccak256, hashes.map((hash) => leaf(keccak256, hash))), hashes.length);
}

/** Place of a leaf, and siblings from the lowest level up; levels without a sibling are left out. */
export const path = struct({ index: u64, siblings: list(hash) });
export type Path = Of<typeof path>;

/** Where a path leads from a leaf in a tree of `count` leaves. */
export function follow(h: HashFunction, path: Path, leaf: Bytes, count: bigint): Bytes {
  const siblings = [...path.siblings];
  const sibling = () => {
    const next = siblings.shift();
    if (next === undefined) throw new Refused("path");
    return next;
  };
  refuseIf(path.index >= count, "path");
  let at = leaf;
  for (let [index, width] = [path.index, count]; width > 1n; index /= 2n, width = (width + 1n) / 2n) {
    if (index % 2n === 1n) at = node(h, sibling(), at);
    else if (index + 1n < width) at = node(h, at, sibling());
  }
  refuseIf(siblings.length > 0, "path");
  return at;
}

export const treeKind: Kind<Path[]> = {
  codec: list(path),
  hashes(_paths, context) {
    const h = hashFunction(context.text("function"));
    const leaves = context.list("contents").map((content) => leaf(h, fromHex(String(content))));
    const top = root(h, leaves);
    return {
      leaves: leaves.map(toHex),
      root: toHex(top),
      commitment: toHex(commit(context.text("tag"), top, leaves.length)),
    };
  },
  judge(paths, context) {
    const h = hashFunction(context.text("function"));
    const leaves = context.list("contents").map((content) => leaf(h, fromHex(String(content))));
    const top = root(h, leaves);
    leaves.forEach((leaf, place) => {
      const path = paths[place];
      const fine = path !== undefined && path.index === BigInt(place)
        && equal(follow(h, path, leaf, BigInt(leaves.length)), top);
      refuseIf(!fine, `path of leaf ${place}`);
    });
    refuseIf(paths.length > leaves.length, "more paths than leaves");
    return null;
  },
};

export const pathKind: Kind<Path> = {
  codec: path,
  hashes(_path, context) {
    const h = hashFunction(context.text("function"));
    return { leaf: toHex(leaf(h, context.bytes("content"))) };
  },
  judge(path, context) {
    const h = hashFunction(context.text("function"));
    return toHex(follow(h, path, leaf(h, context.bytes("content")), context.number("count")));
  },
};
