//! Winners and shares against brute force, which looks at everything.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weft_auction::*;
use weft_types::limits::MAX_BID_AMOUNT;
use weft_types::{Address, B256, BidMode, NamespaceId, Partners, TransactionId, Wei};

fn bid(number: u8, lots: &[u64], amount: Wei) -> Bid {
    Bid {
        id: TransactionId(B256::with_last_byte(number)),
        bidder: Address::with_last_byte(number),
        sequence: 0,
        height: 1,
        lots: Lots::new(lots.iter().map(|lot| NamespaceId(*lot)).collect()).unwrap(),
        amount,
        mode: BidMode::Inclusion,
    }
}

/// Bids for a few lots, with amounts that are often the same.
fn bids(most: usize, lots: u64) -> impl Strategy<Value = Vec<Bid>> {
    let one = (proptest::collection::btree_set(0..lots, 1..=4), 1u128..30);
    proptest::collection::vec(one, 0..most).prop_map(|all| {
        let make = |(number, (lots, amount)): (u8, (BTreeSet<u64>, Wei))| {
            bid(number, &lots.into_iter().collect::<Vec<_>>(), amount)
        };
        (0u8..).zip(all).map(make).collect()
    })
}

/// The highest bid for each lot alone.
fn best_alone(bids: &[Bid]) -> BTreeMap<NamespaceId, Wei> {
    let mut best = BTreeMap::new();
    for bid in bids {
        if let [lot] = bid.lots.namespaces() {
            let known: &mut Wei = best.entry(*lot).or_default();
            *known = (*known).max(bid.amount);
        }
    }
    best
}

/// Every set of bids that share no lot, by going through all sets: the one that pays the most, without
/// bids for several lots that pay no more than those for their lots alone; of several the one with the
/// highest bid in which they differ, those for several lots looked at first.
fn by_brute_force(bids: &[Bid]) -> (Vec<usize>, Wei) {
    let alone = best_alone(bids);
    let is_better_alone = |bid: &Bid| {
        let lots = bid.lots.namespaces();
        let sum: Wei = lots.iter().filter_map(|lot| alone.get(lot)).sum();
        lots.len() > 1 && bid.amount <= sum
    };
    let mut order: Vec<usize> = (0..bids.len()).collect();
    order.sort_by_key(|place| (bids[*place].lots.namespaces().len() == 1, bids[*place].rank()));
    let mut best: Option<(Wei, Vec<bool>)> = None;
    for set in 0u32..1 << bids.len() {
        let chosen: Vec<usize> = (0..bids.len()).filter(|place| set >> place & 1 == 1).collect();
        let lots: Vec<_> = chosen.iter().flat_map(|place| bids[*place].lots.namespaces()).collect();
        if lots.iter().collect::<BTreeSet<_>>().len() < lots.len()
            || chosen.iter().any(|place| is_better_alone(&bids[*place]))
        {
            continue;
        }
        let payment = chosen.iter().map(|place| bids[*place].amount).sum();
        let differs = order.iter().map(|place| set >> place & 1 == 1).collect();
        let candidate = (payment, differs);
        if best.as_ref().is_none_or(|best| candidate > *best) {
            best = Some(candidate);
        }
    }
    let (payment, chosen) = best.unwrap();
    let mut winners: Vec<usize> = order
        .into_iter()
        .zip(chosen)
        .filter(|(_, chosen)| *chosen)
        .map(|(place, _)| place)
        .collect();
    winners.sort_unstable();
    (winners, payment)
}

/// The Shapley value by going through all orders.
fn shares_by_orders(winner: &Bid, standing: &[&Bid]) -> Vec<f64> {
    let lots = winner.lots.namespaces().to_vec();
    let worth = |set: &BTreeSet<NamespaceId>| {
        if set.len() == lots.len() {
            return winner.amount;
        }
        let within: Vec<Bid> = standing
            .iter()
            .filter(|bid| bid.lots.namespaces().iter().all(|lot| set.contains(lot)))
            .map(|bid| (*bid).clone())
            .collect();
        by_brute_force(&within).1
    };
    let mut sums = vec![0.0; lots.len()];
    let mut orders = 0.0;
    permutations(lots.len(), &mut |order| {
        orders += 1.0;
        let mut in_already = BTreeSet::new();
        let mut before = 0;
        for place in order {
            in_already.insert(lots[*place]);
            let now = worth(&in_already);
            sums[*place] += now as f64 - before as f64;
            before = now;
        }
    });
    sums.into_iter().map(|sum| sum / orders).collect()
}

