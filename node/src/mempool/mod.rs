//! Transactions that wait to be sealed into a batch.
//!
//! Bounded by bytes, ordered by what they pay at most per byte; forgets what has expired. There are
//! no nonces, so nothing waits for anything else. A transaction replaces an earlier one of the same
//! sender and salt if it pays more; one that has left for a batch cannot be replaced. Bids wait apart,
//! each for its height: see `bids`.

mod bids;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use weft_types::{
    Address, Height, NamespaceId, Payload, TimeMs, Transaction, TransactionId, Verified, Wei,
};

use self::bids::Bids;
pub use self::bids::{BidTerms, MAX_BID_AHEAD, MAX_REPLACEMENTS, Unoffered};

/// Part of the pool that one sender may fill.
const SENDER_SHARE: usize = 4;

/// Part of the pool's room that bids may fill, beyond what all others have.
const BIDS_SHARE: usize = 8;

/// Part of a batch that bids may fill.
const BIDS_OF_BATCH: usize = 2;

/// A refused transaction that pays a tenth more replaces the one before it.
const REPLACE_PERCENT: Wei = 110;

/// Why a transaction is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its window has passed.
    #[error("valid_until {valid_until} is before the current block time {now}")]
    Expired {
        /// Its end.
        valid_until: TimeMs,
        /// Block time.
        now: TimeMs,
    },
    /// Its window is not open yet.
    #[error("valid_until {valid_until} is more than {most} ms ahead of the block time {now}")]
    TooFarAhead {
        /// Its end.
        valid_until: TimeMs,
        /// Block time.
        now: TimeMs,
        /// How far it may lie ahead.
        most: u64,
    },
    /// It would be skipped.
    #[error("max_fee {max_fee} is below the fee of {fee} wei")]
    FeeAboveMax {
        /// What it costs now.
        fee: Wei,
        /// What it pays at most.
        max_fee: Wei,
    },
    /// It would be skipped.
    #[error("balance {balance} does not cover fees of {fees} wei waiting for the sender")]
    CannotPay {
        /// The sender's balance.
        balance: Wei,
        /// What it and what waits with it costs.
        fees: Wei,
    },
    /// Another one of the same sender and salt pays as much.
    #[error("replaces {0} only if max_fee per byte is a tenth higher")]
    Underpriced(TransactionId),
    /// The sender has too much waiting.
    #[error("{0} bytes of the sender are waiting, at most {1} allowed")]
    SenderFull(usize, usize),
    /// A bid for a height that has passed.
    #[error("the bid is for height {height}, the next one is {next}")]
    PastHeight {
        /// Its height.
        height: Height,
        /// The next one.
        next: Height,
    },
    /// A bid for a height that is too far away.
    #[error("the bid is for height {height}, more than {MAX_BID_AHEAD} above the next one, {next}")]
    FarHeight {
        /// Its height.
        height: Height,
        /// The next one.
        next: Height,
    },
    /// A bid for what is not for sale.
    #[error("namespace {namespace} offers no lot at height {height}")]
    NoLot {
        /// Which.
        namespace: NamespaceId,
        /// The bid's height.
        height: Height,
    },
    /// An atomic bid for what is not to be had atomically now.
    #[error("namespace {namespace} takes part in no such atomic bundle now")]
    NotAtomic {
        /// Which.
        namespace: NamespaceId,
    },
    /// A bid that would lose.
    #[error("the bid offers {amount} wei, the reserve will be {reserve} or more")]
    BelowReserve {
        /// What it offers.
        amount: Wei,
        /// The least that its lots' reserves can be.
        reserve: Wei,
    },
    /// A bid that would be punished.
    #[error("the bid needs {amount} wei of collateral, there are {collateral}")]
    Insolvent {
        /// What it offers or, if it is atomic, the most that holding its namespaces may cost, if that is more.
        amount: Wei,
        /// What the bidder has put up.
        collateral: Wei,
    },
    /// The bidder has a later bid for the same height.
    #[error("sequence {sequence} does not replace {waiting}, which is waiting for the same height")]
    Sequence {
        /// The bid's.
        sequence: u64,
        /// That of the one that waits.
        waiting: u64,
    },
    /// The bidder's bid for that height has been replaced as often as may be.
    #[error(
        "the bid waiting for height {height} has been replaced {MAX_REPLACEMENTS} times, the most \
         that is allowed"
    )]
    Replaced {
        /// The height.
        height: Height,
    },
    /// The pool is full of better paying ones.
    #[error("the mempool is full and everything in it pays more per byte")]
    Full,
}

