//! A full node joins late.

use std::time::{Duration, Instant};

use eyre::ensure;

use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::plan::Options;

/// How long it may take to catch up.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many times faster than the chain was made it should catch up.
const AIM: f64 = 20.0;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let duration = lab.scale.pick(Duration::from_secs(20), Duration::from_secs(600));
    let options = Options { full_nodes: 1, late_full_nodes: true, ..lab.options("late") };
    let mut network = lab.start(options).await?;
    let made = Instant::now();
    let rates =
        Rates { rate: 200.0, rollup_rate: 0.0, duration, patience: Duration::from_secs(10) };
    let load = Traffic::start(&network, rates, &[]).await?.finish(findings).await?;
    let last = load.seen.values().max().copied().unwrap_or(0);
    let tip = network.validators[0].client.wait_height(last, PATIENCE).await?;
    let made = made.elapsed();

    findings.say("a full node joins");
    let joined = Instant::now();
    network.start_full_nodes()?;
    let client = network.full_nodes[0].client.clone();
    let name = network.full_nodes[0].plan.name.clone();
    let process = &mut network.full_nodes[0].process;
    let mut caught_up = async |height: u64| {
        crate::client::wait_for("the full node to catch up", PATIENCE, || {
            let ended = process.ended();
            let (client, name) = (client.clone(), name.clone());
            async move {
                ensure!(ended.is_none(), "{name} ended: {}", ended.unwrap_or_default());
                Ok(client.height().await.ok().filter(|reached| *reached >= height))
            }
        })
        .await
    };
    caught_up(1).await?;
    findings.note("first block after", seconds(joined.elapsed()));
    caught_up(tip).await?;
    let took = joined.elapsed();
    let ratio = made.as_secs_f64() / took.as_secs_f64();
    findings.note(
        "caught up",
        format!(
            "{tip} heights made in {} had after {}, process start included: {ratio:.0} times \
             real time (aim: {AIM:.0})",
            seconds(made),
            seconds(took)
        ),
    );
    network.wait_ready(PATIENCE).await?;
    audit::chain(&network, &load, findings).await?;

    // As an adapter that knows nothing but the genesis file, from the full node alone. A slice is
    // proven by the next block.
    client.wait_height(tip + 1, PATIENCE).await?;
    let executed = audit::executed(&network, &network.full_nodes[0], tip).await?;
    let count = executed.len();
    ensure!(executed == load.seen, "{} were final, but slices hold {count}", load.seen.len());
    findings.note(
        "slices it served",
        format!("proven complete or absent at each height; they hold all {count} transactions"),
    );
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}
