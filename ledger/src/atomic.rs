//! Atomic bundles inside a block (protocol section 9): what a winning bid holds, what executors say,
//! and what follows from the decision.

use weft_auction::{Split, next_reserve, split};
use weft_types::results::LegRevenue;
use weft_types::{
    Address, AtomicSettings, B256, DecidedBundle, Decision, NamespaceId, SkipReason, SliceEntry,
    TimeMs, TransactionId, Wei,
};

use crate::apply::{OrderedBlock, Progress};
use crate::entry::{Key, Namespace, Value};
use crate::payload::Call;
use crate::state::State;
use crate::undecided::{Agreed, Deadline, HOLD_BLOCKS, Heard, Moment, PendingLeg, Undecided};

impl State {
    /// The atomic bundles that are undecided, ascending by id.
    pub fn undecided(&self) -> impl Iterator<Item = (TransactionId, &Undecided)> {
        let all = Key::Undecided(TransactionId::ZERO)
            ..=Key::Undecided(TransactionId(B256::repeat_byte(0xff)));
        self.range(all).filter_map(|entry| match entry {
            (Key::Undecided(id), Value::Undecided(bundle)) => Some((*id, &**bundle)),
            _ => None,
        })
    }

    /// An atomic bundle, while it is undecided.
    pub fn undecided_bundle(&self, id: &TransactionId) -> Option<&Undecided> {
        match self.get(&Key::Undecided(*id)) {
            Some(Value::Undecided(bundle)) => Some(bundle),
            _ => None,
        }
    }