fn permutations(count: usize, each: &mut impl FnMut(&[usize])) {
    fn go(left: &mut Vec<usize>, order: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
        if left.is_empty() {
            each(order);
        }
        for i in 0..left.len() {
            let next = left.remove(i);
            order.push(next);
            go(left, order, each);
            order.pop();
            left.insert(i, next);
        }
    }
    go(&mut (0..count).collect(), &mut Vec::new(), each);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn the_winners_are_those_that_brute_force_finds(bids in bids(11, 5)) {
        let found = determine(&bids);
        prop_assert_eq!((found.winners, found.payment), by_brute_force(&bids));
    }

    #[test]
    fn in_whatever_order_bids_come_the_same_ones_win(
        (bids, shuffled) in bids(40, 12).prop_flat_map(|bids| {
            (Just(bids.clone()), Just(bids).prop_shuffle())
        })
    ) {
        let ids = |bids: &[Bid]| {
            let found = determine(bids);
            let mut ids: Vec<TransactionId> =
                found.winners.iter().map(|place| bids[*place].id).collect();
            ids.sort();
            (ids, found.payment)
        };
        prop_assert_eq!(ids(&bids), ids(&shuffled));
    }

    #[test]
    fn shares_are_those_over_all_orders_and_lose_nothing(bids in bids(9, 4)) {
        let found = determine(&bids);
        let standing: Vec<&Bid> = found.standing.iter().map(|place| &bids[*place]).collect();
        for place in &found.winners {
            let winner = &bids[*place];
            let shares = shapley(winner, standing.iter().copied());
            prop_assert_eq!(shares.iter().sum::<Wei>(), winner.amount);
            for (share, exact) in shares.iter().zip(shares_by_orders(winner, &standing)) {
                prop_assert!((*share as f64 - exact).abs() < 1.0, "{} instead of {}", share, exact);
            }
        }
    }

    #[test]
    fn every_wei_goes_somewhere(
        amount in 1..=MAX_BID_AMOUNT,
        lots in proptest::collection::btree_set(0u64..20, 1..=8),
        alone in proptest::collection::vec(0..=MAX_BID_AMOUNT, 8),
        validators in 0u16..=10_000,
        burned in 0u16..=10_000,
    ) {
        let lots: Vec<u64> = lots.into_iter().collect();
        let winner = bid(0, &lots, amount);
        let alone: Vec<Bid> = (1u8..)
            .zip(lots.iter().zip(alone))
            .map(|(number, (lot, amount))| bid(number, &[*lot], amount))
            .collect();
        let shares = shapley(&winner, &alone);
        let lots = winner.lots.namespaces().iter().copied();
        let weights: Vec<_> = lots.clone().zip(shares.iter().copied()).collect();
        let split = split(amount, &weights, Terms { validators, burned });
        let rollups: Wei = split.rollups.iter().map(|(_, wei)| wei).sum();
        prop_assert_eq!(rollups + split.validators + split.burned, amount);
        prop_assert_eq!(split.rollups.len(), lots.len());
    }
}

#[test]
fn a_bid_for_two_lots_has_to_beat_those_for_each() {
    let all = [bid(1, &[1], 5), bid(2, &[2], 5), bid(3, &[1, 2], 10)];
    assert_eq!(determine(&all).winners, [0, 1], "it pays no more");
    let all = [bid(1, &[1], 5), bid(2, &[2], 5), bid(3, &[1, 2], 11)];
    let found = determine(&all);
    assert_eq!((found.winners, found.payment), (vec![2], 11));
    assert_eq!(shapley(&all[2], &all), [6, 5], "what they gain together is shared");
    let all = [bid(1, &[1], 9), bid(3, &[1, 2], 11)];
    assert_eq!(shapley(&all[1], &all), [10, 1], "the lot that brings it all gets most of it");
}

