//! Lots and bids of an auction, and the roots that their paths lead to.

use serde_json::{Value, json};
use weft_types::merkle::{Keccak, TreeHash};
use weft_types::results::AuctionResult;
use weft_types::{BidResult, ProvenResult, Results};

use crate::document::{Vector, hex};
use crate::fixtures::hash_of;
use crate::results;

pub(crate) fn vectors() -> Vec<Vector> {
    let every = results::sample().proven();
    let names = [
        "first lot",
        "another lot of the same bid",
        "last lot",
        "won",
        "won, the second",
        "lost",
        "lost beyond the bound",
        "below reserve",
        "insolvent",
        "wrong height",
        "no lot",
        "replaced",
        "withdrawn",
    ];
    assert_eq!(names.len(), every.len());
    let mut vectors: Vec<Vector> =
        names.iter().zip(&every).map(|(name, proven)| vector(name, proven, "accepted")).collect();

    let [lot, bid] = &results::largest().proven()[..] else { panic!("a lot and a bid") };
    let alone = Results { bids: vec![], ..results::largest() }.proven().remove(0);
    let with = |place: usize, change: &dyn Fn(&mut ProvenResult)| {
        let mut proven = every[place].clone();
        change(&mut proven);
        proven
    };
    let last = every.len() - 1;
    let changed = [
        ("largest numbers of a lot", lot.clone(), "accepted"),
        ("largest numbers of a bid", bid.clone(), "accepted"),
        ("the only one", alone, "accepted"),
        (
            "another revenue leads elsewhere",
            with(0, &|p| {
                if let AuctionResult::Lot(lot) = &mut p.result {
                    lot.revenue += 1;
                }
            }),
            "accepted",
        ),
        (
            "another result leads elsewhere",
            with(5, &|p| {
                if let AuctionResult::Bid(bid) = &mut p.result {
                    bid.result = BidResult::Won;
                }
            }),
            "accepted",
        ),
        ("another count leads elsewhere", with(0, &|p| p.count = 14), "accepted"),
        ("too long", with(5, &|p| p.path.siblings.push(hash_of("one more"))), "path"),
        ("too short", with(5, &|p| p.path.siblings.truncate(2)), "path"),
        ("beyond the end", with(last, &|p| p.count = last as u64), "path"),
        ("of nothing", with(0, &|p| p.count = 0), "path"),
    ];
    vectors.extend(changed.map(|(name, proven, expected)| vector(name, &proven, expected)));

    let bytes = borsh::to_vec(&every[5]).unwrap();
    // The tag, then a bid up to its amount.
    let code = 1 + 32 + 20 + 8 + 8 + 16;
    let set = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    let undecodable = [
        ("tag 2", set(0, 2)),
        ("result 8", set(code, 8)),
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
    }
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
