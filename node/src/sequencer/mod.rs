//! The shell around the driver: takes what happens to it, carries out what it says.
//!
//! One task owns the driver. Everything slow happens elsewhere and comes back as an event: writing
//! on the log's thread, checking batches and blocks on blocking threads, fetching in tasks. The
//! engine's events go first, then the disk's, then the network's.

mod ahead;
mod conduct;
mod evidence;
mod fetch;
mod inbox;
mod sync;
mod tracker;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_malachitebft_core_consensus::{LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_types::{HeightParams, LinearTimeouts, Round, Validity, ValueOrigin};
use arc_malachitebft_engine::consensus::{ConsensusMsg, ConsensusRef};
use arc_malachitebft_engine::host::Next;
use ractor::RpcReplyPort;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tracing::{debug, error, info, warn};
use weft_consensus::driver::{Boot, Effect, Input, Now, StoredBlock, Timing};
use weft_consensus::engine::{
    Context, Height, ValidatorId, ValidatorSet, Value, Verifier, convert,
};
use weft_consensus::validity::Invalid;
use weft_consensus::{Delivery, Driver, Tip};
use weft_ledger::State;
use weft_types::limits::{MAX_BATCH_BYTES, MAX_BATCH_TRANSACTIONS};
use weft_types::{
    Address, Batch, BatchDigest, Committee, LaneId, NamespaceId, Payload, ProposedBlock, SecretKey,
    TimeMs, Transaction, Unverified, Verified, Wei, batch,
};

use crate::chain::{Chain, ids_of};
use crate::engine::host::EngineEvent;
use crate::l1::Seen;
use crate::mempool::{Mempool, Ready};
use crate::metrics::{Metrics, Tier};
use crate::p2p::{NetEvent, P2p};
use crate::publish::Publisher;
use ahead::Ahead;
pub use conduct::{Conduct, Honest};
pub use evidence::{EvidenceStore, Kept};
use fetch::Fetcher;
use inbox::insert_all;
use sync::SyncReply;
pub use tracker::Tracker;
use writer::{Job, Written};

/// How often statuses that were held back are let go, and gauges set.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Lists of transactions passed on by full nodes that may wait for the mempool.
const PASSED_ON: usize = 16;

/// Framing that a batch needs beside its transactions.
const BATCH_OVERHEAD: usize = 256;

/// How long a bid that is sealed has to be valid yet: its block's time may lie ahead.
const BID_MARGIN_MS: TimeMs = 1_000;

/// What the sequencer is made of.
pub struct Parts {
    /// The last decided block, executed.
    pub tip: Tip,
    /// The key to observe, seal and propose with.
    pub key: SecretKey,
    /// This boot's lane.
    pub incarnation: u32,
    /// Observe no height up to this one.
    pub silent_through: u64,
    /// Undecided blocks of the next height from the log.
    pub undecided: Vec<StoredBlock>,
    /// Whether the engine was in the middle of the next height.
    pub resuming: bool,
    /// How long to wait for what.
    pub timing: Timing,
    /// The engine's own.
    pub timeouts: LinearTimeouts,
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
    /// Where decided blocks are made known.
    pub publisher: Publisher,
    /// Checks signatures, once.
    pub verifier: Verifier,
    /// The engine.
    pub consensus: ConsensusRef<Context>,
    /// What the engine asks.
    pub engine_events: mpsc::UnboundedReceiver<EngineEvent>,
    /// What the network brings.
    pub net_events: mpsc::Receiver<NetEvent>,
    /// The other end of that, for what is fetched.
    pub to_net_events: mpsc::Sender<NetEvent>,
    /// What this node's providers agree on of L1.
    pub l1: Seen,
    /// Tells when to stop.
    pub stop: watch::Receiver<bool>,
    /// How to behave towards others.
    pub conduct: Box<dyn Conduct>,
}

/// How a sequencer's work ends, unless going on would be unsafe.
pub enum Ended {
    /// The node was told to stop.
    Stopped,
    /// The node has no seat any more.
    Left(Box<Left>),
}

/// What is left when a node has lost its seat.
pub struct Left {
    /// The last decided block, executed.
    pub tip: Tip,
    /// Where decided blocks are made known.
    pub publisher: Publisher,
    /// What the network brings.
    pub net_events: mpsc::Receiver<NetEvent>,
    /// How to behave towards others.
    pub conduct: Box<dyn Conduct>,
}

/// Where the answer to a question of the engine goes.
enum StartReply {
    First(RpcReplyPort<(Height, HeightParams<Context>)>),
    Next(RpcReplyPort<Next<Context>>),
}

/// The task. See the [module](self).
pub struct Sequencer {
    parts: Parts,
    driver: Driver,
    fetcher: Fetcher,
    ahead: Ahead,
    writer: std::sync::mpsc::Sender<Job>,
    written: mpsc::UnboundedReceiver<Written>,
    checked: mpsc::Receiver<(u64, Option<StoredBlock>)>,
    to_checked: mpsc::Sender<(u64, Option<StoredBlock>)>,
    epoch: Instant,
    start_reply: Option<StartReply>,
    value_reply: Option<(u64, u32, RpcReplyPort<LocallyProposedValue<Context>>)>,
    decided_reply: Option<(u64, RpcReplyPort<()>)>,
    sync_replies: BTreeMap<u64, SyncReply>,
    next_ticket: u64,
    passed_on: mpsc::Sender<Vec<Verified<Transaction>>>,
    /// Set once this node has no seat any more.
    left: bool,
    /// When writes were handed to the log.
    writing_since: VecDeque<Instant>,
}

impl Sequencer {
    /// Puts the parts together.
    pub fn new(mut parts: Parts) -> std::io::Result<Self> {
        let (done, written) = mpsc::unbounded_channel();
        let (writer, _) = writer::start(parts.chain.log().clone(), done)?;
        let (to_checked, checked) = mpsc::channel(4);
        let fetcher = Fetcher::new(parts.p2p.clone(), parts.to_net_events.clone());
        let (passed_on, to_insert) = mpsc::channel(PASSED_ON);
        tokio::spawn(insert_all(
            parts.chain.clone(),
            Arc::clone(&parts.mempool),
            Arc::clone(&parts.tracker),
            to_insert,
        ));
        let ahead = Ahead::new(
            parts.tip.header.chain_id,
            parts.verifier.clone(),
            parts.publisher.seats(),
            parts.tip.header.height,
        );
        parts.p2p.bus().tap({
            let ahead = ahead.clone();
            move |event| ahead.see(event)
        });
        let boot = Boot {
            tip: parts.tip.clone(),
            key: parts.key.clone(),
            incarnation: parts.incarnation,
            silent_through: parts.silent_through,
            undecided: std::mem::take(&mut parts.undecided),
            resuming: parts.resuming,
        };
        Ok(Self {
            driver: Driver::new(parts.timing, boot),
            parts,
            fetcher,
            ahead,
            writer,
            written,
            checked,
            to_checked,
            epoch: Instant::now(),
            start_reply: None,
            value_reply: None,
            decided_reply: None,
            sync_replies: BTreeMap::new(),
            next_ticket: 0,
            passed_on,
            left: false,
            writing_since: VecDeque::new(),
        })
    }

