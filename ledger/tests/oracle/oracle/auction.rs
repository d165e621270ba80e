//! The auction of protocol section 8 and `spec/auction.md` once more: winners by looking at every set
//! of bids that share no lot, shares by going through every order of lots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use weft_types::{Address, B256, BidMode, Payload, Wei};

use super::{Namespace, Oracle, Running, Tie, items};

/// A bid that has paid for its inclusion.
#[derive(Clone, Debug)]
pub(super) struct Bid {
    pub(super) id: B256,
    pub(super) bidder: Address,
    sequence: u64,
    height: u64,
    pub(super) amount: Wei,
    is_atomic: bool,
    /// By namespace, the leg's place and its items, encoded.
    pub(super) legs: BTreeMap<u64, Vec<u8>>,
}

type Set<'a> = Vec<&'a Bid>;

impl Bid {
    pub(super) fn new(id: B256, bidder: Address, payload: &Payload) -> Self {
        let Payload::Bid { sequence, height, amount, mode, legs } = payload else {
            panic!("no bid: {payload:?}");
        };
        let tie = Tie::of(legs);
        let encoded = legs
            .iter()
            .enumerate()
            .map(|(index, leg)| (leg.namespace.0, [tie.place(index), items(&leg.data)].concat()));
        let (sequence, height, amount) = (*sequence, *height, *amount);
        let is_atomic = *mode == BidMode::Atomic;
        Self { id, bidder, sequence, height, amount, is_atomic, legs: encoded.collect() }
    }

    fn rank(&self) -> (Reverse<Wei>, usize, B256) {
        (Reverse(self.amount), self.legs.len(), self.id)
    }

    fn lots(&self) -> BTreeSet<u64> {
        self.legs.keys().copied().collect()
    }

    fn shares_a_lot_with(&self, other: &Self) -> bool {
        !self.lots().is_disjoint(&other.lots())
    }
}

/// What an auction came to.
pub(super) struct Auction {
    /// Leaf contents, in order.
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) for_validators: Wei,
    /// Each bid's result, as its number.
    pub(super) results: BTreeMap<B256, u8>,
    /// How many lots the winners have, each.
    pub(super) won: Vec<usize>,
}

impl Oracle {
    /// The reserve of a namespace's lot at a height, if it offers one there.
    pub(crate) fn lot(&self, namespace: u64, height: u64) -> Option<Wei> {
        let known = self.namespaces.get(&namespace)?;
        let offers =
            known.held_by.is_none() && height.is_multiple_of(known.settings.auction?.every);
        offers.then(|| self.reserve(namespace, height)).flatten()
    }

    /// The reserve at a height, whether or not a lot is offered there.
    pub(crate) fn reserve(&self, namespace: u64, height: u64) -> Option<Wei> {
        let known = self.namespaces.get(&namespace)?;
        let auction = known.settings.auction?;
        let mut reserve = known.reserve;
        // Of heights at which it is held none has a lot.
        let heights = if known.held_by.is_some() { 0..0 } else { known.reserve_at + 1..height };
        for _ in heights.filter(|height| height.is_multiple_of(auction.every)) {
            reserve -= reserve / 8;
        }
        Some(reserve.max(auction.floor))
    }

    pub(crate) fn locked(&self, account: &Address) -> Wei {
        self.collateral.get(account).copied().unwrap_or(0)
    }

