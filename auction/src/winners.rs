//! Who wins: of all sets of bids that share no lot, one that pays the most.
//!
//! 1. Of the bids for one lot alone, the [highest](Bid::rank) stands for it.
//! 2. Bids for several lots are looked at by rank. One that pays no more than the bids of 1 for its
//!    lots together loses, and so does one that has all the lots of a standing one among its own.
//! 3. The rest are looked at by rank, too. Standing bids for several lots that share lots with each other,
//!    directly or through others, make a group. One stands as long as the group that it then belongs to
//!    has no more than [`MAX_GROUP`] bids; beyond, it loses.
//! 4. Of the sets of standing bids for several lots that share no lot, the one wins with which
//!    everything pays the most, the bids of 1 taking the lots that it leaves free. Of sets that pay the
//!    same, it is the one that has the highest bid in which they differ.
//!
//! What 1 and 2 leave out changes nothing: a set with such a bid pays no more than one with those in
//! its place that it loses against. What may cost something is the bound of 3, which keeps the search
//! exact and short whatever is bid. It is part of consensus.
//!
//! Groups share no lot, so each is searched by itself and none has a bearing on another. The search
//! branches at the bid with the most rivals left, part by part of what still hangs together: where it has
//! three or more, at least four bids are settled on one side and one on the other, and where nobody has
//! more than two, bids are in chains and rings, which takes less. So a group takes at most
//! [`MAX_BRANCHINGS`] steps, whatever its bids offer, and a block at most as many for each of its bids for
//! several lots, divided by [`MAX_GROUP`].

use std::collections::BTreeMap;

use weft_types::{NamespaceId, Wei};

use crate::bid::Bid;

/// Most bids of a group.
pub const MAX_GROUP: usize = 24;

/// Most times that the search of one group takes one bid or leaves it: `n(24)`, where
/// `n(k) = 1 + n(k - 1) + n(k - 4)` is enough for `k` bids.
pub const MAX_BRANCHINGS: u32 = branchings(MAX_GROUP);

/// Enough to search so many bids. Alone there is nothing to choose, two take one step, three two.
const fn branchings(bids: usize) -> u32 {
    match bids {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        _ => 1 + branchings(bids - 1) + branchings(bids - 4),
    }
}

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

    /// The standing bids by the lowest of their lots, no more than [`MAX_GROUP`] and one for each: those
    /// that need no other lots than a winner's are found under these.
    pub fn standing_by_lot<'a>(&self, bids: &'a [Bid]) -> BTreeMap<NamespaceId, Vec<&'a Bid>> {
        let mut by_lot: BTreeMap<NamespaceId, Vec<&Bid>> = BTreeMap::new();
        for bid in self.standing.iter().filter_map(|place| bids.get(*place)) {
            if let Some(lowest) = bid.lots.namespaces().first() {
                by_lot.entry(*lowest).or_default().push(bid);
            }
        }
        by_lot
    }
}

