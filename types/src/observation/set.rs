//! The observations of one block, encoded together (protocol section 4).
//!
//! Observers mostly hold the same batches, so each lane's digests stand once and each observer
//! adds how far along them it got. At 100 seats this is a tenth of what the observations take one
//! by one. Every observation comes back bit for bit: its signature covers its own encoding.
//!
//! The table has room for two lanes of every member. Authors who show each observer another lane,
//! and observers who name lanes that are none, can make for more: then the lanes that most
//! observers name stand in the table, and what is outside stands in full with each observer.
//!
//! ```text
//! height u64 | parent 32
//! | lanes u16, the top bit set if some are outside | (author varint, difference | incarnation varint | chains)*
//! | l1 chains
//! | observers u16 | observer*
//!
//! chains   = count varint | (length u8 | item * length)*
//! observer = index varint, difference | clock varint, zigzag difference to the observer before
//!          | signature 65
//!          | l1 prefix | lane prefix * lanes, as nibbles | far prefixes | age_ms u16 * batches
//!          | if some are outside: lanes outside
//!
//! lanes outside = count varint | lane*, each as in an observation's body
//!
//! nibble 0: lane not named; 1 to 4: that many items of the lane's first chain;
//! nibble 15: a far prefix (chain varint | length u8) follows after the nibbles.
//! l1 prefix = length u8, and if not 0: chain varint
//! ```

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};

use super::{L1Block, LaneView, MAX_LANES, Observation, ObservationBody};
use crate::hash::{BatchDigest, BlockId};
use crate::limits::{MAX_COMMITTEE, MAX_L1_BLOCKS, MAX_UNORDERED_BATCHES};
use crate::signature::Signature;
use crate::wire::{invalid, read_varint, unzigzag, write_varint, zigzag};
use crate::{Height, TimeMs};

const NOT_NAMED: u8 = 0;
const FAR: u8 = 15;

/// Set in the count of lanes if some are outside of the table.
const OUTSIDE: u16 = 1 << 15;

/// Most bytes of one author's batches in an observation that shares nothing with others: two lanes
/// in the table (author, incarnation, one chain; chain and length with the observer), four digests
/// and four ages.
const MAX_AUTHOR_BYTES: usize = 2 * (3 + 5 + 2 + 1 + 2 + 1) + MAX_UNORDERED_BATCHES * (32 + 2);

/// Most bytes that one observer adds: index, clock, signature, L1 blocks of its own, a nibble for
/// each lane of the table, a count, batches of every author.
const MAX_OBSERVER_BYTES: usize = 3
    + 10
    + 65
    + (1 + 2 + 1 + 64 * MAX_L1_BLOCKS)
    + MAX_LANES / 2
    + 2
    + MAX_COMMITTEE * MAX_AUTHOR_BYTES;

/// Most bytes of the observations of a block, if as many observers as there can be agree on
/// nothing: 10.5 MiB. Observers who hold the same batches take a hundredth of it.
pub const MAX_SET_BYTES: usize = 8 + 32 + 2 + 2 + 2 + MAX_COMMITTEE * MAX_OBSERVER_BYTES;

/// Observations of one height on one parent, ascending by observer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservationSet(Vec<Observation>);

/// Why observations form no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// They are for different heights or parents.
    #[error("observations of one block must share height and parent")]
    Mixed,
    /// Out of order, or two of one observer.
    #[error("observations must be strictly ascending by observer")]
    Unsorted,
}

impl ObservationSet {
    /// Makes a set of observations in ascending order of observer.
    pub fn new(observations: Vec<Observation>) -> Result<Self, SetError> {
        if !observations.is_sorted_by(|a, b| a.body.observer < b.body.observer) {
            return Err(SetError::Unsorted);
        }
        let slot = |o: &Observation| (o.body.height, o.body.parent);
        if observations.windows(2).any(|pair| slot(&pair[0]) != slot(&pair[1])) {
            return Err(SetError::Mixed);
        }
        Ok(Self(observations))
    }

    /// The observations, ascending by observer.
    pub fn as_slice(&self) -> &[Observation] {
        &self.0
    }

