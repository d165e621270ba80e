//! Transactions per second at saturation, against the bound that recovering signatures sets: every
//! validator recovers every transaction's signature once, on the processors they share.

use std::hint::black_box;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use weft_types::hash::keccak256;

use super::{Figure, latency};
use crate::drill::Lab;
use crate::plan::{Options, key};

/// Signatures recovered per thread to measure that.
const RECOVERIES: u32 = 4000;

/// How much is offered, as a part of the bound.
const OFFERED: f64 = 0.9;

/// Payloads in one transaction, as gateways pack them.
const PACKED: usize = 100;

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub async fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    let lasts = lab.scale.pick(Duration::from_secs(8), Duration::from_secs(60));
    let cores = available_parallelism()?.get();
    let validators = lab.options("throughput").validators;
    let before = recoveries_per_second(cores);
    (lab.say)("throughput: single transactions");
    let single = saturate(lab, before / validators as f64 * OFFERED, 1, lasts).await?;
    (lab.say)("throughput: packed by a hundred");
    let packed = saturate(lab, single / 4.0, PACKED, lasts).await?;
    let after = recoveries_per_second(cores);
    let recoveries = (before + after) / 2.0;
    let bound = recoveries / validators as f64;
    let bound_text = format!(
        "bound {bound:.0}/s: {recoveries:.0} recoveries/s on {cores} processors, {validators} \
         validators"
    );
    Ok(vec![
        Figure::plain("saturated, one signature per 200 bytes", format!("{single:.0}/s"))
            .against(bound_text, format!("{:.0} %", 100.0 * single / bound))
            .aim("35 %"),
        Figure::plain(
            "saturated, 100 payloads of 200 bytes packed in one",
            format!("{:.0} payloads/s", packed * PACKED as f64),
        )
        .against(
            format!("{single:.0}/s one by one"),
            format!("{:.1} times", packed * PACKED as f64 / single),
        ),
    ])
}

/// Offers more than can be taken, and returns what became final per second.
async fn saturate(lab: &Lab, rate: f64, pack: usize, lasts: Duration) -> eyre::Result<f64> {
    let mut network = lab.start(Options { ..lab.options("throughput") }).await?;
    let report = latency::load(&network, rate, pack, lasts).await?;
    network.stop().await?;
    report.check()?;
    Ok(report.throughput())
}

/// How many signatures all processors together recover per second.
pub fn recoveries_per_second(threads: usize) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let key = key("recoveries", thread);
                let hash = keccak256(&[b"recovered again and again"]);
                let signature = key.sign(hash);
                for _ in 0..RECOVERIES {
                    black_box(black_box(&signature).recover(black_box(hash))).ok();
                }
            });
        }
    });
    f64::from(RECOVERIES) * threads as f64 / started.elapsed().as_secs_f64()
}
