//! Execution of bundles on all rollups or none, by example (protocol section 9).

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod chain;

use weft_ledger::undecided::{Deadline, MAX_SUSPENSION_LEVEL, PendingLeg, Verdict};
use weft_ledger::{Applied, Standing, Undecided};
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::results::{AuctionResult, LegRevenue};
use weft_types::transaction::id_of;
use weft_types::{
    Address, AtomicSettings, AuctionSettings, B256, BidMode, BidResult, Bytes, DecidedBundle,
    Decision, L1Event, Leg, NamespaceId, NamespaceSettings, Partners, Payload, Receipt, SecretKey,
    SkipReason, SliceEntry, Transaction, TransactionId, Wei,
};

use chain::*;

const EIGHT: NamespaceId = NamespaceId(8);
const NINE: NamespaceId = NamespaceId(9);
const TEN: NamespaceId = NamespaceId(10);
/// Sells lots, and takes part in no atomic bundle.
const ELEVEN: NamespaceId = NamespaceId(11);

const BID_FEE: Wei = 5_000;
const PENALTY: Wei = 700;
const FLOOR_OF_LOTS: Wei = 100;
const PUT_UP: Wei = 100_000;
const BOND: Wei = 30_000;
/// Wei per height: what holding namespace 7 costs, at the floor, and what any other does.
const PRICE_OF_SEVEN: Wei = FLOOR_OF_LOTS + 51;
const PRICE: Wei = FLOOR_OF_LOTS + 10;
/// A block is a second after its parent.
const HOLD_LIMIT_MS: u64 = 3_000;
const HOLD_HEIGHTS: u64 = 6;
const SUSPENSION_MS: u64 = 10_000;

const WILL: Option<B256> = Some(B256::repeat_byte(1));
const WILL_ELSE: Option<B256> = Some(B256::repeat_byte(2));
const FAILS: Option<B256> = None;

/// The executors of every namespace. Two of three are a quorum.
fn judge(number: u8) -> SecretKey {
    let mut keys = [1, 2, 3].map(|i| SecretKey::from_bytes([0xe0 + i; 32]).unwrap());
    keys.sort_by_key(SecretKey::address);
    keys[usize::from(number)].clone()
}

fn judges() -> Vec<Address> {
    (0..3).map(|number| judge(number).address()).collect()
}

/// Where a namespace's revenue goes.
fn purse(namespace: NamespaceId) -> Address {
    Address::with_last_byte(u8::try_from(namespace.0).unwrap())
}

fn settings(namespace: NamespaceId) -> NamespaceSettings {
    let hold_fee = if namespace == SEVEN { PRICE_OF_SEVEN } else { PRICE } - FLOOR_OF_LOTS;
    let atomic = AtomicSettings {
        executors: judges(),
        quorum: 2,
        bond: BOND,
        hold_fee,
        partners: Partners::Anyone,
    };
    NamespaceSettings {
        revenue_recipient: purse(namespace),
        auction: Some(AuctionSettings { every: 1, floor: FLOOR_OF_LOTS }),
        atomic: Some(atomic).filter(|_| namespace != ELEVEN),
        ..open()
    }
}

/// Namespaces 7 to 11 sell a lot at every height. Alice, Bob, Carol and the executors have put up
/// collateral.
fn market() -> Chain {
    let mut chain = Chain::with(|genesis| {
        genesis.params.bid_fee = BID_FEE;
        genesis.params.bid_penalty = PENALTY;
        genesis.params.collateral_delay_ms = 0;
        genesis.params.hold_limit_ms = HOLD_LIMIT_MS;
        genesis.params.hold_heights = HOLD_HEIGHTS.try_into().unwrap();
        genesis.params.suspension_ms = SUSPENSION_MS;
        let of_judge = |address| Allocation { address, balance: ENDOWMENT };
        genesis.accounts.extend(judges().into_iter().map(of_judge));
        genesis.accounts.sort_by_key(|account| account.address);
        let namespace = |namespace| GenesisNamespace { namespace, settings: settings(namespace) };
        genesis.namespaces = [SEVEN, EIGHT, NINE, TEN, ELEVEN].map(namespace).to_vec();
    });
    for key in [alice(), bob(), carol()] {
        chain.order_one(&key, Payload::LockCollateral { amount: PUT_UP });
    }
    for number in 0..3 {
        chain.order_one(&judge(number), Payload::LockCollateral { amount: PUT_UP });
    }
    chain
}

/// A bid for the next height.
fn bid(
    chain: &mut Chain,
    key: &SecretKey,
    lots: &[NamespaceId],
    amount: Wei,
    mode: BidMode,
) -> Transaction {
    let data = vec![Bytes::from_static(b"leg")];
    let legs = lots.iter().map(|lot| Leg { namespace: *lot, data: data.clone() }).collect();
    let height = chain.state.clock().height + 1;
    chain.sign(key, Payload::Bid { sequence: 0, height, amount, mode, legs })
}

fn atomic(chain: &mut Chain, key: &SecretKey, lots: &[NamespaceId], amount: Wei) -> Transaction {
    bid(chain, key, lots, amount, BidMode::Atomic)
}

fn results(applied: &Applied) -> Vec<BidResult> {
    applied.results.bids.iter().map(|bid| bid.result).collect()
}

/// Has Alice win an atomic bundle in the next block.
fn hold(chain: &mut Chain, lots: &[NamespaceId], amount: Wei) -> TransactionId {
    let winning = atomic(chain, &alice(), lots, amount);
    assert_eq!(results(&chain.block(&[(0, &[&winning])])), [BidResult::Won]);
    id_of(&winning)
}

fn verdict(
    chain: &mut Chain,
    number: u8,
    bundle: TransactionId,
    namespace: NamespaceId,
    effects: Option<B256>,
) -> Transaction {
    chain.sign(&judge(number), Payload::Verdict { bundle, namespace, effects })
}

type Says = (u8, NamespaceId, Option<B256>);

/// Applies a block in which executors say something of a bundle's legs.
fn say(chain: &mut Chain, bundle: TransactionId, all: &[Says]) -> Applied {
    let said: Vec<Transaction> = (all.iter())
        .map(|(number, namespace, effects)| verdict(chain, *number, bundle, *namespace, *effects))
        .collect();
    chain.block(&[(0, &said.iter().collect::<Vec<_>>())])
}

