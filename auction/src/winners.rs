//! Who wins: of all sets of bids that share no lot, one that pays the most.
//!
//! 1. Of the bids for one lot alone, the [highest](Bid::rank) stands for it.
//! 2. Bids for several lots are looked at by rank. One that pays no more than the bids of 1 for its
//!    lots together loses, and so does one that has all the lots of a standing one among its own.
//! 3. Of the rest, one that shares a lot with no standing bid stands. One that shares some stands as
//!    long as then no more than [`MAX_CONTESTED`] standing bids share a lot with another one; beyond,
//!    it loses.
//! 4. Of the sets of standing bids for several lots that share no lot, the one wins with which
//!    everything pays the most, the bids of 1 taking the lots that it leaves free. Of sets that pay the
//!    same, it is the one that has the highest bid in which they differ.
//!
//! What 1 and 2 leave out changes nothing: a set with such a bid pays no more than one with those in
//! its place that it loses against. What may cost something is the bound of 3, which keeps the search
//! exact and short whatever is bid. It is part of consensus.

use std::collections::BTreeMap;

use weft_types::{NamespaceId, Wei};

use crate::bid::Bid;

/// Most standing bids for several lots that share a lot with another standing one.
pub const MAX_CONTESTED: usize = 24;

/// Who wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Places of the winning bids, ascending.
    pub winners: Vec<usize>,
    /// What they pay together, in wei. Each pays what it has bid.
    pub payment: Wei,
    /// Places of bids that were in the search, or stood for one lot: ascending. What others bid has no
    /// bearing on anything.
    pub standing: Vec<usize>,
}

impl Allocation {
    /// The winner of each lot that is sold.
    pub fn by_lot<'a>(&self, bids: &'a [Bid]) -> BTreeMap<NamespaceId, &'a Bid> {
        let lots = |bid: &'a Bid| bid.lots.namespaces().iter().map(move |lot| (*lot, bid));
        self.winners.iter().filter_map(|place| bids.get(*place)).flat_map(lots).collect()
    }
}

/// A bid for several lots in the search.
#[derive(Clone, Copy, Debug)]
struct Contender {
    place: usize,
    /// What it pays beyond the bids for its lots alone.
    gain: Wei,
    /// Which contenders share a lot with it.
    rivals: u32,
}

/// Determines the winners among bids that stand (see [`open`](crate::opening::open)).
pub fn determine(bids: &[Bid]) -> Allocation {
    let singles = singles(bids);
    let mut by_rank: Vec<usize> =
        (0..bids.len()).filter(|place| bids[*place].lots.single().is_none()).collect();
    by_rank.sort_by_key(|place| bids[*place].rank());
    let field = Field::gather(bids, &singles, by_rank);

    let mut winners = field.uncontested();
    winners.extend(field.search().into_iter().map(|contender| field.contested[contender].place));
    let mut taken: Vec<NamespaceId> =
        winners.iter().flat_map(|place| bids[*place].lots.namespaces().iter().copied()).collect();
    taken.sort_unstable();
    let free = singles.iter().filter(|(lot, _)| taken.binary_search(lot).is_err());
    winners.extend(free.map(|(_, place)| *place));
    winners.sort_unstable();

    let mut standing: Vec<usize> = singles.values().copied().collect();
    standing.extend(field.standing.iter().map(|(place, _)| *place));
    standing.sort_unstable();
    let payment = winners.iter().map(|place| bids[*place].amount).sum();
    Allocation { winners, payment, standing }
}

/// The place of the highest bid for each lot alone.
fn singles(bids: &[Bid]) -> BTreeMap<NamespaceId, usize> {
    let mut highest: BTreeMap<NamespaceId, usize> = BTreeMap::new();
    for (place, bid) in bids.iter().enumerate() {
        let Some(lot) = bid.lots.single() else { continue };
        let best = highest.entry(lot).or_insert(place);
        if bid.rank() < bids[*best].rank() {
            *best = place;
        }
    }
    highest
}

/// The bids for several lots that stand.
#[derive(Default)]
struct Field {
    /// By rank: place, and which of `contested` it is, if it shares a lot with another one.
    standing: Vec<(usize, Option<usize>)>,
    contested: Vec<Contender>,
}

