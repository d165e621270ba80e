//! The ledger: a pure, deterministic state machine over ordered blocks (protocol section 6).
//!
//! ```text
//! State::apply(block) -> Applied { outcome, receipts, slices, changes }
//! ```
//!
//! No clock but block time, no randomness, no floats, no map with an unstable order; arithmetic is
//! checked or saturates. Applying cannot fail: what a block orders that makes no sense is skipped,
//! with a receipt that says why.
//!
//! Order inside a block: what has expired is forgotten; what L1 brings takes effect; bids are opened
//! and settled; transactions run in block order; atomic bundles are decided; what was paid is shared among the validators whose observations the block
//! embeds; prices, lane cuts and presence move; an epoch ends if it is time.
//!
//! All of the state is a map of typed [`Key`]s to [`Value`]s, so that the commitment to it, a
//! snapshot of it and the changes a block makes to it are each one loop.

#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "test values are small"
    )
)]

mod apply;
mod atomic;
mod auction;
mod entry;
mod epoch;
mod fee;
mod l1;
mod lattice;
mod payload;
mod presence;
mod reward;
mod state;
pub mod undecided;

pub use apply::{Applied, OrderedBatch, OrderedBlock};
pub use entry::{
    Clock, GlobalPrice, Key, LaneCut, Namespace, Relay, Release, Remembered, ValidatorRecord, Value,
};
pub use epoch::seats;
pub use fee::Price;
pub use state::{Change, SnapshotError, State};
pub use undecided::{Standing, Undecided};

/// How many heights after being ordered a transaction may be ordered again without its author
/// paying for the bytes: lanes run in parallel, so an honest author cannot know at once.
pub const DUPLICATE_GRACE: weft_types::Height = 16;
