//! Judging proposals (protocol section 5).
//!
//! A proposal is judged as soon as everything it stands on is here; what is missing is fetched.
//! The engine is answered once, when the answer is final and, if it is "valid", on disk.

use std::sync::Arc;

use weft_types::{
    Address, BatchDigest, BlockId, EventsDigest, Height, Observation, ObservationBody,
    ObservationHash, ProposedBlock, Verified,
};

use super::propose::FIRST_EMPTY_ROUND;
use super::{
    Candidate, CandidateState, Decidable, Driver, Effect, MAX_CANDIDATES, Now, Proposed,
    StoredBlock, SyncVerdict,
};
use crate::build::Derived;
use crate::content::{Missing, Picked};
use crate::follow::{Refused, rederive};
use crate::tip::Tip;
use crate::validity::{Invalid, Judgement, check_chain, judge};

/// Most proposals of one round: two, which prove that its leader signed twice.
const MAX_PER_ROUND: usize = 2;

/// How far ahead of this node's own round a proposal may be.
const MAX_ROUNDS_AHEAD: u32 = 10;

/// Most proposals of one proposer for the height after the next.
const MAX_EARLY_PER_PROPOSER: usize = 2;

impl Driver {
    pub(super) fn on_proposal(
        &mut self,
        height: Height,
        round: u32,
        proposer: Address,
        value: ProposedBlock,
    ) {
        let next = self.tip.next_height();
        if height == next + 1 {
            let of_proposer = |early: &&(u32, Address, ProposedBlock)| early.1 == proposer;
            if self.early_proposals.iter().filter(of_proposer).count() < MAX_EARLY_PER_PROPOSER {
                self.early_proposals.push((round, proposer, value));
            }
        } else if height == next {
            self.consider(round, proposer, value);
        }
    }

