//! How a node conducts itself towards others.
//!
//! `weft` is always [`Honest`]. Whoever tests how the network bears with validators that are not
//! writes another conduct and runs a real node with it; nothing in the protocol may depend on the
//! difference.

use weft_consensus::driver::StoredBlock;
use weft_types::{Batch, Observation, ProposedBlock};

use crate::p2p::P2p;

/// What a validator that misbehaves can do otherwise.
pub trait Conduct: Send {
    /// Has a block of its own, or one it found valid, put on disk.
    fn persist(&mut self, _block: &StoredBlock) {}

    /// Sends a batch of its own to other validators.
    fn push_batch(&mut self, p2p: &P2p, batch: &Batch) {
        p2p.batch(batch);
    }

    /// Sends its observation to other validators.
    fn push_observation(&mut self, p2p: &P2p, observation: Observation) {
        p2p.observation(observation);
    }

    /// Proposes a block that follows from the observations it holds.
    fn propose(&mut self, block: ProposedBlock) -> ProposedBlock {
        block
    }

    /// Whether it answers other validators that ask for what it has named.
    fn answers_fetches(&self) -> bool {
        true
    }
}

/// As the protocol says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Conduct for Honest {}
