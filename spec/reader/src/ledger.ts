/** Ledger entries, the root over them, and the state that a genesis stands for (protocol sections 6 and 10). */

import { type Bytes, toHex } from "./bytes.ts";
import { type Codec, type Of, Malformed, address, encode, hash, list, nothing, option, struct, u128, u32, u64, u8, variants } from "./borsh.ts";
import { type Member, checkCommittee, dealSeats, members } from "./committee.ts";
import { type Genesis, genesis } from "./genesis.ts";
import { blake3, stretch } from "./hash.ts";
import { NO_KEY, outcome } from "./header.ts";
import type { Kind } from "./kind.ts";
import { Refused } from "./refusal.ts";
import { NO_RESULTS } from "./results.ts";
import { NO_SLICES } from "./slice.ts";
import { settings } from "./transaction.ts";
import { NO_WITHDRAWALS } from "./withdrawal.ts";

const WORDS = 1024;

/** Members that make a committee; others are no encoding of one. */
const committee: Codec<Member[]> = {
  ...members,
  read(input) {
    const read = members.read(input);
    try {
      checkCommittee(read);
    } catch (error) {
      if (error instanceof Refused) throw new Malformed(`committee: ${error.reason}`);
      throw error;
    }
    return read;
  },
};

const peaks = struct({ count: u64, peaks: list(hash) });
type Peaks = Of<typeof peaks>;

/** Roots of the largest perfect subtrees: one for each 1 in the count. Another number of them is no encoding. */
const withdrawals: Codec<Peaks> = {
  ...peaks,
  read(input) {
    const read = peaks.read(input);
    const ones = read.count.toString(2).replaceAll("0", "").length;
    if (read.peaks.length !== ones) throw new Malformed(`${read.peaks.length} peaks of ${read.count} withdrawals`);
    return read;
  },
};

const price = struct({ base_fee: u128, at_ms: u64 });

const namespace = struct({
  settings,
  price,
  tokens: u64,
  tokens_at_ms: u64,
  reserve: u128,
  reserve_at: u64,
  earned: u128,
  held_by: option(hash),
  standing: struct({ strikes: u8, level: u8, suspended_until: u64 }),
});

/** An atomic bundle that holds its namespaces, and what their executors have said. */
const undecided = struct({
  height: u64,
  bidder: address,
  amount: u128,
  locked: u128,
  deadline: struct({ time_ms: u64, non_empty_blocks: u64, height: u64 }),
  legs: list(struct({
    namespace: u64,
    reserve: u128,
    price: u128,
    share: u128,
    executors: list(address),
    quorum: u8,
    bond: u128,
    verdicts: list(struct({
      executor: address,
      verdict: variants({ fails: [0, nothing], does: [1, hash], void: [2, nothing] }),
    })),
  })),
});

const key = variants({
  clock: [0, nothing],
  global_price: [1, nothing],
  burned: [2, nothing],
  committee: [3, nothing],
  account: [4, address],
  namespace: [5, u64],
  validator: [6, address],
  lane: [7, address],
  remembered: [8, struct({ valid_until: u64, id: hash })],
  withdrawals: [9, nothing],
  stake: [10, address],
  next_committee: [11, nothing],
  relay: [12, nothing],
  collateral: [13, address],
  release: [14, struct({ at_ms: u64, account: address })],
  undecided: [15, hash],
});

const value = variants({
  clock: [
    0,
    struct({ height: u64, time_ms: u64, non_empty_blocks: u64, l1_origin: struct({ number: u64, hash }) }),
  ],
  global_price: [1, price],
  wei: [2, u128],
  committee: [3, committee],
  namespace: [4, namespace],
  validator: [5, struct({ last_seen: u64, debt: u128, earned: u128 })],
  lane: [6, struct({ incarnation: u32, seq: u64, digest: hash, carry: u32 })],
  height: [7, u64],
  withdrawals: [8, withdrawals],
  relay: [9, struct({ pool: u128, paid_at: u64 })],
  undecided: [10, undecided],
});

