//! From the items of a slice to a block. Pure: the state before comes from a [`State`], and what was
//! looked up and changed is handed back.
//!
//! An item makes a transaction of the block if, in this order,
//!
//! 1. its bytes pass [`Checked::new`];
//! 2. it takes the next *place* of its sender: its nonce is the sender's nonce before the block
//!    plus the number of places that the sender has taken in this block. A place is taken once,
//!    whatever then becomes of the transaction;
//! 3. its gas limit is at most what the block has left;
//! 4. the EVM accepts it: the nonce is the sender's nonce by now, and funds suffice.
//!
//! Rule 2 makes the order of an account's transactions independent of execution, which is what lets
//! an engine with a transaction pool follow the same rules.

use std::collections::HashMap;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::{
    Context, Database, DatabaseCommit, ExecuteEvm, MainBuilder, MainContext, SystemCallEvm,
};

use super::block::{Place, Receipt, receipt};
use super::genesis::HISTORY_ADDRESS;
use super::skip::SkipReason;
use super::spec::ChainSpec;
use super::transaction::Checked;
use super::visited::{Changes, State, Visited};

/// A transaction of a block, and what became of it.
#[derive(Clone, Debug)]
pub struct Included {
    /// The transaction.
    pub transaction: Checked,
    /// Its receipt.
    pub receipt: Receipt,
    /// Gas it used.
    pub gas_used: u64,
    /// The contract it created.
    pub created: Option<Address>,
}

/// What executing a block came to.
#[derive(Debug)]
pub struct Executed {
    /// The block's transactions, in order.
    pub included: Vec<Included>,
    /// Hash of each skipped item's bytes, and why it was skipped.
    pub skipped: Vec<(B256, SkipReason)>,
    /// Every account and slot that was looked up, as it is after the block.
    pub state: Changes,
}

/// The transactions of a slice that take a place, in order. Shared by both engines.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Transactions that pass rules 1 and 2.
    pub taken: Vec<Checked>,
    /// Hash of each other item's bytes, and why it was skipped.
    pub skipped: Vec<(B256, SkipReason)>,
}

/// Applies rule 1: the items that pass on their own, and the others.
pub fn check_items(items: &[Bytes], spec: &ChainSpec) -> (Vec<Checked>, Vec<(B256, SkipReason)>) {
    let mut checked = Vec::with_capacity(items.len());
    let mut skipped = Vec::new();
    for item in items {
        match Checked::new(item, spec) {
            Ok(transaction) => checked.push(transaction),
            Err(reason) => skipped.push((alloy_primitives::keccak256(item), reason)),
        }
    }
    (checked, skipped)
}

/// Applies rule 2, given each sender's nonce before the block.
pub fn take_places<E>(
    checked: Vec<Checked>,
    skipped: Vec<(B256, SkipReason)>,
    mut nonce_before: impl FnMut(Address) -> Result<u64, E>,
) -> Result<Candidates, E> {
    let mut next: HashMap<Address, u64> = HashMap::new();
    let mut candidates = Candidates { taken: Vec::with_capacity(checked.len()), skipped };
    for transaction in checked {
        let place = match next.entry(transaction.sender) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(nonce_before(transaction.sender)?)
            }
        };
        let nonce = transaction.envelope.nonce();
        match nonce.cmp(place) {
            std::cmp::Ordering::Less => {
                candidates.skipped.push((transaction.hash, SkipReason::NonceTooLow));
            }
            std::cmp::Ordering::Greater => {
                candidates.skipped.push((transaction.hash, SkipReason::NonceTooHigh));
            }
            std::cmp::Ordering::Equal => {
                *place = place.saturating_add(1);
                candidates.taken.push(transaction);
            }
        }
    }
    Ok(candidates)
}

/// Executes the items of a slice on a state.
pub fn execute<S: State>(
    state: S,
    spec: &ChainSpec,
    place: &Place,
    items: &[Bytes],
) -> Result<Executed, S::Error> {
    let (checked, skipped) = check_items(items, spec);
    let candidates = take_places(checked, skipped, |sender| {
        Ok::<_, S::Error>(state.account(&sender)?.map_or(0, |(account, _)| account.nonce))
    })?;
    execute_candidates(state, spec, place, candidates)
}

fn execute_candidates<S: State>(
    state: S,
    spec: &ChainSpec,
    place: &Place,
    candidates: Candidates,
) -> Result<Executed, S::Error> {
    let Candidates { taken, mut skipped } = candidates;
    let mut db = Visited::new(state);
    let mut included: Vec<Included> = Vec::with_capacity(taken.len());
    let block = spec.block_env(place.number, place.timestamp, place.prevrandao());
    let mut evm =
        Context::mainnet().with_db(&mut db).with_cfg(spec.cfg()).with_block(block).build_mainnet();

    // EIP-2935: the parent's hash goes into the history contract.
    let parent = Bytes::copy_from_slice(place.parent.as_slice());
    match evm.system_call(HISTORY_ADDRESS, parent) {
        Ok(outcome) => evm.ctx.journaled_state.database.commit(outcome.state),
        Err(EVMError::Database(error)) => return Err(error),
        // Without the contract there is nothing to write to.
        Err(_) => {}
    }

    let mut gas_used = 0u64;
    for transaction in taken {
        // Looked up before anything else, as every engine does: it counts as visited.
        let _ = evm.ctx.journaled_state.database.basic(transaction.sender)?;
        if transaction.envelope.gas_limit() > spec.gas_limit.saturating_sub(gas_used) {
            skipped.push((transaction.hash, SkipReason::BlockFull));
            continue;
        }
        match evm.transact(transaction.env()) {
            Ok(outcome) => {
                evm.ctx.journaled_state.database.commit(outcome.state);
                let used = outcome.result.tx_gas_used();
                gas_used = gas_used.saturating_add(used);
                let (success, logs) = match outcome.result {
                    ExecutionResult::Success { logs, .. } => (true, logs),
                    ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => {
                        (false, Vec::new())
                    }
                };
                let kind = transaction.envelope.tx_type();
                included.push(Included {
                    receipt: receipt(kind, success, gas_used, logs),
                    gas_used: used,
                    created: transaction.created(),
                    transaction,
                });
            }
            Err(EVMError::Database(error)) => return Err(error),
            Err(error) => skipped.push((transaction.hash, reason(&error))),
        }
    }
    drop(evm);
    Ok(Executed { included, skipped, state: db.into_changes() })
}

fn reason<E>(error: &EVMError<E>) -> SkipReason {
    match error {
        EVMError::Transaction(
            InvalidTransaction::LackOfFundForMaxFee { .. }
            | InvalidTransaction::OverflowPaymentInTransaction,
        ) => SkipReason::Funds,
        EVMError::Transaction(InvalidTransaction::NonceTooLow { .. }) => SkipReason::NonceTooLow,
        EVMError::Transaction(InvalidTransaction::NonceTooHigh { .. }) => SkipReason::NonceTooHigh,
        // Everything else was checked on the bytes before.
        _ => SkipReason::Refused,
    }
}
