//! What a signature covers (protocol section 3).
//!
//! One fixed big-endian preimage for everything that is signed, so that two signatures over one
//! slot are small evidence on L1 whatever they signed:
//!
//! ```text
//! keccak256( keccak256("weft/<kind>/v1") || chain_id u64 || slot || body_hash 32 )
//! ```

use std::sync::LazyLock;

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{keccak256, tag};
use crate::signature::{SecretKey, Signature};
use crate::vote::VoteKind;

/// What kind of message is signed and, for slashable kinds, which of its signer's one-time slots
/// it takes. Two different body hashes under one slot and one signer are slashable.
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
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// A transaction. Not a slot: an account signs as many as it likes.
    Transaction,
    /// The binding of a peer id to a validator key. Not a slot either.
    Peer,
    /// A batch: one per `(incarnation, seq)` of an author.
    Batch {
        /// Which lane of the author.
        incarnation: u32,
        /// Place in the lane, from 1.
        #[serde(with = "crate::json::decimal")]
        seq: u64,
    },
    /// An observation: one per height.
    Observation {
        /// The height observed for.
        #[serde(with = "crate::json::decimal")]
        height: u64,
    },
    /// A proposal: one per height and round.
    Proposal {
        /// The height proposed for.
        #[serde(with = "crate::json::decimal")]
        height: u64,
        /// The round proposed in.
        round: u32,
    },
    /// A prevote or precommit: one of each per height and round.
    Vote {
        /// Which of the two.
        kind: VoteKind,
        /// The height voted on.
        #[serde(with = "crate::json::decimal")]
        height: u64,
        /// The round voted in.
        round: u32,
    },
    /// The binding of a bond on L1 to a validator key. Not a slot either.
    Bond,
}

/// Longest slot: type u8, height u64, round u32.
pub const MAX_SLOT_BYTES: usize = 13;

static TAGS: LazyLock<[B256; 7]> = LazyLock::new(|| {
    ["transaction", "peer", "batch", "observation", "proposal", "vote", "bond"]
        .map(|kind| tag(&format!("weft/{kind}/v1")))
});

impl Slot {
    /// Whether two signatures over different bodies in this slot prove a fault.
    pub fn is_slashable(self) -> bool {
        !matches!(self, Self::Transaction | Self::Peer | Self::Bond)
    }

    /// The number of the kind, as evidence on L1 names it.
    pub fn kind(self) -> u8 {
        self.parts().0
    }

    /// The bytes that stand for the slot in what is signed: at most [`MAX_SLOT_BYTES`].
    pub fn bytes(self) -> Vec<u8> {
        let (_, bytes, length) = self.parts();
        bytes[..length].to_vec()
    }

    /// The 32-byte hash that is signed.
    pub fn signing_hash(self, chain_id: u64, body_hash: B256) -> B256 {
        let (kind, slot, length) = self.parts();
        keccak256(&[
            TAGS[usize::from(kind)].as_slice(),
            &chain_id.to_be_bytes(),
            &slot[..length],
            body_hash.as_slice(),
        ])
    }

    fn parts(self) -> (u8, [u8; MAX_SLOT_BYTES], usize) {
        let mut slot = [0u8; MAX_SLOT_BYTES];
        let (kind, length) = match self {
            Self::Transaction => (0, 0),
            Self::Peer => (1, 0),
            Self::Batch { incarnation, seq } => {
                slot[..4].copy_from_slice(&incarnation.to_be_bytes());
                slot[4..12].copy_from_slice(&seq.to_be_bytes());
                (2, 12)
            }
            Self::Observation { height } => {
                slot[..8].copy_from_slice(&height.to_be_bytes());
                (3, 8)
            }
            Self::Proposal { height, round } => {
                slot[1..9].copy_from_slice(&height.to_be_bytes());
                slot[9..13].copy_from_slice(&round.to_be_bytes());
                (4, 13)
            }
            Self::Vote { kind, height, round } => {
                slot[0] = kind as u8;
                slot[1..9].copy_from_slice(&height.to_be_bytes());
                slot[9..13].copy_from_slice(&round.to_be_bytes());
                (5, 13)
            }
            Self::Bond => (6, 0),
        };
        (kind, slot, length)
    }
}

/// A message body that is signed under a [`Slot`].
pub trait Signable: BorshSerialize {
    /// The slot the message takes.
    fn slot(&self) -> Slot;

    /// The 32-byte hash that stands for the body: part of the signed preimage.
    fn body_hash(&self) -> B256;
}

/// A body and a signature that claims to cover it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What was signed.
    #[serde(flatten)]
    pub body: T,
    /// The signature over the body's slot and hash.
    pub signature: Signature,
}

impl<T: Signable> Signed<T> {
    /// Signs a body for a chain.
    pub fn new(body: T, chain_id: u64, key: &SecretKey) -> Self {
        let hash = body.slot().signing_hash(chain_id, body.body_hash());
        Self { signature: key.sign(hash), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_slots_share_a_preimage() {
        let slots = [
            Slot::Transaction,
            Slot::Peer,
            Slot::Batch { incarnation: 0, seq: 1 },
            Slot::Batch { incarnation: 1, seq: 0 },
            Slot::Observation { height: 1 },
            Slot::Proposal { height: 1, round: 0 },
            Slot::Vote { kind: VoteKind::Prevote, height: 1, round: 0 },
            Slot::Vote { kind: VoteKind::Precommit, height: 1, round: 0 },
            Slot::Vote { kind: VoteKind::Precommit, height: 0, round: 1 },
            Slot::Bond,
        ];
        let mut hashes: Vec<B256> = Vec::new();
        for chain_id in [1, 2] {
            for slot in slots {
                hashes.push(slot.signing_hash(chain_id, B256::ZERO));
            }
        }
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