/// The example of spec/auction.md.
#[test]
fn the_example_of_the_text() {
    let all = [
        bid(1, &[1], 5),
        bid(2, &[2], 5),
        bid(3, &[1, 2], 11),
        bid(4, &[2, 3], 9),
        bid(5, &[3], 2),
        bid(6, &[1, 2, 3], 10),
    ];
    let found = determine(&all);
    assert_eq!((found.winners.as_slice(), found.payment), (&[0, 3][..], 14));
    let standing = found.standing.iter().map(|place| &all[*place]);
    assert_eq!(shapley(&all[3], standing), [6, 3]);
    assert_eq!(found.by_lot(&all).len(), 3);

    let crowd = (0..30u8).map(|i| bid(100 + i, &[4, 5 + u64::from(i)], 20 + Wei::from(i)));
    let all: Vec<Bid> = all.into_iter().chain(crowd).collect();
    let found = determine(&all);
    assert_eq!(found.winners, [0, 3, 35]);
    assert_eq!(found.standing.len(), 3 + 2 + 24, "a, b and e; c and d; of g and its like");
    assert!(!found.standing.contains(&11) && found.standing.contains(&12));
}

/// Which bids for several lots stand, by the text: place by place in order of rank, counting each time
/// what hangs together.
fn standing_by_the_text(bids: &[Bid]) -> Vec<usize> {
    let alone = best_alone(bids);
    let mut order: Vec<usize> =
        (0..bids.len()).filter(|place| bids[*place].lots.namespaces().len() > 1).collect();
    order.sort_by_key(|place| bids[*place].rank());
    let mut standing: Vec<usize> = Vec::new();
    for place in order {
        let lots: BTreeSet<_> = bids[place].lots.namespaces().iter().copied().collect();
        let apart: Wei = lots.iter().filter_map(|lot| alone.get(lot)).sum();
        let of = |other: usize| bids[other].lots.namespaces().iter();
        let contains_one = standing.iter().any(|other| of(*other).all(|lot| lots.contains(lot)));
        let (mut group, mut left, mut size) = (lots, standing.clone(), 1);
        while let Some(at) = left.iter().position(|other| of(*other).any(|lot| group.contains(lot)))
        {
            group.extend(of(left.remove(at)));
            size += 1;
        }
        if bids[place].amount > apart && !contains_one && size <= 24 {
            standing.push(place);
        }
    }
    standing
}

/// Of all sets of standing bids for several lots that share no lot the one that gains the most, of
/// several the one with the highest bid in which they differ; all of them are gone through.
fn best_of_all(bids: &[Bid], standing: &[usize]) -> Vec<usize> {
    let alone = best_alone(bids);
    let gain = |place: usize| {
        let lots = bids[place].lots.namespaces().iter();
        bids[place].amount - lots.filter_map(|lot| alone.get(lot)).sum::<Wei>()
    };
    type Best = (Wei, Vec<bool>);
    fn go(bids: &[Bid], all: &[(usize, Wei)], chosen: &mut Vec<bool>, gain: Wei, best: &mut Best) {
        let Some((place, more)) = all.get(chosen.len()) else {
            if (gain, &*chosen) > (best.0, &best.1) {
                *best = (gain, chosen.clone());
            }
            return;
        };
        let taken = all.iter().zip(&*chosen).filter(|(_, chosen)| **chosen);
        let lots = bids[*place].lots.namespaces();
        let mut taken = taken.flat_map(|((other, _), _)| bids[*other].lots.namespaces());
        if !taken.any(|lot| lots.contains(lot)) {
            chosen.push(true);
            go(bids, all, chosen, gain + more, best);
            chosen.pop();
        }
        chosen.push(false);
        go(bids, all, chosen, gain, best);
        chosen.pop();
    }
    let all: Vec<(usize, Wei)> = standing.iter().map(|place| (*place, gain(*place))).collect();
    let mut best = (0, Vec::new());
    go(bids, &all, &mut Vec::new(), 0, &mut best);
    let chosen = all.into_iter().zip(best.1).filter(|(_, chosen)| *chosen);
    let mut winners: Vec<usize> = chosen.map(|((place, _), _)| place).collect();
    winners.sort_unstable();
    winners
}

