//! A validator's memory under load.

use std::time::Duration;

use super::{Figure, latency};
use crate::drill::Lab;
use crate::plan::Options;

/// Transactions per second.
const RATE: f64 = 300.0;

const MIB: u64 = 1 << 20;

pub async fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    let lasts = lab.scale.pick(Duration::from_secs(10), Duration::from_secs(300));
    (lab.say)("memory: load");
    let mut network = lab.start(Options { ..lab.options("memory") }).await?;
    latency::load(&network, RATE, 1, lasts).await?.check()?;
    let half = most(&mut network)?;
    latency::load(&network, RATE, 1, lasts).await?.check()?;
    let full = most(&mut network)?;
    network.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let ratio = full as f64 / half as f64;
    Ok(vec![
        Figure::plain(
            format!("largest validator after {} s of {RATE:.0}/s", 2 * lasts.as_secs()),
            format!("{} MiB", full / MIB),
        )
        .against(format!("{} MiB at half time", half / MIB), format!("{ratio:.2}"))
        .aim("flat, under 300 MiB"),
    ])
}

fn most(network: &mut crate::network::Network) -> eyre::Result<u64> {
    let mut most = 0;
    for node in &network.validators {
        most = most.max(node.process.memory()?);
    }
    Ok(most)
}
