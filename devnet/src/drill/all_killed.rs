//! All validators are killed at the same instant, again and again.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::conduct::As;
use crate::network::Network;
use crate::plan::Options;

/// Heights to go on for between two kills.
const HEIGHTS: u64 = 10;

/// How long the network may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let rounds = lab.scale.pick(5, 30);
    let options =
        Options { conduct: (0..4).map(|i| (i, As::Honest)).collect(), ..lab.options("all-killed") };
    let mut network = lab.start(options).await?;
    let rates = Rates {
        rate: 100.0,
        rollup_rate: 0.0,
        duration: lab.scale.pick(Duration::from_secs(30), Duration::from_secs(180)),
        patience: Duration::from_secs(5),
    };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        let tip = network.validators[0].client.height().await?;
        network.validators[0].client.wait_height(tip + HEIGHTS, PATIENCE).await?;
        findings.say(&format!("killing all, {round} of {rounds}"));
        kill_all(&mut network).await?;
        let started = Instant::now();
        for node in &mut network.validators {
            node.process.restart()?;
        }
        network.wait_ready(PATIENCE).await?;
        let tip = network.validators[0].client.height().await?;
        for node in &network.validators {
            node.client.wait_height(tip + 1, PATIENCE).await?;
        }
        slowest = slowest.max(started.elapsed());
    }
    findings.note("kills of all four at once", rounds.to_string());
    findings.note("slowest restart until a new block on all", seconds(slowest));
    let load = traffic.finish(findings).await?;
    audit::chain(&network, &load, findings).await?;
    audit::signatures(&network, findings)?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Kills all validators: every signal is sent before any process is waited for.
pub async fn kill_all(network: &mut Network) -> eyre::Result<()> {
    for node in &network.validators {
        node.process.signal(Signal::KILL)?;
    }
    for node in &mut network.validators {
        node.process.kill().await?;
    }
    Ok(())
}
