//! Judging proposals (protocol section 5).
//!
//! A proposal is judged as soon as everything it stands on is here; what is missing is fetched.
//! The engine is answered once, when the answer is final and, if it is "valid", on disk.

use std::sync::Arc;

use weft_types::{Address, Batch, BlockId, Height, ObservationHash, ProposedBlock, Verified};

use super::propose::FIRST_EMPTY_ROUND;
use super::{
    Candidate, CandidateState, Driver, Effect, MAX_CANDIDATES, MAX_EARLY_PROPOSALS, Now,
    StoredBlock, SyncVerdict,
};
use crate::build::Derived;
use crate::validity::{Invalid, Judgement, check_chain, judge};

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
            if self.early_proposals.len() < MAX_EARLY_PROPOSALS {
                self.early_proposals.push((round, proposer, value));
            }
        } else if height == next {
            self.consider(round, proposer, value);
        }
    }

    pub(super) fn consider(&mut self, round: u32, proposer: Address, value: ProposedBlock) {
        let id = value.header.id();
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.first.get_or_insert((round, proposer));
        } else if self.candidates.len() < MAX_CANDIDATES {
            let (first, tickets) = (Some((round, proposer)), Vec::new());
            let state = CandidateState::Open;
            self.candidates.insert(id, Candidate { value, first, tickets, state });
        }
    }

    pub(super) fn on_synced(&mut self, now: Now, ticket: u64, block: StoredBlock) {
        let StoredBlock { value, observations, batches } = block;
        if value.header.height != self.tip.next_height() || self.committing.is_some() {
            let verdict = SyncVerdict::Late;
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
            return;
        }
        self.take_parts(now.wall_ms, observations, batches);
        let id = value.header.id();
        let candidate = self.candidates.entry(id).or_insert_with(|| Candidate {
            value,
            first: None,
            tickets: Vec::new(),
            state: CandidateState::Open,
        });
        candidate.tickets.push(ticket);
        self.judge_one(id);
        self.answer(id);
        // Sync brings a block whole: what is missing now will not come.
        if let Some(candidate) = self.candidates.get_mut(&id)
            && matches!(candidate.state, CandidateState::Open)
        {
            let value = candidate.value.clone();
            for ticket in std::mem::take(&mut candidate.tickets) {
                let (value, verdict) = (value.clone(), SyncVerdict::Incomplete);
                self.effects.push(Effect::AnswerSync { ticket, value, verdict });
            }
        }
    }

    /// A block that was on disk when the node started. The engine may be locked on it; its own
    /// log tells it so, so that it need not be told.
    pub(super) fn restore(&mut self, block: StoredBlock) {
        let StoredBlock { value, observations, batches } = block;
        self.take_parts(value.header.time_ms, observations, batches);
        let id = value.header.id();
        let (first, tickets) = (None, Vec::new());
        let state = CandidateState::Open;
        self.candidates.insert(id, Candidate { value, first, tickets, state });
        if let Judgement::Valid(derived) = self.judgement(id) {
            self.set_state(id, CandidateState::Withheld(derived));
        } else {
            self.candidates.remove(&id);
        }
    }

    fn take_parts(
        &mut self,
        now_ms: u64,
        observations: Vec<Verified<weft_types::Observation>>,
        batches: Vec<Arc<Verified<Batch>>>,
    ) {
        for observation in observations {
            self.fetching_observations.insert(*observation.witness());
            self.note(observation);
        }
        for batch in batches {
            self.fetching.remove(&batch.witness().digest);
            self.lanes.insert(batch, now_ms, &self.tip.state, true);
        }
    }

    /// Judges every proposal that can be judged by now.
    pub(super) fn judge_open(&mut self) {
        let ids: Vec<BlockId> = self.candidates.keys().copied().collect();
        for id in ids {
            self.judge_one(id);
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
            Judgement::Invalid(invalid) => {
                self.set_state(id, CandidateState::Invalid);
                self.tell_invalid(id, invalid);
            }
            // Supported batches are fetched for being supported.
            Judgement::MissingBatches(_) => {}
        }
    }

    fn judgement(&mut self, id: BlockId) -> Judgement {
        let Some(candidate) = self.candidates.get(&id) else {
            return Judgement::MissingBatches(Vec::new());
        };
        let value = &candidate.value;
        // What needs no observations comes first: nothing is fetched for a bad header.
        if let Err(invalid) = check_chain(&self.tip, value) {
            return Judgement::Invalid(invalid);
        }
        let missing: Vec<ObservationHash> = value
            .observations
            .iter()
            .filter(|hash| self.observations.get(hash).is_none())
            .copied()
            .collect();
        if !missing.is_empty() {
            let proposer = self.tip.committee().index_of(&value.header.proposer);
            self.fetch_observations(missing, proposer);
            return Judgement::MissingBatches(Vec::new());
        }
        let observations: Vec<_> =
            value.observations.iter().filter_map(|hash| self.observations.get(hash)).collect();
        judge(&self.tip, value, &observations, &self.lanes)
    }

    fn fetch_observations(&mut self, missing: Vec<ObservationHash>, proposer: Option<u16>) {
        let hashes: Vec<ObservationHash> =
            missing.into_iter().filter(|hash| self.fetching_observations.insert(*hash)).collect();
        if !hashes.is_empty() {
            self.effects.push(Effect::FetchObservations { hashes, proposer });
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
        let Some(batches) = self.batches_of(&derived) else { return };
        self.effects.push(Effect::Persist(id, StoredBlock { value, observations, batches }));
        self.set_state(id, CandidateState::Persisting(derived));
    }

    pub(super) fn on_persisted(&mut self, id: BlockId) {
        let Some(candidate) = self.candidates.get_mut(&id) else { return };
        let state = std::mem::replace(&mut candidate.state, CandidateState::Open);
        candidate.state = match state {
            CandidateState::Persisting(derived) => CandidateState::Withheld(derived),
            other => other,
        };
        self.answer(id);
        self.offer_built();
    }

    /// Tells the engine and sync that a block is valid, if it is on disk and it is time. An empty
    /// block is not spoken of before this node itself has come to round 2; one that a quorum has
    /// certified is.
    fn answer(&mut self, id: BlockId) {
        let round = self.round;
        let Some(candidate) = self.candidates.get_mut(&id) else { return };
        if !matches!(candidate.state, CandidateState::Withheld(_) | CandidateState::Valid(_)) {
            return;
        }
        let value = candidate.value.clone();
        for ticket in std::mem::take(&mut candidate.tickets) {
            let (value, verdict) = (value.clone(), SyncVerdict::Valid);
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
        }
        let Some((first_round, proposer)) = candidate.first else { return };
        if value.is_empty() && round < FIRST_EMPTY_ROUND {
            return;
        }
        candidate.state = match std::mem::replace(&mut candidate.state, CandidateState::Open) {
            CandidateState::Withheld(derived) => CandidateState::Valid(derived),
            other => {
                candidate.state = other;
                return;
            }
        };
        let (height, round) = (value.header.height, first_round);
        self.effects.push(Effect::Answer { height, round, proposer, value, verdict: Ok(()) });
        self.seal_ahead();
    }

    fn tell_invalid(&mut self, id: BlockId, invalid: Invalid) {
        let Some(candidate) = self.candidates.get_mut(&id) else { return };
        let value = candidate.value.clone();
        for ticket in std::mem::take(&mut candidate.tickets) {
            let (value, verdict) = (value.clone(), SyncVerdict::Invalid(invalid));
            self.effects.push(Effect::AnswerSync { ticket, value, verdict });
        }
        if let Some((round, proposer)) = candidate.first {
            let height = value.header.height;
            let verdict = Err(invalid);
            self.effects.push(Effect::Answer { height, round, proposer, value, verdict });
        }
    }

    fn set_state(&mut self, id: BlockId, state: CandidateState) {
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.state = state;
        }
    }

    pub(super) fn batches_of(&self, derived: &Derived) -> Option<Vec<Arc<Verified<Batch>>>> {
        derived.cut.batches.iter().map(|ordered| self.lanes.get(&ordered.digest).cloned()).collect()
    }
}
