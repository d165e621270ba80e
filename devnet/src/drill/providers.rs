//! Providers of Ethereum diverge, lag, say nonsense, die, and come back, while everything else goes
//! on: what stopped a rollup with three sequencers in September 2025.

use std::time::{Duration, Instant};

use eyre::{ensure, eyre};
use futures::future::try_join_all;

use super::ethereum::{PATIENCE, Wallet};
use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::wait_for;
use crate::l1::{Fault, Terms};
use crate::network::{Network, Node};
use crate::plan::Options;

/// Validators.
const VALIDATORS: usize = 4;

/// Providers of each validator.
const EACH: usize = 3;

/// How far the one that lags is behind.
const LAG: u64 = 50;

/// Most memory a node may grow by while it is fed nonsense, in bytes.
const MOST_GROWTH: u64 = 150 * 1024 * 1024;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let terms = Terms { own_providers: true, providers: EACH, ..Terms::default() };
    let lasts = lab.scale.pick(Duration::from_secs(30), Duration::from_secs(400));
    let mut network = lab.start(Options { l1: Some(terms), ..lab.options("providers") }).await?;
    let rates = Rates { rate: 100.0, rollup_rate: 0.0, duration: lasts, patience: PATIENCE };
    let traffic = Traffic::start(&network, rates, &[]).await?;

    september(lab, &network, findings).await?;
    all_dead(&mut network, findings).await?;
    nonsense(lab, &network, findings).await?;

    let load = traffic.finish(findings).await?;
    load.check()?;
    let refused = invalid_proposals(&network).await?;
    ensure!(refused == 0, "{refused} proposals were refused because of somebody's view of L1");
    findings.note("proposals refused", refused.to_string());
    let (later, blocks) = later_rounds(&network).await?;
    findings.note("heights decided in a later round", format!("{later} of {blocks}"));
    // None of them is because of L1: if one validator's proposals were not answered for that, every fourth would be.
    // A busy machine makes some late all the same.
    ensure!(later * 6 < blocks, "{later} of {blocks} heights took a later round");
    audit::chain(&network, &load, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Of three providers of each validator, one goes wrong: one is on another chain, one hides a message,
/// one makes one up, and one lags.
async fn september(lab: &Lab, network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let l1 = network.l1()?;
    l1.mine(LAG + 10).await?;
    network.validators[0].wait_origin(LAG + 5).await?;
    for round in 0..lab.scale.pick(1, 6) {
        let faults = [
            ("another chain", Fault::Fork { from: l1.tip().await? }, "quarantined"),
            ("a message hidden", Fault::Omit, "quarantined"),
            ("a message made up", Fault::Invent, "quarantined"),
            ("fifty blocks behind", Fault::Lag { blocks: LAG }, "lagging"),
        ];
        let started = Instant::now();
        let faults = || faults.iter().cycle().skip(round).zip(&network.validators).enumerate();
        for (validator, ((_, fault, _), _)) in faults() {
            set(network, validator, (validator + round) % EACH, *fault)?;
        }
        let user = &network.plan.accounts[3];
        let force = ["force", "--namespace=1", "--data=0x5e97"];
        network.weft(&network.validators[0], Wallet::Ethereum(user), &force).await?;
        for (validator, ((name, _, state), node)) in faults() {
            let provider = (validator + round) % EACH;
            node.wait_provider(provider, &[state]).await?;
            let what = format!("the metrics of {} to say {state}", node.plan.name);
            wait_for(&what, PATIENCE, || async {
                Ok(shows(node, provider, state).await?.then_some(()))
            })
            .await?;
            findings.note(*name, format!("{state}, by {}", seconds(started.elapsed())));
        }
        right_again(network).await?;
    }
    Ok(())
}

/// Has all providers say what is so, and waits until they are trusted.
async fn right_again(network: &Network) -> eyre::Result<()> {
    for (validator, node) in network.validators.iter().enumerate() {
        for provider in 0..EACH {
            set(network, validator, provider, Fault::None)?;
        }
        for provider in 0..EACH {
            node.wait_provider(provider, &["trusted"]).await?;
        }
    }
    Ok(())
}

/// All providers of all validators die, and come back.
async fn all_dead(network: &mut Network, findings: &mut Findings) -> eyre::Result<()> {
    let l1 = network.l1.as_mut().ok_or_else(|| eyre!("no Ethereum"))?;
    for provider in &mut l1.providers {
        provider.process.kill().await?;
    }
    let says = Some("can be relied on");
    let alarms = try_join_all(network.validators.iter().map(|node| node.wait_alarm(says))).await?;
    findings.note("all providers dead: every node says", alarms[0].clone());
    let node = &network.validators[0];
    // What was seen before may be in blocks that come first.
    let tips = network.validators.iter().map(|node| node.client.height());
    let height = try_join_all(tips).await?.into_iter().max().unwrap_or(0) + 2;
    node.client.wait_height(height, PATIENCE).await?;
    let frozen = node.origin().await?;
    node.client.wait_height(height + 50, PATIENCE).await?;
    ensure!(node.origin().await? == frozen, "the origin moves without providers");
    findings.note("meanwhile", "50 heights, the origin frozen");

    let started = Instant::now();
    let l1 = network.l1.as_mut().ok_or_else(|| eyre!("no Ethereum"))?;
    for provider in &mut l1.providers {
        provider.process.restart()?;
    }
    let target = l1.tip().await?;
    network.l1()?.mine(2).await?;
    for node in &network.validators {
        node.wait_origin(target).await?;
        node.wait_alarm(None).await?;
    }
    findings.note("back again: caught up and calm after", seconds(started.elapsed()));
    Ok(())
}

/// One provider of each validator answers with some sort of nonsense, or not at all.
async fn nonsense(lab: &Lab, network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let before = memory(network)?;
    let faults = [
        ("garbage", Fault::Garbage, &["quarantined"][..]),
        ("answers without end", Fault::Endless, &["failing", "quarantined"]),
        ("no answer", Fault::Stall, &["failing"]),
        ("wrong types", Fault::WrongTypes, &["quarantined"]),
        ("another chain id", Fault::WrongChain, &["quarantined"]),
        ("a rate limit", Fault::RateLimit, &["failing"]),
        ("hanging up", Fault::Drop, &["failing"]),
    ];
    for round in 0..lab.scale.pick(1, 2 * faults.len()) {
        // The first provider speaks HTTP, the last WebSocket.
        let provider =
            |validator: usize| if (validator + round).is_multiple_of(2) { 0 } else { EACH - 1 };
        let faults = || faults.iter().cycle().skip(round).zip(0..VALIDATORS);
        for ((_, fault, _), validator) in faults() {
            set(network, validator, provider(validator), *fault)?;
        }
        for ((name, _, states), validator) in faults() {
            let node = &network.validators[validator];
            node.wait_provider(provider(validator), states).await?;
            findings.note(*name, states.join(" or "));
        }
        let node = &network.validators[0];
        node.wait_origin(node.origin().await? + 2).await?;
        right_again(network).await?;
    }
    let growth = memory(network)?.saturating_sub(before);
    findings.note("largest growth of a node", format!("{} MiB", growth >> 20));
    ensure!(growth < MOST_GROWTH, "a node grew by {growth} bytes");
    Ok(())
}

fn set(network: &Network, validator: usize, provider: usize, fault: Fault) -> eyre::Result<()> {
    network.l1()?.providers[validator * EACH + provider].set(fault)
}

/// Whether a provider's state is among the metrics.
async fn shows(node: &Node, provider: usize, state: &str) -> eyre::Result<bool> {
    let text = node.metrics().await?.to_lowercase();
    Ok(text.lines().any(|line| {
        line.starts_with("weft_l1_provider_state{")
            && line.contains(&format!("provider=\"{provider} "))
            && line.contains(&format!("state=\"{state}\""))
            && line.ends_with(" 1")
    }))
}

fn memory(network: &Network) -> eyre::Result<u64> {
    let all: eyre::Result<Vec<u64>> =
        network.validators.iter().map(|node| node.process.memory()).collect();
    Ok(all?.into_iter().max().unwrap_or(0))
}

async fn invalid_proposals(network: &Network) -> eyre::Result<u64> {
    let mut all = 0;
    for node in &network.validators {
        let count = node.metric("weft_invalid_proposals_total").await?;
        all += u64::from(count > 0.5);
    }
    Ok(all)
}

/// How many heights were decided above round 0, of how many.
async fn later_rounds(network: &Network) -> eyre::Result<(u64, u64)> {
    let node = &network.validators[0];
    let whole = |value: f64| value.round().to_string().parse::<u64>();
    let later = whole(node.metric("weft_late_heights_total").await?)?;
    Ok((later, node.client.height().await?))
}
