//! What becomes of transactions that were handed over, and of those that wait too long.

use std::collections::HashMap;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256};
use tokio::time::Instant;
use weft_types::TransactionId;

use super::{WorkError, Worker};
use crate::evm::chain::Holdings;
use crate::evm::skip::SkipReason;
use crate::evm::store::Outcome;
use crate::gateway::DropReason;
use crate::gateway::pool::{Attempt, Item};
use crate::gateway::price::wall_ms;
use crate::gateway::store::Changes;

impl Worker {
    /// A height was taken in: finds out what became of live Weft transactions.
    pub(super) async fn settle(&mut self) -> Result<(), WorkError> {
        // First the head, then the chain: whatever the head covers, the chain shows.
        let head = *self.setup.head.borrow();
        let block = *self.setup.chain.tip().borrow();
        let attempts: Vec<(TransactionId, Attempt)> = {
            let pool = self.pool();
            pool.attempts().iter().map(|(id, attempt)| (*id, attempt.clone())).collect()
        };
        let ids: Vec<TransactionId> = attempts.iter().map(|(id, _)| *id).collect();
        let heights = self.setup.chain.submissions(&ids).await?;
        let mut changes = Changes::default();
        let mut touched = Vec::new();
        for ((id, attempt), height) in attempts.into_iter().zip(heights) {
            if height.is_some() {
                self.executed(&id, &attempt, &mut changes, &mut touched).await?;
            } else if head.time_ms > attempt.valid_until {
                self.expired(&id, &attempt, &mut changes);
            } else {
                continue;
            }
            self.bury(&id);
            changes.dead.push(id);
        }
        self.apply(changes).await?;
        if self.last_block != Some(block) {
            self.last_block = Some(block);
            touched = self.pool().accounts().collect();
        }
        self.look_at(touched).await?;
        if self.pool().waiting().next().is_some() {
            let now = Instant::now();
            self.pack_at = Some(self.pack_at.map_or(now, |at| at.min(now)));
        }
        Ok(())
    }

    /// A Weft transaction stood in a slice: each item was executed or skipped there.
    async fn executed(
        &mut self,
        id: &TransactionId,
        attempt: &Attempt,
        changes: &mut Changes,
        touched: &mut Vec<Address>,
    ) -> Result<(), WorkError> {
        let outcomes = self.setup.chain.outcomes(&attempt.items).await?;
        let senders: Vec<Address> = {
            let pool = self.pool();
            let sender = |hash| pool.get(hash).map(|item| item.transaction.sender);
            attempt.items.iter().filter_map(sender).collect()
        };
        let holdings = self.setup.chain.holdings(&senders).await?;
        let holdings: HashMap<Address, Holdings> = senders.into_iter().zip(holdings).collect();
        let max_attempts = self.setup.config.max_attempts;
        let mut pool = self.pool();
        for (hash, outcome) in attempt.items.iter().zip(outcomes) {
            let Some(item) = pool.get(hash).filter(|item| item.live == Some(*id)) else {
                continue;
            };
            let sender = item.transaction.sender;
            touched.push(sender);
            let reason = match outcome {
                Some(Outcome::Executed { .. }) => {
                    pool.remove(hash, None);
                    changes.gone.push(*hash);
                    self.setup.metrics.executed();
                    continue;
                }
                Some(Outcome::Skipped { reason, .. }) => reason,
                None => SkipReason::Refused,
            };
            let has = holdings.get(&sender).copied().unwrap_or_default();
            if is_worth_retrying(reason, item, has) && item.attempts < max_attempts {
                tracing::debug!(%hash, %reason, "skipped, will be handed over again");
                continue;
            }
            let reason = DropReason::Skipped(reason);
            pool.remove(hash, Some(reason));
            changes.dropped.push((*hash, reason));
            self.setup.metrics.dropped();
        }
        pool.release(id);
        Ok(())
    }

    /// A verified block time is past what a Weft transaction allows: it will never be ordered.
    fn expired(&mut self, id: &TransactionId, attempt: &Attempt, changes: &mut Changes) {
        tracing::warn!(%id, items = attempt.items.len(), "Weft transaction was not ordered in time");
        self.setup.metrics.expired();
        let max_attempts = self.setup.config.max_attempts;
        let mut pool = self.pool();
        pool.release(id);
        for hash in &attempt.items {
            if pool.get(hash).is_some_and(|item| item.attempts >= max_attempts) {
                pool.remove(hash, Some(DropReason::Expired));
                changes.dropped.push((*hash, DropReason::Expired));
                self.setup.metrics.dropped();
            }
        }
    }

    /// Looks at what accounts have now, and drops waiting transactions whose nonce is used.
    async fn look_at(&mut self, mut accounts: Vec<Address>) -> Result<(), WorkError> {
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.is_empty() {
            return Ok(());
        }
        let holdings = self.setup.chain.holdings(&accounts).await?;
        let stale: Vec<B256> = {
            let mut pool = self.pool();
            let mut stale = Vec::new();
            for (account, has) in accounts.iter().zip(holdings) {
                pool.executed(account, has.nonce);
                stale.extend(pool.stale(account));
            }
            stale.retain(|hash| pool.get(hash).is_some_and(|item| item.live.is_none()));
            stale
        };
        if stale.is_empty() {
            return Ok(());
        }
        let outcomes = self.setup.chain.outcomes(&stale).await?;
        let mut changes = Changes::default();
        {
            let mut pool = self.pool();
            for (hash, outcome) in stale.into_iter().zip(outcomes) {
                if matches!(outcome, Some(Outcome::Executed { .. })) {
                    pool.remove(&hash, None);
                    changes.gone.push(hash);
                    self.setup.metrics.executed();
                } else {
                    pool.remove(&hash, Some(DropReason::NonceUsed));
                    changes.dropped.push((hash, DropReason::NonceUsed));
                    self.setup.metrics.dropped();
                }
            }
        }
        self.apply(changes).await?;
        Ok(())
    }

    /// Gives up transactions whose predecessor never came, and looks at accounts again.
    pub(super) async fn sweep(&mut self) -> Result<(), WorkError> {
        let accounts: Vec<Address> = self.pool().accounts().collect();
        self.look_at(accounts).await?;
        let timeout = u64::try_from(self.setup.config.gap_timeout.as_millis()).unwrap_or(u64::MAX);
        let oldest = wall_ms().saturating_sub(timeout);
        let mut changes = Changes::default();
        {
            let mut pool = self.pool();
            let is_stuck = |item: &&Item| {
                let next = pool.next_nonce_of(&item.transaction.sender);
                item.received_ms < oldest && item.transaction.envelope.nonce() > next
            };
            let stuck: Vec<B256> =
                pool.waiting().filter(is_stuck).map(|item| item.transaction.hash).collect();
            for hash in stuck {
                pool.remove(&hash, Some(DropReason::NonceGap));
                changes.dropped.push((hash, DropReason::NonceGap));
                self.setup.metrics.dropped();
            }
            if self.pack_at.is_none() && pool.waiting().next().is_some() {
                drop(pool);
                self.pack_at = Some(Instant::now());
            }
        }
        self.apply(changes).await?;
        Ok(())
    }
}

/// Whether a skipped transaction may well execute next time.
fn is_worth_retrying(reason: SkipReason, item: &Item, has: Holdings) -> bool {
    reason.may_pass_later()
        && item.transaction.envelope.nonce() >= has.nonce
        && item.transaction.max_cost() <= has.balance
}