    /// Takes up a proposal, if it comes from the leader of its round. A leader that signs more
    /// than two for one round, or for rounds far off, is not listened to.
    pub(super) fn consider(&mut self, round: u32, proposer: Address, value: ProposedBlock) {
        let leader = self.rotation.proposer(self.tip.next_height(), round);
        let leads = self.tip.committee().get(leader).is_some_and(|m| m.address == proposer);
        if !leads || round > self.round.saturating_add(MAX_ROUNDS_AHEAD) {
            return;
        }
        let id = value.header.id();
        if !self.candidates.contains_key(&id) {
            let of_round = |candidate: &&Candidate| candidate.proposed.contains_key(&round);
            if self.candidates.values().filter(of_round).count() >= MAX_PER_ROUND {
                return;
            }
            self.make_room();
            let state = first_state(&self.tip, &value);
            let candidate = Candidate::new(value, state);
            self.candidates.insert(id, candidate);
        }
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.proposed.entry(round).or_insert(Proposed { proposer, answered: false });
        }
        self.arrived = true;
    }

    /// Forgets a proposal of the lowest round that is not known to be valid, if there are too
    /// many.
    fn make_room(&mut self) {
        if self.candidates.len() < MAX_CANDIDATES {
            return;
        }
        let expendable = |candidate: &Candidate| {
            matches!(candidate.state, CandidateState::Open | CandidateState::Invalid(_))
                && candidate.tickets.is_empty()
        };
        let first_round = |candidate: &Candidate| candidate.proposed.keys().next().copied();
        let lowest = self
            .candidates
            .iter()
            .filter(|(_, candidate)| expendable(candidate))
            .min_by_key(|(_, candidate)| first_round(candidate))
            .map(|(id, _)| *id);
        if let Some(lowest) = lowest {
            self.candidates.remove(&lowest);
        }
    }

    pub(super) fn on_synced(&mut self, now: Now, ticket: u64, block: StoredBlock) {
        if block.value.header.height != self.tip.next_height() || self.committing.is_some() {
            let (value, verdict) = (block.value, SyncVerdict::Late);
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
            return;
        }
        let id = block.value.header.id();
        let judged = rederive(&self.tip, &block);
        self.take_parts(now.wall_ms, &block);
        let candidate = self
            .candidates
            .entry(id)
            .or_insert_with(|| Candidate::new(block.value.clone(), CandidateState::Open));
        candidate.tickets.push(ticket);
        if matches!(candidate.state, CandidateState::Open) {
            match judged {
                Ok(decidable) => {
                    candidate.state = CandidateState::Persisting(decidable);
                    self.effects.push(Effect::Persist(id, block));
                }
                Err(Refused::Invalid(invalid)) => {
                    candidate.state = CandidateState::Invalid(invalid);
                }
                Err(Refused::Incomplete | Refused::Uncertified) => {}
            }
        }
        self.answer(id);
        // Sync brings a block whole: what is missing now will not come.
        self.answer_tickets(id, SyncVerdict::Incomplete, |state| {
            matches!(state, CandidateState::Open)
        });
        let useless = |candidate: &Candidate| {
            candidate.proposed.is_empty()
                && matches!(candidate.state, CandidateState::Open | CandidateState::Invalid(_))
        };
        if self.candidates.get(&id).is_some_and(useless) {
            self.candidates.remove(&id);
        }
    }

    /// Answers everybody who waits for what comes of a block by sync, if it is in a state.
    pub(super) fn answer_tickets(
        &mut self,
        id: BlockId,
        verdict: SyncVerdict,
        when: impl Fn(&CandidateState) -> bool,
    ) {
        let Some(candidate) = self.candidates.get_mut(&id).filter(|c| when(&c.state)) else {
            return;
        };
        for ticket in std::mem::take(&mut candidate.tickets) {
            let value = candidate.value.clone();
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
        }
    }

    /// A block that was on disk when the node started. The engine may be locked on it; its own
    /// log tells it so, so that it need not be told.
    pub(super) fn restore(&mut self, block: StoredBlock) {
        if let Ok(decidable) = rederive(&self.tip, &block) {
            self.take_parts(block.value.header.time_ms, &block);
            let state = CandidateState::Stored(decidable);
            self.candidates.insert(block.value.header.id(), Candidate::new(block.value, state));
        }
    }

    fn take_parts(&mut self, now_ms: u64, block: &StoredBlock) {
        for observation in &block.observations {
            self.fetching_observations.insert(*observation.witness());
            self.note(observation.clone());
        }
        for batch in &block.batches {
            self.fetching.remove(&batch.witness().digest);
            self.lanes.insert(Arc::clone(batch), now_ms, &self.tip.state, true);
        }
        for events in &block.events {
            self.fetching_events.remove(&events.witness().digest);
            self.l1.hold(Arc::clone(events));
        }
        self.arrived = true;
    }

    /// Judges every proposal that can be judged by now, if anything came in that it may have been
    /// waiting for.
    pub(super) fn judge_open(&mut self) {
        let judge = std::mem::take(&mut self.arrived);
        let ids: Vec<BlockId> = self.candidates.keys().copied().collect();
        for id in ids {
            if judge {
                self.judge_one(id);
            }
            self.answer(id);
        }
    }

    fn judge_one(&mut self, id: BlockId) {
        let Some(candidate) = self.candidates.get(&id) else { return };
        if !matches!(candidate.state, CandidateState::Open) {
            return;
        }
        match self.judgement(id) {
            Judgement::Valid(derived) => self.persist(id, derived),
            Judgement::Invalid(invalid) => self.set_state(id, CandidateState::Invalid(invalid)),
            Judgement::Missing(missing) => self.fetch_for(id, missing),
        }
    }

    fn judgement(&mut self, id: BlockId) -> Judgement {
        let Some(candidate) = self.candidates.get(&id) else {
            return Judgement::Missing(Missing::default());
        };
        let value = &candidate.value;
        let missing: Vec<ObservationHash> = value
            .observations
            .iter()
            .filter(|hash| self.observations.get(hash).is_none())
            .copied()
            .collect();
        if !missing.is_empty() {
            let proposer = self.tip.committee().index_of(&value.header.proposer);
            self.fetch_observations(missing, proposer);
            return Judgement::Missing(Missing::default());
        }
        let observations: Vec<_> =
            value.observations.iter().filter_map(|hash| self.observations.get(hash)).collect();
        judge(&self.tip, value, &observations, self)
    }

    fn fetch_observations(&mut self, missing: Vec<ObservationHash>, proposer: Option<u16>) {
        let hashes: Vec<ObservationHash> =
            missing.into_iter().filter(|hash| self.fetching_observations.insert(*hash)).collect();
        if !hashes.is_empty() {
            self.effects.push(Effect::FetchObservations { hashes, proposer });
        }
    }

    /// Fetches what a proposal needs. Most is being fetched for being supported; but an observer
    /// that signed twice can make more supported by the observation embedded here.
    fn fetch_for(&mut self, id: BlockId, missing: Missing) {
        let Some(candidate) = self.candidates.get(&id) else { return };
        let embedded: Vec<&ObservationBody> = candidate
            .value
            .observations
            .iter()
            .filter_map(|hash| self.observations.get(hash))
            .map(|observation| &observation.body)
            .collect();
        let namers = |names: &dyn Fn(&ObservationBody) -> bool| {
            embedded.iter().filter(|body| names(body)).map(|body| body.observer).collect()
        };
        let batches: Vec<(BatchDigest, Vec<u16>)> = missing
            .batches
            .into_iter()
            .filter(|digest| self.fetching.insert(*digest))
            .map(|digest| (digest, namers(&|body| body.names_batch(&digest))))
            .collect();
        let events: Vec<(EventsDigest, Vec<u16>)> = missing
            .events
            .into_iter()
            .filter(|digest| self.fetching_events.insert(*digest))
            .map(|digest| (digest, namers(&|body| body.names_events(&digest))))
            .collect();
        if !batches.is_empty() {
            self.effects.push(Effect::FetchBatches(batches));
        }
        if !events.is_empty() {
            self.effects.push(Effect::FetchEvents(events));
        }
    }

    fn persist(&mut self, id: BlockId, derived: Derived) {
        let Some(candidate) = self.candidates.get(&id) else { return };
        let value = candidate.value.clone();
        let observations = value
            .observations
            .iter()
            .filter_map(|hash| self.observations.get(hash).cloned())
            .collect();
        let Some(decidable) = self.decidable(derived) else { return };
        let block = stored(value, observations, &decidable.content);
        self.effects.push(Effect::Persist(id, block));
        self.set_state(id, CandidateState::Persisting(decidable));
    }

    pub(super) fn on_persisted(&mut self, id: BlockId) {
        let Some(candidate) = self.candidates.get_mut(&id) else { return };
        let state = std::mem::replace(&mut candidate.state, CandidateState::Open);
        candidate.state = match state {
            CandidateState::Persisting(decidable) => CandidateState::Stored(decidable),
            other => other,
        };
        self.answer(id);
        self.offer_built();
    }

    /// Tells the engine and sync what came of a block, if that is certain and it is time. The
    /// engine is told only once it runs the height: what it hears before may be dropped. An empty
    /// block is not called valid before this node itself has come to round 2; to sync, which has a
    /// quorum's word, it is.
    fn answer(&mut self, id: BlockId) {
        let (round, entered) = (self.round, self.entered);
        let Some(candidate) = self.candidates.get_mut(&id) else { return };
        let verdict = match candidate.state {
            CandidateState::Stored(_) => Ok(()),
            CandidateState::Invalid(invalid) => Err(invalid),
            CandidateState::Open | CandidateState::Persisting(_) => return,
        };
        for ticket in std::mem::take(&mut candidate.tickets) {
            let value = candidate.value.clone();
            let verdict = verdict.map_or_else(SyncVerdict::Invalid, |()| SyncVerdict::Valid);
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
        }
        let early = candidate.value.is_empty() && round < FIRST_EMPTY_ROUND && verdict.is_ok();
        if !entered || early {
            return;
        }
        let height = candidate.value.header.height;
        let mut answers = false;
        for (round, proposed) in &mut candidate.proposed {
            if std::mem::replace(&mut proposed.answered, true) {
                continue;
            }
            let (round, proposer, value) = (*round, proposed.proposer, candidate.value.clone());
            self.effects.push(Effect::Answer { height, round, proposer, value, verdict });
            answers = true;
        }
        if answers && verdict.is_ok() {
            self.seal_ahead();
        }
    }

    fn set_state(&mut self, id: BlockId, state: CandidateState) {
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.state = state;
        }
    }

    /// What is needed to execute a block, out of reach of whatever happens to lanes until then.
    pub(super) fn decidable(&self, derived: Derived) -> Option<Decidable> {
        let digests = derived.cut.batches.iter().map(|ordered| &ordered.digest);
        let batches = digests.map(|digest| self.batch(digest).cloned()).collect::<Option<_>>()?;
        let digests = derived.passed.events.iter();
        let events =
            digests.map(|digest| self.l1_events(digest).cloned()).collect::<Option<_>>()?;
        Some(Decidable { derived, content: Picked::new(batches, events) })
    }
}

/// A block as it goes to disk.
pub(super) fn stored(
    value: ProposedBlock,
    observations: Vec<Verified<Observation>>,
    content: &Picked,
) -> StoredBlock {
    let batches = content.in_order().cloned().collect();
    let events = content.events_in_order().cloned().collect();
    StoredBlock { value, observations, events, batches }
}

/// What can be said of a proposal by itself: nothing is fetched for a bad header, or for more
/// observations than there are members.
fn first_state(tip: &Tip, value: &ProposedBlock) -> CandidateState {
    if value.observations.len() > tip.committee().members().len() {
        return CandidateState::Invalid(Invalid::UnsortedObservations);
    }
    check_chain(tip, value).map_or_else(CandidateState::Invalid, |()| CandidateState::Open)
}
