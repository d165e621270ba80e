//! Votes and proposals: what Tendermint signs (protocol section 3).

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Height;
use crate::hash::{BlockId, keccak256};
use crate::signing::Slot;

/// The two kinds of vote. The number stands in the signed slot; 0 is the proposal's.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum VoteKind {
    /// "This value is valid."
    Prevote = 1,
    /// "I saw a quorum of prevotes for this value."
    Precommit = 2,
}

/// A vote for a block, or for nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The height voted on.
    pub height: Height,
    /// The round voted in.
    pub round: u32,
    /// The block, or `None` for nil.
    pub block: Option<BlockId>,
}

impl Vote {
    /// The slot it takes.
    pub fn slot(&self) -> Slot {
        Slot::Vote { kind: self.kind, height: self.height, round: self.round }
    }

    /// The block id, zero for nil.
    pub fn body_hash(&self) -> B256 {
        self.block.unwrap_or(BlockId::ZERO).0
    }

    /// The hash its voter signs.
    pub fn signing_hash(&self, chain_id: u64) -> B256 {
        self.slot().signing_hash(chain_id, self.body_hash())
    }
}

/// A proposal of a block in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// The height proposed for.
    pub height: Height,
    /// The round proposed in.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// The round in which a quorum prevoted the block, if it is proposed again.
    pub pol_round: Option<u32>,
}

impl Proposal {
    /// The slot it takes.
    pub fn slot(&self) -> Slot {
        Slot::Proposal { height: self.height, round: self.round }
    }

    /// `keccak256( block id || pol_round u32 )`, `0xffffffff` for none.
    pub fn body_hash(&self) -> B256 {
        let pol_round = self.pol_round.unwrap_or(u32::MAX).to_be_bytes();
        keccak256(&[self.block.as_bytes(), &pol_round])
    }

    /// The hash its proposer signs.
    pub fn signing_hash(&self, chain_id: u64) -> B256 {
        self.slot().signing_hash(chain_id, self.body_hash())
    }
}