    /// How an atomic bid may hold the namespace now, if its executors are there and it is not
    /// suspended.
    pub fn takes_atomic<'a>(
        &self,
        namespace: &'a Namespace,
        now: TimeMs,
    ) -> Option<&'a AtomicSettings> {
        let atomic = namespace.settings.atomic.as_ref()?;
        if namespace.standing.is_suspended(now) {
            return None;
        }
        let is_bonded = |executor: &&Address| self.collateral(executor) >= atomic.bond;
        let bonded = atomic.executors.iter().filter(is_bonded).count();
        (bonded >= usize::from(atomic.quorum)).then_some(atomic)
    }

    /// Where the block stands that is being applied.
    fn moment(&self, block: &OrderedBlock<'_>) -> Moment {
        let seen = u64::from(!block.observers.is_empty());
        Moment {
            height: block.height,
            time_ms: block.time_ms,
            non_empty_blocks: self.clock().non_empty_blocks.saturating_add(seen),
        }
    }

    /// Until when a bundle may be undecided that the block orders.
    pub(crate) fn deadline(&self, block: &OrderedBlock<'_>) -> Deadline {
        let Moment { height, time_ms, non_empty_blocks } = self.moment(block);
        Deadline {
            time_ms: time_ms.saturating_add(self.params().hold_limit_ms),
            non_empty_blocks: non_empty_blocks.saturating_add(HOLD_BLOCKS),
            height: height.saturating_add(self.params().hold_heights.into()),
        }
    }

    /// Holds the namespaces of a bundle that has won their lots.
    pub(crate) fn hold(&mut self, id: TransactionId, bundle: Undecided) {
        for PendingLeg { namespace, reserve, .. } in &bundle.legs {
            if let Some(before) = self.namespace(*namespace).cloned() {
                let (reserve, reserve_at) = (*reserve, bundle.height);
                let after = Namespace { reserve, reserve_at, held_by: Some(id), ..before };
                self.set_namespace(*namespace, after);
            }
        }
        self.put(Key::Undecided(id), Value::Undecided(Box::new(bundle)));
    }

    /// Hears what an executor says of a leg.
    pub(crate) fn judge(
        &mut self,
        id: TransactionId,
        namespace: NamespaceId,
        effects: Option<B256>,
        call: &Call,
    ) -> Result<Wei, SkipReason> {
        let bundle = self.undecided_bundle(&id).ok_or(SkipReason::NothingToJudge)?;
        let leg = bundle.legs.iter().find(|leg| leg.namespace == namespace);
        let leg = leg.ok_or(SkipReason::NothingToJudge)?;
        let bond = leg.bond;
        let has_bond = self.collateral(&call.sender) >= bond;
        if !has_bond || leg.executors.binary_search(&call.sender).is_err() {
            return Err(SkipReason::NotExecutor);
        }
        let mut bundle = bundle.clone();
        let leg = bundle.leg_mut(namespace).ok_or(SkipReason::NothingToJudge)?;
        let heard = leg.hear(call.sender, effects.into());
        if heard != Heard::Nothing {
            self.put(Key::Undecided(id), Value::Undecided(Box::new(bundle)));
        }
        if heard == Heard::Contradiction {
            let left = self.collateral(&call.sender).saturating_sub(bond);
            self.set_collateral(call.sender, left);
            self.burn(bond);
        }
        Ok(0)
    }

    /// Decides the bundles that can be decided by the end of a block, and puts the decisions at the
    /// head of slices. Returns what became of them, and what is for validators.
    pub(crate) fn decide(
        &mut self,
        block: &OrderedBlock<'_>,
        progress: &mut Progress,
    ) -> (Vec<DecidedBundle>, Wei) {
        let now = self.moment(block);
        let decided: Vec<(TransactionId, Undecided, Decision)> = self
            .undecided()
            .filter_map(|(id, bundle)| {
                let decision = bundle.decide(&now)?;
                Some((id, bundle.clone(), decision))
            })
            .collect();
        let mut for_validators: Wei = 0;
        let mut all = Vec::with_capacity(decided.len());
        for (id, bundle, decision) in decided {
            self.remove(Key::Undecided(id));
            let paid = bundle.pays(decision, now.height);
            let back = bundle.locked.saturating_sub(paid);
            let collateral = self.collateral(&bundle.bidder).saturating_add(back);
            self.set_collateral(bundle.bidder, collateral);
            let weight = |leg: &PendingLeg| match decision {
                Decision::Committed => leg.share,
                Decision::Failed | Decision::TimedOut => leg.price,
            };
            let weights: Vec<_> =
                bundle.legs.iter().map(|leg| (leg.namespace, weight(leg))).collect();
            let Split { rollups, validators, burned } = split(paid, &weights, self.auction_terms());
            for_validators = for_validators.saturating_add(validators);
            self.burn(burned);
            let mut legs = Vec::with_capacity(bundle.legs.len());
            for (leg, (_, revenue)) in bundle.legs.iter().zip(rollups) {
                self.let_go(leg, decision, revenue, &now);
                let entry = SliceEntry::Decision { bundle: id, decision };
                progress.head(leg.namespace, entry);
                legs.push(LegRevenue { namespace: leg.namespace, revenue });
            }
            let (bidder, height) = (bundle.bidder, bundle.height);
            all.push(DecidedBundle { bundle: id, bidder, height, decision, paid, legs });
        }
        (all, for_validators)
    }

    /// Gives a namespace back to its market, with what the bundle brought it.
    fn let_go(&mut self, leg: &PendingLeg, decision: Decision, revenue: Wei, now: &Moment) {
        let Some(namespace) = self.namespace(leg.namespace).cloned() else { return };
        let mut standing = namespace.standing;
        if leg.agreed() != Agreed::Open {
            standing.keep();
        } else if decision == Decision::TimedOut {
            standing.miss(now.time_ms, self.params().suspension_ms);
        }
        let floor = namespace.settings.auction.map_or(0, |auction| auction.floor);
        let reserve = match decision {
            Decision::Committed => next_reserve(leg.reserve, floor, Some(leg.share)),
            Decision::Failed | Decision::TimedOut => leg.reserve,
        };
        let recipient = namespace.settings.revenue_recipient;
        let earned = namespace.earned.saturating_add(revenue);
        let (reserve_at, held_by) = (now.height, None);
        self.set_namespace(
            leg.namespace,
            Namespace { reserve, reserve_at, earned, held_by, standing, ..namespace },
        );
        self.credit(recipient, revenue);
    }
}
