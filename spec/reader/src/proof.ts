/** Proofs of what a namespace has in a block (protocol section 7). */

import { type Bytes, equal, toHex } from "./bytes.ts";
import { type Of, type Struct, encode, list, option, struct, u64 } from "./borsh.ts";
import { certificate, checkCertificate } from "./certificate.ts";
import { committeeOf, validatorsHash } from "./committee.ts";
import { keccak256 } from "./hash.ts";
import { blockId, header } from "./header.ts";
import type { JsonObject } from "./json.ts";
import type { Context, Kind } from "./kind.ts";
import { follow, path } from "./merkle.ts";
import { Refused, refuseIf, within } from "./refusal.ts";
import { provenResult, resultsRootOf } from "./results.ts";
import {
  type SliceLeaf, NO_SLICES, commitSlices, entry, leafHash, leafOf, leavesOf, sliceLeaf, slicesRoot,
} from "./slice.ts";

const placedLeaf = option(struct({ leaf: sliceLeaf, path }));

/** Count of leaves; for an absent namespace its neighbours, for a present one its leaf. */
export const sliceProof = struct({ count: u64, before: placedLeaf, at: placedLeaf, after: placedLeaf });
type SliceProof = Of<typeof sliceProof>;

/** Whether what a path leads to is this; a path that fits no tree leads nowhere. */
export function leadsTo(root: () => Bytes, expected: Bytes): boolean {
  try {
    return equal(root(), expected);
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

/** Whether a path leads from its leaf to the commitment in a tree of `count` leaves. */
function leads({ leaf, path }: NonNullable<Of<typeof placedLeaf>>, count: bigint, slicesRoot: Bytes): boolean {
  return leadsTo(() => commitSlices(follow(keccak256, path, leafHash(leaf), count), count), slicesRoot);
}

/** A namespace's leaf, or null if it is shown to have none. */
export function checkProof(
  { count, before, at, after }: SliceProof, namespace: bigint, slicesRoot: Bytes,
): SliceLeaf | null {
  for (const placed of [before, at, after]) {
    refuseIf(placed !== null && !leads(placed, count, slicesRoot), "root");
  }
  if (at !== null) {
    refuseIf(before !== null || after !== null, "ambiguous");
    refuseIf(at.leaf.namespace !== namespace, "wrong_namespace");
    return at.leaf;
  }
  if (before === null && after === null) {
    refuseIf(count !== 0n || !equal(slicesRoot, NO_SLICES), "ambiguous");
    return null;
  }
  const around = (before === null || before.leaf.namespace < namespace)
    && (after === null || after.leaf.namespace > namespace);
  const next = before === null ? 0n : before.path.index + 1n;
  const end = after === null ? count : after.path.index;
  refuseIf(!around || next !== end, "not_adjacent");
  return null;
}

function showLeaf(leaf: SliceLeaf | null) {
  return leaf === null ? null : sliceLeaf.show(leaf);
}

export const sliceProofKind: Kind<SliceProof> = {
  codec: sliceProof,
  hashes: (_proof, context) => ({ slices_root: toHex(slicesRoot(leavesOf(context))) }),
  judge: (proof, context) =>
    showLeaf(checkProof(proof, context.number("namespace"), slicesRoot(leavesOf(context)))),
};

/** The headers of a height and the next, and the next one's certificate. */
export const spine = { header, child: header, certificate };
type Spine = Struct<typeof spine>;

/** Refuses headers that a quorum of the child's committee has not decided. */
export function checkSpine({ header, child, certificate }: Spine, context: Context): void {
  const chainId = context.number("chain_id");
  const members = committeeOf(context);
  refuseIf(header.chain_id !== chainId || child.chain_id !== chainId, "chain_id");
  refuseIf(!equal(child.parent, blockId(header)) || child.height !== header.height + 1n, "not_parent");
  refuseIf(!equal(child.validators_hash, validatorsHash(members)), "wrong_committee");
  const itsCertificate = equal(certificate.block, blockId(child)) && certificate.height === child.height;
  refuseIf(!itsCertificate, "wrong_certificate");
  within("certificate", () => checkCertificate(certificate, chainId, members));
}

export function showSpine({ header, child }: Spine, context: Context): JsonObject {
  return {
    validators_hash: toHex(validatorsHash(committeeOf(context))),
    header: toHex(blockId(header)),
    child: toHex(blockId(child)),
  };
}

/** A slice of one height; with a head, the lot that it was sold for. */
const provenSlice = struct({
  ...spine,
  proof: sliceProof,
  entries: list(entry),
  lot: option(provenResult),
});
type ProvenSlice = Of<typeof provenSlice>;

/** Refuses a head that is not shown to be that of the namespace's lot, a second one, and a lot without a head. */
function checkHead({ child, entries, lot }: ProvenSlice, namespace: bigint): void {
  const [first, ...others] = entries;
  refuseIf(others.some(({ is }) => is === "head"), "wrong_head");
  if (first?.is !== "head") return refuseIf(lot !== null, "wrong_head");
  if (lot?.result.is !== "lot") throw new Refused("wrong_head");
  const { transaction, bidder } = first.of;
  const sold = lot.result.of;
  const itsLot = sold.namespace === namespace && equal(sold.bid, transaction) && equal(sold.bidder, bidder);
  refuseIf(!itsLot || !leadsTo(() => resultsRootOf(lot), child.parent_outcome.results_root), "wrong_head");
}

export const provenSliceKind: Kind<ProvenSlice> = {
  codec: provenSlice,
  hashes: showSpine,
  judge(value, context) {
    const { child, proof, entries } = value;
    const namespace = context.number("namespace");
    checkSpine(value, context);
    const leaf = within("proof", () => checkProof(proof, namespace, child.parent_outcome.slices_root));
    const delivered = entries.length === 0 ? null : leafOf({ namespace, entries });
    const bytes = (of: SliceLeaf | null) => (of === null ? new Uint8Array() : encode(sliceLeaf, of));
    refuseIf(!equal(bytes(leaf), bytes(delivered)), "wrong_entries");
    checkHead(value, namespace);
    return showLeaf(leaf);
  },
};