/// What a quorum says that both legs do.
const BOTH_WILL: [Says; 4] =
    [(0, SEVEN, WILL), (1, SEVEN, WILL), (0, EIGHT, WILL_ELSE), (2, EIGHT, WILL_ELSE)];

/// What was decided in a block, with what is paid and what goes to the namespaces.
fn decided(applied: &Applied) -> Vec<(Decision, Wei, Vec<Wei>)> {
    let of = |bundle: &DecidedBundle| {
        let revenues = bundle.legs.iter().map(|leg| leg.revenue).collect();
        (bundle.decision, bundle.paid, revenues)
    };
    applied.results.bundles.iter().map(of).collect()
}

fn decision(applied: &Applied) -> Option<Decision> {
    applied.results.bundles.first().map(|bundle| bundle.decision)
}

/// Applies blocks that order nothing until a bundle is decided. Returns how many, and the decision.
fn wait(chain: &mut Chain) -> (u64, Decision) {
    for blocks in 1..=HOLD_HEIGHTS {
        if let Some(decision) = decision(&chain.block(&[])) {
            return (blocks, decision);
        }
    }
    panic!("nothing is decided by the deadline");
}

fn collateral(chain: &Chain, key: &SecretKey) -> Wei {
    chain.state.collateral(&key.address())
}

fn standing(chain: &Chain, namespace: NamespaceId) -> Standing {
    chain.state.namespace(namespace).unwrap().standing
}

/// The reserve of a lot at the next height, whether or not it is offered.
fn reserve(chain: &Chain, namespace: NamespaceId) -> Wei {
    let next = chain.state.clock().height + 1;
    chain.state.namespace(namespace).unwrap().reserve(next).unwrap()
}

// Holding.

#[test]
fn a_winner_pays_nothing_yet_and_holds_its_namespaces() {
    let mut chain = market();
    let winning = atomic(&mut chain, &alice(), &[SEVEN, EIGHT], 10_001);
    let id = id_of(&winning);
    let applied = chain.block(&[(0, &[&winning])]);
    assert_eq!(applied.receipts[0][0], executed(inclusion(&winning) + BID_FEE));
    assert_eq!(results(&applied), [BidResult::Won]);
    for (lot, namespace) in applied.results.lots.iter().zip([SEVEN, EIGHT]) {
        assert_eq!((lot.namespace, lot.bid, lot.bidder), (namespace, id, alice().address()));
        assert_eq!((lot.reserve, lot.payment, lot.revenue), (FLOOR_OF_LOTS, 10_001, 0));
        assert_eq!(chain.state.balance(&purse(namespace)), 0);
        assert_eq!(chain.state.namespace(namespace).unwrap().held_by, Some(id));
    }
    for slice in &applied.slices {
        let [SliceEntry::Head { transaction, mode, .. }] = &slice.entries[..] else {
            panic!("not a head alone: {slice:?}");
        };
        assert_eq!((*transaction, *mode), (id, BidMode::Atomic));
    }
    assert_eq!(collateral(&chain, &alice()), PUT_UP - 10_001);

    let clock = chain.state.clock();
    // Half each of what neither lot would have brought alone.
    let leg = |namespace, price, share| PendingLeg {
        namespace,
        reserve: FLOOR_OF_LOTS,
        price,
        share,
        executors: judges(),
        quorum: 2,
        bond: BOND,
        verdicts: vec![],
    };
    let undecided = Undecided {
        height: clock.height,
        bidder: alice().address(),
        amount: 10_001,
        locked: 10_001,
        deadline: Deadline {
            time_ms: clock.time_ms + HOLD_LIMIT_MS,
            non_empty_blocks: clock.non_empty_blocks + 3,
            height: clock.height + HOLD_HEIGHTS,
        },
        legs: vec![leg(SEVEN, PRICE_OF_SEVEN, 5_001), leg(EIGHT, PRICE, 5_000)],
    };
    assert_eq!(chain.state.undecided_bundle(&id), Some(&undecided));
    assert!(chain.state.undecided().eq([(id, &undecided)]));
}

#[test]
fn namespaces_that_are_held_offer_no_lots() {
    let mut chain = market();
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    for _ in 1..3 {
        let next = chain.state.clock().height + 1;
        let lots: Vec<NamespaceId> = chain.state.lots(next).map(|(id, _)| id).collect();
        assert_eq!(lots, [NINE, TEN, ELEVEN]);
        let one = bid(&mut chain, &bob(), &[SEVEN], 1_000, BidMode::Inclusion);
        let two = atomic(&mut chain, &carol(), &[EIGHT, NINE], 1_000);
        let applied = chain.block(&[(0, &[&one, &two])]);
        assert_eq!(results(&applied), [BidResult::NoLot; 2]);
        assert_eq!(applied.results.bids[1].number(), Some(8));
    }
    let one = bid(&mut chain, &bob(), &[SEVEN], 1_000, BidMode::Inclusion);
    let applied = chain.block(&[(0, &[&one])]);
    assert_eq!(results(&applied), [BidResult::NoLot], "it is decided after the auction");
    assert_eq!(decision(&applied), Some(Decision::TimedOut));
    let one = bid(&mut chain, &bob(), &[SEVEN], 1_000, BidMode::Inclusion);
    assert_eq!(results(&chain.block(&[(0, &[&one])])), [BidResult::Won]);
}

