use super::*;
use proptest::prelude::*;
use weft_types::hash::keccak256;

const INTERVAL: Duration = Duration::from_secs(4);

fn rules(quorum: usize) -> Rules {
    Rules { quorum, interval: INTERVAL, max_lag: 10, window: 8 }
}

/// A block of one of several chains, which part after a height.
fn block(chain: u8, parts_after: u64, number: u64) -> Claim {
    let hash = |number: u64| {
        let chain = if number <= parts_after { 0 } else { chain };
        keccak256(&[&[chain], &number.to_be_bytes()])
    };
    Claim {
        number,
        hash: hash(number),
        parent: hash(number - 1),
        timestamp: 12 * number,
        events: Vec::new(),
    }
}

fn origin(number: u64) -> L1Origin {
    L1Origin { number, hash: block(0, 0, number).hash }
}

struct World {
    tracker: Tracker,
    now: Duration,
}

impl World {
    fn new(providers: usize, quorum: usize) -> Self {
        let names = (0..providers).map(|i| format!("p{i}"));
        Self { tracker: Tracker::new(rules(quorum), names, origin(100)), now: Duration::ZERO }
    }

    /// A provider answers with a chain up to a block.
    fn says(&mut self, provider: usize, chain: u8, parts_after: u64, finalized: u64) {
        let wanted = self.tracker.wanted();
        let claims = wanted.filter(|n| *n <= finalized).map(|n| block(chain, parts_after, n));
        let answer = Answer { finalized, claims: claims.collect() };
        self.tracker.answered(provider, answer, Duration::from_millis(7), self.now);
    }

    fn agrees(&mut self, providers: &[usize], finalized: u64) {
        for provider in providers {
            self.says(*provider, 0, 0, finalized);
        }
    }

    fn fails(&mut self, provider: usize, error: RpcError) {
        self.tracker.failed(provider, &error.into(), self.now);
    }

    fn agreed(&self) -> u64 {
        self.tracker.agreed(self.now).last().map_or(100, |block| block.number)
    }

    fn state(&self, provider: usize) -> State {
        self.tracker.status(self.now).providers[provider].state
    }

    fn alarm(&self) -> Option<String> {
        self.tracker.status(self.now).alarm
    }

    fn wait(&mut self) {
        self.now += INTERVAL;
    }

    /// The same answers until what is wrong is an alarm.
    fn repeat(&mut self, mut answers: impl FnMut(&mut Self)) {
        for _ in 0..=ALARM_AFTER {
            answers(self);
            self.wait();
        }
        answers(self);
    }
}

#[test]
fn two_of_three_are_enough_and_one_is_not() {
    let mut world = World::new(3, 2);
    world.repeat(|world| world.agrees(&[0], 105));
    assert_eq!(world.agreed(), 100);
    assert!(world.alarm().is_some_and(|alarm| alarm.contains("1 of 2")));
    world.agrees(&[1], 103);
    assert_eq!(world.agreed(), 103, "as far as both go");
    assert_eq!(world.alarm(), None);
    world.agrees(&[2], 105);
    assert_eq!(world.agreed(), 105);
}

#[test]
fn who_says_something_else_is_shut_out_at_once_and_comes_back_on_evidence() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1], 104);
    world.says(2, 1, 102, 104);
    assert_eq!(world.agreed(), 104);
    assert_eq!(world.state(2), State::Quarantined);
    let status = world.tracker.status(world.now);
    assert!(status.providers[2].reason.as_ref().is_some_and(|r| r.contains("block 103")));
    assert_eq!(status.providers[2].score.disagreements, 1);

    // It lies on: it stays out, and nobody needs it.
    for _ in 0..5 {
        world.wait();
        world.agrees(&[0, 1], 106);
        world.says(2, 1, 102, 106);
        assert_eq!((world.agreed(), world.state(2)), (106, State::Quarantined));
    }
    // It mends its ways: three answers, eight blocks.
    for answer in 1..=3 {
        assert_eq!(world.state(2), State::Quarantined, "answer {answer}");
        world.wait();
        world.agrees(&[0, 1, 2], 106);
    }
    assert_eq!(world.state(2), State::Trusted);
}

