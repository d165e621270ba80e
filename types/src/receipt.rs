//! Receipts: what became of an ordered transaction (protocol section 6).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Wei;

/// What became of a transaction that was ordered inside its window.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Receipt {
    /// Executed, or skipped and why.
    #[serde(flatten)]
    pub status: ReceiptStatus,
    /// What its sender paid, in wei.
    #[serde(with = "crate::json::decimal")]
    pub fee: Wei,
}

/// Executed, or skipped and why.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case", tag = "status", content = "reason")]
pub enum ReceiptStatus {
    /// It took effect.
    Executed,
    /// It took none.
    Skipped(SkipReason),
}

/// Why an ordered transaction took no effect. The number is its borsh tag.
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
    /// `max_fee` is below what the bytes cost. Nothing was charged.
    #[error("max_fee is below the fee")]
    FeeAboveMax = 0,
    /// The sender cannot pay for the bytes. Nothing was charged.
    #[error("the sender cannot pay the fee")]
    CannotPayFee = 1,
    /// The namespace is not registered.
    #[error("no such namespace")]
    UnknownNamespace = 2,
    /// The namespace does not let the sender submit.
    #[error("the namespace does not admit the sender")]
    NotAdmitted = 3,
    /// The namespace has ordered all its quota allows for now.
    #[error("the namespace is over its quota")]
    OverQuota = 4,
    /// The sender does not own what it would move, beyond the fee.
    #[error("the sender's balance is too low")]
    BalanceTooLow = 5,
    /// The namespace is registered already.
    #[error("the namespace is taken")]
    NamespaceTaken = 6,
    /// Only its owner may change a namespace.
    #[error("the sender does not own the namespace")]
    NotOwner = 7,
    /// The namespace's own fee would exceed `max_fee` or the sender's balance.
    #[error("the namespace's fee is above max_fee or the balance")]
    NamespaceFeeNotCovered = 8,
    /// The receiver's balance would overflow.
    #[error("the receiver's balance would overflow")]
    Overflow = 9,
    /// The sender has not put up what it would take back.
    #[error("the sender's collateral is too low")]
    CollateralTooLow = 10,
    /// No atomic bundle that is undecided has a leg for the namespace.
    #[error("no such bundle waits for a verdict of that namespace")]
    NothingToJudge = 11,
    /// The sender is no executor of the namespace, or its collateral is below the bond.
    #[error("the sender is no executor of the namespace, or lacks the bond")]
    NotExecutor = 12,
}