    pub(super) fn auction(&mut self, bids: &[Bid], running: &mut Running) -> Auction {
        let prices = self.hold_prices(running.height, running.now);
        let opened: Vec<Option<(u8, B256)>> =
            bids.iter().map(|bid| self.refuse(bid, bids, running.height, &prices)).collect();
        for (bid, _) in bids.iter().zip(&opened).filter(|(_, o)| matches!(o, Some((3, _)))) {
            if bid.amount <= self.locked(&bid.bidder) {
                // It is what holding might have cost that is not covered.
                continue;
            }
            let of_collateral = self.locked(&bid.bidder).min(self.params.bid_penalty);
            let rest = self.params.bid_penalty - of_collateral;
            let of_balance = self.balance(&bid.bidder).min(rest);
            *self.collateral.entry(bid.bidder).or_default() -= of_collateral;
            *self.accounts.entry(bid.bidder).or_default() -= of_balance;
            self.burned += of_collateral + of_balance;
        }

        let standing: Set<'_> =
            bids.iter().zip(&opened).filter(|(_, o)| o.is_none()).map(|(bid, _)| bid).collect();
        let field = Field::of(&standing);
        let mut winners = field.best(None);
        // In block order.
        winners.sort_by_key(|winner| bids.iter().position(|bid| bid.id == winner.id));
        let (mut lots, mut for_validators) = (BTreeMap::new(), 0);
        for winner in &winners {
            let shares = field.shares(winner);
            if winner.is_atomic {
                for lot in winner.legs.keys() {
                    let leaf = self.lot_leaf(*lot, winner, 0, running.height);
                    lots.insert(*lot, leaf);
                }
                self.hold(winner, &shares, &prices, running);
            } else {
                for_validators += self.settle(winner, &shares, &mut lots, running);
            }
            for (lot, items) in &winner.legs {
                let mut head = vec![1];
                head.extend_from_slice(winner.id.as_slice());
                head.extend_from_slice(winner.bidder.as_slice());
                head.push(winner.is_atomic.into());
                head.extend_from_slice(items);
                running.slices.entry(*lot).or_default().insert(0, head);
            }
        }

        let mut results = BTreeMap::new();
        let mut leaves: Vec<Vec<u8>> = lots.into_values().collect();
        for (bid, opened) in bids.iter().zip(opened) {
            let rival = winners
                .iter()
                .filter(|winner| winner.shares_a_lot_with(bid))
                .min_by_key(|winner| winner.rank());
            let (result, detail) = opened.unwrap_or_else(|| match rival {
                Some(winner) if winner.id == bid.id => (0, B256::ZERO),
                rival => (1, rival.map_or(B256::ZERO, |winner| winner.id)),
            });
            results.insert(bid.id, result);
            let mut leaf = vec![1];
            leaf.extend_from_slice(bid.id.as_slice());
            leaf.extend_from_slice(bid.bidder.as_slice());
            leaf.extend_from_slice(&bid.height.to_be_bytes());
            leaf.extend_from_slice(&bid.sequence.to_be_bytes());
            leaf.extend_from_slice(&bid.amount.to_be_bytes());
            leaf.push(result);
            leaf.extend_from_slice(detail.as_slice());
            leaves.push(leaf);
        }
        let won = winners.iter().map(|winner| winner.legs.len()).collect();
        Auction { leaves, for_validators, results, won }
    }

    /// Why a bid does not stand.
    fn refuse(
        &self,
        bid: &Bid,
        bids: &[Bid],
        height: u64,
        prices: &BTreeMap<u64, Wei>,
    ) -> Option<(u8, B256)> {
        if bid.height != height {
            return Some((4, B256::ZERO));
        }
        let same = bids.iter().filter(|b| b.bidder == bid.bidder && b.height == height);
        let counts = same.max_by_key(|b| (b.sequence, Reverse(b.id))).unwrap();
        if counts.id != bid.id {
            return Some((6, counts.id));
        }
        if bid.legs.is_empty() {
            return Some((7, B256::ZERO));
        }
        let mut reserve = 0;
        for lot in bid.legs.keys() {
            match self.lot(*lot, height) {
                Some(of_lot) => reserve += of_lot,
                None => return Some((5, number((*lot).into()))),
            }
        }
        let accepts = |lot: u64| bid.legs.keys().all(|other| self.accepts(lot, *other));
        let mut lots = bid.legs.keys().copied();
        let without = lots.find(|lot| !prices.contains_key(lot) || !accepts(*lot));
        if let Some(lot) = without.filter(|_| bid.is_atomic) {
            return Some((8, number(lot.into())));
        }
        if bid.amount < reserve {
            return Some((2, number(reserve)));
        }
        let locked = self.locked(&bid.bidder);
        let needs = if bid.is_atomic { self.cover(bid, prices) } else { bid.amount };
        (needs > locked).then(|| (3, number(locked)))
    }

