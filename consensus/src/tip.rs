//! What it takes to make or judge the next block: the last one and what it came to.

use weft_ledger::State;
use weft_types::genesis::GenesisError;
use weft_types::{B256, BlockId, Committee, Genesis, Header, Height, Outcome, Results, TimeMs};

/// The last decided block, executed.
#[derive(Clone)]
pub struct Tip {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// What it came to: the next header says so.
    pub outcome: Outcome,
    /// The ledger after it.
    pub state: State,
}

impl Tip {
    /// The tip of a network that has decided nothing yet.
    pub fn genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        let state = State::genesis(genesis)?;
        let header = genesis.header(state.committee());
        Ok(Self {
            header,
            id: header.id(),
            outcome: state.outcome(&[], &Results::default()),
            state,
        })
    }

    /// The next height.
    pub fn next_height(&self) -> Height {
        self.header.height + 1
    }

    /// The committee that decides the next height.
    pub fn committee(&self) -> &Committee {
        self.state.committee()
    }

    /// The hash of the committee after that, if the next block is of this time.
    pub fn following_validators_hash(&self, time_ms: TimeMs) -> B256 {
        self.state.committee_after(time_ms).hash()
    }
}
