//! Bids that wait for their height.
//!
//! A bid counts at its own height only, so it waits until a batch is sealed for that and is dropped
//! once it has passed. Of a bidder's bids for one height the one with the highest sequence waits.
//! Those that offer the most go first, and stay when there is no room: a bid is backed by
//! collateral, so whoever crowds others out would have won against them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use weft_types::{
    Address, Height, NamespaceId, Payload, Transaction, TransactionId, Verified, Wei,
};

use super::{Refusal, Terms};

/// How many heights ahead a bid may be.
pub const MAX_BID_AHEAD: Height = 64;

/// What the chain says that matters to a bid.
#[derive(Clone, Copy, Debug)]
pub struct BidTerms {
    /// The next height to be decided.
    pub next: Height,
    /// What a bid costs on top of its bytes, in wei.
    pub fee: Wei,
    /// What the bidder has put up, in wei.
    pub collateral: Wei,
    /// The least that the reserves of its lots together can be at its height, in wei; or a namespace
    /// that offers no lot there.
    pub reserve: Result<Wei, NamespaceId>,
}

/// What waits, for one height: the highest amount last, of equal ones the one that came first.
type Rank = (Wei, Reverse<u64>);

struct Waiting {
    transaction: Verified<Transaction>,
    height: Height,
    sequence: u64,
    rank: Rank,
    fee: Wei,
    /// Until when it is left to a validator that was handed it.
    lent: Option<Instant>,
}

/// The bids.
#[derive(Default)]
pub(super) struct Bids {
    waiting: HashMap<TransactionId, Waiting>,
    by_height: BTreeMap<Height, BTreeMap<Rank, TransactionId>>,
    /// Bytes by height.
    bytes_at: BTreeMap<Height, usize>,
    by_rank: BTreeMap<Rank, TransactionId>,
    live: HashMap<(Address, Height), TransactionId>,
    /// What the bids of each bidder cost together.
    fees: HashMap<Address, Wei>,
    bytes: usize,
    arrivals: u64,
}

impl Bids {
    pub(super) fn contains(&self, id: &TransactionId) -> bool {
        self.waiting.contains_key(id)
    }

