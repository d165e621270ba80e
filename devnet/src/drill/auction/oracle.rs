//! What auctions must have come to, by somebody who reads blocks and nothing else.
//!
//! Shares no code with the auction: winners are found by looking at every set of bids, shares by
//! going through every order of lots. Good for a dozen bids of a height, whose amounts differ.

use std::collections::{BTreeMap, BTreeSet};

use eyre::{ensure, eyre};
use weft_types::{
    Address, Block, Genesis, NamespaceId, Payload, Transaction, TransactionId, Unverified, Wei,
};

/// Most bids of a height that are looked at in all combinations. No group of them can have more bids
/// than one may.
const MOST: usize = 20;

/// What became of a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result, as the API names it.
    pub result: &'static str,
    /// The bid that it lost to, or was replaced by.
    pub other: Option<TransactionId>,
}

/// A lot that was sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// To which bid.
    pub bid: TransactionId,
    /// By whom.
    pub bidder: Address,
    /// What the bid pays in all, in wei.
    pub payment: Wei,
    /// What the namespace gets of it, in wei.
    pub revenue: Wei,
}

/// What an auction must have come to.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Lots that were sold.
    pub lots: BTreeMap<NamespaceId, Sold>,
    /// Every bid, in block order.
    pub bids: Vec<(TransactionId, Outcome)>,
    /// What winners paid, in wei.
    pub paid: Wei,
    /// Whether others have won than would have without the bids of the one who is looked at apart.
    pub displaced: bool,
}

#[derive(Clone, Debug)]
struct Bid {
    id: TransactionId,
    bidder: Address,
    sequence: u64,
    height: u64,
    amount: Wei,
    lots: BTreeSet<NamespaceId>,
}

struct Lot {
    every: u64,
    floor: Wei,
    reserve: Wei,
    sold_at: u64,
    earned: Wei,
}

/// Reads one block after another.
pub struct Oracle {
    chain_id: u64,
    validators: u16,
    burned: u16,
    penalty: Wei,
    lots: BTreeMap<NamespaceId, Lot>,
    collateral: BTreeMap<Address, Wei>,
    seen: BTreeSet<TransactionId>,
    apart: Option<Address>,
}

impl Oracle {
    /// Before the first block.
    pub fn new(genesis: &Genesis) -> Self {
        let lot = |namespace: &weft_types::genesis::GenesisNamespace| {
            let auction = namespace.settings.auction?;
            let (every, floor) = (auction.every, auction.floor);
            Some((namespace.namespace, Lot { every, floor, reserve: 0, sold_at: 0, earned: 0 }))
        };
        Self {
            chain_id: genesis.chain_id,
            validators: genesis.params.auction_validators,
            burned: genesis.params.auction_burned,
            penalty: genesis.params.bid_penalty,
            lots: genesis.namespaces.iter().filter_map(lot).collect(),
            collateral: BTreeMap::new(),
            seen: BTreeSet::new(),
            apart: None,
        }
    }

    /// Also finds out what would be without the bids of somebody.
    pub fn apart(self, bidder: Option<Address>) -> Self {
        Self { apart: bidder, ..self }
    }

    /// What an account must have put up by now, in wei.
    pub fn collateral(&self, account: &Address) -> Wei {
        self.collateral.get(account).copied().unwrap_or(0)
    }

    /// What a namespace's lots must have brought it, in wei.
    pub fn earned(&self, namespace: NamespaceId) -> Wei {
        self.lots.get(&namespace).map_or(0, |lot| lot.earned)
    }

    /// Reads the next block. Every account must have enough to pay for what it sends.
    pub fn read(&mut self, block: &Block) -> eyre::Result<Expected> {
        let height = block.header.height;
        let all = block.batches.iter().flat_map(|batch| &batch.body.transactions);
        let mut bids = Vec::new();
        let mut others = Vec::new();
        for transaction in all {
            let Some((id, sender)) = self.check(transaction, block.header.time_ms) else {
                continue;
            };
            match &transaction.body.payload {
                Payload::Bid { sequence, height, amount, legs, .. } => bids.push(Bid {
                    id,
                    bidder: sender,
                    sequence: *sequence,
                    height: *height,
                    amount: *amount,
                    lots: legs.iter().map(|leg| leg.namespace).collect(),
                }),
                other => others.push((sender, other.clone())),
            }
        }
        let expected = self.auction(height, &bids)?;
        for (sender, payload) in others {
            let locked = self.collateral.entry(sender).or_default();
            match payload {
                Payload::LockCollateral { amount } => *locked += amount,
                Payload::ReleaseCollateral { amount } => {
                    *locked = locked.checked_sub(amount).unwrap_or(*locked);
                }
                _ => {}
            }
        }
        Ok(expected)
    }

