//! The driver in a simulated network, a seed at a time: agreement, nothing lost or repeated,
//! nothing signed twice, and faults that cost others nothing lasting.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "test values are small, and a test that unwraps nothing fails"
)]

mod l1;
#[path = "../support/mod.rs"]
mod support;
mod world;

use l1::{L1, L1View};
use weft_types::Slot;
use world::{Fault, Sin, World};

const SEEDS: u64 = 24;

#[test]
fn honest_nodes_agree_and_lose_nothing() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[]);
        world.load(60, 4_000);
        world.run(7_000);
        world.check(true);
        assert_eq!(world.empty_blocks(), 0, "seed {seed}");
        assert!(world.height() > 10, "seed {seed}: height {}", world.height());
    }
}

#[test]
fn an_idle_network_beats_and_no_more() {
    let mut world = World::new(1, 4, &[]);
    world.run(10_500);
    assert!((8..=12).contains(&world.height()), "height {}", world.height());
}

#[test]
fn seven_nodes_agree() {
    for seed in 0..SEEDS / 4 {
        let mut world = World::new(seed, 7, &[]);
        world.load(60, 4_000);
        world.run(7_000);
        world.check(true);
    }
}

#[test]
fn a_node_that_dies_is_missed_by_nobody() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[]);
        world.load(30, 2_000);
        world.run(3_000);
        // Only what was in the dead node's own mempool may be lost: nothing at this point.
        world.crash((seed % 4) as usize, 5_000);
        let before = world.height();
        world.run(3_000);
        assert!(world.height() > before, "seed {seed}: ordering goes on");
        world.load(20, 1_000);
        world.run(8_000);
        world.check(true);
    }
}

#[test]
fn all_killed_at_once_come_back_through_at_most_one_empty_block() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[]);
        world.load(30, 2_000);
        for kill in 0..3 {
            world.run(1_000 + 37 * seed + 211 * kill);
            let (height, empty) = (world.height(), world.empty_blocks());
            for node in 0..4 {
                world.crash(node, 50 + node as u64 * 20);
            }
            world.run(5_000);
            assert!(
                world.height() > height + 1,
                "seed {seed}: stuck at {height}: {}",
                world.dump()
            );
            assert!(world.empty_blocks() <= empty + 1, "seed {seed}: too many empty blocks");
        }
        world.check(false);
    }
}

#[test]
fn two_of_four_down_stop_ordering_and_it_resumes() {
    let mut world = World::new(3, 4, &[]);
    world.run(2_000);
    world.crash(0, 6_000);
    world.crash(1, 6_000);
    world.run(500);
    let stopped = world.height();
    world.run(4_000);
    assert!(world.height() <= stopped + 1, "two of four decide nothing");
    world.run(8_000);
    assert!(world.height() > stopped + 3, "resumes by itself");
    world.check(true);
}

#[test]
fn every_bad_proposal_is_refused_and_costs_a_round() {
    for fault in [
        Fault::DropsBatches,
        Fault::AddsBatch,
        Fault::BackDates,
        Fault::TooFewObservers,
        Fault::LiesAboutOutcome,
        Fault::MovesOrigin,
    ] {
        for seed in 0..SEEDS / 6 {
            let mut world = World::new(seed, 4, &[(1, Sin::Proposer(fault))]);
            world.load(40, 4_000);
            world.run(12_000);
            world.check(true);
            assert!(!world.refused.is_empty(), "{fault:?}, seed {seed}: never tried");
            for (height, (block, _)) in &world.decided {
                let id = block.value.header.id();
                assert!(!world.refused.contains(&id), "{fault:?}, seed {seed}, height {height}");
            }
        }
    }
}

#[test]
fn proposals_out_of_turn_crowd_nobody_out() {
    for seed in 0..SEEDS / 6 {
        let mut world = World::new(seed, 4, &[]);
        world.load(40, 4_000);
        for _ in 0..80 {
            world.flood_proposals(2);
            world.run(50);
        }
        world.run(4_000);
        world.check(true);
        assert!(world.height() > 10, "seed {seed}: height {}", world.height());
    }
}

#[test]
fn an_equivocating_author_is_caught_and_stops_nobody_else() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[(2, Sin::EquivocatingAuthor)]);
        world.sinner_submits(2, 3);
        world.load(40, 4_000);
        world.run(8_000);
        world.check(true);
        let caught = world
            .nodes
            .iter()
            .any(|node| node.evidence.iter().any(|e| matches!(e.slot, Slot::Batch { .. })));
        assert!(caught, "seed {seed}: nobody kept evidence");
    }
}

#[test]
fn a_withholding_author_stops_nobody() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[(2, Sin::WithholdingAuthor)]);
        world.sinner_submits(2, 5);
        world.load(40, 4_000);
        world.run(8_000);
        world.check(true);
    }
}

#[test]
fn an_equivocating_observer_is_caught_and_stops_nobody() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[(3, Sin::EquivocatingObserver)]);
        world.load(40, 4_000);
        world.run(8_000);
        world.check(true);
        let caught = world
            .nodes
            .iter()
            .any(|node| node.evidence.iter().any(|e| matches!(e.slot, Slot::Observation { .. })));
        assert!(caught, "seed {seed}: nobody kept evidence");
    }
}

#[test]
fn a_cut_link_between_two_nodes_stops_nobody() {
    for seed in 0..SEEDS / 2 {
        let mut world = World::new(seed, 4, &[]);
        world.cut.insert((0, 1));
        world.load(40, 4_000);
        world.run(12_000);
        world.check(true);
    }
}

