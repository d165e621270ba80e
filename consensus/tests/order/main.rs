//! How a block follows from observations: a second, naive reading of protocol section 5, rules 3
//! to 5, against what the crate derives along random histories.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

mod oracle;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestRunner};
use weft_consensus::build::Derived;
use weft_consensus::content::Missing;
use weft_consensus::cut::{Cut, Fork, Ordered};
use weft_consensus::driver::StoredBlock;
use weft_consensus::follow::{Refused, follow};
use weft_consensus::origin::Passed;
use weft_ledger::LaneCut;
use weft_types::*;

use oracle::*;
use world::*;

const CHAIN: u64 = 77;
const START_MS: u64 = 1_790_000_000_000;
const MEMBERS: usize = 7;
const KIB: u64 = 1024;

type Check = Result<(), TestCaseError>;

fn follows_the_oracle(scene: &Scene<'_>) -> Check {
    let derived = scene.derive().unwrap();
    let (time_ms, cut) = scene.oracle().block().unwrap();
    prop_assert_eq!(sorted(derived.cut), sorted(cut));
    prop_assert_eq!(derived.time_ms, time_ms);
    let observers: Vec<_> =
        scene.said.iter().map(|s| scene.members()[usize::from(s.body.observer)].address).collect();
    prop_assert_eq!(derived.observers, observers);
    Ok(())
}

/// The ledger has every cut where the oracle says, moved or not.
fn cuts_stand(scene: &Scene<'_>) -> Check {
    let (_, cut) = scene.oracle().block().unwrap();
    let after = advance(scene);
    for member in scene.members() {
        let moved = cut.cuts.iter().find(|(author, _)| *author == member.address);
        let stands = moved.map_or(scene.tip.state.lane(&member.address), |(_, cut)| *cut);
        prop_assert_eq!(after.state.lane(&member.address), stands);
    }
    Ok(())
}

/// Whatever quorum is embedded, what is ordered has support in it.
fn orders_what_is_supported(scene: &Scene<'_>) -> Check {
    let seats = |said: &[Said]| -> u64 {
        said.iter().map(|s| scene.members()[usize::from(s.body.observer)].seats).sum()
    };
    for left_out in 0..scene.said.len() {
        let mut said = scene.said.clone();
        said.remove(left_out);
        if !scene.tip.committee().is_quorum(seats(&said)) {
            continue;
        }
        for ordered in derive_from(scene.tip, &said, scene.shelf).unwrap().cut.batches {
            let names = |s: &&Said| {
                s.body.lanes.iter().any(|lane| {
                    scene.members()[usize::from(lane.author)].address == ordered.lane.author
                        && lane.incarnation == ordered.lane.incarnation
                        && lane.digests.contains(&ordered.digest)
                })
            };
            let named: Vec<Said> = said.iter().filter(names).cloned().collect();
            prop_assert!(scene.tip.committee().is_support(seats(&named)), "{:?}", ordered);
        }
    }
    Ok(())
}

/// Each author's batches come in the order of its lane, from the cut on and without a gap; a
/// later lane starts at its first place. Times never go back.
fn keeps_lanes_in_order(scene: &Scene<'_>) -> Check {
    let cut = scene.derive().unwrap().cut;
    for member in scene.members() {
        let LaneCut { mut incarnation, mut seq, digest: mut before, .. } =
            scene.tip.state.lane(&member.address);
        let mut time_ms = 0;
        for ordered in cut.batches.iter().filter(|o| o.lane.author == member.address) {
            if ordered.lane.incarnation != incarnation {
                prop_assert!(ordered.lane.incarnation > incarnation);
                (incarnation, seq, before) = (ordered.lane.incarnation, 0, BatchDigest::ZERO);
            }
            let batch = &scene.shelf.batches[&ordered.digest];
            prop_assert_eq!((ordered.lane, ordered.seq), (batch.body.lane, batch.body.seq));
            prop_assert_eq!((seq + 1, before), (batch.body.seq, batch.body.parent));
            prop_assert!(ordered.time_ms >= time_ms);
            (seq, before, time_ms) = (ordered.seq, ordered.digest, ordered.time_ms);
        }
    }
    let times: Vec<_> = cut.batches.iter().map(|ordered| ordered.time_ms).collect();
    prop_assert!(times.is_sorted());
    Ok(())
}

