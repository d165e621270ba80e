//! Rollups and their engines are killed, again and again.

use std::time::{Duration, Instant};

use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::plan::Options;
use crate::up::ROLLUPS;

/// How long a rollup may take to answer again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Blocks that a rollup makes between two kills.
const BLOCKS: u64 = 3;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let duration = lab.scale.pick(Duration::from_secs(35), Duration::from_secs(300));
    let options = Options { rollups: ROLLUPS.to_vec(), ..lab.options("adapters") };
    let mut network = lab.start(options).await?;
    let rates =
        Rates { rate: 20.0, rollup_rate: 20.0, duration, patience: Duration::from_secs(10) };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let started = Instant::now();
    let (mut kills, mut engine_kills) = (0, 0);
    // Blocks come from transfers, which have to last longer than the last round.
    while started.elapsed() + Duration::from_secs(15) < duration {
        for rollup in &mut network.rollups {
            findings.say(&format!("killing {}", rollup.plan.name));
            // An external engine dies alone, together with its adapter, or not at all, in turn.
            let together = kills % 3 == 1;
            if let Some(engine) = &mut rollup.engine
                && kills % 3 != 0
            {
                engine.kill().await?;
                engine_kills += 1;
                if together {
                    rollup.process.kill().await?;
                }
                engine.restart()?;
                if together {
                    rollup.process.restart()?;
                }
            } else {
                rollup.process.kill().await?;
                rollup.process.restart()?;
            }
            rollup.wait_ready(PATIENCE).await?;
            rollup.wait_blocks(BLOCKS, PATIENCE).await?;
        }
        kills += 1;
    }
    findings.note("kills", format!("{kills} of each rollup, {engine_kills} of them of its engine"));
    let load = traffic.finish(findings).await?;
    audit::chain(&network, &load, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}
