//! A rollup's derivation, whatever is known when: against what anybody computes who knows everything.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "test code")]

mod support;

use proptest::prelude::*;
use support::chain::Chain;
use weft_l1::contracts::ContractEvent;
use weft_l1::provider::Claim;
use weft_rollup_adapter::cursor::Cursor;
use weft_rollup_adapter::derivation::{Derivation, Due, Step};
use weft_rollup_adapter::light::VerifiedSlice;
use weft_types::{
    Address, B256, BidMode, Bytes, Decision, L1Event, L1Origin, NamespaceId, SliceEntry,
};

const NAMESPACE: u64 = 500;

/// Room for a message or two.
const ROOM: usize = 300;

/// What happens next in the world.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// L1 has a block, with messages for the namespace and for others.
    L1Block { ours: u8, others: u8 },
    /// A header is posted, so many below the last, in the next L1 block.
    Post { below: u8 },
    /// Fallback is activated, in the next L1 block.
    Activate,
    /// The network decides a block, and takes in so many L1 blocks.
    Decide { submissions: u8, l1_blocks: u8, lead: Lead },
    /// From here on the network knows the namespace. Before, it leaves out its messages.
    Register,
}

/// What heads the slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Nothing,
    /// What a bid won, if no bundle holds the rollup.
    Head(BidMode),
    /// The decision on the bundle that holds the rollup, if one does.
    Decision(Decision),
}

fn lead() -> impl Strategy<Value = Lead> {
    prop_oneof![
        6 => Just(Lead::Nothing),
        1 => Just(Lead::Head(BidMode::Inclusion)),
        3 => Just(Lead::Head(BidMode::Atomic)),
        2 => Just(Lead::Decision(Decision::Committed)),
        1 => Just(Lead::Decision(Decision::Failed)),
        1 => Just(Lead::Decision(Decision::TimedOut)),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0u8..3, 0u8..3).prop_map(|(ours, others)| Happens::L1Block { ours, others }),
        2 => (0u8..6).prop_map(|below| Happens::Post { below }),
        1 => Just(Happens::Activate),
        1 => Just(Happens::Register),
        6 => (0u8..3, 0u8..4, lead()).prop_map(|(submissions, l1_blocks, lead)| Happens::Decide {
            submissions,
            l1_blocks,
            lead,
        }),
    ]
}

/// Everything that has happened.
struct World {
    chain: Chain,
    l1: Vec<Claim>,
    slices: Vec<VerifiedSlice>,
}

fn hash(number: u64) -> B256 {
    alloy_primitives::keccak256(number.to_be_bytes())
}

fn message(index: u64) -> Bytes {
    Bytes::from(format!("message {index}").into_bytes())
}

