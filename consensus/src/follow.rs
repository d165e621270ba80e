//! Following: taking in what others have decided (protocol section 5, "Catching up").
//!
//! A block that a quorum has certified, or that this node itself found valid before a restart, is
//! whole: what its lanes lack behind the batches in it did not fit. So it can be derived again from
//! its observations and its own batches, without those that limits cut off.

use std::sync::Arc;

use weft_ledger::Applied;
use weft_types::{Address, Batch, BlockId, Certificate, Header, L1Events, Verified};

use crate::build::Derived;
use crate::content::Picked;
use crate::stored::StoredBlock;
use crate::tip::Tip;
use crate::validity::{Invalid, Judgement, judge};

/// A valid block's content.
pub(crate) struct Decidable {
    pub(crate) derived: Derived,
    pub(crate) content: Picked,
}

/// A decided block and what it came to.
#[derive(Debug)]
pub struct Delivery {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// The votes that decided it.
    pub certificate: Certificate,
    /// Members whose observations it embeds, as committee indices.
    pub observers: Vec<u16>,
    /// Its batches, in order.
    pub batches: Vec<Arc<Verified<Batch>>>,
    /// What the L1 blocks brought that it passes, in order.
    pub events: Vec<Arc<Verified<L1Events>>>,
    /// What executing it did.
    pub applied: Applied,
    /// Members that the height would not have let lead.
    pub absent: Vec<Address>,
}

/// Why a block was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It breaks a rule. If a quorum has certified it, this node is wrong, or they are.
    #[error("it breaks a rule: {0}")]
    Invalid(#[from] Invalid),
    /// Its content is not what it orders: whoever gave it away has left out or added some.
    #[error("its batches or L1 events are not those that it orders")]
    Incomplete,
    /// The certificate is of another block.
    #[error("the certificate is of another block")]
    Uncertified,
}

/// Executes the next block, which `certificate` has decided: the caller has checked its votes.
pub fn follow(
    tip: &mut Tip,
    block: StoredBlock,
    certificate: Certificate,
) -> Result<Delivery, Refused> {
    let header = block.value.header;
    if (certificate.height, certificate.block) != (header.height, header.id()) {
        return Err(Refused::Uncertified);
    }
    let decidable = rederive(tip, &block)?;
    execute(tip, header, decidable, certificate).ok_or(Refused::Incomplete)
}

/// Derives a whole block again.
pub(crate) fn rederive(tip: &Tip, block: &StoredBlock) -> Result<Decidable, Refused> {
    let observations: Vec<_> = block.observations.iter().collect();
    let content = Picked::new(block.batches.clone(), block.events.clone());
    let derived = match judge(tip, &block.value, &observations, &content) {
        Judgement::Valid(derived) => derived,
        // Without some of its content it looks as if it ordered something else.
        Judgement::Invalid(
            Invalid::Batches { .. } | Invalid::L1Origin { .. } | Invalid::Events,
        )
        | Judgement::Missing(_) => return Err(Refused::Incomplete),
        Judgement::Invalid(invalid) => return Err(Refused::Invalid(invalid)),
    };
    let batches = block.batches.iter().map(|batch| batch.witness().digest);
    let events = block.events.iter().map(|events| &events.witness().digest);
    if batches.eq(derived.cut.batches.iter().map(|ordered| ordered.digest))
        && events.eq(&derived.passed.events)
    {
        Ok(Decidable { derived, content })
    } else {
        Err(Refused::Incomplete)
    }
}

/// Executes a decided block and moves the tip to it. `None`, and nothing has moved, if something
/// that it orders is not there.
pub(crate) fn execute(
    tip: &mut Tip,
    header: Header,
    Decidable { derived, content }: Decidable,
    certificate: Certificate,
) -> Option<Delivery> {
    let ordered = derived.ordered(&header, &content)?;
    let committee = tip.committee().clone();
    let observers =
        derived.observers.iter().filter_map(|address| committee.index_of(address)).collect();
    let applied = tip.state.apply(&ordered);
    let id = certificate.block;
    tip.header = header;
    tip.id = id;
    tip.outcome = applied.outcome;
    let absent = committee
        .members()
        .iter()
        .map(|member| member.address)
        .filter(|address| tip.state.is_absent(address))
        .collect();
    let batches = content.in_order().cloned().collect();
    let events = content.events_in_order().cloned().collect();
    Some(Delivery { header, id, certificate, observers, batches, events, applied, absent })
}
