//! What the gateway is counted by.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the gateway is counted by. Clones share.
#[derive(Clone, Debug, Default)]
pub struct GatewayMetrics {
    held: Gauge<u64, AtomicU64>,
    live: Gauge<u64, AtomicU64>,
    live_weft: Gauge<u64, AtomicU64>,
    accepted: Counter,
    refused: Counter,
    executed: Counter,
    dropped: Counter,
    handed_over: Counter,
    weft: Counter,
    expired: Counter,
}

impl GatewayMetrics {
    /// Registers the counts.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let gauges = [
            ("gateway_held", "Transactions held", &m.held),
            ("gateway_live", "Transactions in a live Weft transaction", &m.live),
            ("gateway_live_weft_transactions", "Weft transactions that are live", &m.live_weft),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let counters = [
            ("gateway_accepted", "Transactions accepted", &m.accepted),
            ("gateway_refused", "Transactions refused", &m.refused),
            ("gateway_executed", "Accepted transactions that were executed", &m.executed),
            ("gateway_dropped", "Accepted transactions that were given up", &m.dropped),
            ("gateway_handed_over", "Transactions handed over, each time counted", &m.handed_over),
            ("gateway_weft_transactions", "Weft transactions made", &m.weft),
            ("gateway_expired", "Weft transactions that were not ordered in time", &m.expired),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        m
    }

    pub(super) fn pool(&self, held: usize, live: usize, weft: usize) {
        self.held.set(held as u64);
        self.live.set(live as u64);
        self.live_weft.set(weft as u64);
    }

    pub(super) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    pub(super) fn executed(&self) {
        self.executed.inc();
    }

    pub(super) fn dropped(&self) {
        self.dropped.inc();
    }

    pub(super) fn handed_over(&self, items: usize) {
        self.handed_over.inc_by(items as u64);
        self.weft.inc();
    }

    pub(super) fn expired(&self) {
        self.expired.inc();
    }
}
