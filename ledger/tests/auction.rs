//! The auction inside a block, by example (protocol section 8).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::arithmetic_side_effects, reason = "numbers are small")]

#[allow(dead_code, reason = "each test uses a part of it")]
mod chain;

use weft_ledger::Applied;
use weft_types::genesis::GenesisNamespace;
use weft_types::{
    AuctionSettings, BidMode, BidResult, Bytes, L1Event, Leg, NamespaceId, NamespaceSettings,
    Payload, SecretKey, SliceEntry, Transaction, Wei,
};

use chain::*;

const EIGHT: NamespaceId = NamespaceId(8);
const BID_FEE: Wei = 5_000;
const PENALTY: Wei = 70_000;
const FLOOR_OF_LOTS: Wei = 100;
const PUT_UP: Wei = 100_000;

fn selling(settings: NamespaceSettings, every: u64) -> NamespaceSettings {
    let auction = Some(AuctionSettings { every, floor: FLOOR_OF_LOTS });
    NamespaceSettings { auction, ..settings }
}

/// Namespaces 7 and 8 sell a lot at every height, 8's revenue is Carol's. Alice and Bob have put up
/// collateral.
fn market() -> Chain {
    let mut chain = Chain::with(|genesis| {
        genesis.params.bid_fee = BID_FEE;
        genesis.params.bid_penalty = PENALTY;
        genesis.params.collateral_delay_ms = 3_000;
        let carols = NamespaceSettings { revenue_recipient: carol().address(), ..open() };
        genesis.namespaces = vec![
            GenesisNamespace { namespace: SEVEN, settings: selling(open(), 1) },
            GenesisNamespace { namespace: EIGHT, settings: selling(carols, 1) },
        ];
    });
    for key in [alice(), bob()] {
        chain.order_one(&key, Payload::LockCollateral { amount: PUT_UP });
    }
    chain
}

/// A bid for the next height.
fn bid(chain: &mut Chain, key: &SecretKey, lots: &[NamespaceId], amount: Wei) -> Transaction {
    bid_of(chain, key, lots, amount, 0, 1)
}

fn bid_of(
    chain: &mut Chain,
    key: &SecretKey,
    lots: &[NamespaceId],
    amount: Wei,
    sequence: u64,
    ahead: u64,
) -> Transaction {
    let data = vec![Bytes::from_static(b"leg")];
    let legs = lots.iter().map(|lot| Leg { namespace: *lot, data: data.clone() }).collect();
    let height = chain.state.clock().height + ahead;
    chain.sign(key, Payload::Bid { sequence, height, amount, mode: BidMode::Inclusion, legs })
}

fn results(applied: &Applied) -> Vec<BidResult> {
    applied.results.bids.iter().map(|bid| bid.result).collect()
}

#[test]
fn what_a_winner_pays_is_split_to_the_wei() {
    let mut chain = market();
    let (before, burned) = (chain.balance(&carol()), chain.state.burned());
    let paid_before: Vec<Wei> = (0..4).map(|i| chain.earned(i)).collect();
    let winning = bid(&mut chain, &alice(), &[EIGHT], 10_001);
    let applied = chain.seen_by(&[0, 1, 2]).block(&[(0, &[&winning])]);

    assert_eq!(applied.results.bids[0].result, BidResult::Won);
    let lot = applied.results.lots[0];
    assert_eq!((lot.namespace, lot.reserve, lot.payment), (EIGHT, FLOOR_OF_LOTS, 10_001));
    // 15 % and 5 % rounded down, the rest.
    let (validators, nobody) = (1_500, 500);
    assert_eq!(lot.revenue, 10_001 - validators - nobody);
    assert_eq!(chain.balance(&carol()) - before, lot.revenue);
    assert_eq!(chain.state.namespace(EIGHT).unwrap().earned, lot.revenue);
    assert_eq!(chain.state.collateral(&alice().address()), PUT_UP - 10_001);

    // Each embedded validator has a quarter of the fee and of that part; the last one's is burned.
    let shared = inclusion(&winning) + BID_FEE + validators;
    assert_eq!(applied.receipts[0][0], executed(inclusion(&winning) + BID_FEE));
    for (i, paid) in paid_before.iter().enumerate() {
        assert_eq!(chain.earned(i) - paid, if i < 3 { shared / 4 } else { 0 });
        assert_eq!(chain.state.validator(&validator(i)).earned, chain.earned(i));
    }
    assert_eq!(chain.state.burned() - burned, nobody + shared - 3 * (shared / 4));
}