    /// Runs until told to stop, until the node has no seat any more, or until going on would be
    /// unsafe.
    pub async fn run(mut self) -> eyre::Result<Ended> {
        if self.work().await? {
            return Ok(Ended::Stopped);
        }
        let Parts { publisher, net_events, conduct, .. } = self.parts;
        let tip = self.driver.tip().clone();
        Ok(Ended::Left(Box::new(Left { tip, publisher, net_events, conduct })))
    }

    /// Works until told to stop, `true`, or until the node has no seat any more, `false`.
    async fn work(&mut self) -> eyre::Result<bool> {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut mempool = self.parts.mempool.watch();
        let seen = self.parts.l1.borrow_and_update().clone();
        self.input(Input::L1(seen))?;
        while !self.left {
            let wakeup = self.driver.next_wakeup().map(|at| self.epoch + at);
            let timer = async {
                match wakeup {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = self.parts.stop.changed() => return Ok(true),
                Some(event) = self.parts.engine_events.recv() => self.on_engine(event)?,
                Some(written) = self.written.recv() => self.on_written(written)?,
                () = timer => self.input(Input::Tick)?,
                Some((ticket, block)) = self.checked.recv() => self.on_checked(ticket, block)?,
                Ok(()) = self.parts.l1.changed() => {
                    let seen = self.parts.l1.borrow_and_update().clone();
                    self.input(Input::L1(seen))?;
                }
                // A flood from the network must not keep these from their turn.
                Ok(()) = mempool.changed() => {
                    let Ready { now, ahead } = *mempool.borrow_and_update();
                    self.input(Input::Mempool { now, ahead })?;
                }
                _ = housekeeping.tick() => self.keep_house()?,
                Some(event) = self.parts.net_events.recv() => self.on_net(event)?,
            }
        }
        Ok(false)
    }

    fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms, mono: self.epoch.elapsed() }
    }

