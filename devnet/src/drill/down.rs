//! One validator is down, then two.

use std::time::{Duration, Instant};

use eyre::{ensure, eyre};
use tokio::time::timeout;

use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::{BlockStream, Client, wait_for};
use crate::plan::Options;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long ordering must stand still to count as stopped.
const STILL: Duration = Duration::from_secs(3);

/// What is measured of blocks that come.
#[derive(Default)]
struct Gaps {
    longest: Duration,
    late_rounds: u64,
    blocks: u64,
}

impl Gaps {
    /// Follows blocks for a while.
    async fn measure(blocks: &mut BlockStream, lasts: Duration) -> eyre::Result<Self> {
        let mut gaps = Self::default();
        let (started, mut last) = (Instant::now(), Instant::now());
        while started.elapsed() < lasts {
            let block = timeout(PATIENCE, blocks.next()).await??;
            let block = block.ok_or_else(|| eyre!("the node has ended its stream"))?;
            gaps.longest = gaps.longest.max(last.elapsed());
            last = Instant::now();
            gaps.late_rounds += u64::from(block.round > 0);
            gaps.blocks += 1;
        }
        Ok(gaps)
    }

    fn describe(&self) -> String {
        format!(
            "longest gap {}, {} of {} blocks in a later round",
            seconds(self.longest),
            self.late_rounds,
            self.blocks
        )
    }
}

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let lasts = lab.scale.pick(Duration::from_secs(5), Duration::from_secs(60));
    let mut network = lab.start(Options { ..lab.options("down") }).await?;
    let rates = Rates {
        rate: 100.0,
        rollup_rate: 0.0,
        duration: lasts * 4 + Duration::from_secs(15),
        patience: Duration::from_secs(30),
    };
    let traffic = Traffic::start(&network, rates, &[2, 3]).await?;
    let client: Client = network.validators[0].client.clone();
    client.wait_height(10, PATIENCE).await?;
    let mut blocks = client.blocks(client.height().await?).await?;

    let calm = Gaps::measure(&mut blocks, lasts).await?;
    findings.note("all four up", calm.describe());
    findings.say("killing one");
    network.validators[3].process.kill().await?;
    let struck = Gaps::measure(&mut blocks, lasts).await?;
    findings.note("one killed, from then on", struck.describe());
    let node = &network.validators[0];
    wait_for("the validator that is down to be known as absent", PATIENCE, || async {
        Ok((node.metric("weft_absent").await? > 0.5).then_some(()))
    })
    .await?;
    let mut blocks = client.blocks(client.height().await? + 1).await?;
    let known = Gaps::measure(&mut blocks, lasts).await?;
    findings.note("one down, known to be absent", known.describe());
    // It leads no first round any more: that would make every fourth late. A busy machine makes some late all the
    // same.
    ensure!(
        known.late_rounds * 6 < known.blocks,
        "{} of {} blocks took a later round",
        known.late_rounds,
        known.blocks
    );

    findings.say("killing another");
    network.validators[2].process.kill().await?;
    let what = "ordering to stop and /ready to say so";
    let reason = wait_for(what, PATIENCE, || async { Ok(client.ready().await?.err()) }).await?;
    // A block that all but the last vote had been cast for may still come.
    let tip = client.height().await?;
    let moved = client.wait_height(tip + 2, STILL).await;
    ensure!(moved.is_err(), "two of four validators decided blocks");
    let tip = client.height().await?;
    findings.note("two down: /ready says", reason);

    network.validators[2].process.restart()?;
    let started = Instant::now();
    client.wait_height(tip + 1, PATIENCE).await?;
    findings.note("one of them started: next block after", seconds(started.elapsed()));
    network.validators[3].process.restart()?;
    network.wait_ready(PATIENCE).await?;
    let load = traffic.finish(findings).await?;
    load.check()?;
    audit::chain(&network, &load, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}
