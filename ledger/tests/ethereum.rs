//! The rules of protocol sections 6 and 10 about what L1 brings and takes, an example each.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[allow(dead_code, reason = "shared with the other rules")]
mod chain;

use weft_types::{
    Address, BlockId, Bytes, L1Event, Member, NamespaceId, Payload, Results, SecretKey, SkipReason,
    SliceEntry, Stake, TimeMs, Wei, Withdrawal,
};

use chain::*;

const EPOCH_MS: TimeMs = 10_000;
const REWARD: Wei = 1_000_000;

fn deposit(to: &SecretKey, amount: Wei) -> L1Event {
    L1Event::Deposit { to: to.address(), amount }
}

fn stake(validator: Address, stake: Wei) -> L1Event {
    L1Event::Stake { validator, stake }
}

fn forced(namespace: NamespaceId, index: u64, data: &'static [u8]) -> L1Event {
    let data = Bytes::from_static(data);
    L1Event::Forced { namespace, index, sender: Address::ZERO, fee: 500, data }
}

fn posted(poster: &SecretKey) -> L1Event {
    L1Event::Posted { height: 1, block: BlockId::ZERO, poster: poster.address() }
}

fn withdraw(to: Address, amount: Wei) -> Payload {
    Payload::Withdraw { to, amount }
}

fn committee(chain: &Chain) -> Vec<Address> {
    chain.state.committee().members().iter().map(|member| member.address).collect()
}

/// A chain whose epochs are ten blocks long, and on which the first two validators have stake.
fn staked() -> Chain {
    Chain::with(|genesis| {
        genesis.time_ms = 100 * EPOCH_MS;
        genesis.params.epoch_ms = EPOCH_MS;
        genesis.params.committee_size = 4;
        genesis.stakes = (0..2).map(|i| Stake { validator: validator(i), stake: 32 }).collect();
    })
}

/// A chain that pays relayers at most once in ten L1 blocks.
fn relayed() -> Chain {
    Chain::with(|genesis| {
        genesis.params.relay_reward = REWARD;
        genesis.params.relay_interval = 10;
    })
}

#[test]
fn a_deposit_can_be_spent_in_the_block_that_brings_it() {
    let mut chain = Chain::new();
    let spent = chain.sign(&pauper(), transfer(&bob(), 7));
    let fee = inclusion(&spent);
    chain.passing(&[deposit(&pauper(), fee), deposit(&pauper(), 7)]);
    assert_eq!(chain.order(&[&spent]), [executed(fee)]);
    assert_eq!((chain.balance(&pauper()), chain.balance(&bob())), (0, ENDOWMENT + 7));
}

#[test]
fn a_deposit_that_overflows_is_burned_as_far_as_it_does() {
    let mut chain = Chain::new();
    chain.passing(&[deposit(&alice(), Wei::MAX)]).block(&[]);
    assert_eq!(chain.balance(&alice()), Wei::MAX);
    assert_eq!(chain.state.burned(), ENDOWMENT);
}

#[test]
fn a_stake_counts_two_epochs_later() {
    let mut chain = staked();
    let newcomer = carol().address();
    assert_eq!(committee(&chain).len(), 4, "the genesis says who is first");
    chain.passing(&[stake(newcomer, 64)]);
    for _ in 0..9 {
        chain.block(&[]);
    }
    assert_eq!(committee(&chain).len(), 4);

    // The tenth block is in the next epoch, and so its child is decided by the next committee.
    assert_eq!(chain.state.committee_after(chain.next_ms()), chain.state.next_committee());
    chain.block(&[]);
    assert_eq!(committee(&chain), [validator(0), validator(1)], "by the stakes of the genesis");
    let seats = |of: &Address| {
        let members = chain.state.next_committee().members();
        members.iter().find(|m| m.address == *of).map(|m| m.seats)
    };
    assert_eq!(seats(&newcomer), Some(2), "half of the stake, half of the seats");
    assert_eq!(seats(&validator(0)), Some(1));
    for _ in 0..10 {
        assert!(!committee(&chain).contains(&newcomer));
        chain.seen_by(&[0, 1]).block(&[]);
    }
    assert!(committee(&chain).contains(&newcomer));
    assert!(chain.state.is_absent(&newcomer), "it has to be seen before it leads");
}

#[test]
fn who_has_no_stake_left_leaves() {
    let mut chain = staked();
    chain.passing(&[stake(validator(1), 0)]).after_ms(EPOCH_MS).block(&[]);
    assert!(committee(&chain).contains(&validator(1)));
    chain.seen_by(&[0]).after_ms(EPOCH_MS).block(&[]);
    let all = Member { address: validator(0), seats: 4 };
    assert_eq!(chain.state.committee().members(), [all]);
}

#[test]
fn the_last_to_have_a_stake_stays() {
    let mut chain = staked();
    chain.passing(&[stake(validator(0), 0), stake(validator(1), 0)]);
    for _ in 0..4 {
        chain.seen_by(&[0, 1]).after_ms(EPOCH_MS).block(&[]);
        assert_eq!(chain.state.stakes().count(), 0);
    }
    assert_eq!(committee(&chain), [validator(0), validator(1)]);
}

