//! Blocks: a header, the observations it is made of, and what they order (protocol section 4).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::batch::Batch;
use crate::hash::{BatchDigest, BlockId, EventsDigest, ObservationHash};
use crate::header::Header;
use crate::l1::L1Events;
use crate::merkle::commit_hashes;
use crate::observation::ObservationSet;
use alloy_primitives::B256;

/// A block as it stands in the log and travels in sync: everything it takes to check it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// The embedded observations; none in an empty block.
    pub observations: ObservationSet,
    /// What the L1 blocks that it passes brought, in their order.
    pub events: Vec<L1Events>,
    /// The ordered batches, in block order.
    pub batches: Vec<Batch>,
}

impl Block {
    /// The header's id.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }
}

/// A block as it is proposed: observations are named, since every validator has them already,
/// and what they order follows from them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct ProposedBlock {
    /// Its header.
    pub header: Header,
    /// Hashes of the embedded observations, ascending by observer.
    pub observations: Vec<ObservationHash>,
}

impl ProposedBlock {
    /// Whether the header commits to exactly these observations. If so, the id names the whole
    /// value.
    pub fn is_consistent(&self) -> bool {
        observations_root(&self.observations) == self.header.observations_root
    }

    /// Whether the block embeds no observations.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
    }
}

/// The commitment to embedded observations, in ascending order of observer.
pub fn observations_root(hashes: &[ObservationHash]) -> B256 {
    commit_hashes("weft/observations/v1", hashes.iter().map(|hash| &hash.0))
}

/// The commitment to ordered batches, in block order.
pub fn batches_root(digests: &[BatchDigest]) -> B256 {
    commit_hashes("weft/batches/v1", digests.iter().map(|digest| &digest.0))
}

/// The commitment to the L1 events taken in, by the digest of each L1 block's events.
pub fn events_root(digests: &[EventsDigest]) -> B256 {
    commit_hashes("weft/events/v1", digests.iter().map(|digest| &digest.0))
}
