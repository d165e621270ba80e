//! The driver alone, fed by hand: orders of events that a simulated network seldom brings about.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

mod support;

use std::sync::Arc;

use weft_consensus::driver::{Effect, Input, StoredBlock, SyncVerdict};
use weft_types::*;

use support::lone::*;

#[test]
fn an_author_that_restarts_twice_takes_nothing_from_a_block_under_decision() {
    let mut lone = Lone::new();
    lone.enter();
    let [author, other] = lone.others();
    let batch = lone.batch(author, 1);
    lone.step(Input::Batch(Arc::clone(&batch)));
    let mut observations: Vec<_> = [lone.leader(), author, other]
        .into_iter()
        .map(|observer| lone.observation(observer, 10, &[&batch]))
        .collect();
    observations.sort_by_key(|o| o.body.observer);
    for observation in &observations {
        lone.observe(observation.clone());
    }
    let value = lone.block(&observations.iter().collect::<Vec<_>>(), &[&batch]);
    let id = value.header.id();
    let effects = lone.step(lone.proposal(value.clone()));
    let effects = lone.persisted(&effects);
    assert_eq!(answers(&effects), [true]);

    // The lane that the block orders from is neither open yet nor the newest any more.
    for incarnation in [2, 3] {
        let newer = lone.batch(author, incarnation);
        lone.step(Input::Batch(newer));
    }
    let digest = batch.witness().digest;
    assert!(lone.driver.lanes().get(&digest).is_none(), "it is superseded");

    // Whoever is behind can still fetch it here, and another block may order it.
    assert!(lone.driver.batch(&digest).is_some(), "nobody else may hold it");
    let mut again = value;
    again.header.proposer = lone.keys[author].address();
    let effects = lone.step(lone.proposal(again));
    assert!(!effects.iter().any(|e| matches!(e, Effect::FetchBatches(_))), "{effects:?}");
    let effects = lone.persisted(&effects);
    assert_eq!(answers(&effects), [true]);

    let delivery = lone.decide(id);
    let digests: Vec<_> = delivery.batches.iter().map(|b| b.witness().digest).collect();
    assert_eq!(digests, [digest]);
}

#[test]
fn what_only_a_second_observation_supports_is_fetched_from_those_who_name_it() {
    let mut lone = Lone::new();
    lone.enter();
    let leader = lone.leader();
    let [liar, other] = lone.others();
    let batch = lone.batch(liar, 1);
    // Shown to this node: one that names nothing. Shown to the leader: one that names the batch.
    let shown = lone.observation(liar, 10, &[]);
    let hidden = lone.observation(liar, 11, &[&batch]);
    let mut embedded =
        [lone.observation(leader, 10, &[]), hidden.clone(), lone.observation(other, 10, &[&batch])];
    embedded.sort_by_key(|o| o.body.observer);
    lone.observe(shown);
    for observation in embedded.iter().filter(|o| o.witness() != hidden.witness()) {
        let effects = lone.observe(observation.clone());
        assert!(!effects.iter().any(|e| matches!(e, Effect::FetchBatches(_))), "one names it");
    }

    let value = lone.block(&embedded.iter().collect::<Vec<_>>(), &[&batch]);
    let effects = lone.step(lone.proposal(value));
    let wants_hidden = effects.iter().any(|effect| {
        matches!(effect, Effect::FetchObservations { hashes, .. } if *hashes == [*hidden.witness()])
    });
    assert!(wants_hidden, "{effects:?}");

    let effects = lone.observe(hidden);
    assert!(effects.iter().any(|e| matches!(e, Effect::Keep(_))), "the liar is caught");
    let fetched = effects.iter().find_map(|effect| match effect {
        Effect::FetchBatches(wanted) => Some(wanted.clone()),
        _ => None,
    });
    let mut namers = vec![u16::try_from(liar).unwrap(), u16::try_from(other).unwrap()];
    namers.sort_unstable();
    assert_eq!(fetched, Some(vec![(batch.witness().digest, namers)]));

    let effects = lone.step(Input::Batch(batch));
    let effects = lone.persisted(&effects);
    assert_eq!(answers(&effects), [true]);
}

#[test]
fn what_was_checked_against_another_committee_counts_for_nobody_else() {
    let mut lone = Lone::new();
    lone.enter();
    let victim = lone.others()[0];
    // Somebody who has the victim's index in the committee of another epoch.
    let stranger = SecretKey::from_bytes([0x77; 32]).unwrap();
    let mut members = lone.driver.tip().committee().members().to_vec();
    members[victim].address = stranger.address();
    members.sort_by_key(|member| member.address);
    let place = members.iter().position(|m| m.address == stranger.address()).unwrap();
    let other = Arc::new(Committee::new(members).unwrap());
    let mut body = lone.observation(place, 10, &[]).body.clone();
    body.clock_ms = 999;
    let signed = Signed::new(body, lone.genesis.chain_id, &stranger);
    let checked = Unverified::new(signed).verify((lone.genesis.chain_id, &other)).unwrap();
    lone.step(Input::Observation(checked, Arc::clone(&other)));
    let index = u16::try_from(place).unwrap();
    assert!(!lone.driver.observations().has(index), "it counts as somebody else's");

    // What is fine for both is taken.
    let fine = lone.observation(lone.leader(), 10, &[]);
    let index = fine.body.observer;
    lone.step(Input::Observation(fine, other));
    assert!(lone.driver.observations().has(index));
}

