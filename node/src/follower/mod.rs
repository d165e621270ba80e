//! Following the network without a seat: blocks that others have decided, taken in as fast as they
//! come (protocol section 5, "Catching up").
//!
//! ```text
//!   statuses --> plan --> requests --> peers --> answers --> checks --> turn --> log, publisher
//! ```
//!
//! A node without a seat runs this in place of the sequencer and the engine; a validator begins
//! with it, if others are far ahead. Peers say how far they are; runs of blocks are asked of several
//! at once. What they answer is checked on blocking threads, certificate and every signature, and
//! executed in order. A peer is trusted with nothing but its own tip.

mod plan;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use arc_malachitebft_engine::network::NetworkEvent;
use arc_malachitebft_sync::{
    InboundRequestId, OutboundRequestId, PeerId, RawDecidedValue, Request, Response, Status,
};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};
use weft_consensus::Tip;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::{Context, convert};
use weft_consensus::follow::{Refused, follow};
use weft_types::limits::MAX_BATCH_BYTES;
use weft_types::{Address, BlockId, Certificate, Committee, Height, Unverified, Verified};

use crate::chain::Chain;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::p2p::message::MAX_FORWARDED;
use crate::p2p::{NetEvent, P2p};
use crate::publish::Publisher;
use crate::serve;
use crate::store::{LogError, Record};
pub use plan::Limits;
use plan::{Fault, Plan};

/// How often requests that wait are looked at, others are told how far this node is, and gauges
/// are set.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Most bytes of blocks that are held until their turn comes, beside those under way.
const MAX_HELD: usize = 32 * 1024 * 1024;

/// Most blocks executed before anything else gets its turn.
const MAX_AT_ONCE: usize = 64;

/// How few heights a validator may be behind others when it begins to take part: the engine makes
/// up for them.
const CLOSE: Height = 32;

/// Most bytes of transactions passed on at once.
const PASSED_ON_BYTES: usize = MAX_BATCH_BYTES / 2;

/// Most peers served blocks at once.
const SERVED_AT_ONCE: usize = 4;

/// What a follower is made of.
pub struct Parts {
    /// The last decided block, executed.
    pub tip: Tip,
    /// How much to ask for.
    pub limits: Limits,
    /// How long a validator waits, when it starts, to hear how far others are.
    pub lonely: Duration,
    /// What is decided.
    pub chain: Chain,
    /// Whatever is in it is passed on to those who have a seat.
    pub mempool: Arc<Mempool>,
    /// Where decided blocks are made known.
    pub publisher: Publisher,
    /// What is counted.
    pub metrics: Metrics,
    /// The network.
    pub p2p: P2p,
    /// What the network brings beside statuses and blocks.
    pub net_events: mpsc::Receiver<NetEvent>,
    /// Tells when to stop.
    pub stop: watch::Receiver<bool>,
}

/// The task. See the [module](self).
pub struct Follower {
    parts: Parts,
    plan: Plan<PeerId>,
    /// Who has been asked for blocks, under which number.
    asked: BTreeMap<PeerId, OutboundRequestId>,
    /// How far validators say they are.
    validators: BTreeMap<Address, Height>,
    heard: mpsc::UnboundedReceiver<Heard>,
    checked: mpsc::Receiver<Checked>,
    to_checked: mpsc::Sender<Checked>,
    /// Blocks that wait for their turn.
    ready: BTreeMap<Height, Ready>,
    ready_bytes: usize,
    checks: Arc<Semaphore>,
    serving: Arc<Semaphore>,
    epoch: Instant,
}

/// What peers do, beside saying where they are.
enum Heard {
    Connected,
    Gone(PeerId),
    Asked(InboundRequestId, RangeInclusive<Height>),
    Answered(OutboundRequestId, PeerId, Vec<RawDecidedValue<Context>>),
    Failed(OutboundRequestId, PeerId),
}

/// A peer's answer, checked as far as it goes without the blocks before.
struct Checked {
    peer: PeerId,
    heights: RangeInclusive<Height>,
    blocks: Vec<Ready>,
    /// The committee that the first which does not check was checked against, if there is one.
    refused_by: Option<Arc<Committee>>,
}

/// A block that waits for its turn.
struct Ready {
    peer: PeerId,
    bytes: Bytes,
    block: StoredBlock,
    certificate: Verified<Certificate>,
    /// Who was taken to have certified it.
    committee: Arc<Committee>,
}