/// Many bids, most for several lots, of a few places in which lots are close together: bids of a place
/// share many lots, those of different ones few. Groups come up to the bound and would grow together.
fn crowded() -> impl Strategy<Value = Vec<Bid>> {
    let one = (0u64..4, proptest::collection::btree_set(0u64..7, 1..=4), 1u128..60);
    proptest::collection::vec(one, 40..120).prop_map(|all| {
        let make = |(number, (at, lots, amount)): (u8, (u64, BTreeSet<u64>, Wei))| {
            let lots: Vec<u64> = lots.into_iter().map(|lot| 6 * at + lot).collect();
            bid(number, &lots, amount * if lots.len() == 1 { 1 } else { 10 })
        };
        (0u8..).zip(all).map(make).collect()
    })
}

/// Bids for two or three lots of some, in numbers that no group can have.
fn crowd(lots: std::ops::Range<u64>) -> impl Strategy<Value = Vec<Bid>> {
    let one = (proptest::collection::btree_set(lots, 2..=3), 1u128..10_000);
    proptest::collection::vec(one, 30..100).prop_map(|all| {
        let make = |(number, (lots, amount)): (u8, (BTreeSet<u64>, Wei))| {
            bid(number, &lots.into_iter().collect::<Vec<_>>(), amount)
        };
        (100u8..).zip(all).map(make).collect()
    })
}

/// Ids of those that win and of those that stand, of the first `count`.
fn of_the_first(count: usize, bids: &[Bid]) -> (BTreeSet<TransactionId>, BTreeSet<TransactionId>) {
    let found = determine(bids);
    let of = |places: &[usize]| {
        places.iter().filter(|place| **place < count).map(|place| bids[*place].id).collect()
    };
    (of(&found.winners), of(&found.standing))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn with_groups_at_the_bound_the_best_of_all_sets_wins(bids in crowded()) {
        let found = determine(&bids);
        let several = |places: &[usize]| {
            let several = places.iter().filter(|place| bids[**place].lots.single().is_none());
            several.copied().collect::<Vec<usize>>()
        };
        let standing = standing_by_the_text(&bids);
        prop_assert_eq!(
            several(&found.standing).into_iter().collect::<BTreeSet<_>>(),
            standing.iter().copied().collect::<BTreeSet<_>>()
        );
        prop_assert_eq!(several(&found.winners), best_of_all(&bids, &standing));
    }

    #[test]
    fn a_crowd_of_bids_for_other_lots_changes_nothing(
        honest in bids(40, 12), crowd in crowd(100..130)
    ) {
        let count = honest.len();
        let alone = of_the_first(count, &honest);
        let all = [honest, crowd].concat();
        prop_assert_eq!(of_the_first(count, &all), alone);
    }
}

#[test]
fn bids_of_one_group_are_bounded_and_others_are_left_alone() {
    // A chain of bids, each of which shares a lot with the next, all higher than any of the rest.
    let chain = (0..60u8).map(|i| bid(i, &[u64::from(i), u64::from(i) + 1], 1000 - Wei::from(i)));
    let mut all: Vec<Bid> = chain.collect();
    // Contested among themselves, and connected with nothing else.
    all.extend([bid(100, &[500, 501], 3), bid(101, &[501, 502], 2), bid(102, &[502, 503], 2)]);
    let found = determine(&all);
    // The 25th and the 50th are beyond the bound, and what comes after begins a new group.
    let lost: Vec<usize> =
        (0..all.len()).filter(|i| found.standing.binary_search(i).is_err()).collect();
    assert_eq!(lost, [24, 49]);
    let of_others: Vec<usize> = found.winners.iter().copied().filter(|i| *i >= 60).collect();
    assert_eq!(of_others, [60, 62], "as if there were no chain");
    assert!(found.winners.contains(&0), "the highest wins");
}

#[test]
fn what_would_make_one_group_of_two_loses_if_that_is_too_large() {
    let chain = |from: u8, count: u8, amount: Wei| {
        (from..from + count).map(move |i| bid(i, &[u64::from(i), u64::from(i) + 1], amount))
    };
    let join = |first: u8, second: u8| {
        let mut all: Vec<Bid> = chain(0, first, 1000).chain(chain(100, second, 1000)).collect();
        all.push(bid(200, &[0, 100], 10));
        let last = all.len() - 1;
        determine(&all).standing.contains(&last)
    };
    assert!(join(11, 12));
    assert!(!join(12, 12), "24 and one are too many");
}