impl Refusal {
    /// Whether the same transaction may be taken a little later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::SenderFull(..) | Self::Full)
    }
}

/// What the chain says that matters to a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Block time.
    pub now: TimeMs,
    /// How far ahead of it a window may end.
    pub max_validity_ms: u64,
    /// Wei per byte.
    pub price: Wei,
    /// The sender's balance.
    pub balance: Wei,
    /// What matters to a bid.
    pub bid: BidTerms,
}

/// How many bytes wait, as far as they can be sealed soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// For the next height: its bids, and all that are none.
    pub now: usize,
    /// Bids for the height after that.
    pub ahead: usize,
}

/// Best last: what it pays at most per 1024 bytes, then how long it has been waiting.
type Rank = (Wei, std::cmp::Reverse<u64>);

struct Waiting {
    transaction: Verified<Transaction>,
    rank: Rank,
    /// Until when it is left to another validator, which has sealed it or was handed it.
    deferred: Option<Instant>,
}

#[derive(Default)]
struct Pool {
    bids: Bids,
    /// The next height to be decided.
    next: Height,
    waiting: HashMap<TransactionId, Waiting>,
    by_rank: BTreeMap<Rank, TransactionId>,
    by_end: BTreeSet<(TimeMs, TransactionId)>,
    by_salt: HashMap<(Address, u64), TransactionId>,
    senders: HashMap<Address, Sender>,
    bytes: usize,
    arrivals: u64,
    /// When the next deferral ends.
    ripe_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Sender {
    bytes: usize,
    count: usize,
}

/// The pool.
pub struct Mempool {
    pool: Mutex<Pool>,
    capacity: usize,
    ready: watch::Sender<Ready>,
    refused: AtomicU64,
}

impl Mempool {
    /// Empty, for so many bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            pool: Mutex::default(),
            capacity,
            ready: watch::Sender::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Follows how much can be sealed.
    pub fn watch(&self) -> watch::Receiver<Ready> {
        self.ready.subscribe()
    }

    /// How many bytes and transactions are waiting.
    pub fn size(&self) -> (usize, usize) {
        let pool = self.lock();
        let (bytes, count) = pool.bids.size();
        (pool.bytes + bytes, pool.waiting.len() + count)
    }

    /// How many transactions have been refused since this was last asked.
    pub fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// Whether a transaction is waiting.
    pub fn contains(&self, id: &TransactionId) -> bool {
        let pool = self.lock();
        pool.waiting.contains_key(id) || pool.bids.contains(id)
    }

    /// Takes a transaction in. One that is waiting already is no error.
    pub fn insert(&self, transaction: Verified<Transaction>, terms: &Terms) -> Result<(), Refusal> {
        let mut pool = self.lock();
        pool.insert(transaction, terms, self.capacity).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        self.announce(&pool);
        Ok(())
    }

    /// Takes out what a batch for that height is to carry, up to so many bytes of borsh and so many in
    /// number: first the height's bids that offer the most, in up to half of the room, then the best
    /// paying of all others. Those that have expired, or would not pay the price per byte any more,
    /// are dropped, and so are bids that do not stand any more.
    pub fn take(
        &self,
        height: Height,
        bytes: usize,
        count: usize,
        now: TimeMs,
        price: Wei,
        stands: impl Fn(&Verified<Transaction>) -> bool,
    ) -> Vec<Verified<Transaction>> {
        let mut pool = self.lock();
        pool.expire(now);
        pool.drop_below(price);
        let mut taken = pool.bids.take(height, bytes / BIDS_OF_BATCH, bytes, count, stands);
        let left = bytes - taken.iter().map(size_of).sum::<usize>();
        let best = pool.best(left, count - taken.len());
        taken.extend(best.iter().filter_map(|id| pool.remove(id)));
        self.announce(&pool);
        taken
    }

    /// The best paying ones, up to so many bytes of borsh and so many in number, for a validator to
    /// order. They stay here until they are ordered or have expired, and are left alone until then:
    /// whoever gets them may end before it has ordered them.
    pub fn lend(
        &self,
        bytes: usize,
        count: usize,
        now: TimeMs,
        price: Wei,
        until: Instant,
    ) -> Vec<Transaction> {
        let mut pool = self.lock();
        pool.expire(now);
        pool.drop_below(price);
        let best = pool.best(bytes, count);
        let lent = best.iter().filter_map(|id| {
            let waiting = pool.waiting.get_mut(id)?;
            waiting.deferred = Some(until);
            Some((*waiting.transaction).clone())
        });
        let mut lent: Vec<Transaction> = lent.collect();
        lent.extend(pool.bids.lend(bytes, count.saturating_sub(lent.len()), until));
        self.announce(&pool);
        lent
    }

