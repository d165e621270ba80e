//! The bounds of protocol section 5 that every node must share.
//!
//! What an operator may choose stands in the node's configuration; what a network may choose at
//! genesis stands in [`Params`](crate::Params). These are neither: to change one is to change the
//! protocol.

/// Largest transaction, in bytes of borsh.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;

/// Most data items in one `Submit`.
pub const MAX_SUBMIT_ITEMS: usize = 4096;

/// Largest batch, in bytes of borsh with its signature.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Most transactions in one batch.
pub const MAX_BATCH_TRANSACTIONS: usize = 8192;

/// K: most batches of one author that are not ordered yet and may be named by an observation.
pub const MAX_UNORDERED_BATCHES: usize = 4;

/// Most members of a committee.
pub const MAX_COMMITTEE: usize = 256;

/// Most seats one member may hold, and most seats in all.
pub const MAX_SEATS: u64 = 1024;

/// Most L1 blocks an observation may report beyond the parent's origin.
pub const MAX_L1_BLOCKS: usize = 8;

/// Most bytes of events that an L1 block may bring, in borsh: what its gas can pay for, with room to
/// spare.
pub const MAX_EVENTS_BYTES: usize = 1024 * 1024;

/// Most bytes of a forced message.
pub const MAX_FORCED_BYTES: usize = 16 * 1024;

/// Most namespaces of a bid or bundle.
pub const MAX_BID_LEGS: usize = 8;

/// Most executors that a namespace may name.
pub const MAX_EXECUTORS: usize = 16;

/// Most namespaces that a namespace may name as its partners in atomic bundles.
pub const MAX_PARTNERS: usize = 64;

/// Longest that a network may let atomic bundles hold namespaces, in milliseconds of block time.
pub const MAX_HOLD_MS: u64 = 60_000;

/// Most heights for which a network may let them.
pub const MAX_HOLD_HEIGHTS: u16 = 1024;

/// Most that a bid can offer, and a reserve can be, in wei: far above all ether there is, and low
/// enough that all bids of a block can be added up.
pub const MAX_BID_AMOUNT: crate::Wei = 1 << 100;

/// Most accounts a namespace may list as its submitters.
pub const MAX_SUBMITTERS: usize = 64;

/// Most bytes of batches that a network may allow in a block. Its observations come on top of that:
/// see [`MAX_SET_BYTES`](crate::observation::MAX_SET_BYTES).
pub const MAX_BATCHES_BYTES: usize = 4 * 1024 * 1024;
