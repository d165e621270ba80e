//! What was accepted and where it stands. Pure: no IO, no clock; times are handed in.

use std::collections::{BTreeMap, HashMap, VecDeque};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};
use weft_types::{TimeMs, TransactionId};

use super::{DropReason, Known, Refusal};
use crate::evm::chain::Holdings;
use crate::evm::transaction::Checked;

/// Most given-up transactions whose reason is remembered.
pub const MAX_REMEMBERED: usize = 50_000;
/// A replacement has to pay at least this many percent more.
const PRICE_BUMP: u128 = 10;

/// How much is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most transactions of one account.
    pub account_items: usize,
    /// How far a nonce may lie beyond the account's.
    pub nonces_ahead: u64,
    /// Most transactions in all.
    pub items: usize,
    /// Most bytes in all.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { account_items: 512, nonces_ahead: 1024, items: 50_000, bytes: 128 * 1024 * 1024 }
    }
}

/// An accepted transaction.
#[derive(Clone, Debug)]
pub struct Item {
    /// The transaction.
    pub transaction: Checked,
    /// Its place in the order of arrival.
    pub arrival: u64,
    /// When it arrived, by this machine's clock.
    pub received_ms: TimeMs,
    /// How many Weft transactions have carried it.
    pub attempts: u32,
    /// The live Weft transaction that carries it.
    pub live: Option<TransactionId>,
}

/// A live Weft transaction.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Last block time at which it may be ordered.
    pub valid_until: TimeMs,
    /// What it carries.
    pub items: Vec<B256>,
}

#[derive(Debug, Default)]
struct Account {
    /// The nonce that the chain says is next, as last seen.
    executed: u64,
    /// Transactions by nonce.
    items: BTreeMap<u64, B256>,
    /// What they may cost in all.
    cost: U256,
    /// How many of them are in a live Weft transaction.
    live: usize,
}

/// All accepted transactions.
#[derive(Debug, Default)]
pub struct Pool {
    limits: Limits,
    items: HashMap<B256, Item>,
    accounts: HashMap<Address, Account>,
    /// Waiting transactions by arrival.
    waiting: BTreeMap<u64, B256>,
    attempts: HashMap<TransactionId, Attempt>,
    dropped: HashMap<B256, DropReason>,
    drop_order: VecDeque<B256>,
    bytes: usize,
    next_arrival: u64,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many transactions are held.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many of them are in a live Weft transaction.
    pub fn live(&self) -> usize {
        self.items.len().saturating_sub(self.waiting.len())
    }

    /// A transaction that is held.
    pub fn get(&self, hash: &B256) -> Option<&Item> {
        self.items.get(hash)
    }

    /// What is known of a transaction.
    pub fn known(&self, hash: &B256) -> Option<Known> {
        match self.items.get(hash) {
            Some(Item { live: Some(id), .. }) => Some(Known::Live(*id)),
            Some(_) => Some(Known::Waiting),
            None => self.dropped.get(hash).copied().map(Known::Dropped),
        }
    }

    /// The live Weft transactions.
    pub fn attempts(&self) -> &HashMap<TransactionId, Attempt> {
        &self.attempts
    }

