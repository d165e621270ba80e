//! Bids that wait for their height.
//!
//! A bid counts at its own height only, so it waits until a batch is sealed for that and is dropped
//! once it has passed. Of a bidder's bids for one height the one with the highest sequence waits.
//! It may take an earlier one's place [`MAX_REPLACEMENTS`] times: each is checked and passed on, and
//! only the last one pays.
//!
//! Those that offer the most go first, and of one height they stay when there is no room: a bid is
//! backed by collateral, so whoever crowds others out would have won against them. Bids for heights
//! further away make room for nearer ones, whatever they offer. Before a bid is sealed it is looked
//! at again: one that would not pay any more is dropped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use weft_types::{
    Address, Height, NamespaceId, Payload, TimeMs, Transaction, TransactionId, Verified, Wei,
};

use super::{Refusal, SENDER_SHARE, Terms, size_of};

/// How many heights ahead a bid may be.
pub const MAX_BID_AHEAD: Height = 64;

/// How many times a bidder's bid for a height may be replaced while it waits.
pub const MAX_REPLACEMENTS: u8 = 16;

/// What the chain says that matters to a bid.
#[derive(Clone, Copy, Debug)]
pub struct BidTerms {
    /// The next height to be decided.
    pub next: Height,
    /// What a bid costs on top of its bytes, in wei.
    pub fee: Wei,
    /// What the bidder has put up, in wei.
    pub collateral: Wei,
    /// The least that the reserves of its lots together can be at its height, in wei; or why it cannot stand
    /// there.
    pub reserve: Result<Wei, Unoffered>,
    /// The least that an atomic one has to be covered by, whatever it offers, in wei.
    pub cover: Wei,
}

/// What a namespace does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unoffered {
    /// A lot.
    Lot(NamespaceId),
    /// To take part in an atomic bundle, or in one with these others.
    Atomic(NamespaceId),
}

/// What waits, for one height: the highest amount last, of equal ones the one that came first.
type Rank = (Wei, Reverse<u64>);

