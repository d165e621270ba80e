//! The oracle: goes by the text alone, searches all observations for every question it has, and
//! shares no rule with the crate.

use weft_consensus::cut::{Cut, Fork, Ordered};
use weft_ledger::LaneCut;
use weft_types::*;

use super::KIB;

/// A batch that the oracle may look at.
pub(crate) struct Known {
    pub(crate) lane: LaneId,
    pub(crate) seq: u64,
    pub(crate) digest: BatchDigest,
    pub(crate) parent: BatchDigest,
    pub(crate) bytes: u32,
}

/// A place in a lane, the author by index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) author: usize,
    pub(crate) incarnation: u32,
    pub(crate) seq: u64,
}

/// What one observer says stands at a place, and since when it has held that.
pub(crate) struct Word {
    pub(crate) digest: BatchDigest,
    pub(crate) seats: u64,
    pub(crate) since: TimeMs,
}

/// What the oracle is told.
pub(crate) struct Oracle<'a> {
    pub(crate) members: &'a [Member],
    pub(crate) cuts: Vec<LaneCut>,
    pub(crate) height: Height,
    pub(crate) parent_ms: TimeMs,
    pub(crate) max_block_bytes: u64,
    pub(crate) observations: Vec<&'a ObservationBody>,
    pub(crate) known: Vec<Known>,
}

/// Where following an author's batches led.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) batches: Vec<Ordered>,
    pub(crate) forks: Vec<Fork>,
    pub(crate) missing: Vec<BatchDigest>,
}

/// An author at its turn: its batches, how many it took, and what is left of its share.
pub(crate) struct Author {
    pub(crate) batches: Vec<Ordered>,
    pub(crate) taken: usize,
    pub(crate) share: u64,
}

impl Author {
    pub(crate) fn next(&self) -> Option<&Ordered> {
        self.batches.get(self.taken)
    }

    /// Takes its next batch. That counts against its share even where its share is too small.
    pub(crate) fn take(&mut self, bytes: u64) {
        self.share = self.share.saturating_sub(bytes);
        self.taken += 1;
    }
}

