//! An atomic bundle from the height that orders it to its decision (protocol section 9): two-phase
//! commit with the order of blocks as coordinator. Pure, and apart from the rest of the ledger, so
//! that it can be [model-checked](../tests/atomic_model.rs) as it is.

use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::{Address, B256, Decision, Height, NamespaceId, TimeMs, Wei};

/// How many blocks with observations a bundle waits for verdicts at least, whatever time does.
pub const HOLD_BLOCKS: u64 = 3;

/// An atomic bundle that holds its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Undecided {
    /// The height that its legs stand at.
    pub height: Height,
    /// Who pays.
    pub bidder: Address,
    /// What it pays if it is committed, in wei.
    pub amount: Wei,
    /// What of the bidder's collateral is set aside for it, in wei.
    pub locked: Wei,
    /// Until when verdicts count.
    pub deadline: Deadline,
    /// Its legs, ascending by namespace.
    pub legs: Vec<PendingLeg>,
}

/// When a bundle that is undecided is aborted: in the first block that is of the height, or that is not
/// before the time and has at least so many blocks with observations up to it, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Deadline {
    /// Block time, in milliseconds.
    pub time_ms: TimeMs,
    /// Number of blocks with observations.
    pub non_empty_blocks: u64,
    /// Height.
    pub height: Height,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// How many blocks up to it, it included, have observations.
    pub non_empty_blocks: u64,
}

impl Deadline {
    /// Whether it has come.
    pub fn has_come(&self, now: &Moment) -> bool {
        let waited = now.time_ms >= self.time_ms && now.non_empty_blocks >= self.non_empty_blocks;
        waited || now.height >= self.height
    }
}

/// A leg that waits for verdicts, under the settings as of the bundle's height.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct PendingLeg {
    /// The rollup.
    pub namespace: NamespaceId,
    /// The reserve of its lot, in wei.
    pub reserve: Wei,
    /// What holding it costs per height, in wei: the reserve and its fee.
    pub price: Wei,
    /// What it has contributed to the amount, in wei.
    pub share: Wei,
    /// Whose verdicts count, ascending.
    pub executors: Vec<Address>,
    /// How many have to agree.
    pub quorum: u8,
    /// How much collateral an executor needs, in wei.
    pub bond: Wei,
    /// Verdicts, ascending by executor.
    pub verdicts: Vec<(Address, Verdict)>,
}

/// What an executor has said of a leg.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Verdict {
    /// That it will not do what it is to do.
    Fails,
    /// What it will do.
    Does(B256),
    /// Two different things: it counts for nothing.
    Void,
}

impl From<Option<B256>> for Verdict {
    fn from(effects: Option<B256>) -> Self {
        effects.map_or(Self::Fails, Self::Does)
    }
}

/// What giving a verdict came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It counts.
    Counts,
    /// The executor has said so before, or nothing that it says counts any more.
    Nothing,
    /// The executor has said otherwise before: from now on nothing that it says counts.
    Contradiction,
}

/// What the executors of a leg have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// Nothing so far.
    Open,
    /// That it will not do what it is to do.
    Fails,
    /// What it will do.
    Does(B256),
}

impl PendingLeg {
    /// Takes a verdict of one of its executors.
    pub fn hear(&mut self, executor: Address, verdict: Verdict) -> Heard {
        match self.verdicts.binary_search_by_key(&executor, |(executor, _)| *executor) {
            Err(at) => {
                self.verdicts.insert(at, (executor, verdict));
                Heard::Counts
            }
            Ok(at) => match self.verdicts.get_mut(at) {
                Some((_, before)) if *before != verdict && *before != Verdict::Void => {
                    *before = Verdict::Void;
                    Heard::Contradiction
                }
                _ => Heard::Nothing,
            },
        }
    }

    /// What a quorum has said. No two can say different things, since a quorum is more than half of
    /// the executors and each counts once.
    pub fn agreed(&self) -> Agreed {
        for (_, said) in &self.verdicts {
            let agreeing = self.verdicts.iter().filter(|(_, other)| other == said).count();
            if agreeing >= usize::from(self.quorum) {
                match said {
                    Verdict::Fails => return Agreed::Fails,
                    Verdict::Does(effects) => return Agreed::Does(*effects),
                    Verdict::Void => {}
                }
            }
        }
        Agreed::Open
    }
}

impl Undecided {
    /// The leg of a namespace.
    pub fn leg_mut(&mut self, namespace: NamespaceId) -> Option<&mut PendingLeg> {
        self.legs.iter_mut().find(|leg| leg.namespace == namespace)
    }

    /// What has become of it by the end of a block, if it is decided there.
    pub fn decide(&self, now: &Moment) -> Option<Decision> {
        if now.height <= self.height {
            return None;
        }
        let mut agreed = self.legs.iter().map(PendingLeg::agreed);
        if agreed.clone().any(|agreed| agreed == Agreed::Fails) {
            return Some(Decision::Failed);
        }
        if agreed.all(|agreed| agreed != Agreed::Open) {
            return Some(Decision::Committed);
        }
        self.deadline.has_come(now).then_some(Decision::TimedOut)
    }

    /// What having held its namespaces up to a height costs, in wei.
    pub fn hold_charge(&self, until: Height) -> Wei {
        let heights = u128::from(until.saturating_sub(self.height));
        let per_height = self.legs.iter().fold(0, |sum: Wei, leg| sum.saturating_add(leg.price));
        per_height.saturating_mul(heights).min(self.locked)
    }

    /// What it pays, in wei: what it has bid, or what holding costs. Not both: how long it took to commit a bundle
    /// is the executors' doing.
    pub fn pays(&self, decision: Decision, until: Height) -> Wei {
        match decision {
            Decision::Committed => self.amount,
            Decision::Failed => self.hold_charge(until),
            Decision::TimedOut => 0,
        }
    }
}

/// How well a namespace's executors have kept deadlines of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// Deadlines missed, less those kept since: up to [`STRIKES`].
    pub strikes: u8,
    /// How many suspensions there were since it was last without strikes, up to
    /// [`MAX_SUSPENSION_LEVEL`].
    pub level: u8,
    /// Block time until which it takes part in no atomic bundle.
    pub suspended_until: TimeMs,
}

/// How many deadlines missed suspend a namespace.
pub const STRIKES: u8 = 3;

/// How often the length of a suspension doubles at most.
pub const MAX_SUSPENSION_LEVEL: u8 = 6;

impl Standing {
    /// Whether it takes no part at that time.
    pub fn is_suspended(&self, now: TimeMs) -> bool {
        now < self.suspended_until
    }

    /// A quorum of its executors has agreed in time.
    pub fn keep(&mut self) {
        self.strikes = self.strikes.saturating_sub(1);
        if self.strikes == 0 {
            self.level = 0;
        }
    }

    /// No quorum of its executors has agreed by the deadline. Once suspended, the next miss suspends it
    /// again, for twice as long, until enough are kept in between.
    pub fn miss(&mut self, now: TimeMs, suspension_ms: u64) {
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes >= STRIKES {
            let length = suspension_ms.saturating_mul(1 << self.level.min(MAX_SUSPENSION_LEVEL));
            self.suspended_until = now.saturating_add(length);
            self.level = self.level.saturating_add(1).min(MAX_SUSPENSION_LEVEL);
            self.strikes = STRIKES.saturating_sub(1);
        }
    }
}
