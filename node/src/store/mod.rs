//! What a node keeps: the block log, which is the truth, and the view of it, which can be rebuilt.

mod boot;
pub mod committees;
pub mod durable;
mod frame;
mod index;
mod log;
mod past;
mod segment;
#[cfg(test)]
mod tests;
mod trees;
pub mod view;

use std::io;

use weft_types::{BlockId, Height};

pub use boot::Boots;
pub use frame::MAX_PAYLOAD;
pub use log::{Log, Record, verify};
pub use past::{Past, PastError};

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk.
    #[error("disk: {0}")]
    Io(#[from] io::Error),
    /// Damage that is no torn tail. Nothing of the segment can be trusted from there on.
    #[error(
        "the block log is damaged: {segment}, offset {offset}: {what}. Nothing is served from a \
         damaged log. Restore the file from a backup, or move the home's data directory away and \
         let the node sync again under a new validator key"
    )]
    Corrupt {
        /// Which file.
        segment: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The log of another network.
    #[error("{0} belongs to a network with another genesis")]
    OtherNetwork(String),
    /// A segment is missing.
    #[error("the block log has a gap: expected a segment from height {expected}, found {actual}")]
    Gap {
        /// Where the next segment should start.
        expected: Height,
        /// Where it does.
        actual: Height,
    },
    /// An intact frame that holds nonsense: written by other software.
    #[error("a frame does not decode: {0}")]
    Undecodable(String),
    /// A certificate was to be written out of turn.
    #[error("height {actual} was to be committed, expected {expected}")]
    OutOfOrder {
        /// The next height.
        expected: Height,
        /// The one given.
        actual: Height,
    },
    /// A certificate was to be written whose block never was.
    #[error("block {0} was to be committed and is not in the log")]
    NoBlock(BlockId),
}

/// What opening the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last height whose certificate is in it; 0 for none.
    pub tip: Height,
    /// Bytes of a torn tail. They are cut off with the first write.
    pub torn_bytes: u64,
    /// Blocks above the tip.
    pub undecided: Vec<BlockId>,
}