    /// Gives the driver an input and carries out what follows.
    fn input(&mut self, input: Input) -> eyre::Result<()> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            for effect in self.driver.step(now, input) {
                if let Some(next) = self.carry_out(effect)? {
                    inputs.push_back(next);
                }
            }
        }
        Ok(())
    }

    /// Carries out one effect. Returns what the driver must hear before anything else.
    fn carry_out(&mut self, effect: Effect) -> eyre::Result<Option<Input>> {
        match effect {
            Effect::StartHeight { height, committee, rotation } => {
                self.start_height(height, &committee, rotation);
            }
            Effect::Propose { height, round, value } => self.propose(height, round, value),
            Effect::Answer { height, round, proposer, value, verdict } => {
                self.answer(height, round, proposer, value, verdict);
            }
            Effect::AnswerSync { ticket, value, verdict } => {
                self.answer_sync(ticket, value, verdict);
            }
            Effect::Persist(id, block) => {
                self.parts.conduct.persist(&block);
                self.write(Job::Persist(id, block))?;
            }
            Effect::Commit(certificate) => self.write(Job::Commit(certificate))?,
            Effect::Deliver(delivery) => self.deliver(*delivery),
            Effect::Leave(batches) => self.leave(&batches),
            Effect::Seal { lane, seq, parent, height } => {
                return Ok(Some(Input::Sealed(self.seal(lane, seq, parent, height))));
            }
            Effect::PushBatch(batch) => {
                self.parts.conduct.push_batch(&self.parts.p2p, &batch);
            }
            Effect::PushObservation(observation) => {
                self.parts.conduct.push_observation(&self.parts.p2p, observation);
            }
            Effect::FetchBatches(wanted) => {
                self.fetcher.batches(wanted, self.driver.tip().committee());
            }
            Effect::FetchEvents(wanted) => {
                self.fetcher.events(wanted, self.driver.tip().committee());
            }
            Effect::FetchObservations { hashes, proposer } => {
                self.fetcher.observations(hashes, proposer, self.driver.tip().committee());
            }
            Effect::StopFetching => self.fetcher.clear(),
            Effect::Expected(digests) => self.expected(&digests),
            Effect::Keep(evidence) => self.keep(&evidence),
            Effect::Halt(reason) => eyre::bail!("{reason}"),
        }
        Ok(None)
    }

    // What the engine asks.

    fn on_engine(&mut self, event: EngineEvent) -> eyre::Result<()> {
        match event {
            EngineEvent::Ready(reply) => {
                self.start_reply = Some(StartReply::First(reply));
                self.input(Input::EngineReady)
            }
            EngineEvent::Finalized { evidence, reply } => {
                for evidence in convert::evidence(&evidence, self.driver.tip().header.chain_id) {
                    self.keep(&evidence);
                }
                self.start_reply = Some(StartReply::Next(reply));
                self.input(Input::EngineReady)
            }
            EngineEvent::StartedRound { height, round, proposer } => {
                if round > 0 {
                    self.parts.metrics.leader_changes.inc();
                    info!(height, round, %proposer, "entered a later round");
                }
                self.input(Input::StartedRound { height, round })
            }
            EngineEvent::ValueWanted { height, round, reply } => {
                self.value_reply = Some((height, round, reply));
                self.input(Input::ValueWanted { height, round })
            }
            EngineEvent::Decided(certificate, reply) => {
                let height = certificate.height.0;
                let committee = self.driver.tip().committee();
                let Some(certificate) = convert::certificate(&certificate, committee) else {
                    eyre::bail!("the engine decided height {height} by strangers");
                };
                self.decided_reply = Some((height, reply));
                self.input(Input::Decided(certificate))
            }
            EngineEvent::DecidedValues { from, to, reply } => {
                self.serve_sync(from, to, reply);
                Ok(())
            }
            EngineEvent::Synced { height, round, proposer, bytes, reply } => {
                self.check_synced(height, bytes, SyncReply { round, proposer, reply })
            }
        }
    }

    fn start_height(
        &mut self,
        height: u64,
        committee: &Committee,
        rotation: weft_consensus::leader::Rotation,
    ) {
        let set = ValidatorSet::new(committee, rotation);
        let params = HeightParams::new(set, self.parts.timeouts, None);
        let sent = match self.start_reply.take() {
            Some(StartReply::First(reply)) => reply.send((Height(height), params)).is_ok(),
            Some(StartReply::Next(reply)) => {
                reply.send(Next::Start(Height(height), params)).is_ok()
            }
            None => false,
        };
        if !sent {
            warn!(height, "the engine does not wait to start");
        }
    }

    fn propose(&mut self, height: u64, round: u32, block: ProposedBlock) {
        let reply = self.value_reply.take_if(|(h, r, _)| (*h, *r) == (height, round));
        let block = self.parts.conduct.propose(block);
        let (Some((_, _, reply)), Some(value)) = (reply, Value::new(block)) else { return };
        let value = LocallyProposedValue::new(Height(height), Round::new(round), value);
        // The round may be over by now.
        let _ = reply.send(value);
    }

    fn answer(
        &mut self,
        height: u64,
        round: u32,
        proposer: Address,
        block: ProposedBlock,
        verdict: Result<(), Invalid>,
    ) {
        if let Err(invalid) = verdict {
            self.parts.metrics.invalid_proposals.inc();
            warn!(height, round, %proposer, %invalid, "a proposal breaks a rule");
        }
        let Some(value) = Value::new(block) else { return };
        let value = proposed(height, round, proposer, value, verdict.is_ok());
        let message = ConsensusMsg::ReceivedProposedValue(value, ValueOrigin::Consensus);
        if self.parts.consensus.cast(message).is_err() {
            debug!("the engine is gone");
        }
    }

    // The disk.

    fn write(&mut self, job: Job) -> eyre::Result<()> {
        self.writing_since.push_back(Instant::now());
        self.writer.send(job).map_err(|_| eyre::eyre!("the log's thread is gone"))
    }

    fn on_written(&mut self, written: Written) -> eyre::Result<()> {
        if let Some(since) = self.writing_since.pop_front() {
            self.parts.metrics.log_write.observe(since.elapsed().as_secs_f64());
        }
        match written {
            Written::Persisted(id) => self.input(Input::Persisted(id)),
            Written::Committed(height) => self.input(Input::Committed(height)),
            Written::Failed(error) => Err(eyre::eyre!("the block log cannot be written: {error}")),
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let height = delivery.header.height;
        self.ahead.passed(height);
        self.parts.publisher.publish(delivery, self.driver.tip());
        if let Some((decided, reply)) = self.decided_reply.take_if(|(h, _)| *h == height) {
            debug!(height = decided, "decided");
            let _ = reply.send(());
        }
    }

    /// Puts what own batches carry back into the mempool, from where it is passed on to those who
    /// have a seat.
    fn leave(&mut self, batches: &[Arc<Verified<Batch>>]) {
        info!(height = self.driver.tip().header.height, "this node has no seat any more");
        self.left = true;
        let chain_id = self.driver.tip().header.chain_id;
        let again = batches.iter().flat_map(|batch| &batch.body.transactions).cloned();
        let checked = again.filter_map(|tx| Unverified::new(tx).verify(chain_id).ok());
        // What does not fit is lost, as on a full mempool.
        let _ = self.passed_on.try_send(checked.collect());
    }

    // Lanes.

    fn seal(
        &self,
        lane: LaneId,
        seq: u64,
        parent: BatchDigest,
        height: u64,
    ) -> Option<Arc<Verified<Batch>>> {
        let tip = self.driver.tip();
        let now = tip.header.time_ms;
        let price = tip.state.global_price(now);
        let room = MAX_BATCH_BYTES - BATCH_OVERHEAD;
        let late = now.max(self.now().wall_ms).saturating_add(BID_MARGIN_MS);
        let stands = |bid: &Verified<Transaction>| stands(&tip.state, bid, price, late);
        let transactions =
            self.parts.mempool.take(height, room, MAX_BATCH_TRANSACTIONS, now, price, stands);
        if transactions.is_empty() {
            return None;
        }
        let chain_id = tip.header.chain_id;
        batch::seal(lane, seq, parent, transactions, chain_id, &self.parts.key)
            .map(Arc::new)
            .inspect_err(|problem| error!(%problem, "a batch could not be sealed"))
            .ok()
    }

    fn expected(&self, digests: &[BatchDigest]) {
        let lanes = self.driver.lanes();
        for batch in digests.iter().filter_map(|digest| lanes.get(digest)) {
            let took = self.parts.tracker.expected(ids_of(std::slice::from_ref(batch)));
            self.parts.publisher.observe(Tier::Expected, &took);
        }
    }

    fn keep(&self, evidence: &weft_types::evidence::Evidence) {
        if let Err(problem) = self.parts.evidence.keep(evidence) {
            error!(%problem, "evidence could not be kept");
        }
    }

    fn keep_house(&mut self) -> eyre::Result<()> {
        if let Some(Ready { now, ahead }) = self.parts.mempool.ripe(Instant::now()) {
            self.input(Input::Mempool { now, ahead })?;
        }
        let tip = self.driver.tip().header.height;
        self.parts.p2p.bus().release(tip);
        self.parts.p2p.send_status();
        let backlog = self.driver.lanes().bytes();
        self.parts.metrics.lane_backlog_bytes.set(i64::try_from(backlog).unwrap_or(i64::MAX));
        self.parts.publisher.gauge();
        Ok(())
    }
}

/// Whether a bid would be opened and could pay, if it were ordered next and by that time: whoever seals
/// what does not pay is debited for it.
fn stands(state: &State, bid: &Verified<Transaction>, price: Wei, until: TimeMs) -> bool {
    let Payload::Bid { height, amount, mode, legs, .. } = &bid.body.payload else { return false };
    let lots: Vec<NamespaceId> = legs.iter().map(|leg| leg.namespace).collect();
    let Some(cover) = state.cover(*height, *mode, *amount, &lots, state.clock().time_ms) else {
        return false;
    };
    let witness = bid.witness();
    let flat = state.params().bid_fee;
    let fee = Wei::from(witness.bytes).saturating_mul(price).saturating_add(flat);
    bid.body.valid_until >= until
        && bid.body.max_fee >= fee
        && state.balance(&witness.sender) >= fee
        && state.collateral(&witness.sender) >= cover
}

fn proposed(
    height: u64,
    round: u32,
    proposer: Address,
    value: Value,
    valid: bool,
) -> ProposedValue<Context> {
    ProposedValue {
        height: Height(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer: ValidatorId(proposer),
        value,
        validity: Validity::from_bool(valid),
    }
}
