//! The life of atomic bundles (protocol section 9), model-checked around the pure core that the ledger
//! runs: [`Undecided`], [`PendingLeg`], [`Deadline`] and [`Standing`] are the ledger's own.
//!
//! All orders of the following are gone through, for each [`Network`]:
//!
//! | | may |
//! |---|---|
//! | a block | be empty and one of time later, or have observations and be one or two later |
//! | a bundle | be won in any block in which its namespaces are free and not suspended |
//! | an honest executor | judge in any block after that of the legs, once its rollup's node is there; or never |
//! | its message | be ordered in any block and after any other, or never; be lost, and sent again |
//! | an executor that crashes | come back and know what it has said, or not: then it judges again |
//! | a lying executor | say anything in any block from that of the legs on, and several things |
//! | a rollup's node | hear of a decision any time later, and come to the next bundle only then |
//!
//! Bounds. There are the rollups, executors, bundles, worlds and numbers of crashes and losses that each
//! network names. A liar knows three things to say. The hold limit is two of time, the last height is
//! the fifth, a suspension is for two, then four of time. If no bundle holds anything, one that can be won is. Messages
//! that never arrive and executors that are silent or down for good are those whose turn has not come by the
//! decision; nothing is said after it. Three things are left out since the rules cannot tell them apart: which
//! of a rollup's honest executors is which, when everything began, and how long ago a limit was passed.
//!
//! What a leg does follows from what its rollup has executed before, so that a verdict on another state
//! than the one that the leg runs on is a wrong one.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

use std::collections::{BTreeMap, VecDeque};

use stateright::{Checker, HasDiscoveries, Model, Property};
use weft_ledger::undecided::{
    Agreed, Deadline, HOLD_BLOCKS, Heard, MAX_SUSPENSION_LEVEL, Moment, PendingLeg, Verdict,
};
use weft_ledger::{Standing, Undecided};
use weft_types::{Address, B256, Decision, NamespaceId};

const HOLD_LIMIT_MS: u64 = 2;
const HOLD_HEIGHTS: u64 = 5;
const SUSPENSION_MS: u64 = 2;

const ALL_OR_NONE: &str = "all legs are executed or none";
const RIGHT: &str = "what is committed is what the legs do";

/// A set of small numbers, a bit each.
type Set = u8;

fn has(set: Set, number: usize) -> bool {
    set >> number & 1 == 1
}

/// Whether a bundle's leg on a rollup will fail, given which bundles that has executed.
type Fails = fn(usize, usize, Set) -> bool;

const NOTHING_FAILS: Fails = |_, _, _| false;
/// Each rollup executes one bundle, and no other after it.
const FIRST_COMES_FIRST: Fails = |_, _, executed| executed != 0;
/// Rollup 0 has nothing for a bundle before the first one has brought it there.
const BUILDS_ON_THE_FIRST: Fails =
    |bundle, rollup, executed| rollup == 0 && bundle > 0 && !has(executed, 0);

/// What is checked: who there is, and what may go wrong.
#[derive(Clone)]
struct Network {
    rollups: usize,
    /// Executors of each rollup, how many are a quorum, and how many of each rollup's lie.
    executors: usize,
    quorum: u8,
    liars: Vec<usize>,
    /// Which rollups each bundle has legs for.
    bundles: Vec<Set>,
    /// What may be true of legs.
    worlds: Vec<Fails>,
    /// How many crashes that forget and messages that are lost there are at most.
    faults: u8,
    /// Whether messages are under way before they are ordered. Without faults, that is the same as being
    /// sent later.
    travels: bool,
    /// Whether blocks may be empty, or later than one of time: otherwise only their order is of interest.
    paces: bool,
    /// With how many strikes namespaces begin.
    strikes: u8,
}

/// Height, time, blocks with observations.
type Place = (u64, u64, u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Which of the worlds it is.
    world: usize,
    /// The block that is being filled.
    now: Place,
    is_empty: bool,
    /// Bundles that are not won yet.
    waiting: Set,
    undecided: BTreeMap<usize, Undecided>,
    /// What was decided at the end of the block before.
    news: Vec<News>,
    /// A bundle was not decided though it was due.
    overdue: bool,
    standing: Vec<Standing>,
    nodes: Vec<Node>,
    /// By rollup, the honest ones.
    executors: Vec<Vec<Executor>>,
    faults: u8,
    /// An honest executor has lost its bond.
    slashed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct News {
    decision: Decision,
    /// Heights since that of the legs.
    after: u64,
    /// Whether the deadline has come.
    is_due: bool,
    /// Whether a leg will not do what it is to do.
    fails: bool,
    /// Whether of each leg a quorum has said what it does.
    right: bool,
}

/// A rollup's node: it follows slices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    executed: Set,
    left_out: Set,
    /// Decisions that it has not heard of yet.
    ahead: VecDeque<(usize, Decision)>,
}

