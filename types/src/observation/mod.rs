//! Observations: what a validator signs once per height about what it holds and sees (protocol
//! section 4).
//!
//! Layout of a body, little-endian as in borsh:
//!
//! ```text
//! height u64 | parent 32 | observer u16 | clock_ms u64
//! | lanes u16 | lane*
//! | l1 blocks u8 | (hash 32 | events digest 32)*
//!
//! lane = author varint (difference to the lane before; the first to 0)
//!      | varint (incarnation * 4 + batches - 1)
//!      | digest 32 * batches | age_ms u16 * batches
//! ```

mod set;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::committee::Committee;
use crate::hash::{BatchDigest, BlockId, EventsDigest, ObservationHash, keccak256};
use crate::limits::{MAX_COMMITTEE, MAX_L1_BLOCKS, MAX_UNORDERED_BATCHES};
use crate::signature::SignatureError;
use crate::signing::{Signable, Signed, Slot};
use crate::transaction::encode;
use crate::verified::Verify;
use crate::wire::{invalid, read_array, read_varint, write_varint};
use crate::{Height, TimeMs};

pub use set::{MAX_SET_BYTES, ObservationSet};

/// Most lanes one observation may name: an open and a newer one per author.
pub const MAX_LANES: usize = 2 * MAX_COMMITTEE;

/// A signed observation.
pub type Observation = Signed<ObservationBody>;

/// What an observer signs. Its hash is the keccak256 of its encoding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ObservationBody {
    /// The height observed for.
    #[serde(with = "crate::json::decimal")]
    pub height: Height,
    /// The block before it.
    pub parent: BlockId,
    /// Index of the observer in the committee of the height.
    pub observer: u16,
    /// The observer's clock when it signed.
    #[serde(with = "crate::json::decimal")]
    pub clock_ms: TimeMs,
    /// The lanes it holds unordered batches of, ascending by author and incarnation. Quiet lanes
    /// are left out.
    pub lanes: Vec<LaneView>,
    /// The finalized L1 blocks after the parent's origin, as its own providers agree on them.
    pub l1: Vec<L1Block>,
}

/// What an observer holds of one lane: every batch from the cut on, in order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LaneView {
    /// Index of the lane's author in the committee.
    pub author: u16,
    /// Which of the author's lanes.
    pub incarnation: u32,
    /// Digests of the batches after the cut, 1 to [`MAX_UNORDERED_BATCHES`].
    pub digests: Vec<BatchDigest>,
    /// For each batch, how long before `clock_ms` the observer held and had checked it, in
    /// milliseconds; 65535 stands for that or longer.
    pub ages_ms: Vec<u16>,
}

/// A finalized L1 block as an observer sees it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct L1Block {
    /// Its hash.
    pub hash: B256,
    /// Digest of the events in it that concern Weft.
    pub events_digest: EventsDigest,
}

impl ObservationBody {
    /// The name by which proposals call the observation.
    pub fn hash(&self) -> ObservationHash {
        ObservationHash(keccak256(&[&encode(self)]))
    }

    /// Whether it names a batch.
    pub fn names_batch(&self, digest: &BatchDigest) -> bool {
        self.lanes.iter().any(|lane| lane.digests.contains(digest))
    }

    /// Whether it names events of an L1 block.
    pub fn names_events(&self, digest: &EventsDigest) -> bool {
        self.l1.iter().any(|block| block.events_digest == *digest)
    }
}

impl Signable for ObservationBody {
    fn slot(&self) -> Slot {
        Slot::Observation { height: self.height }
    }

    fn body_hash(&self) -> B256 {
        self.hash().0
    }
}

/// Why an observation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObservationError {
    /// An observer outside the committee.
    #[error("observer {0} is not in the committee")]
    UnknownObserver(u16),
    /// An author outside the committee.
    #[error("author {0} is not in the committee")]
    UnknownAuthor(u16),
    /// Lanes out of order or named twice.
    #[error("lanes must be strictly ascending by author and incarnation")]
    Unsorted,
    /// More batches of an author than may be unordered.
    #[error("author {0} has more than {MAX_UNORDERED_BATCHES} unordered batches or three lanes")]
    TooMuchOfAuthor(u16),
    /// A lane view whose lists do not fit together.
    #[error("lane of author {0} names no batch, or not one age per batch")]
    MalformedLane(u16),
    /// Too many L1 blocks.
    #[error("{0} L1 blocks, at most {MAX_L1_BLOCKS} allowed")]
    TooManyL1Blocks(usize),
    /// Not signed by its observer.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
}

