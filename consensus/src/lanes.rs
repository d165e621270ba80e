//! Batches held in memory, by lane (protocol section 4).
//!
//! What is kept per author is bounded: its open lane and the newest incarnation seen, in each the
//! [`MAX_UNORDERED_BATCHES`] places after the cut, at each place at most two batches. Two mean
//! that the author signed both: the second is kept for evidence and in case others support it,
//! and nothing from there on is named again.

use std::collections::BTreeMap;
use std::sync::Arc;

use weft_ledger::{LaneCut, State};
use weft_types::evidence::Evidence;
use weft_types::limits::MAX_UNORDERED_BATCHES;
use weft_types::{Address, Batch, BatchDigest, Committee, LaneId, LaneView, TimeMs, Verified};

/// The batches a node holds that are not ordered yet, and those of the last block.
#[derive(Default)]
pub struct Lanes {
    authors: BTreeMap<Address, BTreeMap<u32, Lane>>,
    held: BTreeMap<BatchDigest, Held>,
    /// Ordered by the last block: peers one block behind may still ask for them.
    retired: BTreeMap<BatchDigest, Arc<Verified<Batch>>>,
}

/// Batches of one lane by place.
#[derive(Default)]
struct Lane {
    places: BTreeMap<u64, Vec<BatchDigest>>,
    /// The first place at which the author signed two batches.
    forked_at: Option<u64>,
}

struct Held {
    batch: Arc<Verified<Batch>>,
    /// When it was held and had been checked.
    since: TimeMs,
}

/// What became of a batch that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is held now.
    Held,
    /// It was held already.
    Known,
    /// Its place is ordered, or its lane closed or superseded.
    Stale,
    /// Its author is not in the committee.
    Stranger,
    /// Its place is too far ahead of the cut to be ordered next.
    TooFar,
    /// Its author signed another batch for the same place. Boxed: it is rare.
    Fork(Box<Evidence>),
    /// Its author signed more than two for the same place; two are proof enough.
    ForkedBefore,
}

impl Lanes {
    /// Offers a batch. `wanted` if observations support it: then it is taken beside another one
    /// for the same place, and its lane need not be the newest.
    pub fn insert(
        &mut self,
        batch: Arc<Verified<Batch>>,
        now: TimeMs,
        state: &State,
        wanted: bool,
    ) -> Inserted {
        let digest = batch.witness().digest;
        if self.held.contains_key(&digest) {
            return Inserted::Known;
        }
        let LaneId { author, incarnation } = batch.body.lane;
        let seq = batch.body.seq;
        if state.committee().index_of(&author).is_none() {
            return Inserted::Stranger;
        }
        let cut = state.lane(&author);
        let from = match place_after(&cut, incarnation) {
            Some(from) if seq >= from => from,
            _ => return Inserted::Stale,
        };
        if seq - from >= MAX_UNORDERED_BATCHES as u64 {
            return Inserted::TooFar;
        }
        let lanes = self.authors.entry(author).or_default();
        let newest = lanes.keys().next_back().copied().unwrap_or(0);
        if incarnation > cut.incarnation && incarnation < newest && !wanted {
            return Inserted::Stale;
        }
        let lane = lanes.entry(incarnation).or_default();
        let place = lane.places.entry(seq).or_default();
        let fork = place.first().map(|first| (*first, place.len()));
        match fork {
            Some((_, 2..)) if !wanted => return Inserted::ForkedBefore,
            _ => place.push(digest),
        }
        self.held.insert(digest, Held { batch: Arc::clone(&batch), since: now });
        if !wanted {
            self.drop_superseded(author, cut.incarnation, incarnation.max(newest));
        }
        let Some((first, _)) = fork else { return Inserted::Held };
        if let Some(lane) =
            self.authors.get_mut(&author).and_then(|lanes| lanes.get_mut(&incarnation))
        {
            lane.forked_at = Some(lane.forked_at.map_or(seq, |at| at.min(seq)));
        }
        let evidence = self.held.get(&first).and_then(|first| Evidence::of(&first.batch, &batch));
        evidence.map_or(Inserted::Held, |evidence| Inserted::Fork(Box::new(evidence)))
    }

    /// What to say of the lanes in an observation signed now.
    pub fn views(&self, state: &State, now: TimeMs) -> Vec<LaneView> {
        let mut views = Vec::new();
        for (index, member) in (0u16..).zip(state.committee().members()) {
            let Some(lanes) = self.authors.get(&member.address) else { continue };
            let cut = state.lane(&member.address);
            let mut left = MAX_UNORDERED_BATCHES;
            let newest = lanes.range(cut.incarnation.saturating_add(1)..).next_back();
            let open = lanes.get_key_value(&cut.incarnation);
            for (incarnation, lane) in open.into_iter().chain(newest) {
                let digests = self.chain(lane, &cut, *incarnation, left);
                if digests.is_empty() {
                    continue;
                }
                left -= digests.len();
                let age = |digest| {
                    let since = self.held.get(digest).map_or(now, |held| held.since);
                    u16::try_from(now.saturating_sub(since)).unwrap_or(u16::MAX)
                };
                let ages_ms = digests.iter().map(age).collect();
                let incarnation = *incarnation;
                views.push(LaneView { author: index, incarnation, digests, ages_ms });
            }
        }
        views
    }

