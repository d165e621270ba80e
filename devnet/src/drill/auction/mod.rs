//! Auctions: searchers bid against each other, proposers lie, nodes are killed, bids come in floods.

mod flood;
mod oracle;
mod searchers;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use eyre::{ensure, eyre};
use futures::future::try_join_all;
use serde_json::Value;
use weft_types::{
    AuctionSettings, NamespaceId, ObservationBody, ProvenResult, SecretKey, SliceEntry, TimeMs,
    TransactionId, Wei,
};

pub use flood::run as flood;
use oracle::{Expected, Oracle};
use searchers::{Searchers, Sent};

use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::conduct::As;
use crate::network::{Network, Node};
use crate::plan::Options;

/// How many bid.
const SEARCHERS: usize = 10;

/// What each puts up.
const COLLATERAL: Wei = 50_000_000_000_000_000_000;

/// How long validators wait for bids: long enough for a loaded machine.
const WINDOW: Duration = Duration::from_millis(250);

/// A bid that all validators have taken so long before any of them last sealed for its height, in
/// milliseconds, is in time for each.
const IN_TIME: TimeMs = 120;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The validator that misbehaves, where one does.
const LIAR: usize = 0;

/// A network with auctions at every height.
fn options(lab: &Lab, name: &str) -> Options {
    Options {
        auction: Some(AuctionSettings { every: 1, floor: 1_000_000_000_000 }),
        config: format!("bid_window = \"{}ms\"", WINDOW.as_millis()),
        ..lab.options(name)
    }
}

fn searchers(network: &Network) -> &[SecretKey] {
    &network.plan.accounts[2..2 + SEARCHERS]
}

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    bidding(lab, findings).await?;
    for conduct in [As::DroppingProposer, As::AddingProposer, As::SwappingProposer] {
        lying(lab, conduct, findings).await?;
    }
    Ok(())
}

