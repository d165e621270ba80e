//! What a run of the exchange found.

use alloy_primitives::{Address, U256};
use serde::Serialize;

use super::answers::{Log, Receipt};

/// What was found. Everything in it has been checked.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The account that did everything.
    pub account: Address,
    /// What was deployed.
    pub contracts: Contracts,
    /// What was given and taken.
    pub amounts: Amounts,
    /// The log of the swap, as found by a search for logs.
    pub swap_log: Log,
    /// What cast said of a swap that asked for more than there is.
    pub refusal: String,
    /// What all transactions cost together, in wei.
    pub fees: U256,
    /// Every transaction, in order. The last one was reverted, as it had to be.
    pub steps: Vec<Step>,
}

/// The addresses of contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Contracts {
    /// The two tokens: the one that is given, and the one that is taken.
    pub tokens: [Address; 2],
    /// Wrapped ether, which the router must know of.
    pub weth: Address,
    /// The factory of pairs.
    pub factory: Address,
    /// The router.
    pub router: Address,
    /// The pair of the two tokens.
    pub pair: Address,
}

/// Amounts, in the tokens' smallest units. Two amounts stand in the order of
/// [`Contracts::tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// The account's shares in the pair.
    pub shares: U256,
    /// What the pair held before the swap.
    pub reserves_before: [U256; 2],
    /// What the swap took from the account.
    pub given: U256,
    /// What the swap paid to the account.
    pub taken: U256,
    /// What the pair held after the swap.
    pub reserves_after: [U256; 2],
    /// What the account held in the end.
    pub balances: [U256; 2],
}

/// A transaction that was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What it did.
    pub name: String,
    /// What became of it.
    pub receipt: Receipt,
}