fn keeps_within_the_block(scene: &Scene<'_>) -> Check {
    let batches = scene.derive().unwrap().cut.batches;
    let bytes: u64 = batches.iter().map(|ordered| u64::from(ordered.bytes)).sum();
    prop_assert!(bytes <= u64::from(scene.tip.state.params().max_block_bytes));
    for ordered in batches {
        let length = borsh_length(&scene.shelf.batches[&ordered.digest]);
        prop_assert_eq!(u64::from(ordered.bytes), length);
    }
    Ok(())
}

fn borsh_length(batch: &Verified<Batch>) -> u64 {
    borsh::object_length(&**batch).unwrap() as u64
}

fn nobody_orders_nothing(scene: &Scene<'_>) -> Check {
    let derived = derive_from(scene.tip, &[], scene.shelf).unwrap();
    let time_ms = scene.tip.header.time_ms + 1;
    prop_assert_eq!(
        derived,
        Derived {
            time_ms,
            observers: Vec::new(),
            cut: Cut::default(),
            passed: Passed::none(scene.tip)
        }
    );
    Ok(())
}

/// Without some batches: the first that each author's lane lacks is asked for, and no other.
/// Whoever gets what it asks for, again and again, comes to the same block.
fn asks_for_what_it_takes(scene: &Scene<'_>, hide: &[bool]) -> Check {
    let mut shelf = scene.shelf.clone();
    let digests = shelf.batches.keys().copied().enumerate();
    shelf.hidden = digests.filter(|(i, _)| *in_turn(hide, *i)).map(|(_, d)| d).collect();
    loop {
        let lacking = Scene { tip: scene.tip, shelf: &shelf, said: scene.said.clone() };
        let expected = lacking.oracle().block();
        match lacking.derive() {
            Ok(derived) => {
                prop_assert!(expected.is_ok());
                prop_assert_eq!(Ok(derived), scene.derive());
                return Ok(());
            }
            Err(Missing { batches: mut asked, .. }) => {
                asked.sort();
                let mut missing = expected.err().unwrap_or_default();
                missing.sort();
                prop_assert_eq!(&asked, &missing);
                shelf.hidden.retain(|digest| !asked.contains(digest));
            }
        }
    }
}

/// Whoever has nothing but the block, which holds no batch that limits cut off, comes to the same;
/// and notices if a batch of it is left out or one is added.
fn is_taken_in_from_itself(scene: &Scene<'_>) -> Check {
    let derived = scene.derive().unwrap();
    let observations: Vec<Said> = scene.said.clone();
    let hashes = observations.iter().map(|said| *said.witness()).collect();
    let value = derived.propose(scene.tip, scene.members()[0].address, hashes);
    let batch = |digest| Arc::new(scene.shelf.batches[digest].clone());
    let digests = derived.digests();
    let batches: Vec<_> = digests.iter().map(batch).collect();
    let (height, block) = (value.header.height, value.header.id());
    let certificate = Certificate { height, round: 0, block, signatures: Vec::new() };
    let take_in = |batches: Vec<Arc<Verified<Batch>>>| {
        let mut tip = scene.tip.clone();
        let (value, observations) = (value.clone(), observations.clone());
        let block = StoredBlock { value, observations, events: Vec::new(), batches };
        follow(&mut tip, block, certificate.clone()).map(|delivery| (tip, delivery))
    };

    let (tip, delivery) =
        take_in(batches.clone()).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let expected = advance(scene);
    prop_assert_eq!((tip.id, tip.outcome), (expected.id, expected.outcome));
    prop_assert_eq!(delivery.applied.outcome, expected.outcome);
    for left_out in 0..batches.len() {
        let mut fewer = batches.clone();
        fewer.remove(left_out);
        prop_assert_eq!(take_in(fewer).err(), Some(Refused::Incomplete));
    }
    let mut tip = scene.tip.clone();
    let other = Certificate { block: BlockId::ZERO, ..certificate.clone() };
    let block = StoredBlock {
        value: value.clone(),
        observations: observations.clone(),
        events: Vec::new(),
        batches: batches.clone(),
    };
    prop_assert_eq!(follow(&mut tip, block, other).err(), Some(Refused::Uncertified));
    let others = scene.shelf.batches.keys().filter(|digest| !digests.contains(digest));
    for other in others.take(3) {
        let more = batches.iter().cloned().chain([batch(other)]).collect();
        prop_assert_eq!(take_in(more).err(), Some(Refused::Incomplete));
    }
    Ok(())
}

