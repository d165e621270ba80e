//! What the auction of a block came to: the leaves, and the root.

use weft_types::results::{LegRevenue, number_detail};
use weft_types::{
    B256, BidResult, DecidedBundle, Decision, NamespaceId, OpenedBid, Results, SoldLot,
    TransactionId, Wei,
};

use crate::document::Vector;
use crate::fixtures::{address, hash_of};

pub(crate) fn vectors() -> Vec<Vector> {
    let every = sample();
    let one = Results { lots: vec![lot(7)], bids: vec![won("one")], bundles: vec![] };
    let lost = Results { bids: every.bids[3..].to_vec(), ..Results::default() };
    let decided = Results { bundles: vec![committed()], ..Results::default() };
    let decisions = Results { bundles: every.bundles.clone(), ..one.clone() };
    let swapped = Results { bids: every.bids.iter().rev().copied().collect(), ..every.clone() };
    let bytes = borsh::to_vec(&one).unwrap();
    // Two counts and a lot; then a bid up to its amount.
    let code = 4 + 108 + 4 + 32 + 20 + 8 + 8 + 16;
    let mut unknown = bytes.clone();
    unknown[code] = 9;
    // Three counts, then a bundle up to its decision.
    let bundle = borsh::to_vec(&decided).unwrap();
    let mut undecided = bundle.clone();
    undecided[3 * 4 + 32 + 20 + 8] = 3;
    let mut legless = bundle;
    let legs = 3 * 4 + 32 + 20 + 8 + 1 + 16;
    legless[legs..legs + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut overlong = bytes.clone();
    overlong[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        vector("nobody bid", &Results::default()),
        vector("one lot, one bid", &one),
        vector("bids that came to nothing", &lost),
        vector("one bundle", &decided),
        vector("one lot, one bid, every decision", &decisions),
        vector("every result", &every),
        vector("every result, bids in another order", &swapped),
        vector("largest numbers", &largest()),
        Vector::undecodable::<Results>("result 9", &unknown),
        Vector::undecodable::<Results>("decision 3", &undecided),
        Vector::undecodable::<Results>("more legs than bytes", &legless),
        Vector::undecodable::<Results>("no bundles listed", &bytes[..bytes.len() - 4]),
        Vector::undecodable::<Results>("more lots than bytes", &overlong),
        Vector::undecodable::<Results>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Results>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// Two bids that won three lots, an atomic one that won two, a bid for each way of winning nothing, and
/// each way of deciding a bundle.
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
        ("not atomic", BidResult::NotAtomic, number_detail(845_300)),
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
    // It pays when it is decided.
    let held = |namespace| SoldLot {
        bid: TransactionId(hash_of("bid atomic")),
        bidder: address("bidder atomic"),
        payment: 10u128.pow(18),
        revenue: 0,
        ..lot(namespace)
    };
    let winners = [
        won("one"),
        OpenedBid { amount: 10u128.pow(17), ..won("two") },
        OpenedBid { amount: 10u128.pow(18), ..won("atomic") },
    ];
    let bids = winners.into_iter().chain((0..).zip(others).map(other)).collect();
    let failed = bundle("failed", Decision::Failed, 3 * 10u128.pow(16) + 2, &[
        (7, 10u128.pow(16) + 1),
        (8, 0),
        (u64::MAX, 10u128.pow(16)),
    ]);
    let timed_out = bundle("timed out", Decision::TimedOut, 0, &[(1, 0), (2, 0)]);
    let mut bundles = vec![committed(), failed, timed_out];
    bundles.sort_by_key(|decided| decided.bundle);
    Results { lots: vec![lot(7), second, held(11), held(13), alone], bids, bundles }
}

fn committed() -> DecidedBundle {
    bundle("committed", Decision::Committed, 10u128.pow(18), &[
        (7, 5 * 10u128.pow(17)),
        (845_300, 3 * 10u128.pow(17)),
    ])
}

/// A bundle that was decided, and what it brought to each namespace.
fn bundle(name: &str, decision: Decision, paid: Wei, legs: &[(u64, Wei)]) -> DecidedBundle {
    let leg = |&(namespace, revenue): &(u64, Wei)| {
        let namespace = NamespaceId(namespace);
        LegRevenue { namespace, revenue }
    };
    DecidedBundle {
        bundle: TransactionId(hash_of(&format!("bundle {name}"))),
        bidder: address(&format!("bidder {name}")),
        height: 1_234_560,
        decision,
        paid,
        legs: legs.iter().map(leg).collect(),
    }
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

/// A lot, a bid and a bundle of which every number is the largest of its type.
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
        bundles: vec![DecidedBundle {
            height: u64::MAX,
            paid: u128::MAX,
            legs: vec![
                LegRevenue { namespace: NamespaceId(u64::MAX), revenue: u128::MAX };
                8
            ],
            ..committed()
        }],
    }
}

fn vector(name: &str, results: &Results) -> Vector {
    let proven = results.proven();
    let leaves: Vec<B256> = proven.iter().map(|proven| proven.result.leaf()).collect();
    let count = results.lots.len() + results.bids.len() + results.bundles.len();
    assert_eq!(leaves.len(), count, "{name}");
    let root = results.root();
    assert!(proven.iter().all(|proven| proven.root() == Some(root)), "{name}: a path leads astray");
    Vector::of(name, results).hash("leaves", leaves).verdict("accepted", Ok::<_, String>(root))
}
