//! The driver: one node's decisions, without its hands (protocol section 5).
//!
//! [`Driver::step`] takes an [`Input`] and returns [`Effect`]s. It has no clock, no socket and no
//! file: time comes in with every input, what was written to disk comes back as an input. The
//! node's shell carries effects out, in order, and never has to decide anything.
//!
//! ```text
//!            batches, observations, proposals        engine: ready, rounds, value wanted, decided
//!                          |                                       |
//!                          v                                       v
//!   +----------------------------------- Driver ------------------------------------+
//!   | pace: when to start, seal and observe       propose: gather, derive, propose  |
//!   | judge: fetch what is missing, check, answer decide: commit, execute, move on  |
//!   +-------------------------------------------------------------------------------+
//!                          |                                       |
//!                          v                                       v
//!        fetch, persist, broadcast, seal            engine: start height, value, verdict
//! ```
//!
//! Order that safety rests on:
//!
//! - A block's header, observations and batches are on disk ([`Input::Persisted`]) before the
//!   engine hears that it is valid, or gets it to propose.
//! - A block's certificate is on disk ([`Input::Committed`]) before anybody hears of the decision
//!   and before this node observes the next height.
//! - After a restart no height is observed that may have been observed before: see
//!   [`Boot::silent_through`].

mod decide;
mod io;
mod judge;
mod l1;
mod pace;
mod propose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weft_types::{
    Address, Batch, BatchDigest, BlockId, Committee, EventsDigest, Height, L1Events, LaneId,
    Observation, ObservationHash, ProposedBlock, SecretKey, Unverified, Verified,
};

use crate::content::{Content, Picked};
use crate::follow::{Decidable, Delivery};
use crate::lanes::{Inserted, Lanes};
use crate::leader::Rotation;
use crate::observations::{Noted, Observations};
pub use crate::stored::StoredBlock;
use crate::tip::Tip;
use crate::validity::Invalid;
pub use io::{Boot, Effect, Input, Now, SeenL1Block, SyncVerdict, Timing};

/// How many proposals of one height are kept, whatever rounds they are of.
const MAX_CANDIDATES: usize = 32;

/// After how many heights own batches that are not ordered are pushed again: whoever was not
/// connected lacks them, and all that follow them in the lane.
const PUSH_AGAIN_AFTER: Height = 4;

/// Where the node is between two decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The engine has not asked to start, or the last decision is not on disk yet.
    Deciding,
    /// The engine waits to start the next height.
    Waiting,
    /// The engine runs the next height.
    Running,
}

/// A proposed block of the next height and how far its judgement is.
struct Candidate {
    value: ProposedBlock,
    /// The rounds it was proposed in by others; none for one that came by sync or from disk.
    proposed: BTreeMap<u32, Proposed>,
    tickets: Vec<u64>,
    state: CandidateState,
}

impl Candidate {
    fn new(value: ProposedBlock, state: CandidateState) -> Self {
        Self { value, proposed: BTreeMap::new(), tickets: Vec::new(), state }
    }
}

/// Who proposed a block in a round, and whether the engine has been told what came of it.
struct Proposed {
    proposer: Address,
    answered: bool,
}

enum CandidateState {
    /// Something it needs is missing.
    Open,
    /// Valid, and on its way to disk.
    Persisting(Decidable),
    /// Valid and on disk.
    Stored(Decidable),
    /// Never valid.
    Invalid(Invalid),
}

/// A value that the engine wants.
#[derive(Clone, Copy)]
struct Wanted {
    round: u32,
    since: Duration,
}

