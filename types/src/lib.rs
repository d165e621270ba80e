//! What goes over Weft's wire and into its hashes.
//!
//! Everything here is pure: values in, values out. No clock, no randomness, no IO, no map with an
//! unstable order. Two nodes that hold the same bytes reach the same answer.
//!
//! What comes from outside is [`Unverified`] until it has been checked; a check consumes it and
//! hands out [`Verified`], the only way to obtain one. Encoding is borsh throughout, apart from
//! the two places where size or Ethereum asks for a fixed layout: the [header](Header) and the
//! [observations of a block](ObservationSet).
//!
//! | module | section of `spec/protocol.md` |
//! |---|---|
//! | [`hash`], [`merkle`], [`signature`], [`signing`] | 3, keys, hashes, encoding |
//! | [`transaction`], [`batch`], [`observation`], [`header`], [`block`], [`certificate`] | 4, objects |
//! | [`mod@slice`] | 7, slices and their proofs |
//! | [`results`] | 8, what an auction came to |
//! | [`legs`] | 9, what ties a bundle together |
//! | [`l1`], [`withdrawal`] | 10, Ethereum |
//! | [`committee`], [`genesis`], [`limits`] | 2 and 5, who takes part and within what bounds |

#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "test values are small"))]

pub mod batch;
pub mod block;
pub mod certificate;
pub mod committee;
pub mod evidence;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod json;
pub mod l1;
pub mod legs;
pub mod limits;
pub mod merkle;
pub mod namespace;
pub mod observation;
pub mod receipt;
pub mod results;
pub mod signature;
pub mod signing;
pub mod slice;
pub mod transaction;
pub mod verified;
pub mod vote;
mod wire;
pub mod withdrawal;

pub use alloy_primitives::{Address, B256, Bytes};
pub use batch::{Batch, BatchBody, LaneId};
pub use block::{Block, ProposedBlock};
pub use certificate::Certificate;
pub use committee::{Committee, Member};
pub use genesis::{Genesis, Params, Stake};
pub use hash::{BatchDigest, BlockId, EventsDigest, ObservationHash, TransactionId};
pub use header::{Header, L1Origin, Outcome, UnsealKey};
pub use l1::{L1Contracts, L1Event, L1Events};
pub use legs::{LegDigest, LegPlace, Legs};
pub use namespace::{
    AtomicSettings, AuctionSettings, NamespaceId, NamespaceSettings, Partners, Quota, Submitters,
};
pub use observation::{LaneView, Observation, ObservationBody, ObservationSet};
pub use receipt::{Receipt, ReceiptStatus, SkipReason};
pub use results::{BidResult, DecidedBundle, Decision, OpenedBid, ProvenResult, Results, SoldLot};
pub use signature::{SecretKey, Signature};
pub use signing::{Signable, Signed, Slot};
pub use slice::{Slice, SliceEntry, SliceLeaf, SliceProof};
pub use transaction::{BidMode, Leg, Payload, Transaction, TransactionBody};
pub use verified::{Unverified, Verified, Verify};
pub use vote::{Proposal, Vote, VoteKind};
pub use withdrawal::{ProvenWithdrawal, Withdrawal};

/// An amount of ether in wei. 2^128 wei is far above all ether there can be; sums are checked.
pub type Wei = u128;

/// A block height. The genesis block has height 0.
pub type Height = u64;

/// Milliseconds since the Unix epoch, by the block time of protocol section 5, rule 5.
pub type TimeMs = u64;