    /// Whether there are none, as in an empty block.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The distinct sequences that observers report, without those that begin another.
struct Chains<T>(Vec<Vec<T>>);

impl<T: Clone + Ord> Chains<T> {
    fn collect(mut all: Vec<&[T]>) -> Self {
        all.retain(|sequence| !sequence.is_empty());
        all.sort_unstable();
        all.dedup();
        // In this order a sequence stands right before those that it begins.
        let mut chains: Vec<Vec<T>> = Vec::new();
        for (i, sequence) in all.iter().enumerate() {
            if !all.get(i + 1).is_some_and(|next| next.starts_with(sequence)) {
                chains.push(sequence.to_vec());
            }
        }
        Self(chains)
    }

    /// The first chain that begins with a sequence. Chains must be in order, as collected.
    fn find(&self, sequence: &[T]) -> io::Result<usize> {
        let at = self.0.partition_point(|chain| chain.as_slice() < sequence);
        let found = self.0.get(at).is_some_and(|chain| chain.starts_with(sequence));
        found.then_some(at).ok_or_else(|| invalid("sequence in no chain"))
    }

    fn prefix(&self, chain: usize, length: usize) -> io::Result<&[T]> {
        self.0
            .get(chain)
            .and_then(|chain| chain.get(..length))
            .ok_or_else(|| invalid("prefix of no chain"))
    }
}

impl<T: BorshSerialize> Chains<T> {
    fn write<W: Write>(&self, out: &mut W) -> io::Result<()> {
        write_varint(out, self.0.len() as u64)?;
        for chain in &self.0 {
            let length = u8::try_from(chain.len()).map_err(|_| invalid("chain too long"))?;
            length.serialize(out)?;
            chain.iter().try_for_each(|item| item.serialize(out))?;
        }
        Ok(())
    }
}

impl<T: BorshDeserialize> Chains<T> {
    fn read<R: Read>(input: &mut R, longest: usize) -> io::Result<Self> {
        let count = read_varint(input)?;
        if count > MAX_COMMITTEE as u64 {
            return Err(invalid("too many chains"));
        }
        let mut chains = Vec::new();
        for _ in 0..count {
            let length = u8::deserialize_reader(input)?;
            if length == 0 || usize::from(length) > longest {
                return Err(invalid("chain too long"));
            }
            let chain: io::Result<Vec<T>> =
                (0..length).map(|_| T::deserialize_reader(input)).collect();
            chains.push(chain?);
        }
        Ok(Self(chains))
    }
}

/// A lane of the block and what observers hold of it.
pub(super) struct Lane {
    author: u16,
    incarnation: u32,
    chains: Chains<BatchDigest>,
}

impl Lane {
    pub(super) fn key(&self) -> (u16, u32) {
        (self.author, self.incarnation)
    }
}

impl BorshSerialize for ObservationSet {
    fn serialize<W: Write>(&self, out: &mut W) -> io::Result<()> {
        let (height, parent) =
            self.0.first().map_or((0, BlockId::ZERO), |o| (o.body.height, o.body.parent));
        height.serialize(out)?;
        parent.serialize(out)?;

        let (lanes, some_outside) = collect_lanes(&self.0);
        let count = u16::try_from(lanes.len()).map_err(|_| invalid("too many lanes"))?;
        (count | if some_outside { OUTSIDE } else { 0 }).serialize(out)?;
        let mut author = 0;
        for lane in &lanes {
            write_varint(out, u64::from(lane.author - author))?;
            author = lane.author;
            write_varint(out, u64::from(lane.incarnation))?;
            lane.chains.write(out)?;
        }
        let l1 = Chains::collect(self.0.iter().map(|o| o.body.l1.as_slice()).collect());
        l1.write(out)?;

        u16::try_from(self.0.len()).map_err(|_| invalid("too many observers"))?.serialize(out)?;
        let (mut observer, mut clock) = (0, 0);
        for observation in &self.0 {
            let body = &observation.body;
            write_varint(out, u64::from(body.observer - observer))?;
            write_varint(out, zigzag(clock, body.clock_ms))?;
            (observer, clock) = (body.observer, body.clock_ms);
            observation.signature.serialize(out)?;
            write_l1_prefix(&l1, &body.l1, out)?;
            let outside = write_lane_prefixes(&lanes, &body.lanes, out)?;
            if some_outside {
                write_outside(&outside, out)?;
            }
        }
        Ok(())
    }
}

impl BorshDeserialize for ObservationSet {
    fn deserialize_reader<R: Read>(input: &mut R) -> io::Result<Self> {
        let height = Height::deserialize_reader(input)?;
        let parent = BlockId::deserialize_reader(input)?;

        let count = u16::deserialize_reader(input)?;
        let (count, some_outside) = (count & !OUTSIDE, count & OUTSIDE != 0);
        if usize::from(count) > MAX_LANES {
            return Err(invalid("too many lanes"));
        }
        let mut lanes: Vec<Lane> = Vec::new();
        let mut author = 0;
        for _ in 0..count {
            author = read_index(input, author)?;
            let incarnation =
                u32::try_from(read_varint(input)?).map_err(|_| invalid("incarnation above u32"))?;
            let chains = Chains::read(input, MAX_UNORDERED_BATCHES)?;
            lanes.push(Lane { author, incarnation, chains });
        }
        if !lanes.is_sorted_by(|a, b| a.key() < b.key()) {
            return Err(invalid("lanes not ascending"));
        }
        let l1 = Chains::read(input, MAX_L1_BLOCKS)?;

        let count = u16::deserialize_reader(input)?;
        if usize::from(count) > MAX_COMMITTEE {
            return Err(invalid("too many observers"));
        }
        let mut observations = Vec::new();
        let (mut observer, mut clock_ms): (u16, TimeMs) = (0, 0);
        for _ in 0..count {
            observer = read_index(input, observer)?;
            clock_ms = unzigzag(clock_ms, read_varint(input)?);
            let signature = Signature::deserialize_reader(input)?;
            let l1 = read_l1_prefix(&l1, input)?;
            let mut lanes = read_lane_prefixes(&lanes, input)?;
            if some_outside {
                read_outside(&mut lanes, input)?;
            }
            let body = ObservationBody { height, parent, observer, clock_ms, lanes, l1 };
            observations.push(Observation { body, signature });
        }
        Self::new(observations).map_err(|_| invalid("observations not ascending"))
    }
}

/// The lanes of the table, ascending, and whether there are others: as many as it may hold of
/// those that most observers name, of equals the first.
pub(super) fn collect_lanes(observations: &[Observation]) -> (Vec<Lane>, bool) {
    let mut views: Vec<&LaneView> = observations.iter().flat_map(|o| &o.body.lanes).collect();
    views.sort_by_key(|view| key_of(view));
    let mut lanes: Vec<&[&LaneView]> = views.chunk_by(|a, b| key_of(a) == key_of(b)).collect();
    let some_outside = lanes.len() > MAX_LANES;
    if some_outside {
        // Stable: equals stay in order.
        lanes.sort_by_key(|views| std::cmp::Reverse(views.len()));
        lanes.truncate(MAX_LANES);
        lanes.sort_by_key(|views| key_of(views[0]));
    }
    let lane = |views: &&[&LaneView]| {
        let (author, incarnation) = key_of(views[0]);
        let sequences = views.iter().map(|view| view.digests.as_slice()).collect();
        Lane { author, incarnation, chains: Chains::collect(sequences) }
    };
    (lanes.iter().map(lane).collect(), some_outside)
}

fn key_of(view: &LaneView) -> (u16, u32) {
    (view.author, view.incarnation)
}

fn read_index<R: Read>(input: &mut R, before: u16) -> io::Result<u16> {
    u16::try_from(read_varint(input)?)
        .ok()
        .and_then(|difference| before.checked_add(difference))
        .ok_or_else(|| invalid("index above u16"))
}

fn write_l1_prefix<W: Write>(
    chains: &Chains<L1Block>,
    blocks: &[L1Block],
    out: &mut W,
) -> io::Result<()> {
    u8::try_from(blocks.len()).map_err(|_| invalid("too many L1 blocks"))?.serialize(out)?;
    if blocks.is_empty() {
        return Ok(());
    }
    write_varint(out, chains.find(blocks)? as u64)
}

fn read_l1_prefix<R: Read>(chains: &Chains<L1Block>, input: &mut R) -> io::Result<Vec<L1Block>> {
    let length = usize::from(u8::deserialize_reader(input)?);
    if length == 0 {
        return Ok(Vec::new());
    }
    let chain = usize::try_from(read_varint(input)?).map_err(|_| invalid("no such chain"))?;
    Ok(chains.prefix(chain, length)?.to_vec())
}

/// Writes the views that the table has, and returns the others.
fn write_lane_prefixes<'a, W: Write>(
    lanes: &[Lane],
    views: &'a [LaneView],
    out: &mut W,
) -> io::Result<Vec<&'a LaneView>> {
    let mut nibbles = vec![NOT_NAMED; lanes.len().next_multiple_of(2)];
    let (mut far, mut ages, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for view in views {
        let at = lanes.binary_search_by_key(&key_of(view), Lane::key);
        let Ok(at) = at else {
            outside.push(view);
            continue;
        };
        let length = u8::try_from(view.digests.len()).map_err(|_| invalid("lane too long"))?;
        match lanes[at].chains.find(&view.digests)? {
            0 => nibbles[at] = length,
            chain => {
                nibbles[at] = FAR;
                write_varint(&mut far, chain as u64)?;
                far.push(length);
            }
        }
        ages.extend_from_slice(&view.ages_ms);
    }
    for pair in nibbles.chunks_exact(2) {
        (pair[0] | pair[1] << 4).serialize(out)?;
    }
    out.write_all(&far)?;
    ages.iter().try_for_each(|age| age.serialize(out))?;
    Ok(outside)
}

