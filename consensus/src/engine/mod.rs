//! What Malachite asks for: a context, a signing scheme, codecs.
//!
//! The engine decides [`Value`]s: proposed blocks, named by their [block id](weft_types::BlockId).
//! A proposed block is a header and the hashes of its observations, small enough to ride in the
//! signed proposal itself, so that no parts are streamed.
//!
//! | file | what the engine gets from it |
//! |---|---|
//! | [`context`] | types of heights, validators, votes, proposals, and who proposes |
//! | [`signing`] | secp256k1 signatures over Weft's preimages; a cache of checked ones |
//! | [`codec`] | borsh for the wire, for sync and for the write-ahead log |
//! | [`convert`] | certificates and evidence, to and from Weft's own types |

pub mod codec;
pub mod context;
pub mod convert;
pub mod signing;

pub use codec::Codec;
pub use context::{Context, Height, Proposal, Validator, ValidatorId, ValidatorSet, Value, Vote};
pub use signing::{Signer, Verifier};