/// One node's decisions. See the [module](self).
pub struct Driver {
    timing: Timing,
    tip: Tip,
    rotation: Rotation,
    me: Me,
    silent_through: Height,
    lanes: Lanes,
    observations: Observations,
    /// Observations for the height after the next, by observer. Two of one index if committees
    /// are about to change: they may have been checked against either.
    /// The first of each observer for the height after the next, and the committee it was checked
    /// against.
    early_observations: BTreeMap<Address, (Verified<Observation>, Arc<Committee>)>,
    early_proposals: Vec<(u32, Address, ProposedBlock)>,
    stage: Stage,
    /// When the last decision was made.
    decided_at: Duration,
    /// Whether the last block ordered anything, or took something in from L1.
    tip_ordered: bool,
    /// The round of the next height the engine is in.
    round: u32,
    /// When to observe, once the height has started; `None` if done or not at all.
    observe_at: Option<Duration>,
    /// When a quorum of observations was first held.
    quorum_at: Option<Duration>,
    wanted: Option<Wanted>,
    /// The block that was built for the round wanted.
    building: Option<(BlockId, u32)>,
    candidates: BTreeMap<BlockId, Candidate>,
    /// A decision that was executed and whose certificate is on its way to disk.
    committing: Option<Box<Delivery>>,
    /// Own batches that were not ordered when this node lost its seat.
    left_over: Vec<Arc<Verified<Batch>>>,
    /// Whether the engine waits to start the next height.
    engine_ready: bool,
    /// The height at which own batches that nobody names were last pushed.
    pushed_at: Height,
    /// The last own batch that was waiting to be ordered then.
    waiting_through: u64,
    l1: l1::View,
    fetching: BTreeSet<BatchDigest>,
    fetching_events: BTreeSet<EventsDigest>,
    fetching_observations: BTreeSet<ObservationHash>,
    /// Bytes that wait to be sealed, for the next height and only for the one after that.
    mempool: (usize, usize),
    /// Whether a lot is offered at the next height.
    lots_open: bool,
    /// Whether a batch has been sealed when the time for bids was almost over.
    window_sealed: bool,
    /// Until when not to observe, since bids have just been sealed that others should hold by then.
    hold_until: Option<Duration>,
    /// The last height each other validator is known to have decided.
    peer_heights: BTreeMap<Address, Height>,
    /// Whether the engine has entered the next height: before, it may drop what it is told.
    entered: bool,
    /// Whether something came in that a proposal may have been waiting for.
    arrived: bool,
    resuming: bool,
    /// When the last input came in.
    stepped_at: Duration,
    effects: Vec<Effect>,
}

/// The validator that this node is.
struct Me {
    key: SecretKey,
    address: Address,
    lane: LaneId,
    /// The last batch sealed into the lane.
    sealed: (u64, BatchDigest),
    /// Whether a batch may be sealed for the next observation.
    may_seal: bool,
}

impl Driver {
    /// A node that starts.
    pub fn new(timing: Timing, boot: Boot) -> Self {
        let address = boot.key.address();
        let lane = LaneId { author: address, incarnation: boot.incarnation };
        let sealed = (0, BatchDigest::ZERO);
        let me = Me { key: boot.key, address, lane, sealed, may_seal: true };
        let tip = boot.tip;
        let mut driver = Self {
            timing,
            rotation: Rotation::new(tip.committee(), &tip.state.leaders()),
            observations: Observations::new(tip.next_height(), tip.id),
            tip,
            me,
            silent_through: boot.silent_through,
            lanes: Lanes::default(),
            early_observations: BTreeMap::new(),
            early_proposals: Vec::new(),
            stage: Stage::Deciding,
            decided_at: Duration::ZERO,
            tip_ordered: false,
            round: 0,
            observe_at: None,
            quorum_at: None,
            wanted: None,
            building: None,
            candidates: BTreeMap::new(),
            committing: None,
            left_over: Vec::new(),
            engine_ready: false,
            pushed_at: 0,
            waiting_through: 0,
            l1: l1::View::default(),
            fetching: BTreeSet::new(),
            fetching_events: BTreeSet::new(),
            fetching_observations: BTreeSet::new(),
            mempool: (0, 0),
            lots_open: false,
            window_sealed: false,
            hold_until: None,
            peer_heights: BTreeMap::new(),
            entered: false,
            arrived: false,
            resuming: boot.resuming,
            stepped_at: Duration::ZERO,
            effects: Vec::new(),
        };
        driver.look_for_lots();
        for block in boot.undecided {
            driver.restore(block);
        }
        driver
    }

    /// The last decided block, executed.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// What a peer that has just connected may lack of this node's own: the batches it sealed
    /// that are not ordered yet, and its observation of the next height.
    pub fn own_messages(&self) -> (Vec<Arc<Verified<Batch>>>, Option<Observation>) {
        let own = self.index().and_then(|index| self.observations.of(index));
        (self.lanes.of_lane(self.me.lane), own.map(|observation| (**observation).clone()))
    }

    /// The batches held.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// A batch that others may ask for, and blocks may need: held in its lane, or in a block that
    /// was found valid, whatever has become of its lane since. Without the latter, a node could be
    /// the last to hold what it is locked on, and keep it to itself.
    pub fn batch(&self, digest: &BatchDigest) -> Option<&Arc<Verified<Batch>>> {
        self.lanes.get(digest).or_else(|| self.picked().find_map(|picked| picked.get(digest)))
    }

    /// The content of blocks that were found valid.
    fn picked(&self) -> impl Iterator<Item = &Picked> {
        self.candidates.values().filter_map(|candidate| match &candidate.state {
            CandidateState::Persisting(decidable) | CandidateState::Stored(decidable) => {
                Some(&decidable.content)
            }
            CandidateState::Open | CandidateState::Invalid(_) => None,
        })
    }

    /// Observations of the next height.
    pub fn observations(&self) -> &Observations {
        &self.observations
    }

    /// Who proposes in the next height.
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// The engine's round of the next height, once it runs.
    pub fn round(&self) -> Option<u32> {
        (self.stage == Stage::Running).then_some(self.round)
    }