/// Determines the winners among bids that stand (see [`open`](crate::opening::open)).
pub fn determine(bids: &[Bid]) -> Allocation {
    let singles = singles(bids);
    let mut by_rank: Vec<usize> =
        (0..bids.len()).filter(|place| bids[*place].lots.single().is_none()).collect();
    by_rank.sort_by_key(|place| bids[*place].rank());
    let field = Field::gather(bids, &singles, by_rank);

    let mut winners: Vec<usize> =
        field.groups.iter().flat_map(|group| Search::of(bids, group).winners()).collect();
    let mut taken: Vec<NamespaceId> =
        winners.iter().flat_map(|place| bids[*place].lots.namespaces().iter().copied()).collect();
    taken.sort_unstable();
    let free = singles.iter().filter(|(lot, _)| taken.binary_search(lot).is_err());
    winners.extend(free.map(|(_, place)| *place));
    winners.sort_unstable();

    let mut standing: Vec<usize> = singles.values().copied().collect();
    standing.extend(field.groups.iter().flatten().map(|contender| contender.place));
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

/// A bid for several lots that stands.
#[derive(Clone, Copy, Debug)]
struct Contender {
    place: usize,
    /// What it pays beyond the bids for its lots alone.
    gain: Wei,
}

/// The bids for several lots that stand.
#[derive(Default)]
struct Field {
    /// By group. One that has become part of another is empty.
    groups: Vec<Vec<Contender>>,
    /// The group of each lot that one of them has.
    group_of: BTreeMap<NamespaceId, usize>,
}

impl Field {
    fn gather(bids: &[Bid], singles: &BTreeMap<NamespaceId, usize>, by_rank: Vec<usize>) -> Self {
        let mut field = Self::default();
        for place in by_rank {
            let bid = &bids[place];
            let lots = bid.lots.namespaces();
            let alone = lots.iter().filter_map(|lot| singles.get(lot));
            let alone: Wei = alone.map(|single| bids[*single].amount).sum();
            if bid.amount <= alone {
                continue;
            }
            let mut near: Vec<usize> =
                lots.iter().filter_map(|lot| field.group_of.get(lot)).copied().collect();
            near.sort_unstable();
            near.dedup();
            let others = || near.iter().flat_map(|group| &field.groups[*group]);
            // Whoever is looked at later pays no more.
            if others().count() >= MAX_GROUP
                || others().any(|other| bids[other.place].lots.is_within(&bid.lots))
            {
                continue;
            }
            field.join(bids, &near, Contender { place, gain: bid.amount - alone });
        }
        field
    }

    /// Makes one group of some and of one more.
    fn join(&mut self, bids: &[Bid], near: &[usize], one: Contender) {
        let largest = near.iter().copied().max_by_key(|group| self.groups[*group].len());
        let into = largest.unwrap_or(self.groups.len());
        let mut moved = vec![one];
        for group in near.iter().filter(|group| **group != into) {
            moved.append(&mut self.groups[*group]);
        }
        for contender in &moved {
            let lots = bids[contender.place].lots.namespaces();
            self.group_of.extend(lots.iter().map(|lot| (*lot, into)));
        }
        match self.groups.get_mut(into) {
            Some(group) => group.append(&mut moved),
            None => self.groups.push(moved),
        }
    }
}

/// The bids of a group, the lowest first: so that of two sets of them, each as the bits that are set in a
/// number, the higher number has the highest bid in which they differ.
struct Search {
    contenders: Vec<Contender>,
    /// Which ones share a lot with each.
    rivals: Vec<u32>,
}

/// What a set of bids gains, and which they are. Of two the better one is the greater.
type Found = (Wei, u32);

impl Search {
    fn of(bids: &[Bid], group: &[Contender]) -> Self {
        let mut contenders = group.to_vec();
        contenders.sort_by_key(|contender| std::cmp::Reverse(bids[contender.place].rank()));
        let mut rivals = vec![0; contenders.len()];
        for (i, one) in contenders.iter().enumerate() {
            for (j, other) in contenders.iter().enumerate().take(i) {
                if bids[one.place].lots.touches(&bids[other.place].lots) {
                    rivals[i] |= 1 << j;
                    rivals[j] |= 1 << i;
                }
            }
        }
        Self { contenders, rivals }
    }

    /// Places of those that win.
    fn winners(&self) -> Vec<usize> {
        let all = (0..self.contenders.len()).fold(0, |all, i| all | 1 << i);
        let (_, found) = self.best(all, &mut 0);
        bits(found).map(|i| self.contenders[i].place).collect()
    }

    /// The best of the sets that share no lot, of those that are left. Counts its branchings.
    fn best(&self, left: u32, branchings: &mut u32) -> Found {
        let (mut left, mut found) = (left, (0, 0));
        while left != 0 {
            let part = self.part_of(left);
            left &= !part;
            let rivals = |i: usize| (self.rivals[i] & part).count_ones();
            let Some(busiest) = bits(part).max_by_key(|i| rivals(*i)) else { break };
            let without = part & !(1 << busiest);
            let mut best = self.add(busiest, (0, 0));
            if without != 0 {
                *branchings += 1;
                let rest = self.best(without & !self.rivals[busiest], branchings);
                best = self.add(busiest, rest).max(self.best(without, branchings));
            }
            found = (found.0 + best.0, found.1 | best.1);
        }
        found
    }

    fn add(&self, one: usize, found: Found) -> Found {
        (found.0 + self.contenders[one].gain, found.1 | 1 << one)
    }

    /// Of those that are left, the lowest and what hangs together with it.
    fn part_of(&self, left: u32) -> u32 {
        let mut part = left & left.wrapping_neg();
        let mut fresh = part;
        while fresh != 0 {
            let near = bits(fresh).fold(0, |near, i| near | self.rivals[i]);
            fresh = near & left & !part;
            part |= fresh;
        }
        part
    }
}

/// Which bits are set, lowest first.
fn bits(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lowest = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn branchings_of(bids: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> u32 {
        let mut rivals = vec![0; bids];
        for (i, j) in edges.into_iter().filter(|(i, j)| i != j) {
            rivals[i] |= 1 << j;
            rivals[j] |= 1 << i;
        }
        let contenders = (0..bids).map(|place| Contender { place, gain: 1 }).collect();
        let mut count = 0;
        Search { contenders, rivals }.best((1 << bids) - 1, &mut count);
        count
    }

    #[test]
    fn enough_is_a_little_more_than_two_thousand() {
        assert_eq!(MAX_BRANCHINGS, 2384);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_group_takes_more_branchings_than_enough(
            bids in 1..=MAX_GROUP,
            edges in proptest::collection::vec((0..MAX_GROUP, 0..MAX_GROUP), 0..120),
        ) {
            let edges = edges.into_iter().map(|(i, j)| (i % bids, j % bids));
            prop_assert!(branchings_of(bids, edges) <= branchings(bids));
        }

        #[test]
        fn nor_do_chains_and_rings(order in Just((0..MAX_GROUP).collect::<Vec<_>>()).prop_shuffle()) {
            for bids in 1..=MAX_GROUP {
                let order: Vec<usize> = order.iter().copied().filter(|i| *i < bids).collect();
                let chain: Vec<_> = order.windows(2).map(|two| (two[0], two[1])).collect();
                prop_assert!(branchings_of(bids, chain.clone()) <= branchings(bids));
                let ring = chain.into_iter().chain([(order[0], order[bids - 1])]);
                prop_assert!(branchings_of(bids, ring) <= branchings(bids), "a ring of {bids}");
            }
        }
    }
}
