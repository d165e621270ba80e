//! What goes into the driver and what comes out.

use std::sync::Arc;
use std::time::Duration;

use weft_types::evidence::Evidence;
use weft_types::{
    Address, B256, Batch, BatchDigest, BlockId, Certificate, Committee, EventsDigest, Height,
    L1Events, LaneId, Observation, ObservationHash, ProposedBlock, SecretKey, TimeMs, Verified,
};

#[cfg(doc)]
use super::Driver;
use super::StoredBlock;
use crate::follow::Delivery;
use crate::leader::Rotation;
use crate::tip::Tip;
use crate::validity::Invalid;

/// Two clocks, as read when an input came in.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock, milliseconds since the Unix epoch: for observations.
    pub wall_ms: TimeMs,
    /// A clock that never jumps, since some fixed point: for waiting.
    pub mono: Duration,
}

/// A finalized L1 block, as this node's providers agree on it.
#[derive(Clone, Debug)]
pub struct SeenL1Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent: B256,
    /// What it brings.
    pub events: Arc<Verified<L1Events>>,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Longest pause between two heights when there is nothing to order.
    pub heartbeat: Duration,
    /// How long a proposer that holds a quorum of observations waits for the rest.
    pub gather: Duration,
    /// How long a node that was woken by others, or has just sealed bids for the height, waits for
    /// batches before it observes.
    pub linger: Duration,
    /// How long a node that has decided a height waits for bids, if a lot is offered at the next.
    pub bid_window: Duration,
    /// How long a proposer of round 2 or later waits for a quorum of observations before it
    /// proposes the empty block.
    pub empty_after: Duration,
}

/// What a node knows of itself when it starts.
pub struct Boot {
    /// The last decided block on disk, executed.
    pub tip: Tip,
    /// The key to observe, seal and propose with, while it holds a seat.
    pub key: SecretKey,
    /// The lane to seal batches into: a counter that grew, durably, since the last start.
    pub incarnation: u32,
    /// No height up to this one is observed: it may have been, before the restart.
    pub silent_through: Height,
    /// Blocks of the next height that were on disk, undecided: the engine may be locked on one.
    pub undecided: Vec<StoredBlock>,
    /// Whether the engine had started the next height before the restart.
    pub resuming: bool,
}

/// What can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// Time has passed; see [`Driver::next_wakeup`].
    Tick,
    /// The engine waits to be told to start the next height.
    EngineReady,
    /// The engine entered a round.
    StartedRound {
        /// Of which height.
        height: Height,
        /// Which.
        round: u32,
    },
    /// The engine wants a value to propose.
    ValueWanted {
        /// For which height.
        height: Height,
        /// For which round.
        round: u32,
    },
    /// The engine has decided.
    Decided(Certificate),
    /// The certificate of the last [`Effect::Commit`] is on disk.
    Committed(Height),
    /// The block of an [`Effect::Persist`] is on disk.
    Persisted(BlockId),
    /// A proposal came in.
    Proposal {
        /// For which height.
        height: Height,
        /// In which round.
        round: u32,
        /// Who proposes, as the engine will expect it.
        proposer: Address,
        /// What.
        value: ProposedBlock,
    },
    /// A decided block came in by sync.
    Synced {
        /// Whatever the shell needs to find whom to answer.
        ticket: u64,
        /// The block.
        block: StoredBlock,
    },
    /// A batch came in, pushed or fetched.
    Batch(Arc<Verified<Batch>>),
    /// An observation came in, pushed or fetched. With it comes the committee that it was checked
    /// against: if its height turns out to have another one, it is checked again.
    Observation(Verified<Observation>, Arc<Committee>),
    /// Events of an L1 block came in, fetched.
    Events(Arc<Verified<L1Events>>),
    /// What this node's providers agree on of L1.
    L1(Arc<[SeenL1Block]>),
    /// A validator says that it has decided a height.
    PeerHeight(Address, Height),
    /// The mempool holds this many bytes of transactions that can be sealed.
    Mempool {
        /// Into a batch for the next height.
        now: usize,
        /// Only into one for the height after that.
        ahead: usize,
    },
    /// The answer to [`Effect::Seal`]: a batch, or nothing if the mempool turned out empty.
    Sealed(Option<Arc<Verified<Batch>>>),
}

/// What a node has to do.
#[derive(Debug)]
pub enum Effect {
    /// Tell the engine to start a height.
    StartHeight {
        /// Which.
        height: Height,
        /// Who decides it.
        committee: Committee,
        /// Who proposes in it.
        rotation: Rotation,
    },
    /// Give the engine the value it wanted.
    Propose {
        /// For which height.
        height: Height,
        /// For which round.
        round: u32,
        /// What.
        value: ProposedBlock,
    },
    /// Tell the engine whether a proposed value is valid.
    Answer {
        /// For which height.
        height: Height,
        /// In which round it was first proposed.
        round: u32,
        /// By whom.
        proposer: Address,
        /// What.
        value: ProposedBlock,
        /// Which rule it breaks, if any.
        verdict: Result<(), Invalid>,
    },
    /// Tell sync what came of a block.
    AnswerSync {
        /// The ticket it came with.
        ticket: u64,
        /// The value.
        value: ProposedBlock,
        /// What came of it.
        verdict: SyncVerdict,
    },
    /// Put a block on disk, then say [`Input::Persisted`].
    Persist(BlockId, StoredBlock),
    /// Put a certificate on disk, then say [`Input::Committed`].
    Commit(Certificate),
    /// The decision is on disk and executed: acknowledge it, tell the world.
    Deliver(Box<Delivery>),
    /// This node has no seat any more, and the driver no part in what follows. Its own batches that
    /// were not ordered will not be: hand on what they carry.
    Leave(Vec<Arc<Verified<Batch>>>),
    /// Make a batch of what the mempool holds and say [`Input::Sealed`], before anything else.
    Seal {
        /// The lane.
        lane: LaneId,
        /// The place in it.
        seq: u64,
        /// The batch before.
        parent: BatchDigest,
        /// The height that it is meant for: it can bring bids for that.
        height: Height,
    },
    /// Push a batch to every validator.
    PushBatch(Arc<Verified<Batch>>),
    /// Push an observation to every validator.
    PushObservation(Observation),
    /// Fetch batches, from members that name them first, then from anybody, until they come or
    /// the height passes.
    FetchBatches(Vec<(BatchDigest, Vec<u16>)>),
    /// Fetch events of L1 blocks, from members that name them first, then from anybody, until they
    /// come or the height passes.
    FetchEvents(Vec<(EventsDigest, Vec<u16>)>),
    /// Fetch observations that a proposal names, from its proposer first.
    FetchObservations {
        /// Which.
        hashes: Vec<ObservationHash>,
        /// Committee index of the proposer.
        proposer: Option<u16>,
    },
    /// What is being fetched is of no use any more: the height is over. What is fetched from here
    /// on is for the next, of which observations may have come early.
    StopFetching,
    /// Observations of a quorum name these batches by now: they can be expected to be ordered.
    Expected(Vec<BatchDigest>),
    /// Keep proof of a fault.
    Keep(Evidence),
    /// Stop: going on could contradict what this node has signed.
    Halt(String),
}

/// What came of a synced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncVerdict {
    /// It is valid and on disk.
    Valid,
    /// It breaks a rule although a quorum certified it: this node is wrong, or they are.
    Invalid(Invalid),
    /// It is not complete: the peer's fault.
    Incomplete,
    /// The height has passed.
    Late,
}
