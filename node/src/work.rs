//! What takes blocks in, in turn: the follower while the node has no seat, the sequencer with its
//! engine while it has one.
//!
//! Seats come and go with epochs, and a node goes from one to the other without a restart. Each
//! time it takes part anew it opens a new lane, under a number that is on disk before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_malachitebft_metrics::SharedRegistry;
use eyre::eyre;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tracing::info;
use weft_consensus::Tip;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::Verifier;
use weft_types::SecretKey;

use crate::chain::Chain;
use crate::config::Config;
use crate::engine::{self, Engine};
use crate::follower::{self, Follower};
use crate::home::Home;
use crate::l1::Seen;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::p2p::{NetEvent, P2p};
use crate::publish::Publisher;
use crate::run::value_sync;
use crate::sequencer::{self, Conduct, Ended, EvidenceStore, Left, Sequencer, Tracker};
use crate::store::{Boots, Past};

/// How long a validator waits, when it starts, to hear how far others are. They say so as soon as
/// they are connected; if too few are there, the network stands still anyway.
const LONELY: Duration = Duration::from_secs(2);

/// What the work is done with.
pub struct Work {
    /// Where the node lives.
    pub home: Home,
    /// How it is configured.
    pub config: Config,
    /// The key to take part with, if there is one.
    pub key: Option<SecretKey>,
    /// What the home remembers of having signed.
    pub past: Past,
    /// Undecided blocks of the height after the tip, from the log.
    pub undecided: Vec<StoredBlock>,
    /// What is decided.
    pub chain: Chain,
    /// Where transactions wait.
    pub mempool: Arc<Mempool>,
    /// Where they are followed.
    pub tracker: Arc<Tracker>,
    /// Where faults are kept.
    pub evidence: Arc<EvidenceStore>,
    /// What is counted.
    pub metrics: Metrics,
    /// The network.
    pub p2p: P2p,
    /// The other end of what it brings, for what is fetched.
    pub to_net_events: mpsc::Sender<NetEvent>,
    /// Checks signatures, once.
    pub verifier: Verifier,
    /// What this node's providers agree on of L1.
    pub l1: Seen,
    /// Set while the node takes part.
    pub takes_part: Arc<AtomicBool>,
    /// Tells when to stop.
    pub stop: watch::Receiver<bool>,
}

/// What passes from the follower to the sequencer and back.
pub struct State {
    /// The last decided block, executed.
    pub tip: Tip,
    /// Where decided blocks are made known.
    pub publisher: Publisher,
    /// What the network brings.
    pub net_events: mpsc::Receiver<NetEvent>,
    /// How to behave towards others.
    pub conduct: Box<dyn Conduct>,
}

impl Work {
    /// Gets ready, so that nothing is missed that the network brings from now on.
    pub fn begin(self, state: State) -> impl Future<Output = eyre::Result<()>> {
        let State { tip, publisher, net_events, conduct } = state;
        let follower = self.follower(tip, publisher, net_events);
        self.run(follower, conduct)
    }

    /// Goes on until told to stop, or until going on would be unsafe.
    async fn run(
        mut self,
        mut follower: Follower,
        mut conduct: Box<dyn Conduct>,
    ) -> eyre::Result<()> {
        let Some(key) = self.key.clone() else { return follower.run().await };
        let mut boots = self.past.boots;
        let mut registry = SharedRegistry::global().clone();
        loop {
            let Some(caught_up) = follower.until_seated(key.address()).await? else {
                return Ok(());
            };
            let follower::Parts { tip, publisher, net_events, .. } = caught_up;
            let state = State { tip, publisher, net_events, conduct };
            let Some(left) = self.take_part(&key, boots, &registry, state).await? else {
                return Ok(());
            };
            boots = Boots::count(&self.home.boots(), boots.silent_through)?;
            // A second engine's metrics beside those of the first would be two of a name.
            registry = SharedRegistry::new(Registry::default(), None);
            let Left { tip, publisher, net_events, conduct: same } = left;
            conduct = same;
            follower = self.follower(tip, publisher, net_events);
        }
    }

    fn follower(
        &self,
        tip: Tip,
        publisher: Publisher,
        net_events: mpsc::Receiver<NetEvent>,
    ) -> Follower {
        Follower::new(follower::Parts {
            tip,
            limits: follower_limits(&self.config),
            lonely: LONELY,
            chain: self.chain.clone(),
            mempool: Arc::clone(&self.mempool),
            publisher,
            metrics: self.metrics.clone(),
            p2p: self.p2p.clone(),
            net_events,
            stop: self.stop.clone(),
        })
    }

    /// Takes part until there is no seat any more; `None` if told to stop.
    async fn take_part(
        &mut self,
        key: &SecretKey,
        boots: Boots,
        registry: &SharedRegistry,
        State { tip, publisher, net_events, conduct }: State,
    ) -> eyre::Result<Option<Left>> {
        let (engine_tx, engine_events) = mpsc::unbounded_channel();
        let mut engine = engine::start(engine::Setup {
            chain_id: tip.header.chain_id,
            key: key.clone(),
            wal: &self.home.wal(),
            sync: value_sync(&self.config),
            p2p: self.p2p.clone(),
            verifier: self.verifier.clone(),
            events: engine_tx,
            registry,
        })
        .await?;
        let first = boots == self.past.boots;
        let in_the_middle = self.past.is_none() || self.past.engine_height == tip.next_height();
        let height = tip.next_height();
        info!(height, lane = boots.count, "taking part");
        let sequencer = Sequencer::new(sequencer::Parts {
            tip,
            key: key.clone(),
            incarnation: boots.count,
            silent_through: boots.silent_through,
            undecided: std::mem::take(&mut self.undecided),
            resuming: first && in_the_middle,
            timing: self.config.timing(),
            timeouts: self.config.timeouts(),
            chain: self.chain.clone(),
            mempool: Arc::clone(&self.mempool),
            tracker: Arc::clone(&self.tracker),
            evidence: Arc::clone(&self.evidence),
            metrics: self.metrics.clone(),
            p2p: self.p2p.clone(),
            publisher,
            verifier: self.verifier.clone(),
            consensus: engine.consensus.clone(),
            engine_events,
            net_events,
            to_net_events: self.to_net_events.clone(),
            l1: self.l1.clone(),
            stop: self.stop.clone(),
            conduct,
        })?;
        self.takes_part.store(true, Ordering::Relaxed);
        let ended = work(sequencer, &mut engine).await;
        self.takes_part.store(false, Ordering::Relaxed);
        match ended? {
            Ended::Stopped => Ok(None),
            Ended::Left(left) => {
                engine.stop().await;
                Ok(Some(*left))
            }
        }
    }
}

async fn work(sequencer: Sequencer, engine: &mut Engine) -> eyre::Result<Ended> {
    tokio::select! {
        ended = sequencer.run() => ended,
        _ = &mut engine.ended => Err(eyre!("the consensus engine stopped; see the log above")),
    }
}

/// How a node without a seat follows.
fn follower_limits(config: &Config) -> follower::Limits {
    follower::Limits {
        batch: config.sync.batch as u64,
        parallel: config.sync.parallel,
        patience: config.sync.timeout,
    }
}