    /// The id and sender of a transaction that counts, the first time.
    fn check(&mut self, transaction: &Transaction, now: u64) -> Option<(TransactionId, Address)> {
        let checked = Unverified::new(transaction.clone()).verify(self.chain_id).ok()?;
        let witness = *checked.witness();
        let counts = transaction.body.valid_until >= now && self.seen.insert(witness.id);
        counts.then_some((witness.id, witness.sender))
    }

    fn reserve(lot: &Lot, height: u64) -> Wei {
        let mut reserve = lot.reserve.max(lot.floor);
        for _ in (lot.sold_at + 1..height).filter(|height| height % lot.every == 0) {
            reserve = (reserve - reserve / 8).max(lot.floor);
        }
        reserve
    }

    fn auction(&mut self, height: u64, bids: &[Bid]) -> eyre::Result<Expected> {
        let offered: BTreeMap<NamespaceId, Wei> = self
            .lots
            .iter()
            .filter(|(_, lot)| height.is_multiple_of(lot.every))
            .map(|(namespace, lot)| (*namespace, Self::reserve(lot, height)))
            .collect();
        let latest = |bid: &Bid| {
            let same = bids.iter().filter(|b| b.bidder == bid.bidder && b.height == height);
            same.max_by_key(|b| (b.sequence, std::cmp::Reverse(b.id))).map(|b| b.id)
        };
        let opened: Vec<Option<Outcome>> = bids
            .iter()
            .map(|bid| {
                let plain = |result| Some(Outcome { result, other: None });
                let reserve = bid.lots.iter().map(|lot| offered.get(lot)).sum::<Option<Wei>>();
                if bid.height != height {
                    plain("wrong_height")
                } else if latest(bid) != Some(bid.id) {
                    Some(Outcome { result: "replaced", other: latest(bid) })
                } else if bid.lots.is_empty() {
                    plain("withdrawn")
                } else if reserve.is_none() {
                    plain("no_lot")
                } else if reserve > Some(bid.amount) {
                    plain("below_reserve")
                } else if bid.amount > self.collateral(&bid.bidder) {
                    plain("insolvent")
                } else {
                    None
                }
            })
            .collect();
        for (bid, opened) in bids.iter().zip(&opened) {
            if opened.as_ref().is_some_and(|opened| opened.result == "insolvent") {
                let locked = self.collateral.entry(bid.bidder).or_default();
                *locked = locked.saturating_sub(self.penalty);
            }
        }
        let standing: Vec<&Bid> =
            bids.iter().zip(&opened).filter(|(_, o)| o.is_none()).map(|(bid, _)| bid).collect();
        ensure!(standing.len() <= MOST, "{} bids at height {height}", standing.len());
        let winners = best_of(&standing);
        let mut expected =
            Expected { displaced: self.displaces(&standing, &winners), ..Expected::default() };
        for winner in &winners {
            self.settle(height, winner, &standing, &offered, &mut expected)?;
        }
        for (bid, opened) in bids.iter().zip(opened) {
            let rival = winners
                .iter()
                .filter(|winner| !winner.lots.is_disjoint(&bid.lots))
                .max_by_key(|winner| winner.amount);
            let lost = || match rival {
                Some(winner) if winner.id == bid.id => Outcome { result: "won", other: None },
                rival => Outcome { result: "lost", other: rival.map(|winner| winner.id) },
            };
            expected.bids.push((bid.id, opened.unwrap_or_else(lost)));
        }
        Ok(expected)
    }

    fn displaces(&self, standing: &[&Bid], winners: &[&Bid]) -> bool {
        let others = |bids: &[&Bid]| -> BTreeSet<TransactionId> {
            let others = bids.iter().filter(|bid| Some(bid.bidder) != self.apart);
            others.map(|bid| bid.id).collect()
        };
        let without: Vec<&Bid> =
            standing.iter().filter(|bid| Some(bid.bidder) != self.apart).copied().collect();
        others(&best_of(&without)) != others(winners)
    }

