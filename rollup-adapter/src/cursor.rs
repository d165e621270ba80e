//! Where a rollup stands in its derivation (protocol sections 10 and 11).

use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::genesis::GenesisError;
use weft_types::{BlockId, Genesis, Height, L1Origin};

/// How far a rollup has come. Stored with the rollup's own state, in one transaction, so that a crash
/// can neither lose nor repeat anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cursor {
    /// The height of the slice to take in next. The genesis block has one like any other.
    pub next: Height,
    /// Id of that height's header, which a quorum has certified: the next slice must carry exactly
    /// this header.
    pub header: BlockId,
    /// Forced messages with a lower index are taken in, or are for others.
    pub forced: u64,
    /// The last fallback that has begun here, if there has been one.
    pub fallback: Option<Fallback>,
    /// The hold whose slices are being taken in, if they are.
    pub hold: Option<Hold>,
    /// What no fallback takes back any more.
    pub settled: Settled,
}

/// Slices that an atomic bundle held until it was decided (protocol section 9). A fallback that takes back
/// the decision takes back all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hold {
    /// The height of the slice that the bundle's leg heads.
    pub height: Height,
    /// Id of that height's header.
    pub header: BlockId,
    /// The height of the slice that the decision heads.
    pub decided: Height,
}

/// A fallback that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fallback {
    /// The light client's head when it was activated. No two fallbacks have the same.
    pub height: Height,
    /// Whether a slice was taken in since.
    pub over: bool,
    /// The number of the L1 block that activated it.
    pub l1_block: u64,
}

/// What L1 has settled: the child's header is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settled {
    /// Slices of lower heights are settled.
    pub below: Height,
    /// An L1 block that their headers have taken in. What matters of L1 from here on lies after it.
    pub origin: L1Origin,
}

impl Cursor {
    /// Where a rollup stands that has taken in nothing.
    pub fn start(genesis: &Genesis) -> Result<Self, GenesisError> {
        let header = genesis.header(&genesis.check()?).id();
        let settled = Settled { below: 0, origin: genesis.l1_origin };
        Ok(Self { next: 0, header, forced: 0, fallback: None, hold: None, settled })
    }

    /// The last height taken in.
    pub fn height(&self) -> Option<Height> {
        self.next.checked_sub(1)
    }

    /// Below which height all slices are that have brought the rollup here: those taken in, and those up
    /// to the decision on what held them.
    pub fn needs(&self) -> Height {
        self.hold.map_or(self.next, |hold| hold.decided.saturating_add(1))
    }

    /// The same place, but not beyond the slice that was held first of those that are taken back, given the
    /// hold of the first block that is.
    #[must_use]
    pub fn not_beyond(self, hold: Option<Hold>) -> Self {
        match hold {
            Some(Hold { height, header, .. }) if height < self.next => {
                Self { next: height, header, ..self }
            }
            _ => self,
        }
    }

    /// Whether messages of L1 stand in for slices.
    pub fn is_fallback(&self) -> bool {
        self.fallback.is_some_and(|fallback| !fallback.over)
    }
}