/// Where an author forks, all comes as if nobody had named anything of it from there on.
fn loses_nothing_to_a_fork(scene: &Scene<'_>) -> Check {
    let forked = sorted(scene.derive().unwrap().cut);
    for fork in &forked.forks {
        let said: Vec<Said> = scene.said.iter().map(|s| silenced(scene, s, fork)).collect();
        let mut expected = sorted(derive_from(scene.tip, &said, scene.shelf).unwrap().cut);
        prop_assert!(!expected.forks.contains(fork));
        expected.forks.push(*fork);
        prop_assert_eq!(sorted(expected), forked.clone());
    }
    Ok(())
}

/// The observation without what it names of the fork's author from the forked place on.
fn silenced(scene: &Scene<'_>, said: &Said, fork: &Fork) -> Said {
    let cut = scene.tip.state.lane(&fork.lane.author);
    let before = if fork.lane.incarnation == cut.incarnation { cut.seq } else { 0 };
    let keep = usize::try_from(fork.seq - before - 1).unwrap();
    let mut body = said.body.clone();
    for lane in &mut body.lanes {
        if scene.members()[usize::from(lane.author)].address == fork.lane.author {
            let keep = match lane.incarnation.cmp(&fork.lane.incarnation) {
                std::cmp::Ordering::Less => lane.digests.len(),
                std::cmp::Ordering::Equal => keep,
                std::cmp::Ordering::Greater => 0,
            };
            lane.digests.truncate(keep);
            lane.ages_ms.truncate(keep);
        }
    }
    body.lanes.retain(|lane| !lane.digests.is_empty());
    sign(scene.tip, body)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(384))]

    #[test]
    fn a_block_is_what_the_text_says(plan in plans()) {
        each_height(&plan, |scene| {
            follows_the_oracle(scene)?;
            cuts_stand(scene)
        })?;
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_is_ordered_has_support_in_every_quorum(plan in plans()) {
        each_height(&plan, orders_what_is_supported)?;
    }

    #[test]
    fn lanes_stay_in_order(plan in plans()) {
        each_height(&plan, keeps_lanes_in_order)?;
    }

    #[test]
    fn blocks_stay_within_their_bytes(plan in plans()) {
        each_height(&plan, keeps_within_the_block)?;
    }

    #[test]
    fn without_observations_nothing_is_ordered(plan in plans()) {
        each_height(&plan, nobody_orders_nothing)?;
    }

    #[test]
    fn missing_batches_are_asked_for(
        plan in plans(),
        hide in prop::collection::vec(prop::bool::weighted(0.3), 1..20),
    ) {
        each_height(&plan, |scene| asks_for_what_it_takes(scene, &hide))?;
    }

    #[test]
    fn a_block_is_taken_in_from_itself(plan in plans()) {
        each_height(&plan, is_taken_in_from_itself)?;
    }

    #[test]
    fn a_fork_costs_nothing_but_itself(plan in plans()) {
        each_height(&plan, loses_nothing_to_a_fork)?;
    }
}