#[test]
fn an_epoch_is_one_step_however_long_nobody_made_a_block() {
    let mut chain = staked();
    let newcomer = carol().address();
    chain.passing(&[stake(newcomer, 64)]).after_ms(100 * EPOCH_MS).block(&[]);
    assert_eq!(committee(&chain), [validator(0), validator(1)]);
    chain.seen_by(&[0, 1]).after_ms(100 * EPOCH_MS).block(&[]);
    assert!(committee(&chain).contains(&newcomer));
}

#[test]
fn forced_messages_head_their_slice_whoever_may_submit() {
    let mut chain = Chain::with(|genesis| {
        let quota = with_quota(1, 1);
        genesis.namespaces[0].settings.quota = quota.quota;
    });
    let unlimited = chain.sign(&alice(), register(8, open()));
    chain.order(&[&unlimited]);
    let eight = NamespaceId(8);
    let submission = chain.sign(&bob(), submit(eight, 200));
    chain.passing(&[forced(SEVEN, 0, b"first"), forced(eight, 1, b"second")]);
    chain.passing(&[forced(eight, 2, b"third"), forced(NamespaceId(9), 3, b"to nobody")]);
    let applied = chain.block(&[(0, &[&submission])]);
    let heads: Vec<(u64, Vec<Option<u64>>)> = applied
        .slices
        .iter()
        .map(|slice| {
            let index = |entry: &SliceEntry| match entry {
                SliceEntry::Forced { index, .. } => Some(*index),
                _ => None,
            };
            (slice.namespace.0, slice.entries.iter().map(index).collect())
        })
        .collect();
    assert_eq!(heads, [(7, vec![Some(0)]), (8, vec![Some(1), Some(2), None])]);
    assert_eq!(chain.state.relay().pool, 4 * 500, "what was paid for them is for relayers");
}

#[test]
fn a_withdrawal_leaves_at_once_and_is_in_the_root() {
    let mut chain = Chain::new();
    let to = Address::repeat_byte(9);
    let all = chain.sign(&alice(), withdraw(to, ENDOWMENT));
    let some = chain.sign(&alice(), withdraw(to, 5));
    let more = chain.sign(&bob(), withdraw(to, 6));
    let before = chain.state.outcome(&[], &Results::default()).withdrawals_root;
    let applied = chain.block(&[(0, &[&all, &some]), (1, &[&more])]);
    let fees = inclusion(&all);
    assert_eq!(applied.receipts[0], [skipped(SkipReason::BalanceTooLow, fees), executed(fees)]);
    assert_eq!(chain.balance(&bob()), ENDOWMENT - 6 - inclusion(&more));
    let expected = [(0, 5), (1, 6)].map(|(index, amount)| Withdrawal { index, to, amount });
    assert_eq!(applied.withdrawals, expected);
    assert_ne!(applied.outcome.withdrawals_root, before);
    let applied = chain.block(&[]);
    assert_eq!(
        applied.outcome.withdrawals_root,
        chain.state.outcome(&[], &Results::default()).withdrawals_root
    );
    assert_eq!(chain.state.withdrawals().count(), 2);
}

#[test]
fn relayers_are_paid_from_fees_once_in_a_while() {
    let mut chain = relayed();
    let payment = chain.sign(&alice(), transfer(&bob(), 1));
    chain.order(&[&payment]);
    let share = inclusion(&payment) / 20;
    assert_eq!(chain.state.relay().pool, share);
    assert_eq!(chain.earned(0), (inclusion(&payment) - share) / 4, "validators share the rest");

    // The ninth L1 block after the origin is too early, the tenth is not.
    for _ in 0..8 {
        chain.passing(&[]);
    }
    chain.passing(&[posted(&pauper())]).passing(&[posted(&pauper())]).block(&[]);
    assert_eq!(chain.balance(&pauper()), share, "all there is, if that is less than the reward");
    assert_eq!((chain.state.relay().pool, chain.state.relay().paid_at), (0, 10));
}

#[test]
fn the_relayers_pool_holds_so_many_rewards_and_pays_one() {
    let mut chain = relayed();
    let registration = chain.sign(&alice(), register(8, open()));
    chain.order(&[&registration]);
    assert!((inclusion(&registration) + REGISTRATION_FEE) / 20 > REWARD);
    for i in 9..80 {
        let rich = chain.sign(&carol(), register(i, open()));
        chain.passing(&[deposit(&carol(), 2 * REGISTRATION_FEE)]).order(&[&rich]);
    }
    assert_eq!(chain.state.relay().pool, 64 * REWARD);
    chain.passing(&[posted(&pauper()), posted(&pauper())]).block(&[]);
    assert_eq!(chain.balance(&pauper()), REWARD, "once a block, at most");
    assert_eq!(chain.state.relay().pool, 63 * REWARD);
}
