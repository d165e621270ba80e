//! What waiting for bids costs in latency.

use std::time::Duration;

use weft_types::AuctionSettings;

use super::Figure;
use super::latency::{RATE, load};
use crate::drill::Lab;
use crate::load::Report;
use crate::plan::Options;

/// Windows in milliseconds, and at every how many heights a lot is offered.
const WINDOWS: [(u64, u64); 4] = [(50, 4), (50, 1), (100, 4), (100, 1)];

pub async fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    let lasts = lab.scale.pick(Duration::from_secs(10), Duration::from_secs(60));
    let before = one(lab, None, lasts).await?.final_after;
    let mut figures = Vec::new();
    for (window, every) in WINDOWS {
        let report = one(lab, Some((window, every)), lasts).await?;
        let found = report.final_after;
        figures.push(
            Figure::plain(
                format!("bid window {window} ms at every {}: median, 99 of 100", nth(every)),
                format!("{:.1} ms, {:.1} ms", found.p50, found.p99),
            )
            .against(
                format!("{:.1} ms, {:.1} ms without auctions", before.p50, before.p99),
                format!("{:.1}, {:.1}", found.p50 / before.p50, found.p99 / before.p99),
            ),
        );
    }
    Ok(figures)
}

fn nth(every: u64) -> String {
    if every == 1 { "height".to_owned() } else { format!("{every}th height") }
}

async fn one(lab: &Lab, lots: Option<(u64, u64)>, lasts: Duration) -> eyre::Result<Report> {
    let mut options = lab.options("window");
    if let Some((window, every)) = lots {
        (lab.say)(&format!("bid window: {window} ms at every {}", nth(every)));
        options = Options {
            auction: Some(AuctionSettings { every, floor: 0 }),
            config: format!("bid_window = \"{window}ms\""),
            ..options
        };
    }
    let mut network = lab.start(options).await?;
    let report = load(&network, RATE, 1, lasts).await?;
    network.stop().await?;
    report.check()?;
    Ok(report)
}