#[test]
fn a_group_as_large_as_can_be_has_its_highest_bid_win_if_all_share_a_lot() {
    let star = (1..=MAX_GROUP as u64)
        .map(|i| bid(u8::try_from(i).unwrap(), &[0, i, i + 100], 100 + Wei::from(i)));
    let star: Vec<Bid> = star.collect();
    assert_eq!(determine(&star).winners, [MAX_GROUP - 1]);
}

#[test]
fn bids_are_opened_for_a_reason() {
    let conditions = Conditions {
        height: 1,
        reserves: [(1, 10), (2, 20), (4, 1), (5, 1)].map(|(id, r)| (NamespaceId(id), r)).into(),
        collateral: (0..10)
            .map(|n| (Address::with_last_byte(n), 100))
            .chain([(10, 149), (11, 150)].map(|(n, wei)| (Address::with_last_byte(n), wei)))
            .collect(),
        holds: [(1, 70), (4, 70), (5, 80)]
            .map(|(id, most)| (NamespaceId(id), Hold { most, partners: Partners::Anyone }))
            .into(),
    };
    let of = |number: u8, bidder: u8, sequence: u64, lots: &[u64], amount: Wei| Bid {
        bidder: Address::with_last_byte(bidder),
        sequence,
        ..bid(number, lots, amount)
    };
    let atomic = |bid: Bid| Bid { mode: BidMode::Atomic, ..bid };
    let late = Bid { height: 2, ..of(8, 8, 9, &[1], 50) };
    let all = [
        of(0, 1, 0, &[1], 50),
        of(1, 1, 1, &[1], 60),
        of(2, 2, 1, &[1, 2], 29),
        of(3, 3, 1, &[1, 3], 90),
        of(4, 4, 1, &[2], 101),
        of(5, 5, 7, &[2], 0),
        of(6, 5, 6, &[2], 50),
        late,
        of(9, 99, 1, &[1], 10),
        of(10, 7, 1, &[1, 2], 30),
        atomic(of(11, 6, 1, &[1, 2], 29)),
        atomic(of(12, 9, 1, &[1, 4], 90)),
        atomic(of(13, 8, 1, &[4, 5], 90)),
        atomic(of(14, 10, 1, &[4, 5], 90)),
        atomic(of(15, 11, 1, &[4, 5], 90)),
    ];
    let opening = open(&all, &conditions);
    let id = |number: u8| TransactionId(B256::with_last_byte(number));
    assert_eq!(
        opening.0,
        [
            Err(Rejection::Replaced(id(1))),
            Ok(()),
            Err(Rejection::BelowReserve(30)),
            Err(Rejection::NoLot(NamespaceId(3))),
            Err(Rejection::Insolvent(100)),
            Err(Rejection::Withdrawn),
            Err(Rejection::Replaced(id(5))),
            Err(Rejection::WrongHeight),
            Err(Rejection::Insolvent(0)),
            Ok(()),
            Err(Rejection::NotAtomic(NamespaceId(2))),
            Err(Rejection::Insolvent(100)),
            Err(Rejection::Insolvent(100)),
            Err(Rejection::Insolvent(149)),
            Ok(()),
        ]
    );
    assert_eq!(opening.standing().collect::<Vec<_>>(), [1, 9, 14]);
}

#[test]
fn an_atomic_bid_is_for_partners_of_each_other() {
    let hold = |partners: &[u64]| Hold {
        most: 1,
        partners: Partners::Only(partners.iter().copied().map(NamespaceId).collect()),
    };
    let anyone = Hold { most: 1, partners: Partners::Anyone };
    let holds = [(1, anyone), (2, hold(&[1, 3])), (3, hold(&[2]))];
    let conditions = Conditions {
        height: 1,
        reserves: (1..=3).map(|id| (NamespaceId(id), 1)).collect(),
        collateral: (0..10).map(|n| (Address::with_last_byte(n), 100)).collect(),
        holds: holds.map(|(id, hold)| (NamespaceId(id), hold)).into(),
    };
    let atomic = |number: u8, lots: &[u64]| Bid { mode: BidMode::Atomic, ..bid(number, lots, 9) };
    let all = [atomic(1, &[1, 2]), atomic(2, &[2, 3]), atomic(3, &[1, 3]), atomic(4, &[1, 2, 3])];
    let apart = |id| Err(Rejection::NotAtomic(NamespaceId(id)));
    assert_eq!(open(&all, &conditions).0, [Ok(()), Ok(()), apart(3), apart(3)]);
}
