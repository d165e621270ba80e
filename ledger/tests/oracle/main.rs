//! The ledger against a second, naive one ([`oracle`]) over random histories ([`history`]).
//!
//! After every block the two agree on everything that anybody can see, no wei has come or gone,
//! and a snapshot stands for the state and for no other.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking, and an oracle that overflows is wrong"
)]

mod history;
mod oracle;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use weft_ledger::{Applied, Key, OrderedBatch, OrderedBlock, Remembered, State, Value};
use weft_types::{
    Address, B256, BidMode, Genesis, L1Event, Member, NamespaceId, SkipReason, TransactionId, Wei,
};

use history::{Block, BlockPlan, History, World, histories};
use oracle::atomic::Heard;
use oracle::{End, Entries, Expected, Oracle};

type Check = Result<(), TestCaseError>;

/// Histories that are the same every time: together they have to meet everything.
const KNOWN: u32 = 240;
/// Others, which nobody has seen before.
const UNKNOWN: u32 = 80;
const BLOCKS: std::ops::Range<usize> = 20..36;

#[test]
fn the_ledger_does_what_the_protocol_says() {
    let config = |cases| Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    replay_all(TestRunner::new_with_rng(config(KNOWN), rng)).check();
    replay_all(TestRunner::new(config(UNKNOWN)));
}

fn replay_all(mut runner: TestRunner) -> Met {
    let met = RefCell::new(Met::default());
    let run = |history| replay(&history, &mut met.borrow_mut());
    match runner.run(&histories(BLOCKS), run) {
        Ok(()) => met.into_inner(),
        Err(TestError::Fail(why, history)) => panic!("{why}\n{history:?}"),
        Err(abort) => panic!("{abort}"),
    }
}

fn replay(history: &History, met: &mut Met) -> Check {
    let mut oracle = Oracle::genesis(&history.genesis);
    let mut state = State::genesis(&history.genesis).unwrap();
    let mut supply: Wei = history.genesis.accounts.iter().map(|account| account.balance).sum();
    same_entries(&entries(&state), &oracle.entries(), 0)?;
    let mut world = World::default();
    for plan in &history.blocks {
        let block = world.block(plan, &oracle);
        let ordered = ordered(&block);
        let before = entries(&state);
        let expected = oracle.apply(&ordered);
        met.block(&oracle, &block, &expected);
        let applied = state.apply(&ordered);
        same_receipts(&applied, &expected, block.height)?;
        same_state(&state, &oracle)?;
        same_outcome(&state, &applied, &expected)?;
        same_changes(&before, &applied, &oracle.entries())?;
        let brought = block.events.iter().flat_map(|events| &events.0).map(brought).sum::<Wei>();
        let withdrawn: Wei = applied.withdrawals.iter().map(|withdrawal| withdrawal.amount).sum();
        supply = supply + brought - withdrawn;
        prop_assert_eq!(wei_of(&state), supply);
        state = snapshot(state, &history.genesis, plan)?;
    }
    Ok(())
}

fn ordered(block: &Block) -> OrderedBlock<'_> {
    OrderedBlock {
        height: block.height,
        time_ms: block.time_ms,
        l1_origin: block.l1_origin,
        events: block.events.iter().collect(),
        observers: block.observers.clone(),
        batches: (block.batches.iter())
            .map(|batch| OrderedBatch { author: batch.body.lane.author, batch })
            .collect(),
        cuts: block.cuts.clone(),
    }
}

fn same_receipts(applied: &Applied, expected: &Expected, height: u64) -> Check {
    let ours: Vec<_> = applied.receipts.iter().flatten().collect();
    let theirs: Vec<_> = expected.receipts.iter().flatten().collect();
    for (at, end) in expected.ends.iter().enumerate() {
        prop_assert_eq!(ours.get(at), theirs.get(at), "{:?} in block {}", end, height);
    }
    prop_assert_eq!(&applied.receipts, &expected.receipts);
    Ok(())
}

