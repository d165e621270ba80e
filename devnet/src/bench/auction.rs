//! What it takes to determine an auction's winners and their shares, up to as many bids as fit a block.

use std::hint::black_box;
use std::time::Duration;

use weft_auction::{Bid, Lots, MAX_GROUP, determine, shapley};
use weft_types::hash::blake3;
use weft_types::{Address, BidMode, NamespaceId, TransactionId, Wei};

use super::Figure;
use super::cost::mean_micros;
use super::throughput::recoveries_per_second;
use crate::drill::Lab;

/// Bytes of the smallest transaction that brings a bid: signature, header, one lot, amount.
const SMALLEST: u32 = 150;

/// Namespaces that bids are for.
const NAMESPACES: u64 = 100;

/// What bids there are, and what number `n` is for: its lots and its amount in wei.
type Shape = (&'static str, fn(u64) -> (Vec<u64>, Wei));

/// One after another, the ways in which bids make most work.
const SHAPES: [Shape; 5] = [
    ("for one lot each", |n| (vec![n % NAMESPACES], rough(n))),
    ("for one to eight lots each", |n| (some(n, 1 + n % 8), rough(n) * (1 + Wei::from(n % 8)))),
    ("in a chain, each lower than the last", |n| {
        let first = n % (NAMESPACES - 1);
        (vec![first, first + 1], 1 << 60 | Wei::from(u64::MAX - n))
    }),
    ("for eight lots of all, higher than any for one", |n| (some(n, 8), (1 << 70) | rough(n))),
    ("in groups that take the most search", hardest),
];

/// The lots of one group, each as the two of its bids that have it: of those that climbing from random
/// ones has found, the group with the most branchings, 524. Bids are numbered by rank, the lowest first.
const HARDEST: [(u64, u64); 32] = [
    (0, 5),
    (0, 9),
    (1, 11),
    (1, 15),
    (1, 16),
    (2, 14),
    (2, 22),
    (2, 23),
    (3, 9),
    (3, 10),
    (4, 5),
    (4, 11),
    (4, 19),
    (6, 7),
    (6, 13),
    (7, 14),
    (8, 21),
    (8, 22),
    (8, 23),
    (9, 16),
    (10, 13),
    (11, 19),
    (12, 18),
    (12, 22),
    (12, 23),
    (14, 20),
    (15, 16),
    (15, 17),
    (17, 18),
    (17, 19),
    (18, 21),
    (20, 21),
];

fn hardest(n: u64) -> (Vec<u64>, Wei) {
    let (group, number) = (n / MAX_GROUP as u64, n % MAX_GROUP as u64);
    let lots = (group * HARDEST.len() as u64..).zip(HARDEST);
    let own = lots.filter(|(_, (a, b))| *a == number || *b == number);
    (own.map(|(lot, _)| lot).collect(), 1000 + Wei::from(number))
}

pub fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    (lab.say)("cost of an auction");
    let lasts = lab.scale.pick(Duration::from_millis(100), Duration::from_secs(1));
    let most = u64::from(weft_types::Params::default().max_block_bytes / SMALLEST);
    let recovery = 1e6 / recoveries_per_second(1);
    let mut figures = Vec::new();
    for (shape, of) in SHAPES {
        for count in [100, 1000, most] {
            let bids: Vec<Bid> = (0..count).map(|n| bid(n, of(n))).collect::<eyre::Result<_>>()?;
            let micros = mean_micros(lasts, || auction(black_box(&bids)));
            let found = determine(&bids);
            let recoveries = micros / recovery;
            figures.push(
                Figure::plain(
                    format!("{count} bids {shape}"),
                    format!("{micros:.0} us, {} win", found.winners.len()),
                )
                .against(
                    "recovering one signature per bid",
                    format!("{:.3}", recoveries / f64::from(u32::try_from(count)?)),
                )
                .aim("less than 0.1"),
            );
        }
    }
    Ok(figures)
}

/// Determines winners and what their lots have contributed.
fn auction(bids: &[Bid]) -> Vec<Vec<Wei>> {
    let found = determine(bids);
    let standing = found.standing_by_lot(bids);
    let winners = found.winners.iter().filter_map(|place| bids.get(*place));
    let shares = winners.map(|winner| {
        let lots = winner.lots.namespaces().iter();
        shapley(winner, lots.filter_map(|lot| standing.get(lot)).flatten().copied())
    });
    shares.collect()
}

fn bid(number: u64, (lots, amount): (Vec<u64>, Wei)) -> eyre::Result<Bid> {
    let lots = lots.into_iter().map(NamespaceId).collect();
    Ok(Bid {
        id: TransactionId(blake3(&[&number.to_be_bytes()])),
        bidder: Address::left_padding_from(&number.to_be_bytes()),
        sequence: 0,
        height: 1,
        lots: Lots::new(lots).ok_or_else(|| eyre::eyre!("no lots of a bid"))?,
        amount,
        mode: BidMode::Inclusion,
    })
}

/// Some number that follows from another.
fn rough(n: u64) -> Wei {
    let digest = blake3(&[&n.to_le_bytes()]);
    Wei::from(u64::from_be_bytes(std::array::from_fn(|i| digest[i])))
}

/// So many different lots, ascending.
fn some(n: u64, count: u64) -> Vec<u64> {
    let digest = blake3(&[b"lots", &n.to_le_bytes()]);
    let mut lots = std::collections::BTreeSet::new();
    let mut at = 0u64;
    for byte in digest.iter().cycle() {
        at += u64::from(*byte) + 1;
        lots.insert(at % NAMESPACES);
        if lots.len() as u64 == count {
            break;
        }
    }
    lots.into_iter().collect()
}
