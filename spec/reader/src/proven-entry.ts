/** One entry of a slice with all that proves it (protocol sections 7 and 9). */

import { toHex } from "./bytes.ts";
import { type Of, option, struct } from "./borsh.ts";
import { blake3 } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { legs, standsFor } from "./legs.ts";
import { follow, path } from "./merkle.ts";
import { checkProof, checkSpine, leadsTo, showSpine, sliceProof, spine } from "./proof.ts";
import { Refused, refuseIf, within } from "./refusal.ts";
import { entry, entryLeaf, sliceLeaf } from "./slice.ts";

/** With a head or a leg come all legs of its bid or bundle. */
const provenEntry = struct({ ...spine, proof: sliceProof, entry, path, legs: option(legs) });
type ProvenEntry = Of<typeof provenEntry>;

/** Refuses legs that are not the entry's and its siblings, and legs of what has none. */
function checkLegs({ entry, legs }: ProvenEntry, namespace: bigint): void {
  if (entry.is !== "head" && entry.is !== "leg") return refuseIf(legs !== null, "wrong_legs");
  const { place, data } = entry.of;
  refuseIf(legs === null || !standsFor(place, legs, namespace, data), "wrong_legs");
}

export const provenEntryKind: Kind<ProvenEntry> = {
  codec: provenEntry,
  hashes: (value, context) => ({ ...showSpine(value, context), leaf: toHex(entryLeaf(value.entry)) }),
  judge(value, context) {
    const { child, proof, entry, path } = value;
    const namespace = context.number("namespace");
    checkSpine(value, context);
    const leaf = within("proof", () => checkProof(proof, namespace, child.parent_outcome.slices_root));
    if (leaf === null) throw new Refused("wrong_entries");
    const root = () => follow(blake3, path, entryLeaf(entry), BigInt(leaf.entries));
    refuseIf(!leadsTo(root, leaf.data_root), "wrong_entries");
    checkLegs(value, namespace);
    return { index: path.index.toString(), leaf: sliceLeaf.show(leaf) };
  },
};