#[test]
fn what_else_is_for_a_namespace_that_is_held_goes_on_being_ordered() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let submission = chain.sign(&bob(), submit(SEVEN, 200));
    let applied = chain.block(&[(0, &[&submission])]);
    assert_eq!(applied.slices.len(), 1);
    assert!(matches!(applied.slices[0].entries[..], [SliceEntry::Submission { .. }]));

    // The decision stands before everything.
    let forced = L1Event::Forced {
        namespace: EIGHT,
        index: 0,
        sender: carol().address(),
        fee: 0,
        data: Bytes::from_static(b"forced"),
    };
    let submission = chain.sign(&bob(), submit(EIGHT, 200));
    let mut block = vec![&submission];
    let said: Vec<Transaction> = (BOTH_WILL.iter())
        .map(|(number, namespace, effects)| verdict(&mut chain, *number, id, *namespace, *effects))
        .collect();
    block.extend(&said);
    let applied = chain.passing(&[forced]).block(&[(0, &block)]);
    let head = SliceEntry::Decision { bundle: id, decision: Decision::Committed };
    assert_eq!(applied.slices[0].entries, std::slice::from_ref(&head));
    let eight = &applied.slices[1].entries;
    assert_eq!(eight[0], head);
    assert!(matches!(eight[1], SliceEntry::Forced { .. }));
    assert!(matches!(eight[2], SliceEntry::Submission { .. }));
    assert_eq!(eight.len(), 3);
}

#[test]
fn the_reserve_stands_still_while_its_namespace_is_held() {
    let mut chain = market();
    for amount in [200, 224] {
        let winning = bid(&mut chain, &bob(), &[SEVEN], amount, BidMode::Inclusion);
        assert_eq!(results(&chain.block(&[(0, &[&winning])])), [BidResult::Won]);
    }
    assert_eq!(reserve(&chain, SEVEN), 126);
    // One lot is not sold: what is held for is the reserve at its height.
    chain.block(&[]);
    assert_eq!(reserve(&chain, SEVEN), 126 - 15);
    let id = hold(&mut chain, &[SEVEN, EIGHT], 400);
    let leg = &chain.state.undecided_bundle(&id).unwrap().legs[0];
    assert_eq!((leg.reserve, leg.price), (111, 111 + 51));
    for _ in 1..3 {
        assert_eq!(reserve(&chain, SEVEN), 111);
        chain.block(&[]);
    }
    assert_eq!(wait(&mut chain), (1, Decision::TimedOut));
    assert_eq!(reserve(&chain, SEVEN), 111, "as of the decision");
    chain.block(&[]);
    assert_eq!(reserve(&chain, SEVEN), 100, "and from there on it falls");

    // Committed, it follows from the share; failed, it stays.
    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_000);
    say(&mut chain, id, &BOTH_WILL);
    assert_eq!(reserve(&chain, SEVEN), 112);
    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_000);
    say(&mut chain, id, &[(0, EIGHT, FAILS), (1, EIGHT, FAILS)]);
    assert_eq!(reserve(&chain, SEVEN), 112);
    // Its share is half of the amount, whatever goes to it of that: it has to be twice the reserve.
    for (amount, next) in [(446, 112), (448, 126)] {
        let id = hold(&mut chain, &[SEVEN, EIGHT], amount);
        say(&mut chain, id, &BOTH_WILL);
        assert_eq!(reserve(&chain, SEVEN), next);
    }
}

// What it pays.

#[test]
fn committed_it_pays_the_amount_and_that_is_split_to_the_wei() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_001);
    let (burned, earned) = (chain.state.burned(), chain.earned(0));
    let said: Vec<Transaction> = (BOTH_WILL.iter())
        .map(|(number, namespace, effects)| verdict(&mut chain, *number, id, *namespace, *effects))
        .collect();
    let height = chain.state.clock().height;
    let applied = chain.seen_by(&[0, 1, 2]).block(&[(0, &said.iter().collect::<Vec<_>>())]);

    // 15 % and 5 % rounded down; 8001 by 5001 and 5000 of 10001, what is left to the first.
    let (validators, nobody) = (1_500, 500);
    let legs = vec![
        LegRevenue { namespace: SEVEN, revenue: 4_001 },
        LegRevenue { namespace: EIGHT, revenue: 4_000 },
    ];
    let expected = DecidedBundle {
        bundle: id,
        bidder: alice().address(),
        height,
        decision: Decision::Committed,
        paid: 10_001,
        legs,
    };
    assert_eq!(applied.results.bundles, [expected]);
    for (namespace, revenue) in [(SEVEN, 4_001), (EIGHT, 4_000)] {
        assert_eq!(chain.state.balance(&purse(namespace)), revenue);
        let after = chain.state.namespace(namespace).unwrap();
        assert_eq!((after.earned, after.held_by), (revenue, None));
    }
    assert_eq!(collateral(&chain, &alice()), PUT_UP - 10_001);
    assert!(chain.state.undecided().next().is_none());
    let fees: Wei = said.iter().map(inclusion).sum();
    let quarter = (fees + validators) / 4;
    assert_eq!(chain.earned(0) - earned, quarter);
    assert_eq!(chain.state.burned() - burned, nobody + fees + validators - 3 * quarter);
}

#[test]
fn committed_late_it_pays_what_it_has_bid_and_nothing_for_holding() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 500);
    let cover = Wei::from(HOLD_HEIGHTS) * (PRICE_OF_SEVEN + PRICE);
    assert_eq!(collateral(&chain, &alice()), PUT_UP - cover, "that is more than 500");
    chain.block(&[]);
    chain.block(&[]);
    let burned = chain.state.burned();
    let fees: Wei = BOTH_WILL.len() as Wei * inclusion(&verdict(&mut chain, 0, id, SEVEN, WILL));
    let applied = say(&mut chain, id, &BOTH_WILL);
    // Three heights at 261 would be 783. Of 500 go 400 by shares, which are equal.
    assert_eq!(decided(&applied), [(Decision::Committed, 500, vec![200, 200])]);
    assert_eq!(collateral(&chain, &alice()), PUT_UP - 500);
    let (validators, nobody) = (75, 25);
    assert_eq!(chain.state.burned() - burned, nobody + (fees + validators) % 4);
}

#[test]
fn failed_it_pays_for_holding_at_the_prices_of_its_namespaces() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_001);
    let applied = say(&mut chain, id, &[(0, EIGHT, FAILS), (1, EIGHT, FAILS)]);
    // 209 of 261.
    assert_eq!(decided(&applied), [(Decision::Failed, 261, vec![121, 88])]);
    assert_eq!(collateral(&chain, &alice()), PUT_UP - 261);
    assert_eq!(chain.state.balance(&purse(SEVEN)), 121);
    assert_eq!(chain.state.namespace(EIGHT).unwrap().earned, 88);

    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_001);
    chain.block(&[]);
    let applied = say(&mut chain, id, &[(0, EIGHT, FAILS), (1, EIGHT, FAILS)]);
    assert_eq!(decided(&applied), [(Decision::Failed, 522, vec![242, 176])]);
}

