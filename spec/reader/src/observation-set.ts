/** The observations of a block, encoded together (protocol section 4). */

import { type Bytes, ZERO_HASH, compare, concat, toHex } from "./bytes.ts";
import {
  type Codec, type Input, type Output, Malformed, hash, list, readVarint, u16, u64, u8, writeVarint,
} from "./borsh.ts";
import type { Kind } from "./kind.ts";
import { commitHashes } from "./merkle.ts";
import {
  type L1Block, type LaneView, type Observation,
  MOST_BATCHES, MOST_L1_BLOCKS, MOST_LANES, l1Block, observation, observationHash, readIndex, readLane,
  readNumber, slotOf, times, writeLanes,
} from "./observation.ts";
import { ascending } from "./refusal.ts";
import { signature, signer } from "./signature.ts";

const MOST_MEMBERS = 256;
const NOT_NAMED = 0;
const FAR = 15;
/** In the count of lanes: some are outside of the table. */
const OUTSIDE = 0x8000;

/** A lane of the block and the sequences of batches that observers report of it. */
interface Lane {
  author: number;
  incarnation: number;
  chains: Bytes[][];
}

const orderOfLanes = (a: Lane | LaneView, b: Lane | LaneView) => a.author - b.author || a.incarnation - b.incarnation;

// An L1 block's order is that of its 64 bytes, so that chains of both kinds sort alike.
const blockBytes = (block: L1Block) => concat(block.hash, block.events_digest);
const blockOf = (bytes: Bytes): L1Block => ({ hash: bytes.subarray(0, 32), events_digest: bytes.subarray(32) });

