//! Observations received for the next height (protocol section 4).

use std::collections::{BTreeMap, BTreeSet};

use weft_types::evidence::Evidence;
use weft_types::{
    BatchDigest, BlockId, Committee, EventsDigest, Height, Observation, ObservationHash, Verified,
};

use crate::lanes::seats_of;

/// Observations of one height on one parent: one per observer, and any second one that a proposal
/// names.
pub struct Observations {
    height: Height,
    parent: BlockId,
    /// The first of each observer.
    by_observer: BTreeMap<u16, ObservationHash>,
    all: BTreeMap<ObservationHash, Verified<Observation>>,
    /// Who names which batch, in first observations.
    named: BTreeMap<BatchDigest, Vec<u16>>,
    /// Who names which events of L1, in first observations.
    named_events: BTreeMap<EventsDigest, Vec<u16>>,
}

/// What became of an observation that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is the observer's first.
    New,
    /// It is held already.
    Known,
    /// It is for another height or parent.
    Foreign,
    /// Its observer signed another one. Boxed: it is rare.
    Second(Box<Evidence>),
}

impl Observations {
    /// None yet, for a height on a parent.
    pub fn new(height: Height, parent: BlockId) -> Self {
        Self {
            height,
            parent,
            by_observer: BTreeMap::new(),
            all: BTreeMap::new(),
            named: BTreeMap::new(),
            named_events: BTreeMap::new(),
        }
    }

    /// Offers an observation. A second one of an observer is kept only if a proposal names it.
    pub fn note(&mut self, observation: Verified<Observation>, wanted: bool) -> Noted {
        let body = &observation.body;
        if body.height != self.height || body.parent != self.parent {
            return Noted::Foreign;
        }
        let hash = *observation.witness();
        if self.all.contains_key(&hash) {
            return Noted::Known;
        }
        let observer = body.observer;
        let first = self.by_observer.get(&observer).and_then(|first| self.all.get(first));
        if let Some(first) = first {
            let evidence = Evidence::of(first, &observation);
            if wanted {
                self.all.insert(hash, observation);
            }
            return evidence.map_or(Noted::Known, |evidence| Noted::Second(Box::new(evidence)));
        }
        for digest in body.lanes.iter().flat_map(|lane| &lane.digests) {
            self.named.entry(*digest).or_default().push(observer);
        }
        let events: BTreeSet<EventsDigest> = body.l1.iter().map(|b| b.events_digest).collect();
        for digest in events {
            self.named_events.entry(digest).or_default().push(observer);
        }
        self.by_observer.insert(observer, hash);
        self.all.insert(hash, observation);
        Noted::New
    }

    /// The observation of that hash.
    pub fn get(&self, hash: &ObservationHash) -> Option<&Verified<Observation>> {
        self.all.get(hash)
    }

    /// The first observation of each observer, ascending.
    pub fn firsts(&self) -> Vec<&Verified<Observation>> {
        self.by_observer.values().filter_map(|hash| self.all.get(hash)).collect()
    }

    /// The first observation of an observer.
    pub fn of(&self, observer: u16) -> Option<&Verified<Observation>> {
        self.by_observer.get(&observer).and_then(|hash| self.all.get(hash))
    }

    /// Whether an observer has been heard.
    pub fn has(&self, observer: u16) -> bool {
        self.by_observer.contains_key(&observer)
    }

    /// Seats of all observers heard.
    pub fn seats(&self, committee: &Committee) -> u64 {
        seats_of(committee, self.by_observer.keys().copied())
    }

    /// Batches that observers of more than a third of all seats name, with who does.
    pub fn supported<'a>(
        &'a self,
        committee: &'a Committee,
    ) -> impl Iterator<Item = (&'a BatchDigest, &'a [u16])> {
        supported(&self.named, committee)
    }

    /// Events of L1 blocks that observers of more than a third of all seats name, with who does.
    pub fn supported_events<'a>(
        &'a self,
        committee: &'a Committee,
    ) -> impl Iterator<Item = (&'a EventsDigest, &'a [u16])> {
        supported(&self.named_events, committee)
    }

    /// Batches that a quorum names only since this observer does.
    pub fn quorate_by(&self, committee: &Committee, observer: u16) -> Vec<BatchDigest> {
        let Some(observation) = self.of(observer) else { return Vec::new() };
        let own = seats_of(committee, [observer]);
        let named = observation.body.lanes.iter().flat_map(|lane| &lane.digests);
        named
            .filter(|digest| {
                let namers = self.named.get(digest).into_iter().flatten().copied();
                let seats = seats_of(committee, namers);
                committee.is_quorum(seats) && !committee.is_quorum(seats.saturating_sub(own))
            })
            .copied()
            .collect()
    }

    /// Whether observers of more than a third of all seats name a batch.
    pub fn is_supported(&self, committee: &Committee, digest: &BatchDigest) -> bool {
        self.named
            .get(digest)
            .is_some_and(|namers| committee.is_support(seats_of(committee, namers.iter().copied())))
    }
}

/// What observers of more than a third of all seats name, with who does.
fn supported<'a, N>(
    named: &'a BTreeMap<N, Vec<u16>>,
    committee: &'a Committee,
) -> impl Iterator<Item = (&'a N, &'a [u16])> {
    named
        .iter()
        .filter(|(_, namers)| committee.is_support(seats_of(committee, namers.iter().copied())))
        .map(|(name, namers)| (name, namers.as_slice()))
}