#[test]
fn failed_at_the_last_height_it_pays_all_that_was_set_aside_for_holding() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 500);
    for _ in 1..HOLD_HEIGHTS {
        assert_eq!(decision(&chain.after_ms(1).block(&[])), None);
    }
    chain.after_ms(1);
    let applied = say(&mut chain, id, &[(0, EIGHT, FAILS), (1, EIGHT, FAILS)]);
    let cover = Wei::from(HOLD_HEIGHTS) * (PRICE_OF_SEVEN + PRICE);
    assert_eq!(applied.results.bundles[0].paid, cover);
    assert_eq!(collateral(&chain, &alice()), PUT_UP - cover);
}

#[test]
fn timed_out_it_has_paid_for_its_bid_and_nothing_else() {
    let mut chain = market();
    let balance = chain.balance(&alice());
    let winning = atomic(&mut chain, &alice(), &[SEVEN, EIGHT], 10_001);
    chain.block(&[(0, &[&winning])]);
    chain.block(&[]);
    chain.block(&[]);
    let burned = chain.state.burned();
    let applied = chain.block(&[]);
    assert_eq!(decided(&applied), [(Decision::TimedOut, 0, vec![0, 0])]);
    assert_eq!(collateral(&chain, &alice()), PUT_UP);
    assert_eq!(balance - chain.balance(&alice()), inclusion(&winning) + BID_FEE);
    assert_eq!(chain.state.burned(), burned);
    let head = SliceEntry::Decision { bundle: id_of(&winning), decision: Decision::TimedOut };
    for slice in &applied.slices {
        assert_eq!(slice.entries, std::slice::from_ref(&head));
    }
    assert_eq!(applied.slices.len(), 2);
}

// What executors say.

#[test]
fn it_is_committed_once_a_quorum_agrees_on_each_leg() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    assert_eq!(decision(&say(&mut chain, id, &BOTH_WILL[..3])), None, "one leg lacks one");
    // Two that do not agree are none.
    assert_eq!(decision(&say(&mut chain, id, &[(2, EIGHT, WILL)])), None);
    // What one says of one leg is nothing about the other.
    assert_eq!(decision(&say(&mut chain, id, &[(2, SEVEN, WILL_ELSE)])), Some(Decision::TimedOut));

    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    say(&mut chain, id, &[(0, SEVEN, WILL), (1, SEVEN, WILL_ELSE), (2, EIGHT, WILL)]);
    let applied = say(&mut chain, id, &[(2, SEVEN, WILL_ELSE), (0, EIGHT, WILL)]);
    assert_eq!(decision(&applied), Some(Decision::Committed));
}

#[test]
fn verdicts_in_its_own_block_count_and_it_is_decided_after_it() {
    let mut chain = market();
    let winning = atomic(&mut chain, &alice(), &[SEVEN, EIGHT], 1_000);
    let mut all = vec![winning.clone()];
    for (number, namespace, effects) in BOTH_WILL {
        all.push(verdict(&mut chain, number, id_of(&winning), namespace, effects));
    }
    // Bids come first, wherever they stand.
    all.rotate_left(1);
    let applied = chain.block(&[(0, &all.iter().collect::<Vec<_>>())]);
    assert!(applied.results.bundles.is_empty());
    assert_eq!(applied.receipts[0][0], executed(inclusion(&all[0])));
    // Nothing more is needed, not even observations.
    let applied = chain.after_ms(1).seen_by(&[]).block(&[]);
    assert_eq!(decision(&applied), Some(Decision::Committed));
}

#[test]
fn a_quorum_that_says_it_fails_decides_at_once_and_nothing_after_that_counts() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let applied = say(&mut chain, id, &[(0, SEVEN, FAILS), (1, EIGHT, FAILS)]);
    assert_eq!(decision(&applied), None, "one of each leg is a quorum of neither");
    let applied = say(&mut chain, id, &[(2, EIGHT, FAILS)]);
    assert_eq!(decision(&applied), Some(Decision::Failed));
    let applied = say(&mut chain, id, &BOTH_WILL);
    for receipt in &applied.receipts[0] {
        let fee = receipt.unwrap().fee;
        assert_eq!(*receipt, skipped(SkipReason::NothingToJudge, fee));
    }
    assert!(applied.results.bundles.is_empty() && applied.slices.is_empty());
}

#[test]
fn one_leg_that_fails_is_enough_though_the_others_would_do() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT, NINE], 1_000);
    say(&mut chain, id, &BOTH_WILL);
    let applied = say(&mut chain, id, &[(0, NINE, FAILS), (2, NINE, FAILS)]);
    assert_eq!(decision(&applied), Some(Decision::Failed));
    assert_eq!(applied.slices.len(), 3);
    for namespace in [SEVEN, EIGHT, NINE] {
        assert_eq!(chain.state.namespace(namespace).unwrap().held_by, None);
    }
}

#[test]
fn what_comes_in_the_block_of_the_deadline_counts() {
    let mut chain = market();
    for (said, becomes) in [
        (&BOTH_WILL[..], Decision::Committed),
        (&[(0, SEVEN, FAILS), (1, SEVEN, FAILS)], Decision::Failed),
        (&BOTH_WILL[1..], Decision::TimedOut),
    ] {
        let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
        chain.block(&[]);
        chain.block(&[]);
        assert_eq!(decision(&say(&mut chain, id, said)), Some(becomes));
    }
}

