//! Which blocks to ask whom for.
//!
//! Each peer is asked for one run of heights at a time, the lowest that nobody has been asked for
//! and that it says it has. A peer that does not deliver is passed over for a while, and from then
//! on asked only if all others have failed as often, until it delivers. Time is what has passed
//! since the node started.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use weft_types::Height;

/// How long a peer is passed over that did not answer, or not with what it said it had.
const UNHELPFUL: Duration = Duration::from_secs(1);

/// How long one is that gave away a block that does not check.
const LIAR: Duration = Duration::from_secs(60);

/// How long one that has given what cannot be checked yet: by then it can, or somebody else has what is
/// lacking.
const EARLY: Duration = Duration::from_millis(50);

/// How far above the tip to ask: more would wait longer to be executed than to be asked for.
const WINDOW: Height = 1024;

/// How much to ask for, and for how long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most heights in a request.
    pub batch: Height,
    /// Most requests under way.
    pub parallel: usize,
    /// How long to wait for an answer.
    pub patience: Duration,
}

/// Why a peer is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not give what it was asked for.
    Unhelpful,
    /// It gave something else.
    Liar,
    /// It gave what cannot be checked yet.
    Early,
}

/// Who has what, and who has been asked. `P` names a peer.
pub struct Plan<P> {
    limits: Limits,
    tip: Height,
    peers: BTreeMap<P, Peer>,
    /// Heights above the tip that have been asked for and not given up on.
    taken: BTreeSet<Height>,
    /// Counts requests, so that they go round.
    turn: u64,
}

#[derive(Default)]
struct Peer {
    tip: Height,
    asked: Option<Asked>,
    /// Until when it is passed over.
    shunned: Duration,
    /// When it was last asked.
    turn: u64,
    /// How often it has failed since it last delivered.
    failures: u32,
}

struct Asked {
    heights: RangeInclusive<Height>,
    since: Duration,
}

impl<P: Copy + Ord> Plan<P> {
    /// Knows nobody yet.
    pub fn new(limits: Limits, tip: Height) -> Self {
        Self { limits, tip, peers: BTreeMap::new(), taken: BTreeSet::new(), turn: 0 }
    }

    /// A peer says that it has every height up to this one.
    pub fn heard(&mut self, peer: P, tip: Height) {
        self.peers.entry(peer).or_default().tip = tip;
    }

    /// A peer is gone.
    pub fn gone(&mut self, peer: &P) {
        self.give_up(peer);
        self.peers.remove(peer);
    }

    /// The tip has moved.
    pub fn passed(&mut self, tip: Height) {
        self.tip = tip;
        self.taken = self.taken.split_off(&(tip + 1));
    }

    /// The next request, if there is one to make: it counts as made. With `full` memory only the
    /// next height is worth asking for.
    pub fn ask(&mut self, now: Duration, full: bool) -> Option<(P, RangeInclusive<Height>)> {
        let under_way = self.peers.values().filter(|peer| peer.asked.is_some()).count();
        if under_way >= self.limits.parallel {
            return None;
        }
        let first = self.first_missing();
        let reach = if full { self.tip + 1 } else { self.tip + WINDOW };
        if first > reach {
            return None;
        }
        let able = |peer: &Peer| peer.tip >= first && peer.shunned <= now;
        let failures = self.peers.values().filter(|p| able(p)).map(|p| p.failures).min()?;
        // A better peer that is busy is worth waiting for: a bad one could hold up all that follows.
        let (peer, chosen) = self
            .peers
            .iter_mut()
            .filter(|(_, p)| p.asked.is_none() && able(p) && p.failures == failures)
            .min_by_key(|(_, p)| p.turn)?;
        let next_taken = self.taken.range(first..).next().map_or(Height::MAX, |taken| taken - 1);
        let last = [first + self.limits.batch - 1, chosen.tip, reach, next_taken]
            .into_iter()
            .min()
            .unwrap_or(first);
        let heights = first..=last;
        self.taken.extend(heights.clone());
        self.turn += 1;
        chosen.turn = self.turn;
        chosen.asked = Some(Asked { heights: heights.clone(), since: now });
        Some((*peer, heights))
    }

    /// A peer has answered. Returns what it had been asked for; those heights stay taken until
    /// they are [released](Self::release) or passed.
    pub fn answered(&mut self, peer: &P) -> Option<RangeInclusive<Height>> {
        let asked = self.peers.get_mut(peer)?.asked.take()?;
        Some(asked.heights)
    }

