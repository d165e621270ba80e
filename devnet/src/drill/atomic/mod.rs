//! Atomic bundles over three rollups, while legs fail and executors lie, are silent, and are killed: each
//! bundle is executed on all its rollups or on none. Then the executors of one rollup vanish, and come
//! back.

mod gate;
mod outsiders;
mod searchers;

use std::collections::BTreeMap;
use std::time::Duration;

use eyre::{ensure, eyre};
use serde_json::{Value, json};
use weft_types::{AuctionSettings, Params, SecretKey, Wei};

use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::{number, wait_for};
use crate::l1::ETHER;
use crate::load::Percentiles;
use crate::network::{Network, Rollup};
use crate::plan::{AtomicTerms, EXECUTOR_KEY, Options, RollupKind};
use gate::Act;
use outsiders::Outsiders;
use searchers::{Ground, Searcher, Searchers, Sent, Site};

/// The rollups, two nodes of each: both are executors of it, and so is an outsider.
const ROLLUPS: [(u64, RollupKind); 6] = [
    (7001, RollupKind::Revm),
    (7001, RollupKind::Revm),
    (7002, RollupKind::Revm),
    (7002, RollupKind::External),
    (7003, RollupKind::Revm),
    (7003, RollupKind::Revm),
];

/// Who bids for which pair: none is without the other two.
const PAIRS: [[u64; 2]; 3] = [[7001, 7002], [7002, 7003], [7001, 7003]];

