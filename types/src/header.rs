//! Headers: the thin spine that validators vote on and Ethereum can check (protocol section 4).
//!
//! A block says what is ordered; its child says what it meant. So a header carries the outcome of
//! its parent. The layout is fixed and big-endian, [`HEADER_LENGTH`] bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | version |
//! | 2 | 8 | chain id |
//! | 10 | 8 | height |
//! | 18 | 8 | time, milliseconds |
//! | 26 | 32 | parent |
//! | 58 | 20 | proposer |
//! | 78 | 32 | validators hash |
//! | 110 | 32 | next validators hash |
//! | 142 | 8 | L1 origin: number |
//! | 150 | 32 | L1 origin: hash |
//! | 182 | 32 | observations root |
//! | 214 | 32 | batches root |
//! | 246 | 32 | events root |
//! | 278 | 32 | parent's outcome: ledger root |
//! | 310 | 32 | parent's outcome: slices root |
//! | 342 | 32 | parent's outcome: results root |
//! | 374 | 32 | parent's outcome: withdrawals root |
//! | 406 | 48 | parent's outcome: unseal key, zero for none |
//!
//! `BlockId = keccak256( keccak256("weft/header/v1") || layout )`.

use std::io::{Read, Write};

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::hash::{BlockId, keccak256, tag};
use crate::wire::read_array;
use crate::{Height, TimeMs};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 4;

/// Length of a header's layout.
pub const HEADER_LENGTH: usize = 454;

/// A block of L1 that the network has agreed to have seen.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct L1Origin {
    /// Its number.
    #[serde(with = "crate::json::decimal")]
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// A key that opens the sealed bids of a height, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsealKey(pub [u8; 48]);

impl UnsealKey {
    /// No key: nothing was sealed to the height.
    pub const NONE: Self = Self([0; 48]);
}

impl Default for UnsealKey {
    fn default() -> Self {
        Self::NONE
    }
}

impl serde::Serialize for UnsealKey {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let key = (*self != Self::NONE).then(|| alloy_primitives::hex::encode_prefixed(self.0));
        serde::Serialize::serialize(&key, out)
    }
}

impl<'de> serde::Deserialize<'de> for UnsealKey {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match <Option<String> as serde::Deserialize>::deserialize(input)? {
            None => Ok(Self::NONE),
            Some(text) => alloy_primitives::hex::decode_to_array(text)
                .map(Self)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// What executing a block came to.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Outcome {
    /// Commitment to the whole ledger after the block.
    pub ledger_root: B256,
    /// Commitment to the slices of the block.
    pub slices_root: B256,
    /// Commitment to the block's auction results.
    pub results_root: B256,
    /// Commitment to all withdrawals so far.
    pub withdrawals_root: B256,
    /// The key that opened the block's sealed bids.
    pub unseal_key: UnsealKey,
}

/// A block's header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Header {
    /// Protocol version the block follows.
    pub version: u16,
    /// The network.
    #[serde(with = "crate::json::decimal")]
    pub chain_id: u64,
    /// Its height.
    #[serde(with = "crate::json::decimal")]
    pub height: Height,
    /// Block time in milliseconds.
    #[serde(with = "crate::json::decimal")]
    pub time_ms: TimeMs,
    /// The block before it.
    pub parent: BlockId,
    /// The validator that first proposed it.
    pub proposer: Address,
    /// Hash of the committee that decides it.
    pub validators_hash: B256,
    /// Hash of the committee of the next height.
    pub next_validators_hash: B256,
    /// Up to where L1 has been taken in.
    pub l1_origin: L1Origin,
    /// Commitment to the embedded observations.
    pub observations_root: B256,
    /// Commitment to the ordered batches.
    pub batches_root: B256,
    /// Commitment to the L1 events taken in.
    pub events_root: B256,
    /// What the parent came to.
    pub parent_outcome: Outcome,
}

impl Header {
    /// The name validators vote on.
    pub fn id(&self) -> BlockId {
        BlockId(keccak256(&[tag("weft/header/v1").as_slice(), &self.layout()]))
    }

