//! Block = f(observations): what a set of observations orders, and the header that says so
//! (protocol section 5).

use weft_ledger::{OrderedBatch, OrderedBlock};
use weft_types::block::{batches_root, events_root, observations_root};
use weft_types::header::PROTOCOL_VERSION;
use weft_types::{
    Address, Batch, BatchDigest, Header, L1Events, Observation, ObservationHash, ProposedBlock,
    TimeMs, Verified,
};

use crate::content::{Content, Missing};
use crate::cut::{self, Cut};
use crate::origin::{self, Passed};
use crate::support;
use crate::tip::Tip;

/// What follows from the observations a block embeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// Block time.
    pub time_ms: TimeMs,
    /// Who observed, in ascending order of committee index; nobody in an empty block.
    pub observers: Vec<Address>,
    /// What is ordered.
    pub cut: Cut,
    /// How far L1 is taken in.
    pub passed: Passed,
}

/// Derives a block from observations of the next height, ascending by observer. Without any, the
/// empty block.
pub fn derive(
    tip: &Tip,
    observations: &[&Verified<Observation>],
    content: &impl Content,
) -> Result<Derived, Missing> {
    let earliest = tip.header.time_ms + 1;
    if observations.is_empty() {
        let (cut, passed) = (Cut::default(), Passed::none(tip));
        return Ok(Derived { time_ms: earliest, observers: Vec::new(), cut, passed });
    }
    let committee = tip.committee();
    let plain = || observations.iter().map(|observation| &***observation);
    let reports = support::collect(committee, plain());
    let cut = cut::compute(&tip.state, tip.next_height(), &reports, content);
    let passed = origin::advance(tip, plain(), content);
    let (cut, passed) = match (cut, passed) {
        (Ok(cut), Ok(passed)) => (cut, passed),
        (cut, passed) => {
            let (batches, events) = (cut.err(), passed.err());
            return Err(Missing {
                batches: batches.unwrap_or_default(),
                events: events.unwrap_or_default(),
            });
        }
    };
    let observers = plain()
        .filter_map(|o| committee.get(o.body.observer).map(|member| member.address))
        .collect();
    let time_ms = support::median_clock(committee, plain()).max(earliest);
    Ok(Derived { time_ms, observers, cut, passed })
}

impl Derived {
    /// The digests of the ordered batches, in block order.
    pub fn digests(&self) -> Vec<BatchDigest> {
        self.cut.batches.iter().map(|batch| batch.digest).collect()
    }

    /// The block that these observations make on the tip, proposed by `proposer`.
    pub fn propose(
        &self,
        tip: &Tip,
        proposer: Address,
        observations: Vec<ObservationHash>,
    ) -> ProposedBlock {
        let header = Header {
            version: PROTOCOL_VERSION,
            chain_id: tip.header.chain_id,
            height: tip.next_height(),
            time_ms: self.time_ms,
            parent: tip.id,
            proposer,
            validators_hash: tip.committee().hash(),
            next_validators_hash: tip.following_validators_hash(self.time_ms),
            l1_origin: self.passed.origin,
            observations_root: observations_root(&observations),
            batches_root: batches_root(&self.digests()),
            events_root: events_root(&self.passed.events),
            parent_outcome: tip.outcome,
        };
        ProposedBlock { header, observations }
    }

    /// The block as the ledger sees it. `None` if something that it orders is not held any more.
    pub fn ordered<'a>(
        &self,
        header: &Header,
        content: &'a impl Content,
    ) -> Option<OrderedBlock<'a>> {
        let batch = |digest| -> Option<&'a Verified<Batch>> { content.batch(digest) };
        let events = |digest| -> Option<&'a L1Events> { content.events(digest).map(|e| &**e) };
        let ordered = self.cut.batches.iter().map(|ordered| {
            let author = ordered.lane.author;
            Some(OrderedBatch { author, batch: batch(&ordered.digest)? })
        });
        Some(OrderedBlock {
            height: header.height,
            time_ms: header.time_ms,
            l1_origin: header.l1_origin,
            events: self.passed.events.iter().map(events).collect::<Option<_>>()?,
            observers: self.observers.clone(),
            batches: ordered.collect::<Option<_>>()?,
            cuts: self.cut.cuts.clone(),
        })
    }
}