#[test]
fn who_says_otherwise_loses_its_bond_and_its_verdict() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    say(&mut chain, id, &[(0, SEVEN, WILL), (0, EIGHT, WILL)]);
    let burned = chain.state.burned();
    let verdicts =
        |chain: &Chain| chain.state.undecided_bundle(&id).unwrap().legs[0].verdicts.clone();

    say(&mut chain, id, &[(0, SEVEN, WILL)]);
    assert_eq!(verdicts(&chain), [(judge(0).address(), Verdict::Does(WILL.unwrap()))]);
    assert_eq!(collateral(&chain, &judge(0)), PUT_UP, "the same again is nothing");

    // Otherwise and back, in one block: it is void from then on, and what counts is the other leg.
    chain.after_ms(1);
    let applied = say(
        &mut chain,
        id,
        &[
            (0, SEVEN, FAILS),
            (0, SEVEN, WILL),
            (0, SEVEN, FAILS),
            (1, SEVEN, WILL),
            (1, EIGHT, WILL),
        ],
    );
    for receipt in &applied.receipts[0] {
        assert_eq!(*receipt, executed(receipt.unwrap().fee));
    }
    assert_eq!(decision(&applied), None);
    assert_eq!(verdicts(&chain)[..1], [(judge(0).address(), Verdict::Void)]);
    assert_eq!(collateral(&chain, &judge(0)), PUT_UP - BOND, "once");
    assert_eq!(collateral(&chain, &judge(1)), PUT_UP);
    let fees: Wei = applied.receipts[0].iter().map(|receipt| receipt.unwrap().fee).sum();
    let of_rounding = chain.state.burned() - burned - BOND;
    assert!(of_rounding < 8, "{fees} are shared, {of_rounding} too many were burned");

    chain.after_ms(1);
    let applied = say(&mut chain, id, &[(2, SEVEN, WILL)]);
    assert_eq!(decision(&applied), Some(Decision::Committed), "two others are a quorum");
}

#[test]
fn void_verdicts_are_no_quorum() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let twice = [(0, SEVEN, FAILS), (0, SEVEN, WILL), (1, SEVEN, WILL), (1, SEVEN, FAILS)];
    assert_eq!(decision(&say(&mut chain, id, &twice)), None);
    let others = [(0, EIGHT, WILL), (1, EIGHT, WILL), (2, SEVEN, WILL)];
    assert_eq!(decision(&say(&mut chain, id, &others)), None);
    assert_eq!(wait(&mut chain), (1, Decision::TimedOut));
    assert_eq!(collateral(&chain, &judge(1)), PUT_UP - BOND);
}

#[test]
fn verdicts_that_are_about_nothing_or_from_nobody_are_refused() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let stranger = TransactionId(B256::repeat_byte(5));
    let order = |chain: &mut Chain, key: &SecretKey, bundle, namespace| -> (Option<Receipt>, Wei) {
        let said = chain.sign(key, Payload::Verdict { bundle, namespace, effects: FAILS });
        chain.after_ms(1);
        (chain.order(&[&said])[0], inclusion(&said))
    };
    let nothing = |(receipt, fee)| assert_eq!(receipt, skipped(SkipReason::NothingToJudge, fee));
    let nobody = |(receipt, fee)| assert_eq!(receipt, skipped(SkipReason::NotExecutor, fee));
    nothing(order(&mut chain, &judge(0), stranger, SEVEN));
    nothing(order(&mut chain, &judge(0), id, NINE));
    // That there is nothing is looked at first.
    nothing(order(&mut chain, &bob(), id, NINE));
    nobody(order(&mut chain, &bob(), id, SEVEN));
    assert!(chain.state.undecided_bundle(&id).unwrap().legs[0].verdicts.is_empty());
    assert_eq!(decision(&chain.after_ms(10_000).block(&[])), Some(Decision::TimedOut));

    // A wei less than the bond is not enough, the bond is.
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    for (number, kept) in [(0, BOND - 1), (1, BOND)] {
        let amount = PUT_UP - kept;
        chain.after_ms(1);
        chain.order_one(&judge(number), Payload::ReleaseCollateral { amount });
    }
    nobody(order(&mut chain, &judge(0), id, SEVEN));
    let (receipt, fee) = order(&mut chain, &judge(1), id, SEVEN);
    assert_eq!(receipt, executed(fee));
    assert_eq!(chain.state.undecided_bundle(&id).unwrap().legs[0].verdicts.len(), 1);
}

#[test]
fn executors_quorum_bond_and_price_are_those_of_its_height() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 10_001);
    let mut later = settings(SEVEN);
    later.revenue_recipient = purse(NINE);
    later.auction = Some(AuctionSettings { every: 1, floor: 4_000 });
    later.atomic = Some(AtomicSettings {
        executors: vec![bob().address()],
        quorum: 1,
        bond: 2 * PUT_UP,
        hold_fee: 1_000_000,
        partners: Partners::Only(vec![]),
    });
    chain.order_one(&alice(), update(SEVEN, later));
    assert_eq!(chain.state.namespace(SEVEN).unwrap().held_by, Some(id));
    let applied = say(&mut chain, id, &[(0, SEVEN, FAILS)]);
    assert_eq!(decision(&applied), None, "it still takes two");
    let news = Payload::Verdict { bundle: id, namespace: SEVEN, effects: FAILS };
    let news = chain.sign(&bob(), news);
    let last = verdict(&mut chain, 1, id, SEVEN, FAILS);
    let applied = chain.after_ms(1).block(&[(0, &[&news, &last])]);
    let fee = inclusion(&news);
    assert_eq!(applied.receipts[0], [skipped(SkipReason::NotExecutor, fee), executed(fee)]);
    // Three heights at the prices of then: 627 of 783, to whom it goes now.
    assert_eq!(decided(&applied), [(Decision::Failed, 783, vec![363, 264])]);
    assert_eq!(chain.state.balance(&purse(NINE)), 363);
    assert_eq!(reserve(&chain, SEVEN), 4_000, "the floor is that of now");

    // A namespace that gives up its auction meanwhile is let go all the same.
    let id = hold(&mut chain, &[EIGHT, NINE], 1_000);
    let neither = NamespaceSettings { auction: None, atomic: None, ..settings(NINE) };
    chain.order_one(&alice(), update(NINE, neither));
    let said = [(0, EIGHT, WILL), (1, EIGHT, WILL), (0, NINE, WILL), (1, NINE, WILL)];
    assert_eq!(decision(&say(&mut chain, id, &said)), Some(Decision::Committed));
    assert_eq!(chain.state.namespace(NINE).unwrap().held_by, None);
}

// When it times out.

