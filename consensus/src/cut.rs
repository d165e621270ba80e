//! Which batches a block orders, and in which order (protocol section 5, rules 3 and 4).
//!
//! A pure function of the embedded observations, the ledger's cuts, and the batches' own sizes and
//! parents. Limits truncate, they never invalidate.
//!
//! 1. For each author, follow the open lane from its cut over supported batches, by hash link.
//!    Where two batches are supported for one place, the walk stops before it. If the walk leaves
//!    no supported batch of the open lane behind, it goes on into the author's next lane.
//! 2. Each author's share: authors take batches while their part of the block's bytes, and what
//!    they carried over, lasts. Turns start with another author at every height.
//! 3. What room is left is filled in order of support.
//! 4. What was taken is put in order of support: lanes are merged, always taking the lane head
//!    with the least `(time, digest)`; a batch's time is never before its predecessor's.

use std::collections::BTreeMap;

use weft_ledger::{LaneCut, State};
use weft_types::limits::{MAX_BATCH_BYTES, MAX_UNORDERED_BATCHES};
use weft_types::{Address, BatchDigest, Height, LaneId, TimeMs};

use crate::content::Content;
use crate::support::{LaneReports, Reports};

/// A batch in a block's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Its lane.
    pub lane: LaneId,
    /// Its place in the lane.
    pub seq: u64,
    /// Its name.
    pub digest: BatchDigest,
    /// The time by which it reached support, made monotone along its lane.
    pub time_ms: TimeMs,
    /// Its size.
    pub bytes: u32,
}

/// Two supported batches for one place of a lane: its author signed both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The lane.
    pub lane: LaneId,
    /// The place.
    pub seq: u64,
    /// The two batches.
    pub digests: [BatchDigest; 2],
}

/// What a block orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The batches, in block order.
    pub batches: Vec<Ordered>,
    /// The authors whose cut or carry moves, and to where.
    pub cuts: Vec<(Address, LaneCut)>,
    /// Lanes that two supported batches for one place have stopped.
    pub forks: Vec<Fork>,
}

/// An author's supported batches, in lane order, and how many of them are taken.
struct Author {
    address: Address,
    cut: LaneCut,
    share: u64,
    candidates: Vec<Ordered>,
    taken: usize,
}

/// Computes the cut at `height`, or says which batches have to be held to do so.
pub(crate) fn compute(
    state: &State,
    height: Height,
    reports: &Reports,
    content: &impl Content,
) -> Result<Cut, Vec<BatchDigest>> {
    let mut walk = Walk { state, content, missing: Vec::new(), forks: Vec::new() };
    let committee = state.committee();
    let budget = u64::from(state.params().max_block_bytes);
    let nothing = BTreeMap::new();
    let mut authors: Vec<Author> = committee
        .members()
        .iter()
        .map(|member| {
            let cut = state.lane(&member.address);
            let part = u128::from(budget) * u128::from(member.seats);
            let part = part / u128::from(committee.seats());
            Author {
                address: member.address,
                cut,
                share: u64::try_from(part).unwrap_or(budget) + u64::from(cut.carry),
                candidates: walk.author(
                    member.address,
                    &cut,
                    reports.get(&member.address).unwrap_or(&nothing),
                ),
                taken: 0,
            }
        })
        .collect();
    if !walk.missing.is_empty() {
        return Err(walk.missing);
    }
    let forks = walk.forks;

    let mut room = budget;
    take_shares(&mut authors, height, &mut room);
    fill(&mut authors, &mut room);
    let cuts = authors.iter().filter_map(Author::new_cut).collect();
    for author in &mut authors {
        author.candidates.truncate(author.taken);
    }
    Ok(Cut { batches: merge(&authors), cuts, forks })
}

struct Walk<'a, C> {
    state: &'a State,
    content: &'a C,
    missing: Vec<BatchDigest>,
    forks: Vec<Fork>,
}