/// Searchers bid, first in peace, then while nodes are killed.
async fn bidding(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab.start(Options { full_nodes: 1, ..options(lab, "auction") }).await?;
    lock_collateral(&network).await?;
    let heights = lab.scale.pick(50, 1000);
    let rates = Rates {
        rate: 50.0,
        rollup_rate: 0.0,
        duration: lab.scale.pick(Duration::from_secs(10), Duration::from_secs(120)),
        patience: PATIENCE,
    };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let bidding = Searchers::start(&network, searchers(&network));
    let node = &network.validators[0].client;
    let first = node.height().await?;
    let last = node.wait_height(first + heights, PATIENCE * 20).await?;
    let sent = bidding.finish().await?;
    traffic.finish(findings).await?;
    findings.note("bids sent in peace", sent.len().to_string());
    nothing_is_missing(&network, &sent, last, findings).await?;

    let kills = lab.scale.pick(4, 40);
    let bidding = Searchers::start(&network, searchers(&network));
    for kill in 0..kills {
        // Wherever in a height it happens to be.
        let victim = kill % network.validators.len();
        let other = network.validators[(victim + 1) % network.validators.len()].client.clone();
        let tip = other.height().await?;
        network.validators[victim].process.kill().await?;
        other.wait_height(tip + 3, PATIENCE).await?;
        network.validators[victim].process.restart()?;
        network.wait_ready(PATIENCE).await?;
    }
    let under_fire = bidding.finish().await?;
    findings.note("validators killed while bids went on", kills.to_string());
    findings.note("bids sent meanwhile", under_fire.len().to_string());
    compare(&network, None, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// A proposer misbehaves.
async fn lying(lab: &Lab, conduct: As, findings: &mut Findings) -> eyre::Result<()> {
    let name = conduct.name();
    let options =
        Options { conduct: vec![(LIAR, conduct)], ..options(lab, &format!("auction-{name}")) };
    let mut network = lab.start(options).await?;
    lock_collateral(&network).await?;
    let bidding = Searchers::start(&network, searchers(&network));
    let node = &network.validators[1].client;
    let first = node.height().await?;
    let last = node.wait_height(first + lab.scale.pick(16, 200), PATIENCE * 10).await?;
    let sent = bidding.finish().await?;
    let mut quiet = Findings::new(name.clone(), |_| ());
    nothing_is_missing(&network, &sent, last, &mut quiet).await?;
    compare(&network, None, &mut quiet).await?;
    let mut refused = 0.0;
    for node in &network.validators[1..] {
        refused += node.metric("weft_invalid_proposals_total").await?;
    }
    ensure!(refused > 0.0, "{name}: nobody refused a proposal");
    findings.note(
        name,
        format!("{refused:.0} proposals refused; every result as it must be, no bid missing"),
    );
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Lets every searcher put up its collateral.
async fn lock_collateral(network: &Network) -> eyre::Result<()> {
    for key in searchers(network) {
        network.lock_collateral(key, COLLATERAL).await?;
    }
    Ok(())
}

/// Checks that every bid that all validators had in time is in the block of its height.
async fn nothing_is_missing(
    network: &Network,
    sent: &[Sent],
    last: u64,
    findings: &mut Findings,
) -> eyre::Result<()> {
    let client = &network.validators[1].client;
    client.wait_height(last, PATIENCE).await?;
    let (mut in_time, mut late, mut late_and_in) = (0u64, 0u64, 0u64);
    let mut heights: BTreeMap<u64, (BTreeSet<TransactionId>, Option<TimeMs>)> = BTreeMap::new();
    for bid in sent.iter().filter(|bid| bid.height < last) {
        if let Entry::Vacant(entry) = heights.entry(bid.height) {
            let results = client.get(&format!("/v1/auctions/{}", bid.height)).await?;
            let bids = results["bids"].as_array().ok_or_else(|| eyre!("no bids in {results}"))?;
            let ids = bids.iter().filter_map(|bid| bid["bid"].as_str()?.parse().ok());
            let block = client.block(bid.height).await?;
            let observed = block.observations.as_slice().iter();
            let sealed = observed.map(|observation| sealed_at(&observation.body));
            entry.insert((ids.collect(), sealed.min()));
        }
        let (ordered, sealed_at) = &heights[&bid.height];
        let is_in = ordered.contains(&bid.id);
        let ahead = bid.all_had_it_at.zip(*sealed_at).map(|(had, then)| then.saturating_sub(had));
        if ahead.is_some_and(|ahead| ahead >= IN_TIME) {
            in_time += 1;
            ensure!(
                is_in,
                "bid {} is not in block {} although all validators had it {ahead:?} ms before they sealed",
                bid.id,
                bid.height
            );
        } else {
            late += 1;
            late_and_in += u64::from(is_in);
        }
    }
    ensure!(in_time > 0, "no bid was in time");
    findings.note(
        "bids that all validators had in time",
        format!("{in_time}, all in the block of their height"),
    );
    findings.note(
        "bids that came later or were replaced",
        format!("{late}, of them in: {late_and_in}"),
    );
    Ok(())
}

/// When an observer last sealed, by its own clock: at the latest when it observed.
fn sealed_at(body: &ObservationBody) -> TimeMs {
    let own = body.lanes.iter().filter(|lane| lane.author == body.observer);
    let age = own.filter_map(|lane| lane.ages_ms.last()).min();
    body.clock_ms.saturating_sub(age.copied().unwrap_or(0).into())
}

/// Checks that all nodes have the same results, and that they are what the oracle finds in the blocks,
/// that headers commit to them, and that winners head their slices. Pays attention to every wei.
async fn compare(
    network: &Network,
    flooder: Option<&SecretKey>,
    findings: &mut Findings,
) -> eyre::Result<()> {
    // What was bid last is for the second height from now at most, and then nothing moves any more.
    let tips = try_join_all(network.nodes().map(|node| node.client.height())).await?;
    let quiet = tips.into_iter().max().unwrap_or(0) + 4;
    try_join_all(network.nodes().map(|node| node.client.wait_height(quiet, PATIENCE))).await?;
    let through = network.check_same_chain().await?.saturating_sub(1);
    let nodes: Vec<&Node> = network.nodes().filter(|node| node.process.pid().is_some()).collect();
    let node = *nodes.first().ok_or_else(|| eyre!("no node runs"))?;
    let mut heads: BTreeMap<(u64, NamespaceId), TransactionId> = BTreeMap::new();
    audit::slices(network, node, through, |namespace, slice| {
        for entry in slice.entries() {
            if let SliceEntry::Head { transaction, .. } = entry {
                heads.insert((slice.height(), namespace), *transaction);
            }
        }
    })
    .await?;

    let mut oracle = Oracle::new(&network.plan.genesis).apart(flooder.map(SecretKey::address));
    let (mut lots, mut cross, mut paid, mut displaced) = (0, 0, 0, 0);
    let mut by_result: BTreeMap<&str, u64> = BTreeMap::new();
    let mut block = node.client.block(1).await?;
    for height in 1..=through {
        let child = node.client.block(height + 1).await?;
        let expected = oracle.read(&block)?;
        let path = format!("/v1/auctions/{height}");
        let answers = try_join_all(nodes.iter().map(|node| node.client.get(&path))).await?;
        for (node, answer) in nodes.iter().zip(&answers) {
            agrees(&expected, answer)
                .map_err(|e| eyre!("{} at height {height}: {e}", node.plan.name))?;
        }
        let proven = node.client.get(&format!("{path}?proof=1")).await?;
        let proven: Vec<ProvenResult> = serde_json::from_value(proven)?;
        ensure!(proven.len() == expected.lots.len() + expected.bids.len(), "results are left out");
        let root = child.header.parent_outcome.results_root;
        ensure!(proven.iter().all(|p| p.root() == Some(root)), "a result is not proven");
        let headed = heads.range((height, NamespaceId(0))..=(height, NamespaceId(u64::MAX)));
        let headed = headed.map(|((_, namespace), id)| (*namespace, *id));
        let sold = expected.lots.iter().map(|(namespace, sold)| (*namespace, sold.bid));
        ensure!(headed.eq(sold), "height {height}: slices are headed by others than winners");

        lots += expected.lots.len();
        paid += expected.paid;
        displaced += u64::from(expected.displaced);
        let winners: BTreeSet<_> = expected.lots.values().map(|sold| sold.bid).collect();
        cross += expected.lots.len() - winners.len();
        for (_, outcome) in &expected.bids {
            *by_result.entry(outcome.result).or_default() += 1;
        }
        block = child;
    }
    ensure!(paid > 0 && lots > 0, "nothing was sold");
    let mut left = 0;
    let bidders: Vec<&SecretKey> = searchers(network).iter().chain(flooder).collect();
    for key in &bidders {
        let address = key.address();
        let account = node.client.get(&format!("/v1/accounts/{address}")).await?;
        let has: Wei = account["collateral"].as_str().unwrap_or_default().parse()?;
        ensure!(has == oracle.collateral(&address), "{address} has {has} wei of collateral left");
        left += has;
    }
    let locked = COLLATERAL * bidders.len() as Wei;
    ensure!(left + paid == locked, "of {locked} wei {paid} were paid and {left} are left");
    let mut earned = 0;
    for namespace in &network.plan.options.namespaces {
        let shown = node.client.get(&format!("/v1/namespaces/{namespace}")).await?;
        let has: Wei = shown["earned"].as_str().unwrap_or_default().parse()?;
        let expected = oracle.earned(NamespaceId(*namespace));
        ensure!(has == expected, "namespace {namespace} has earned {has} wei, expected {expected}");
        earned += has;
    }
    let words: Vec<String> = by_result.iter().map(|(result, n)| format!("{n} {result}")).collect();
    findings.note(
        "results",
        format!("as the oracle finds them, on {} nodes: {}", nodes.len(), words.join(", ")),
    );
    findings.note(
        "lots sold",
        format!("{lots} in {through} heights, {cross} of them beside another one of the same bid"),
    );
    if flooder.is_some() {
        findings.note(
            "heights at which honest bidders won something else than without the flood",
            format!("{displaced}; there the flooder pays for a lot that nobody else wanted"),
        );
    }
    findings.note(
        "wei",
        format!("{paid} paid, as collateral has shrunk; {earned} of it earned by namespaces"),
    );
    Ok(())
}

/// Checks what a node says of an auction.
fn agrees(expected: &Expected, answer: &Value) -> eyre::Result<()> {
    let lots = answer["lots"].as_array().ok_or_else(|| eyre!("no lots"))?;
    ensure!(lots.len() == expected.lots.len(), "{} lots, expected {:?}", lots.len(), expected.lots);
    for (lot, (namespace, sold)) in lots.iter().zip(&expected.lots) {
        let fine = lot["namespace"] == namespace.to_string()
            && lot["bid"] == sold.bid.to_string()
            && lot["bidder"] == serde_json::to_value(sold.bidder)?
            && lot["payment"] == sold.payment.to_string()
            && lot["revenue"] == sold.revenue.to_string();
        ensure!(fine, "lot {lot}, expected {namespace} {sold:?}");
    }
    let bids = answer["bids"].as_array().ok_or_else(|| eyre!("no bids"))?;
    ensure!(bids.len() == expected.bids.len(), "{} bids, expected {:?}", bids.len(), expected.bids);
    for (bid, (id, outcome)) in bids.iter().zip(&expected.bids) {
        let mut fine = bid["bid"] == id.to_string() && bid["result"] == outcome.result;
        if ["lost", "replaced"].contains(&outcome.result) {
            let other = outcome.other.map_or(weft_types::B256::ZERO, |other| other.0);
            fine &= bid["detail"] == other.to_string();
        }
        ensure!(fine, "bid {bid}, expected {id} {outcome:?}");
    }
    Ok(())
}