#[test]
fn it_waits_for_the_time_and_for_three_blocks_with_observations() {
    let mut chain = market();
    // Both come together.
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    assert_eq!(wait(&mut chain), (3, Decision::TimedOut));

    // The third block is a millisecond early.
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    chain.after_ms(999).block(&[]);
    chain.block(&[]);
    assert_eq!(decision(&chain.block(&[])), None);
    assert_eq!(decision(&chain.after_ms(1).block(&[])), Some(Decision::TimedOut));

    // Time passes at once: then it is the third block.
    let id = hold(&mut chain, &[NINE, TEN], 1_000);
    assert_eq!(decision(&chain.after_ms(3_600_000).block(&[])), None);
    assert_eq!(decision(&chain.after_ms(1).block(&[])), None);
    let applied = chain.after_ms(1).block(&[]);
    assert_eq!(decision(&applied), Some(Decision::TimedOut));
    assert_eq!(applied.results.bundles[0].bundle, id);
}

#[test]
fn empty_blocks_do_not_count() {
    let mut chain = market();
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let observers: [&[usize]; 5] = [&[0], &[], &[], &[1], &[0, 1, 2, 3]];
    let decisions = observers.map(|observers| {
        let applied = chain.after_ms(5_000).seen_by(observers).block(&[]);
        decision(&applied)
    });
    assert_eq!(decisions, [None, None, None, None, Some(Decision::TimedOut)]);
}

#[test]
fn at_the_last_height_it_is_over_whatever_time_and_blocks_say() {
    let mut chain = market();
    // Time does not come.
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    for _ in 1..HOLD_HEIGHTS {
        assert_eq!(decision(&chain.after_ms(1).block(&[])), None);
    }
    assert_eq!(decision(&chain.after_ms(1).block(&[])), Some(Decision::TimedOut));
    // Observations do not.
    hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    for _ in 1..HOLD_HEIGHTS {
        assert_eq!(decision(&chain.seen_by(&[]).block(&[])), None);
    }
    assert_eq!(decision(&chain.seen_by(&[]).block(&[])), Some(Decision::TimedOut));
}

// Who takes part.

#[test]
fn it_is_not_atomic_where_a_namespace_takes_no_part() {
    let mut chain = market();
    // Below the reserve as well: that is looked at later.
    let low = atomic(&mut chain, &alice(), &[SEVEN, ELEVEN], 1);
    let applied = chain.block(&[(0, &[&low])]);
    assert_eq!(results(&applied), [BidResult::NotAtomic]);
    assert_eq!(applied.results.bids[0].number(), Some(11));
    assert!(applied.slices.is_empty() && applied.results.lots.is_empty());
    assert_eq!(collateral(&chain, &alice()), PUT_UP);

    // That a namespace has no lot is looked at before.
    let nowhere = atomic(&mut chain, &alice(), &[ELEVEN, NamespaceId(12)], 1_000);
    assert_eq!(results(&chain.block(&[(0, &[&nowhere])])), [BidResult::NoLot]);

    // What is not to be executed all or none concerns none of this.
    let tied = bid(&mut chain, &alice(), &[SEVEN, ELEVEN], 1_000, BidMode::Inclusion);
    assert_eq!(results(&chain.block(&[(0, &[&tied])])), [BidResult::Won]);
    assert_eq!(collateral(&chain, &alice()), PUT_UP - 1_000);
}

#[test]
fn it_takes_all_of_them_to_be_partners_of_each_other() {
    let mut chain = market();
    for (namespace, partners) in [(SEVEN, vec![NINE]), (NINE, vec![SEVEN, TEN])] {
        let mut only = settings(namespace);
        only.atomic.as_mut().unwrap().partners = Partners::Only(partners);
        chain.order_one(&alice(), update(namespace, only));
    }
    let mut open = |lots: &[NamespaceId], mode| {
        let one = bid(&mut chain, &alice(), lots, 10_001, mode);
        let opened = chain.block(&[(0, &[&one])]).results.bids[0];
        (opened.result, opened.number())
    };
    let all = BidMode::Atomic;
    assert_eq!(open(&[SEVEN, EIGHT], all), (BidResult::NotAtomic, Some(7)), "8 would, 7 would not");
    assert_eq!(open(&[EIGHT, NINE], all), (BidResult::NotAtomic, Some(9)), "nor would 9");
    assert_eq!(open(&[SEVEN, NINE, TEN], all), (BidResult::NotAtomic, Some(7)), "each of them");
    assert_eq!(open(&[SEVEN, EIGHT], BidMode::Inclusion), (BidResult::Won, None));
    assert_eq!(open(&[SEVEN, NINE], all), (BidResult::Won, None));
    assert_eq!(open(&[EIGHT, TEN], all), (BidResult::Won, None));
}

#[test]
fn a_namespace_takes_part_if_a_quorum_of_its_executors_has_bonds() {
    let mut chain = market();
    chain.order_one(&judge(0), Payload::ReleaseCollateral { amount: PUT_UP });
    chain.order_one(&judge(1), Payload::ReleaseCollateral { amount: PUT_UP - BOND });
    let one = atomic(&mut chain, &alice(), &[SEVEN, EIGHT], 1_000);
    assert_eq!(results(&chain.block(&[(0, &[&one])])), [BidResult::Won], "two of three have");
    chain.after_ms(5_000).block(&[]);
    assert_eq!(wait(&mut chain), (2, Decision::TimedOut));

    chain.order_one(&judge(1), Payload::ReleaseCollateral { amount: 1 });
    // What is put up in the same block does not count.
    let lock = chain.sign(&judge(1), Payload::LockCollateral { amount: 1 });
    let other = atomic(&mut chain, &alice(), &[EIGHT, NINE], 1_000);
    let applied = chain.block(&[(0, &[&lock, &other])]);
    assert_eq!(results(&applied), [BidResult::NotAtomic]);
    assert_eq!(applied.results.bids[0].number(), Some(8), "the first of two");
    let again = atomic(&mut chain, &alice(), &[EIGHT, NINE], 1_000);
    assert_eq!(results(&chain.block(&[(0, &[&again])])), [BidResult::Won]);
}

