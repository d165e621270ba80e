//! What becomes of a decided block inside the node: everybody who waits for it hears.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weft_consensus::{Delivery, Tip};
use weft_types::{Committee, TransactionId};

use crate::chain::{Chain, ids_of};
use crate::mempool::Mempool;
use crate::metrics::{ByResult, ByTier, ByValidator, Metrics, Tier};
use crate::p2p::{P2p, Seats};
use crate::sequencer::Tracker;

/// Where decided blocks go. There is one, owned by whoever decides or follows.
pub struct Publisher {
    chain: Chain,
    mempool: Arc<Mempool>,
    tracker: Arc<Tracker>,
    metrics: Metrics,
    p2p: P2p,
    /// Who holds the seats, for the network.
    seats: watch::Sender<Seats>,
    last_block_time: u64,
}

/// What a [`Publisher`] is made of.
pub struct Parts {
    /// Where blocks are read from.
    pub chain: Chain,
    /// What is ordered leaves it.
    pub mempool: Arc<Mempool>,
    /// Learns what is final.
    pub tracker: Arc<Tracker>,
    /// What is counted.
    pub metrics: Metrics,
    /// The network.
    pub p2p: P2p,
    /// Who holds the seats, for the network.
    pub seats: watch::Sender<Seats>,
}

impl Publisher {
    /// On top of a tip.
    pub fn new(parts: Parts, tip: &Tip) -> Self {
        let Parts { chain, mempool, tracker, metrics, p2p, seats } = parts;
        p2p.bus().set_tip(tip.header.height);
        mempool.advance(tip.header.time_ms, tip.next_height());
        let last_block_time = tip.header.time_ms;
        Self { chain, mempool, tracker, metrics, p2p, seats, last_block_time }
    }

    /// Follows who holds the seats.
    pub fn seats(&self) -> watch::Receiver<Seats> {
        self.seats.subscribe()
    }

    /// Makes a decided block known. `tip` is the block, executed.
    pub fn publish(&mut self, delivery: Delivery, tip: &Tip) {
        let (header, height) = (delivery.header, delivery.header.height);
        let committee = Arc::clone(&self.seats.borrow().committee);
        self.measure(&delivery, &committee);
        self.seats.send_modify(|seats| seats.advance(tip));
        self.p2p.bus().set_tip(height);

        let ordered: Vec<TransactionId> = ids_of(&delivery.batches).copied().collect();
        self.mempool.advance(header.time_ms, height + 1);
        self.chain.deliver(delivery, &tip.state);
        // Only now: whoever looks for a transaction finds it here as long as not there.
        self.mempool.remove(&ordered);
        let took = self.tracker.ordered(ordered.iter());
        self.observe(Tier::Final, &took);
    }

    /// Notes how long transactions took to get somewhere.
    pub fn observe(&self, tier: Tier, took: &[Duration]) {
        if took.is_empty() {
            return;
        }
        let histogram = self.metrics.latency.get_or_create(&ByTier { tier });
        for duration in took {
            histogram.observe(duration.as_secs_f64());
        }
    }

    /// Sets the gauges.
    pub fn gauge(&self) {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        let (bytes, count) = self.mempool.size();
        metrics.mempool_bytes.set(gauge(bytes));
        metrics.mempool_transactions.set(gauge(count));
        metrics.refused.inc_by(self.mempool.take_refused());
        metrics.view_lag.set(gauge(self.chain.view().lag().0));
        let (peers, validators) = self.p2p.peers().count();
        metrics.peers.set(gauge(peers));
        metrics.validator_peers.set(gauge(validators));
    }

    fn measure(&mut self, delivery: &Delivery, committee: &Committee) {
        let metrics = &self.metrics;
        let header = &delivery.header;
        metrics.height.set(i64::try_from(header.height).unwrap_or(i64::MAX));
        metrics.blocks.inc();
        let interval = header.time_ms.saturating_sub(self.last_block_time);
        self.last_block_time = header.time_ms;
        metrics.block_interval.observe(Duration::from_millis(interval).as_secs_f64());
        if delivery.certificate.round > 0 {
            metrics.late_heights.inc();
        }
        let transactions: usize = delivery.batches.iter().map(|b| b.body.transactions.len()).sum();
        metrics.transactions.inc_by(transactions as u64);
        let bytes: u64 = delivery.batches.iter().map(|b| u64::from(b.witness().bytes)).sum();
        metrics.bytes.inc_by(bytes);
        metrics.lots_sold.inc_by(delivery.applied.results.lots.len() as u64);
        for bid in &delivery.applied.results.bids {
            let name = serde_json::to_value(bid.result).ok();
            let result = name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
            metrics.bids.get_or_create(&ByResult { result }).inc();
        }
        if delivery.observers.is_empty() {
            metrics.empty_blocks.inc();
            return;
        }
        for (index, member) in (0u16..).zip(committee.members()) {
            let label = ByValidator { validator: member.address.to_string() };
            if !delivery.observers.contains(&index) {
                metrics.missed_observations.get_or_create(&label).inc();
            }
            let absent = delivery.absent.contains(&member.address);
            metrics.absent.get_or_create(&label).set(i64::from(absent));
        }
    }
}
