//! Deciding: the certificate to disk, the block into the ledger, on to the next height.

use weft_types::{BlockId, Certificate, Height};

use super::{CandidateState, Decidable, Driver, Effect, Now, Stage, SyncVerdict};
use crate::follow::execute;
use crate::leader::Rotation;
use crate::observations::Observations;

impl Driver {
    /// Executes a decided block while its certificate goes to disk. Nothing of it is seen outside
    /// before [`Driver::on_committed`].
    pub(super) fn on_decided(&mut self, now: Now, certificate: Certificate) {
        if certificate.height != self.tip.next_height() || self.committing.is_some() {
            return;
        }
        let Some((header, decidable)) = self.take_decided(&certificate.block) else {
            // What the engine decides was answered "valid", so it is here, from disk if need be.
            let block = certificate.block;
            let reason = format!("decided block {block} is not on disk: the log lost a record");
            self.effects.push(Effect::Halt(reason));
            return;
        };
        let Some(delivery) = execute(&mut self.tip, header, decidable, certificate.clone()) else {
            self.effects.push(Effect::Halt("a decided block lacks its own content".to_owned()));
            return;
        };
        self.effects.push(Effect::Commit(certificate));
        self.stage = Stage::Deciding;
        self.decided_at = now.mono;
        self.tip_ordered = !delivery.batches.is_empty()
            || delivery.events.iter().any(|events| !events.0.is_empty());
        self.l1.turn_page(&delivery.events);
        self.committing = Some(Box::new(delivery));
        self.turn_page();
    }

    pub(super) fn on_committed(&mut self, height: Height) {
        let Some(delivery) = self.committing.take_if(|d| d.header.height == height) else {
            return;
        };
        self.effects.push(Effect::Deliver(delivery));
        if self.index().is_none() {
            self.effects.push(Effect::Leave(std::mem::take(&mut self.left_over)));
        }
        if std::mem::take(&mut self.engine_ready) {
            self.stage = Stage::Waiting;
        }
    }

    fn take_decided(&mut self, id: &BlockId) -> Option<(weft_types::Header, Decidable)> {
        self.answer_tickets(*id, SyncVerdict::Late, |_| true);
        let candidate = self.candidates.remove(id)?;
        match candidate.state {
            CandidateState::Stored(decidable) | CandidateState::Persisting(decidable) => {
                Some((candidate.value.header, decidable))
            }
            CandidateState::Open | CandidateState::Invalid(_) => None,
        }
    }

    /// Forgets what belonged to the last height and takes up what came early for the next.
    fn turn_page(&mut self) {
        self.rotation = Rotation::new(self.tip.committee(), &self.tip.state.leaders());
        if self.index().is_none() {
            let cut = self.tip.state.lane(&self.me.address);
            self.left_over = self.lanes.of_lane_after(self.me.lane, &cut);
        }
        self.lanes.prune(&self.tip.state);
        self.observations = Observations::new(self.tip.next_height(), self.tip.id);
        self.round = 0;
        self.observe_at = None;
        self.hold_until = None;
        self.window_sealed = false;
        self.mempool.0 += std::mem::take(&mut self.mempool.1);
        self.look_for_lots();
        self.quorum_at = None;
        self.wanted = None;
        self.building = None;
        let left: Vec<BlockId> = self.candidates.keys().copied().collect();
        for id in left {
            self.answer_tickets(id, SyncVerdict::Late, |_| true);
        }
        self.candidates.clear();
        self.entered = false;
        let tip = &self.tip;
        self.peer_heights.retain(|validator, _| tip.committee().index_of(validator).is_some());
        self.fetching.clear();
        self.fetching_events.clear();
        self.fetching_observations.clear();
        self.effects.push(Effect::StopFetching);
        for (observation, checked) in std::mem::take(&mut self.early_observations).into_values() {
            self.on_observation(observation, checked);
        }
        for (round, proposer, value) in std::mem::take(&mut self.early_proposals) {
            self.consider(round, proposer, value);
        }
    }
}
