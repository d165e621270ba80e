/** Genesis and its block (protocol section 4). */

import { type Bytes, ZERO_ADDRESS, ZERO_HASH, compare, concat, toHex } from "./bytes.ts";
import { type Of, address, encode, hash, list, option, struct, u128, u16, u32, u64 } from "./borsh.ts";
import { batchesRoot, eventsRoot } from "./block.ts";
import { checkCommittee, members, stake, validatorsHash } from "./committee.ts";
import { keccak256, tag } from "./hash.ts";
import { type Header, NO_KEY, VERSION, blockId, header } from "./header.ts";
import type { Kind } from "./kind.ts";
import { observationsRoot } from "./observation-set.ts";
import { ascending, refuseIf, within } from "./refusal.ts";
import { checkSettings, settings } from "./transaction.ts";

/** The light client keeps the origin's number in 48 bits. */
const ORIGIN_NUMBERS = 1n << 48n;

/** What parts of a winning bid are parts of. */
const WHOLE = 10_000n;

/** The contracts on L1, and which chain that is. */
const contracts = struct({
  chain_id: u64,
  light_client: address,
  stake_registry: address,
  vault: address,
  inbox: address,
});

const params = struct({
  max_block_bytes: u32,
  max_validity_ms: u64,
  absence_window: u64,
  min_base_fee: u128,
  target_bytes_per_second: u64,
  namespace_target_bytes_per_second: u64,
  registration_fee: u128,
  committee_size: u16,
  epoch_ms: u64,
  relay_reward: u128,
  relay_interval: u64,
  bid_fee: u128,
  bid_penalty: u128,
  collateral_delay_ms: u64,
  auction_validators: u16,
  auction_burned: u16,
  hold_limit_ms: u64,
  hold_heights: u16,
  suspension_ms: u64,
});

export const genesis = struct({
  chain_id: u64,
  time_ms: u64,
  l1_origin: struct({ number: u64, hash }),
  l1: option(contracts),
  params,
  validators: members,
  stakes: list(stake),
  accounts: list(struct({ address, balance: u128 })),
  namespaces: list(struct({ namespace: u64, settings })),
});
export type Genesis = Of<typeof genesis>;

function checkParams(of: Of<typeof params>): void {
  const range = (name: keyof typeof of, least: bigint, most?: bigint) => {
    const value = BigInt(of[name]);
    refuseIf(value < least || (most !== undefined && value > most), `param/${name}`);
  };
  range("max_block_bytes", 256n * 1024n, 4n * 1024n * 1024n);
  range("max_validity_ms", 1_000n, 3_600_000n);
  range("absence_window", 1n);
  range("min_base_fee", 8n, 1n << 64n);
  range("target_bytes_per_second", 1n);
  range("namespace_target_bytes_per_second", 1n);
  range("committee_size", 1n, 256n);
  range("epoch_ms", 1_000n);
  range("relay_reward", 0n, 1n << 80n);
  range("bid_fee", 0n, 1n << 80n);
  range("bid_penalty", 0n, 1n << 80n);
  range("auction_validators", 0n, WHOLE);
  range("auction_burned", 0n, WHOLE - BigInt(of.auction_validators));
  range("hold_limit_ms", 1n, 60_000n);
  range("hold_heights", 4n, 1024n);
  range("suspension_ms", 0n, 86_400_000n);
}

function checkGenesis(value: Genesis): void {
  within("validators", () => checkCommittee(value.validators));
  refuseIf(value.l1_origin.number >= ORIGIN_NUMBERS, "l1_origin");
  refuseIf(!ascending(value.stakes, (a, b) => compare(a.validator, b.validator)), "unsorted/stakes");
  refuseIf(value.stakes.some(({ stake }) => stake === 0n), "no_stake");
  refuseIf(!ascending(value.accounts, (a, b) => compare(a.address, b.address)), "unsorted/accounts");
  refuseIf(!ascending(value.namespaces, (a, b) => (a.namespace < b.namespace ? -1 : 1)), "unsorted/namespaces");
  value.namespaces.forEach((namespace) => within("settings", () => checkSettings(namespace.settings)));
  const wei = value.accounts.reduce((sum, account) => sum + account.balance, 0n);
  refuseIf(wei >= 1n << 128n, "too_much_wei");
  checkParams(value.params);
}

/** The header of the genesis block. */
function genesisHeader(value: Genesis): Header {
  const validators = validatorsHash(value.validators);
  return {
    version: VERSION,
    chain_id: value.chain_id,
    height: 0n,
    time_ms: value.time_ms,
    parent: keccak256(concat(tag("weft/genesis/v1"), encode(genesis, value))),
    proposer: ZERO_ADDRESS,
    validators_hash: validators,
    next_validators_hash: validators,
    l1_origin: value.l1_origin,
    observations_root: observationsRoot([]),
    batches_root: batchesRoot([]),
    events_root: eventsRoot([]),
    parent_outcome: {
      ledger_root: ZERO_HASH,
      slices_root: ZERO_HASH,
      results_root: ZERO_HASH,
      withdrawals_root: ZERO_HASH,
      unseal_key: NO_KEY,
    },
  };
}

/** The bytes, for refused ones as well. */
function wholeHash(value: Genesis): Bytes {
  return keccak256(encode(genesis, value));
}

export const genesisKind: Kind<Genesis> = {
  codec: genesis,
  hashes: (value) => ({ keccak256: toHex(wholeHash(value)) }),
  judge(value) {
    checkGenesis(value);
    const block = genesisHeader(value);
    return {
      header: toHex(encode(header, block)),
      id: toHex(blockId(block)),
      parent: toHex(block.parent),
      validators_hash: toHex(block.validators_hash),
    };
  },
};
