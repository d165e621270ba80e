//! Why an item of a slice made no transaction of a block.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Why an item was skipped. The number is its borsh tag.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SkipReason {
    /// Not the one encoding of a transaction of types 0, 1, 2 or 4.
    #[error("not a transaction of a type this rollup takes")]
    Undecodable = 0,
    /// A blob transaction. There are no blobs here.
    #[error("blob transactions are not taken")]
    Blob = 1,
    /// Meant for another chain.
    #[error("meant for another chain id")]
    ChainId = 2,
    /// No signer can be recovered, or `s` is high.
    #[error("the signature is no good")]
    Signature = 3,
    /// What it pays per gas is below the base fee.
    #[error("max fee per gas is below the base fee")]
    FeeBelowBase = 4,
    /// The priority fee is above the fee.
    #[error("priority fee is above the max fee")]
    TipAboveFee = 5,
    /// It asks for more gas than a block or a transaction may have.
    #[error("gas limit is above what a transaction or block may have")]
    GasAboveLimit = 6,
    /// It asks for less gas than it costs before its first instruction.
    #[error("gas limit is below the intrinsic gas")]
    IntrinsicGas = 7,
    /// Init code larger than allowed.
    #[error("init code is too large")]
    InitcodeTooLarge = 8,
    /// A type 4 transaction without authorizations.
    #[error("the authorization list is empty")]
    NoAuthorizations = 9,
    /// A nonce that its sender has used.
    #[error("nonce is too low")]
    NonceTooLow = 10,
    /// A nonce that is not its sender's turn.
    #[error("nonce is too high")]
    NonceTooHigh = 11,
    /// The sender cannot pay for gas and value.
    #[error("insufficient funds for gas * price + value")]
    Funds = 12,
    /// The gas it asks for is more than the block has left.
    #[error("the block has not enough gas left")]
    BlockFull = 13,
    /// An external engine did not execute it. Nonce, funds or block gas: engines do not say.
    #[error("the engine did not execute it: nonce, funds or block gas")]
    Refused = 14,
    /// It may execute in one bundle only, and this is not it.
    #[error("bound to a bundle that it is not in")]
    Bound = 15,
}

impl SkipReason {
    /// Whether the same bytes may well execute in a later block.
    pub fn may_pass_later(self) -> bool {
        matches!(self, Self::NonceTooHigh | Self::Funds | Self::BlockFull | Self::Refused)
    }
}