/// Slices and outcome. The outcome follows from the leaves, so they are right as well.
fn same_outcome(state: &State, applied: &Applied, expected: &Expected) -> Check {
    let slices: Vec<(u64, Vec<Vec<u8>>)> = (applied.slices.iter())
        .map(|slice| (slice.namespace.0, slice.entries.iter().map(encoded).collect()))
        .collect();
    let expected_slices: Vec<_> = expected.slices.clone().into_iter().collect();
    prop_assert_eq!(slices, expected_slices);
    prop_assert_eq!(applied.outcome, expected.outcome);
    prop_assert_eq!(state.outcome(&applied.leaves, &applied.results), expected.outcome);
    prop_assert_eq!(&applied.withdrawals, &expected.withdrawals);
    Ok(())
}

fn same_entries(ours: &Entries, theirs: &Entries, height: u64) -> Check {
    for key in ours.keys().chain(theirs.keys()) {
        let read = |entries: &Entries| {
            let value = entries.get(key)?;
            Some((value.clone(), borsh::from_slice::<Value>(value).ok()))
        };
        let name = borsh::from_slice::<Key>(key).ok();
        prop_assert_eq!(read(ours), read(theirs), "{:?} at height {}", name, height);
    }
    Ok(())
}

/// Every entry, and what the state says of them.
fn same_state(state: &State, oracle: &Oracle) -> Check {
    same_entries(&entries(state), &oracle.entries(), oracle.height)?;
    prop_assert!(state.entries().is_sorted_by(|(a, _), (b, _)| a < b));
    let clock = state.clock();
    prop_assert_eq!(
        (clock.height, clock.time_ms, clock.non_empty_blocks, clock.l1_origin),
        (oracle.height, oracle.time_ms, oracle.non_empty_blocks, oracle.l1_origin)
    );
    prop_assert_eq!(state.burned(), oracle.burned);
    prop_assert_eq!(state.committee().members(), oracle.committee.as_slice());
    prop_assert_eq!(state.next_committee().members(), oracle.next_committee.as_slice());
    let rest = oracle.params.epoch_ms - oracle.time_ms % oracle.params.epoch_ms;
    if let Some(next_epoch) = oracle.time_ms.checked_add(rest) {
        prop_assert_eq!(state.committee_after(next_epoch - 1), state.committee());
        prop_assert_eq!(state.committee_after(next_epoch), state.next_committee());
    }
    prop_assert!(state.stakes().eq(oracle.stakes.iter().map(|(a, stake)| (*a, *stake))));
    prop_assert_eq!((state.relay().pool, state.relay().paid_at), oracle.relay);
    for (account, balance) in &oracle.accounts {
        prop_assert_eq!(state.balance(account), *balance);
    }
    for (id, expected) in &oracle.namespaces {
        let namespace = state.namespace(NamespaceId(*id)).unwrap();
        for later in [0, 1, 1_000, 7_999, 8_000, 9_000] {
            let now = oracle.time_ms.saturating_add(later);
            let price = oracle.price_at(expected.price, now);
            prop_assert_eq!(state.namespace_price(namespace, now), price);
            prop_assert_eq!(state.global_price(now), oracle.price_at(oracle.price, now));
        }
        for height in oracle.height..oracle.height + 9 {
            let lot = (namespace.reserve(height + 1), namespace.lot(height + 1));
            prop_assert_eq!(lot, (oracle.reserve(*id, height + 1), oracle.lot(*id, height + 1)));
        }
    }
    let ids: Vec<u64> = oracle.namespaces.keys().copied().collect();
    let (height, now) = (oracle.height + 1, oracle.time_ms + 1);
    for pair in ids.windows(2) {
        let lots: Vec<NamespaceId> = pair.iter().copied().map(NamespaceId).collect();
        let cover = |mode| state.cover(height, mode, 5_000, &lots, now);
        prop_assert_eq!(cover(BidMode::Atomic), oracle.cover_of(5_000, pair, height, now));
        let offered = pair.iter().all(|lot| oracle.lot(*lot, height).is_some());
        prop_assert_eq!(cover(BidMode::Inclusion), offered.then_some(5_000));
    }
    for (address, (last_seen, debt, earned)) in &oracle.validators {
        let record = state.validator(address);
        let found = (record.last_seen, record.debt, record.earned);
        prop_assert_eq!(found, (*last_seen, *debt, *earned));
        prop_assert_eq!(state.is_absent(address), oracle.is_absent(address));
        let cut = oracle.lanes.get(address).copied().unwrap_or_default();
        prop_assert_eq!(state.lane(address), cut);
    }
    prop_assert_eq!(state.leaders(), oracle.leaders());
    for ((valid_until, id), height) in &oracle.remembered {
        let key = Remembered { valid_until: *valid_until, id: TransactionId(*id) };
        prop_assert_eq!(state.remembered(&key), Some(*height));
    }
    Ok(())
}