#[test]
fn a_bid_for_two_lots_takes_both_or_none() {
    let mut chain = market();
    let both = bid(&mut chain, &alice(), &[SEVEN, EIGHT], 3_000);
    let one = bid(&mut chain, &bob(), &[SEVEN], 2_000);
    let applied = chain.block(&[(0, &[&one]), (1, &[&both])]);
    assert_eq!(results(&applied), [BidResult::Lost, BidResult::Won]);
    assert_eq!(applied.results.bids[0].other(), Some(applied.results.bids[1].bid));
    // Lot 7 would have brought 2000 alone, lot 8 nothing: 2500 and 500 of 3000.
    let revenues: Vec<Wei> = applied.results.lots.iter().map(|lot| lot.revenue).collect();
    assert_eq!(revenues, [2_000, 400]);
    let heads: Vec<_> = applied.slices.iter().map(|slice| slice.entries.len()).collect();
    assert_eq!(heads, [1, 1]);

    let both = bid(&mut chain, &alice(), &[SEVEN, EIGHT], 2_000);
    let one = bid(&mut chain, &bob(), &[SEVEN], 2_000);
    let applied = chain.block(&[(0, &[&both, &one])]);
    assert_eq!(results(&applied), [BidResult::Lost, BidResult::Won]);
    assert_eq!(applied.slices.len(), 1);
}

#[test]
fn bids_that_do_not_stand_say_why() {
    let mut chain = market();
    let late = bid_of(&mut chain, &alice(), &[SEVEN], 900, 0, 2);
    let replaced = bid_of(&mut chain, &alice(), &[SEVEN], 900, 1, 1);
    let low = bid_of(&mut chain, &alice(), &[SEVEN, EIGHT], 2 * FLOOR_OF_LOTS - 1, 2, 1);
    let elsewhere = bid(&mut chain, &bob(), &[NamespaceId(9)], 900);
    let withdrawn = bid(&mut chain, &carol(), &[], 0);
    let applied = chain.block(&[(0, &[&late, &replaced, &low, &elsewhere, &withdrawn])]);
    assert_eq!(
        results(&applied),
        [
            BidResult::WrongHeight,
            BidResult::Replaced,
            BidResult::BelowReserve,
            BidResult::NoLot,
            BidResult::Withdrawn,
        ]
    );
    assert_eq!(applied.results.bids[2].number(), Some(2 * FLOOR_OF_LOTS));
    assert_eq!(applied.results.bids[3].number(), Some(9));
    assert!(applied.slices.is_empty());
    assert_eq!(chain.state.collateral(&alice().address()), PUT_UP);
}

#[test]
fn who_bids_more_than_it_has_put_up_pays_for_that() {
    let mut chain = market();
    // What is locked in the same block does not count.
    let lock = chain.sign(&carol(), Payload::LockCollateral { amount: PUT_UP });
    let early = bid(&mut chain, &carol(), &[SEVEN], 900);
    let balance = chain.balance(&carol());
    let applied = chain.block(&[(0, &[&lock, &early])]);
    assert_eq!(results(&applied), [BidResult::Insolvent]);
    let fees = inclusion(&lock) + inclusion(&early) + BID_FEE;
    assert_eq!(balance - chain.balance(&carol()), PUT_UP + fees + PENALTY);
    assert_eq!(chain.state.collateral(&carol().address()), PUT_UP);

    // Collateral first, then the balance.
    for left in [PUT_UP - PENALTY, 0] {
        let above = bid(&mut chain, &bob(), &[SEVEN], PUT_UP + 1);
        let balance = chain.balance(&bob());
        let applied = chain.block(&[(0, &[&above])]);
        assert_eq!(results(&applied), [BidResult::Insolvent]);
        assert_eq!(chain.state.collateral(&bob().address()), left);
        let of_balance = if left == 0 { 2 * PENALTY - PUT_UP } else { 0 };
        assert_eq!(balance - chain.balance(&bob()), inclusion(&above) + BID_FEE + of_balance);
    }
}