/// An honest executor, as to the bundle that holds its rollup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Executor {
    /// It has judged, and knows.
    knows: bool,
    /// Its message is under way.
    sent: bool,
    /// Its message was ordered.
    ordered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// Ends the block, and begins the next, so much later, in which these bundles win.
    Block {
        later: u64,
        is_empty: bool,
        wins: Set,
    },
    /// An executor of a rollup judges, or sends again what it has found.
    Judge(usize, usize),
    Order(usize, usize),
    Lose(usize, usize),
    /// Crashes, and comes back without knowing what it has said.
    Forget(usize, usize),
    /// A liar of a rollup says something, and that is ordered.
    Lie(usize, usize, Lie),
    /// A rollup's node hears of the next decision.
    Follow(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lie {
    ThatItFails,
    WhatItDoes,
    SomethingElse,
}

impl Network {
    /// What a leg does on a state.
    fn truth(&self, world: usize, bundle: usize, rollup: usize, executed: Set) -> Verdict {
        if (self.worlds[world])(bundle, rollup, executed) {
            return Verdict::Fails;
        }
        let mut effects = B256::ZERO;
        effects[..3].copy_from_slice(&[bundle as u8 + 1, rollup as u8, executed]);
        Verdict::Does(effects)
    }

    /// A rollup after a decision.
    fn follow(
        &self,
        world: usize,
        rollup: usize,
        node: &mut Node,
        (id, decision): (usize, Decision),
    ) {
        let truth = self.truth(world, id, rollup, node.executed);
        let executes = decision == Decision::Committed && truth != Verdict::Fails;
        let set = if executes { &mut node.executed } else { &mut node.left_out };
        *set |= 1 << id;
    }

    /// What a rollup's leg of the bundle that holds it does, on the state that it runs on.
    fn truth_of_leg(&self, state: &State, bundle: usize, rollup: usize) -> Verdict {
        let mut node = state.nodes[rollup].clone();
        while let Some(decided) = node.ahead.pop_front() {
            self.follow(state.world, rollup, &mut node, decided);
        }
        self.truth(state.world, bundle, rollup, node.executed)
    }

    fn rollups_of(&self, bundle: usize) -> impl Iterator<Item = usize> + use<> {
        let legs = self.bundles[bundle];
        (0..self.rollups).filter(move |rollup| has(legs, *rollup))
    }

    fn honest(&self, rollup: usize) -> usize {
        self.executors - self.liars[rollup]
    }

    /// An honest executor's address. On every other rollup they come before those that lie.
    fn address(&self, rollup: usize, number: usize) -> Address {
        let before = if rollup.is_multiple_of(2) { self.liars[rollup] } else { 0 };
        address(before + number)
    }

    fn address_of_liar(&self, rollup: usize, number: usize) -> Address {
        let before = if rollup.is_multiple_of(2) { 0 } else { self.honest(rollup) };
        address(before + number)
    }

    /// A bundle as it is when it is won.
    fn won(&self, bundle: usize, (height, time_ms, non_empty_blocks): Place) -> Undecided {
        let leg = |rollup: usize| PendingLeg {
            namespace: NamespaceId(rollup as u64),
            reserve: 1,
            price: 1,
            share: 1,
            executors: (0..self.executors).map(address).collect(),
            quorum: self.quorum,
            bond: 1,
            verdicts: Vec::new(),
        };
        Undecided {
            height,
            bidder: Address::ZERO,
            amount: 1,
            locked: 1,
            deadline: Deadline {
                time_ms: time_ms + HOLD_LIMIT_MS,
                non_empty_blocks: non_empty_blocks + HOLD_BLOCKS,
                height: height + HOLD_HEIGHTS,
            },
            legs: self.rollups_of(bundle).map(leg).collect(),
        }
    }

    /// Sets of waiting bundles that may win together in a block at that time.
    fn may_win(&self, state: &State, time_ms: u64) -> Vec<Set> {
        let is_free = |rollup: usize| {
            let suspended = state.standing[rollup].is_suspended(time_ms);
            !suspended && state.holder(rollup).is_none()
        };
        let all = (0..self.bundles.len())
            .filter(|id| has(state.waiting, *id) && self.rollups_of(*id).all(is_free));
        let mut sets = vec![0];
        for id in all {
            let apart = |set: &Set| {
                (0..self.bundles.len())
                    .all(|other| !has(*set, other) || self.bundles[other] & self.bundles[id] == 0)
            };
            let with: Vec<Set> =
                sets.iter().filter(|set| apart(set)).map(|set| set | 1 << id).collect();
            sets.extend(with);
        }
        sets
    }
}

fn address(executor: usize) -> Address {
    Address::with_last_byte(executor as u8)
}

/// Whether the deadline has come, as the protocol has it.
fn is_due(bundle: &Undecided, (height, time_ms, non_empty_blocks): Place) -> bool {
    let Deadline { time_ms: time, non_empty_blocks: blocks, height: last } = bundle.deadline;
    (time_ms >= time && non_empty_blocks >= blocks) || height >= last
}

impl State {
    /// The bundle that holds a rollup.
    fn holder(&self, rollup: usize) -> Option<usize> {
        let namespace = NamespaceId(rollup as u64);
        let holds = |bundle: &Undecided| bundle.legs.iter().any(|leg| leg.namespace == namespace);
        self.undecided.iter().find(|(_, bundle)| holds(bundle)).map(|(id, _)| *id)
    }

    /// Whether a rollup's node is at the leg that holds it, and the block of that is decided.
    fn is_there(&self, rollup: usize) -> bool {
        let holder = self.holder(rollup).and_then(|id| self.undecided.get(&id));
        self.nodes[rollup].ahead.is_empty()
            && holder.is_some_and(|bundle| bundle.height < self.now.0)
    }

    fn hear(&mut self, rollup: usize, executor: Address, verdict: Verdict) -> Heard {
        let bundle = self.holder(rollup).and_then(|id| self.undecided.get_mut(&id)).unwrap();
        let leg = bundle.leg_mut(NamespaceId(rollup as u64)).unwrap();
        leg.hear(executor, verdict)
    }

    /// Orders an honest executor's verdict.
    fn order(&mut self, network: &Network, rollup: usize, executor: usize) {
        let bundle = self.holder(rollup).unwrap();
        let truth = network.truth_of_leg(self, bundle, rollup);
        self.slashed |=
            self.hear(rollup, network.address(rollup, executor), truth) == Heard::Contradiction;
        self.executors[rollup][executor].sent = false;
        self.executors[rollup][executor].ordered = true;
    }

    /// Ends the block: decides what can be decided.
    fn end(&mut self, network: &Network) {
        let (height, time_ms, non_empty_blocks) = self.now;
        let now = Moment { height, time_ms, non_empty_blocks };
        self.news.clear();
        for (id, bundle) in self.undecided.clone() {
            let is_due = is_due(&bundle, self.now);
            let Some(decision) = bundle.decide(&now) else {
                self.overdue |= is_due;
                continue;
            };
            self.undecided.remove(&id);
            let after = height - bundle.height;
            let mut news = News { decision, after, is_due, fails: false, right: true };
            for leg in &bundle.legs {
                let rollup = leg.namespace.0 as usize;
                let truth = network.truth_of_leg(self, id, rollup);
                let agreed = leg.agreed();
                news.fails |= truth == Verdict::Fails;
                news.right &= match (agreed, truth) {
                    (Agreed::Does(effects), Verdict::Does(true_effects)) => effects == true_effects,
                    (Agreed::Fails, Verdict::Fails) => true,
                    _ => false,
                };
                if agreed != Agreed::Open {
                    self.standing[rollup].keep();
                } else if decision == Decision::TimedOut {
                    self.standing[rollup].miss(time_ms, SUSPENSION_MS);
                }
                self.nodes[rollup].ahead.push_back((id, decision));
                self.executors[rollup].fill(Executor::default());
            }
            self.news.push(news);
        }
    }

    /// Leaves out what the rules cannot tell apart.
    fn settle(&mut self, network: &Network) {
        for rollup in 0..network.rollups {
            let holder = self.holder(rollup);
            let leg = holder.and_then(|id| self.undecided.get_mut(&id));
            let Some(leg) = leg.and_then(|b| b.leg_mut(NamespaceId(rollup as u64))) else {
                continue;
            };
            let honest = 0..network.honest(rollup);
            let address = |number| network.address(rollup, number);
            let mut all: Vec<(Executor, Option<Verdict>)> = Vec::new();
            for number in honest.clone() {
                let said = leg.verdicts.iter().position(|(who, _)| *who == address(number));
                let verdict = said.map(|at| leg.verdicts.remove(at).1);
                all.push((self.executors[rollup][number], verdict));
            }
            all.sort();
            for (number, (executor, verdict)) in honest.zip(all) {
                self.executors[rollup][number] = executor;
                leg.verdicts.extend(verdict.map(|verdict| (address(number), verdict)));
            }
            leg.verdicts.sort();
        }

        let deadlines = self.undecided.values().map(|bundle| bundle.deadline);
        let limits = |(time, blocks): (u64, u64), it: Deadline| {
            (time.max(it.time_ms), blocks.max(it.non_empty_blocks))
        };
        let (time, blocks) = deadlines.fold((0, 0), limits);
        let until = self.standing.iter().map(|standing| standing.suspended_until);
        self.now.1 = self.now.1.min(until.fold(time, u64::max));
        self.now.2 = self.now.2.min(blocks);

        let first = self.undecided.values().map(|bundle| bundle.height).min();
        let began = self.undecided.values().map(|bundle| bundle.deadline);
        let began = began.fold(None, |min: Option<(u64, u64)>, it| {
            let of_it = (it.time_ms - HOLD_LIMIT_MS, it.non_empty_blocks - HOLD_BLOCKS);
            Some(min.map_or(of_it, |min| (min.0.min(of_it.0), min.1.min(of_it.1))))
        });
        let height = first.unwrap_or(self.now.0);
        let (time, blocks) = began.unwrap_or((self.now.1, self.now.2));
        self.now = (
            self.now.0 - height,
            self.now.1 - time.min(self.now.1),
            self.now.2 - blocks.min(self.now.2),
        );
        for bundle in self.undecided.values_mut() {
            bundle.height -= height;
            bundle.deadline.height -= height;
            bundle.deadline.time_ms -= time;
            bundle.deadline.non_empty_blocks -= blocks;
        }
        for standing in &mut self.standing {
            standing.suspended_until = standing.suspended_until.saturating_sub(time);
        }
    }

    fn is_over(&self) -> bool {
        let settled = self.nodes.iter().all(|node| node.ahead.is_empty());
        self.waiting == 0 && self.undecided.is_empty() && settled
    }
}

impl Model for Network {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let state = |world| State {
            world,
            now: (0, 0, 0),
            is_empty: false,
            waiting: (1 << self.bundles.len()) - 1,
            undecided: BTreeMap::new(),
            news: Vec::new(),
            overdue: false,
            standing: vec![Standing { strikes: self.strikes, ..Standing::default() }; self.rollups],
            nodes: vec![Node::default(); self.rollups],
            executors: (0..self.rollups)
                .map(|rollup| vec![Executor::default(); self.honest(rollup)])
                .collect(),
            faults: self.faults,
            slashed: false,
        };
        (0..self.worlds.len()).map(state).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.is_over() {
            return;
        }
        for rollup in 0..self.rollups {
            if !state.nodes[rollup].ahead.is_empty() {
                actions.push(Action::Follow(rollup));
            }
            if state.holder(rollup).is_none() {
                continue;
            }
            for (number, executor) in state.executors[rollup].iter().enumerate() {
                let is_done = executor.sent || (executor.knows && executor.ordered);
                if !is_done && state.is_there(rollup) && (self.travels || !state.is_empty) {
                    actions.push(Action::Judge(rollup, number));
                }
                if executor.sent && !state.is_empty {
                    actions.push(Action::Order(rollup, number));
                }
                if executor.sent && state.faults > 0 {
                    actions.push(Action::Lose(rollup, number));
                }
                if executor.knows && state.faults > 0 {
                    actions.push(Action::Forget(rollup, number));
                }
            }
            for liar in 0..self.liars[rollup] {
                if !state.is_empty {
                    let lies = [Lie::ThatItFails, Lie::WhatItDoes, Lie::SomethingElse];
                    actions.extend(lies.map(|lie| Action::Lie(rollup, liar, lie)));
                }
            }
        }
        if state.undecided.is_empty() && state.waiting == 0 {
            return;
        }
        let mut ended = state.clone();
        ended.end(self);
        let is_suspended = |standing: &Standing| standing.is_suspended(ended.now.1 + 1);
        let is_held = !ended.undecided.is_empty() || ended.standing.iter().any(is_suspended);
        if self.paces && is_held {
            actions.push(Action::Block { later: 1, is_empty: true, wins: 0 });
        }
        for later in 1..=if self.paces { 2 } else { 1 } {
            let sets = self.may_win(&ended, ended.now.1 + later);
            for wins in &sets {
                // Somebody wins if nothing else is to be waited for.
                let waits = !ended.undecided.is_empty() || sets.len() == 1;
                if *wins != 0 || waits {
                    actions.push(Action::Block { later, is_empty: false, wins: *wins });
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Block { later, is_empty, wins } => {
                state.end(self);
                state.now.0 += 1;
                state.now.1 += later;
                state.now.2 += u64::from(!is_empty);
                state.is_empty = is_empty;
                for id in (0..self.bundles.len()).filter(|id| has(wins, *id)) {
                    state.waiting &= !(1 << id);
                    state.undecided.insert(id, self.won(id, state.now));
                }
            }
            Action::Judge(rollup, number) => {
                let executor = &mut state.executors[rollup][number];
                (executor.knows, executor.sent) = (true, true);
                if !self.travels {
                    state.order(self, rollup, number);
                }
            }
            Action::Order(rollup, number) => state.order(self, rollup, number),
            Action::Lose(rollup, number) => {
                state.executors[rollup][number].sent = false;
                state.faults -= 1;
            }
            Action::Forget(rollup, number) => {
                state.executors[rollup][number].knows = false;
                state.faults -= 1;
            }
            Action::Lie(rollup, liar, lie) => {
                let bundle = state.holder(rollup)?;
                let verdict = match lie {
                    Lie::ThatItFails => Verdict::Fails,
                    Lie::WhatItDoes => self.truth_of_leg(&state, bundle, rollup),
                    Lie::SomethingElse => Verdict::Does(B256::repeat_byte(0xff)),
                };
                if state.hear(rollup, self.address_of_liar(rollup, liar), verdict) == Heard::Nothing
                {
                    return None;
                }
            }
            Action::Follow(rollup) => {
                let decided = state.nodes[rollup].ahead.pop_front()?;
                self.follow(state.world, rollup, &mut state.nodes[rollup], decided);
            }
        }
        state.settle(self);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(ALL_OR_NONE, |network, state| {
                (0..network.bundles.len()).all(|id| {
                    let executed = state.nodes.iter().any(|node| has(node.executed, id));
                    !executed || !state.nodes.iter().any(|node| has(node.left_out, id))
                })
            }),
            Property::<Self>::always(RIGHT, |_, state| {
                let committed = |news: &News| news.decision == Decision::Committed;
                state.news.iter().all(|news| !committed(news) || news.right)
            }),
            Property::<Self>::always(
                "a bundle with a leg that fails is not committed",
                |_, state| {
                    let committed = |news: &News| news.decision == Decision::Committed;
                    state.news.iter().all(|news| !committed(news) || !news.fails)
                },
            ),
            Property::<Self>::always("a bundle fails only if a leg does", |_, state| {
                state.news.iter().all(|news| news.decision != Decision::Failed || news.fails)
            }),
            Property::<Self>::always("it times out at the deadline only", |_, state| {
                state.news.iter().all(|news| news.decision != Decision::TimedOut || news.is_due)
            }),
            Property::<Self>::always("it does not time out if all is said", |_, state| {
                state.news.iter().all(|news| news.decision != Decision::TimedOut || !news.right)
            }),
            Property::<Self>::always("a suspension ends", |_, state| {
                let longest = SUSPENSION_MS << MAX_SUSPENSION_LEVEL;
                state.standing.iter().all(|it| it.suspended_until <= state.now.1 + longest)
            }),
            Property::<Self>::always("it is decided by the deadline", |_, state| {
                let held = |bundle: &Undecided| state.now.0 <= bundle.height + HOLD_HEIGHTS;
                !state.overdue && state.undecided.values().all(held)
            }),
            Property::<Self>::always("it is decided after the height of its legs", |_, state| {
                state.news.iter().all(|news| (1..=HOLD_HEIGHTS).contains(&news.after))
            }),
            Property::<Self>::always("one bundle at most holds a namespace", |network, state| {
                (0..network.rollups).all(|rollup| {
                    state.undecided.keys().filter(|id| has(network.bundles[**id], rollup)).count()
                        <= 1
                })
            }),
            Property::<Self>::always("no honest executor loses its bond", |_, state| {
                !state.slashed
            }),
            Property::<Self>::eventually(
                "every bundle is decided, and every rollup goes on",
                |_, state| state.is_over(),
            ),
            Property::<Self>::sometimes("committed", |_, state| {
                decided(state, Decision::Committed)
            }),
            Property::<Self>::sometimes("failed", |_, state| decided(state, Decision::Failed)),
            Property::<Self>::sometimes("timed out", |_, state| decided(state, Decision::TimedOut)),
            Property::<Self>::sometimes("timed out by height", |network, state| {
                let by_height =
                    |it: &News| it.decision == Decision::TimedOut && it.after == HOLD_HEIGHTS;
                !network.paces || state.news.iter().any(by_height)
            }),
            Property::<Self>::sometimes("a liar has contradicted itself", |network, state| {
                let mut legs = state.undecided.values().flat_map(|bundle| &bundle.legs);
                network.liars.iter().all(|liars| *liars == 0)
                    || legs.any(|leg| leg.verdicts.iter().any(|it| it.1 == Verdict::Void))
            }),
            Property::<Self>::sometimes("a namespace is suspended", |network, state| {
                let mut all = state.standing.iter();
                network.strikes < 2 || all.any(|it| it.is_suspended(state.now.1))
            }),
            Property::<Self>::sometimes("suspended for twice as long", |network, state| {
                network.strikes < 2 || state.standing.iter().any(|standing| standing.level == 2)
            }),
            Property::<Self>::sometimes("two hold at once", |network, state| {
                network.rollups < 4 || state.undecided.len() == 2
            }),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        // Beyond that nothing holds a namespace.
        state.now.0 <= HOLD_HEIGHTS + 1
    }
}

fn decided(state: &State, decision: Decision) -> bool {
    state.news.iter().any(|news| news.decision == decision)
}

/// Goes through all that can happen.
fn check(name: &str, network: Network) {
    let checker = network.checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    eprintln!(
        "{name}: {} states, {} steps, {} deep",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn two_rollups_and_everything_goes_wrong() {
    check(
        "two rollups",
        Network {
            rollups: 2,
            executors: 3,
            quorum: 2,
            liars: vec![1, 1],
            bundles: vec![0b11],
            worlds: vec![NOTHING_FAILS, |_, rollup, _| rollup == 0, |_, _, _| true],
            faults: 2,
            travels: true,
            paces: true,
            strikes: 0,
        },
    );
}

#[test]
fn three_rollups_in_a_ring() {
    check(
        "three rollups",
        Network {
            rollups: 3,
            executors: 3,
            quorum: 2,
            liars: vec![1, 0, 0],
            bundles: vec![0b011, 0b110, 0b101],
            worlds: vec![FIRST_COMES_FIRST, BUILDS_ON_THE_FIRST],
            faults: 0,
            travels: false,
            paces: true,
            strikes: 2,
        },
    );
}

#[test]
fn four_rollups_in_a_ring_two_bundles_at_once() {
    check(
        "four rollups",
        Network {
            rollups: 4,
            executors: 1,
            quorum: 1,
            liars: vec![0; 4],
            bundles: vec![0b0011, 0b0110, 0b1100, 0b1001],
            worlds: vec![NOTHING_FAILS, FIRST_COMES_FIRST, BUILDS_ON_THE_FIRST],
            faults: 0,
            travels: false,
            paces: false,
            strikes: 0,
        },
    );
}

/// Whether anything can come of it that breaks a property.
fn breaks(network: Network, property: &'static str) -> bool {
    let only = HasDiscoveries::AnyOf([property].into());
    let checker = network.checker().threads(2).finish_when(only).spawn_bfs().join();
    checker.discovery(property).is_some()
}

#[test]
fn a_quorum_of_liars_can_have_one_leg_executed_alone() {
    let network = Network {
        rollups: 2,
        executors: 3,
        quorum: 2,
        liars: vec![2, 0],
        bundles: vec![0b11],
        worlds: vec![|_, rollup, _| rollup == 0],
        faults: 0,
        travels: false,
        paces: false,
        strikes: 0,
    };
    assert!(breaks(network, ALL_OR_NONE));
}

#[test]
fn half_of_the_executors_are_no_quorum() {
    let network = Network {
        rollups: 2,
        executors: 2,
        quorum: 1,
        liars: vec![1, 0],
        bundles: vec![0b11],
        worlds: vec![NOTHING_FAILS],
        faults: 0,
        travels: false,
        paces: false,
        strikes: 0,
    };
    assert!(breaks(network, RIGHT));
}