struct Waiting {
    transaction: Verified<Transaction>,
    height: Height,
    sequence: u64,
    rank: Rank,
    fee: Wei,
    /// How many have waited in its place before it, one after another.
    replaced: u8,
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
    by_end: BTreeSet<(TimeMs, TransactionId)>,
    live: HashMap<(Address, Height), TransactionId>,
    /// What the bids of each bidder cost together, and their bytes.
    bidders: HashMap<Address, (Wei, usize)>,
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
            let reserve = bid.reserve.map_err(|unoffered| match unoffered {
                Unoffered::Lot(namespace) => Refusal::NoLot { namespace, height },
                Unoffered::Atomic(namespace) => Refusal::NotAtomic { namespace },
            })?;
            if amount < reserve {
                return Err(Refusal::BelowReserve { amount, reserve });
            }
            let amount = amount.max(bid.cover);
            if amount > bid.collateral {
                return Err(Refusal::Insolvent { amount, collateral: bid.collateral });
            }
        }
        let live = (witness.sender, height);
        let replaced = self.live.get(&live).copied();
        let mut replacements = 0;
        if let Some(earlier) = replaced.and_then(|id| self.waiting.get(&id)) {
            if earlier.sequence >= sequence {
                return Err(Refusal::Sequence { sequence, waiting: earlier.sequence });
            }
            // Whoever wants it no more can always say so: what is withdrawn is replaced no more.
            let withdraws = amount == 0 && earlier.rank.0 > 0;
            if earlier.replaced >= MAX_REPLACEMENTS && !withdraws {
                return Err(Refusal::Replaced { height });
            }
            replacements = earlier.replaced + 1;
        }
        let fee = Wei::from(witness.bytes).saturating_mul(terms.price).saturating_add(bid.fee);
        let gone = replaced.and_then(|id| self.waiting.get(&id));
        let gone = gone.map_or((0, 0), |earlier| (earlier.fee, size_of(&earlier.transaction)));
        let (fees, bytes) = self.bidders.get(&witness.sender).copied().unwrap_or_default();
        let fees = fees.saturating_sub(gone.0).saturating_add(fee);
        if terms.balance < fees {
            return Err(Refusal::CannotPay { balance: terms.balance, fees });
        }
        let size = witness.bytes as usize;
        let bytes = bytes.saturating_sub(gone.1) + size;
        if bytes > capacity / SENDER_SHARE {
            return Err(Refusal::SenderFull(bytes, capacity / SENDER_SHARE));
        }
        let rank = (amount, Reverse(self.arrivals));
        let needed = (self.bytes - gone.1 + size).saturating_sub(capacity);
        let evicted = self.least(needed, height, rank, replaced.as_ref()).ok_or(Refusal::Full)?;
        for id in evicted.iter().chain(&replaced) {
            self.remove(id);
        }
        self.arrivals += 1;
        self.bytes += size;
        *self.bytes_at.entry(height).or_default() += size;
        self.by_height.entry(height).or_default().insert(rank, witness.id);
        self.by_end.insert((transaction.body.valid_until, witness.id));
        self.live.insert(live, witness.id);
        let bidder = self.bidders.entry(witness.sender).or_default();
        *bidder = (bidder.0 + fee, bidder.1 + size);
        let replaced = replacements;
        let waiting = Waiting { transaction, height, sequence, rank, fee, replaced, lent: None };
        self.waiting.insert(witness.id, waiting);
        Ok(())
    }

    /// What has to go to make so many bytes of room for a bid: of later heights the furthest first, of
    /// its own those that offer less. `None` if that is not enough.
    fn least(
        &self,
        needed: usize,
        height: Height,
        rank: Rank,
        replaced: Option<&TransactionId>,
    ) -> Option<Vec<TransactionId>> {
        let (mut freed, mut least) = (0, Vec::new());
        let furthest_first = self.by_height.range(height..).rev();
        let all = furthest_first.flat_map(|(at, bids)| bids.iter().map(move |bid| (*at, bid)));
        for (at, (other, id)) in all {
            if freed >= needed || (at == height && *other >= rank) {
                break;
            }
            if Some(id) != replaced {
                freed += self.waiting.get(id).map_or(0, |bid| size_of(&bid.transaction));
                least.push(*id);
            }
        }
        (freed >= needed).then_some(least)
    }

    /// Takes out those for a height that offer the most, up to so many bytes and so many in number. The
    /// first may alone have up to `most` bytes: else one that is large and offers the most would keep
    /// all others out, and never pay for it. Those that do not stand any more are dropped.
    pub(super) fn take(
        &mut self,
        height: Height,
        bytes: usize,
        most: usize,
        count: usize,
        stands: impl Fn(&Verified<Transaction>) -> bool,
    ) -> Vec<Verified<Transaction>> {
        let mut left = bytes;
        let (mut best, mut dead) = (Vec::new(), Vec::new());
        for id in self.by_height.get(&height).into_iter().flat_map(|at| at.values().rev()) {
            let Some(waiting) = self.waiting.get(id) else { continue };
            let size = size_of(&waiting.transaction);
            if best.len() == count {
                break;
            }
            let fits = size <= left || (best.is_empty() && size <= most);
            if !stands(&waiting.transaction) {
                dead.push(*id);
            } else if fits {
                left = left.saturating_sub(size);
                best.push(*id);
            }
        }
        for id in dead {
            self.remove(&id);
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
            let size = size_of(&waiting.transaction);
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
        let (witness, size) = (transaction.witness(), size_of(&transaction));
        self.bytes -= size;
        self.by_end.remove(&(transaction.body.valid_until, *id));
        self.live.remove(&(witness.sender, height));
        if let Some(at) = self.by_height.get_mut(&height) {
            at.remove(&rank);
            if at.is_empty() {
                self.by_height.remove(&height);
            }
        }
        if let Some(bytes) = self.bytes_at.get_mut(&height) {
            *bytes -= size;
            if *bytes == 0 {
                self.bytes_at.remove(&height);
            }
        }
        if let Some(bidder) = self.bidders.get_mut(&witness.sender) {
            *bidder = (bidder.0 - fee, bidder.1 - size);
            if bidder.1 == 0 {
                self.bidders.remove(&witness.sender);
            }
        }
        Some(transaction)
    }

    /// Drops those for heights below the next one, and those whose window ended before `now`.
    pub(super) fn advance(&mut self, now: TimeMs, next: Height) {
        while let Some((_, id)) = self.by_end.first().copied().filter(|(end, _)| *end < now) {
            self.remove(&id);
        }
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
            && self.by_end.is_empty()
            && self.live.is_empty()
            && self.bidders.is_empty()
            && self.bytes == 0
    }
}