    /// Has a winner pay. Returns what is for validators.
    fn settle(
        &mut self,
        winner: &Bid,
        shares: &[Wei],
        lots: &mut BTreeMap<u64, Vec<u8>>,
        running: &Running,
    ) -> Wei {
        *self.collateral.get_mut(&winner.bidder).unwrap() -= winner.amount;
        let part = |tenthousandths: u16| winner.amount * Wei::from(tenthousandths) / 10_000;
        let validators = part(self.params.auction_validators);
        let burned = part(self.params.auction_burned);
        self.burned += burned;
        let for_rollups = winner.amount - validators - burned;
        let mut revenues: Vec<Wei> =
            shares.iter().map(|share| mul_div(for_rollups, *share, winner.amount)).collect();
        revenues[0] += for_rollups - revenues.iter().sum::<Wei>();
        for ((lot, share), revenue) in winner.legs.keys().zip(shares).zip(revenues) {
            lots.insert(*lot, self.lot_leaf(*lot, winner, revenue, running.height));
            let reserve = self.lot(*lot, running.height).unwrap();
            let known = self.namespaces.get_mut(lot).unwrap();
            known.reserve = reserve;
            known.reserve_at = running.height;
            known.sold_for(*share);
            known.earned += revenue;
            let recipient = known.settings.revenue_recipient;
            *self.accounts.entry(recipient).or_default() += revenue;
        }
        validators
    }

    fn lot_leaf(&self, lot: u64, winner: &Bid, revenue: Wei, height: u64) -> Vec<u8> {
        let mut leaf = vec![0];
        leaf.extend_from_slice(&lot.to_be_bytes());
        leaf.extend_from_slice(&self.lot(lot, height).unwrap().to_be_bytes());
        leaf.extend_from_slice(winner.id.as_slice());
        leaf.extend_from_slice(winner.bidder.as_slice());
        leaf.extend_from_slice(&winner.amount.to_be_bytes());
        leaf.extend_from_slice(&revenue.to_be_bytes());
        leaf
    }
}

impl Namespace {
    /// Moves the reserve by what the lot has brought.
    pub(super) fn sold_for(&mut self, share: Wei) {
        let reserve = self.reserve;
        let twice = share / 2 >= reserve && share > 0;
        let next = if twice { reserve + (reserve / 8).max(1) } else { reserve };
        let floor = self.settings.auction.map_or(0, |auction| auction.floor);
        self.reserve = next.max(floor).min(1 << 100);
    }
}

/// Bids that are in the search: the highest for each lot alone, and those for several that stand.
struct Field<'a> {
    alone: BTreeMap<u64, &'a Bid>,
    /// By rank.
    several: Set<'a>,
}

