//! Transactions that came to this node, from arrival until they are final: for their status, and
//! to measure how long each tier takes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use weft_types::TransactionId;

/// Most transactions tracked. Beyond that the oldest is forgotten; its status can still be read
/// from the mempool and the chain.
const MOST: usize = 200_000;

/// Transactions under way.
#[derive(Default)]
pub struct Tracker(Mutex<Tracked>);

#[derive(Default)]
struct Tracked {
    transactions: HashMap<TransactionId, Entry>,
    arrivals: VecDeque<TransactionId>,
}

#[derive(Clone, Copy)]
struct Entry {
    arrived: Instant,
    expected: bool,
}

impl Tracker {
    /// A transaction has come in.
    pub fn received(&self, id: TransactionId) {
        let mut tracked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { arrived: Instant::now(), expected: false };
        if tracked.transactions.insert(id, entry).is_none() {
            tracked.arrivals.push_back(id);
        }
        while tracked.arrivals.len() > MOST {
            if let Some(oldest) = tracked.arrivals.pop_front() {
                tracked.transactions.remove(&oldest);
            }
        }
    }

    /// A quorum names the batch of these transactions. Returns how long those tracked took.
    pub fn expected<'a>(&self, ids: impl Iterator<Item = &'a TransactionId>) -> Vec<Duration> {
        let mut tracked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tracked.transactions.is_empty() {
            return Vec::new();
        }
        let mut took = Vec::new();
        for id in ids {
            if let Some(entry) = tracked.transactions.get_mut(id)
                && !entry.expected
            {
                entry.expected = true;
                took.push(entry.arrived.elapsed());
            }
        }
        took
    }

    /// These transactions have been ordered. Returns how long those tracked took.
    pub fn ordered<'a>(&self, ids: impl Iterator<Item = &'a TransactionId>) -> Vec<Duration> {
        let mut tracked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tracked.transactions.is_empty() {
            return Vec::new();
        }
        let took: Vec<Duration> = ids
            .filter_map(|id| tracked.transactions.remove(id))
            .map(|entry| entry.arrived.elapsed())
            .collect();
        // Those that are gone leave their place in the queue when it comes to them.
        while let Some(oldest) = tracked.arrivals.front().copied() {
            if tracked.transactions.contains_key(&oldest) {
                break;
            }
            tracked.arrivals.pop_front();
        }
        took
    }

    /// Whether a transaction is under way and, if so, expected.
    pub fn get(&self, id: &TransactionId) -> Option<bool> {
        let tracked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tracked.transactions.get(id).map(|entry| entry.expected)
    }
}