/// What of an event concerns a follower.
fn hear(event: &NetworkEvent<Context>) -> Option<Heard> {
    Some(match event {
        NetworkEvent::PeerConnected(_) => Heard::Connected,
        NetworkEvent::PeerDisconnected(peer) => Heard::Gone(*peer),
        NetworkEvent::SyncRequest(id, _, Request::ValueRequest(request)) => {
            Heard::Asked(id.clone(), request.range.start().0..=request.range.end().0)
        }
        NetworkEvent::SyncResponse(id, peer, Some(Response::ValueResponse(response))) => {
            Heard::Answered(id.clone(), *peer, response.values.clone())
        }
        NetworkEvent::SyncResponse(id, peer, None)
        | NetworkEvent::SyncRequestFailed(id, peer, _) => Heard::Failed(id.clone(), *peer),
        _ => return None,
    })
}

impl Follower {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        // At a validator that catches up, the engine hears requests for blocks as well; it answers
        // once it has begun, to nobody.
        // The queue needs no bound of its own: what goes in is bounded by connections, by the
        // requests of each that wait for an answer, and by those made here.
        let (to_heard, heard) = mpsc::unbounded_channel();
        parts.p2p.bus().tap_while(move |event| match hear(event) {
            Some(event) => to_heard.send(event).is_ok(),
            None => !to_heard.is_closed(),
        });
        let (to_checked, checked) = mpsc::channel(parts.limits.parallel);
        let threads = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            plan: Plan::new(parts.limits, parts.tip.header.height),
            parts,
            asked: BTreeMap::new(),
            validators: BTreeMap::new(),
            heard,
            checked,
            to_checked,
            ready: BTreeMap::new(),
            ready_bytes: 0,
            checks: Arc::new(Semaphore::new(threads)),
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            epoch: Instant::now(),
        }
    }

    /// Runs until told to stop, or until going on would be unsafe.
    pub async fn run(mut self) -> eyre::Result<()> {
        self.follow_until(|_| false).await?;
        Ok(())
    }

    /// Follows until a validator has a seat and has caught up with the others: until it is close to
    /// them, or nobody is there to say so. `None` if told to stop. Everything taken in is on disk
    /// by then.
    ///
    /// Validators that hold more than a third of all seats are believed how far they are: one of
    /// them is honest. Peers that only follow are not asked.
    pub async fn until_seated(mut self, own: Address) -> eyre::Result<Option<Parts>> {
        let ready = |follower: &Self| {
            follower.parts.tip.committee().index_of(&own).is_some() && follower.is_close(own)
        };
        let ready = self.follow_until(ready).await?;
        Ok(ready.then_some(self.parts))
    }

    /// Runs until told to stop, `false`, or until `enough`, `true`.
    async fn follow_until(&mut self, enough: impl Fn(&Self) -> bool) -> eyre::Result<bool> {
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let bus = self.parts.p2p.bus().clone();
        let mut stopped = false;
        while !stopped && !enough(self) {
            self.ask().await;
            tokio::select! {
                _ = self.parts.stop.changed() => stopped = true,
                Some(checked) = self.checked.recv() => self.on_checked(checked),
                // What is ready is executed a part at a time.
                () = std::future::ready(()), if self.next_is_ready() => {
                    block_in_place(|| self.take_in())?;
                }
                Some(heard) = self.heard.recv() => self.on_heard(heard),
                () = bus.news() => {
                    for (peer, status) in bus.statuses() {
                        self.plan.heard(peer, status.tip_height.0);
                    }
                }
                Some(event) = self.parts.net_events.recv() => self.on_net(event),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
        block_in_place(|| self.parts.chain.log().sync())?;
        Ok(!stopped)
    }

    /// Whether a validator need not catch up any more before it takes part: see
    /// [`catch_up`](Self::catch_up).
    fn is_close(&self, own: Address) -> bool {
        let committee = self.parts.tip.committee();
        let others = committee.members().iter().filter(|member| member.address != own);
        let mut claims: Vec<(Height, u64)> = others
            .filter_map(|member| Some((*self.validators.get(&member.address)?, member.seats)))
            .collect();
        claims.sort_unstable_by_key(|(height, _)| std::cmp::Reverse(*height));
        let mut seats = 0;
        let claimed = claims.into_iter().find(|(_, held)| {
            seats += held;
            committee.is_support(seats)
        });
        match claimed {
            Some((height, _)) => height <= self.parts.tip.header.height + CLOSE,
            None => self.epoch.elapsed() >= self.parts.lonely,
        }
    }

    fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::PeerUp(peer, validator) => info!(%peer, ?validator, "connected"),
            NetEvent::PeerDown(peer) => info!(%peer, "disconnected"),
            NetEvent::PeerHeight(validator, height) => {
                let known = self.validators.entry(validator).or_default();
                *known = height.max(*known);
            }
            // Nothing else is of use to a node that takes no part.
            _ => {}
        }
    }

    /// Makes every request there is to make.
    async fn ask(&mut self) {
        while let Some((peer, heights)) =
            self.plan.ask(self.epoch.elapsed(), self.ready_bytes > MAX_HELD)
        {
            match self.parts.p2p.sync_request(peer, heights).await {
                Some(id) => {
                    self.asked.insert(peer, id);
                }
                None => self.plan.shun(&peer, Fault::Unhelpful, self.epoch.elapsed()),
            }
        }
    }

    fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Connected => self.say_status(),
            Heard::Gone(peer) => {
                self.asked.remove(&peer);
                self.plan.gone(&peer);
            }
            Heard::Asked(id, heights) => self.serve(id, heights),
            Heard::Answered(id, peer, values) => {
                if self.asked.get(&peer) == Some(&id)
                    && let Some(heights) = self.plan.answered(&peer)
                {
                    self.asked.remove(&peer);
                    self.check(peer, heights, values);
                }
            }
            Heard::Failed(id, peer) => {
                if self.asked.get(&peer) == Some(&id) {
                    self.asked.remove(&peer);
                    self.plan.shun(&peer, Fault::Unhelpful, self.epoch.elapsed());
                }
            }
        }
    }

    /// Has an answer checked.
    fn check(
        &self,
        peer: PeerId,
        heights: RangeInclusive<Height>,
        values: Vec<RawDecidedValue<Context>>,
    ) {
        let chain_id = self.parts.tip.header.chain_id;
        let committee = Arc::new(self.parts.tip.committee().clone());
        let (checks, to_checked) = (Arc::clone(&self.checks), self.to_checked.clone());
        tokio::spawn(async move {
            let Ok(permit) = checks.acquire_owned().await else { return };
            let checking = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                check_answer(peer, heights, values, chain_id, &committee)
            });
            if let Ok(checked) = checking.await {
                // Gone only if the node stops.
                let _ = to_checked.send(checked).await;
            }
        });
    }

    fn on_checked(&mut self, Checked { peer, heights, blocks, refused_by }: Checked) {
        let now = self.epoch.elapsed();
        let (first, last) = heights.into_inner();
        let failed = first + blocks.len() as u64;
        let tip = &self.parts.tip;
        // Further ahead, another committee may have decided by then.
        let is_known =
            |by: &Arc<Committee>| failed == tip.next_height() && **by == *tip.committee();
        if refused_by.as_ref().is_some_and(is_known) {
            warn!(%peer, height = failed, "a peer gave a block that does not check");
            self.plan.shun(&peer, Fault::Liar, now);
        } else if refused_by.is_some() {
            debug!(%peer, height = failed, "a block cannot be checked before those below it");
            self.plan.shun(&peer, Fault::Early, now);
        } else if blocks.is_empty() {
            debug!(%peer, "a peer does not have the blocks it said it had");
            self.plan.shun(&peer, Fault::Unhelpful, now);
        } else {
            self.plan.delivered(&peer);
        }
        self.plan.release(first + blocks.len() as u64..=last);
        for (height, block) in (first..).zip(blocks) {
            self.ready_bytes += block.bytes.len();
            if let Some(before) = self.ready.insert(height, block) {
                self.ready_bytes -= before.bytes.len();
            }
        }
    }

    fn next_is_ready(&self) -> bool {
        self.ready.contains_key(&self.parts.tip.next_height())
    }

    /// Executes blocks whose turn has come.
    fn take_in(&mut self) -> eyre::Result<()> {
        for _ in 0..MAX_AT_ONCE {
            let height = self.parts.tip.next_height();
            let Some(ready) = self.ready.remove(&height) else { break };
            self.parts.chain.view().wait_for_room();
            self.ready_bytes -= ready.bytes.len();
            if *ready.committee != *self.parts.tip.committee() {
                // Its certificate was checked against a committee that has changed since.
                self.plan.release(height..=height);
                break;
            }
            let Ready { peer, bytes, block, certificate, .. } = ready;
            let id = block.value.header.id();
            match follow(&mut self.parts.tip, block, certificate.into_inner()) {
                Ok(delivery) => {
                    self.write(id, height, &bytes, &delivery.certificate)?;
                    self.parts.metrics.synced_blocks.inc();
                    self.parts.publisher.publish(delivery, &self.parts.tip);
                }
                Err(refused) => {
                    match refused {
                        Refused::Invalid(_) => error!(height, %refused, "a certified block breaks \
                            a rule: this node disagrees with a quorum"),
                        Refused::Incomplete | Refused::Uncertified => {
                            warn!(%peer, height, %refused, "a peer gave away a bad block");
                        }
                    }
                    self.plan.release(height..=height);
                    self.plan.shun(&peer, Fault::Liar, self.epoch.elapsed());
                    break;
                }
            }
        }
        self.plan.passed(self.parts.tip.header.height);
        self.say_status();
        Ok(())
    }

    /// Puts a block on disk. It is durable some seconds later: enough for a node that signs
    /// nothing.
    fn write(
        &self,
        id: BlockId,
        height: Height,
        bytes: &[u8],
        certificate: &Certificate,
    ) -> Result<(), LogError> {
        let started = Instant::now();
        let records = [Record::Block { id, height, bytes }, Record::Commit(certificate)];
        self.parts.chain.log().append(&records, false)?;
        self.parts.metrics.log_write.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Tells peers, soon, how far this node is: it serves what it has.
    fn say_status(&self) {
        self.parts.p2p.status(&Status {
            peer_id: crate::p2p::sync_peer(&self.parts.p2p.peer_id()),
            tip_height: weft_consensus::engine::Height(self.parts.tip.header.height),
            history_min_height: weft_consensus::engine::Height(1),
        });
    }

    /// Gives a peer blocks, unless too many are being given some.
    fn serve(&self, id: InboundRequestId, heights: RangeInclusive<Height>) {
        let Ok(permit) = Arc::clone(&self.serving).try_acquire_owned() else {
            self.parts.p2p.cancel_sync(id);
            return;
        };
        let (first, last) = heights.into_inner();
        let last = last.min(first.saturating_add(self.parts.limits.batch - 1));
        let (chain, p2p) = (self.parts.chain.clone(), self.parts.p2p.clone());
        tokio::task::spawn_blocking(move || {
            let values = serve::decided_values(&chain, first, last);
            p2p.answer_sync(id, first, values);
            drop(permit);
        });
    }

    fn keep_house(&mut self) {
        for peer in self.plan.overdue(self.epoch.elapsed()) {
            debug!(%peer, "a peer does not answer");
            self.asked.remove(&peer);
        }
        self.parts.p2p.send_status();
        self.parts.publisher.gauge();
        self.pass_on();
    }

    /// Hands what is in the mempool to a validator: what a node that had a seat has not had ordered, and
    /// what was handed to one before that has not ordered it for a while.
    fn pass_on(&self) {
        let tip = &self.parts.tip;
        let now = tip.header.time_ms;
        let price = tip.state.global_price(now);
        loop {
            let until = Instant::now() + crate::submit::PASS_AGAIN_AFTER;
            let mempool = &self.parts.mempool;
            let some = mempool.lend(PASSED_ON_BYTES, MAX_FORWARDED, now, price, until);
            let count = some.len();
            if count == 0 {
                return;
            }
            if !crate::submit::pass_on(&self.parts.p2p, &some, 1) {
                warn!(count, "no validator is in reach to take transactions; they wait");
                return;
            }
            debug!(count, "transactions are passed on");
        }
    }
}

