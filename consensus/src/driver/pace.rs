//! When to start a height, seal a batch and observe (protocol section 5, pace).

use std::sync::Arc;
use std::time::Duration;

use weft_types::limits::{MAX_BATCH_BYTES, MAX_UNORDERED_BATCHES};
use weft_types::{
    Batch, Height, ObservationBody, Payload, Signed, Transaction, Unverified, Verified,
};

use super::{Driver, Effect, Now, PUSH_AGAIN_AFTER, Stage};
use crate::lanes::seats_of;

impl Driver {
    /// When [`Input::Tick`](super::Input::Tick) is due, on the monotonic clock.
    pub fn next_wakeup(&self) -> Option<Duration> {
        let heartbeat =
            (self.stage == Stage::Waiting).then(|| self.decided_at + self.timing.heartbeat);
        let window = (self.stage == Stage::Waiting && self.lots_open).then(|| self.window_ends());
        let last_call = window.map(|end| end.saturating_sub(self.timing.linger));
        let observe = self.observe_at.filter(|_| self.stage == Stage::Running);
        let hold = self.hold_until.filter(|_| self.observe_at.is_some());
        let [gather, empty] = self.propose_wakeups();
        let due = [heartbeat, window, last_call, observe, hold, gather, empty];
        due.into_iter().flatten().filter(|at| *at > self.stepped_at).min()
    }

    pub(super) fn on_engine_ready(&mut self) {
        if self.committing.is_some() {
            self.engine_ready = true;
        } else {
            self.stage = Stage::Waiting;
        }
    }

    pub(super) fn on_started_round(&mut self, height: Height, round: u32) {
        if height != self.tip.next_height() {
            return;
        }
        self.entered = true;
        self.round = self.round.max(round);
        if self.wanted.is_some_and(|wanted| wanted.round < round) {
            self.wanted = None;
        }
    }

    pub(super) fn on_sealed(&mut self, now: Now, batch: Option<Arc<Verified<Batch>>>) {
        let Some(batch) = batch else { return };
        self.me.sealed = (batch.body.seq, batch.witness().digest);
        if self.brings_bids(&batch) {
            self.hold_until = Some(now.mono + self.timing.linger);
        }
        self.effects.push(Effect::PushBatch(Arc::clone(&batch)));
        self.on_batch(now, batch);
    }

    /// Starts, seals and observes when it is time.
    pub(super) fn pace(&mut self, now: Now) {
        if self.stage == Stage::Waiting
            && self.lots_open
            && !self.window_sealed
            && self.mempool.0 > 0
            && now.mono + self.timing.linger >= self.window_ends()
        {
            self.window_sealed = true;
            self.seal(self.tip.next_height());
        }
        if self.stage == Stage::Waiting
            && let Some(reason) = self.reason_to_start(now)
        {
            self.start(now, reason);
        }
        // A full batch need not wait for its turn.
        if self.mempool.0 >= MAX_BATCH_BYTES {
            let observed = self.stage == Stage::Running && self.observe_at.is_none();
            self.seal(self.tip.next_height() + Height::from(observed));
        }
        if self.stage == Stage::Running
            && self.observe_at.is_some_and(|at| self.may_observe(now, at))
        {
            self.observe(now);
        }
    }

    /// Why to start the next height now, if there is a reason.
    fn reason_to_start(&self, now: Now) -> Option<Reason> {
        if self.index().is_none() || self.resuming {
            // Who only follows has nothing to wait for; who was in the middle goes on.
            return Some(Reason::Own);
        }
        let something =
            self.mempool.0 > 0 || self.tip_ordered || self.lanes.has_unordered(&self.tip.state);
        if something && (!self.lots_open || now.mono >= self.window_ends()) {
            return Some(Reason::Own);
        }
        let committee = self.tip.committee();
        if committee.is_support(self.observations.seats(committee)) {
            return Some(Reason::Others);
        }
        // More than a third have decided it: this node is behind.
        let ahead = self.peer_heights.iter().filter(|(_, at)| **at >= self.tip.next_height());
        let seats = ahead.filter_map(|(validator, _)| committee.index_of(validator));
        if committee.is_support(seats_of(committee, seats)) {
            return Some(Reason::Own);
        }
        (now.mono >= self.decided_at + self.timing.heartbeat).then_some(Reason::Own)
    }

