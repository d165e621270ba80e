//! How L1 is taken in (protocol section 5, rules 6 and 7): a naive second reading of the rule over
//! random views, and what a driver observes, fetches and answers.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use weft_consensus::build::derive;
use weft_consensus::content::{Content, Missing};
use weft_consensus::driver::{Effect, Input, SeenL1Block, StoredBlock};
use weft_consensus::follow::{Refused, follow};
use weft_consensus::origin::Passed;
use weft_consensus::tip::Tip;
use weft_consensus::validity::{Invalid, Judgement, judge};
use weft_types::observation::L1Block;
use weft_types::*;

use support::lone::*;

/// What L1 blocks may bring: nothing, little, or so much that one fits and two do not.
static EVENTS: LazyLock<Vec<Arc<Verified<L1Events>>>> = LazyLock::new(|| {
    let deposit = |amount| L1Event::Deposit { to: Address::with_last_byte(9), amount };
    [0, 1, 2, 16_000]
        .map(|count| L1Events((0..count).map(deposit).collect()))
        .map(|events| Arc::new(Unverified::new(events).verify(()).unwrap()))
        .to_vec()
});

/// Which of three chains an observer sees at each place, and which events.
type View = Vec<(u8, usize)>;

#[derive(Clone, Debug)]
struct Scene {
    seats: Vec<u64>,
    /// By member: whether it is embedded, and what it sees.
    members: Vec<(bool, View)>,
    hidden: BTreeSet<usize>,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let place = prop_oneof![8 => Just(0u8), 1 => Just(1), 1 => Just(2)]
        .prop_flat_map(|chain| (Just(chain), prop_oneof![6 => Just(usize::MAX), 1 => 0usize..4]));
    let view = prop_oneof![
        6 => Just(8usize),
        2 => 0usize..8,
    ]
    .prop_flat_map(move |length| prop::collection::vec(place.clone(), length));
    let common = prop::collection::vec(prop_oneof![3 => 0usize..3, 1 => Just(3)], 8);
    (1usize..=7).prop_flat_map(move |count| {
        (
            prop::collection::vec(prop_oneof![4 => Just(1u64), 1 => 1u64..4], count),
            prop::collection::vec((prop::bool::weighted(0.85), view.clone()), count),
            common.clone(),
            prop::collection::btree_set(0usize..4, 0..2),
        )
            .prop_map(|(seats, mut members, common, hidden)| {
                // Most see at each place what is common there.
                for (_, view) in &mut members {
                    for ((_, events), common) in view.iter_mut().zip(&common) {
                        if *events == usize::MAX {
                            *events = *common;
                        }
                    }
                }
                Scene { seats, members, hidden }
            })
    })
}

fn keys(count: usize) -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> = (1..=count)
        .map(|i| SecretKey::from_bytes([u8::try_from(i).unwrap(); 32]).unwrap())
        .collect();
    keys.sort_by_key(SecretKey::address);
    keys
}

fn tip(seats: &[u64]) -> Tip {
    let members = keys(seats.len());
    let members = members.iter().zip(seats);
    let lone = Lone::new();
    let genesis = Genesis {
        validators: members.map(|(k, &seats)| Member { address: k.address(), seats }).collect(),
        l1_origin: L1Origin { number: 40, hash: B256::repeat_byte(4) },
        ..lone.genesis
    };
    Tip::genesis(&genesis).unwrap()
}

fn l1_block(place: usize, (chain, events): (u8, usize)) -> L1Block {
    let hash = hash::keccak256(&[&[chain], &place.to_be_bytes()]);
    L1Block { hash, events_digest: EVENTS[events].witness().digest }
}

fn observe(tip: &Tip, observer: usize, view: &View) -> Verified<Observation> {
    let body = ObservationBody {
        height: 1,
        parent: tip.id,
        observer: u16::try_from(observer).unwrap(),
        clock_ms: START_MS + 7,
        lanes: Vec::new(),
        l1: view.iter().enumerate().map(|(place, seen)| l1_block(place, *seen)).collect(),
    };
    let key = &keys(tip.committee().members().len())[observer];
    Unverified::new(Signed::new(body, CHAIN, key)).verify((CHAIN, tip.committee())).unwrap()
}

struct Shelf<'a>(&'a BTreeSet<usize>);

impl Content for Shelf<'_> {
    fn batch(&self, _: &BatchDigest) -> Option<&Verified<Batch>> {
        None
    }

    fn events(&self, digest: &EventsDigest) -> Option<&Verified<L1Events>> {
        let held = EVENTS.iter().enumerate().filter(|(i, _)| !self.0.contains(i));
        held.map(|(_, events)| &**events).find(|events| events.witness().digest == *digest)
    }
}