#[test]
fn a_node_knows_what_a_bid_has_to_be_covered_by() {
    let mut chain = market();
    let most = Wei::from(HOLD_HEIGHTS) * (PRICE_OF_SEVEN + PRICE);
    let (both, now) = ([SEVEN, EIGHT], chain.state.clock().time_ms);
    let next = chain.state.clock().height + 1;
    let cover = |chain: &Chain, height, mode, lots: &[NamespaceId]| {
        chain.state.cover(height, mode, 500, lots, now)
    };
    assert_eq!(cover(&chain, next, BidMode::Atomic, &both), Some(most));
    assert_eq!(cover(&chain, next, BidMode::Inclusion, &both), Some(500));
    assert_eq!(cover(&chain, next, BidMode::Atomic, &[SEVEN, ELEVEN]), None, "it takes no part");
    assert_eq!(cover(&chain, next, BidMode::Inclusion, &[SEVEN, ELEVEN]), Some(500));
    hold(&mut chain, &[SEVEN, NINE], 1_000);
    let next = chain.state.clock().height + 1;
    for mode in [BidMode::Atomic, BidMode::Inclusion] {
        assert_eq!(cover(&chain, next, mode, &both), None, "one is held");
        assert!(cover(&chain, next + 1, mode, &both).is_some(), "it may be free by then");
    }
}

#[test]
fn a_bidder_has_to_cover_the_amount_and_the_most_that_holding_may_cost() {
    let mut chain = market();
    let most = Wei::from(HOLD_HEIGHTS) * (PRICE_OF_SEVEN + PRICE);
    let keep = |chain: &mut Chain, amount| {
        let has = collateral(chain, &bob());
        let change = if has > amount {
            Payload::ReleaseCollateral { amount: has - amount }
        } else {
            Payload::LockCollateral { amount: amount - has }
        };
        chain.order_one(&bob(), change);
        assert_eq!(collateral(chain, &bob()), amount);
    };
    for (amount, cover) in [(500, most), (most - 1, most), (most + 1, most + 1)] {
        keep(&mut chain, cover - 1);
        let short = atomic(&mut chain, &bob(), &[SEVEN, EIGHT], amount);
        let applied = chain.block(&[(0, &[&short])]);
        assert_eq!(results(&applied), [BidResult::Insolvent]);
        assert_eq!(applied.results.bids[0].number(), Some(cover - 1));
        // Who offers what is not there pays for it; what holding may cost, nobody knows for sure before.
        let penalty = if amount > cover - 1 { PENALTY } else { 0 };
        assert_eq!(collateral(&chain, &bob()), cover - 1 - penalty);

        keep(&mut chain, cover);
        let fine = atomic(&mut chain, &bob(), &[SEVEN, EIGHT], amount);
        assert_eq!(results(&chain.block(&[(0, &[&fine])])), [BidResult::Won]);
        assert_eq!(collateral(&chain, &bob()), 0);
        say(&mut chain, id_of(&fine), &[(0, SEVEN, FAILS), (1, SEVEN, FAILS)]);
        assert_eq!(collateral(&chain, &bob()), cover - 261);
    }
    // Holding is nothing to a bid that holds nothing.
    keep(&mut chain, 500);
    let tied = bid(&mut chain, &bob(), &[SEVEN, EIGHT], 500, BidMode::Inclusion);
    assert_eq!(results(&chain.block(&[(0, &[&tied])])), [BidResult::Won]);
}

// Standing.

/// Holds namespaces 7 and 8 until that times out. Returns the time.
fn miss(chain: &mut Chain) -> u64 {
    hold(chain, &[SEVEN, EIGHT], 1_000);
    assert_eq!(wait(chain), (3, Decision::TimedOut));
    chain.state.clock().time_ms
}

#[test]
fn three_deadlines_missed_suspend_for_longer_each_time() {
    let mut chain = market();
    for strikes in [1, 2] {
        miss(&mut chain);
        let expected = Standing { strikes, level: 0, suspended_until: 0 };
        assert_eq!(standing(&chain, SEVEN), expected);
    }
    for (level, length) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let suspended_until = miss(&mut chain) + length * SUSPENSION_MS;
        let expected = Standing { strikes: 2, level, suspended_until };
        assert_eq!(standing(&chain, SEVEN), expected);
        assert_eq!(standing(&chain, EIGHT), expected);
        let rest = suspended_until - chain.state.clock().time_ms;
        let early = atomic(&mut chain, &alice(), &[SEVEN, NINE], 1_000);
        let applied = chain.after_ms(rest - 1).block(&[(0, &[&early])]);
        assert_eq!(results(&applied), [BidResult::NotAtomic]);
        assert_eq!(applied.results.bids[0].number(), Some(7));
        // The next block is at the end of it: there it takes part again.
        chain.after_ms(1);
    }
}

#[test]
fn deadlines_kept_take_strikes_away_and_at_none_suspensions_are_short_again() {
    let mut chain = market();
    for _ in 0..3 {
        miss(&mut chain);
    }
    let first = standing(&chain, SEVEN);
    chain.after_ms(SUSPENSION_MS);
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    // Of namespace 8 a quorum says that it fails: that is kept. Of 7 nobody says anything: it is not
    // missed either, since there was time left.
    say(&mut chain, id, &[(0, EIGHT, FAILS), (1, EIGHT, FAILS)]);
    assert_eq!(standing(&chain, SEVEN), first);
    assert_eq!(standing(&chain, EIGHT), Standing { strikes: 1, ..first });
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    say(&mut chain, id, &BOTH_WILL);
    assert_eq!(standing(&chain, SEVEN), Standing { strikes: 1, ..first });
    assert_eq!(standing(&chain, EIGHT), Standing { strikes: 0, level: 0, ..first });
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    say(&mut chain, id, &BOTH_WILL);
    assert_eq!(standing(&chain, SEVEN), Standing { strikes: 0, level: 0, ..first });
    assert_eq!(standing(&chain, EIGHT), Standing { strikes: 0, level: 0, ..first });
    // From the start: two are forgiven, the third suspends for the least time.
    miss(&mut chain);
    miss(&mut chain);
    let time = miss(&mut chain);
    assert_eq!(standing(&chain, EIGHT).suspended_until, time + SUSPENSION_MS);
}