    /// Bytes and number of all that wait.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.bytes, self.waiting.len())
    }

    /// Bytes of those that wait for a height.
    pub(super) fn bytes_at(&self, height: Height) -> usize {
        self.bytes_at.get(&height).copied().unwrap_or(0)
    }

    /// Takes one in, whose window and inclusion fee have been checked.
    pub(super) fn insert(
        &mut self,
        transaction: Verified<Transaction>,
        terms: &Terms,
        capacity: usize,
    ) -> Result<(), Refusal> {
        let Payload::Bid { sequence, height, amount, .. } = transaction.body.payload else {
            return Ok(());
        };
        let witness = *transaction.witness();
        let bid = terms.bid;
        if height < bid.next {
            return Err(Refusal::PastHeight { height, next: bid.next });
        }
        if height > bid.next.saturating_add(MAX_BID_AHEAD) {
            return Err(Refusal::FarHeight { height, next: bid.next });
        }
        if amount > 0 {
            let reserve = bid.reserve.map_err(|namespace| Refusal::NoLot { namespace, height })?;
            if amount < reserve {
                return Err(Refusal::BelowReserve { amount, reserve });
            }
            if amount > bid.collateral {
                return Err(Refusal::Insolvent { amount, collateral: bid.collateral });
            }
        }
        let live = (witness.sender, height);
        let replaced = self.live.get(&live).copied();
        if let Some(earlier) = replaced.and_then(|id| self.waiting.get(&id))
            && earlier.sequence >= sequence
        {
            return Err(Refusal::Sequence { sequence, waiting: earlier.sequence });
        }
        let fee = Wei::from(witness.bytes).saturating_mul(terms.price).saturating_add(bid.fee);
        let gone = replaced.and_then(|id| self.waiting.get(&id)).map_or(0, |earlier| earlier.fee);
        let fees = self.fees.get(&witness.sender).copied().unwrap_or(0);
        let fees = fees.saturating_sub(gone).saturating_add(fee);
        if terms.balance < fees {
            return Err(Refusal::CannotPay { balance: terms.balance, fees });
        }
        if let Some(replaced) = replaced {
            self.remove(&replaced);
        }
        let size = witness.bytes as usize;
        let rank = (amount, Reverse(self.arrivals));
        while self.bytes + size > capacity {
            let lowest = self.by_rank.first_key_value().map(|(rank, id)| (*rank, *id));
            match lowest {
                Some((lower, id)) if lower < rank => {
                    self.remove(&id);
                }
                _ => return Err(Refusal::Full),
            }
        }
        self.arrivals += 1;
        self.bytes += size;
        *self.bytes_at.entry(height).or_default() += size;
        self.by_height.entry(height).or_default().insert(rank, witness.id);
        self.by_rank.insert(rank, witness.id);
        self.live.insert(live, witness.id);
        *self.fees.entry(witness.sender).or_default() += fee;
        self.waiting
            .insert(witness.id, Waiting { transaction, height, sequence, rank, fee, lent: None });
        Ok(())
    }

    /// Takes out those for a height that offer the most, up to so many bytes and so many in number. The
    /// first may alone have up to `most` bytes: else one that is large and offers the most would keep
    /// all others out, and never pay for it.
    pub(super) fn take(
        &mut self,
        height: Height,
        bytes: usize,
        most: usize,
        count: usize,
        can_pay: impl Fn(&Verified<Transaction>) -> bool,
    ) -> Vec<Verified<Transaction>> {
        let mut left = bytes;
        let mut best = Vec::new();
        for id in self.by_height.get(&height).into_iter().flat_map(|at| at.values().rev()) {
            let Some(waiting) = self.waiting.get(id) else { continue };
            let size = waiting.transaction.witness().bytes as usize;
            if best.len() == count {
                break;
            }
            let fits = size <= left || (best.is_empty() && size <= most);
            if fits && can_pay(&waiting.transaction) {
                left = left.saturating_sub(size);
                best.push(*id);
            }
        }
        best.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Those that have not been lent, or whose time is over: all of them, up to so many bytes and so
    /// many in number.
    pub(super) fn lend(&mut self, bytes: usize, count: usize, until: Instant) -> Vec<Transaction> {
        let now = Instant::now();
        let (mut left, mut lent) = (bytes, Vec::new());
        for id in self.by_height.values().flat_map(|at| at.values().rev()) {
            let Some(waiting) = self.waiting.get_mut(id) else { continue };
            let size = waiting.transaction.witness().bytes as usize;
            if lent.len() == count {
                break;
            }
            if size <= left && waiting.lent.is_none_or(|until| until <= now) {
                waiting.lent = Some(until);
                left -= size;
                lent.push((*waiting.transaction).clone());
            }
        }
        lent
    }

    pub(super) fn remove(&mut self, id: &TransactionId) -> Option<Verified<Transaction>> {
        let Waiting { transaction, height, rank, fee, .. } = self.waiting.remove(id)?;
        let witness = transaction.witness();
        self.bytes -= witness.bytes as usize;
        self.by_rank.remove(&rank);
        self.live.remove(&(witness.sender, height));
        if let Some(at) = self.by_height.get_mut(&height) {
            at.remove(&rank);
            if at.is_empty() {
                self.by_height.remove(&height);
            }
        }
        if let Some(bytes) = self.bytes_at.get_mut(&height) {
            *bytes -= witness.bytes as usize;
            if *bytes == 0 {
                self.bytes_at.remove(&height);
            }
        }
        if let Some(fees) = self.fees.get_mut(&witness.sender) {
            *fees -= fee;
            if *fees == 0 {
                self.fees.remove(&witness.sender);
            }
        }
        Some(transaction)
    }

    /// Drops those for heights below the next one.
    pub(super) fn advance(&mut self, next: Height) {
        let later = self.by_height.split_off(&next);
        let passed = std::mem::replace(&mut self.by_height, later);
        for id in passed.into_values().flat_map(BTreeMap::into_values) {
            self.remove(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
            && self.by_height.is_empty()
            && self.bytes_at.is_empty()
            && self.by_rank.is_empty()
            && self.live.is_empty()
            && self.fees.is_empty()
            && self.bytes == 0
    }
}
