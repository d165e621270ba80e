//! Block validity (protocol section 5): each rule is one named check with one named error.
//!
//! Validity is a property of the value alone, never of the round or the moment. So a check either
//! holds for good, fails for good, or cannot be made yet because something is
//! [missing](Judgement::Missing).

use weft_types::block::{batches_root, events_root};
use weft_types::header::PROTOCOL_VERSION;
use weft_types::{B256, BlockId, Height, Observation, ProposedBlock, TimeMs, Verified};

use crate::build::{Derived, derive};
use crate::content::{Content, Missing};
use crate::tip::Tip;

/// Which rule a block breaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Rule 1: another protocol version.
    #[error("version is {0}, expected {PROTOCOL_VERSION}")]
    Version(u16),
    /// Rule 1: another network.
    #[error("chain_id is {0}")]
    ChainId(u64),
    /// Rule 1: not the next height.
    #[error("height is {actual}, expected {expected}")]
    Height {
        /// The next height.
        expected: Height,
        /// The one claimed.
        actual: Height,
    },
    /// Rule 1: another parent.
    #[error("parent is {actual}, expected {expected}")]
    Parent {
        /// The last decided block.
        expected: BlockId,
        /// The one claimed.
        actual: BlockId,
    },
    /// Rule 1: another committee.
    #[error("validators_hash is not the committee's")]
    ValidatorsHash,
    /// Rule 1: another committee after that.
    #[error("next_validators_hash is not the next committee's")]
    NextValidatorsHash,
    /// Rule 1: a proposer outside the committee.
    #[error("the proposer is not in the committee")]
    Proposer,
    /// Rule 2: the header commits to other observations.
    #[error("observations_root does not match the observations")]
    ObservationsRoot,
    /// Rule 2: an observation for another height or parent.
    #[error("the observation of member {0} is for another block")]
    ForeignObservation(u16),
    /// Rule 2: observers out of order or repeated.
    #[error("observations are not strictly ascending by observer")]
    UnsortedObservations,
    /// Rule 2: too few observers, and not none.
    #[error("observers hold {seats} of {total} seats, which is no quorum")]
    NoQuorum {
        /// Seats of the observers.
        seats: u64,
        /// All seats.
        total: u64,
    },
    /// Rules 3 and 4: other batches, or another order.
    #[error("batches_root is {actual}, the observations order {expected}")]
    Batches {
        /// What follows from the observations.
        expected: B256,
        /// What the header says.
        actual: B256,
    },
    /// Rule 5: another time.
    #[error("time is {actual}, the observations say {expected}")]
    Time {
        /// What follows from the observations.
        expected: TimeMs,
        /// What the header says.
        actual: TimeMs,
    },
    /// Rule 6: another L1 origin.
    #[error("the L1 origin is {actual}, the observations agree on {expected}")]
    L1Origin {
        /// Number of the L1 block that follows from the observations.
        expected: u64,
        /// The one that the header names, which may have another hash.
        actual: u64,
    },
    /// Rule 6: an observation of L1 in a network that knows none.
    #[error("the observation of member {0} reports L1 blocks")]
    L1View(u16),
    /// Rule 7: other L1 events.
    #[error("events_root is not that of the L1 blocks passed")]
    Events,
    /// Rule 8: another outcome of the parent.
    #[error("the parent's outcome is not what this node computed")]
    Outcome,
}

/// What can be said of a block now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It holds, and this is what it orders.
    Valid(Derived),
    /// It breaks a rule, for good.
    Invalid(Invalid),
    /// It cannot be judged before this is held.
    Missing(Missing),
}

/// Rule 1, and the roots that need nothing but the proposal.
pub fn check_chain(tip: &Tip, block: &ProposedBlock) -> Result<(), Invalid> {
    let header = &block.header;
    if header.version != PROTOCOL_VERSION {
        return Err(Invalid::Version(header.version));
    }
    if header.chain_id != tip.header.chain_id {
        return Err(Invalid::ChainId(header.chain_id));
    }
    if header.height != tip.next_height() {
        return Err(Invalid::Height { expected: tip.next_height(), actual: header.height });
    }
    if header.parent != tip.id {
        return Err(Invalid::Parent { expected: tip.id, actual: header.parent });
    }
    if header.validators_hash != tip.committee().hash() {
        return Err(Invalid::ValidatorsHash);
    }
    if header.next_validators_hash != tip.following_validators_hash(header.time_ms) {
        return Err(Invalid::NextValidatorsHash);
    }
    if tip.committee().index_of(&header.proposer).is_none() {
        return Err(Invalid::Proposer);
    }
    if !block.is_consistent() {
        return Err(Invalid::ObservationsRoot);
    }
    if header.parent_outcome != tip.outcome {
        return Err(Invalid::Outcome);
    }
    Ok(())
}

/// Rule 2: the observations are those of a quorum for this very block, or none at all.
fn check_observations(tip: &Tip, observations: &[&Verified<Observation>]) -> Result<(), Invalid> {
    if observations.is_empty() {
        return Ok(());
    }
    let mut seats = 0;
    for observation in observations {
        let body = &observation.body;
        if body.height != tip.next_height() || body.parent != tip.id {
            return Err(Invalid::ForeignObservation(body.observer));
        }
        if !body.l1.is_empty() && tip.state.l1().is_none() {
            return Err(Invalid::L1View(body.observer));
        }
        seats += tip.committee().get(body.observer).map_or(0, |member| member.seats);
    }
    if !observations.is_sorted_by(|a, b| a.body.observer < b.body.observer) {
        return Err(Invalid::UnsortedObservations);
    }
    if tip.committee().is_quorum(seats) {
        Ok(())
    } else {
        Err(Invalid::NoQuorum { seats, total: tip.committee().seats() })
    }
}

/// Judges a block, given the observations it names, in its order.
pub fn judge(
    tip: &Tip,
    block: &ProposedBlock,
    observations: &[&Verified<Observation>],
    content: &impl Content,
) -> Judgement {
    let checked = check_chain(tip, block).and_then(|()| {
        let names = observations.iter().map(|observation| observation.witness());
        if !names.eq(&block.observations) {
            return Err(Invalid::ObservationsRoot);
        }
        check_observations(tip, observations)
    });
    if let Err(invalid) = checked {
        return Judgement::Invalid(invalid);
    }
    let derived = match derive(tip, observations, content) {
        Ok(derived) => derived,
        Err(missing) => return Judgement::Missing(missing),
    };
    let header = &block.header;
    if header.time_ms != derived.time_ms {
        let (expected, actual) = (derived.time_ms, header.time_ms);
        return Judgement::Invalid(Invalid::Time { expected, actual });
    }
    if header.l1_origin != derived.passed.origin {
        let (expected, actual) = (derived.passed.origin.number, header.l1_origin.number);
        return Judgement::Invalid(Invalid::L1Origin { expected, actual });
    }
    if header.events_root != events_root(&derived.passed.events) {
        return Judgement::Invalid(Invalid::Events);
    }
    let expected = batches_root(&derived.digests());
    if header.batches_root != expected {
        let actual = header.batches_root;
        return Judgement::Invalid(Invalid::Batches { expected, actual });
    }
    Judgement::Valid(derived)
}
