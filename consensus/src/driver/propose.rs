//! Making a block (protocol section 5).
//!
//! The proposer keeps one freedom, which quorum to embed; an honest one takes everybody it hears
//! in time, since a fast liar could otherwise crowd out slow honest views for ever.

use std::time::Duration;

use weft_types::{Height, Observation, ProposedBlock, Verified};

use super::judge::stored;
use super::{Candidate, CandidateState, Driver, Effect, Now, Timing, Wanted};
use crate::build::{Derived, derive};

/// The first round in which the empty block may be proposed and is answered.
pub(super) const FIRST_EMPTY_ROUND: u32 = 2;

impl Driver {
    pub(super) fn on_value_wanted(&mut self, now: Now, height: Height, round: u32) {
        if height == self.tip.next_height() {
            self.wanted = Some(Wanted { round, since: now.mono });
        }
    }

    /// When waiting for more observations, or for batches they name, ends.
    pub(super) fn propose_wakeups(&self) -> [Option<Duration>; 2] {
        let Some(wanted) = self.wanted.filter(|wanted| !self.has_built(wanted.round)) else {
            return [None; 2];
        };
        [self.gather_until(wanted), Self::empty_from(&self.timing, wanted)]
    }

    /// Until when to wait for more than a quorum, once there is one.
    fn gather_until(&self, wanted: Wanted) -> Option<Duration> {
        self.quorum_at.map(|at| at.max(wanted.since) + self.timing.gather)
    }

    /// From when on to propose the empty block if nothing else can be.
    fn empty_from(timing: &Timing, wanted: Wanted) -> Option<Duration> {
        (wanted.round >= FIRST_EMPTY_ROUND).then(|| wanted.since + timing.empty_after)
    }

    fn has_built(&self, round: u32) -> bool {
        self.building.is_some_and(|(_, built)| built == round)
    }

    /// Builds a block if one is wanted and enough is known. If a quorum cannot be had, or what it
    /// supports cannot be fetched since those who held it have lost it, the empty block goes on.
    pub(super) fn propose(&mut self, now: Now) {
        let committee = self.tip.committee();
        if self.quorum_at.is_none() && committee.is_quorum(self.observations.seats(committee)) {
            self.quorum_at = Some(now.mono);
        }
        let Some(wanted) = self.wanted.filter(|wanted| !self.has_built(wanted.round)) else {
            return;
        };
        let gathered = self
            .gather_until(wanted)
            .is_some_and(|until| now.mono >= until || self.hears_all_present());
        if gathered {
            let observations: Vec<Verified<Observation>> =
                self.observations.firsts().into_iter().cloned().collect();
            self.build(wanted, observations);
        }
        let empty = Self::empty_from(&self.timing, wanted).is_some_and(|from| now.mono >= from);
        if empty && !self.has_built(wanted.round) {
            self.build(wanted, Vec::new());
        }
    }

    /// Whether everybody has been heard who is not marked absent.
    fn hears_all_present(&self) -> bool {
        (0u16..).zip(self.tip.committee().members()).all(|(index, member)| {
            self.observations.has(index) || self.tip.state.is_absent(&member.address)
        })
    }

    fn build(&mut self, wanted: Wanted, observations: Vec<Verified<Observation>>) {
        let named: Vec<&Verified<Observation>> = observations.iter().collect();
        // What is missing is being fetched: everything supported is.
        let Ok(derived) = derive(&self.tip, &named, self) else { return };
        let hashes = named.iter().map(|observation| *observation.witness()).collect();
        let value = derived.propose(&self.tip, self.me.address, hashes);
        let id = value.header.id();
        self.building = Some((id, wanted.round));
        match self.candidates.get(&id) {
            // Built before, for an earlier round: it may be on disk already.
            Some(Candidate { state: CandidateState::Persisting(_), .. }) => {}
            Some(_) => self.offer_built(),
            None => self.persist_own(value, derived, observations),
        }
    }

    fn persist_own(
        &mut self,
        value: ProposedBlock,
        derived: Derived,
        observations: Vec<Verified<Observation>>,
    ) {
        let id = value.header.id();
        let Some(decidable) = self.decidable(derived) else { return };
        let block = stored(value.clone(), observations, &decidable.content);
        self.effects.push(Effect::Persist(id, block));
        let state = CandidateState::Persisting(decidable);
        self.candidates.insert(id, Candidate::new(value, state));
    }

    /// Gives the engine the block built for the round it wants, once that is on disk.
    pub(super) fn offer_built(&mut self) {
        let (Some((id, round)), Some(wanted)) = (self.building, self.wanted) else { return };
        if round != wanted.round {
            return;
        }
        let Some(candidate) = self.candidates.get(&id) else { return };
        if matches!(candidate.state, CandidateState::Stored(_)) {
            let height = candidate.value.header.height;
            let value = candidate.value.clone();
            self.effects.push(Effect::Propose { height, round, value });
            self.wanted = None;
            self.seal_ahead();
        }
    }
}