impl World {
    fn new(history: &[Happens]) -> Self {
        let mut chain = Chain::new(NAMESPACE);
        let mut l1 = vec![claim(0)];
        let (mut pending, mut next_index) = (Vec::new(), 0);
        let (mut posted, mut in_fallback) = (0, false);
        let mut holding = None;
        let mut is_known = !history.iter().any(|what| matches!(what, Happens::Register));
        for what in history {
            match *what {
                Happens::L1Block { ours, others } => {
                    let mut events = std::mem::take(&mut pending);
                    for (count, namespace) in [(ours, NAMESPACE), (others, NAMESPACE + 1)] {
                        for _ in 0..count {
                            events.push(forced(namespace, next_index));
                            next_index += 1;
                        }
                    }
                    l1.push(Claim { events, ..claim(l1.len() as u64) });
                }
                // Every second one shares its L1 block with what comes next.
                Happens::Post { below } => {
                    let height = chain.height().saturating_sub(below.into());
                    if height > posted {
                        (posted, in_fallback) = (height, false);
                        let (block, poster) = (chain.header(height).id(), Address::ZERO);
                        let event = L1Event::Posted { height, block, poster };
                        pending.push(ContractEvent::Network(event));
                    }
                }
                Happens::Activate if !in_fallback => {
                    in_fallback = true;
                    let origin = chain.header(posted).l1_origin.number;
                    pending.push(ContractEvent::FallbackActivated { height: posted, origin });
                }
                Happens::Activate => {}
                Happens::Register => is_known = true,
                Happens::Decide { submissions, l1_blocks, lead } => {
                    let before = chain.l1_origin.number;
                    let origin = (before + u64::from(l1_blocks)).min(l1.len() as u64 - 1);
                    let (hash, brought) =
                        (hash(origin), &l1[before as usize + 1..=origin as usize]);
                    let entries = brought.iter().flat_map(|block| &block.events).filter_map(ours);
                    let entries = entries.filter(|_| is_known);
                    let height = chain.height() + 1;
                    let item = |n| SliceEntry::Submission {
                        transaction: weft_types::TransactionId::ZERO,
                        submitter: Address::ZERO,
                        data: vec![Bytes::from(format!("{height}/{n}").into_bytes())],
                    };
                    let mut entries: Vec<SliceEntry> =
                        entries.chain((0..submissions).map(item)).collect();
                    match (lead, holding) {
                        (Lead::Head(mode), None) => {
                            let data = vec![Bytes::from(format!("leg of {height}").into_bytes())];
                            let head = Chain::head(height as u8, mode, data);
                            holding =
                                (mode == BidMode::Atomic).then(|| head.transaction().unwrap());
                            entries.insert(0, head);
                        }
                        (Lead::Decision(decision), Some(bundle)) => {
                            entries.insert(0, SliceEntry::Decision { bundle, decision });
                            holding = None;
                        }
                        (Lead::Nothing | Lead::Head(_) | Lead::Decision(_), _) => {}
                    }
                    chain.l1_origin = L1Origin { number: origin, hash };
                    chain.push_entries(entries, 300);
                }
            }
        }
        l1.push(Claim { events: pending, ..claim(l1.len() as u64) });
        let slices = chain.slices_from(&chain.start());
        Self { chain, l1, slices }
    }

    /// If the leg of an atomic bundle heads this slice, and no fallback that its header does not know of has
    /// come between: which slice has the decision.
    fn hold(&self, at: usize, activated: u64) -> Option<usize> {
        let slice = &self.slices[at];
        let Some(SliceEntry::Head { mode: BidMode::Atomic, transaction, .. }) =
            slice.entries().first()
        else {
            return None;
        };
        if slice.header().l1_origin.number < activated {
            return None;
        }
        let is_on_it = |slice: &VerifiedSlice| {
            let first = slice.entries().first();
            matches!(first, Some(SliceEntry::Decision { bundle, .. }) if bundle == transaction)
        };
        Some(self.slices.iter().position(is_on_it).unwrap_or(usize::MAX))
    }

    /// What a rollup has executed in the end, by somebody who goes through L1 with all of it at hand.
    fn expected(&self) -> Vec<Bytes> {
        let (mut items, mut next, mut forced) = (Vec::new(), 0, 0);
        // The L1 block of the last activation.
        let mut activated = 0;
        let take_slices =
            |next: &mut usize, forced: &mut u64, items: &mut Vec<Bytes>, to: usize, activated| {
                while *next < to {
                    if self.hold(*next, activated).is_some_and(|decided| decided >= to) {
                        return;
                    }
                    for entry in self.slices[*next].entries() {
                        match entry {
                            SliceEntry::Forced { index, data, .. } if index >= forced => {
                                *forced = index + 1;
                                items.push(data.clone());
                            }
                            SliceEntry::Forced { .. } | SliceEntry::Decision { .. } => {}
                            SliceEntry::Head { mode: BidMode::Atomic, data, .. } => {
                                let decided = self.hold(*next, activated);
                                let decision =
                                    decided.map(|at| self.slices[at].entries()[0].clone());
                                if let Some(SliceEntry::Decision { decision, .. }) = decision
                                    && decision == Decision::Committed
                                {
                                    items.extend(data.clone());
                                }
                            }
                            SliceEntry::Head { data, .. }
                            | SliceEntry::Submission { data, .. }
                            | SliceEntry::Leg { data, .. } => {
                                items.extend(data.clone());
                            }
                        }
                    }
                    *next += 1;
                }
            };
        let (mut in_fallback, mut sent) = (false, Vec::new());
        let events =
            self.l1.iter().flat_map(|block| block.events.iter().map(|event| (block.number, event)));
        for (number, event) in events {
            match event {
                ContractEvent::FallbackActivated { height, .. } => {
                    let to = *height as usize;
                    take_slices(&mut next, &mut forced, &mut items, to, activated);
                    activated = number;
                    in_fallback = true;
                }
                ContractEvent::Network(L1Event::Posted { .. }) => in_fallback = false,
                other => sent.extend(ours(other)),
            }
            if in_fallback {
                for entry in &sent {
                    if let SliceEntry::Forced { index, data, .. } = entry
                        && *index >= forced
                    {
                        forced = index + 1;
                        items.push(data.clone());
                    }
                }
            }
        }
        if !in_fallback {
            let all = self.slices.len();
            take_slices(&mut next, &mut forced, &mut items, all, activated);
        }
        items
    }
}