#[test]
fn a_batch_too_large_for_its_share_leaves_nothing_to_carry() {
    let view = View { skip: 0, fork: false, counts: (1, 0), ages: [0; 4], slip: Slip::Nothing };
    let lane =
        LanePlan { above: 0, batches: vec![(4, 1)], fork: None, broken: None, misplaced: None };
    let observer = ObserverPlan { present: true, clock: 0, wild: None, views: vec![view] };
    let plan = Plan {
        seats: vec![1, 3],
        large: false,
        room: 126,
        liar: 0,
        authors: vec![vec![lane]],
        heights: vec![HeightPlan { silent: false, observers: vec![observer] }],
    };
    each_height(&plan, |scene| {
        let cut = scene.derive().unwrap().cut;
        let carries = cut.cuts.iter().map(|(_, cut)| cut.carry).collect::<Vec<_>>();
        prop_assert_eq!(cut.batches.iter().map(|o| o.bytes).collect::<Vec<_>>(), [404, 404]);
        prop_assert_eq!(carries, [0, 1170 - 404]);
        follows_the_oracle(scene)
    })
    .unwrap();
}

/// How often the histories come to what the rules are about.
#[derive(Debug, Default)]
struct Reached(BTreeMap<&'static str, usize>);

impl Reached {
    fn add(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times;
    }

    fn look(&mut self, scene: &Scene<'_>) {
        if scene.said.is_empty() {
            return;
        }
        let oracle = scene.oracle();
        let (time_ms, cut) = oracle.block().unwrap();
        let ties = cut.batches.windows(2).filter(|w| w[0].time_ms == w[1].time_ms);
        self.add("a batch is ordered", cut.batches.len());
        self.add("times are equal", ties.count());
        self.add("a fork stops a lane", cut.forks.len());
        self.add("the median is too early", usize::from(time_ms == oracle.parent_ms + 1));
        for author in 0..oracle.members.len() {
            self.look_at(&oracle, &cut, author);
        }
    }

    fn look_at(&mut self, oracle: &Oracle<'_>, cut: &Cut, author: usize) {
        let Member { address, seats } = oracle.members[author];
        let before = oracle.cuts[author];
        let after = cut.cuts.iter().find(|(author, _)| *author == address);
        let after = after.map_or(before, |(_, cut)| *cut);
        let taken: Vec<_> = cut.batches.iter().filter(|o| o.lane.author == address).collect();
        let bytes = taken.iter().map(|o| u64::from(o.bytes)).sum::<u64>();
        let part = oracle.max_block_bytes * seats / oracle.seats();
        let share = part + u64::from(before.carry);
        let late = |o: &&&Ordered| {
            let place = Place { author, incarnation: o.lane.incarnation, seq: o.seq };
            o.time_ms > oracle.support_time(place, o.digest)
        };
        let left = oracle.walk(author).batches.len() - taken.len();
        let lanes = taken.windows(2).filter(|w| w[0].lane != w[1].lane).count();
        self.add("a later lane opens", usize::from(after.incarnation > before.incarnation));
        self.add("two lanes of an author are ordered", lanes);
        self.add("a batch comes after its support", taken.iter().filter(late).count());
        self.add("a batch is left for want of room", left);
        self.add("an author takes room that was left", usize::from(bytes > share));
        self.add("an author lives on its carry", usize::from(bytes > part && bytes <= share));
        self.add("a carry is full", usize::from(u64::from(after.carry) == 256 * KIB));
    }
}

#[test]
fn the_histories_come_to_every_rule() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for _ in 0..128 {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        each_height(&plan, |scene| {
            reached.look(scene);
            Ok(())
        })
        .unwrap();
    }
    assert!(reached.0.values().all(|times| *times >= 10), "{reached:#?}");
}