#[test]
fn the_winners_leg_stands_before_messages_and_pushes_none_out() {
    let mut chain = market();
    let forced = |index| L1Event::Forced {
        namespace: SEVEN,
        index,
        sender: carol().address(),
        fee: 0,
        data: Bytes::from_static(b"forced"),
    };
    let winning = bid(&mut chain, &alice(), &[SEVEN], 900);
    let submission = chain.sign(&bob(), submit(SEVEN, 200));
    chain.passing(&[forced(0), forced(1)]);
    let applied = chain.block(&[(0, &[&submission, &winning])]);
    let kinds: Vec<&str> = applied.slices[0]
        .entries
        .iter()
        .map(|entry| match entry {
            SliceEntry::Head { bidder, .. } if *bidder == alice().address() => "head",
            SliceEntry::Head { .. } => "another's head",
            SliceEntry::Decision { .. } => "decision",
            SliceEntry::Forced { .. } => "forced",
            SliceEntry::Submission { .. } => "submission",
            SliceEntry::Leg { .. } => "leg",
        })
        .collect();
    assert_eq!(kinds, ["head", "forced", "forced", "submission"]);
}

#[test]
fn released_collateral_backs_nothing_and_comes_back_by_itself() {
    let mut chain = market();
    let balance = chain.balance(&alice());
    let release = chain.sign(&alice(), Payload::ReleaseCollateral { amount: PUT_UP - 500 });
    chain.order(&[&release]);
    let above = bid(&mut chain, &alice(), &[SEVEN], 501);
    let applied = chain.block(&[(0, &[&above])]);
    assert_eq!(results(&applied), [BidResult::Insolvent]);
    let spent = inclusion(&release) + inclusion(&above) + BID_FEE;
    let penalty_of_balance = PENALTY - 500;
    // A block is a second after its parent: it is there after the third.
    for there in [false, true] {
        chain.block(&[]);
        let back = if there { PUT_UP - 500 } else { 0 };
        assert_eq!(chain.balance(&alice()) + spent + penalty_of_balance, balance + back);
    }
    assert_eq!(chain.state.releases().count(), 0);
}

#[test]
fn the_reserve_follows_what_lots_bring() {
    let mut chain = market();
    let reserve = |chain: &Chain| {
        let next = chain.state.clock().height + 1;
        chain.state.namespace(SEVEN).unwrap().lot(next).unwrap()
    };
    let sell = |chain: &mut Chain, amount| {
        let winning = bid(chain, &alice(), &[SEVEN], amount);
        assert_eq!(results(&chain.block(&[(0, &[&winning])])), [BidResult::Won]);
    };
    sell(&mut chain, 199);
    assert_eq!(reserve(&chain), 100, "not twice as much");
    sell(&mut chain, 200);
    assert_eq!(reserve(&chain), 112);
    sell(&mut chain, 224);
    assert_eq!(reserve(&chain), 126);
    chain.block(&[]);
    assert_eq!(reserve(&chain), 126 - 15, "a lot was not sold");
    chain.block(&[]);
    assert_eq!(reserve(&chain), 100, "never below the floor");
    let rarer = chain.sign(&alice(), update(SEVEN, selling(open(), 5)));
    chain.order(&[&rarer]);
    let settings = chain.state.namespace(SEVEN).unwrap();
    let offered: Vec<u64> = (1..40).filter(|height| settings.lot(*height).is_some()).collect();
    assert_eq!(offered, [5, 10, 15, 20, 25, 30, 35]);
}