impl<'a> Field<'a> {
    fn of(standing: &[&'a Bid]) -> Self {
        let mut by_rank = standing.to_vec();
        by_rank.sort_by_key(|bid| bid.rank());
        let mut alone: BTreeMap<u64, &Bid> = BTreeMap::new();
        for bid in by_rank.iter().filter(|bid| bid.legs.len() == 1) {
            alone.entry(*bid.legs.keys().next().unwrap()).or_insert(bid);
        }
        let mut several: Set<'a> = Vec::new();
        for bid in by_rank.into_iter().filter(|bid| bid.legs.len() > 1) {
            let lots = bid.lots();
            let apart: Wei = lots.iter().filter_map(|lot| alone.get(lot)).map(|b| b.amount).sum();
            let is_worse = several.iter().any(|other| other.lots().is_subset(&lots));
            if bid.amount > apart && !is_worse && group_of(bid, &several) <= 24 {
                several.push(bid);
            }
        }
        assert!(several.len() <= 32, "every set of these is looked at");
        Self { alone, several }
    }

    /// The set that pays the most, all of it within some lots if told so. Of sets that pay the same, the
    /// one with the highest bid for several lots in which they differ.
    fn best(&self, within: Option<&BTreeSet<u64>>) -> Set<'a> {
        let mut best: Option<(Wei, Vec<bool>, Set<'a>)> = None;
        self.visit(0, &mut Vec::new(), &mut |chosen| {
            if within.is_some_and(|lots| chosen.iter().any(|bid| !bid.lots().is_subset(lots))) {
                return;
            }
            let taken: BTreeSet<u64> = chosen.iter().flat_map(|bid| bid.lots()).collect();
            let free = self.alone.iter().filter(|(lot, _)| {
                !taken.contains(lot) && within.is_none_or(|lots| lots.contains(lot))
            });
            let mut set = chosen.to_vec();
            set.extend(free.map(|(_, bid)| *bid));
            let pays: Wei = set.iter().map(|bid| bid.amount).sum();
            let has = |bid: &&Bid| chosen.iter().any(|other| other.id == bid.id);
            let which: Vec<bool> = self.several.iter().map(has).collect();
            if best.as_ref().is_none_or(|(most, before, _)| (pays, &which) > (*most, before)) {
                best = Some((pays, which, set));
            }
        });
        best.unwrap().2
    }

    fn visit(&self, from: usize, chosen: &mut Set<'a>, each: &mut impl FnMut(&[&'a Bid])) {
        each(chosen);
        for at in from..self.several.len() {
            let bid = self.several[at];
            if chosen.iter().all(|other| !other.shares_a_lot_with(bid)) {
                chosen.push(bid);
                self.visit(at + 1, chosen, each);
                chosen.pop();
            }
        }
    }

    /// What each lot of a winner has contributed, ascending by lot.
    fn shares(&self, winner: &Bid) -> Vec<Wei> {
        let lots: Vec<u64> = winner.lots().into_iter().collect();
        let worth = |set: &BTreeSet<u64>| -> Wei {
            if set.len() == lots.len() {
                return winner.amount;
            }
            let bids = self.best(Some(set));
            bids.iter().map(|bid| bid.amount).sum::<Wei>().min(winner.amount)
        };
        let (mut added, mut orders) = (vec![0; lots.len()], 0);
        permutations(&lots, &mut Vec::new(), &mut |order| {
            orders += 1;
            let (mut set, mut before) = (BTreeSet::new(), 0);
            for lot in order {
                set.insert(*lot);
                let now = worth(&set);
                added[lots.iter().position(|l| l == lot).unwrap()] += now - before;
                before = now;
            }
        });
        let mut shares: Vec<Wei> = added.iter().map(|wei| wei / orders).collect();
        let left = winner.amount - shares.iter().sum::<Wei>();
        let mut by_cut: Vec<usize> = (0..lots.len()).collect();
        by_cut.sort_by_key(|at| (Reverse(added[*at] % orders), *at));
        for at in by_cut.into_iter().take(usize::try_from(left).unwrap()) {
            shares[at] += 1;
        }
        shares
    }
}

/// How many bids hang together with one by the lots they share, itself among them.
fn group_of(bid: &Bid, others: &[&Bid]) -> usize {
    let (mut lots, mut left, mut count) = (bid.lots(), others.to_vec(), 1);
    while let Some(at) = left.iter().position(|other| !other.lots().is_disjoint(&lots)) {
        lots.extend(left.remove(at).lots());
        count += 1;
    }
    count
}

fn permutations(left: &[u64], order: &mut Vec<u64>, each: &mut impl FnMut(&[u64])) {
    if left.is_empty() {
        each(order);
    }
    for lot in left {
        let rest: Vec<u64> = left.iter().copied().filter(|other| other != lot).collect();
        order.push(*lot);
        permutations(&rest, order, each);
        order.pop();
    }
}

fn number(number: Wei) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// `a * b / c`, rounded down, for `c` up to 2^120: bit by bit.
pub(super) fn mul_div(a: Wei, b: Wei, c: Wei) -> Wei {
    let (mut quotient, mut rest) = (0, 0);
    for bit in (0..128).rev() {
        (quotient, rest) = (2 * quotient, 2 * rest);
        if a >> bit & 1 == 1 {
            quotient += b / c;
            rest += b % c;
        }
        quotient += rest / c;
        rest %= c;
    }
    quotient
}