fn write_outside<W: Write>(views: &[&LaneView], out: &mut W) -> io::Result<()> {
    write_varint(out, views.len() as u64)?;
    let mut author = 0;
    for view in views {
        let difference =
            view.author.checked_sub(author).ok_or_else(|| invalid("lanes not ascending"))?;
        author = view.author;
        view.write(difference, out)?;
    }
    Ok(())
}

/// Reads what an observer names outside of the table, and puts it in its place among the rest.
fn read_outside<R: Read>(views: &mut Vec<LaneView>, input: &mut R) -> io::Result<()> {
    let count = usize::try_from(read_varint(input)?).unwrap_or(usize::MAX);
    if count > MAX_LANES.saturating_sub(views.len()) {
        return Err(invalid("too many lanes"));
    }
    let mut author = 0;
    for _ in 0..count {
        author = read_index(input, author)?;
        views.push(LaneView::read(author, input)?);
    }
    views.sort_by_key(key_of);
    if !views.is_sorted_by(|a, b| key_of(a) < key_of(b)) {
        return Err(invalid("a lane twice"));
    }
    Ok(())
}

fn read_lane_prefixes<R: Read>(lanes: &[Lane], input: &mut R) -> io::Result<Vec<LaneView>> {
    let mut nibbles = vec![0u8; lanes.len().div_ceil(2)];
    input.read_exact(&mut nibbles)?;
    let nibble = |i: usize| (nibbles[i / 2] >> (4 * (i % 2))) & 0x0f;
    if lanes.len() % 2 == 1 && nibble(lanes.len()) != NOT_NAMED {
        return Err(invalid("padding not zero"));
    }
    let mut views = Vec::new();
    for (i, lane) in lanes.iter().enumerate() {
        let (chain, length) = match nibble(i) {
            NOT_NAMED => continue,
            FAR => (read_varint(input)?, u8::deserialize_reader(input)?),
            length => (0, length),
        };
        let chain = usize::try_from(chain).map_err(|_| invalid("no such chain"))?;
        let digests = lane.chains.prefix(chain, usize::from(length))?.to_vec();
        if digests.is_empty() {
            return Err(invalid("empty lane"));
        }
        views.push(LaneView {
            author: lane.author,
            incarnation: lane.incarnation,
            digests,
            ages_ms: Vec::new(),
        });
    }
    for view in &mut views {
        view.ages_ms = (0..view.digests.len())
            .map(|_| u16::deserialize_reader(input))
            .collect::<io::Result<_>>()?;
    }
    Ok(views)
}
