//! L1, as this node sees it: what it observes, and the events it holds (protocol section 5, rule 6).
//!
//! Its own view decides nothing. It goes into this node's observation and no further; what a block
//! passes follows from the observations, and events are taken from whoever has them, by their
//! digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use weft_types::limits::MAX_L1_BLOCKS;
use weft_types::observation::L1Block;
use weft_types::{EventsDigest, L1Events, L1Origin, Unverified, Verified};

use super::{Driver, Effect, SeenL1Block};

/// L1 as seen, and events by their names.
pub(super) struct View {
    /// What this node's providers agree on, ascending.
    seen: Arc<[SeenL1Block]>,
    /// Events that were fetched or came with a block, and those of the last block: peers one block
    /// behind may still ask for them.
    held: BTreeMap<EventsDigest, Arc<Verified<L1Events>>>,
    /// Those of a block without any, as most have none.
    none: Arc<Verified<L1Events>>,
}

impl Default for View {
    fn default() -> Self {
        let none = Unverified::new(L1Events::default()).verify(());
        let none = Arc::new(none.expect("no events are well formed"));
        Self { seen: Arc::default(), held: BTreeMap::new(), none }
    }
}

impl View {
    /// The events of that digest.
    pub(super) fn events(&self, digest: &EventsDigest) -> Option<&Arc<Verified<L1Events>>> {
        let own = || self.seen.iter().map(|block| &block.events);
        std::iter::once(&self.none)
            .chain(own())
            .find(|events| events.witness().digest == *digest)
            .or_else(|| self.held.get(digest))
    }

    pub(super) fn hold(&mut self, events: Arc<Verified<L1Events>>) {
        self.held.insert(events.witness().digest, events);
    }

    /// Forgets all but the events of the last block.
    pub(super) fn turn_page(&mut self, last: &[Arc<Verified<L1Events>>]) {
        self.held = last.iter().map(|e| (e.witness().digest, Arc::clone(e))).collect();
    }

    /// What to say of L1 in an observation: the blocks after the origin, unless what is seen does
    /// not follow from it.
    pub(super) fn observed(&self, origin: L1Origin) -> Vec<L1Block> {
        let mut last = origin;
        let mut blocks = Vec::new();
        for seen in self.seen.iter().filter(|block| block.number > origin.number) {
            let follows = seen.number == last.number + 1 && seen.parent == last.hash;
            if !follows || blocks.len() == MAX_L1_BLOCKS {
                break;
            }
            last = L1Origin { number: seen.number, hash: seen.hash };
            let events_digest = seen.events.witness().digest;
            blocks.push(L1Block { hash: seen.hash, events_digest });
        }
        blocks
    }
}

impl Driver {
    pub(super) fn on_l1(&mut self, seen: Arc<[SeenL1Block]>) {
        self.l1.seen = seen;
        self.arrived = true;
    }

    pub(super) fn on_events(&mut self, events: Arc<Verified<L1Events>>) {
        // Only what is asked for is of use, and bounded.
        if self.fetching_events.remove(&events.witness().digest) {
            self.l1.hold(events);
            self.arrived = true;
        }
    }

    /// Events that others may ask for, and blocks may need.
    pub fn l1_events(&self, digest: &EventsDigest) -> Option<&Arc<Verified<L1Events>>> {
        self.l1
            .events(digest)
            .or_else(|| self.picked().find_map(|picked| picked.get_events(digest)))
    }

    /// Asks for events that enough observers name to believe that they exist and matter.
    pub(super) fn fetch_supported_events(&mut self) {
        let wanted: Vec<(EventsDigest, Vec<u16>)> = self
            .observations
            .supported_events(self.tip.committee())
            .filter(|(digest, _)| self.l1_events(digest).is_none())
            .filter(|(digest, _)| !self.fetching_events.contains(digest))
            .map(|(digest, namers)| (*digest, namers.to_vec()))
            .collect();
        if !wanted.is_empty() {
            self.fetching_events.extend(wanted.iter().map(|(digest, _)| *digest));
            self.effects.push(Effect::FetchEvents(wanted));
        }
    }
}