    /// Whether any batch is held that could extend a cut.
    pub fn has_unordered(&self, state: &State) -> bool {
        state.committee().members().iter().any(|member| {
            let cut = state.lane(&member.address);
            self.authors.get(&member.address).is_some_and(|lanes| {
                lanes.iter().any(|(incarnation, lane)| {
                    *incarnation >= cut.incarnation
                        && !self.chain(lane, &cut, *incarnation, 1).is_empty()
                })
            })
        })
    }

    /// The batch of that digest, ordered by the last block or not ordered yet.
    pub fn get(&self, digest: &BatchDigest) -> Option<&Arc<Verified<Batch>>> {
        self.held.get(digest).map(|held| &held.batch).or_else(|| self.retired.get(digest))
    }

    /// Every batch held of a lane, in order.
    pub fn of_lane(&self, lane: LaneId) -> Vec<Arc<Verified<Batch>>> {
        self.of_lane_from(lane, 0)
    }

    /// Those of them that a cut leaves behind.
    pub fn of_lane_after(&self, lane: LaneId, cut: &LaneCut) -> Vec<Arc<Verified<Batch>>> {
        let from = place_after(cut, lane.incarnation);
        from.map(|from| self.of_lane_from(lane, from)).unwrap_or_default()
    }

    fn of_lane_from(&self, lane: LaneId, from: u64) -> Vec<Arc<Verified<Batch>>> {
        let places = self.authors.get(&lane.author).and_then(|lanes| lanes.get(&lane.incarnation));
        places
            .iter()
            .flat_map(|lane| lane.places.range(from..).flat_map(|(_, digests)| digests))
            .filter_map(|digest| self.held.get(digest).map(|held| Arc::clone(&held.batch)))
            .collect()
    }

    /// Bytes of batches held.
    pub fn bytes(&self) -> u64 {
        self.held.values().map(|held| u64::from(held.batch.witness().bytes)).sum()
    }

    /// Forgets what the ledger has ordered or closed. Call after each block.
    pub fn prune(&mut self, state: &State) {
        self.retired.clear();
        let Self { authors, held, retired } = self;
        authors.retain(|author, lanes| {
            let cut = state.lane(author);
            let member = state.committee().index_of(author).is_some();
            lanes.retain(|incarnation, lane| {
                let from = place_after(&cut, *incarnation).filter(|_| member);
                lane.places.retain(|seq, digests| {
                    let keep = from.is_some_and(|from| *seq >= from);
                    if !keep {
                        for digest in digests {
                            retired.extend(held.remove(digest).map(|held| (*digest, held.batch)));
                        }
                    }
                    keep
                });
                !lane.places.is_empty()
            });
            !lanes.is_empty()
        });
    }

    /// The batches of a lane from the cut on, by hash link, up to `most` or the first fork.
    fn chain(&self, lane: &Lane, cut: &LaneCut, incarnation: u32, most: usize) -> Vec<BatchDigest> {
        let Some(from) = place_after(cut, incarnation) else { return Vec::new() };
        let mut parent =
            if incarnation == cut.incarnation { cut.digest } else { BatchDigest::ZERO };
        let mut chain = Vec::new();
        for seq in from.. {
            if chain.len() == most || lane.forked_at.is_some_and(|at| seq >= at) {
                break;
            }
            let Some([digest]) = lane.places.get(&seq).map(Vec::as_slice) else { break };
            let linked = self.held.get(digest).is_some_and(|h| h.batch.body.parent == parent);
            if !linked {
                break;
            }
            chain.push(*digest);
            parent = *digest;
        }
        chain
    }

    /// Drops lanes of an author between its open and its newest one.
    fn drop_superseded(&mut self, author: Address, open: u32, newest: u32) {
        let Some(lanes) = self.authors.get_mut(&author) else { return };
        let between: Vec<u32> = lanes
            .keys()
            .copied()
            .filter(|incarnation| *incarnation > open && *incarnation < newest)
            .collect();
        for incarnation in between {
            let Some(lane) = lanes.remove(&incarnation) else { continue };
            for digest in lane.places.into_values().flatten() {
                self.held.remove(&digest);
            }
        }
    }
}

/// The first place of a lane that is not ordered yet, or `None` if the lane is closed.
fn place_after(cut: &LaneCut, incarnation: u32) -> Option<u64> {
    match incarnation.cmp(&cut.incarnation) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(cut.seq.saturating_add(1)),
        std::cmp::Ordering::Greater => Some(1),
    }
}

/// Seats of the members in `voters`.
pub(crate) fn seats_of(committee: &Committee, voters: impl IntoIterator<Item = u16>) -> u64 {
    voters.into_iter().filter_map(|index| committee.get(index)).map(|member| member.seats).sum()
}
