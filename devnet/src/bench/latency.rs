//! From submitting to final at light load, against bare engines.

use std::process::Stdio;
use std::time::Duration;

use eyre::{WrapErr, ensure};
use tokio::process::Command;

use super::Figure;
use super::bare::Heights;
use crate::command::run as run_command;
use crate::drill::Lab;
use crate::load::{Load, Report};
use crate::network::Network;
use crate::plan::{Options, Plan, clear};

/// Transactions per second: light, and not in step with blocks.
pub const RATE: f64 = 23.0;

pub async fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    let lasts = lab.scale.pick(Duration::from_secs(10), Duration::from_secs(60));
    // The machine's mood changes: bare engines before and after.
    let before = bare(lab, "bare-before", lasts).await?;
    (lab.say)("latency: four validators");
    let mut network = lab.start(Options { ..lab.options("latency") }).await?;
    let report = load(&network, RATE, 1, lasts).await?;
    network.stop().await?;
    report.check()?;
    let after = bare(lab, "bare-after", lasts).await?;
    let bare = (before.mean_ms + after.mean_ms) / 2.0;
    let found = &report.final_after;
    let against = format!("{bare:.1} ms per height of bare engines");
    Ok(vec![
        Figure::plain("submit to final, light load, median", format!("{:.1} ms", found.p50))
            .against(against.clone(), format!("{:.1}", found.p50 / bare))
            .aim("3"),
        Figure::plain("submit to final, light load, 99 of 100", format!("{:.1} ms", found.p99))
            .against(against, format!("{:.1}", found.p99 / bare)),
        Figure::plain(
            "bare engines, before and after",
            format!("{:.1} ms, {:.1} ms per height", before.mean_ms, after.mean_ms),
        ),
    ])
}

/// Load on all validators, of so many payloads of 200 bytes in each transaction.
pub async fn load(
    network: &Network,
    rate: f64,
    pack: usize,
    duration: Duration,
) -> eyre::Result<Report> {
    let load = Load {
        nodes: network.validators.iter().map(|node| node.plan.api).collect(),
        accounts: network.plan.load_accounts.clone(),
        chain_id: network.plan.genesis.chain_id,
        namespaces: network.plan.options.namespaces.clone(),
        rate,
        duration,
        bytes: 200,
        pack,
        connections: 2,
        patience: Duration::from_secs(60),
    };
    load.run().await
}

/// Runs four bare engines for a while.
async fn bare(lab: &Lab, name: &str, lasts: Duration) -> eyre::Result<Heights> {
    (lab.say)("latency: four bare engines");
    let options = lab.options(name);
    clear(&options.dir)?;
    let plan = Plan::new(options)?;
    plan.write_homes()?;
    let seconds = format!("{}s", lasts.as_secs());
    let engines = plan.validators.iter().map(|node| {
        let mut command = Command::new(&lab.programs.weft_devnet);
        command.arg("bare").arg("--home").arg(&node.home).args(["--for", &seconds]);
        async move { run_command(&mut command, "bare engine", Stdio::null(), lasts * 3).await }
    });
    let mut heights: Vec<Heights> = Vec::new();
    for ended in futures::future::join_all(engines).await {
        let printed = ended?.output("bare engine")?;
        let line = printed.lines().last().unwrap_or_default();
        heights.push(serde_json::from_str(line).wrap_err("a bare engine said nothing")?);
    }
    ensure!(heights.iter().all(|h| h.heights > 20), "bare engines made no progress: {heights:?}");
    heights.into_iter().next().ok_or_else(|| eyre::eyre!("no engines"))
}