    fn settle(
        &mut self,
        height: u64,
        winner: &Bid,
        standing: &[&Bid],
        offered: &BTreeMap<NamespaceId, Wei>,
        expected: &mut Expected,
    ) -> eyre::Result<()> {
        let locked = self.collateral.entry(winner.bidder).or_default();
        *locked = locked.checked_sub(winner.amount).ok_or_else(|| eyre!("a winner cannot pay"))?;
        expected.paid += winner.amount;
        let shares = shapley(winner, standing);
        let validators = winner.amount * Wei::from(self.validators) / 10_000;
        let burned = winner.amount * Wei::from(self.burned) / 10_000;
        let for_rollups = winner.amount - validators - burned;
        // Amounts of a drill are far below 2^64, so that nothing overflows here.
        let mut revenues: Vec<Wei> =
            shares.iter().map(|share| for_rollups * share / winner.amount).collect();
        revenues[0] += for_rollups - revenues.iter().sum::<Wei>();
        for ((namespace, revenue), share) in winner.lots.iter().zip(revenues).zip(shares) {
            let reserve = offered.get(namespace).copied().unwrap_or(0);
            let lot = self.lots.get_mut(namespace).ok_or_else(|| eyre!("sold what is no lot"))?;
            let up = share >= 2 * reserve && share > 0;
            lot.reserve = if up { reserve + (reserve / 8).max(1) } else { reserve };
            lot.sold_at = height;
            lot.earned += revenue;
            let (bid, bidder, payment) = (winner.id, winner.bidder, winner.amount);
            expected.lots.insert(*namespace, Sold { bid, bidder, payment, revenue });
        }
        Ok(())
    }
}

/// Of all sets of bids that share no lot, the one that pays the most.
fn best_of<'a>(bids: &[&'a Bid]) -> Vec<&'a Bid> {
    fn go<'a>(bids: &[&'a Bid], chosen: &mut Vec<&'a Bid>, best: &mut (Wei, Vec<&'a Bid>)) {
        let Some((first, rest)) = bids.split_first() else {
            let pays = chosen.iter().map(|bid| bid.amount).sum();
            if pays > best.0 {
                *best = (pays, chosen.clone());
            }
            return;
        };
        if chosen.iter().all(|bid| bid.lots.is_disjoint(&first.lots)) {
            chosen.push(first);
            go(rest, chosen, best);
            chosen.pop();
        }
        go(rest, chosen, best);
    }
    let mut best = (0, Vec::new());
    go(bids, &mut Vec::new(), &mut best);
    best.1
}

/// What each lot of a winner adds, on average over all orders; what does not divide goes to those that
/// were cut off the most.
fn shapley(winner: &Bid, standing: &[&Bid]) -> Vec<Wei> {
    let lots: Vec<NamespaceId> = winner.lots.iter().copied().collect();
    let worth = |set: &BTreeSet<NamespaceId>| {
        if set.len() == lots.len() {
            return winner.amount;
        }
        let within: Vec<&Bid> =
            standing.iter().filter(|bid| bid.lots.is_subset(set)).copied().collect();
        best_of(&within).iter().map(|bid| bid.amount).sum::<Wei>().min(winner.amount)
    };
    let mut sums = vec![0; lots.len()];
    let mut orders = 0;
    permute(&mut (0..lots.len()).collect(), 0, &mut |order: &[usize]| {
        orders += 1;
        let (mut set, mut before) = (BTreeSet::new(), 0);
        for place in order {
            set.insert(lots[*place]);
            let now = worth(&set);
            sums[*place] += now - before;
            before = now;
        }
    });
    let mut shares: Vec<Wei> = sums.iter().map(|sum| sum / orders).collect();
    let left = winner.amount - shares.iter().sum::<Wei>();
    let mut cut_off: Vec<usize> = (0..lots.len()).collect();
    cut_off.sort_by_key(|place| (std::cmp::Reverse(sums[*place] % orders), *place));
    for (place, _) in cut_off.into_iter().zip(0..left) {
        shares[place] += 1;
    }
    shares
}

fn permute(places: &mut Vec<usize>, from: usize, each: &mut impl FnMut(&[usize])) {
    if from == places.len() {
        each(places);
        return;
    }
    for at in from..places.len() {
        places.swap(from, at);
        permute(places, from + 1, each);
        places.swap(from, at);
    }
}