/// The changes reported are those there are: each entry once, none that stayed as it was.
fn same_changes(before: &Entries, applied: &Applied, after: &Entries) -> Check {
    let mut replayed = before.clone();
    for (key, value) in &applied.changes {
        let key = encoded(key);
        let value = value.as_ref().map(encoded);
        prop_assert_ne!(before.get(&key), value.as_ref());
        match value {
            Some(value) => replayed.insert(key, value),
            None => replayed.remove(&key),
        };
    }
    prop_assert_eq!(&replayed, after);
    let mut keys: Vec<_> = applied.changes.iter().map(|(key, _)| *key).collect();
    keys.sort();
    prop_assert!(keys.is_sorted_by(|a, b| a < b));
    Ok(())
}

/// Wei that come with an event of L1.
fn brought(event: &L1Event) -> Wei {
    match event {
        L1Event::Deposit { amount, .. } => *amount,
        L1Event::Forced { fee, .. } => *fee,
        L1Event::Stake { .. } | L1Event::Posted { .. } => 0,
    }
}

/// All there is: whatever is paid is received, burned, or waits for relayers.
fn wei_of(state: &State) -> Wei {
    let balances = state.entries().map(|(key, value)| match (key, value) {
        (Key::Account(_) | Key::Burned | Key::Collateral(_) | Key::Release(_), Value::Wei(wei)) => {
            *wei
        }
        (Key::Relay, Value::Relay(relay)) => relay.pool,
        (Key::Undecided(_), Value::Undecided(bundle)) => bundle.locked,
        _ => 0,
    });
    balances.sum()
}

/// A snapshot stands for the state, and no longer does once anything in it has changed. Returns
/// the state to go on with.
fn snapshot(state: State, genesis: &Genesis, plan: &BlockPlan) -> Result<State, TestCaseError> {
    let root = state.ledger_root();
    let all: Vec<(Key, Value)> = state.entries().map(|(k, v)| (*k, v.clone())).collect();

    let (which, how) = &plan.tampers;
    let at = which.index(all.len());
    let mut tampered = all.clone();
    match how {
        0 => drop(tampered.remove(at)),
        1 => tampered[at].1 = altered(&tampered[at].1),
        _ => tampered.push((Key::Account(Address::repeat_byte(0xee)), Value::Wei(1))),
    }
    prop_assert!(State::from_snapshot(genesis, tampered, root).is_err());

    let restored = State::from_snapshot(genesis, all, root).unwrap();
    prop_assert!(restored.entries().eq(state.entries()));
    prop_assert_eq!(restored.ledger_root(), root);
    prop_assert_eq!(restored.leaders(), state.leaders());
    prop_assert_eq!((restored.params(), restored.chain_id()), (&genesis.params, genesis.chain_id));
    Ok(if plan.restores { restored } else { state })
}