    /// What a peer answered was good.
    pub fn delivered(&mut self, peer: &P) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.failures = 0;
        }
    }

    /// Heights did not come, or not as they should: they can be asked for again.
    pub fn release(&mut self, heights: RangeInclusive<Height>) {
        for height in heights {
            self.taken.remove(&height);
        }
    }

    /// A peer did not do what it said. It is passed over for a while.
    pub fn shun(&mut self, peer: &P, fault: Fault, now: Duration) {
        self.give_up(peer);
        if let Some(peer) = self.peers.get_mut(peer) {
            let until = now
                + match fault {
                    Fault::Unhelpful => UNHELPFUL,
                    Fault::Liar => LIAR,
                    Fault::Early => EARLY,
                };
            peer.shunned = peer.shunned.max(until);
            peer.failures = peer.failures.saturating_add(1);
        }
    }

    /// Gives up on requests that have waited too long. Returns who did not answer.
    pub fn overdue(&mut self, now: Duration) -> Vec<P> {
        let patience = self.limits.patience;
        let late = |peer: &Peer| peer.asked.as_ref().is_some_and(|a| now >= a.since + patience);
        let peers: Vec<P> = self.peers.iter().filter(|(_, p)| late(p)).map(|(p, _)| *p).collect();
        for peer in &peers {
            self.shun(peer, Fault::Unhelpful, now);
        }
        peers
    }

    fn give_up(&mut self, peer: &P) {
        if let Some(heights) = self.answered(peer) {
            self.release(heights);
        }
    }

    fn first_missing(&self) -> Height {
        let mut first = self.tip + 1;
        for taken in &self.taken {
            if *taken != first {
                break;
            }
            first += 1;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9);
    const LIMITS: Limits = Limits { batch: 10, parallel: 2, patience: Duration::from_secs(5) };

    fn plan(tips: &[(u8, Height)]) -> Plan<u8> {
        let mut plan = Plan::new(LIMITS, 0);
        for (peer, tip) in tips {
            plan.heard(*peer, *tip);
        }
        plan
    }

    #[test]
    fn peers_are_asked_in_turn_for_what_they_have() {
        let mut plan = plan(&[(1, 25), (2, 12), (3, 25)]);
        assert_eq!(plan.ask(NOW, false), Some((1, 1..=10)));
        assert_eq!(plan.ask(NOW, false), Some((2, 11..=12)));
        assert_eq!(plan.ask(NOW, false), None, "two at a time");
        assert_eq!(plan.answered(&1), Some(1..=10));
        assert_eq!(plan.ask(NOW, false), Some((3, 13..=22)), "it has not been asked yet");
        assert_eq!(plan.answered(&2), Some(11..=12));
        assert_eq!(plan.ask(NOW, false), Some((1, 23..=25)), "two does not have that");
        assert_eq!(plan.answered(&3), Some(13..=22));
        assert_eq!(plan.ask(NOW, false), None, "there is no more");
    }

    #[test]
    fn what_does_not_come_is_asked_of_another() {
        let mut plan = plan(&[(1, 9), (2, 9)]);
        assert_eq!(plan.ask(NOW, false), Some((1, 1..=9)));
        assert!(plan.overdue(NOW).is_empty());
        let later = NOW + LIMITS.patience;
        assert_eq!(plan.overdue(later), [1]);
        assert_eq!(plan.answered(&1), None, "its answer comes too late");
        assert_eq!(plan.ask(later, false), Some((2, 1..=9)));
        plan.gone(&2);
        assert_eq!(plan.ask(later, false), None, "one is passed over");
        assert_eq!(plan.ask(later + UNHELPFUL, false), Some((1, 1..=9)));
    }

    #[test]
    fn a_gap_is_filled_before_anything_else() {
        let mut plan = plan(&[(1, 40), (2, 40)]);
        plan.ask(NOW, false);
        plan.ask(NOW, false);
        plan.answered(&1);
        plan.release(4..=7);
        assert_eq!(plan.ask(NOW, false), Some((1, 4..=7)));
        plan.answered(&1);
        plan.passed(20);
        assert_eq!(plan.ask(NOW, false), Some((1, 21..=30)));
        plan.passed(35);
        plan.answered(&2);
        assert_eq!(plan.ask(NOW, false), Some((2, 36..=40)));
    }

    #[test]
    fn who_has_failed_is_asked_only_if_nobody_better_has_it() {
        let mut plan = plan(&[(1, 40), (2, 40), (3, 15)]);
        plan.ask(NOW, false);
        plan.shun(&1, Fault::Unhelpful, NOW);
        let later = NOW + UNHELPFUL;
        assert_eq!(plan.ask(later, false), Some((2, 1..=10)));
        assert_eq!(plan.ask(later, false), Some((3, 11..=15)));
        plan.answered(&3);
        assert_eq!(plan.ask(later, false), None, "two is busy, and better");
        plan.gone(&2);
        assert_eq!(plan.ask(later, false), Some((3, 1..=10)));
        plan.answered(&3);
        assert_eq!(plan.ask(later, false), Some((1, 16..=25)), "nobody else has it");
        plan.answered(&1);
        plan.delivered(&1);
        plan.heard(4, 40);
        assert_eq!(plan.ask(later, false), Some((4, 26..=35)), "a new one's turn comes first");
        assert_eq!(plan.ask(later, false), Some((1, 36..=40)));
    }

    #[test]
    fn a_liar_is_passed_over_for_longer() {
        let mut plan = plan(&[(1, 9)]);
        plan.ask(NOW, false);
        plan.shun(&1, Fault::Liar, NOW);
        plan.shun(&1, Fault::Unhelpful, NOW);
        assert_eq!(plan.ask(NOW + UNHELPFUL, false), None);
        assert_eq!(plan.ask(NOW + LIAR, false), Some((1, 1..=9)));
    }

    #[test]
    fn no_claim_makes_it_ask_without_bound() {
        let mut plan = plan(&[(1, Height::MAX)]);
        let mut last = 0;
        while let Some((peer, heights)) = plan.ask(NOW, false) {
            last = *heights.end();
            plan.answered(&peer);
        }
        assert_eq!(last, WINDOW);
        assert_eq!(plan.ask(NOW, true), None, "the next height has been asked for");
        plan.release(1..=5);
        assert_eq!(plan.ask(NOW, true), Some((1, 1..=1)), "memory is full but for the next");
    }
}
