//! Lots, bids and decided bundles, and the roots that their paths lead to.

use serde_json::{Value, json};
use weft_types::merkle::{Keccak, TreeHash};
use weft_types::results::{AuctionResult, LegRevenue};
use weft_types::{
    BidResult, DecidedBundle, Decision, OpenedBid, ProvenResult, Results, SoldLot,
};

use crate::document::{Vector, hex};
use crate::fixtures::hash_of;
use crate::results;

pub(crate) fn vectors() -> Vec<Vector> {
    let sample = results::sample();
    let every = sample.proven();
    let names = [
        "first lot",
        "another lot of the same bid",
        "lot of an atomic bid",
        "another lot of the atomic bid",
        "last lot",
        "won",
        "won, the second",
        "won, atomic",
        "lost",
        "lost beyond the bound",
        "below reserve",
        "insolvent",
        "wrong height",
        "no lot",
        "replaced",
        "withdrawn",
        "not atomic",
    ];
    let names: Vec<String> = names
        .map(str::to_owned)
        .into_iter()
        .chain(sample.bundles.iter().map(|decided| format!("bundle {}", decided.decision)))
        .collect();
    assert_eq!(names.len(), every.len());
    let mut vectors: Vec<Vector> =
        names.iter().zip(&every).map(|(name, proven)| vector(name, proven, "accepted")).collect();

    let largest = results::largest();
    let [lot, bid, bundle] = &largest.proven()[..] else { panic!("a lot, a bid and a bundle") };
    let of_lots = Results { lots: largest.lots, ..Results::default() };
    let alone = of_lots.proven().remove(0);
    let (won, first_bundle) = (sample.lots.len(), sample.lots.len() + sample.bids.len());
    let with = |place: usize, change: &dyn Fn(&mut ProvenResult)| {
        let mut proven = every[place].clone();
        change(&mut proven);
        proven
    };
    let last = every.len() - 1;
    let changed = [
        ("largest numbers of a lot", lot.clone(), "accepted"),
        ("largest numbers of a bid", bid.clone(), "accepted"),
        ("largest numbers of a bundle", bundle.clone(), "accepted"),
        ("the only one", alone, "accepted"),
        (
            "another revenue leads elsewhere",
            with(0, &|p| lot_of(p).revenue += 1),
            "accepted",
        ),
        (
            "another result leads elsewhere",
            with(won + 3, &|p| bid_of(p).result = BidResult::Won),
            "accepted",
        ),
        (
            "another decision leads elsewhere",
            with(first_bundle, &|p| {
                let decided = bundle_of(p);
                decided.decision = match decided.decision {
                    Decision::Committed => Decision::Failed,
                    Decision::Failed | Decision::TimedOut => Decision::Committed,
                };
            }),
            "accepted",
        ),
        (
            "another order of legs leads elsewhere",
            with(first_bundle, &|p| bundle_of(p).legs.reverse()),
            "accepted",
        ),
        (
            "a leg less leads elsewhere",
            with(first_bundle, &|p| bundle_of(p).legs.truncate(1)),
            "accepted",
        ),
        (
            "no legs lead elsewhere",
            with(first_bundle, &|p| bundle_of(p).legs.clear()),
            "accepted",
        ),
        ("another count leads elsewhere", with(0, &|p| p.count += 1), "accepted"),
        ("too long", with(5, &|p| p.path.siblings.push(hash_of("one more"))), "path"),
        ("too short", with(5, &|p| p.path.siblings.truncate(2)), "path"),
        ("beyond the end", with(last, &|p| p.count = last as u64), "path"),
        ("of nothing", with(0, &|p| p.count = 0), "path"),
    ];
    vectors.extend(changed.map(|(name, proven, expected)| vector(name, &proven, expected)));

    let bytes = borsh::to_vec(&every[won]).unwrap();
    // The tag, then a bid up to its amount.
    let code = 1 + 32 + 20 + 8 + 8 + 16;
    let set = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    let mut undecided = borsh::to_vec(&every[first_bundle]).unwrap();
    // The tag, then a bundle up to its decision.
    undecided[1 + 32 + 20 + 8] = 3;
    let undecodable = [
        ("tag 3", set(0, 3)),
        ("result 9", set(code, 9)),
        ("decision 3", undecided),
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
    ];
    vectors
        .extend(undecodable.map(|(name, bytes)| Vector::undecodable::<ProvenResult>(name, &bytes)));
    vectors
}

/// The bytes that a leaf's hash covers.
fn layout(result: &AuctionResult) -> Vec<u8> {
    match result {
        AuctionResult::Lot(lot) => [
            &[0][..],
            &lot.namespace.0.to_be_bytes(),
            &lot.reserve.to_be_bytes(),
            lot.bid.0.as_slice(),
            lot.bidder.as_slice(),
            &lot.payment.to_be_bytes(),
            &lot.revenue.to_be_bytes(),
        ]
        .concat(),
        AuctionResult::Bid(bid) => [
            &[1][..],
            bid.bid.0.as_slice(),
            bid.bidder.as_slice(),
            &bid.height.to_be_bytes(),
            &bid.sequence.to_be_bytes(),
            &bid.amount.to_be_bytes(),
            &[bid.result as u8],
            bid.detail.as_slice(),
        ]
        .concat(),
        AuctionResult::Bundle(decided) => {
            let leg = |leg: &LegRevenue| {
                [&leg.namespace.0.to_be_bytes()[..], &leg.revenue.to_be_bytes()].concat()
            };
            [
                &[2][..],
                decided.bundle.0.as_slice(),
                decided.bidder.as_slice(),
                &decided.height.to_be_bytes(),
                &[decided.decision as u8],
                &decided.paid.to_be_bytes(),
                &decided.legs.iter().flat_map(leg).collect::<Vec<u8>>(),
            ]
            .concat()
        }
    }
}

fn lot_of(proven: &mut ProvenResult) -> &mut SoldLot {
    let AuctionResult::Lot(lot) = &mut proven.result else { panic!("a lot") };
    lot
}

fn bid_of(proven: &mut ProvenResult) -> &mut OpenedBid {
    let AuctionResult::Bid(bid) = &mut proven.result else { panic!("a bid") };
    bid
}

fn bundle_of(proven: &mut ProvenResult) -> &mut DecidedBundle {
    let AuctionResult::Bundle(decided) = &mut proven.result else { panic!("a bundle") };
    decided
}

/// What the detail says.
fn detail(result: &AuctionResult) -> Value {
    let AuctionResult::Bid(bid) = result else { return Value::Null };
    match (bid.number(), bid.other()) {
        (Some(number), None) => json!({ "number": number.to_string() }),
        (None, Some(other)) => json!({ "bid": other }),
        (None, None) => Value::Null,
        (Some(_), Some(_)) => panic!("a detail is a number or a bid"),
    }
}

fn vector(name: &str, proven: &ProvenResult, expected: &str) -> Vector {
    let (result, layout) = (&proven.result, layout(&proven.result));
    assert_eq!(Keccak::leaf(&layout), result.leaf(), "{name}");
    let found = proven.root().map(|root| json!({ "root": root, "detail": detail(result) }));
    Vector::of(name, proven)
        .hash("layout", hex(layout))
        .hash("leaf", result.leaf())
        .verdict(expected, found.ok_or("path"))
}