/// The same kind of content, but not the same.
fn altered(value: &Value) -> Value {
    let mut value = value.clone();
    match &mut value {
        Value::Clock(clock) => clock.non_empty_blocks += 1,
        Value::GlobalPrice(price) => price.base_fee += 1,
        Value::Wei(wei) => *wei ^= 1 << 127,
        Value::Committee(committee) => {
            let mut members = committee.members().to_vec();
            members[0].seats += 1;
            **committee = weft_types::Committee::new(members).unwrap();
        }
        Value::Namespace(namespace) => namespace.tokens ^= 1,
        Value::Validator(record) => record.debt += 1,
        Value::Lane(cut) => cut.carry ^= 1,
        Value::Height(height) => *height += 1,
        Value::Withdrawals(tree) => tree.push(B256::ZERO),
        Value::Relay(relay) => relay.pool += 1,
        Value::Undecided(bundle) => bundle.deadline.height += 1,
    }
    value
}

fn entries(state: &State) -> Entries {
    state.entries().map(|(key, value)| (encoded(key), encoded(value))).collect()
}

fn encoded<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).unwrap()
}

/// What the histories came across, so that a generator gone stale does not pass for agreement.
#[derive(Default)]
struct Met {
    ends: BTreeMap<End, u32>,
    empty_blocks: u32,
    blocks_that_forgot: u32,
    debts_paid_off: u32,
    prices_at_the_top: u32,
    blocks_with_absent: u32,
    blocks_led_by_all_for_want_of_quorum: u32,
    epochs_with_others: u32,
    events: BTreeMap<&'static str, u32>,
    relayers_paid: u32,
    bids_for_several_won: u32,
    releases_paid: u32,
    raised_reserves: u32,
    /// By decision.
    decisions: BTreeMap<u8, u32>,
    timed_out_by_height: u32,
    /// By level.
    suspensions: BTreeMap<u8, u32>,
    forgiven: u32,
    several_undecided: u32,
    updated_while_held: u32,
    /// As they were before the block.
    debts: BTreeMap<Address, Wei>,
    remembered: Vec<B256>,
    committee: Vec<Member>,
    paid_at: u64,
    releases: usize,
}

impl Met {
    fn block(&mut self, oracle: &Oracle, block: &Block, expected: &Expected) {
        for end in &expected.ends {
            *self.ends.entry(*end).or_insert(0) += 1;
        }
        let several = expected.won.iter().filter(|lots| **lots > 1).count();
        self.bids_for_several_won += u32::try_from(several).unwrap();
        for decided in &expected.decided {
            *self.decisions.entry(decided.decision).or_insert(0) += 1;
            self.timed_out_by_height += u32::from(decided.by_height);
            for level in &decided.suspends {
                *self.suspensions.entry(*level).or_insert(0) += 1;
            }
            self.forgiven += u32::try_from(decided.forgiven).unwrap();
        }
        self.several_undecided += u32::from(oracle.undecided.len() > 1);
        let otherwise = oracle.undecided.values().flat_map(|bundle| &bundle.legs);
        let updated = otherwise.filter(|(id, leg)| {
            let atomic = oracle.namespaces[*id].settings.atomic.as_ref();
            atomic.is_none_or(|atomic| atomic.executors != leg.executors)
        });
        self.updated_while_held += u32::from(updated.count() > 0);
        self.releases_paid += u32::from(oracle.releases.len() < self.releases);
        self.releases = oracle.releases.len();
        let raised =
            oracle.namespaces.values().any(|n| n.reserve_at == block.height && n.reserve > 0);
        self.raised_reserves += u32::from(raised && !expected.won.is_empty());
        self.empty_blocks += u32::from(block.observers.is_empty());
        self.prices_at_the_top += u32::from(oracle.price.0 == 1 << 80);

        for event in block.events.iter().flat_map(|events| &events.0) {
            let kind = match event {
                L1Event::Deposit { .. } => "deposits",
                L1Event::Stake { .. } => "stakes",
                L1Event::Forced { namespace, .. } => {
                    if oracle.namespaces.contains_key(&namespace.0) { "forced" } else { "lost" }
                }
                L1Event::Posted { .. } => "posts",
            };
            *self.events.entry(kind).or_insert(0) += 1;
        }
        let changed = self.committee != oracle.committee && block.height > 1;
        self.epochs_with_others += u32::from(changed);
        self.committee = oracle.committee.clone();
        let paid = oracle.relay.1 != self.paid_at && oracle.params.relay_reward > 0;
        self.relayers_paid += u32::from(paid && block.height > 1);
        self.paid_at = oracle.relay.1;

        let remembered: Vec<B256> = oracle.remembered.keys().map(|(_, id)| *id).collect();
        let forgot = self.remembered.iter().any(|id| !remembered.contains(id));
        self.blocks_that_forgot += u32::from(block.height > 1 && forgot);
        self.remembered = remembered;

        for (address, (_, debt, _)) in &oracle.validators {
            let before = self.debts.insert(*address, *debt).unwrap_or(0);
            self.debts_paid_off += u32::from(block.height > 1 && before > 0 && *debt == 0);
        }
        let absent = oracle.committee.iter().any(|member| oracle.is_absent(&member.address));
        let all_lead = oracle.leaders().into_iter().all(|leads| leads);
        self.blocks_with_absent += u32::from(absent);
        self.blocks_led_by_all_for_want_of_quorum += u32::from(absent && all_lead);
    }

