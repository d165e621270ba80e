//! When a validator waits for bids (protocol section 8, timing).
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::Duration;

use support::lone::{CHAIN, Lone};
use weft_consensus::driver::{Effect, Input};
use weft_types::*;

const WINDOW: Duration = Duration::from_millis(200);

impl Lone {
    /// Goes on to a time, waking when the driver wants to be woken.
    fn run_to(&mut self, ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(at) = self.driver.next_wakeup()
            && at <= Duration::from_millis(ms)
        {
            self.now_ms = u64::try_from(at.as_millis()).unwrap() - 1;
            effects.extend(self.step(Input::Tick));
        }
        self.now_ms = ms - 1;
        effects.extend(self.step(Input::Tick));
        effects
    }

    fn bid_for(&mut self, height: u64) -> std::sync::Arc<Verified<Batch>> {
        let leg = Leg { namespace: NamespaceId(5), data: vec![Bytes::from_static(b"x")] };
        let payload = Payload::Bid {
            sequence: 0,
            height,
            amount: 1,
            mode: BidMode::Inclusion,
            legs: vec![leg],
        };
        self.batch_of(0, 1, payload)
    }
}

fn starts(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::StartHeight { .. }))
}

fn observes(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::PushObservation(_)))
}

fn seals_for(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Seal { height, .. } => Some(*height),
        _ => None,
    })
}

#[test]
fn it_waits_where_a_lot_is_offered_and_seals_in_time_for_others() {
    let mut node = Lone::with_lots(1, WINDOW);
    let mut waiting = node.start();
    waiting.extend(node.step(Input::Mempool { now: 300, ahead: 0 }));
    assert!(!starts(&waiting) && seals_for(&waiting).is_none());
    assert!(!starts(&node.run_to(169)));
    let last_call = node.run_to(170);
    assert_eq!((seals_for(&last_call), starts(&last_call)), (Some(1), false));
    let bids = node.bid_for(1);
    let sealed = node.step(Input::Sealed(Some(bids)));
    assert!(!observes(&sealed));
    // What comes in now would reach others too late.
    node.step(Input::Mempool { now: 300, ahead: 0 });
    let ended = node.run_to(200);
    assert!(starts(&ended) && seals_for(&ended).is_none());
    assert!(!observes(&ended), "others are still to get what was sealed");
    assert!(observes(&node.run_to(201)));
}

#[test]
fn it_does_not_wait_where_nothing_is_for_sale_or_others_go_on() {
    let mut node = Lone::with_lots(2, WINDOW);
    node.start();
    let now = node.step(Input::Mempool { now: 300, ahead: 0 });
    assert_eq!((starts(&now), seals_for(&now)), (true, Some(1)));

    let mut node = Lone::with_lots(1, WINDOW);
    node.start();
    let others = [1, 2].map(|observer| node.observation(observer, 1, &[]));
    let woken: Vec<bool> = others.into_iter().map(|other| starts(&node.observe(other))).collect();
    assert_eq!(woken, [false, true], "more than a third observe already");
}

#[test]
fn bids_that_are_sealed_late_hold_the_observation_until_others_have_them() {
    let mut node = Lone::with_lots(1, Duration::ZERO);
    node.start();
    let effects = node.step(Input::Mempool { now: 300, ahead: 0 });
    assert_eq!(seals_for(&effects), Some(1));
    let bids = node.bid_for(1);
    let sealed_at = node.now_ms + 1;
    let sealed = node.step(Input::Sealed(Some(bids)));
    assert_eq!((starts(&sealed), observes(&sealed)), (true, false));
    assert!(!observes(&node.run_to(sealed_at + 29)));
    assert!(observes(&node.run_to(sealed_at + 30)));

    let mut node = Lone::with_lots(1, Duration::ZERO);
    node.start();
    node.step(Input::Mempool { now: 300, ahead: 0 });
    let other = node.bid_for(2);
    assert!(observes(&node.step(Input::Sealed(Some(other)))), "those are for another height");
}

#[test]
fn where_a_lot_is_offered_bids_that_came_after_it_had_sealed_ahead_are_sealed_too() {
    // What it seals for height 2 if others wake it, and whether it has waited for that.
    let sealed_when_woken = |every| {
        let mut node = Lone::with_lots(every, WINDOW);
        node.start();
        let observations: Vec<_> = (1..4).map(|i| node.observation(i, 10, &[])).collect();
        for observation in &observations {
            node.observe(observation.clone());
        }
        node.enter();
        node.step(Input::Mempool { now: 0, ahead: 300 });
        let value = node.block(&observations.iter().collect::<Vec<_>>(), &[]);
        let id = value.header.id();
        let proposed = node.step(node.proposal(value));
        let valid = node.persisted(&proposed);
        assert_eq!(seals_for(&valid), Some(2), "it is as good as decided");
        let bids = node.bid_for(2);
        node.step(Input::Sealed(Some(bids)));
        node.decide(id);

        node.step(Input::Mempool { now: 300, ahead: 0 });
        let mut effects = node.step(Input::EngineReady);
        let waited = !starts(&effects);
        for observer in [1, 2] {
            let mut body = node.observation(observer, 20, &[]).body.clone();
            body.height = 2;
            let signed = Signed::new(body, CHAIN, &node.keys[observer]);
            let committee = node.driver.tip().committee().clone();
            effects
                .extend(node.observe(Unverified::new(signed).verify((CHAIN, &committee)).unwrap()));
        }
        assert!(starts(&effects));
        (seals_for(&effects), waited)
    };
    assert_eq!(sealed_when_woken(2), (Some(2), true));
    assert_eq!(sealed_when_woken(3), (None, false), "elsewhere they wait for the next height");
}