impl Oracle<'_> {
    /// The block time and what is ordered, or the batches it takes to tell.
    pub(crate) fn block(&self) -> Result<(TimeMs, Cut), Vec<BatchDigest>> {
        if self.observations.is_empty() {
            return Ok((self.parent_ms + 1, Cut::default()));
        }
        let walks: Vec<Walk> = (0..self.members.len()).map(|author| self.walk(author)).collect();
        let missing: Vec<_> = walks.iter().flat_map(|walk| walk.missing.clone()).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let forks = walks.iter().flat_map(|walk| walk.forks.clone()).collect();
        let authors = self.take(walks);
        let cuts = self.new_cuts(&authors);
        Ok((self.time(), Cut { batches: merge(authors), cuts, forks }))
    }

    pub(crate) fn seats(&self) -> u64 {
        self.members.iter().map(|member| member.seats).sum()
    }

    /// More than N/3, of all N.
    pub(crate) fn supports(&self, seats: u64) -> bool {
        seats * 3 > self.seats()
    }

    /// All that embedded observers say of a place.
    pub(crate) fn words(&self, place: Place) -> Vec<Word> {
        let mut words = Vec::new();
        for observation in &self.observations {
            for view in &observation.lanes {
                let author = usize::from(view.author);
                let cut = self.cuts[author];
                let before = if view.incarnation == cut.incarnation { cut.seq } else { 0 };
                for (seq, (digest, age)) in
                    (before + 1..).zip(view.digests.iter().zip(&view.ages_ms))
                {
                    if (Place { author, incarnation: view.incarnation, seq }) == place {
                        words.push(Word {
                            digest: *digest,
                            seats: self.members[usize::from(observation.observer)].seats,
                            since: observation.clock_ms.saturating_sub(u64::from(*age)),
                        });
                    }
                }
            }
        }
        words
    }

    /// The batches supported for a place, lower digest first.
    pub(crate) fn supported(&self, place: Place) -> Vec<BatchDigest> {
        let words = self.words(place);
        let mut supported: Vec<BatchDigest> = Vec::new();
        for word in &words {
            let seats =
                words.iter().filter(|w| w.digest == word.digest).map(|w| w.seats).sum::<u64>();
            if self.supports(seats) && !supported.contains(&word.digest) {
                supported.push(word.digest);
            }
        }
        supported.sort();
        supported
    }

    /// The earliest time by which observers of more than N/3 seats had the batch.
    pub(crate) fn support_time(&self, place: Place, digest: BatchDigest) -> TimeMs {
        let mut words = self.words(place);
        words.retain(|word| word.digest == digest);
        let enough = |time: TimeMs| {
            let held = words.iter().filter(|word| word.since <= time);
            self.supports(held.map(|word| word.seats).sum())
        };
        words.iter().map(|word| word.since).filter(|time| enough(*time)).min().unwrap()
    }

    /// The supported batches of an author: those of its open lane and then, if no supported one
    /// is left behind there, those of its next lane.
    pub(crate) fn walk(&self, author: usize) -> Walk {
        let cut = self.cuts[author];
        let mut walk = Walk::default();
        let start = Place { author, incarnation: cut.incarnation, seq: cut.seq };
        let end = self.follow(start, cut.digest, &mut walk);
        let mut ahead = (end.seq + 1..=cut.seq + 4).map(|seq| Place { seq, ..end });
        if ahead.all(|place| self.supported(place).is_empty())
            && let Some(incarnation) = self.next_lane(author)
        {
            self.follow(Place { author, incarnation, seq: 0 }, BatchDigest::ZERO, &mut walk);
        }
        walk
    }

    /// The least higher incarnation whose first place has support.
    pub(crate) fn next_lane(&self, author: usize) -> Option<u32> {
        self.observations
            .iter()
            .flat_map(|observation| &observation.lanes)
            .filter(|view| usize::from(view.author) == author)
            .map(|view| view.incarnation)
            .filter(|incarnation| *incarnation > self.cuts[author].incarnation)
            .filter(|i| !self.supported(Place { author, incarnation: *i, seq: 1 }).is_empty())
            .min()
    }

    /// Follows a lane by hash link and says where that ended. Past a batch that is not there,
    /// nobody can tell what it takes.
    pub(crate) fn follow(&self, mut at: Place, mut parent: BatchDigest, walk: &mut Walk) -> Place {
        let lane = LaneId { author: self.members[at.author].address, incarnation: at.incarnation };
        loop {
            let next = Place { seq: at.seq + 1, ..at };
            let digest = match self.supported(next)[..] {
                [] => return at,
                [digest] => digest,
                [one, other, ..] => {
                    walk.forks.push(Fork { lane, seq: next.seq, digests: [one, other] });
                    return at;
                }
            };
            let Some(batch) = self.known.iter().find(|batch| batch.digest == digest) else {
                walk.missing.push(digest);
                return at;
            };
            if (batch.lane, batch.seq, batch.parent) != (lane, next.seq, parent) {
                return at;
            }
            let before = walk.batches.last().map_or(0, |ordered| ordered.time_ms);
            let time_ms = self.support_time(next, digest).max(before);
            let (seq, bytes) = (next.seq, batch.bytes);
            walk.batches.push(Ordered { lane, seq, digest, time_ms, bytes });
            (at, parent) = (next, digest);
        }
    }

    /// Shares first, then what room is left.
    pub(crate) fn take(&self, walks: Vec<Walk>) -> Vec<Author> {
        let mut authors: Vec<Author> = Vec::new();
        for (walk, (member, cut)) in walks.into_iter().zip(self.members.iter().zip(&self.cuts)) {
            let share = self.max_block_bytes * member.seats / self.seats() + u64::from(cut.carry);
            authors.push(Author { batches: walk.batches, taken: 0, share });
        }
        let mut room = self.max_block_bytes;
        for turn in 0..authors.len() as u64 {
            let index = usize::try_from((self.height + turn) % authors.len() as u64).unwrap();
            let author = &mut authors[index];
            while let Some(bytes) = author.next().map(|batch| u64::from(batch.bytes)) {
                if bytes > author.share || bytes > room {
                    break;
                }
                author.take(bytes);
                room -= bytes;
            }
        }
        fill(&mut authors, room);
        authors
    }

    /// Where each author's cut stands after the block, for those whose cut moves.
    pub(crate) fn new_cuts(&self, authors: &[Author]) -> Vec<(Address, LaneCut)> {
        let mut cuts = Vec::new();
        for (index, author) in authors.iter().enumerate() {
            let mut cut = self.cuts[index];
            if let Some(last) = author.batches[..author.taken].last() {
                cut.incarnation = last.lane.incarnation;
                cut.seq = last.seq;
                cut.digest = last.digest;
            }
            cut.carry = u32::try_from(author.share.min(256 * KIB)).unwrap();
            if cut != self.cuts[index] {
                cuts.push((self.members[index].address, cut));
            }
        }
        cuts
    }

    /// The median clock, each seat counted; the lower one of two.
    pub(crate) fn time(&self) -> TimeMs {
        let mut clocks = Vec::new();
        for observation in &self.observations {
            for _ in 0..self.members[usize::from(observation.observer)].seats {
                clocks.push(observation.clock_ms);
            }
        }
        clocks.sort();
        clocks[(clocks.len() - 1) / 2].max(self.parent_ms + 1)
    }
}

/// The candidate with the least (time, digest) takes room, again and again.
pub(crate) fn fill(authors: &mut [Author], mut room: u64) {
    let mut done = vec![false; authors.len()];
    loop {
        let candidates = (0..authors.len()).filter(|i| !done[*i]);
        let candidates = candidates.filter_map(|i| Some((authors[i].next()?, i)));
        let least = candidates.min_by_key(|(batch, _)| (batch.time_ms, batch.digest));
        let Some((bytes, i)) = least.map(|(batch, i)| (u64::from(batch.bytes), i)) else { return };
        if bytes > room {
            done[i] = true;
        } else {
            authors[i].take(bytes);
            room -= bytes;
        }
    }
}

/// The head with the least (time, digest) comes first, again and again.
pub(crate) fn merge(authors: Vec<Author>) -> Vec<Ordered> {
    let mut heads: Vec<Vec<Ordered>> =
        authors.into_iter().map(|author| author.batches[..author.taken].to_vec()).collect();
    let mut merged = Vec::new();
    loop {
        heads.retain(|lane| !lane.is_empty());
        let Some(lane) = heads.iter_mut().min_by_key(|lane| (lane[0].time_ms, lane[0].digest))
        else {
            return merged;
        };
        merged.push(lane.remove(0));
    }
}
