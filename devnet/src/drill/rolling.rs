//! Validators and rollups are killed one after another, under load.

use std::time::{Duration, Instant};

use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::conduct::As;
use crate::network::Network;
use crate::plan::Options;
use crate::up::ROLLUPS;

/// Heights that go by without a killed validator.
const AWAY: u64 = 20;

/// How long a restarted process may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let duration = lab.scale.pick(Duration::from_secs(60), Duration::from_secs(600));
    let options = Options {
        rollups: ROLLUPS.to_vec(),
        conduct: (0..4).map(|i| (i, As::Honest)).collect(),
        ..lab.options("rolling")
    };
    let mut network = lab.start(options).await?;
    let rates = Rates { rate: 100.0, rollup_rate: 5.0, duration, patience: Duration::from_secs(5) };
    let traffic = Traffic::start(&network, rates, &[]).await?;

    let started = Instant::now();
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    while started.elapsed() + Duration::from_secs(10) < duration {
        let victim = kills % network.validators.len();
        findings.say(&format!("killing {}", network.validators[victim].plan.name));
        network.validators[victim].process.kill().await?;
        let other = &network.validators[(victim + 1) % 4].client;
        other.wait_height(other.height().await? + AWAY, PATIENCE).await?;
        network.validators[victim].process.restart()?;
        slowest = slowest.max(caught_up(&mut network, victim).await?);

        let rollup = kills % network.rollups.len();
        let rollup = &mut network.rollups[rollup];
        findings.say(&format!("killing {}", rollup.plan.name));
        rollup.process.kill().await?;
        rollup.process.restart()?;
        rollup.wait_ready(PATIENCE).await?;
        kills += 1;
    }
    findings.note("kills", format!("{kills} validators, {kills} rollups"));
    findings.note("slowest restart until caught up", seconds(slowest));

    let load = traffic.finish(findings).await?;
    network.wait_ready(PATIENCE).await?;
    audit::chain(&network, &load, findings).await?;
    audit::signatures(&network, findings)?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Waits until a restarted validator has what the others had when it was restarted, and is ready.
async fn caught_up(network: &mut Network, validator: usize) -> eyre::Result<Duration> {
    let started = Instant::now();
    let other = &network.validators[(validator + 1) % network.validators.len()].client;
    let tip = other.height().await?;
    network.wait_ready(PATIENCE).await?;
    network.validators[validator].client.wait_height(tip, PATIENCE).await?;
    Ok(started.elapsed())
}
