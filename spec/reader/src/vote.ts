/** Votes and proposals (protocol section 3). */

import { type Bytes, ZERO_HASH, bigEndian, concat, toHex } from "./bytes.ts";
import { type Of, hash, option, struct, u32, u64 } from "./borsh.ts";
import { keccak256 } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { type Slot, phase, showSigning, signer } from "./signature.ts";

const NO_POL_ROUND = 0xffffffff;

const vote = struct({ kind: phase, height: u64, round: u32, block: option(hash) });
type Vote = Of<typeof vote>;

function voteSlot({ kind, height, round }: Vote): Slot {
  return { is: "vote", of: { kind, height, round } };
}

export const voteKind: Kind<Vote> = {
  codec: vote,
  hashes: (value, context) => ({
    signing: showSigning(voteSlot(value), context.number("chain_id"), value.block ?? ZERO_HASH),
  }),
  judge: (value, context) =>
    toHex(signer(voteSlot(value), context.number("chain_id"), value.block ?? ZERO_HASH, context.bytes("signature"))),
};

const proposal = struct({ height: u64, round: u32, block: hash, pol_round: option(u32) });
type Proposal = Of<typeof proposal>;

function proposalSlot({ height, round }: Proposal): Slot {
  return { is: "proposal", of: { height, round } };
}

function bodyPreimage({ block, pol_round }: Proposal): Bytes {
  return concat(block, bigEndian(pol_round ?? NO_POL_ROUND, 4));
}

export const proposalKind: Kind<Proposal> = {
  codec: proposal,
  hashes(value, context) {
    const body = bodyPreimage(value);
    return {
      body_preimage: toHex(body),
      signing: showSigning(proposalSlot(value), context.number("chain_id"), keccak256(body)),
    };
  },
  judge(value, context) {
    const bodyHash = keccak256(bodyPreimage(value));
    return toHex(signer(proposalSlot(value), context.number("chain_id"), bodyHash, context.bytes("signature")));
  },
};
