//! What the auction of a block came to: the leaves, and the root.

use weft_types::results::number_detail;
use weft_types::{B256, BidResult, NamespaceId, OpenedBid, Results, SoldLot, TransactionId};

use crate::document::Vector;
use crate::fixtures::{address, hash_of};

pub(crate) fn vectors() -> Vec<Vector> {
    let every = sample();
    let one = Results { lots: vec![lot(7)], bids: vec![won("one")] };
    let lost = Results { lots: vec![], bids: every.bids[2..].to_vec() };
    let swapped = Results { bids: every.bids.iter().rev().copied().collect(), ..every.clone() };
    let bytes = borsh::to_vec(&one).unwrap();
    // Two counts and a lot; then a bid up to its amount.
    let code = 4 + 108 + 4 + 32 + 20 + 8 + 8 + 16;
    let mut unknown = bytes.clone();
    unknown[code] = 8;
    let mut overlong = bytes.clone();
    overlong[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        vector("nobody bid", &Results::default()),
        vector("one lot, one bid", &one),
        vector("bids that came to nothing", &lost),
        vector("every result", &every),
        vector("every result, bids in another order", &swapped),
        vector("largest numbers", &largest()),
        Vector::undecodable::<Results>("result 8", &unknown),
        Vector::undecodable::<Results>("more lots than bytes", &overlong),
        Vector::undecodable::<Results>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Results>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// Two bids that won three lots, and a bid for each way of winning nothing.
pub(crate) fn sample() -> Results {
    let others = [
        ("lost", BidResult::Lost, hash_of("bid one")),
        ("beyond the bound", BidResult::Lost, B256::ZERO),
        ("below the reserve", BidResult::BelowReserve, number_detail(3 * 10u128.pow(18) + 1)),
        ("insolvent", BidResult::Insolvent, number_detail(2 * 10u128.pow(18))),
        ("too late", BidResult::WrongHeight, B256::ZERO),
        ("for no lot", BidResult::NoLot, number_detail(845_300)),
        ("replaced", BidResult::Replaced, hash_of("bid withdrawn")),
        ("withdrawn", BidResult::Withdrawn, B256::ZERO),
    ];
    let other = |(sequence, (name, result, detail)): (u64, (&str, BidResult, B256))| {
        let bid = OpenedBid { sequence, amount: 10u128.pow(18), result, detail, ..won(name) };
        match result {
            BidResult::WrongHeight => OpenedBid { height: bid.height - 1, ..bid },
            // It is the one that replaced the other.
            BidResult::Withdrawn => {
                OpenedBid { bidder: address("bidder replaced"), amount: 0, ..bid }
            }
            _ => bid,
        }
    };
    let second = SoldLot { revenue: 1, ..lot(9) };
    let alone = SoldLot {
        bid: TransactionId(hash_of("bid two")),
        bidder: address("bidder two"),
        payment: 10u128.pow(17),
        ..lot(u64::MAX)
    };
    let winners = [won("one"), OpenedBid { amount: 10u128.pow(17), ..won("two") }];
    let bids = winners.into_iter().chain((0..).zip(others).map(other)).collect();
    Results { lots: vec![lot(7), second, alone], bids }
}

/// A namespace's lot, which bid one took.
fn lot(namespace: u64) -> SoldLot {
    SoldLot {
        namespace: NamespaceId(namespace),
        reserve: 3 * 10u128.pow(15),
        bid: TransactionId(hash_of("bid one")),
        bidder: address("bidder one"),
        payment: 25 * 10u128.pow(17),
        revenue: 10u128.pow(17) - 3,
    }
}

/// A bid that won.
fn won(name: &str) -> OpenedBid {
    OpenedBid {
        bid: TransactionId(hash_of(&format!("bid {name}"))),
        bidder: address(&format!("bidder {name}")),
        height: 1_234_568,
        sequence: 3,
        amount: 25 * 10u128.pow(17),
        result: BidResult::Won,
        detail: B256::ZERO,
    }
}

/// A lot and a bid of which every number is the largest of its type.
pub(crate) fn largest() -> Results {
    let (payment, revenue) = (u128::MAX, u128::MAX);
    Results {
        lots: vec![SoldLot { reserve: u128::MAX, payment, revenue, ..lot(u64::MAX) }],
        bids: vec![OpenedBid {
            height: u64::MAX,
            sequence: u64::MAX,
            amount: u128::MAX,
            result: BidResult::Insolvent,
            detail: number_detail(u128::MAX),
            ..won("one")
        }],
    }
}

fn vector(name: &str, results: &Results) -> Vector {
    let proven = results.proven();
    let leaves: Vec<B256> = proven.iter().map(|proven| proven.result.leaf()).collect();
    assert_eq!(leaves.len(), results.lots.len() + results.bids.len(), "{name}");
    let root = results.root();
    assert!(proven.iter().all(|proven| proven.root() == Some(root)), "{name}: a path leads astray");
    Vector::of(name, results).hash("leaves", leaves).verdict("accepted", Ok::<_, String>(root))
}