    /// The fixed layout.
    pub fn layout(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let mut rest = &mut bytes[..];
        let outcome = &self.parent_outcome;
        let fields: [&[u8]; 18] = [
            &self.version.to_be_bytes(),
            &self.chain_id.to_be_bytes(),
            &self.height.to_be_bytes(),
            &self.time_ms.to_be_bytes(),
            self.parent.as_bytes(),
            self.proposer.as_slice(),
            self.validators_hash.as_slice(),
            self.next_validators_hash.as_slice(),
            &self.l1_origin.number.to_be_bytes(),
            self.l1_origin.hash.as_slice(),
            self.observations_root.as_slice(),
            self.batches_root.as_slice(),
            self.events_root.as_slice(),
            outcome.ledger_root.as_slice(),
            outcome.slices_root.as_slice(),
            outcome.results_root.as_slice(),
            outcome.withdrawals_root.as_slice(),
            &outcome.unseal_key.0,
        ];
        for field in fields {
            let (place, after) = rest.split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = after;
        }
        bytes
    }
}

impl BorshSerialize for Header {
    fn serialize<W: Write>(&self, out: &mut W) -> std::io::Result<()> {
        out.write_all(&self.layout())
    }
}

impl BorshDeserialize for Header {
    fn deserialize_reader<R: Read>(input: &mut R) -> std::io::Result<Self> {
        fn u64<R: Read>(input: &mut R) -> std::io::Result<u64> {
            read_array(input).map(u64::from_be_bytes)
        }
        fn hash<R: Read>(input: &mut R) -> std::io::Result<B256> {
            read_array(input).map(B256::from)
        }
        Ok(Self {
            version: u16::from_be_bytes(read_array(input)?),
            chain_id: u64(input)?,
            height: u64(input)?,
            time_ms: u64(input)?,
            parent: BlockId(hash(input)?),
            proposer: read_array(input).map(Address::from)?,
            validators_hash: hash(input)?,
            next_validators_hash: hash(input)?,
            l1_origin: L1Origin { number: u64(input)?, hash: hash(input)? },
            observations_root: hash(input)?,
            batches_root: hash(input)?,
            events_root: hash(input)?,
            parent_outcome: Outcome {
                ledger_root: hash(input)?,
                slices_root: hash(input)?,
                results_root: hash(input)?,
                withdrawals_root: hash(input)?,
                unseal_key: UnsealKey(read_array(input)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let hash = B256::repeat_byte;
        Header {
            version: PROTOCOL_VERSION,
            chain_id: 2,
            height: 3,
            time_ms: 4,
            parent: BlockId(hash(5)),
            proposer: Address::repeat_byte(6),
            validators_hash: hash(7),
            next_validators_hash: hash(8),
            l1_origin: L1Origin { number: 9, hash: hash(10) },
            observations_root: hash(11),
            batches_root: hash(12),
            events_root: hash(13),
            parent_outcome: Outcome {
                ledger_root: hash(14),
                slices_root: hash(15),
                results_root: hash(16),
                withdrawals_root: hash(17),
                unseal_key: UnsealKey([18; 48]),
            },
        }
    }

    #[test]
    fn layout_is_full_and_comes_back() {
        let layout = header().layout();
        assert!(layout[HEADER_LENGTH - 48..].iter().all(|b| *b == 18), "no byte is left over");
        assert_eq!(borsh::from_slice::<Header>(&layout).unwrap(), header());
        assert!(borsh::from_slice::<Header>(&layout[1..]).is_err());
        let json = serde_json::to_string(&header()).unwrap();
        assert_eq!(serde_json::from_str::<Header>(&json).unwrap(), header());
    }

    #[test]
    fn every_bit_changes_the_id() {
        let layout = header().layout();
        for bit in 0..HEADER_LENGTH * 8 {
            let mut changed = layout;
            changed[bit / 8] ^= 1 << (bit % 8);
            let other: Header = borsh::from_slice(&changed).unwrap();
            assert_ne!(other.id(), header().id(), "bit {bit}");
        }
    }
}