impl<C: Content> Walk<'_, C> {
    /// The batches of an author that may be ordered, in order.
    fn author(
        &mut self,
        author: Address,
        cut: &LaneCut,
        lanes: &BTreeMap<u32, LaneReports>,
    ) -> Vec<Ordered> {
        let committee = self.state.committee();
        let mut found = Vec::new();
        let mut incarnation = cut.incarnation;
        let mut last = (cut.seq, cut.digest);
        if let Some(open) = lanes.get(&incarnation) {
            let lane = LaneId { author, incarnation };
            self.lane(lane, last, open, &mut found);
            let supported: usize =
                (0..open.len()).map(|place| open.supported(committee, place).len()).sum();
            if supported > found.len() {
                return found;
            }
        }
        // The open lane has nothing left: the next one that has support may open.
        let next = lanes
            .range(cut.incarnation.saturating_add(1)..)
            .find(|(_, reports)| !reports.supported(committee, 0).is_empty());
        if let Some((next, reports)) = next {
            incarnation = *next;
            last = (0, BatchDigest::ZERO);
            self.lane(LaneId { author, incarnation }, last, reports, &mut found);
        }
        found
    }

    /// Follows one lane from its last ordered batch over supported batches, by hash link.
    fn lane(
        &mut self,
        lane: LaneId,
        (mut seq, mut parent): (u64, BatchDigest),
        reports: &LaneReports,
        found: &mut Vec<Ordered>,
    ) {
        for place in 0..reports.len().min(MAX_UNORDERED_BATCHES) {
            let supported = reports.supported(self.state.committee(), place);
            let (digest, time_ms) = match supported[..] {
                [one] => one,
                [] => return,
                [(a, _), (b, _), ..] => {
                    self.forks.push(Fork { lane, seq: seq + 1, digests: [a, b] });
                    return;
                }
            };
            let Some(batch) = self.content.batch(&digest) else {
                if !self.content.is_whole() {
                    self.missing.push(digest);
                }
                return;
            };
            seq += 1;
            let body = &batch.body;
            if body.lane != lane || body.seq != seq || body.parent != parent {
                return;
            }
            parent = digest;
            let before = found.last().map_or(0, |batch| batch.time_ms);
            let time_ms = time_ms.max(before);
            found.push(Ordered { lane, seq, digest, time_ms, bytes: batch.witness().bytes });
        }
    }
}

/// Step 2: authors in turn, each within its share.
fn take_shares(authors: &mut [Author], height: Height, room: &mut u64) {
    let count = authors.len() as u64;
    let first = usize::try_from(height % count.max(1)).unwrap_or(0);
    let (before, from) = authors.split_at_mut(first);
    for author in from.iter_mut().chain(before) {
        let mut left = author.share;
        while let Some(next) = author.candidates.get(author.taken) {
            let bytes = u64::from(next.bytes);
            if bytes > left || bytes > *room {
                break;
            }
            left -= bytes;
            *room -= bytes;
            author.taken += 1;
        }
    }
}

/// Step 3: what is left, in order of support. An author whose next batch does not fit is done.
fn fill(authors: &mut [Author], room: &mut u64) {
    let mut open: Vec<&mut Author> = authors.iter_mut().collect();
    loop {
        open.retain(|author| {
            author.candidates.get(author.taken).is_some_and(|next| u64::from(next.bytes) <= *room)
        });
        let next = open.iter_mut().min_by_key(|author| {
            author.candidates.get(author.taken).map(|next| (next.time_ms, next.digest))
        });
        let Some(author) = next else { return };
        *room -= u64::from(author.candidates[author.taken].bytes);
        author.taken += 1;
    }
}

/// Step 4: lanes merged by the least `(time, digest)` among their heads.
fn merge(authors: &[Author]) -> Vec<Ordered> {
    let mut lanes: Vec<std::slice::Iter<'_, Ordered>> =
        authors.iter().map(|author| author.candidates.iter()).collect();
    let mut merged = Vec::new();
    loop {
        let next = lanes
            .iter_mut()
            .filter_map(|lane| {
                lane.as_slice().first().map(|head| (head.time_ms, head.digest, lane))
            })
            .min_by_key(|(time_ms, digest, _)| (*time_ms, *digest));
        let Some((_, _, lane)) = next else { return merged };
        merged.extend(lane.next());
    }
}

impl Author {
    /// The author's cut after the block, if it moved.
    fn new_cut(&self) -> Option<(Address, LaneCut)> {
        let taken = &self.candidates[..self.taken];
        let spent: u64 = taken.iter().map(|batch| u64::from(batch.bytes)).sum();
        let carry = self.share.saturating_sub(spent).min(MAX_BATCH_BYTES as u64);
        let carry = u32::try_from(carry).unwrap_or(u32::MAX);
        let cut = match taken.last() {
            Some(last) => LaneCut {
                incarnation: last.lane.incarnation,
                seq: last.seq,
                digest: last.digest,
                carry,
            },
            None => LaneCut { carry, ..self.cut },
        };
        (cut != self.cut).then_some((self.address, cut))
    }
}