    /// Leaves transactions to another validator for a while, since it has sealed them into a
    /// batch. Only once: a batch that never comes to be ordered must not keep anything out.
    pub fn defer<'a>(&self, ids: impl IntoIterator<Item = &'a TransactionId>, until: Instant) {
        let mut pool = self.lock();
        if pool.waiting.is_empty() {
            return;
        }
        for id in ids {
            if let Some(waiting) = pool.waiting.get_mut(id)
                && waiting.deferred.is_none()
            {
                waiting.deferred = Some(until);
                pool.ripe_at = Some(pool.ripe_at.map_or(until, |at| at.min(until)));
            }
        }
    }

    /// How much can be sealed, if a deferral has ended since this was last asked.
    pub fn ripe(&self, now: Instant) -> Option<Ready> {
        let mut pool = self.lock();
        pool.ripe_at.take_if(|at| *at <= now)?;
        let later = pool.waiting.values().filter_map(|waiting| waiting.deferred);
        pool.ripe_at = later.filter(|until| *until > now).min();
        Some(pool.ready())
    }

    /// Drops transactions that have been ordered.
    pub fn remove<'a>(&self, ids: impl IntoIterator<Item = &'a TransactionId>) {
        let mut pool = self.lock();
        for id in ids {
            pool.remove(id);
            pool.bids.remove(id);
        }
        self.announce(&pool);
    }

    /// Drops transactions whose window ended before `now`, and bids for heights below the next one.
    pub fn advance(&self, now: TimeMs, next: Height) {
        let mut pool = self.lock();
        pool.expire(now);
        pool.next = next;
        pool.bids.advance(now, next);
        self.announce(&pool);
    }

    fn announce(&self, pool: &Pool) {
        let now = pool.ready();
        self.ready.send_if_modified(|ready| std::mem::replace(ready, now) != now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn ready(&self) -> Ready {
        Ready {
            now: self.bytes + self.bids.bytes_at(self.next),
            ahead: self.bids.bytes_at(self.next.saturating_add(1)),
        }
    }

    /// The best paying ones that are not left to others, up to so many bytes and so many in number.
    fn best(&self, bytes: usize, count: usize) -> Vec<TransactionId> {
        let now = Instant::now();
        let mut left = bytes;
        let ranked = self.by_rank.values().rev().filter_map(|id| self.waiting.get_key_value(id));
        let free = ranked.filter(|(_, waiting)| waiting.deferred.is_none_or(|until| until <= now));
        let fits = free.take(count).take_while(|(_, waiting)| {
            let size = size_of(&waiting.transaction);
            let fits = size <= left;
            left -= size.min(left);
            fits
        });
        fits.map(|(id, _)| *id).collect()
    }

    fn insert(
        &mut self,
        transaction: Verified<Transaction>,
        terms: &Terms,
        capacity: usize,
    ) -> Result<(), Refusal> {
        let witness = *transaction.witness();
        if self.waiting.contains_key(&witness.id) || self.bids.contains(&witness.id) {
            return Ok(());
        }
        let body = &transaction.body;
        let (valid_until, max_fee, now) = (body.valid_until, body.max_fee, terms.now);
        if valid_until < now {
            return Err(Refusal::Expired { valid_until, now });
        }
        if valid_until > now.saturating_add(terms.max_validity_ms) {
            let most = terms.max_validity_ms;
            return Err(Refusal::TooFarAhead { valid_until, now, most });
        }
        let is_bid = matches!(body.payload, Payload::Bid { .. });
        let flat = if is_bid { terms.bid.fee } else { 0 };
        let fee = Wei::from(witness.bytes).saturating_mul(terms.price).saturating_add(flat);
        if max_fee < fee {
            return Err(Refusal::FeeAboveMax { fee, max_fee });
        }
        if is_bid {
            return self.bids.insert(transaction, terms, capacity / BIDS_SHARE);
        }
        let size = witness.bytes as usize;
        let rank = (max_fee.saturating_mul(1024) / Wei::from(witness.bytes).max(1), self.arrivals);
        let rank = (rank.0, std::cmp::Reverse(rank.1));

        let salt = (witness.sender, body.salt);
        let replaced = self.by_salt.get(&salt).copied();
        if let Some(earlier) = replaced.and_then(|id| self.waiting.get(&id)) {
            let least = earlier.rank.0.saturating_mul(REPLACE_PERCENT) / 100;
            if rank.0 < least {
                return Err(Refusal::Underpriced(earlier.transaction.witness().id));
            }
        }
        let gone = replaced
            .and_then(|id| self.waiting.get(&id))
            .map_or(Sender::default(), |w| Sender { bytes: size_of(&w.transaction), count: 1 });
        let sender = self.senders.get(&witness.sender).copied().unwrap_or_default();
        let sender_bytes = sender.bytes - gone.bytes + size;
        let fees = terms.price.saturating_mul(sender_bytes as Wei);
        if terms.balance < fees {
            return Err(Refusal::CannotPay { balance: terms.balance, fees });
        }
        if sender_bytes > capacity / SENDER_SHARE {
            return Err(Refusal::SenderFull(sender_bytes, capacity / SENDER_SHARE));
        }
        if let Some(replaced) = replaced {
            self.remove(&replaced);
        }
        self.make_room(size, capacity, rank.0)?;

        self.arrivals += 1;
        self.bytes += size;
        self.by_rank.insert(rank, witness.id);
        self.by_end.insert((valid_until, witness.id));
        self.by_salt.insert(salt, witness.id);
        let sender = self.senders.entry(witness.sender).or_default();
        sender.bytes += size;
        sender.count += 1;
        self.waiting.insert(witness.id, Waiting { transaction, rank, deferred: None });
        Ok(())
    }

    /// Drops what pays least until there is room, unless that pays as much.
    fn make_room(&mut self, size: usize, capacity: usize, rank: Wei) -> Result<(), Refusal> {
        while self.bytes + size > capacity {
            let worst = self.by_rank.first_key_value().map(|(rank, id)| (rank.0, *id));
            match worst {
                Some((pays, id)) if pays < rank => {
                    self.remove(&id);
                }
                _ => return Err(Refusal::Full),
            }
        }
        Ok(())
    }

    fn drop_below(&mut self, price: Wei) {
        let least = price.saturating_mul(1024);
        while let Some((rank, id)) = self.by_rank.first_key_value().map(|(r, id)| (r.0, *id)) {
            if rank >= least {
                return;
            }
            self.remove(&id);
        }
    }

    fn expire(&mut self, now: TimeMs) {
        while let Some((end, id)) = self.by_end.first().copied() {
            if end >= now {
                return;
            }
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &TransactionId) -> Option<Verified<Transaction>> {
        let Waiting { transaction, rank, .. } = self.waiting.remove(id)?;
        let (size, sender) = (size_of(&transaction), transaction.witness().sender);
        self.bytes -= size;
        self.by_rank.remove(&rank);
        self.by_end.remove(&(transaction.body.valid_until, *id));
        self.by_salt.remove(&(sender, transaction.body.salt));
        if let Some(entry) = self.senders.get_mut(&sender) {
            entry.bytes -= size;
            entry.count -= 1;
            if entry.count == 0 {
                self.senders.remove(&sender);
            }
        }
        Some(transaction)
    }
}

fn size_of(transaction: &Verified<Transaction>) -> usize {
    transaction.witness().bytes as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use weft_types::{BidMode, Bytes, Leg, SecretKey, Signed, TransactionBody, Unverified};

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes([byte; 32]).unwrap()
    }

    fn transaction(sender: u8, salt: u64, max_fee: Wei, valid_until: u64) -> Verified<Transaction> {
        let payload = Payload::Transfer { to: Address::ZERO, amount: 1 };
        let body = TransactionBody { chain_id: 1, valid_until, salt, max_fee, payload };
        Unverified::new(Signed::new(body, 1, &key(sender))).verify(1).unwrap()
    }

    fn terms() -> Terms {
        let bid = BidTerms { next: 1, fee: 7, collateral: 1000, reserve: Ok(10), cover: 0 };
        Terms { now: 100, max_validity_ms: 1000, price: 2, balance: 1 << 60, bid }
    }

    fn size() -> usize {
        size_of(&transaction(1, 0, 0, 200))
    }

    #[test]
    fn best_paying_first_then_longest_waiting() {
        let pool = Mempool::new(1 << 20);
        for (salt, fee) in [(1, 1000), (2, 5000), (3, 1000), (4, 9000)] {
            pool.insert(transaction(1, salt, fee, 200), &terms()).unwrap();
        }
        let salts = |taken: Vec<Verified<Transaction>>| -> Vec<u64> {
            taken.iter().map(|tx| tx.body.salt).collect()
        };
        assert_eq!(salts(pool.take(1, 2 * size() + 1, 10, 100, 2, |_| true)), [4, 2]);
        assert_eq!(salts(pool.take(1, 1 << 20, 1, 100, 2, |_| true)), [1]);
        assert_eq!(salts(pool.take(1, 1 << 20, 10, 100, 2, |_| true)), [3]);
        assert_eq!(pool.size(), (0, 0));
    }

    #[test]
    fn what_is_lent_stays_and_is_lent_again_later() {
        let pool = Mempool::new(1 << 20);
        let fee = 2 * size() as Wei;
        for salt in 0..3 {
            pool.insert(transaction(1, salt, fee, 200), &terms()).unwrap();
        }
        let (soon, later) = (Instant::now(), Instant::now() + Duration::from_secs(600));
        let lend = |until| pool.lend(1 << 20, 2, 100, 1, until).len();
        assert_eq!([lend(later), lend(later), lend(later)], [2, 1, 0], "each once");
        assert_eq!(pool.size().1, 3);
        assert_eq!(pool.take(1, 1 << 20, 9, 100, 1, |_| true).len(), 0, "they are with others");
        pool.insert(transaction(1, 3, fee, 200), &terms()).unwrap();
        assert_eq!([lend(soon), lend(soon)], [1, 1], "again, once its time is over");
        let id = *transaction(1, 3, fee, 200).witness();
        pool.remove([&id.id]);
        assert_eq!((lend(later), pool.size().1), (0, 3), "it was ordered");
    }

    #[test]
    fn refuses_what_would_be_skipped() {
        let pool = Mempool::new(1 << 20);
        let insert = |tx, terms: Terms| pool.insert(tx, &terms);
        let fee = 2 * size() as Wei;
        assert!(matches!(
            insert(transaction(1, 0, fee - 1, 200), terms()),
            Err(Refusal::FeeAboveMax { .. })
        ));
        assert!(matches!(
            insert(transaction(1, 0, fee, 99), terms()),
            Err(Refusal::Expired { .. })
        ));
        assert!(matches!(
            insert(transaction(1, 0, fee, 1101), terms()),
            Err(Refusal::TooFarAhead { .. })
        ));
        let poor = Terms { balance: fee, ..terms() };
        assert_eq!(insert(transaction(1, 0, fee, 200), poor), Ok(()));
        assert!(matches!(
            insert(transaction(1, 1, fee, 200), poor),
            Err(Refusal::CannotPay { .. })
        ));
        assert_eq!(insert(transaction(1, 0, fee, 200), poor), Ok(()), "the same again");
    }

    #[test]
    fn a_better_one_replaces_its_twin() {
        let pool = Mempool::new(1 << 20);
        pool.insert(transaction(1, 7, 1000, 200), &terms()).unwrap();
        assert!(matches!(
            pool.insert(transaction(1, 7, 1050, 200), &terms()),
            Err(Refusal::Underpriced(_))
        ));
        pool.insert(transaction(1, 7, 1100, 200), &terms()).unwrap();
        pool.insert(transaction(2, 7, 500, 200), &terms()).unwrap();
        let taken = pool.take(1, 1 << 20, 10, 100, 2, |_| true);
        let fees: Vec<Wei> = taken.iter().map(|tx| tx.body.max_fee).collect();
        assert_eq!(fees, [1100, 500]);
    }

    #[test]
    fn memory_is_bounded_and_the_worst_goes_first() {
        let pool = Mempool::new(8 * size());
        for salt in 0..2 {
            pool.insert(transaction(1, salt, 1000, 200), &terms()).unwrap();
        }
        assert!(matches!(
            pool.insert(transaction(1, 9, 9000, 200), &terms()),
            Err(Refusal::SenderFull(..))
        ));
        for sender in 2..5 {
            for salt in 0..2 {
                pool.insert(transaction(sender, salt, 2000, 200), &terms()).unwrap();
            }
        }
        assert_eq!(pool.size().1, 8);
        assert_eq!(
            pool.insert(transaction(5, 0, 1000, 200), &terms()),
            Err(Refusal::Full),
            "pays no more than the worst"
        );
        pool.insert(transaction(5, 0, 3000, 200), &terms()).unwrap();
        assert_eq!(pool.size(), (8 * size(), 8));
        assert!(!pool.contains(&transaction(1, 1, 1000, 200).witness().id));
    }

    #[test]
    fn what_cannot_pay_any_more_is_dropped_when_sealing() {
        let pool = Mempool::new(1 << 20);
        let fee = 2 * size() as Wei;
        pool.insert(transaction(1, 0, fee, 200), &terms()).unwrap();
        pool.insert(transaction(1, 1, 3 * fee, 200), &terms()).unwrap();
        let taken = pool.take(1, 1 << 20, 10, 100, 3, |_| true);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].body.salt, 1);
        assert_eq!(pool.size(), (0, 0));
    }

    #[test]
    fn the_expired_leave() {
        let pool = Mempool::new(1 << 20);
        pool.insert(transaction(1, 0, 1000, 150), &terms()).unwrap();
        pool.insert(transaction(1, 1, 1000, 250), &terms()).unwrap();
        pool.advance(151, 1);
        assert_eq!(pool.size().1, 1);
        assert!(pool.take(1, 1 << 20, 10, 251, 2, |_| true).is_empty());
        let pool = pool.lock();
        assert!(pool.by_end.is_empty() && pool.by_salt.is_empty() && pool.senders.is_empty());
    }

    fn bid(sender: u8, height: Height, sequence: u64, amount: Wei) -> Verified<Transaction> {
        let leg = Leg { namespace: NamespaceId(1), data: vec![Bytes::from_static(b"x")] };
        let legs = if amount == 0 { vec![] } else { vec![leg] };
        let payload = Payload::Bid { sequence, height, amount, mode: BidMode::Inclusion, legs };
        let body =
            TransactionBody { chain_id: 1, valid_until: 200, salt: 0, max_fee: 5000, payload };
        Unverified::new(Signed::new(body, 1, &key(sender))).verify(1).unwrap()
    }

    fn amounts(taken: &[Verified<Transaction>]) -> Vec<Wei> {
        let amount = |tx: &Verified<Transaction>| match tx.body.payload {
            Payload::Bid { amount, .. } => amount,
            _ => 0,
        };
        taken.iter().map(amount).collect()
    }

    #[test]
    fn bids_wait_for_their_height_and_go_by_what_they_offer() {
        let pool = Mempool::new(1 << 20);
        for (sender, height, amount) in [(1, 1, 50), (2, 1, 70), (3, 2, 90), (4, 4, 95)] {
            pool.insert(bid(sender, height, 1, amount), &terms()).unwrap();
        }
        pool.insert(transaction(5, 0, 1 << 40, 200), &terms()).unwrap();
        pool.advance(100, 1);
        let ready = *pool.watch().borrow();
        let size = size_of(&bid(1, 1, 1, 50));
        assert_eq!(ready, Ready { now: 2 * size + self::size(), ahead: size });
        let taken = pool.take(1, 1 << 20, 10, 100, 2, |_| true);
        assert_eq!(amounts(&taken), [70, 50, 0], "bids first, whatever else pays");
        assert_eq!(*pool.watch().borrow(), Ready { now: 0, ahead: size });
        assert!(pool.take(3, 1 << 20, 10, 100, 2, |_| true).is_empty());
        pool.advance(100, 3);
        assert!(pool.take(2, 1 << 20, 10, 100, 2, |_| true).is_empty(), "that height has passed");
        assert_eq!(amounts(&pool.take(4, 1 << 20, 10, 100, 2, |_| true)), [95]);
        assert!(pool.lock().bids.is_drained());
    }

    #[test]
    fn a_higher_sequence_replaces_a_bid_and_nothing_else_does() {
        let pool = Mempool::new(1 << 20);
        pool.insert(bid(1, 1, 5, 50), &terms()).unwrap();
        let again = pool.insert(bid(1, 1, 5, 60), &terms());
        assert_eq!(again, Err(Refusal::Sequence { sequence: 5, waiting: 5 }));
        pool.insert(bid(1, 2, 5, 60), &terms()).unwrap();
        pool.insert(bid(1, 1, 6, 40), &terms()).unwrap();
        pool.insert(bid(2, 1, 0, 45), &terms()).unwrap();
        pool.insert(bid(2, 1, 1, 0), &terms()).unwrap();
        assert_eq!(amounts(&pool.take(1, 1 << 20, 10, 100, 2, |_| true)), [40, 0]);
    }

    #[test]
    fn a_bid_is_replaced_so_often_and_the_last_one_stays() {
        let pool = Mempool::new(1 << 20);
        let most = u64::from(MAX_REPLACEMENTS);
        for sequence in 0..=most {
            pool.insert(bid(1, 1, sequence, 50), &terms()).unwrap();
        }
        let full = Err(Refusal::Replaced { height: 1 });
        assert_eq!(pool.insert(bid(1, 1, most + 1, 70), &terms()), full);
        let stale = Refusal::Sequence { sequence: most, waiting: most };
        assert_eq!(pool.insert(bid(1, 1, most, 70), &terms()), Err(stale));
        pool.insert(bid(1, 2, most + 1, 60), &terms()).unwrap();
        pool.insert(bid(2, 1, most + 1, 40), &terms()).unwrap();
        assert_eq!(amounts(&pool.take(1, 1 << 20, 10, 100, 2, |_| true)), [50, 40]);
        // That one is sealed and pays, so the next one begins anew.
        pool.insert(bid(1, 1, most + 3, 80), &terms()).unwrap();
        pool.insert(bid(1, 1, most + 4, 90), &terms()).unwrap();
        assert_eq!(amounts(&pool.take(1, 1 << 20, 10, 100, 2, |_| true)), [90]);
    }

    #[test]
    fn a_bid_can_be_withdrawn_however_often_it_was_replaced() {
        let pool = Mempool::new(1 << 20);
        let most = u64::from(MAX_REPLACEMENTS);
        for sequence in 0..=most {
            pool.insert(bid(1, 1, sequence, 50), &terms()).unwrap();
        }
        assert_eq!(pool.insert(bid(1, 1, most + 1, 0), &terms()), Ok(()));
        let full = Err(Refusal::Replaced { height: 1 });
        assert_eq!(pool.insert(bid(1, 1, most + 2, 70), &terms()), full, "not what is withdrawn");
        assert_eq!(pool.insert(bid(1, 1, most + 3, 0), &terms()), full);
    }

    #[test]
    fn bids_that_would_not_count_are_refused() {
        let pool = Mempool::new(1 << 20);
        let next =
            |next, reserve| Terms { bid: BidTerms { next, reserve, ..terms().bid }, ..terms() };
        let insert = |tx, terms: Terms| pool.insert(tx, &terms);
        let past = Refusal::PastHeight { height: 1, next: 2 };
        assert_eq!(insert(bid(1, 1, 0, 50), next(2, Ok(0))), Err(past));
        let far = Refusal::FarHeight { height: 66, next: 1 };
        assert_eq!(insert(bid(1, 66, 0, 50), next(1, Ok(0))), Err(far));
        assert_eq!(insert(bid(1, 65, 0, 50), next(1, Ok(0))), Ok(()));
        let below = Refusal::BelowReserve { amount: 9, reserve: 10 };
        assert_eq!(insert(bid(1, 1, 0, 9), terms()), Err(below));
        let insolvent = Refusal::Insolvent { amount: 1001, collateral: 1000 };
        assert_eq!(insert(bid(1, 1, 0, 1001), terms()), Err(insolvent));
        let none = Refusal::NoLot { namespace: NamespaceId(1), height: 1 };
        let lot = Unoffered::Lot(NamespaceId(1));
        assert_eq!(insert(bid(1, 1, 0, 50), next(1, Err(lot))), Err(none));
        let apart = Refusal::NotAtomic { namespace: NamespaceId(1) };
        let atomic = Unoffered::Atomic(NamespaceId(1));
        assert_eq!(insert(bid(1, 1, 0, 50), next(1, Err(atomic))), Err(apart));
        let covered = |cover| Terms { bid: BidTerms { cover, ..terms().bid }, ..terms() };
        assert_eq!(insert(bid(1, 1, 0, 50), covered(1001)), Err(insolvent));
        let size = size_of(&bid(1, 1, 0, 50));
        let fee = 2 * size as Wei + 7;
        let poor = |balance| Terms { balance, ..terms() };
        assert_eq!(insert(bid(2, 1, 0, 50), poor(fee)), Ok(()));
        let two = Refusal::CannotPay { balance: fee, fees: 2 * fee };
        assert_eq!(insert(bid(2, 2, 0, 50), poor(fee)), Err(two));
        assert_eq!(insert(bid(2, 1, 1, 60), poor(fee)), Ok(()), "it is instead of the first");
    }

    #[test]
    fn bids_that_do_not_stand_any_more_are_dropped_and_so_are_expired_ones() {
        let pool = Mempool::new(1 << 20);
        for (sender, amount) in [(1, 90), (2, 80), (3, 70)] {
            pool.insert(bid(sender, 1, 0, amount), &terms()).unwrap();
        }
        let sender = key(1).address();
        let stands = |tx: &Verified<Transaction>| tx.witness().sender != sender;
        assert_eq!(amounts(&pool.take(1, 1 << 20, 1, 100, 2, stands)), [80]);
        assert_eq!(pool.size().1, 1, "the highest did not stand");
        pool.advance(200, 1);
        assert_eq!(pool.size().1, 1);
        pool.advance(201, 1);
        assert!(pool.lock().bids.is_drained());
        assert_eq!(*pool.watch().borrow(), Ready::default());
    }

    #[test]
    fn nearer_heights_come_first_when_there_is_no_room() {
        let size = size_of(&bid(1, 1, 0, 50));
        let pool = Mempool::new(BIDS_SHARE * size * 4);
        for (sender, height, amount) in [(1, 9, 900), (2, 8, 800), (3, 7, 10), (4, 1, 20)] {
            pool.insert(bid(sender, height, 0, amount), &terms()).unwrap();
        }
        assert_eq!(pool.insert(bid(5, 9, 0, 900), &terms()), Err(Refusal::Full), "not more");
        assert_eq!(pool.size().1, 4, "and nothing has gone for it");
        pool.insert(bid(5, 2, 0, 15), &terms()).unwrap();
        pool.insert(bid(6, 1, 0, 15), &terms()).unwrap();
        let left = [9, 8, 7, 2, 1];
        let left = left.map(|height| amounts(&pool.take(height, 1 << 20, 10, 100, 2, |_| true)));
        assert_eq!(left, [vec![], vec![], vec![10], vec![15], vec![20, 15]]);
    }

    #[test]
    fn one_bidder_fills_a_quarter_at_most() {
        let size = size_of(&bid(1, 1, 0, 50));
        let pool = Mempool::new(BIDS_SHARE * SENDER_SHARE * size * 2);
        pool.insert(bid(1, 1, 0, 50), &terms()).unwrap();
        pool.insert(bid(1, 2, 0, 50), &terms()).unwrap();
        let third = pool.insert(bid(1, 3, 0, 50), &terms());
        assert_eq!(third, Err(Refusal::SenderFull(3 * size, 2 * size)));
        pool.insert(bid(1, 2, 1, 60), &terms()).unwrap();
    }

    #[test]
    fn bids_fill_half_a_batch_and_the_lowest_go_when_there_is_no_room() {
        let size = size_of(&bid(1, 1, 0, 50));
        let pool = Mempool::new(BIDS_SHARE * size * 4);
        pool.insert(bid(6, 1, 0, 80), &terms()).unwrap();
        for (sender, amount) in [(1, 50), (2, 60), (3, 70)] {
            pool.insert(bid(sender, 1, 0, amount), &terms()).unwrap();
        }
        assert_eq!(pool.insert(bid(4, 1, 0, 50), &terms()), Err(Refusal::Full));
        pool.insert(bid(5, 1, 0, 51), &terms()).unwrap();
        let taken = pool.take(1, 4 * size, 10, 100, 2, |_| true);
        assert_eq!(amounts(&taken), [80, 70]);
        assert_eq!(amounts(&pool.take(1, 4 * size, 10, 100, 2, |_| true)), [60, 51]);
    }

    #[test]
    fn a_large_bid_that_offers_the_most_keeps_no_other_out() {
        let large = |sender, amount| {
            let leg = Leg { namespace: NamespaceId(1), data: vec![Bytes::from(vec![1; 3000])] };
            let payload = Payload::Bid {
                sequence: 0,
                height: 1,
                amount,
                mode: BidMode::Inclusion,
                legs: vec![leg],
            };
            let body =
                TransactionBody { chain_id: 1, valid_until: 200, salt: 0, max_fee: 9000, payload };
            Unverified::new(Signed::new(body, 1, &key(sender))).verify(1).unwrap()
        };
        let pool = Mempool::new(1 << 20);
        pool.insert(large(1, 90), &terms()).unwrap();
        pool.insert(large(2, 80), &terms()).unwrap();
        pool.insert(bid(3, 1, 0, 70), &terms()).unwrap();
        // Room for one of them, more than the half that bids have together.
        assert_eq!(amounts(&pool.take(1, 5000, 10, 100, 2, |_| true)), [90]);
        assert_eq!(
            amounts(&pool.take(1, 1000, 10, 100, 2, |_| true)),
            [70],
            "what does not fit is passed over"
        );
        assert_eq!(amounts(&pool.take(1, 5000, 10, 100, 2, |_| true)), [80]);
        assert!(pool.lock().bids.is_drained());
    }

    #[test]
    fn bids_are_lent_once() {
        let pool = Mempool::new(1 << 20);
        pool.insert(bid(1, 9, 0, 50), &terms()).unwrap();
        let later = Instant::now() + Duration::from_secs(600);
        assert_eq!(pool.lend(1 << 20, 9, 100, 1, later).len(), 1);
        assert_eq!(pool.lend(1 << 20, 9, 100, 1, later).len(), 0);
        assert_eq!(pool.size().1, 1, "until it is ordered or its height has passed");
    }
}