/// Checks an answer as far as it is the one asked for.
fn check_answer(
    peer: PeerId,
    heights: RangeInclusive<Height>,
    values: Vec<RawDecidedValue<Context>>,
    chain_id: u64,
    committee: &Arc<Committee>,
) -> Checked {
    let mut blocks = Vec::new();
    let mut refused_by = None;
    for (height, value) in heights.clone().zip(values) {
        let Some((block, certificate)) = check_value(height, &value, chain_id, committee) else {
            refused_by = Some(Arc::clone(committee));
            break;
        };
        let (bytes, committee) = (value.value_bytes, Arc::clone(committee));
        blocks.push(Ready { peer, bytes, block, certificate, committee });
    }
    Checked { peer, heights, blocks, refused_by }
}

fn check_value(
    height: Height,
    value: &RawDecidedValue<Context>,
    chain_id: u64,
    committee: &Committee,
) -> Option<(StoredBlock, Verified<Certificate>)> {
    let certificate = convert::synced_certificate(&value.certificate, committee)?;
    if certificate.height != height {
        return None;
    }
    let certificate = Unverified::new(certificate).verify((chain_id, committee)).ok()?;
    let block = StoredBlock::decode(&value.value_bytes, chain_id, committee).ok()?;
    let header = &block.value.header;
    (header.height == height && header.id() == certificate.block).then_some((block, certificate))
}