#[test]
fn the_engine_is_told_nothing_of_a_height_before_it_enters_it() {
    let mut lone = Lone::new();
    let observations: Vec<_> = (1..4).map(|i| lone.observation(i, 10, &[])).collect();
    for observation in &observations {
        lone.observe(observation.clone());
    }
    let value = lone.block(&observations.iter().collect::<Vec<_>>(), &[]);
    let effects = lone.step(lone.proposal(value));
    assert_eq!(answers(&effects), []);
    let effects = lone.persisted(&effects);
    assert_eq!(answers(&effects), []);
    let effects = lone.enter();
    assert_eq!(answers(&effects), [true]);
    let effects = lone.enter();
    assert_eq!(answers(&effects), [], "it is told once");
}

#[test]
fn a_bad_block_that_syncs_again_is_refused_again() {
    let mut lone = Lone::new();
    lone.enter();
    let observations: Vec<_> = (1..4).map(|i| lone.observation(i, 10, &[])).collect();
    let mut value = lone.block(&observations.iter().collect::<Vec<_>>(), &[]);
    value.header.time_ms += 1;
    for ticket in 1..=3 {
        let (value, observations) = (value.clone(), observations.clone());
        let block = StoredBlock { value, observations, events: Vec::new(), batches: Vec::new() };
        let effects = lone.step(Input::Synced { ticket, block });
        let told = sync_answers(&effects);
        assert!(matches!(told[..], [(t, SyncVerdict::Invalid(_))] if t == ticket), "{told:?}");
    }
}

#[test]
fn what_is_fetched_for_the_next_height_outlives_the_decision() {
    let mut lone = Lone::new();
    lone.enter();
    let observations: Vec<_> = (1..4).map(|i| lone.observation(i, 10, &[])).collect();
    for observation in &observations {
        lone.observe(observation.clone());
    }
    let value = lone.block(&observations.iter().collect::<Vec<_>>(), &[]);
    let id = value.header.id();
    let effects = lone.step(lone.proposal(value));
    lone.persisted(&effects);

    // Two who are ahead name a batch at the next height.
    let batch = lone.batch(1, 1);
    for observer in 2..4 {
        let mut body = lone.observation(observer, 20, &[&batch]).body.clone();
        (body.height, body.parent) = (2, id);
        let signed = Signed::new(body, CHAIN, &lone.keys[observer]);
        let committee = lone.driver.tip().committee().clone();
        let early = Unverified::new(signed).verify((CHAIN, &committee)).unwrap();
        lone.observe(early);
    }
    let certificate = Certificate { height: 1, round: 0, block: id, signatures: Vec::new() };
    let effects = lone.step(Input::Decided(certificate));
    let at = |what: fn(&Effect) -> bool| effects.iter().position(what);
    let stopped = at(|e| matches!(e, Effect::StopFetching)).unwrap();
    let fetched = at(|e| matches!(e, Effect::FetchBatches(_))).expect("it is fetched at once");
    assert!(stopped < fetched);
    let effects = lone.step(Input::Committed(1));
    assert!(!effects.iter().any(|e| matches!(e, Effect::StopFetching)), "{effects:?}");
}

#[test]
fn a_block_is_whole_without_what_did_not_fit() {
    let mut lone = Lone::boot(500, Vec::new());
    lone.enter();
    let [a, b] = lone.others();
    let batches = [lone.batch(a, 1), lone.batch(b, 1)];
    let both: Vec<_> = batches.iter().collect();
    let observations: Vec<_> = (1..4).map(|i| lone.observation(i, 10, &both)).collect();
    let value = lone.block(&observations.iter().collect::<Vec<_>>(), &both);
    let id = value.header.id();
    let fits = |batch: &&Arc<Verified<Batch>>| {
        value.header.batches_root == block::batches_root(&[batch.witness().digest])
    };
    let taken: Vec<_> = batches.iter().filter(fits).cloned().collect();
    assert_eq!(taken.len(), 1, "one fits and the other does not");
    let block =
        StoredBlock { value: value.clone(), observations, events: Vec::new(), batches: taken };

    // By sync, to a node that has neither batch.
    let effects = lone.step(Input::Synced { ticket: 1, block: block.clone() });
    let effects = lone.persisted(&effects);
    assert_eq!(sync_answers(&effects), [(1, SyncVerdict::Valid)]);
    let delivery = lone.decide(id);
    assert_eq!(delivery.batches.len(), 1);

    // From disk, after a restart that has lost the other batch.
    let mut restarted = Lone::boot(500, vec![block.clone()]);
    restarted.enter();
    let delivery = restarted.decide(id);
    assert_eq!(delivery.header, value.header);

    // Without the one that it orders it is not whole.
    let mut other = Lone::boot(500, Vec::new());
    let block = StoredBlock { batches: Vec::new(), ..block };
    let effects = other.step(Input::Synced { ticket: 2, block });
    assert_eq!(sync_answers(&effects), [(2, SyncVerdict::Incomplete)]);
}
