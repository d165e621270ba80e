//! What an operator watches, in Prometheus' text format. `docs/metrics.md` lists them.

use arc_malachitebft_metrics::SharedRegistry;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use weft_l1::quorum::{State, Status};

/// A validator, by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByValidator {
    /// Its address.
    pub validator: String,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Tier {
    /// A quorum names its batch.
    Expected,
    /// A certificate orders it.
    Final,
}

/// A tier, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByTier {
    /// The tier.
    pub tier: Tier,
}

/// What became of a bid, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    /// As the API names it.
    pub result: String,
}

/// An L1 provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByProvider {
    /// Its number in the configuration, from 0, and its host: several may have the same.
    pub provider: String,
}

/// How an L1 provider stands, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByProviderState {
    /// See [`ByProvider`].
    pub provider: String,
    /// The state.
    pub state: ProviderState,
}

/// How an L1 provider stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ProviderState {
    /// Its word counts.
    Trusted,
    /// Its word counts, and is behind the others'.
    Lagging,
    /// It does not answer.
    Failing,
    /// It has said something wrong.
    Quarantined,
}

/// What is seen of L1.
#[derive(Clone, Default)]
pub struct L1Metrics {
    origin: Gauge,
    agreed: Gauge,
    variance: Gauge,
    alarm: Gauge,
    state: Family<ByProviderState, Gauge>,
    lag: Family<ByProvider, Gauge>,
    finalized: Family<ByProvider, Gauge>,
    disagreements: Family<ByProvider, Gauge>,
    garbage: Family<ByProvider, Gauge>,
}

/// The node's metrics.
#[derive(Clone)]
pub struct Metrics {
    /// The last height decided.
    pub height: Gauge,
    /// Blocks decided.
    pub blocks: Counter,
    /// Of them, blocks without observations.
    pub empty_blocks: Counter,
    /// Transactions ordered.
    pub transactions: Counter,
    /// Bytes of batches ordered.
    pub bytes: Counter,
    /// Seconds between the times of two blocks.
    pub block_interval: Histogram,
    /// Rounds above 0 that were entered: each is a leader that did not deliver.
    pub leader_changes: Counter,
    /// Heights decided in a round above 0.
    pub late_heights: Counter,
    /// Non-empty blocks that did not embed a validator's observation.
    pub missed_observations: Family<ByValidator, Counter>,
    /// Bids that were opened.
    pub bids: Family<ByResult, Counter>,
    /// Lots that were sold.
    pub lots_sold: Counter,
    /// Whether a validator is absent.
    pub absent: Family<ByValidator, Gauge>,
    /// Seconds from a transaction's arrival at this node to each tier.
    pub latency: Family<ByTier, Histogram>,
    /// Transactions and bytes that wait in the mempool.
    pub mempool_transactions: Gauge,
    /// See above.
    pub mempool_bytes: Gauge,
    /// Bytes of batches that are held and not ordered yet.
    pub lane_backlog_bytes: Gauge,
    /// Heights that the view on disk is behind.
    pub view_lag: Gauge,
    /// Seconds the last write to the block log took.
    pub log_write: Histogram,
    /// Peers that have introduced themselves.
    pub peers: Gauge,
    /// Of them, validators.
    pub validator_peers: Gauge,
    /// Proposals this node found invalid.
    pub invalid_proposals: Counter,
    /// Pieces of evidence kept.
    pub evidence: Counter,
    /// Blocks that came by sync.
    pub synced_blocks: Counter,
    /// Transactions refused by the mempool.
    pub refused: Counter,
    /// What is seen of L1.
    pub l1: L1Metrics,
}

impl L1Metrics {
    /// Nobody is asked, which is to be looked after.
    pub fn show_blind(&self) {
        self.alarm.set(1);
    }

    /// Sets them.
    pub fn show(&self, status: &Status) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.origin.set(gauge(status.origin.number));
        self.agreed.set(gauge(status.agreed));
        self.variance.set(gauge(status.variance));
        self.alarm.set(i64::from(status.alarm.is_some()));
        for (index, is) in status.providers.iter().enumerate() {
            let provider = format!("{index} {}", is.name);
            for state in ProviderState::ALL {
                let label = ByProviderState { provider: provider.clone(), state };
                let current = ProviderState::from(is.state) == state;
                self.state.get_or_create(&label).set(i64::from(current));
            }
            let label = ByProvider { provider };
            self.lag.get_or_create(&label).set(gauge(is.lag));
            self.finalized.get_or_create(&label).set(gauge(is.finalized));
            self.disagreements.get_or_create(&label).set(gauge(is.score.disagreements));
            self.garbage.get_or_create(&label).set(gauge(is.score.garbage));
        }
    }

    fn register(&self, r: &mut Registry) {
        r.register("l1_origin", "Number of the last L1 block taken in", self.origin.clone());
        r.register(
            "l1_agreed",
            "Number of the last L1 block that this node's providers agree on",
            self.agreed.clone(),
        );
        r.register(
            "l1_variance_blocks",
            "L1 blocks between the finalized block of one provider and another's",
            self.variance.clone(),
        );
        r.register("l1_alarm", "Whether L1 is not seen as it should be", self.alarm.clone());
        r.register("l1_provider_state", "Whether a provider is in a state", self.state.clone());
        r.register(
            "l1_provider_lag_blocks",
            "L1 blocks a provider is behind the furthest",
            self.lag.clone(),
        );
        r.register(
            "l1_provider_finalized",
            "Number of the last L1 block that is final by a provider's word",
            self.finalized.clone(),
        );
        r.register(
            "l1_provider_disagreements",
            "Times a provider was shut out for saying something else than the others",
            self.disagreements.clone(),
        );
        r.register(
            "l1_provider_garbage",
            "Answers of a provider that made no sense",
            self.garbage.clone(),
        );
    }
}