#[test]
fn a_missing_event_is_something_else() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1], 104);
    let mut claim = block(0, 0, 103);
    claim.events.push(crate::contracts::ContractEvent::FallbackAnnounced { message: 1 });
    let answer = Answer { finalized: 104, claims: vec![claim] };
    world.tracker.answered(2, answer, Duration::ZERO, world.now);
    assert_eq!(world.state(2), State::Quarantined);
}

#[test]
fn who_lags_is_named_and_its_word_counts() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1], 160);
    world.agrees(&[2], 104);
    assert_eq!(world.state(2), State::Lagging);
    assert_eq!(world.tracker.status(world.now).variance, 56);
    world.fails(1, RpcError::Transport("gone".into()));
    assert_eq!(world.agreed(), 108, "what it said before still counts");
    world.wait();
    world.agrees(&[0], 160);
    world.agrees(&[2], 152);
    assert_eq!(world.state(2), State::Lagging, "not within half of the limit");
    world.agrees(&[2], 155);
    assert_eq!(world.state(2), State::Trusted);
}

#[test]
fn who_does_not_answer_is_asked_less_often_and_forgotten() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1], 104);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        world.fails(1, RpcError::Timeout(INTERVAL));
        pauses.push(world.tracker.due(1) - world.now);
    }
    assert!(pauses.is_sorted() && pauses[0] == 2 * INTERVAL, "{pauses:?}");
    assert_eq!(pauses[5], INTERVAL * MAX_BACKOFF);
    assert_eq!((world.state(1), world.agreed()), (State::Failing, 104));
    for _ in 0..STALE_AFTER {
        world.wait();
        world.agrees(&[0], 104);
    }
    assert_eq!(world.agreed(), 100, "its word is stale");
    world.repeat(|world| world.agrees(&[0], 104));
    assert!(world.alarm().is_some());
    world.agrees(&[1], 104);
    assert_eq!((world.state(1), world.agreed()), (State::Trusted, 104));
    assert_eq!(world.tracker.due(1) - world.now, INTERVAL);
}

#[test]
fn who_could_say_more_is_asked_again_as_the_origin_moves() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1], 160);
    world.agrees(&[2], 104);
    assert_eq!(world.agreed(), 108);
    world.tracker.move_origin(origin(104), world.now);
    assert_eq!(world.tracker.due(0), world.now + INTERVAL, "half of it is left");
    world.tracker.move_origin(origin(106), world.now);
    assert_eq!((world.tracker.due(0), world.tracker.due(1)), (world.now, world.now));
    assert_eq!(world.tracker.due(2), world.now + INTERVAL, "it has said all it knows");
    world.agrees(&[0, 1], 160);
    assert_eq!(world.agreed(), 114);
}

#[test]
fn a_rate_limit_is_obeyed_within_reason() {
    let mut world = World::new(1, 1);
    let pause = |world: &mut World, after: Option<u64>| {
        world.fails(0, RpcError::RateLimited(after.map(Duration::from_secs)));
        (world.tracker.due(0) - world.now).as_secs()
    };
    assert_eq!(pause(&mut world, None), 8);
    assert_eq!(pause(&mut world, Some(90)), 90);
    assert_eq!(pause(&mut world, Some(u64::MAX)), 300);
    assert_eq!(world.tracker.status(world.now).providers[0].score.rate_limited, 3);
}

#[test]
fn nonsense_twice_in_a_row_leads_to_quarantine() {
    let mut world = World::new(3, 2);
    world.fails(0, RpcError::TooLarge(9));
    world.agrees(&[0, 1], 104);
    world.fails(0, RpcError::Malformed("?".into()));
    assert_eq!(world.state(0), State::Trusted);
    world.tracker.failed(0, &ProviderError::Chain { expected: 1, actual: 2 }, world.now);
    assert_eq!(world.state(0), State::Quarantined);
    assert_eq!(world.tracker.status(world.now).providers[0].score.garbage, 3);
}