fn claim(number: u64) -> Claim {
    let parent = number.checked_sub(1).map_or(B256::ZERO, hash);
    let hash = if number == 0 { L1Origin::default().hash } else { hash(number) };
    let parent = if number == 1 { L1Origin::default().hash } else { parent };
    Claim { number, hash, parent, timestamp: 100 + number, events: vec![] }
}

fn forced(namespace: u64, index: u64) -> ContractEvent {
    ContractEvent::Network(L1Event::Forced {
        namespace: NamespaceId(namespace),
        index,
        sender: Address::ZERO,
        fee: 1,
        data: message(index),
    })
}

/// The entry that a message for the namespace makes.
fn ours(event: &ContractEvent) -> Option<SliceEntry> {
    match event {
        ContractEvent::Network(L1Event::Forced { namespace, index, sender, data, .. })
            if namespace.0 == NAMESPACE =>
        {
            Some(SliceEntry::Forced { index: *index, sender: *sender, data: data.clone() })
        }
        _ => None,
    }
}

/// What a rollup does next, beside what is due.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Hears of the next L1 block.
    L1,
    /// Takes what is due, so many times.
    Step(u8),
    /// Starts again from what is durable.
    Restart,
    /// Its engine has lost so many steps.
    Lose(u8),
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        8 => Just(Does::L1),
        8 => (1u8..9).prop_map(Does::Step),
        1 => Just(Does::Restart),
        1 => (1u8..9).prop_map(Does::Lose),
    ]
}

/// A rollup: what it has executed, and where it stood after each step.
struct Rollup<'a> {
    world: &'a World,
    derivation: Derivation,
    at: Cursor,
    done: Vec<(Cursor, Vec<Bytes>)>,
}

