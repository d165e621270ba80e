/** Who holds seats, and what counts as enough of them (protocol sections 2, 4 and 10). */

import { type Bytes, bigEndian, compare, concat, fromHex, toHex } from "./bytes.ts";
import { type Of, address, list, seats, struct, u128 } from "./borsh.ts";
import { keccak256, tag } from "./hash.ts";
import { isObject } from "./json.ts";
import type { Context, Kind } from "./kind.ts";
import { ascending, refuseIf } from "./refusal.ts";

const MOST_MEMBERS = 256;
const MOST_SEATS = 1024n;
/** A stake above counts as this. */
const MOST_STAKE = 1n << 112n;

export const member = struct({ address, seats });
export type Member = Of<typeof member>;

export const members = list(member);

export const stake = struct({ validator: address, stake: u128 });
export type Stake = Of<typeof stake>;

function preimage(members: Member[]): Bytes {
  const each = members.map((member) => concat(member.address, bigEndian(member.seats, 8)));
  return concat(tag("weft/validators/v1"), bigEndian(members.length, 4), ...each);
}

export function validatorsHash(members: Member[]): Bytes {
  return keccak256(preimage(members));
}

export function totalSeats(members: Member[]): bigint {
  return members.reduce((sum, member) => sum + member.seats, 0n);
}

export function isQuorum(members: Member[], seats: bigint): boolean {
  return seats * 3n > totalSeats(members) * 2n;
}

/** Refuses what is no committee. */
export function checkCommittee(members: Member[]): void {
  refuseIf(members.length === 0 || members.length > MOST_MEMBERS, "size");
  refuseIf(!ascending(members, (a, b) => compare(a.address, b.address)), "unsorted");
  refuseIf(members.some((member) => member.seats === 0n), "seats");
  refuseIf(totalSeats(members) > MOST_SEATS, "seats");
}

/** Deals seats by highest averages; whom none is dealt is no member. There must be a stake. */
export function dealSeats(stakes: Stake[], size: number): Member[] {
  const dealt = stakes.map(({ validator, stake }) => {
    return { address: validator, stake: stake < MOST_STAKE ? stake : MOST_STAKE, seats: 0n };
  });
  for (let left = size; left > 0; left--) {
    // Fractions compare exactly. Stakes ascend by address, so that of equals the first one stays.
    const next = dealt.reduce((best, each) =>
      each.stake * (best.seats + 1n) > best.stake * (each.seats + 1n) ? each : best);
    next.seats++;
  }
  return dealt.filter(({ seats }) => seats > 0n).map(({ address, seats }) => ({ address, seats }));
}

/** The committee that a vector is checked against. */
export function committeeOf(context: Context): Member[] {
  return context.list("committee").map((member) => {
    if (!isObject(member)) throw new Error("context.committee holds no members");
    return { address: fromHex(String(member.address)), seats: BigInt(String(member.seats)) };
  });
}

export const committeeKind: Kind<Member[]> = {
  codec: members,
  hashes: (members) => ({
    preimage: toHex(preimage(members)),
    validators_hash: toHex(validatorsHash(members)),
  }),
  judge(members) {
    checkCommittee(members);
    const total = totalSeats(members);
    const least = (enough: (seats: bigint) => boolean) => {
      let seats = 0n;
      while (!enough(seats)) seats++;
      return seats.toString();
    };
    return {
      seats: total.toString(),
      quorum: least((seats) => isQuorum(members, seats)),
      support: least((seats) => seats * 3n > total),
      majority: least((seats) => seats * 2n > total),
    };
  },
};