/// What the text says: place by place, as long as more than half of all seats say the same.
fn run(scene: &Scene) -> Vec<(L1Block, usize)> {
    let all: u64 = scene.seats.iter().sum();
    let mut run = Vec::new();
    for place in 0..8 {
        let mut said: BTreeMap<(u8, usize), u64> = BTreeMap::new();
        for ((embedded, view), seats) in scene.members.iter().zip(&scene.seats) {
            if let (true, Some(seen)) = (embedded, view.get(place)) {
                *said.entry(*seen).or_default() += seats;
            }
        }
        let Some((seen, _)) = said.into_iter().find(|(_, seats)| 2 * seats > all) else { break };
        run.push((l1_block(place, seen), seen.1));
    }
    run
}

/// As much of it as fits.
fn oracle(tip: &Tip, run: &[(L1Block, usize)]) -> Passed {
    let bytes = |events: usize| borsh::to_vec(&**EVENTS[events]).unwrap().len();
    let mut taken = run.len();
    while taken > 1 && run[..taken].iter().map(|(_, e)| bytes(*e)).sum::<usize>() > 1 << 20 {
        taken -= 1;
    }
    let mut origin = tip.header.l1_origin;
    if let Some((last, _)) = run[..taken].last() {
        origin = L1Origin { number: origin.number + taken as u64, hash: last.hash };
    }
    let events = run[..taken].iter().map(|(block, _)| block.events_digest).collect();
    Passed { origin, events }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_origin_moves_as_the_text_says(scene in scenes()) {
        let tip = tip(&scene.seats);
        let said: Vec<_> = scene.members.iter().enumerate()
            .filter(|(_, (embedded, _))| *embedded)
            .map(|(i, (_, view))| observe(&tip, i, view))
            .collect();
        prop_assume!(!said.is_empty());
        let named: Vec<_> = said.iter().collect();
        let run = run(&scene);
        let passed = oracle(&tip, &run);
        let hidden = |digest: &EventsDigest| {
            scene.hidden.iter().any(|events| EVENTS[*events].witness().digest == *digest)
        };
        match derive(&tip, &named, &Shelf(&scene.hidden)) {
            Err(Missing { batches, events }) => {
                prop_assert!(batches.is_empty() && !events.is_empty());
                let of_run = |digest: &EventsDigest| run.iter().any(|(b, _)| b.events_digest == *digest);
                prop_assert!(events.iter().all(|digest| hidden(digest) && of_run(digest)));
            }
            Ok(derived) => {
                prop_assert_eq!(&derived.passed, &passed);
                prop_assert!(!passed.events.iter().any(hidden));
                is_taken_in_from_itself(&tip, &scene, said, passed)?;
            }
        }
    }
}

/// Whoever has nothing but the block comes to the same, and notices what is left out or added.
fn is_taken_in_from_itself(
    tip: &Tip,
    scene: &Scene,
    observations: Vec<Verified<Observation>>,
    passed: Passed,
) -> Result<(), TestCaseError> {
    let named: Vec<_> = observations.iter().collect();
    let seats: u64 = named.iter().map(|o| scene.seats[usize::from(o.body.observer)]).sum();
    if !tip.committee().is_quorum(seats) {
        return Ok(());
    }
    let derived = derive(tip, &named, &Shelf(&BTreeSet::new())).unwrap();
    let hashes = named.iter().map(|o| *o.witness()).collect();
    let value = derived.propose(tip, tip.committee().members()[0].address, hashes);
    let certificate =
        Certificate { height: 1, round: 0, block: value.header.id(), signatures: Vec::new() };
    let held = |digest: &EventsDigest| {
        Arc::clone(EVENTS.iter().find(|events| events.witness().digest == *digest).unwrap())
    };
    let events: Vec<_> = passed.events.iter().map(held).collect();
    let take_in = |events: Vec<Arc<Verified<L1Events>>>| {
        let (value, observations) = (value.clone(), observations.clone());
        let block = StoredBlock { value, observations, events, batches: Vec::new() };
        let mut tip = tip.clone();
        follow(&mut tip, block, certificate.clone()).map(|delivery| (tip, delivery))
    };
    let (after, delivery) =
        take_in(events.clone()).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(after.state.clock().l1_origin, passed.origin);
    prop_assert_eq!(delivery.events.len(), passed.events.len());
    for left_out in 0..events.len() {
        let mut fewer = events.clone();
        fewer.remove(left_out);
        prop_assert_eq!(take_in(fewer).err(), Some(Refused::Incomplete));
    }
    let more = events.iter().cloned().chain([Arc::clone(&EVENTS[1])]).collect();
    prop_assert_eq!(take_in(more).err(), Some(Refused::Incomplete));

    // A proposer that takes it anywhere else is refused, by name.
    let mut elsewhere = value.clone();
    elsewhere.header.l1_origin.number += 1;
    let judged = judge(tip, &elsewhere, &named, &Shelf(&BTreeSet::new()));
    let moved = matches!(judged, Judgement::Invalid(Invalid::L1Origin { .. }));
    prop_assert!(moved, "it is {:?}", judged);
    let mut without = value.clone();
    without.header.events_root = B256::ZERO;
    let judged = judge(tip, &without, &named, &Shelf(&BTreeSet::new()));
    prop_assert_eq!(judged, Judgement::Invalid(Invalid::Events));
    Ok(())
}