impl<'a> Rollup<'a> {
    fn new(world: &'a World) -> Self {
        let at = world.chain.start();
        let derivation = world.chain.derivation(&at).with_room(ROOM);
        Self { world, derivation, at, done: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        assert_eq!(*step.from(), self.at);
        let data = |entry: &SliceEntry| entry.items().to_vec();
        self.at = *step.to();
        self.done.push((self.at, step.entries().flat_map(data).collect()));
    }

    /// Whether something was due that could be done.
    fn step(&mut self) -> bool {
        match self.derivation.due(&self.at) {
            Due::Unwind(to) => {
                // As engines do, which know of steps with items only.
                let below = to.fallback.unwrap().height;
                let mut hold = None;
                while let Some((at, items)) = self.done.pop_if(|(at, _)| at.needs() > below) {
                    if !items.is_empty() {
                        hold = at.hold;
                    }
                }
                let forced = self.done.last().map_or(0, |(at, _)| at.forced);
                let to = Cursor { forced, ..to }.not_beyond(hold);
                assert!(to.next >= self.at.settled.below, "settled slices are taken back");
                let header = self.world.chain.header(to.next).id();
                assert_eq!(to.header, header, "the header that the next slice must have");
                self.done.push((to, Vec::new()));
                self.restart();
            }
            Due::L1Step(step) => self.take(&step),
            Due::Slice => {
                let world = self.world;
                let next = self.derivation.next_height(&self.at) as usize;
                let Some(slice) = world.slices.get(next) else { return false };
                self.derivation.push(slice.clone());
            }
            Due::Take(upto) => {
                assert!((self.at.next..=self.world.chain.height()).contains(&upto));
                let step = self.derivation.take(&self.at).unwrap();
                self.take(&step);
            }
            Due::L1Again => self.restart(),
            Due::L1 => return false,
        }
        if let Some(settled) = self.derivation.settle(&self.at) {
            assert!(settled.below >= self.at.settled.below);
            self.at.settled = settled;
            if let Some((at, _)) = self.done.last_mut() {
                at.settled = settled;
            }
        }
        true
    }

    fn restart(&mut self) {
        self.at = self.done.last().map_or(self.world.chain.start(), |(at, _)| *at);
        self.derivation = self.world.chain.derivation(&self.at).with_room(ROOM);
    }

    fn hear(&mut self) -> bool {
        let next = self.derivation.l1().number as usize + 1;
        let Some(block) = self.world.l1.get(next) else { return false };
        self.derivation.take_in(block).unwrap();
        assert_eq!(self.derivation.l1().number as usize, next);
        true
    }

    fn run(mut self, does: &[Does]) -> Vec<Bytes> {
        for what in does {
            match what {
                Does::L1 => {
                    self.hear();
                }
                Does::Step(times) => (0..*times).for_each(|_| {
                    self.step();
                }),
                Does::Restart => self.restart(),
                Does::Lose(steps) => {
                    let left = self.done.len().saturating_sub(usize::from(*steps));
                    self.done.truncate(left);
                    self.restart();
                }
            }
        }
        while self.hear() || self.step() {}
        assert!(!self.hear() && !self.step());
        self.done.into_iter().flat_map(|(_, items)| items).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn all_nodes_of_a_rollup_end_at_the_same_place(
        history in proptest::collection::vec(happens(), 1..80),
        one in proptest::collection::vec(does(), 0..200),
        other in proptest::collection::vec(does(), 0..200),
    ) {
        let world = World::new(&history);
        let expected = world.expected();
        prop_assert_eq!(&Rollup::new(&world).run(&one), &expected);
        prop_assert_eq!(&Rollup::new(&world).run(&other), &expected);
        // Each message that a fallback or a slice has brought is there once.
        let messages: Vec<&Bytes> =
            expected.iter().filter(|item| item.starts_with(b"message")).collect();
        let mut distinct = messages.clone();
        distinct.sort();
        distinct.dedup();
        prop_assert_eq!(messages.len(), distinct.len());
    }
}

#[test]
fn a_fallback_for_one_log_brings_what_is_overdue() {
    use Happens::{Activate, Decide, L1Block, Post};
    let decide = Decide { submissions: 1, l1_blocks: 0, lead: Lead::Nothing };
    let history = [
        decide,
        decide,
        L1Block { ours: 2, others: 1 },
        Post { below: 1 },
        Activate,
        Post { below: 0 },
        decide,
        L1Block { ours: 0, others: 0 },
    ];
    let world = World::new(&history);
    let text = |items: Vec<Bytes>| {
        items.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    // Height 1 was posted, so that slice 0 is kept.
    let expected = ["message 0", "message 1", "1/0", "2/0"];
    assert_eq!(text(world.expected()), expected);
    let late = [Does::Step(9), Does::L1, Does::L1, Does::L1, Does::Step(9)];
    assert_eq!(text(Rollup::new(&world).run(&late)), expected);
}

#[test]
fn a_fallback_from_a_head_that_was_not_posted_is_refused() {
    let chain = Chain::new(NAMESPACE);
    let mut derivation = chain.derivation(&chain.start());
    let activated = ContractEvent::FallbackActivated { height: 7, origin: 0 };
    let block = Claim { events: vec![activated], ..claim(1) };
    assert!(derivation.take_in(&block).is_err());
}