impl Field {
    fn gather(bids: &[Bid], singles: &BTreeMap<NamespaceId, usize>, by_rank: Vec<usize>) -> Self {
        let mut standing: Vec<(usize, Wei, bool)> = Vec::new();
        let mut of_lot: BTreeMap<NamespaceId, Vec<usize>> = BTreeMap::new();
        let mut contested = 0;
        for place in by_rank {
            let bid = &bids[place];
            let lots = bid.lots.namespaces();
            let alone = lots.iter().filter_map(|lot| singles.get(lot));
            let alone: Wei = alone.map(|single| bids[*single].amount).sum();
            if bid.amount <= alone {
                continue;
            }
            let mut rivals: Vec<usize> =
                lots.iter().filter_map(|lot| of_lot.get(lot)).flatten().copied().collect();
            rivals.sort_unstable();
            rivals.dedup();
            // Whoever is looked at later pays no more.
            if rivals.iter().any(|rival| bids[standing[*rival].0].lots.is_within(&bid.lots)) {
                continue;
            }
            if !rivals.is_empty() {
                let newly = rivals.iter().filter(|rival| !standing[**rival].2).count() + 1;
                if contested + newly > MAX_CONTESTED {
                    continue;
                }
                contested += newly;
                for rival in &rivals {
                    standing[*rival].2 = true;
                }
            }
            for lot in lots {
                of_lot.entry(*lot).or_default().push(standing.len());
            }
            standing.push((place, bid.amount - alone, !rivals.is_empty()));
        }
        let mut field = Self::default();
        for (place, gain, is_contested) in standing {
            let number = is_contested.then_some(field.contested.len());
            field.standing.push((place, number));
            if is_contested {
                field.contested.push(Contender { place, gain, rivals: 0 });
            }
        }
        let touch = |a: &Contender, b: &Contender| {
            a.place != b.place && bids[a.place].lots.touches(&bids[b.place].lots)
        };
        for number in 0..field.contested.len() {
            let all = field.contested.iter().enumerate();
            let rivals = all.filter(|(_, other)| touch(&field.contested[number], other));
            field.contested[number].rivals = rivals.fold(0, |mask, (other, _)| mask | 1 << other);
        }
        field
    }

    /// Places of those that share no lot with another one: they win.
    fn uncontested(&self) -> Vec<usize> {
        let alone = self.standing.iter().filter(|(_, number)| number.is_none());
        alone.map(|(place, _)| *place).collect()
    }

    /// Which of the contested win: of each group that hangs together, what gains the most.
    fn search(&self) -> Vec<usize> {
        let mut left: u32 = self.contested.iter().enumerate().fold(0, |mask, (i, _)| mask | 1 << i);
        let mut found = 0;
        while left != 0 {
            let mut group = left & left.wrapping_neg();
            loop {
                let grown = bits(group).fold(group, |mask, i| mask | self.contested[i].rivals);
                if grown == group {
                    break;
                }
                group = grown;
            }
            let mut best = (0, 0);
            self.branch(group, 0, 0, &mut best);
            found |= best.1;
            left &= !group;
        }
        bits(found).collect()
    }

    /// Tries what is left, with and without the highest bid of it, those with it first: so that of sets
    /// that gain the same the first one found is the one that is to win.
    fn branch(&self, left: u32, chosen: u32, gain: Wei, best: &mut (Wei, u32)) {
        let (mut left, mut chosen, mut gain) = (left, chosen, gain);
        // Those that no other one of the rest is in the way of win in any case.
        let is_free = |i: &usize, left: u32| self.contested[*i].rivals & left == 0;
        for i in bits(left).filter(|i| is_free(i, left)).collect::<Vec<_>>() {
            chosen |= 1 << i;
            left &= !(1 << i);
            gain += self.contested[i].gain;
        }
        if left == 0 {
            if gain > best.0 {
                *best = (gain, chosen);
            }
            return;
        }
        let most: Wei = gain + bits(left).map(|i| self.contested[i].gain).sum::<Wei>();
        if most <= best.0 {
            return;
        }
        let first = left.trailing_zeros() as usize;
        let rest = left & !(1 << first);
        let contender = &self.contested[first];
        self.branch(rest & !contender.rivals, chosen | 1 << first, gain + contender.gain, best);
        self.branch(rest, chosen, gain, best);
    }
}

/// Which bits are set, lowest first.
fn bits(mask: u32) -> impl Iterator<Item = usize> {
    (0..MAX_CONTESTED).filter(move |i| mask >> i & 1 == 1)
}