const entry = struct({ key, value });
type Entry = Of<typeof entry>;

/** The sum over all entries of their words, and the hash of that. */
function ledgerRoot(entries: Entry[]): Bytes {
  const sum = new Uint16Array(WORDS);
  for (const each of entries) {
    const words = stretch(encode(entry, each), 2 * WORDS);
    for (let i = 0; i < WORDS; i++) sum[i]! += words[2 * i]! | (words[2 * i + 1]! << 8);
  }
  const bytes = Uint8Array.from({ length: 2 * WORDS }, (_, i) => sum[i >> 1]! >> (8 * (i & 1)));
  return blake3(bytes);
}

/** The committee that follows the first one when its epoch ends. */
function nextCommittee({ params, validators, stakes }: Genesis): Member[] {
  return stakes.length === 0 ? validators : dealSeats(stakes, params.committee_size);
}

/** What is there of L1 at genesis, in order of key. */
function entriesOfL1(of: Genesis): Entry[] {
  const stakes = of.stakes.map(({ validator, stake }): Entry => {
    return { key: { is: "stake", of: validator }, value: { is: "wei", of: stake } };
  });
  const relay = { pool: 0n, paid_at: of.l1_origin.number };
  return [
    { key: { is: "withdrawals", of: null }, value: { is: "withdrawals", of: { count: 0n, peaks: [] } } },
    ...stakes,
    { key: { is: "next_committee", of: null }, value: { is: "committee", of: nextCommittee(of) } },
    { key: { is: "relay", of: null }, value: { is: "relay", of: relay } },
  ];
}

/** A genesis as entries, in order of key. */
function entriesOf(of: Genesis): Entry[] {
  const { time_ms, l1_origin, params, validators, accounts, namespaces } = of;
  const floor = { base_fee: params.min_base_fee, at_ms: time_ms };
  const clock = { height: 0n, time_ms, non_empty_blocks: 0n, l1_origin };
  const entries: Entry[] = [
    { key: { is: "clock", of: null }, value: { is: "clock", of: clock } },
    { key: { is: "global_price", of: null }, value: { is: "global_price", of: floor } },
    { key: { is: "burned", of: null }, value: { is: "wei", of: 0n } },
    { key: { is: "committee", of: null }, value: { is: "committee", of: validators } },
  ];
  for (const { address, balance } of accounts) {
    if (balance > 0n) entries.push({ key: { is: "account", of: address }, value: { is: "wei", of: balance } });
  }
  for (const { namespace, settings } of namespaces) {
    const tokens = settings.quota?.burst_bytes ?? 0n;
    const auction = { reserve: 0n, reserve_at: 0n, earned: 0n };
    const atomic = { held_by: null, standing: { strikes: 0, level: 0, suspended_until: 0n } };
    const content = { settings, price: floor, tokens, tokens_at_ms: time_ms, ...auction, ...atomic };
    entries.push({ key: { is: "namespace", of: namespace }, value: { is: "namespace", of: content } });
  }
  for (const { address } of validators) {
    const record = { last_seen: 0n, debt: 0n, earned: 0n };
    entries.push({ key: { is: "validator", of: address }, value: { is: "validator", of: record } });
  }
  return [...entries, ...entriesOfL1(of)];
}

export const ledgerStateKind: Kind<Entry[]> = {
  codec: list(entry),
  hashes: (entries) => ({
    elements: entries.map((each) => toHex(encode(entry, each))),
    ledger_root: toHex(ledgerRoot(entries)),
  }),
  judge: () => null,
};

export const ledgerGenesisKind: Kind<Genesis> = {
  codec: genesis,
  hashes: (value) => ({ entries: entriesOf(value).map((each) => toHex(encode(entry, each))) }),
  judge: (value) =>
    outcome.show({
      ledger_root: ledgerRoot(entriesOf(value)),
      slices_root: NO_SLICES,
      results_root: NO_RESULTS,
      withdrawals_root: NO_WITHDRAWALS,
      unseal_key: NO_KEY,
    }),
};
