/** Certificates: precommits of a quorum (protocol section 4). */

import { toHex } from "./bytes.ts";
import { type Of, hash, list, struct, u16, u32, u64 } from "./borsh.ts";
import { type Member, committeeOf, isQuorum, validatorsHash } from "./committee.ts";
import type { Kind } from "./kind.ts";
import { Refused, ascending, refuseIf } from "./refusal.ts";
import { PRECOMMIT, type Slot, checkSigner, showSigning, signature } from "./signature.ts";

export const certificate = struct({
  height: u64,
  round: u32,
  block: hash,
  signatures: list(struct({ member: u16, signature })),
});
export type Certificate = Of<typeof certificate>;

function slotOf({ height, round }: Certificate): Slot {
  return { is: "vote", of: { kind: PRECOMMIT, height, round } };
}

export function checkCertificate(value: Certificate, chainId: bigint, members: Member[]): void {
  refuseIf(!ascending(value.signatures, (a, b) => a.member - b.member), "unsorted");
  const votes = value.signatures.map(({ member, signature }) => {
    const voter = members[member];
    if (voter === undefined) throw new Refused("unknown_member");
    return { voter, signature };
  });
  refuseIf(!isQuorum(members, votes.reduce((sum, { voter }) => sum + voter.seats, 0n)), "no_quorum");
  for (const { voter, signature } of votes) {
    checkSigner(voter.address, slotOf(value), chainId, value.block, signature);
  }
}

export const certificateKind: Kind<Certificate> = {
  codec: certificate,
  hashes: (value, context) => ({
    validators_hash: toHex(validatorsHash(committeeOf(context))),
    signing: showSigning(slotOf(value), context.number("chain_id"), value.block),
  }),
  judge(value, context) {
    checkCertificate(value, context.number("chain_id"), committeeOf(context));
    return null;
  },
};
