//! What is counted, as Prometheus sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use weft_types::SliceEntry;

use crate::light::VerifiedSlice;

/// What following is counted by. Clones share.
#[derive(Clone, Debug)]
pub struct FollowMetrics {
    height: Gauge<u64, AtomicU64>,
    time_ms: Gauge<u64, AtomicU64>,
    slices: Counter,
    items: Counter,
    seconds: Histogram,
}

impl FollowMetrics {
    /// Registers the counts.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            height: Gauge::default(),
            time_ms: Gauge::default(),
            slices: Counter::default(),
            items: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
        };
        registry.register("weft_height", "Last Weft height taken in", metrics.height.clone());
        registry.register(
            "weft_block_time_ms",
            "Block time of that height, milliseconds since the epoch",
            metrics.time_ms.clone(),
        );
        registry.register("slices", "Slices executed that were not empty", metrics.slices.clone());
        registry.register("items", "Items in those slices", metrics.items.clone());
        registry.register(
            "execution_seconds",
            "Time taken to execute one slice that was not empty",
            metrics.seconds.clone(),
        );
        metrics
    }

    pub(crate) fn executed(&self, slice: &VerifiedSlice, took: Duration) {
        self.height.set(slice.height());
        self.time_ms.set(slice.time_ms());
        if !slice.is_absent() {
            self.slices.inc();
            let items = slice.entries().iter().map(|entry| match entry {
                SliceEntry::Submission { data, .. } => data.len() as u64,
            });
            self.items.inc_by(items.sum());
            self.seconds.observe(took.as_secs_f64());
        }
    }

    /// The last height taken in.
    pub fn height(&self) -> u64 {
        self.height.inner().load(Ordering::Relaxed)
    }
}