impl Verify for Observation {
    /// The chain id, and the committee of the observation's height.
    type Context<'a> = (u64, &'a Committee);
    /// The observation's hash.
    type Witness = ObservationHash;
    type Error = ObservationError;

    fn verify(
        &self,
        (chain_id, committee): (u64, &Committee),
    ) -> Result<ObservationHash, ObservationError> {
        let body = &self.body;
        let observer =
            committee.get(body.observer).ok_or(ObservationError::UnknownObserver(body.observer))?;
        if !body.lanes.is_sorted_by_key(|lane| (lane.author, lane.incarnation)) {
            return Err(ObservationError::Unsorted);
        }
        for lanes in body.lanes.chunk_by(|a, b| a.author == b.author) {
            let author = lanes[0].author;
            if committee.get(author).is_none() {
                return Err(ObservationError::UnknownAuthor(author));
            }
            if lanes.iter().any(|l| l.digests.is_empty() || l.digests.len() != l.ages_ms.len()) {
                return Err(ObservationError::MalformedLane(author));
            }
            let batches: usize = lanes.iter().map(|lane| lane.digests.len()).sum();
            if lanes.len() > 2 || batches > MAX_UNORDERED_BATCHES {
                return Err(ObservationError::TooMuchOfAuthor(author));
            }
            if lanes.len() == 2 && lanes[0].incarnation == lanes[1].incarnation {
                return Err(ObservationError::Unsorted);
            }
        }
        if body.l1.len() > MAX_L1_BLOCKS {
            return Err(ObservationError::TooManyL1Blocks(body.l1.len()));
        }
        let hash = body.hash();
        self.signature.check(body.slot().signing_hash(chain_id, hash.0), observer.address)?;
        Ok(hash)
    }
}

impl BorshSerialize for ObservationBody {
    fn serialize<W: Write>(&self, out: &mut W) -> std::io::Result<()> {
        self.height.serialize(out)?;
        self.parent.serialize(out)?;
        self.observer.serialize(out)?;
        self.clock_ms.serialize(out)?;
        let lanes = u16::try_from(self.lanes.len()).map_err(|_| invalid("too many lanes"))?;
        lanes.serialize(out)?;
        let mut author = 0;
        for lane in &self.lanes {
            let difference =
                lane.author.checked_sub(author).ok_or_else(|| invalid("lanes not ascending"))?;
            author = lane.author;
            lane.write(difference, out)?;
        }
        let blocks = u8::try_from(self.l1.len()).map_err(|_| invalid("too many L1 blocks"))?;
        blocks.serialize(out)?;
        self.l1.iter().try_for_each(|block| block.serialize(out))
    }
}

impl BorshDeserialize for ObservationBody {
    fn deserialize_reader<R: Read>(input: &mut R) -> std::io::Result<Self> {
        let height = u64::deserialize_reader(input)?;
        let parent = BlockId::deserialize_reader(input)?;
        let observer = u16::deserialize_reader(input)?;
        let clock_ms = u64::deserialize_reader(input)?;
        let count = u16::deserialize_reader(input)?;
        if usize::from(count) > MAX_LANES {
            return Err(invalid("too many lanes"));
        }
        let mut lanes = Vec::new();
        let mut author = 0u16;
        for _ in 0..count {
            author = u16::try_from(read_varint(input)?)
                .ok()
                .and_then(|difference| author.checked_add(difference))
                .ok_or_else(|| invalid("author above u16"))?;
            lanes.push(LaneView::read(author, input)?);
        }
        let blocks = u8::deserialize_reader(input)?;
        if usize::from(blocks) > MAX_L1_BLOCKS {
            return Err(invalid("too many L1 blocks"));
        }
        let l1 = (0..blocks)
            .map(|_| L1Block::deserialize_reader(input))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { height, parent, observer, clock_ms, lanes, l1 })
    }
}

impl LaneView {
    fn write<W: Write>(&self, author_difference: u16, out: &mut W) -> std::io::Result<()> {
        let batches = self.digests.len();
        if batches == 0 || batches > MAX_UNORDERED_BATCHES || batches != self.ages_ms.len() {
            return Err(invalid("malformed lane view"));
        }
        write_varint(out, u64::from(author_difference))?;
        write_varint(out, u64::from(self.incarnation) * 4 + (batches as u64 - 1))?;
        self.digests.iter().try_for_each(|digest| digest.serialize(out))?;
        self.ages_ms.iter().try_for_each(|age| age.serialize(out))
    }

    fn read<R: Read>(author: u16, input: &mut R) -> std::io::Result<Self> {
        let code = read_varint(input)?;
        let incarnation = u32::try_from(code / 4).map_err(|_| invalid("incarnation above u32"))?;
        let batches = code % 4 + 1;
        let digests = (0..batches)
            .map(|_| read_array::<32, R>(input).map(|hash| BatchDigest(hash.into())))
            .collect::<std::io::Result<_>>()?;
        let ages_ms =
            (0..batches).map(|_| u16::deserialize_reader(input)).collect::<std::io::Result<_>>()?;
        Ok(Self { author, incarnation, digests, ages_ms })
    }
}
