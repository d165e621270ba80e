/** Slices, their leaves and their root (protocol section 7). */

import { type Bytes, ZERO_HASH, bigEndian, concat, fromHex, toHex } from "./bytes.ts";
import { type Of, address, bytes, encode, hash, list, records, struct, u32, u64 } from "./borsh.ts";
import { blake3, keccak256 } from "./hash.ts";
import { isObject } from "./json.ts";
import type { Context, Kind } from "./kind.ts";
import { data, place } from "./legs.ts";
import { commit, leaf, root } from "./merkle.ts";
import { ascending, refuseIf } from "./refusal.ts";
import { decision } from "./results.ts";
import { mode } from "./transaction.ts";

export const entry = records({
  decision: [0, struct({ bundle: hash, decision })],
  head: [1, struct({ transaction: hash, bidder: address, mode, place, data })],
  forced: [2, struct({ index: u64, sender: address, data: bytes })],
  submission: [3, struct({ transaction: hash, submitter: address, data })],
  leg: [4, struct({ transaction: hash, submitter: address, place, data })],
});
export type Entry = Of<typeof entry>;

const slice = struct({ namespace: u64, entries: list(entry) });
export type Slice = Of<typeof slice>;

export const sliceLeaf = struct({ namespace: u64, entries: u32, bytes: u64, data_root: hash });
export type SliceLeaf = Of<typeof sliceLeaf>;

export function entryLeaf(of: Entry): Bytes {
  return leaf(blake3, encode(entry, of));
}

function entryLeaves({ entries }: Slice): Bytes[] {
  return entries.map(entryLeaf);
}

export function leafOf(slice: Slice): SliceLeaf {
  return {
    namespace: slice.namespace,
    entries: slice.entries.length,
    bytes: slice.entries.reduce((sum, each) => sum + BigInt(encode(entry, each).length), 0n),
    data_root: root(blake3, entryLeaves(slice)),
  };
}

function layout({ namespace, entries, bytes, data_root }: SliceLeaf): Bytes {
  return concat(bigEndian(namespace, 8), bigEndian(entries, 4), bigEndian(bytes, 8), data_root);
}

export function leafHash(of: SliceLeaf): Bytes {
  return leaf(keccak256, layout(of));
}

/** The commitment to a tree of so many namespaces. */
export function commitSlices(root: Bytes, count: bigint | number): Bytes {
  return commit("weft/slices/v1", root, count);
}

export const NO_SLICES = commitSlices(ZERO_HASH, 0);

export function slicesRoot(leaves: SliceLeaf[]): Bytes {
  return commitSlices(root(keccak256, leaves.map(leafHash)), leaves.length);
}

/** The leaves of the block that a proof is about. */
export function leavesOf(context: Context): SliceLeaf[] {
  return context.list("leaves").map((leaf) => {
    if (!isObject(leaf)) throw new Error("context.leaves holds no leaves");
    return {
      namespace: BigInt(String(leaf.namespace)),
      entries: Number(leaf.entries),
      bytes: BigInt(String(leaf.bytes)),
      data_root: fromHex(String(leaf.data_root)),
    };
  });
}

export const slicesKind: Kind<Slice[]> = {
  codec: list(slice),
  hashes: (slices) => ({
    slices: slices.map((slice) => {
      const leaf = leafOf(slice);
      return {
        entry_leaves: entryLeaves(slice).map(toHex),
        leaf: sliceLeaf.show(leaf),
        layout: toHex(layout(leaf)),
        leaf_hash: toHex(leafHash(leaf)),
      };
    }),
  }),
  judge(slices) {
    refuseIf(!ascending(slices, (a, b) => (a.namespace < b.namespace ? -1 : 1)), "unsorted");
    return toHex(slicesRoot(slices.map(leafOf)));
  },
};