#[test]
fn who_has_agreed_by_the_deadline_is_not_blamed_for_the_others() {
    let mut chain = market();
    miss(&mut chain);
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    say(&mut chain, id, &[(0, SEVEN, WILL), (1, SEVEN, WILL), (0, EIGHT, WILL)]);
    assert_eq!(wait(&mut chain), (2, Decision::TimedOut));
    assert_eq!(standing(&chain, SEVEN).strikes, 0);
    assert_eq!(standing(&chain, EIGHT).strikes, 2);
    assert_eq!(standing(&chain, NINE), Standing::default());
}

#[test]
fn new_settings_leave_the_standing_as_it_is() {
    let mut chain = market();
    for _ in 0..3 {
        miss(&mut chain);
    }
    let before = standing(&chain, SEVEN);
    let mut others = settings(SEVEN);
    others.atomic.as_mut().unwrap().executors.pop();
    chain.after_ms(1).order_one(&alice(), update(SEVEN, others));
    assert_eq!(standing(&chain, SEVEN), before);
    let early = atomic(&mut chain, &alice(), &[SEVEN, NINE], 1_000);
    let applied = chain.after_ms(1).block(&[(0, &[&early])]);
    assert_eq!(results(&applied), [BidResult::NotAtomic]);
}

#[test]
fn suspensions_double_six_times() {
    let mut standing = Standing::default();
    let lengths: Vec<u64> = (0..12)
        .map(|at| {
            standing.miss(1_000 * at, 100);
            standing.suspended_until.saturating_sub(1_000 * at)
        })
        .collect();
    let doubled = [100, 200, 400, 800, 1_600, 3_200, 6_400, 6_400, 6_400, 6_400];
    assert_eq!(lengths[2..], doubled);
    assert_eq!((standing.strikes, standing.level), (2, MAX_SUSPENSION_LEVEL));
    standing.miss(u64::MAX, u64::MAX);
    assert!(!standing.is_suspended(u64::MAX), "time ends there");
}

// Several at once.

#[test]
fn bundles_that_overlap_in_a_ring_go_one_after_another() {
    let mut chain = market();
    let ring = [(alice(), [SEVEN, EIGHT]), (bob(), [EIGHT, NINE]), (carol(), [SEVEN, NINE])];
    let mut left = ring.to_vec();
    let mut committed = Vec::new();
    while !left.is_empty() {
        // Bob offers the most, Alice more than Carol.
        let offers = |key: &SecretKey| match key.address() {
            address if address == bob().address() => 3_000,
            address if address == alice().address() => 2_000,
            _ => 1_000,
        };
        let bids: Vec<Transaction> =
            (left.iter()).map(|(key, lots)| atomic(&mut chain, key, lots, offers(key))).collect();
        let applied = chain.block(&[(0, &bids.iter().collect::<Vec<_>>())]);
        let won = |at: &usize| results(&applied)[*at] == BidResult::Won;
        let winners: Vec<usize> = (0..left.len()).filter(won).collect();
        let [winner] = winners[..] else { panic!("{:?}", results(&applied)) };
        assert_eq!(chain.state.undecided().count(), 1);
        let (key, lots) = left.remove(winner);
        committed.push(key.address());

        // Those that touch it find no lots.
        for (key, lots) in &left {
            let early = atomic(&mut chain, key, lots, 1_000);
            let applied = chain.after_ms(1).block(&[(0, &[&early])]);
            assert_eq!(results(&applied), [BidResult::NoLot]);
        }
        let said: Vec<Says> =
            lots.iter().flat_map(|lot| [(0, *lot, WILL), (1, *lot, WILL)]).collect();
        let applied = say(&mut chain, id_of(&bids[winner]), &said);
        assert_eq!(decision(&applied), Some(Decision::Committed));
    }
    assert_eq!(committed, [bob(), alice(), carol()].map(|key| key.address()));
}

#[test]
fn bundles_that_share_nothing_are_held_together_and_decided_by_id() {
    let mut chain = market();
    let one = atomic(&mut chain, &alice(), &[SEVEN, EIGHT], 1_000);
    let two = atomic(&mut chain, &bob(), &[NINE, TEN], 2_000);
    let applied = chain.block(&[(0, &[&one, &two])]);
    assert_eq!(results(&applied), [BidResult::Won; 2]);
    let mut ids = [id_of(&one), id_of(&two)];
    // Each counts for its own: judged differently, decided in one block.
    let mut said = Vec::new();
    for (number, namespace, effects) in BOTH_WILL {
        said.push(verdict(&mut chain, number, ids[0], namespace, effects));
    }
    for number in [0, 1] {
        said.push(verdict(&mut chain, number, ids[1], TEN, FAILS));
    }
    let applied = chain.block(&[(0, &said.iter().collect::<Vec<_>>())]);
    for (id, decision) in ids.iter().zip([Decision::Committed, Decision::Failed]) {
        assert_eq!(applied.results.decided(*id).unwrap().decision, decision);
    }
    ids.sort();
    assert_eq!(applied.results.bundles.iter().map(|it| it.bundle).collect::<Vec<_>>(), ids);
    assert_eq!(
        applied.slices.iter().map(|slice| slice.namespace.0).collect::<Vec<_>>(),
        [7, 8, 9, 10]
    );
}

#[test]
fn what_is_decided_follows_what_was_sold_and_bid_among_the_results() {
    let mut chain = market();
    let id = hold(&mut chain, &[SEVEN, EIGHT], 1_000);
    let other = bid(&mut chain, &bob(), &[NINE], 500, BidMode::Inclusion);
    let mut all = vec![other];
    for (number, namespace, effects) in BOTH_WILL {
        all.push(verdict(&mut chain, number, id, namespace, effects));
    }
    let applied = chain.block(&[(0, &all.iter().collect::<Vec<_>>())]);
    let kinds: Vec<&str> = (applied.results.proven().iter())
        .map(|proven| {
            assert_eq!(proven.root(), Some(applied.outcome.results_root));
            match proven.result {
                AuctionResult::Lot(_) => "lot",
                AuctionResult::Bid(_) => "bid",
                AuctionResult::Bundle(_) => "bundle",
            }
        })
        .collect();
    assert_eq!(kinds, ["lot", "bid", "bundle"]);
}
