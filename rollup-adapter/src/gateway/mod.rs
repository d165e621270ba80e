//! The gateway: takes a rollup's native transactions and carries them into the order.
//!
//! | file | what |
//! |---|---|
//! | [`pool`] | what was accepted and where it stands; pure |
//! | [`refusal`] | why something is not accepted |
//! | [`pack`] | choosing what goes into the next Weft transaction; pure |
//! | [`store`] | the pool on disk |
//! | [`price`] | what a Weft transaction may cost |
//! | [`post`] | handing a Weft transaction to endpoints until it is in the order |
//! | [`metrics`] | what it is counted by |
//! | [`worker`] | the task that does all of it |
//!
//! What the gateway promises:
//!
//! - A hash is returned only once the transaction is on disk. It stays there until it is executed,
//!   or [dropped](DropReason) for a reason that `weft_status` tells.
//! - A transaction is in at most one live Weft transaction at a time. A Weft transaction is dead
//!   once a verified block time is past its `valid_until`, or once it was executed; nothing that an
//!   endpoint says can make it so.
//! - An account's transactions are handed over in order of nonce, in one Weft transaction at a time,
//!   so that they cannot overtake each other.

pub mod metrics;
pub mod pack;
pub mod pool;
pub mod post;
pub mod price;
pub mod refusal;
pub mod store;
pub mod worker;

use std::sync::{Arc, PoisonError, RwLock};

use alloy_primitives::{Address, B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot};
use weft_types::TransactionId;

use crate::evm::chain::Chain;
use crate::evm::items::binding;
use crate::evm::skip::SkipReason;
use crate::evm::transaction::Checked;
use pool::Pool;
pub use refusal::Refusal;

/// Most submissions that wait for the worker.
pub const MAX_WAITING_COMMANDS: usize = 4096;
/// Most hashes of new transactions that a slow subscriber may be behind.
const ANNOUNCEMENTS: usize = 4096;

/// Why an accepted transaction was given up.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case", tag = "reason", content = "detail")]
pub enum DropReason {
    /// It stood in a slice and was skipped, and will be in any other.
    #[error("skipped: {0}")]
    Skipped(SkipReason),
    /// Another transaction with its nonce was executed.
    #[error("another transaction with the same nonce was executed")]
    NonceUsed,
    /// Its sender replaced it by one with a higher fee.
    #[error("replaced by a transaction with a higher fee")]
    Replaced,
    /// Every Weft transaction that carried it ran out of time.
    #[error("not ordered in time, however often it was handed over")]
    Expired,
    /// The transaction with the nonce before never came.
    #[error("the transaction with the nonce before never came")]
    NonceGap,
}

/// What the gateway knows of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It waits to be handed over.
    Waiting,
    /// It is in a live Weft transaction.
    Live(TransactionId),
    /// It was given up.
    Dropped(DropReason),
}

/// A checked transaction on its way to the worker, and what its sender had when it was checked.
pub(crate) struct Command {
    pub(crate) transaction: Checked,
    pub(crate) holdings: crate::evm::chain::Holdings,
    pub(crate) reply: oneshot::Sender<Result<(), Refusal>>,
}

/// The gateway, for those who hand transactions to it. Clones share.
#[derive(Clone)]
pub struct Gateway {
    chain: Chain,
    commands: mpsc::Sender<Command>,
    pool: Arc<RwLock<Pool>>,
    announcements: broadcast::Sender<B256>,
}

impl Gateway {
    /// Accepts a transaction, durably, or says why not.
    pub async fn submit(&self, raw: Bytes) -> Result<B256, Refusal> {
        refusal::check_size(&raw)?;
        let transaction = Checked::new(&raw, self.chain.spec()).map_err(Refusal::Invalid)?;
        refusal::check_protected(&transaction)?;
        if binding(&transaction.envelope).is_some() {
            // It executes at the head of a slice, or never.
            return Err(Refusal::Invalid(SkipReason::Bound));
        }
        let hash = transaction.hash;
        let holdings = self.chain.holdings(&[transaction.sender]).await;
        let holdings = holdings
            .map_err(|error| Refusal::Unavailable(error.to_string()))?
            .first()
            .copied()
            .unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        let command = Command { transaction, holdings, reply };
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Busy,
            mpsc::error::TrySendError::Closed(_) => Refusal::ShuttingDown,
        })?;
        answer.await.map_err(|_| Refusal::ShuttingDown)??;
        Ok(hash)
    }

    /// What the gateway knows of a transaction; `None` if nothing.
    pub fn known(&self, hash: &B256) -> Option<Known> {
        self.read().known(hash)
    }

    /// A transaction that is not executed yet.
    pub fn pending(&self, hash: &B256) -> Option<Checked> {
        self.read().get(hash).map(|item| item.transaction.clone())
    }

    /// The nonce after the last one in a row that the gateway holds for an account, given the one
    /// that the chain says is next.
    pub fn next_nonce(&self, account: &Address, executed: u64) -> u64 {
        self.read().next_nonce(account, executed)
    }

    /// How many transactions are held, and how many of them are in a live Weft transaction.
    pub fn counts(&self) -> (usize, usize) {
        let pool = self.read();
        (pool.len(), pool.live())
    }

    /// Hashes of transactions as they are accepted.
    pub fn announcements(&self) -> broadcast::Receiver<B256> {
        self.announcements.subscribe()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Pool> {
        self.pool.read().unwrap_or_else(PoisonError::into_inner)
    }
}
