//! Where the content that blocks name can be looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use weft_types::{Batch, BatchDigest, EventsDigest, L1Events, Verified};

/// Checked batches and L1 events, by their names.
pub trait Content {
    /// The batch of that digest, if it is held.
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>>;

    /// The events of that digest, if they are held.
    fn events(&self, digest: &EventsDigest) -> Option<&Verified<L1Events>>;

    /// Whether this is all that a block orders: then what is named and not here did not fit, and
    /// the lane, or the run of L1 blocks, ends before it. Otherwise it may be ordered, and has to
    /// be fetched.
    fn is_whole(&self) -> bool {
        false
    }
}

/// What is named, is not held, and is needed to derive a block. That it exists follows from who
/// names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Batches.
    pub batches: Vec<BatchDigest>,
    /// Events of L1 blocks.
    pub events: Vec<EventsDigest>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.events.is_empty()
    }
}

/// All of a block's content, taken out of where it was held or come with it: whatever happens
/// there, it stays.
#[derive(Clone, Debug)]
pub struct Picked {
    order: Vec<BatchDigest>,
    batches: BTreeMap<BatchDigest, Arc<Verified<Batch>>>,
    passed: Vec<EventsDigest>,
    events: BTreeMap<EventsDigest, Arc<Verified<L1Events>>>,
}

impl Picked {
    /// These, in this order.
    pub fn new(batches: Vec<Arc<Verified<Batch>>>, events: Vec<Arc<Verified<L1Events>>>) -> Self {
        Self {
            order: batches.iter().map(|batch| batch.witness().digest).collect(),
            batches: batches.into_iter().map(|batch| (batch.witness().digest, batch)).collect(),
            passed: events.iter().map(|events| events.witness().digest).collect(),
            events: events.into_iter().map(|events| (events.witness().digest, events)).collect(),
        }
    }

    /// The batch of that digest.
    pub fn get(&self, digest: &BatchDigest) -> Option<&Arc<Verified<Batch>>> {
        self.batches.get(digest)
    }

    /// The events of that digest.
    pub fn get_events(&self, digest: &EventsDigest) -> Option<&Arc<Verified<L1Events>>> {
        self.events.get(digest)
    }

    /// All batches, in order.
    pub fn in_order(&self) -> impl Iterator<Item = &Arc<Verified<Batch>>> {
        self.order.iter().filter_map(|digest| self.batches.get(digest))
    }

    /// The events of all L1 blocks passed, in order.
    pub fn events_in_order(&self) -> impl Iterator<Item = &Arc<Verified<L1Events>>> {
        self.passed.iter().filter_map(|digest| self.events.get(digest))
    }
}

impl Content for Picked {
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>> {
        self.batches.get(digest).map(Arc::as_ref)
    }

    fn events(&self, digest: &EventsDigest) -> Option<&Verified<L1Events>> {
        self.events.get(digest).map(Arc::as_ref)
    }

    fn is_whole(&self) -> bool {
        true
    }
}