#[test]
fn who_knows_what_was_taken_in_comes_back_even_if_nobody_is_left_to_compare_with() {
    let mut world = World::new(2, 2);
    for provider in [0, 1] {
        for _ in 0..GARBAGE {
            world.fails(provider, RpcError::Malformed("html".into()));
        }
    }
    assert_eq!(world.agreed(), 100);
    for _ in 0..READMIT_CLAIMS {
        world.now += INTERVAL;
        world.agrees(&[0], 104);
        // On another chain, from before the origin.
        world.says(1, 1, 90, 104);
    }
    let states = world.tracker.status(world.now).providers.into_iter().map(|p| p.state);
    assert_eq!(states.collect::<Vec<_>>(), [State::Trusted, State::Quarantined]);
}

#[test]
fn an_origin_that_is_gone_is_an_alarm_and_nothing_follows_from_it() {
    let mut world = World::new(3, 2);
    world.agrees(&[0, 1, 2], 104);
    assert_eq!(world.alarm(), None);
    // All three are on another chain from block 99 on.
    for provider in 0..3 {
        world.says(provider, 1, 98, 106);
    }
    assert_eq!(world.agreed(), 100);
    assert_eq!(world.alarm(), None, "it may pass");
    world.repeat(|world| {
        world.says(1, 1, 98, 106);
        world.says(2, 1, 98, 106);
    });
    assert!(world.alarm().is_some_and(|alarm| alarm.contains("below finality")));
    // The first to be there was alone with it. The others bear it out.
    assert_eq!(world.state(0), State::Quarantined);
    for _ in 0..READMIT_ANSWERS {
        world.says(0, 1, 98, 106);
    }
    for provider in 0..3 {
        assert_eq!(world.state(provider), State::Trusted, "they agree with each other");
    }
    assert_eq!(world.agreed(), 100);
}

#[test]
fn providers_of_three_minds_are_an_alarm() {
    let mut world = World::new(3, 2);
    world.repeat(|world| {
        for provider in 0..3u8 {
            world.says(provider.into(), provider, 100, 112);
        }
    });
    assert_eq!(world.agreed(), 100);
    assert!(world.alarm().is_some_and(|alarm| alarm.contains("do not agree on L1 block 101")));
}

proptest! {
    /// With fewer than a quorum of liars, whatever all of them do, nothing is agreed on that is
    /// not on the chain, no honest provider is shut out, and what a quorum of honest ones has said is
    /// agreed on.
    #[test]
    fn liars_below_a_quorum_change_nothing(
        steps in prop::collection::vec((0usize..5, 0u8..3, 95u64..106, 100u64..112, 0u8..8), 1..80),
    ) {
        let mut world = World::new(5, 3);
        let mut honest = [None; 5];
        for (provider, chain, parts_after, finalized, what) in steps {
            let liar = provider >= 3;
            match what {
                0 => world.fails(provider, RpcError::Timeout(INTERVAL)),
                1 if liar => world.fails(provider, RpcError::Malformed("?".into())),
                2 => world.now += Duration::from_millis(500),
                _ if liar => world.says(provider, chain, parts_after, finalized),
                _ => {
                    world.says(provider, 0, 0, finalized);
                    honest[provider] = Some((finalized, world.now));
                }
            }
            for agreed in world.tracker.agreed(world.now) {
                prop_assert_eq!(&*agreed, &block(0, 0, agreed.number));
            }
            let fresh = |said: &Option<(u64, Duration)>| {
                said.filter(|(_, at)| world.now < *at + INTERVAL * STALE_AFTER).map(|(n, _)| n)
            };
            let honest: Vec<u64> = honest[..3].iter().filter_map(fresh).collect();
            if honest.len() == 3 {
                let all = honest.into_iter().min().unwrap_or(100).min(108);
                prop_assert!(world.agreed() >= all);
            }
            for provider in 0..3 {
                prop_assert_ne!(world.state(provider), State::Quarantined);
            }
        }
    }
}