#[test]
fn nodes_that_crash_one_after_another_all_catch_up() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, &[]);
        world.load(80, 16_000);
        for turn in 0..8 {
            world.run(1_700 + 13 * seed);
            world.crash(turn % 4, 400 + 97 * (seed % 7));
        }
        world.run(6_000);
        world.check(false);
        let heights: Vec<usize> = world.nodes.iter().map(|node| node.delivered.len()).collect();
        let spread = heights.iter().max().unwrap() - heights.iter().min().unwrap();
        assert!(spread <= 2, "seed {seed}: {heights:?}");
    }
}

/// The blocks of a run that took a second round.
fn later_rounds(world: &World) -> usize {
    world.decided.values().filter(|(_, certificate)| certificate.round > 0).count()
}

fn origin(world: &World) -> u64 {
    world.decided.values().next_back().map_or(0, |(block, _)| block.value.header.l1_origin.number)
}

#[test]
fn l1_is_taken_in_by_majority_and_costs_no_round() {
    use L1View::*;
    for views in [
        [Honest; 4],
        [Honest, Honest, Honest, Forked],
        [Honest, Censored, Honest, Honest],
        [Dead, Honest, Honest, Honest],
        [Honest, Late(50), Honest, Honest],
        [Late(1), Honest, Late(2), Honest],
    ] {
        for seed in 0..SEEDS / 6 {
            let mut world = World::with_l1(seed, &views, &[]);
            world.load(40, 4_000);
            world.run(9_000);
            world.check(true);
            assert_eq!(later_rounds(&world), 0, "{views:?}, seed {seed}");
            let behind = L1::finalized(9_000) - origin(&world);
            assert!(behind <= 9, "{views:?}, seed {seed}: {behind} blocks behind");
        }
    }
}

#[test]
fn without_a_majority_the_origin_stays_and_ordering_goes_on() {
    use L1View::*;
    for views in [
        [Dead; 4],
        [Honest, Honest, Dead, Dead],
        [Honest, Honest, Forked, Dead],
        [Forked, Forked, Honest, Honest],
    ] {
        for seed in 0..SEEDS / 6 {
            let mut world = World::with_l1(seed, &views, &[]);
            world.load(40, 4_000);
            world.run(6_000);
            world.check(true);
            assert_eq!(origin(&world), 0, "{views:?}, seed {seed}");
            assert_eq!(later_rounds(&world), 0, "{views:?}, seed {seed}");
            assert!(world.height() > 10, "{views:?}, seed {seed}");

            world.l1.as_mut().unwrap().views = vec![Honest; 4];
            world.run(7_000);
            world.check(true);
            let behind = L1::finalized(13_000) - origin(&world);
            assert!(behind <= 9, "{views:?}, seed {seed}: {behind} blocks behind");
        }
    }
}

#[test]
fn a_proposer_that_leaves_l1_out_is_outvoted() {
    for fault in [Fault::MovesOrigin, Fault::HoldsOrigin, Fault::DropsEvents] {
        for seed in 0..SEEDS / 6 {
            let sins = [(1, Sin::Proposer(fault))];
            let mut world = World::with_l1(seed, &[L1View::Honest; 4], &sins);
            world.load(40, 4_000);
            world.run(14_000);
            world.check(true);
            assert!(!world.refused.is_empty(), "{fault:?}, seed {seed}: never tried");
            let behind = L1::finalized(14_000) - origin(&world);
            assert!(behind <= 12, "{fault:?}, seed {seed}: {behind} blocks behind");
        }
    }
}

#[test]
fn events_reach_those_who_do_not_see_l1_through_crashes() {
    use L1View::*;
    for seed in 0..SEEDS / 2 {
        let mut world = World::with_l1(seed, &[Honest, Honest, Honest, Dead], &[]);
        world.load(40, 6_000);
        for turn in 0..4 {
            world.run(1_500 + 17 * seed);
            world.crash(turn, 300 + 40 * (seed % 5));
        }
        world.run(6_000);
        world.check(false);
        assert!(origin(&world) > 20, "seed {seed}: origin {}", origin(&world));
    }
}

#[test]
fn a_committee_is_replaced_one_by_one_without_a_stop() {
    for seed in 0..SEEDS / 2 {
        // Every two seconds one of the first four goes and one of the others comes.
        let stakes = (0..4u64).flat_map(|turn| {
            let (block, node) = (5 + 7 * turn, turn as usize);
            [(block, node, 0), (block, node + 4, 32)]
        });
        let mut world = World::with_epochs(seed, 8, stakes.collect());
        world.load(120, 12_000);
        world.run(18_000);
        world.check(true);
        let last = world.decided.values().next_back().unwrap().0.value.header;
        let newcomers: Vec<_> = (4..8).map(|i| world.nodes[i].key.address()).collect();
        let members: Vec<_> =
            newcomers.iter().map(|a| weft_types::Member { address: *a, seats: 1 }).collect();
        let expected = weft_types::Committee::new(members).unwrap().hash();
        assert_eq!(last.validators_hash, expected, "seed {seed}: nobody of the first is left");
        assert!(later_rounds(&world) <= 8, "seed {seed}: {} later rounds", later_rounds(&world));
        let longest = longest_gap(&world);
        assert!(longest < 3_000, "seed {seed}: nothing was decided for {longest} ms");
    }
}

/// The longest time between two blocks.
fn longest_gap(world: &World) -> u64 {
    let times: Vec<u64> = world.decided.values().map(|(b, _)| b.value.header.time_ms).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}
