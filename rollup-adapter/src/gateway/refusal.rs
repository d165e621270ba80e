//! Why a transaction is not accepted. Messages follow what wallets know from other nodes.

use alloy_consensus::Transaction;
use alloy_primitives::{B256, U256};
use weft_types::TransactionId;
use weft_types::limits::MAX_TRANSACTION_BYTES;

use crate::evm::skip::SkipReason;
use crate::evm::transaction::Checked;

/// Largest transaction that is accepted: it has to fit a Weft transaction with what goes around it.
pub const MAX_ITEM_BYTES: usize = MAX_TRANSACTION_BYTES - 512;

/// Why a transaction is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No engine would ever execute it.
    #[error("{}", invalid(.0))]
    Invalid(SkipReason),
    /// Nothing there.
    #[error("empty transaction data")]
    Empty,
    /// Larger than any Weft transaction.
    #[error("oversized data: transaction size {0}, limit {MAX_ITEM_BYTES}")]
    TooLarge(usize),
    /// It could be replayed from another chain.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// It is here already.
    #[error("already known")]
    AlreadyKnown,
    /// Its nonce has been used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The transaction's.
        nonce: u64,
        /// The account's.
        next: u64,
    },
    /// Its nonce lies too far ahead.
    #[error("nonce too high: next nonce {next}, tx nonce {nonce}, at most {ahead} ahead allowed")]
    NonceTooHigh {
        /// The transaction's.
        nonce: u64,
        /// The account's.
        next: u64,
        /// How far ahead it may lie.
        ahead: u64,
    },
    /// The sender cannot pay for it and what is pending.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, pending {pending}, tx cost \
         {cost}"
    )]
    Funds {
        /// What the sender has.
        balance: U256,
        /// What its other pending transactions may cost.
        pending: U256,
        /// What this one may cost.
        cost: U256,
    },
    /// Not enough more than the one it would replace.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// The one it would replace cannot be taken back any more.
    #[error(
        "replacement refused: transaction {hash} with nonce {nonce} was handed to Weft in {id}"
    )]
    HandedOver {
        /// The nonce of both.
        nonce: u64,
        /// The one it would replace.
        hash: B256,
        /// The Weft transaction that carries that one.
        id: TransactionId,
    },
    /// The account has as many pending as it may.
    #[error("account limit exceeded: {0} pending transactions")]
    AccountFull(usize),
    /// The gateway holds as much as it may.
    #[error("txpool is full")]
    PoolFull,
    /// More at once than the gateway can write down. Try again.
    #[error("the gateway is busy, try again")]
    Busy,
    /// The process is about to end.
    #[error("the gateway is shutting down")]
    ShuttingDown,
    /// The chain cannot be asked. Ours, or the engine's.
    #[error("state unavailable: {0}")]
    Unavailable(String),
    /// It cannot be written down. Ours, or the disk's.
    #[error("storage failure: {0}")]
    Storage(String),
}

impl Refusal {
    /// Whether the same transaction may well be accepted a moment later.
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Busy | Self::PoolFull | Self::AccountFull(_))
    }
}

/// In the words that other nodes use.
fn invalid(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Undecodable => "failed to decode signed transaction".to_owned(),
        SkipReason::Blob => "transaction type not supported: blob transactions".to_owned(),
        SkipReason::ChainId => "invalid chain id for signer".to_owned(),
        SkipReason::Signature => "invalid sender: invalid signature".to_owned(),
        SkipReason::FeeBelowBase => {
            "max fee per gas less than block base fee: transaction underpriced".to_owned()
        }
        SkipReason::TipAboveFee => {
            "max priority fee per gas higher than max fee per gas".to_owned()
        }
        SkipReason::GasAboveLimit => "exceeds block gas limit".to_owned(),
        SkipReason::IntrinsicGas => "intrinsic gas too low".to_owned(),
        SkipReason::InitcodeTooLarge => "max initcode size exceeded".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn check_size(raw: &[u8]) -> Result<(), Refusal> {
    match raw.len() {
        0 => Err(Refusal::Empty),
        size if size > MAX_ITEM_BYTES => Err(Refusal::TooLarge(size)),
        _ => Ok(()),
    }
}

pub(super) fn check_protected(transaction: &Checked) -> Result<(), Refusal> {
    if transaction.envelope.chain_id().is_none() {
        return Err(Refusal::Unprotected);
    }
    Ok(())
}