function compareSequences(a: Bytes[], b: Bytes[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compare(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function begins(sequence: Bytes[], chain: Bytes[]): boolean {
  return sequence.length <= chain.length && compareSequences(sequence, chain.slice(0, sequence.length)) === 0;
}

/** The sequences that begin no other, ascending, each once. */
function chainsOf(sequences: Bytes[][]): Bytes[][] {
  const sorted = sequences.filter((sequence) => sequence.length > 0).sort(compareSequences);
  return sorted.filter((sequence, i) => {
    const next = sorted[i + 1];
    return next === undefined || !begins(sequence, next);
  });
}

function readChains(input: Input, item: Codec<Bytes>, longest: number): Bytes[][] {
  const count = readVarint(input);
  if (count > BigInt(MOST_MEMBERS)) throw new Malformed("too many chains");
  return times(Number(count), () => {
    const length = u8.read(input);
    if (length === 0 || length > longest) throw new Malformed(`chain of ${length}`);
    return times(length, () => item.read(input));
  });
}

function writeChains(output: Output, item: Codec<Bytes>, chains: Bytes[][]): void {
  writeVarint(output, chains.length);
  for (const chain of chains) {
    u8.write(output, chain.length);
    chain.forEach((each) => item.write(output, each));
  }
}

/** The first `length` items of a chain. */
function prefix(chains: Bytes[][], chain: bigint, length: number): Bytes[] {
  const items = chains[Number(chain)];
  if (items === undefined || length > items.length) throw new Malformed("prefix of no chain");
  return items.slice(0, length);
}

function chainOf(chains: Bytes[][], sequence: Bytes[]): number {
  return chains.findIndex((chain) => begins(sequence, chain));
}

const l1Item: Codec<Bytes> = {
  read: (input) => blockBytes(l1Block.read(input)),
  write: (output, bytes) => l1Block.write(output, blockOf(bytes)),
  show: toHex,
};

function readViews(input: Input, lanes: Lane[]): LaneView[] {
  const nibbles = times(Math.ceil(lanes.length / 2), () => u8.read(input)).flatMap((byte) => [byte & 15, byte >> 4]);
  if (nibbles.slice(lanes.length).some((nibble) => nibble !== 0)) throw new Malformed("padding is not 0");
  const views: LaneView[] = [];
  lanes.forEach(({ author, incarnation, chains }, i) => {
    const nibble = nibbles[i]!;
    if (nibble === NOT_NAMED) return;
    if (nibble !== FAR && nibble > MOST_BATCHES) throw new Malformed(`nibble ${nibble}`);
    const [chain, length] = nibble === FAR ? [readVarint(input), u8.read(input)] : [0n, nibble];
    if (length === 0) throw new Malformed("a lane that is named names a batch");
    views.push({ author, incarnation, digests: prefix(chains, chain, length), ages_ms: [] });
  });
  for (const view of views) view.ages_ms = view.digests.map(() => u16.read(input));
  return views;
}

/** Writes what the table has of an observer's views, and returns the rest. */
function writeViews(output: Output, lanes: Lane[], views: LaneView[]): LaneView[] {
  const nibbles = times(2 * Math.ceil(lanes.length / 2), () => NOT_NAMED);
  const far: [chain: number, length: number][] = [];
  const place = (view: LaneView) => lanes.findIndex((lane) => orderOfLanes(lane, view) === 0);
  const inside = views.filter((view) => place(view) >= 0);
  for (const view of inside) {
    const at = place(view);
    const chain = chainOf(lanes[at]!.chains, view.digests);
    nibbles[at] = chain === 0 ? view.digests.length : FAR;
    if (chain !== 0) far.push([chain, view.digests.length]);
  }
  for (let i = 0; i < nibbles.length; i += 2) u8.write(output, nibbles[i]! | (nibbles[i + 1]! << 4));
  for (const [chain, length] of far) {
    writeVarint(output, chain);
    u8.write(output, length);
  }
  for (const age of inside.flatMap((view) => view.ages_ms)) u16.write(output, age);
  return views.filter((view) => place(view) < 0);
}

/** An observer's views with those outside of the table, in order. */
function withOutside(input: Input, inside: LaneView[]): LaneView[] {
  const count = readVarint(input);
  if (count > BigInt(MOST_LANES - inside.length)) throw new Malformed("too many lanes");
  const outside: LaneView[] = [];
  for (let i = 0; i < Number(count); i++) outside.push(readLane(input, outside.at(-1)?.author ?? 0));
  const views = [...inside, ...outside].sort(orderOfLanes);
  if (!ascending(views, orderOfLanes)) throw new Malformed("a lane twice");
  return views;
}

/** The lanes of the table in order, and whether there are others: most named first, then the least. */
function lanesOf(observations: Observation[]): [lanes: Lane[], someOutside: boolean] {
  const views = observations.flatMap(({ body }) => body.lanes).sort(orderOfLanes);
  const all: LaneView[][] = [];
  for (const view of views) {
    const last = all.at(-1);
    if (last !== undefined && orderOfLanes(last[0]!, view) === 0) last.push(view);
    else all.push([view]);
  }
  const table = [...all]
    .sort((a, b) => b.length - a.length || orderOfLanes(a[0]!, b[0]!))
    .slice(0, MOST_LANES)
    .sort((a, b) => orderOfLanes(a[0]!, b[0]!));
  const lanes = table.map((own) => {
    const { author, incarnation } = own[0]!;
    return { author, incarnation, chains: chainsOf(own.map((view) => view.digests)) };
  });
  return [lanes, all.length > MOST_LANES];
}

/** A difference as an unsigned number, modulo 2^64: small distances are small numbers. */
function zigzag(difference: bigint): bigint {
  const signed = BigInt.asIntN(64, difference);
  return BigInt.asUintN(64, (signed << 1n) ^ (signed >> 63n));
}

function unzigzag(code: bigint): bigint {
  return (code >> 1n) ^ -(code & 1n);
}

export const observationSet: Codec<Observation[]> = {
  read(input) {
    const height = u64.read(input);
    const parent = hash.read(input);

    const counted = u16.read(input);
    const [laneCount, someOutside] = [counted & ~OUTSIDE, (counted & OUTSIDE) !== 0];
    if (laneCount > MOST_LANES) throw new Malformed("too many lanes");
    const lanes: Lane[] = [];
    for (let i = 0; i < laneCount; i++) {
      const author = readIndex(input, lanes.at(-1)?.author ?? 0);
      const incarnation = readNumber(input, 32n);
      lanes.push({ author, incarnation, chains: readChains(input, hash, MOST_BATCHES) });
    }
    if (!ascending(lanes, orderOfLanes)) throw new Malformed("lanes not ascending");
    const l1Chains = readChains(input, l1Item, MOST_L1_BLOCKS);

    const observerCount = u16.read(input);
    if (observerCount > MOST_MEMBERS) throw new Malformed("too many observers");
    const observations: Observation[] = [];
    for (let i = 0; i < observerCount; i++) {
      const before = observations.at(-1)?.body;
      const observer = readIndex(input, before?.observer ?? 0);
      if (before !== undefined && observer === before.observer) throw new Malformed("observers not ascending");
      const clock_ms = BigInt.asUintN(64, (before?.clock_ms ?? 0n) + unzigzag(readVarint(input)));
      const signed = signature.read(input);
      const l1Length = u8.read(input);
      const l1 = l1Length === 0 ? [] : prefix(l1Chains, readVarint(input), l1Length).map(blockOf);
      const inside = readViews(input, lanes);
      const views = someOutside ? withOutside(input, inside) : inside;
      const body = { height, parent, observer, clock_ms, lanes: views, l1 };
      observations.push({ body, signature: signed });
    }
    return observations;
  },
  write(output, observations) {
    u64.write(output, observations[0]?.body.height ?? 0n);
    hash.write(output, observations[0]?.body.parent ?? ZERO_HASH);

    const [lanes, someOutside] = lanesOf(observations);
    u16.write(output, lanes.length | (someOutside ? OUTSIDE : 0));
    let author = 0;
    for (const lane of lanes) {
      writeVarint(output, lane.author - author);
      author = lane.author;
      writeVarint(output, lane.incarnation);
      writeChains(output, hash, lane.chains);
    }
    const l1Chains = chainsOf(observations.map(({ body }) => body.l1.map(blockBytes)));
    writeChains(output, l1Item, l1Chains);

    u16.write(output, observations.length);
    let [observer, clock] = [0, 0n];
    for (const { body, signature: signed } of observations) {
      writeVarint(output, body.observer - observer);
      writeVarint(output, zigzag(body.clock_ms - clock));
      [observer, clock] = [body.observer, body.clock_ms];
      signature.write(output, signed);
      u8.write(output, body.l1.length);
      if (body.l1.length > 0) writeVarint(output, chainOf(l1Chains, body.l1.map(blockBytes)));
      const outside = writeViews(output, lanes, body.lanes);
      if (someOutside) {
        writeVarint(output, outside.length);
        writeLanes(output, outside);
      }
    }
  },
  show: list(observation).show,
};

export function observationsRoot(hashes: Bytes[]): Bytes {
  return commitHashes("weft/observations/v1", hashes);
}

export const observationSetKind: Kind<Observation[]> = {
  codec: observationSet,
  hashes(observations) {
    const hashes = observations.map(observationHash);
    return { hashes: hashes.map(toHex), observations_root: toHex(observationsRoot(hashes)) };
  },
  judge(observations, context) {
    const chainId = context.number("chain_id");
    const signers = observations.map((each) => signer(slotOf(each), chainId, observationHash(each), each.signature));
    return { signers: signers.map(toHex) };
  },
};