impl ProviderState {
    const ALL: [Self; 4] = [Self::Trusted, Self::Lagging, Self::Failing, Self::Quarantined];
}

impl From<State> for ProviderState {
    fn from(state: State) -> Self {
        match state {
            State::Trusted => Self::Trusted,
            State::Lagging => Self::Lagging,
            State::Failing => Self::Failing,
            State::Quarantined => Self::Quarantined,
        }
    }
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &SharedRegistry) -> Self {
        let seconds = || exponential_buckets(0.001, 2.0, 15);
        let metrics = Self {
            height: Gauge::default(),
            blocks: Counter::default(),
            empty_blocks: Counter::default(),
            transactions: Counter::default(),
            bytes: Counter::default(),
            block_interval: Histogram::new(seconds()),
            leader_changes: Counter::default(),
            late_heights: Counter::default(),
            missed_observations: Family::default(),
            bids: Family::default(),
            lots_sold: Counter::default(),
            absent: Family::default(),
            latency: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 15))
            }),
            mempool_transactions: Gauge::default(),
            mempool_bytes: Gauge::default(),
            lane_backlog_bytes: Gauge::default(),
            view_lag: Gauge::default(),
            log_write: Histogram::new(seconds()),
            peers: Gauge::default(),
            validator_peers: Gauge::default(),
            invalid_proposals: Counter::default(),
            evidence: Counter::default(),
            synced_blocks: Counter::default(),
            refused: Counter::default(),
            l1: L1Metrics::default(),
        };
        registry.with_prefix("weft", |r| {
            let m = &metrics;
            r.register("height", "Last height decided", m.height.clone());
            r.register("blocks", "Blocks decided", m.blocks.clone());
            r.register("empty_blocks", "Blocks without observations", m.empty_blocks.clone());
            r.register("transactions", "Transactions ordered", m.transactions.clone());
            r.register("ordered_bytes", "Bytes of batches ordered", m.bytes.clone());
            r.register(
                "block_interval_seconds",
                "Seconds between the times of two blocks",
                m.block_interval.clone(),
            );
            r.register("leader_changes", "Rounds above 0 entered", m.leader_changes.clone());
            r.register("late_heights", "Heights decided above round 0", m.late_heights.clone());
            r.register(
                "missed_observations",
                "Non-empty blocks without a validator's observation",
                m.missed_observations.clone(),
            );
            r.register("bids", "Bids that were opened, by what became of them", m.bids.clone());
            r.register("lots_sold", "Heads of slices that were sold", m.lots_sold.clone());
            r.register("absent", "Whether a validator is absent", m.absent.clone());
            r.register(
                "transaction_latency_seconds",
                "Seconds from arrival at this node to each tier",
                m.latency.clone(),
            );
            r.register(
                "mempool_transactions",
                "Transactions in the mempool",
                m.mempool_transactions.clone(),
            );
            r.register("mempool_bytes", "Bytes in the mempool", m.mempool_bytes.clone());
            r.register(
                "lane_backlog_bytes",
                "Bytes of batches held and not ordered",
                m.lane_backlog_bytes.clone(),
            );
            r.register("view_lag", "Heights the view on disk is behind", m.view_lag.clone());
            r.register(
                "log_write_seconds",
                "Seconds from a write to the block log to its being durable",
                m.log_write.clone(),
            );
            r.register("peers", "Peers introduced", m.peers.clone());
            r.register("validator_peers", "Validators among them", m.validator_peers.clone());
            r.register("invalid_proposals", "Proposals found invalid", m.invalid_proposals.clone());
            r.register("evidence", "Pieces of evidence kept", m.evidence.clone());
            r.register("synced_blocks", "Blocks that came by sync", m.synced_blocks.clone());
            r.register(
                "refused_transactions",
                "Transactions the mempool refused",
                m.refused.clone(),
            );
            m.l1.register(r);
        });
        metrics
    }
}
