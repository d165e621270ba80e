//! A searcher: takes arbitrage between exchanges on two rollups by bidding for the heads of their
//! slices, checks what it got, and accounts for every wei.
//!
//! It is an example for searchers of one's own. What it needs of Weft is in
//! `weft_rollup_adapter::api`; of rollups it uses the JSON-RPC alone.
//!
//! | file | what |
//! |---|---|
//! | `market` | tokens and exchanges, deployed for it |
//! | `quote` | which trade gains the most, pure |
//! | `rollup` | a rollup's JSON-RPC: reserves, signing, `eth_callBundle`, receipts |
//! | `plan` | from a trade to legs, their simulation, and what to bid |
//! | `feed` | auctions as they are decided |
//! | `round` | an auction from the plan to the checks |
//! | `report` | profit and loss |
//! | `atomic` | the same all or nothing: a transfer between rollups, an arbitrage |
//!
//! A trade across rollups needs no bridge: the searcher holds both tokens on both rollups, gives one on
//! one rollup and gets it back on the other. It is one bid with two legs, so both happen or none.
//!
//! Legs are signed transactions, and public once they are bid with. Each swap pays what is expected
//! or is reverted, so that to order a leg in any other way gains nobody anything.

mod atomic;
mod command;
mod feed;
mod market;
mod plan;
mod quote;
mod report;
mod rollup;
mod round;
mod site;

use std::path::Path;

use eyre::ensure;
use weft_types::{AuctionSettings, Height, Payload, Wei};

pub use atomic::{Account, arbitrage, transfer};
pub use command::{AtomicCommand, SearcherCommand};
pub use report::{Amount, Costs, Leg, Report, Rival, Round, Shares};

use crate::exchange::ONE;
use crate::l1::ETHER;
use crate::plan::{AtomicTerms, Options, RollupKind};
use crate::tools::Tools;
use feed::Feed;
use plan::Party;
use round::Search;
use site::Site;

/// The rollups that are traded on.
const ROLLUPS: [(u64, RollupKind); 2] = [(7001, RollupKind::Revm), (7002, RollupKind::External)];

/// What the pairs hold of A and B to begin with: two on the first rollup, whose prices are farthest
/// apart, and one on the second, whose price lies between.
const FIRST: [[u128; 2]; 2] = [[10_000 * ONE, 40_000 * ONE], [10_000 * ONE, 44_000 * ONE]];
const SECOND: [[u128; 2]; 1] = [[10_000 * ONE, 43_800 * ONE]];

/// The accounts that search.
const SEARCHER: usize = 12;
const RIVAL: usize = 13;

/// How much of its expected profit each bids, in percent.
const SHARE: Wei = 60;
const RIVALS_SHARE: Wei = 90;

/// What each puts up to back its bids.
const COLLATERAL: Wei = ETHER;

/// How many heights ahead to look for one at which all heads of a bid are for sale. Nodes take bids for
/// up to 64 heights ahead.
const FURTHEST: Height = 50;

/// How often to bid again when a bid comes too late for its height.
const ATTEMPTS: u64 = 8;

/// The least that a head costs.
const FLOOR: Wei = ETHER / 1000;

/// A network that can be searched on.
pub fn options(options: Options) -> Options {
    Options {
        rollups: ROLLUPS.to_vec(),
        auction: Some(AuctionSettings { every: 1, floor: FLOOR }),
        atomic: Some(AtomicTerms::default()),
        config: "bid_window = \"100ms\"".to_owned(),
        ..options
    }
}

/// Searches on the network whose `network.json` is in a directory: within one rollup, across two, and
/// against a rival who bids more. What is being done is told through `say`, a line at a time.
///
/// Accounts 11 to 13 of the network are used; nobody else may use them meanwhile.
///
/// # Errors
///
/// If anything fails, or anything is not as it has to be; the error says what.
pub async fn run(tools: &Tools, dir: &Path, say: fn(&str)) -> eyre::Result<Report> {
    let site = Site::read(dir)?;
    let searcher = Party { name: "searcher", key: site.account(SEARCHER)?, share: SHARE };
    let rival = Party { name: "rival", key: site.account(RIVAL)?, share: RIVALS_SHARE };
    for (namespace, _) in ROLLUPS {
        site.open_auction(namespace, FLOOR, say).await?;
    }
    tools.compile(say).await?;
    let [first, second] = ROLLUPS.map(|(namespace, _)| namespace);
    let traders = [searcher, rival].map(|party| party.key.address());
    let first = market::open(tools, &site, first, &FIRST, &traders, say);
    let second = market::open(tools, &site, second, &SECOND, &traders[..1], say);
    let (first, second) = futures::try_join!(first, second)?;

    let mut setup = Costs::default();
    for rollup in [&first, &second] {
        setup.gas = setup.gas.saturating_add(rollup.approve(searcher.key).await?);
    }
    first.approve(rival.key).await?;
    say("locking collateral");
    let collateral = Payload::LockCollateral { amount: COLLATERAL };
    setup.fees = site.send(searcher.key, collateral.clone()).await?;
    site.send(rival.key, collateral).await?;

    let feed = Feed::open(&site.validators).await?;
    let rollups = vec![first, second];
    let mut search = Search { site: &site, rollups, feed, say };
    let within = search.alone("within 7001", searcher, &[0, 1]).await?;
    ensure!(within.legs.len() == 1, "the best trade was not within a rollup");
    let across = search.alone("across both", searcher, &[0, 1]).await?;
    ensure!(across.legs.len() == 2, "the best trade was not across rollups");
    let lost = search.against("against a rival", searcher, rival).await?;

    let address = searcher.key.address();
    let report = Report::new(address, SHARE, setup, vec![within, across, lost]);
    ensure!(report.net > 0, "nothing was earned");
    Ok(report)
}
