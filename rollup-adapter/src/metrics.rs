//! What is counted, as Prometheus sees it.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use weft_types::{Decision, L1Origin};

use crate::cursor::Cursor;
use crate::derivation::Step;
use crate::source::EndpointStatus;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

fn name_of(decision: Decision) -> &'static str {
    match decision {
        Decision::Committed => "committed",
        Decision::Failed => "failed",
        Decision::TimedOut => "timed_out",
    }
}

/// What following is counted by. Clones share.
#[derive(Clone, Debug)]
pub struct FollowMetrics {
    height: Gauge<u64, AtomicU64>,
    time_ms: Gauge<u64, AtomicU64>,
    slices: Counter,
    items: Counter,
    seconds: Histogram,
    settled: Gauge<u64, AtomicU64>,
    l1_block: Gauge<u64, AtomicU64>,
    fallbacks: Counter,
    fallback: Gauge<u64, AtomicU64>,
    hold_seconds: Histogram,
    decisions: Family<DecisionLabels, Counter>,
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
            settled: Gauge::default(),
            l1_block: Gauge::default(),
            fallbacks: Counter::default(),
            fallback: Gauge::default(),
            hold_seconds: Histogram::new(exponential_buckets(0.025, 2.0, 12)),
            decisions: Family::default(),
        };
        registry.register("weft_height", "Last Weft height taken in", metrics.height.clone());
        registry.register(
            "weft_block_time_ms",
            "Block time of that height, milliseconds since the epoch",
            metrics.time_ms.clone(),
        );
        registry.register(
            "slices",
            "Slices executed that were not empty, and L1 blocks in a fallback",
            metrics.slices.clone(),
        );
        registry.register("items", "Items in those", metrics.items.clone());
        registry.register(
            "execution_seconds",
            "Time taken to execute one slice that was not empty",
            metrics.seconds.clone(),
        );
        registry.register(
            "weft_settled_height",
            "Weft height below which no fallback takes a slice back",
            metrics.settled.clone(),
        );
        registry.register("l1_block", "Last L1 block taken in", metrics.l1_block.clone());
        registry.register("fallbacks", "Fallbacks begun", metrics.fallbacks.clone());
        registry.register(
            "fallback",
            "1 while messages of L1 stand in for slices",
            metrics.fallback.clone(),
        );
        registry.register(
            "hold_seconds",
            "For how long an atomic bundle held the rollup, each, as it was seen here",
            metrics.hold_seconds.clone(),
        );
        registry.register(
            "decisions",
            "Atomic bundles whose slices were taken in, by what was decided",
            metrics.decisions.clone(),
        );
        metrics
    }

    /// Where the rollup stands, whatever brought it there.
    pub(crate) fn stands(&self, at: &Cursor) {
        self.height.set(at.height().unwrap_or(0));
        self.settled.set(at.settled.below);
        self.fallback.set(at.is_fallback().into());
    }

    pub(crate) fn l1(&self, block: L1Origin) {
        self.l1_block.set(block.number);
    }

    pub(crate) fn held(&self, time: Duration) {
        self.hold_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn decided(&self, decision: Decision) {
        self.decisions.get_or_create(&DecisionLabels { decision: name_of(decision) }).inc();
    }

    pub(crate) fn began_fallback(&self) {
        self.fallbacks.inc();
    }

    pub(crate) fn executed(&self, step: &Step, took: Duration) {
        if step.to().next > step.from().next {
            self.time_ms.set(step.time_ms());
        }
        if !step.is_empty() {
            self.slices.inc();
            let items = step.entries().map(|entry| entry.items().len() as u64);
            self.items.inc_by(items.sum());
            self.seconds.observe(took.as_secs_f64());
        }
    }
}

/// What an EVM engine is counted by. Clones share.
#[derive(Clone, Debug, Default)]
pub struct EvmMetrics {
    block: Gauge<u64, AtomicU64>,
    executed: Counter,
    skipped: Counter,
    gas: Counter,
}

impl EvmMetrics {
    /// Registers the counts.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("block", "Number of the rollup's last block", metrics.block.clone());
        registry.register("executed", "Transactions executed", metrics.executed.clone());
        registry.register(
            "skipped",
            "Items of slices that made no transaction",
            metrics.skipped.clone(),
        );
        registry.register("gas", "Gas used", metrics.gas.clone());
        metrics
    }

    pub(crate) fn made(&self, block: u64, executed: usize, skipped: usize, gas: u64) {
        self.block.set(block);
        self.executed.inc_by(executed as u64);
        self.skipped.inc_by(skipped as u64);
        self.gas.inc_by(gas);
    }
}

/// The label of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: String,
}

/// What is computed when somebody looks: the state of endpoints, and how far behind we are.
#[derive(Clone, Debug)]
pub struct LookedUp {
    failures: Family<EndpointLabel, Gauge<u64, AtomicU64>>,
    quarantined: Family<EndpointLabel, Gauge<u64, AtomicU64>>,
    height: Family<EndpointLabel, Gauge<u64, AtomicU64>>,
    lag_ms: Gauge<u64, AtomicU64>,
}

impl LookedUp {
    /// Registers the gauges.
    pub fn new(registry: &mut Registry) -> Self {
        let looked_up = Self {
            failures: Family::default(),
            quarantined: Family::default(),
            height: Family::default(),
            lag_ms: Gauge::default(),
        };
        registry.register(
            "endpoint_failures",
            "Failures in a row of an endpoint",
            looked_up.failures.clone(),
        );
        registry.register(
            "endpoint_quarantined",
            "1 for an endpoint that served what does not hold",
            looked_up.quarantined.clone(),
        );
        registry.register(
            "endpoint_height",
            "Last height that an endpoint served and that was verified",
            looked_up.height.clone(),
        );
        registry.register(
            "lag_ms",
            "How far the last height taken in is behind this machine's clock",
            looked_up.lag_ms.clone(),
        );
        looked_up
    }

    /// Looks.
    pub fn update(&self, endpoints: &[EndpointStatus], lag_ms: u64) {
        self.lag_ms.set(lag_ms);
        for status in endpoints {
            let label = EndpointLabel { endpoint: status.url.clone() };
            self.failures.get_or_create(&label).set(u64::from(status.failures));
            let quarantined = u64::from(status.quarantined.is_some());
            self.quarantined.get_or_create(&label).set(quarantined);
            self.height.get_or_create(&label).set(status.height.unwrap_or(0));
        }
    }
}
