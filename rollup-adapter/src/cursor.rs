//! Where a rollup stands in the order (protocol section 11).

use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::{B256, BlockId, Height};

/// The last height that a rollup has taken in. Stored with the rollup's own state, in one
/// transaction, so that a crash can neither lose nor repeat a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cursor {
    /// The height.
    pub height: Height,
    /// Hash of the slice's leaf in the namespace tree; zero where the namespace had no slice.
    pub slice: B256,
    /// Id of the header of `height + 1`, which a quorum has certified: the next slice must carry
    /// exactly this header.
    pub parent: BlockId,
}

impl Cursor {
    /// The height to pull next, given where the rollup stands. The genesis block is height 0 and
    /// is pulled like any other.
    pub fn next_height(cursor: Option<&Self>) -> Height {
        cursor.map_or(0, |cursor| cursor.height.saturating_add(1))
    }
}