    /// The accounts that have transactions here.
    pub fn accounts(&self) -> impl Iterator<Item = Address> + '_ {
        self.accounts.keys().copied()
    }

    /// The nonce after the last one in a row that is held for an account.
    pub fn next_nonce(&self, account: &Address, executed: u64) -> u64 {
        let Some(account) = self.accounts.get(account) else { return executed };
        let mut next = executed;
        while account.items.contains_key(&next) {
            next = next.saturating_add(1);
        }
        next
    }

    /// Whether a transaction may be added; which one it would replace, if any.
    pub fn admit(
        &self,
        transaction: &Checked,
        holdings: Holdings,
    ) -> Result<Option<B256>, Refusal> {
        if self.items.contains_key(&transaction.hash) {
            return Err(Refusal::AlreadyKnown);
        }
        let nonce = transaction.envelope.nonce();
        if nonce < holdings.nonce {
            return Err(Refusal::NonceTooLow { nonce, next: holdings.nonce });
        }
        let ahead = self.limits.nonces_ahead;
        if nonce - holdings.nonce > ahead {
            return Err(Refusal::NonceTooHigh { nonce, next: holdings.nonce, ahead });
        }
        let account = self.accounts.get(&transaction.sender);
        let replaced = account.and_then(|account| account.items.get(&nonce)).copied();
        let replaced_item = replaced.and_then(|hash| self.items.get(&hash));
        if let Some(item) = replaced_item {
            if let Some(id) = item.live {
                let hash = item.transaction.hash;
                return Err(Refusal::HandedOver { nonce, hash, id });
            }
            if !outbids(transaction, &item.transaction) {
                return Err(Refusal::Underpriced);
            }
        }
        let cost = transaction.max_cost();
        let pending = account.map_or(U256::ZERO, |account| account.cost);
        let pending = pending
            .saturating_sub(replaced_item.map_or(U256::ZERO, |item| item.transaction.max_cost()));
        if pending.saturating_add(cost) > holdings.balance {
            return Err(Refusal::Funds { balance: holdings.balance, pending, cost });
        }
        if replaced.is_none() {
            let count = account.map_or(0, |account| account.items.len());
            if count >= self.limits.account_items {
                return Err(Refusal::AccountFull(count));
            }
            let bytes = self.bytes.saturating_add(transaction.raw.len());
            if self.items.len() >= self.limits.items || bytes > self.limits.bytes {
                return Err(Refusal::PoolFull);
            }
        }
        Ok(replaced)
    }

    /// Adds a transaction that was [admitted](Self::admit).
    pub fn add(&mut self, transaction: Checked, executed: u64, received_ms: TimeMs) -> &Item {
        let arrival = self.next_arrival;
        let item = Item { transaction, arrival, received_ms, attempts: 0, live: None };
        self.restore(item, executed)
    }

    /// Puts an item into the pool as it is.
    pub fn restore(&mut self, item: Item, executed: u64) -> &Item {
        self.next_arrival = self.next_arrival.max(item.arrival.saturating_add(1));
        let hash = item.transaction.hash;
        let account = self.accounts.entry(item.transaction.sender).or_default();
        account.executed = account.executed.max(executed);
        account.items.insert(item.transaction.envelope.nonce(), hash);
        account.cost = account.cost.saturating_add(item.transaction.max_cost());
        if item.live.is_some() {
            account.live += 1;
        } else {
            self.waiting.insert(item.arrival, hash);
        }
        self.bytes = self.bytes.saturating_add(item.transaction.raw.len());
        self.dropped.remove(&hash);
        self.items.entry(hash).insert_entry(item).into_mut()
    }

    /// Removes a transaction. With a reason it was given up, without one it was executed.
    pub fn remove(&mut self, hash: &B256, reason: Option<DropReason>) -> Option<Item> {
        let item = self.items.remove(hash)?;
        self.waiting.remove(&item.arrival);
        self.bytes = self.bytes.saturating_sub(item.transaction.raw.len());
        let sender = item.transaction.sender;
        if let Some(account) = self.accounts.get_mut(&sender) {
            let nonce = item.transaction.envelope.nonce();
            // A replacement may stand in its place already.
            if account.items.get(&nonce) == Some(hash) {
                account.items.remove(&nonce);
            }
            account.cost = account.cost.saturating_sub(item.transaction.max_cost());
            account.live -= usize::from(item.live.is_some()).min(account.live);
            if account.items.is_empty() {
                self.accounts.remove(&sender);
            }
        }
        if let Some(reason) = reason {
            self.remember(*hash, reason);
        }
        Some(item)
    }

    /// Remembers why a transaction was given up. Returns one that is forgotten for it.
    pub fn remember(&mut self, hash: B256, reason: DropReason) -> Option<B256> {
        if self.dropped.insert(hash, reason).is_none() {
            self.drop_order.push_back(hash);
        }
        if self.drop_order.len() <= MAX_REMEMBERED {
            return None;
        }
        let oldest = self.drop_order.pop_front()?;
        self.dropped.remove(&oldest);
        Some(oldest)
    }

    /// What the chain says of an account now.
    pub fn executed(&mut self, account: &Address, nonce: u64) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.executed = nonce;
        }
    }

    /// Transactions of an account whose nonce has been used.
    pub fn stale(&self, account: &Address) -> Vec<B256> {
        let Some(account) = self.accounts.get(account) else { return Vec::new() };
        account.items.range(..account.executed).map(|(_, hash)| *hash).collect()
    }

    /// Puts transactions into a live Weft transaction.
    pub fn hand_over(&mut self, id: TransactionId, attempt: Attempt) {
        for hash in &attempt.items {
            let Some(item) = self.items.get_mut(hash) else { continue };
            if item.live.replace(id).is_none() {
                self.waiting.remove(&item.arrival);
                if let Some(account) = self.accounts.get_mut(&item.transaction.sender) {
                    account.live += 1;
                }
            }
            item.attempts = item.attempts.saturating_add(1);
        }
        self.attempts.insert(id, attempt);
    }

    /// Takes back a Weft transaction that was live when the process last ended. Its items have been
    /// [restored](Self::restore) as live.
    pub fn resume(&mut self, id: TransactionId, attempt: Attempt) {
        self.attempts.insert(id, attempt);
    }

    /// The nonce that an account's next transaction to be handed over has.
    pub fn next_nonce_of(&self, account: &Address) -> u64 {
        let executed = self.accounts.get(account).map_or(0, |account| account.executed);
        self.next_nonce(account, executed)
    }

    /// A Weft transaction is dead: what it carried and is still held waits again.
    pub fn release(&mut self, id: &TransactionId) -> Option<Attempt> {
        let attempt = self.attempts.remove(id)?;
        for hash in &attempt.items {
            let Some(item) = self.items.get_mut(hash) else { continue };
            if item.live != Some(*id) {
                continue;
            }
            item.live = None;
            self.waiting.insert(item.arrival, *hash);
            if let Some(account) = self.accounts.get_mut(&item.transaction.sender) {
                account.live = account.live.saturating_sub(1);
            }
        }
        Some(attempt)
    }

    /// Waiting transactions that it is their account's turn for, in order of arrival but never
    /// before one of the same account with a lower nonce, as long as `take` wants them. Accounts
    /// that have something live are left out.
    pub fn ready(&self, mut take: impl FnMut(&Item) -> bool) {
        let mut next: HashMap<Address, u64> = HashMap::new();
        for (arrival, hash) in &self.waiting {
            let Some(item) = self.items.get(hash) else { continue };
            let sender = item.transaction.sender;
            let Some(account) = self.accounts.get(&sender) else { continue };
            if account.live > 0 {
                continue;
            }
            let due = next.entry(sender).or_insert(account.executed);
            if item.transaction.envelope.nonce() != *due {
                continue;
            }
            // This one, and those after it that arrived before it.
            let mut current = item;
            loop {
                if !take(current) {
                    return;
                }
                *due = due.saturating_add(1);
                let following = account.items.get(due).and_then(|hash| self.items.get(hash));
                match following {
                    Some(item) if item.arrival < *arrival => current = item,
                    _ => break,
                }
            }
        }
    }

    /// Waiting transactions, in order of arrival.
    pub fn waiting(&self) -> impl Iterator<Item = &Item> {
        self.waiting.values().filter_map(|hash| self.items.get(hash))
    }
}

/// Whether a transaction pays enough more than another.
fn outbids(new: &Checked, old: &Checked) -> bool {
    let enough = |new: u128, old: u128| {
        new >= old.saturating_add(old.saturating_mul(PRICE_BUMP).div_ceil(100))
    };
    let tip = |tx: &Checked| {
        tx.envelope.max_priority_fee_per_gas().unwrap_or(tx.envelope.max_fee_per_gas())
    };
    enough(new.envelope.max_fee_per_gas(), old.envelope.max_fee_per_gas())
        && enough(tip(new), tip(old))
        && new.envelope.max_fee_per_gas() > old.envelope.max_fee_per_gas()
}