/// A block after the lone node's origin.
fn seen(number: u64, events: usize) -> SeenL1Block {
    let hash = |number: u64| {
        if number == 0 { B256::ZERO } else { B256::with_last_byte(u8::try_from(number).unwrap()) }
    };
    let events = Arc::clone(&EVENTS[events]);
    SeenL1Block { number, hash: hash(number), parent: hash(number - 1), events }
}

fn named(block: &SeenL1Block) -> L1Block {
    L1Block { hash: block.hash, events_digest: block.events.witness().digest }
}

fn observed(effects: &[Effect]) -> Option<Vec<L1Block>> {
    effects.iter().find_map(|effect| match effect {
        Effect::PushObservation(observation) => Some(observation.body.l1.clone()),
        _ => None,
    })
}

/// What a node observes that sees these.
fn observes(blocks: &[SeenL1Block]) -> Vec<L1Block> {
    let mut lone = Lone::idle();
    lone.step(Input::L1(blocks.into()));
    let effects = lone.start();
    observed(&effects).expect("it observes")
}

#[test]
fn a_node_observes_what_follows_from_the_origin() {
    let blocks: Vec<_> = (1..=12).map(|number| seen(number, 1)).collect();
    let names: Vec<L1Block> = blocks.iter().map(named).collect();
    assert_eq!(observes(&blocks), names[..8], "eight at most");
    assert_eq!(observes(&blocks[..3]), names[..3]);
    assert_eq!(observes(&blocks[1..]), [], "there is a gap");
    let mut forked = blocks;
    forked[2].parent = B256::repeat_byte(0xff);
    assert_eq!(observes(&forked), names[..2], "the third does not follow");
    forked[0].parent = B256::repeat_byte(0xff);
    assert_eq!(observes(&forked), [], "the first does not follow from the origin");
    assert_eq!(observes(&[]), []);
}

#[test]
fn events_are_fetched_once_enough_name_them_and_no_view_judges() {
    let mut lone = Lone::new();
    lone.enter();
    // Its own providers show it something else.
    let mut other = seen(1, 2);
    other.hash = B256::repeat_byte(0xee);
    lone.step(Input::L1([other].into()));
    let block = seen(1, 3);
    let l1 = [named(&block)];
    let observations: Vec<_> = (1..4).map(|i| lone.observation_of_l1(i, 10, &[], &l1)).collect();
    let fetched = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::FetchEvents(wanted) => Some(wanted.clone()),
            _ => None,
        })
    };
    let effects = lone.observe(observations[0].clone());
    assert_eq!(fetched(&effects), None, "one alone may have made it up");
    let effects = lone.observe(observations[1].clone());
    let digest = block.events.witness().digest;
    assert_eq!(fetched(&effects), Some(vec![(digest, vec![1, 2])]));
    let effects = lone.observe(observations[2].clone());
    assert_eq!(fetched(&effects), None, "it is under way");

    let held = Held { events: [(digest, Arc::clone(&block.events))].into(), ..Held::default() };
    let value = lone.block_of(&observations.iter().collect::<Vec<_>>(), &held);
    let id = value.header.id();
    assert_eq!(value.header.l1_origin, L1Origin { number: 1, hash: block.hash });
    let effects = lone.step(lone.proposal(value));
    assert_eq!(answers(&effects), [], "not before it has the events");
    lone.step(Input::Events(Arc::clone(&EVENTS[2])));
    assert!(lone.driver.l1_events(&EVENTS[1].witness().digest).is_none(), "nobody asked for that");
    let effects = lone.step(Input::Events(Arc::clone(&block.events)));
    let effects = lone.persisted(&effects);
    assert_eq!(answers(&effects), [true], "whatever its own providers say");
    let delivery = lone.decide(id);
    assert_eq!(delivery.events.len(), 1);
    assert!(lone.driver.l1_events(&digest).is_some(), "who is behind may still ask for them");
}
