/** Observations (protocol section 4). */

import { type Bytes, toHex } from "./bytes.ts";
import {
  type Input, type Of, type Output, type StructCodec, Malformed, encode, hash, list, readVarint, struct, u16, u32, u64, u8,
  writeVarint,
} from "./borsh.ts";
import { committeeOf, validatorsHash } from "./committee.ts";
import { keccak256 } from "./hash.ts";
import type { Kind } from "./kind.ts";
import { ascending, refuseIf } from "./refusal.ts";
import { type Slot, checkSigner, showSigning, signed } from "./signature.ts";

/** K: most batches of one author that an observation names. */
export const MOST_BATCHES = 4;
export const MOST_L1_BLOCKS = 8;
/** Two of each member. */
export const MOST_LANES = 512;

export const l1Block = struct({ hash, events_digest: hash });
export type L1Block = Of<typeof l1Block>;

export interface LaneView {
  author: number;
  incarnation: number;
  digests: Bytes[];
  ages_ms: number[];
}

export interface ObservationBody {
  height: bigint;
  parent: Bytes;
  observer: number;
  clock_ms: bigint;
  lanes: LaneView[];
  l1: L1Block[];
}

/** The same fields in plain borsh: for JSON only. */
const shown = struct({
  height: u64,
  parent: hash,
  observer: u16,
  clock_ms: u64,
  lanes: list(struct({ author: u16, incarnation: u32, digests: list(hash), ages_ms: list(u16) })),
  l1: list(l1Block),
});

export function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

/** A varint that must fit into so many bits. */
export function readNumber(input: Input, bits: bigint): number {
  const value = readVarint(input);
  if (value >> bits !== 0n) throw new Malformed(`number above ${bits} bits`);
  return Number(value);
}

/** An index in the committee, as a difference to the one before. */
export function readIndex(input: Input, before: number): number {
  const index = before + readNumber(input, 16n);
  if (index > 0xffff) throw new Malformed("index above 16 bits");
  return index;
}

/** A lane as an observation has it. */
export function readLane(input: Input, authorBefore: number): LaneView {
  const author = readIndex(input, authorBefore);
  const code = readVarint(input);
  const batches = Number(code % 4n) + 1;
  if (code / 4n >= 1n << 32n) throw new Malformed("incarnation above 32 bits");
  return {
    author,
    incarnation: Number(code / 4n),
    digests: times(batches, () => hash.read(input)),
    ages_ms: times(batches, () => u16.read(input)),
  };
}

export function writeLanes(output: Output, lanes: LaneView[]): void {
  let author = 0;
  for (const lane of lanes) {
    writeVarint(output, lane.author - author);
    author = lane.author;
    writeVarint(output, BigInt(lane.incarnation) * 4n + BigInt(lane.digests.length - 1));
    lane.digests.forEach((digest) => hash.write(output, digest));
    lane.ages_ms.forEach((age) => u16.write(output, age));
  }
}

const body: StructCodec<ObservationBody> = {
  read(input) {
    const height = u64.read(input);
    const parent = hash.read(input);
    const observer = u16.read(input);
    const clock_ms = u64.read(input);
    const count = u16.read(input);
    if (count > MOST_LANES) throw new Malformed("too many lanes");
    const lanes: LaneView[] = [];
    for (let i = 0; i < count; i++) lanes.push(readLane(input, lanes.at(-1)?.author ?? 0));
    const blocks = u8.read(input);
    if (blocks > MOST_L1_BLOCKS) throw new Malformed("too many L1 blocks");
    const l1 = times(blocks, () => l1Block.read(input));
    return { height, parent, observer, clock_ms, lanes, l1 };
  },
  write(output, value) {
    u64.write(output, value.height);
    hash.write(output, value.parent);
    u16.write(output, value.observer);
    u64.write(output, value.clock_ms);
    u16.write(output, value.lanes.length);
    writeLanes(output, value.lanes);
    u8.write(output, value.l1.length);
    value.l1.forEach((block) => l1Block.write(output, block));
  },
  show: shown.show,
};

export const observation = signed(body);
export type Observation = Of<typeof observation>;

export function observationHash(value: Observation): Bytes {
  return keccak256(encode(body, value.body));
}

export function slotOf({ body }: Observation): Slot {
  return { is: "observation", of: { height: body.height } };
}

export const observationKind: Kind<Observation> = {
  codec: observation,
  hashes: (value, context) => ({
    validators_hash: toHex(validatorsHash(committeeOf(context))),
    signing: showSigning(slotOf(value), context.number("chain_id"), observationHash(value)),
    hash: toHex(observationHash(value)),
  }),
  judge(value, context) {
    const members = committeeOf(context);
    const { observer, lanes } = value.body;
    const member = members[observer];
    refuseIf(member === undefined, "unknown_observer");
    refuseIf(lanes.some((lane) => lane.author >= members.length), "unknown_author");
    refuseIf(!ascending(lanes, (a, b) => a.author - b.author || a.incarnation - b.incarnation), "unsorted");
    for (const { author } of lanes) {
      const own = lanes.filter((lane) => lane.author === author);
      const batches = own.reduce((sum, lane) => sum + lane.digests.length, 0);
      refuseIf(own.length > 2 || batches > MOST_BATCHES, "too_much_of_author");
    }
    checkSigner(member!.address, slotOf(value), context.number("chain_id"), observationHash(value), value.signature);
    return { signer: toHex(member!.address) };
  },
};