    fn start(&mut self, now: Now, reason: Reason) {
        self.stage = Stage::Running;
        self.resuming = false;
        let height = self.tip.next_height();
        self.effects.push(Effect::StartHeight {
            height,
            committee: self.tip.committee().clone(),
            rotation: self.rotation.clone(),
        });
        // Where a lot is offered, bids may have come since one was sealed ahead.
        if (self.me.may_seal || self.lots_open) && !self.window_sealed {
            self.seal(height);
        }
        self.me.may_seal = true;
        self.window_sealed = false;
        if height >= self.pushed_at + PUSH_AGAIN_AFTER {
            self.push_again(height);
        }
        let observes = self.index().is_some() && height > self.silent_through;
        self.observe_at = observes.then(|| match reason {
            Reason::Own => now.mono,
            Reason::Others => now.mono + self.timing.linger,
        });
    }

    /// Seals a batch now rather than at the start of the next height, so that it reaches others
    /// before they observe that height. Called when the current one is as good as decided.
    pub(super) fn seal_ahead(&mut self) {
        let (now, ahead) = self.mempool;
        if self.me.may_seal && (now > 0 || ahead > 0) {
            self.mempool.0 = now + ahead;
            self.mempool.1 = 0;
            self.seal(self.tip.next_height() + 1);
            self.me.may_seal = false;
        }
    }

    /// Has a batch sealed that is meant for a height.
    fn seal(&mut self, height: Height) {
        if self.mempool.0 == 0 || self.index().is_none() {
            return;
        }
        let me = &self.me;
        let cut = self.tip.state.lane(&me.address);
        let ordered = if cut.incarnation == me.lane.incarnation { cut.seq } else { 0 };
        let (seq, parent) = me.sealed;
        if seq.saturating_sub(ordered) >= MAX_UNORDERED_BATCHES as u64 {
            return;
        }
        self.effects.push(Effect::Seal { lane: me.lane, seq: seq + 1, parent, height });
        // The shell answers before anything else happens; until then nothing is known to be left.
        self.mempool.0 = 0;
    }

    /// Looks whether lots are offered at the next height.
    pub(super) fn look_for_lots(&mut self) {
        self.lots_open = self.tip.state.lots(self.tip.next_height()).next().is_some();
    }

    /// When the time for bids for the next height is over.
    fn window_ends(&self) -> Duration {
        self.decided_at + self.timing.bid_window
    }

    /// Whether a batch brings bids for the next height.
    fn brings_bids(&self, batch: &Batch) -> bool {
        let next = self.tip.next_height();
        let is_for_next = |transaction: &Transaction| matches!(transaction.body.payload, Payload::Bid { height, .. } if height == next);
        self.lots_open && batch.body.transactions.iter().any(is_for_next)
    }

    /// Pushes own batches again that have been waiting for long.
    fn push_again(&mut self, height: Height) {
        self.pushed_at = height;
        let waiting = self.lanes.of_lane(self.me.lane);
        let cutoff =
            std::mem::replace(&mut self.waiting_through, waiting.last().map_or(0, |b| b.body.seq));
        let old = waiting.into_iter().filter(|batch| batch.body.seq <= cutoff);
        self.effects.extend(old.map(Effect::PushBatch));
    }

    /// Whether to observe at `now`, being due at `due`. A node that was woken by others need not
    /// wait until then once it holds what they name.
    fn may_observe(&self, now: Now, due: Duration) -> bool {
        if self.effects.iter().any(|effect| matches!(effect, Effect::Seal { .. })) {
            return false;
        }
        if self.hold_until.is_some_and(|until| now.mono < until) {
            return false;
        }
        now.mono >= due || (self.fetching.is_empty() && self.lanes.has_unordered(&self.tip.state))
    }

    fn observe(&mut self, now: Now) {
        self.observe_at = None;
        let Some(observer) = self.index() else { return };
        let body = ObservationBody {
            height: self.tip.next_height(),
            parent: self.tip.id,
            observer,
            clock_ms: now.wall_ms,
            lanes: self.lanes.views(&self.tip.state, now.wall_ms),
            l1: self.l1.observed(self.tip.header.l1_origin),
        };
        let chain_id = self.tip.header.chain_id;
        let signed = Signed::new(body, chain_id, &self.me.key);
        let checked = Unverified::new(signed.clone()).verify((chain_id, self.tip.committee()));
        // Ours always checks; if it did not, nobody else would take it either.
        if let Ok(verified) = checked {
            self.effects.push(Effect::PushObservation(signed));
            self.note(verified);
        }
    }
}

/// What made a node start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Something it knows itself.
    Own,
    /// Only that others observe.
    Others,
}