/// What each searcher puts up.
const COLLATERAL: Wei = 100 * ETHER;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a rollup is suspended the first time, in milliseconds.
const SUSPENSION_MS: u64 = 4_000;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let options = Options {
        rollups: ROLLUPS.to_vec(),
        auction: Some(AuctionSettings { every: 1, floor: ETHER / 1_000_000 }),
        atomic: Some(AtomicTerms { outsiders: 1, ..AtomicTerms::default() }),
        params: Params { suspension_ms: SUSPENSION_MS, ..Params::default() },
        config: "bid_window = \"50ms\"".to_owned(),
        ..lab.options("atomic")
    };
    let mut network = lab.start(options).await?;
    let parties: Vec<(SecretKey, [u64; 2])> =
        network.plan.accounts[10..].iter().cloned().zip(PAIRS).collect();
    for (key, _) in &parties {
        network.lock_collateral(key, COLLATERAL).await?;
    }
    let sites = deploy(&network).await?;

    // The first half is calm.
    let rates = Rates {
        rate: 50.0,
        rollup_rate: 2.0,
        duration: lab.scale.pick(Duration::from_secs(8), Duration::from_secs(60)),
        patience: PATIENCE,
    };
    let mut quiet = Findings::new("calm".to_owned(), |_| ());
    let calm = Traffic::start(&network, rates, &[]).await?.finish(&mut quiet).await?;
    let bundles = lab.scale.pick(100, 2000);
    let ground = Ground::new(&network, sites, bundles);
    let outsiders = Outsiders::start(&network)?;
    let searching = Searchers::start(&ground, parties.clone());
    let busy = Traffic::start(&network, rates, &[]).await?;
    let kills = kill_executors(&mut network, &ground, &searching, bundles).await?;
    let sent = searching.finish().await?;
    let busy = busy.finish(findings).await?;
    findings.note(
        "submit to final on other namespaces, with bundles to without",
        format!(
            "p50 {:.2} ({:.0} ms to {:.0} ms), p99 {:.2}",
            busy.final_after.p50 / calm.final_after.p50,
            busy.final_after.p50,
            calm.final_after.p50,
            busy.final_after.p99 / calm.final_after.p99
        ),
    );
    findings.note(
        "executors killed and started again",
        format!("{kills}, every other one while its rollup was held"),
    );
    findings.note("outsiders", outsiders.finish().await?);

    decided_in_time(&network, &sent, findings).await?;
    all_or_none(&network, &ground, &sent, findings).await?;
    books(&network, &parties, &sent).await?;
    vanish(&mut network, &ground, &parties, findings).await?;
    busy.check()?;
    audit::chain(&network, &busy, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Puts the contract that legs call on each rollup.
async fn deploy(network: &Network) -> eyre::Result<BTreeMap<u64, Site>> {
    let key = &network.plan.accounts[9];
    let mut sites = BTreeMap::new();
    for rollup in &network.rollups {
        let namespace = rollup.plan.namespace;
        if let std::collections::btree_map::Entry::Vacant(entry) = sites.entry(namespace) {
            let gate = gate::deploy(&rollup.rpc, namespace, key).await?;
            entry.insert(Site { rpc: rollup.rpc.clone(), gate });
        }
    }
    Ok(sites)
}

/// While searchers search, kills the second node of each rollup in turn, wherever it happens to be,
/// or every other time while a bundle holds it, and starts it again. Returns how many were killed.
async fn kill_executors(
    network: &mut Network,
    ground: &Ground,
    searching: &Searchers,
    bundles: u64,
) -> eyre::Result<u64> {
    let mut kills = 0;
    let left = || ground.left.load(std::sync::atomic::Ordering::Relaxed);
    // So that most bundles meet no kill, and each rollup is met by several.
    let step = (bundles / 12).max(1);
    let mut next = bundles.saturating_sub(step);
    while !searching.are_done() {
        wait_for("bundles to be decided", PATIENCE * 2, || async {
            Ok((left() <= next || searching.are_done()).then_some(()))
        })
        .await?;
        if searching.are_done() {
            break;
        }
        let victim = usize::try_from(kills)? % 3 * 2 + 1;
        let rollup = &mut network.rollups[victim];
        if kills % 2 == 1 {
            // Somewhere between knowing of a bundle and executing it.
            let is_held = || async {
                let ready = rollup.ready().await.unwrap_or_default();
                Ok((!ready["held"].is_null() || searching.are_done()).then_some(()))
            };
            wait_for("a hold", PATIENCE, is_held).await?;
        }
        rollup.process.kill().await?;
        rollup.process.restart()?;
        rollup.wait_ready(PATIENCE).await?;
        kills += 1;
        next = next.saturating_sub(step);
        if next == 0 {
            break;
        }
    }
    wait_for("the last bundles to be decided", PATIENCE * 4, || async {
        Ok(searching.are_done().then_some(()))
    })
    .await?;
    Ok(kills)
}

/// Checks that each bundle was decided by its deadline, and tells how long rollups were held.
async fn decided_in_time(
    network: &Network,
    sent: &[Sent],
    findings: &mut Findings,
) -> eyre::Result<()> {
    let client = &network.validators[1].client;
    let last = sent.iter().map(|bundle| bundle.decided_at).max().unwrap_or(0);
    client.wait_height(last, PATIENCE).await?;
    let time = |height: u64| async move {
        let block = client.get(&format!("/v1/blocks/{height}")).await?;
        number(&block["header"]["time_ms"])
    };
    let params = &network.plan.genesis.params;
    let mut held = Vec::new();
    let mut by_decision: BTreeMap<&str, u64> = BTreeMap::new();
    for bundle in sent {
        searchers::check(bundle)?;
        *by_decision.entry(&bundle.decision).or_default() += 1;
        let (from, to) = (bundle.height, bundle.decided_at);
        ensure!(to > from && to - from <= params.hold_heights.into(), "{bundle:?}");
        let (start, before, end) = futures::try_join!(time(from), time(to - 1), time(to))?;
        // The block before the one that decided it was not its deadline yet.
        if before >= start + params.hold_limit_ms {
            let mut with_observations = 0;
            for height in from + 1..to {
                let block = client.block(height).await?;
                with_observations += u64::from(!block.observations.as_slice().is_empty());
            }
            ensure!(with_observations < 3, "{} was undecided after its deadline", bundle.id);
        }
        held.push(u32::try_from((end - start) * 1000)?);
    }
    ensure!(by_decision.contains_key("committed"), "nothing was committed");
    ensure!(by_decision.contains_key("failed"), "nothing failed");
    for pair in PAIRS {
        let of_pair = |bundle: &&Sent| bundle.legs.iter().map(|leg| leg.namespace).eq(pair);
        let count = sent.iter().filter(of_pair).filter(|b| b.decision == "committed").count();
        ensure!(count > 0, "nothing was committed on {pair:?}");
    }
    let words: Vec<String> = by_decision.iter().map(|(word, n)| format!("{n} {word}")).collect();
    findings.note("bundles", format!("{}: {}", sent.len(), words.join(", ")));
    let heights: u64 = sent.iter().map(|bundle| bundle.decided_at - bundle.height).sum();
    let count = u64::try_from(sent.len().max(1))?;
    let held = Percentiles::of(held);
    findings.note(
        "rollups were held for",
        format!(
            "p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms of block time; {} heights on \
             average",
            held.p50,
            held.p90,
            held.p99,
            held.max,
            heights.div_ceil(count)
        ),
    );
    Ok(())
}

/// Checks that on every node of every rollup, all legs of each bundle are executed or none is, and that
/// the contracts have counted nothing else.
async fn all_or_none(
    network: &Network,
    ground: &Ground,
    sent: &[Sent],
    findings: &mut Findings,
) -> eyre::Result<()> {
    let last = sent.iter().map(|bundle| bundle.decided_at).max().unwrap_or(0);
    let (mut executed, mut left_out) = (0u64, 0u64);
    for rollup in &network.rollups {
        let name = &rollup.plan.name;
        rollup.rpc.reach(last, PATIENCE).await?;
        let mut expected = 0;
        let of_rollup = |bundle: &Sent| {
            let leg = bundle.legs.iter().find(|leg| leg.namespace == rollup.plan.namespace)?;
            Some((bundle.decision == "committed", *leg))
        };
        for (committed, leg) in sent.iter().filter_map(of_rollup) {
            let hash = leg.transaction;
            let receipt = rollup.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
            if committed {
                ensure!(receipt["status"] == "0x1", "{name}: {hash} was committed: {receipt}");
                ensure!(receipt["transactionIndex"] == "0x0", "{name}: {hash} is not the head");
                expected += 1;
            } else {
                ensure!(receipt.is_null(), "{name}: {hash} was aborted: {receipt}");
                left_out += 1;
            }
        }
        let gate = ground.sites.get(&rollup.plan.namespace).map(|site| site.gate);
        let gate = gate.ok_or_else(|| eyre!("no contract on {name}"))?;
        let counted = gate::counted(&rollup.rpc, gate).await?;
        ensure!(counted == expected, "{name} has counted to {counted}, not {expected}");
        executed += expected;
    }
    for [first, second] in network.rollups.as_chunks().0 {
        alike(first, second).await?;
    }
    findings.note(
        "legs, on both nodes of each rollup",
        format!("{executed} executed at the head of their block, {left_out} left out"),
    );
    Ok(())
}

/// Checks that two nodes of a rollup have the same blocks.
async fn alike(first: &Rollup, second: &Rollup) -> eyre::Result<()> {
    let number = first.rpc.quantity("eth_blockNumber", json!([])).await?;
    let number = number.min(second.rpc.quantity("eth_blockNumber", json!([])).await?);
    let params = json!([format!("{number:#x}"), false]);
    let hash = |rollup: &Rollup| {
        let (rpc, params) = (rollup.rpc.clone(), params.clone());
        async move {
            Ok::<_, eyre::Report>(rpc.call("eth_getBlockByNumber", params).await?["hash"].clone())
        }
    };
    let (a, b) = futures::try_join!(hash(first), hash(second))?;
    ensure!(a == b && a != Value::Null, "{}: blocks {number} are {a} and {b}", first.plan.name);
    Ok(())
}

/// Checks that searchers have paid what decisions say, to the wei.
async fn books(
    network: &Network,
    parties: &[(SecretKey, [u64; 2])],
    sent: &[Sent],
) -> eyre::Result<()> {
    let client = &network.validators[1].client;
    for (key, pair) in parties {
        let shown = client.get(&format!("/v1/accounts/{}", key.address())).await?;
        let has: Wei = shown["collateral"].as_str().unwrap_or_default().parse()?;
        let own = |bundle: &&Sent| bundle.legs.iter().map(|leg| leg.namespace).eq(*pair);
        let paid: Wei = sent.iter().filter(own).map(|bundle| bundle.paid).sum();
        ensure!(has + paid == COLLATERAL, "{has} wei are left of {COLLATERAL}, {paid} were paid");
    }
    Ok(())
}

/// The executors of a rollup vanish: it is suspended, goes on with ordinary traffic, and comes back.
async fn vanish(
    network: &mut Network,
    ground: &Ground,
    parties: &[(SecretKey, [u64; 2])],
    findings: &mut Findings,
) -> eyre::Result<()> {
    const GONE: u64 = 7003;
    judging(network, GONE, false).await?;
    let (key, on) =
        parties.iter().find(|(_, on)| on.contains(&GONE)).ok_or_else(|| eyre!("nobody"))?;
    let searcher = Searcher { ground: ground.clone(), key: key.clone(), on: *on, bids: 0 };
    let mut missed = 0;
    // For some seconds: it may be over when it is looked at.
    while number(&standing(network, GONE).await?["suspended_until"])? == 0 {
        if let Some(bundle) = searcher.attempt([Act::Counts; 2]).await? {
            ensure!(bundle.decision == "timed_out", "nobody judges, and it is {}", bundle.decision);
            missed += 1;
        }
        ensure!(missed <= 3, "{missed} deadlines were missed, and nothing is suspended");
    }
    // Ordinary transactions go on, and nothing holds the rollup.
    let rollup = network
        .rollups
        .iter()
        .find(|r| r.plan.namespace == GONE)
        .ok_or_else(|| eyre!("no rollup"))?;
    let sender = &network.plan.accounts[8];
    let nonce =
        rollup.rpc.quantity("eth_getTransactionCount", json!([sender.address(), "latest"])).await?;
    let (hash, raw) = crate::load::evm::transfer(sender, GONE, nonce, sender.address());
    rollup.rpc.call("eth_sendRawTransaction", json!([raw])).await?;
    wait_for("a transfer on the suspended rollup", PATIENCE, || async {
        let receipt = rollup.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        Ok((receipt["status"] == "0x1").then_some(()))
    })
    .await?;

    judging(network, GONE, true).await?;
    wait_for("the suspension to end", PATIENCE, || async {
        Ok((standing(network, GONE).await?["suspended"] == false).then_some(()))
    })
    .await?;
    let mut kept = 0;
    while kept < 2 {
        if let Some(bundle) = searcher.attempt([Act::Counts; 2]).await? {
            ensure!(bundle.decision == "committed", "they are back, and it is {}", bundle.decision);
            kept += 1;
        }
    }
    let after = standing(network, GONE).await?;
    ensure!(after["strikes"] == 0 && after["level"] == 0, "its standing is {after}");
    findings.note(
        "a rollup without executors",
        format!("suspended after {missed} deadlines, went on, came back: {kept} bundles committed"),
    );
    Ok(())
}

async fn standing(network: &Network, namespace: u64) -> eyre::Result<Value> {
    let client = &network.validators[1].client;
    Ok(client.get(&format!("/v1/namespaces/{namespace}")).await?["standing"].clone())
}

/// Starts the nodes of a rollup again, as executors or not.
async fn judging(network: &mut Network, namespace: u64, judges: bool) -> eyre::Result<()> {
    let with = format!("key_file = \"{EXECUTOR_KEY}\"");
    let without = format!("# {with}");
    for rollup in network.rollups.iter_mut().filter(|r| r.plan.namespace == namespace) {
        let file = rollup.plan.home.join("config.toml");
        let config = std::fs::read_to_string(&file)?;
        let (from, to) = if judges { (&without, &with) } else { (&with, &without) };
        ensure!(config.contains(from.as_str()), "no {from} in {}", file.display());
        std::fs::write(&file, config.replacen(from.as_str(), to, 1))?;
        rollup.process.stop().await?;
        rollup.process.restart()?;
        rollup.wait_ready(PATIENCE).await?;
    }
    Ok(())
}