    /// The committee index of this node in the next height, if it is a validator of it.
    pub fn index(&self) -> Option<u16> {
        self.tip.committee().index_of(&self.me.address)
    }

    /// Takes an input and says what to do, in order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.stepped_at = now.mono;
        match input {
            Input::Tick => {}
            Input::EngineReady => self.on_engine_ready(),
            Input::StartedRound { height, round } => self.on_started_round(height, round),
            Input::ValueWanted { height, round } => self.on_value_wanted(now, height, round),
            Input::Decided(certificate) => self.on_decided(now, certificate),
            Input::Committed(height) => self.on_committed(height),
            Input::Persisted(id) => self.on_persisted(id),
            Input::Proposal { height, round, proposer, value } => {
                self.on_proposal(height, round, proposer, value);
            }
            Input::Synced { ticket, block } => self.on_synced(now, ticket, block),
            Input::Batch(batch) => self.on_batch(now, batch),
            Input::Observation(observation, checked) => self.on_observation(observation, checked),
            Input::Events(events) => self.on_events(events),
            Input::L1(seen) => self.on_l1(seen),
            Input::PeerHeight(validator, height) => self.on_peer_height(validator, height),
            Input::Mempool { now, ahead } => self.mempool = (now, ahead),
            Input::Sealed(batch) => self.on_sealed(now, batch),
        }
        self.advance(now);
        std::mem::take(&mut self.effects)
    }

    /// Everything that may follow from a change, in the order in which it may follow.
    fn advance(&mut self, now: Now) {
        self.fetch_supported();
        self.fetch_supported_events();
        self.judge_open();
        self.pace(now);
        self.propose(now);
    }

    fn on_peer_height(&mut self, validator: Address, height: Height) {
        if self.tip.committee().index_of(&validator).is_some() {
            let known = self.peer_heights.entry(validator).or_default();
            *known = height.max(*known);
        }
    }

    fn on_batch(&mut self, now: Now, batch: Arc<Verified<Batch>>) {
        let digest = batch.witness().digest;
        let wanted = self.fetching.remove(&digest)
            || self.observations.is_supported(self.tip.committee(), &digest);
        self.arrived = true;
        let inserted = self.lanes.insert(batch, now.wall_ms, &self.tip.state, wanted);
        if let Inserted::Fork(evidence) = inserted {
            self.effects.push(Effect::Keep(*evidence));
        }
    }

    fn on_observation(&mut self, observation: Verified<Observation>, checked: Arc<Committee>) {
        let height = observation.body.height;
        let next = self.tip.next_height();
        let Some(observer) = checked.get(observation.body.observer) else { return };
        // Whoever observes a height has decided the one before.
        self.on_peer_height(observer.address, height.saturating_sub(1));
        if height == next + 1 {
            let observer = observer.address;
            self.early_observations.entry(observer).or_insert((observation, checked));
        } else if height == next {
            let committee = self.tip.committee();
            if *checked == *committee {
                self.note(observation);
                return;
            }
            // Of another committee the same index is somebody else.
            let context = (self.tip.header.chain_id, committee);
            if let Ok(observation) = Unverified::new(observation.into_inner()).verify(context) {
                self.note(observation);
            }
        }
    }

    fn note(&mut self, observation: Verified<Observation>) {
        let wanted = self.fetching_observations.remove(observation.witness());
        let observer = observation.body.observer;
        match self.observations.note(observation, wanted) {
            Noted::New => {
                self.arrived = true;
                let expected = self.observations.quorate_by(self.tip.committee(), observer);
                if !expected.is_empty() {
                    self.effects.push(Effect::Expected(expected));
                }
            }
            Noted::Second(evidence) => {
                self.arrived = true;
                self.effects.push(Effect::Keep(*evidence));
            }
            Noted::Known | Noted::Foreign => {}
        }
    }

    /// Asks for batches that enough observers name to believe that they exist and matter.
    fn fetch_supported(&mut self) {
        let wanted: Vec<(BatchDigest, Vec<u16>)> = self
            .observations
            .supported(self.tip.committee())
            .filter(|(digest, _)| self.batch(digest).is_none())
            .filter(|(digest, _)| !self.fetching.contains(digest))
            .map(|(digest, namers)| (*digest, namers.to_vec()))
            .collect();
        if !wanted.is_empty() {
            self.fetching.extend(wanted.iter().map(|(digest, _)| *digest));
            self.effects.push(Effect::FetchBatches(wanted));
        }
    }
}

impl Content for Driver {
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>> {
        Self::batch(self, digest).map(Arc::as_ref)
    }

    fn events(&self, digest: &EventsDigest) -> Option<&Verified<L1Events>> {
        self.l1_events(digest).map(Arc::as_ref)
    }
}
