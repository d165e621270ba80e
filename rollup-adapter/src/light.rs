//! Light verification (protocol sections 7 and 11). Pure: no IO, no clock.
//!
//! A slice of height h is proven by the header of h, the header of h + 1, whose outcome commits to
//! the slices of h, and the certificate of h + 1. What makes a header trusted is the chain of them:
//! the genesis file names header 0; a certificate over header h + 1 by the committee that header h
//! names in `next_validators_hash` makes header h + 1 trusted, and so on. Committees are fetched
//! from anybody and accepted only if their hash is the one expected.

use std::fmt;

use weft_types::genesis::GenesisError;
use weft_types::header::PROTOCOL_VERSION;
use weft_types::slice::{ProvenSlice, ProvenSliceError};
use weft_types::{
    B256, BlockId, Committee, Genesis, Header, Height, NamespaceId, SliceEntry, TimeMs, Unverified,
    Verified,
};

use crate::cursor::Cursor;

/// Follows one namespace from a trusted header on, one height at a time.
#[derive(Clone, Debug)]
pub struct LightClient {
    chain_id: u64,
    namespace: NamespaceId,
    /// The height of the next slice, and the id its header must have.
    height: Height,
    header: BlockId,
    /// The last committee that was accepted.
    committee: Committee,
    committee_hash: B256,
}

/// Why a slice was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// Not the slice that was asked for. The endpoint's fault.
    #[error("slice of height {actual}, expected {expected}")]
    WrongHeight {
        /// The height asked for.
        expected: Height,
        /// The height served.
        actual: Height,
    },
    /// The header is not the one that the previous slice led to. The endpoint's fault.
    #[error("header {actual} does not continue the chain, expected {expected}")]
    WrongHeader {
        /// The id that the chain led to.
        expected: BlockId,
        /// The id served.
        actual: BlockId,
    },
    /// The proof does not hold. The endpoint's fault.
    #[error(transparent)]
    Proof(#[from] ProvenSliceError),
    /// A committee that is not the one whose hash the chain names. The endpoint's fault.
    #[error("committee {actual} of height {height}, expected {expected}")]
    WrongCommittee {
        /// The height it decides.
        height: Height,
        /// The hash that the chain names.
        expected: B256,
        /// The hash of what was served.
        actual: B256,
    },
    /// The committee has to be learned first. Nobody's fault.
    #[error("committee {hash} of height {height} is not known yet")]
    UnknownCommittee {
        /// The height it decides.
        height: Height,
        /// Its hash.
        hash: B256,
    },
    /// The network has moved to a protocol that this software does not speak. Our fault: upgrade.
    #[error("protocol version {0}, this software speaks {PROTOCOL_VERSION}")]
    Version(u16),
}

impl LightError {
    /// Whether whoever served the slice is to blame.
    pub fn is_endpoint_fault(&self) -> bool {
        !matches!(self, Self::UnknownCommittee { .. } | Self::Version(_))
    }
}

impl LightClient {
    /// Starts where a rollup stands.
    pub fn new(
        genesis: &Genesis,
        namespace: NamespaceId,
        cursor: &Cursor,
    ) -> Result<Self, GenesisError> {
        let committee = genesis.check()?;
        Ok(Self {
            chain_id: genesis.chain_id,
            namespace,
            height: cursor.next,
            header: cursor.header,
            committee_hash: committee.hash(),
            committee,
        })
    }

    /// The height of the slice to present next.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The network's number.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Checks that a slice continues the chain, and names the committee (by height and hash) that
    /// has to be [learned](Self::learn) before it can be verified, if any.
    pub fn needs(
        &self,
        slice: &Unverified<ProvenSlice>,
    ) -> Result<Option<(Height, B256)>, LightError> {
        let header = &slice.claim().header;
        if header.height != self.height {
            return Err(LightError::WrongHeight { expected: self.height, actual: header.height });
        }
        let actual = header.id();
        if actual != self.header {
            return Err(LightError::WrongHeader { expected: self.header, actual });
        }
        // The header is the trusted one, so this names the committee of the child.
        let hash = header.next_validators_hash;
        Ok((hash != self.committee_hash).then(|| (self.height.saturating_add(1), hash)))
    }

    /// Accepts a committee if it is the one with this hash.
    pub fn learn(
        &mut self,
        height: Height,
        expected: B256,
        committee: Committee,
    ) -> Result<(), LightError> {
        let actual = committee.hash();
        if actual != expected {
            return Err(LightError::WrongCommittee { height, expected, actual });
        }
        self.committee = committee;
        self.committee_hash = actual;
        Ok(())
    }

    /// Verifies the next slice and moves on.
    pub fn advance(&mut self, slice: Unverified<ProvenSlice>) -> Result<VerifiedSlice, LightError> {
        if let Some((height, hash)) = self.needs(&slice)? {
            return Err(LightError::UnknownCommittee { height, hash });
        }
        let slice = slice.verify((self.chain_id, self.namespace, &self.committee))?;
        for header in [&slice.header, &slice.child] {
            if header.version != PROTOCOL_VERSION {
                return Err(LightError::Version(header.version));
            }
        }
        let child = slice.child.id();
        self.height = slice.child.height;
        self.header = child;
        Ok(VerifiedSlice { slice, child })
    }
}

/// A slice that stands in the certified order, or the certainty that a height has none. Only
/// [`LightClient::advance`] makes one.
#[derive(Clone)]
pub struct VerifiedSlice {
    slice: Verified<ProvenSlice>,
    child: BlockId,
}

impl VerifiedSlice {
    /// Its height.
    pub fn height(&self) -> Height {
        self.slice.header.height
    }

    /// The header of its height.
    pub fn header(&self) -> &Header {
        &self.slice.header
    }

    /// Block time of its height.
    pub fn time_ms(&self) -> TimeMs {
        self.slice.header.time_ms
    }

    /// Its entries, in execution order; none if the namespace has no slice here.
    pub fn entries(&self) -> &[SliceEntry] {
        &self.slice.entries
    }

    /// Its entries, for whoever takes them in.
    pub fn into_entries(self) -> Vec<SliceEntry> {
        self.slice.into_inner().entries
    }

    /// Id of the header of the next height, which a quorum has certified.
    pub fn child(&self) -> BlockId {
        self.child
    }
}

impl fmt::Debug for VerifiedSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedSlice")
            .field("height", &self.height())
            .field("entries", &self.entries().len())
            .finish_non_exhaustive()
    }
}