    fn check(&self) {
        let mut wanted = vec![
            End::Malformed,
            End::OutsideWindow,
            End::Duplicate,
            End::LateDuplicate,
            End::Submitted,
            End::Bundled,
            End::Transferred,
            End::TransferredToOneself,
            End::Registered,
            End::Updated,
            End::Withdrawn,
            End::Locked,
            End::Released,
        ];
        wanted.extend((0..9).map(End::Bid));
        wanted.extend([Heard::First, Heard::Again, Heard::Otherwise, Heard::Void].map(End::Judged));
        wanted.push(End::Skipped(SkipReason::NothingToJudge as u8));
        wanted.push(End::Skipped(SkipReason::NotExecutor as u8));
        wanted.push(End::Skipped(SkipReason::CollateralTooLow as u8));
        // Overflow is left out: no history can leave a genesis with so much wei.
        wanted.extend((0..SkipReason::Overflow as u8).map(End::Skipped));
        for end in wanted {
            assert!(self.ends.get(&end).is_some_and(|count| *count >= 10), "{end:?} too rare");
        }
        for kind in ["deposits", "stakes", "forced", "lost", "posts"] {
            assert!(self.events.get(kind).is_some_and(|count| *count >= 10), "{kind} too rare");
        }
        for decision in 0..3 {
            let count = self.decisions.get(&decision).copied().unwrap_or(0);
            assert!(count >= 50, "decision {decision} too rare: {count}");
        }
        for (level, least) in [(0, 20), (1, 5), (2, 3)] {
            let count = self.suspensions.get(&level).copied().unwrap_or(0);
            assert!(count >= least, "suspensions at level {level} too rare: {count}");
        }
        for (name, count) in [
            ("time-outs by height", self.timed_out_by_height),
            ("strikes forgiven", self.forgiven),
            ("several undecided at once", self.several_undecided),
            ("updates while held", self.updated_while_held),
            ("changes of committee", self.epochs_with_others),
            ("relayers paid", self.relayers_paid),
            ("winners of several lots", self.bids_for_several_won),
            ("releases that were paid", self.releases_paid),
            ("reserves after a sale", self.raised_reserves),
            ("empty blocks", self.empty_blocks),
            ("forgetting", self.blocks_that_forgot),
            ("debts paid off", self.debts_paid_off),
            ("prices at the top", self.prices_at_the_top),
            ("absence", self.blocks_with_absent),
            ("absence beyond a quorum", self.blocks_led_by_all_for_want_of_quorum),
        ] {
            assert!(count >= 10, "{name} too rare: {count}");
        }
    }
}
