//! How a block follows from observations: a second, naive reading of protocol section 5, rules 3
//! to 5, against what the crate derives along random histories.
//!
//! The oracle goes by the text alone. It searches all observations for every question it has, and
//! shares no rule with the crate.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestRunner};
use weft_consensus::build::{Derived, derive};
use weft_consensus::cut::{Batches, Cut, Fork, MissingBatches, Ordered};
use weft_consensus::tip::Tip;
use weft_ledger::{LaneCut, State};
use weft_types::*;

const CHAIN: u64 = 77;
const START_MS: u64 = 1_790_000_000_000;
const MEMBERS: usize = 7;
const KIB: u64 = 1024;

type Check = Result<(), TestCaseError>;

// The oracle.

/// A batch that the oracle may look at.
struct Known {
    lane: LaneId,
    seq: u64,
    digest: BatchDigest,
    parent: BatchDigest,
    bytes: u32,
}

/// A place in a lane, the author by index.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    author: usize,
    incarnation: u32,
    seq: u64,
}

/// What one observer says stands at a place, and since when it has held that.
struct Word {
    digest: BatchDigest,
    seats: u64,
    since: TimeMs,
}

/// What the oracle is told.
struct Oracle<'a> {
    members: &'a [Member],
    cuts: Vec<LaneCut>,
    height: Height,
    parent_ms: TimeMs,
    max_block_bytes: u64,
    observations: Vec<&'a ObservationBody>,
    known: Vec<Known>,
}

/// Where following an author's batches led.
#[derive(Default)]
struct Walk {
    batches: Vec<Ordered>,
    forks: Vec<Fork>,
    missing: Vec<BatchDigest>,
}

/// An author at its turn: its batches, how many it took, and what is left of its share.
struct Author {
    batches: Vec<Ordered>,
    taken: usize,
    share: u64,
}

impl Author {
    fn next(&self) -> Option<&Ordered> {
        self.batches.get(self.taken)
    }

    /// Takes its next batch. That counts against its share even where its share is too small.
    fn take(&mut self, bytes: u64) {
        self.share = self.share.saturating_sub(bytes);
        self.taken += 1;
    }
}

impl Oracle<'_> {
    /// The block time and what is ordered, or the batches it takes to tell.
    fn block(&self) -> Result<(TimeMs, Cut), Vec<BatchDigest>> {
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

    fn seats(&self) -> u64 {
        self.members.iter().map(|member| member.seats).sum()
    }

    /// More than N/3, of all N.
    fn supports(&self, seats: u64) -> bool {
        seats * 3 > self.seats()
    }

    /// All that embedded observers say of a place.
    fn words(&self, place: Place) -> Vec<Word> {
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
    fn supported(&self, place: Place) -> Vec<BatchDigest> {
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
    fn support_time(&self, place: Place, digest: BatchDigest) -> TimeMs {
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
    fn walk(&self, author: usize) -> Walk {
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
    fn next_lane(&self, author: usize) -> Option<u32> {
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
    fn follow(&self, mut at: Place, mut parent: BatchDigest, walk: &mut Walk) -> Place {
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
    fn take(&self, walks: Vec<Walk>) -> Vec<Author> {
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
    fn new_cuts(&self, authors: &[Author]) -> Vec<(Address, LaneCut)> {
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
    fn time(&self) -> TimeMs {
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
fn fill(authors: &mut [Author], mut room: u64) {
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
fn merge(authors: Vec<Author>) -> Vec<Ordered> {
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

// Random histories.

/// A history: who there is, what the lanes hold, and what is said of them at each height.
#[derive(Clone, Debug)]
struct Plan {
    seats: Vec<u64>,
    /// Blocks and batches of the size the protocol allows, instead of small ones.
    large: bool,
    /// How large blocks are, in thousandths of the range.
    room: u32,
    /// Who may have a wild clock.
    liar: usize,
    authors: Vec<Vec<LanePlan>>,
    heights: Vec<HeightPlan>,
}

/// A lane, open after the lane before.
#[derive(Clone, Debug)]
struct LanePlan {
    above: u32,
    batches: Vec<Content>,
    /// Another chain that leaves this one at a place.
    fork: Option<(usize, Vec<Content>)>,
    /// The place whose batch does not link to the one before.
    broken: Option<usize>,
    /// The place whose batch says that it stands in the next.
    misplaced: Option<usize>,
}

/// Which transactions a batch has: the first, and how many.
type Content = (usize, usize);

#[derive(Clone, Debug)]
struct HeightPlan {
    silent: bool,
    /// Of the members in turn, as are the views of authors in turn.
    observers: Vec<ObserverPlan>,
}

#[derive(Clone, Debug)]
struct ObserverPlan {
    present: bool,
    clock: u64,
    wild: Option<u64>,
    views: Vec<View>,
}

/// What an observer names of an author: some of its open lane, and some of the one after.
#[derive(Clone, Debug)]
struct View {
    skip: usize,
    fork: bool,
    counts: (usize, usize),
    ages: [u16; 4],
    slip: Slip,
}

/// What an observer gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slip {
    Nothing,
    /// Begins with a digest that nothing has.
    Junk,
    /// Leaves out the first batch.
    Late,
    /// Names batches in reverse.
    Reverse,
    /// Names the author's first lane, closed or not.
    Old,
    /// Calls the first lane by the name of the second.
    Elsewhere,
}

fn plans() -> impl Strategy<Value = Plan> {
    let seats = prop::collection::vec(1u64..=6, 1..=MEMBERS);
    let lanes = prop::collection::vec(lane_plan(), 1..=3);
    let authors = prop::collection::vec(lanes, 1..=MEMBERS);
    let heights = prop::collection::vec(height_plan(), 1..=5);
    (seats, prop::bool::weighted(0.15), 0u32..=1000, 0..MEMBERS, authors, heights).prop_map(
        |(mut seats, large, room, liar, authors, heights)| {
            if large {
                seats.truncate(3);
            }
            Plan { seats, large, room, liar, authors, heights }
        },
    )
}

fn lane_plan() -> impl Strategy<Value = LanePlan> {
    let contents = |most| prop::collection::vec((0usize..12, 1usize..=2), 1..=most);
    let fork = prop::option::weighted(0.6, (0usize..3, contents(3)));
    let place = || prop::option::weighted(0.06, 1usize..4);
    (0u32..3, contents(6), fork, place(), place()).prop_map(
        |(above, batches, fork, broken, misplaced)| LanePlan {
            above,
            batches,
            fork,
            broken,
            misplaced,
        },
    )
}

fn height_plan() -> impl Strategy<Value = HeightPlan> {
    let observers = prop::collection::vec(observer_plan(), 1..=MEMBERS);
    (prop::bool::weighted(0.08), observers)
        .prop_map(|(silent, observers)| HeightPlan { silent, observers })
}

fn observer_plan() -> impl Strategy<Value = ObserverPlan> {
    let wild = prop_oneof![Just(0), Just(3), Just(u64::MAX)];
    let views = prop::collection::vec(view(), 1..=MEMBERS);
    (prop::bool::weighted(0.7), 0u64..40, prop::option::weighted(0.3, wild), views)
        .prop_map(|(present, clock, wild, views)| ObserverPlan { present, clock, wild, views })
}

fn view() -> impl Strategy<Value = View> {
    let skip = prop_oneof![8 => Just(0usize), 1 => Just(1)];
    let age = prop_oneof![12 => 0u16..12, 1 => Just(u16::MAX)];
    let slip = prop_oneof![
        40 => Just(Slip::Nothing),
        1 => Just(Slip::Junk),
        1 => Just(Slip::Late),
        1 => Just(Slip::Reverse),
        1 => Just(Slip::Old),
        1 => Just(Slip::Elsewhere),
    ];
    let ages = prop::array::uniform4(age);
    (skip, prop::bool::weighted(0.4), (0usize..=4, 0usize..=4), ages, slip)
        .prop_map(|(skip, fork, counts, ages, slip)| View { skip, fork, counts, ages, slip })
}

fn in_turn<T>(items: &[T], index: usize) -> &T {
    &items[index % items.len()]
}

/// Keys of members, ascending by address.
static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let mut keys: Vec<SecretKey> =
        (1..=7).map(|byte| SecretKey::from_bytes([byte; 32]).unwrap()).collect();
    keys.sort_by_key(SecretKey::address);
    keys
});

/// Transactions to fill batches with: small ones, then large ones, then one for forks.
static TRANSACTIONS: LazyLock<Vec<Verified<Transaction>>> = LazyLock::new(|| {
    let small = (0..12).map(|i| 1 + 37 * i);
    let large = (0..12).map(|i| 20_000 + 9_001 * i);
    small.chain(large).chain([2]).map(transaction).collect()
});

fn transaction(bytes: usize) -> Verified<Transaction> {
    let body = TransactionBody {
        chain_id: CHAIN,
        valid_until: START_MS + 60_000,
        salt: 0,
        max_fee: 0,
        payload: Payload::Submit {
            namespace: NamespaceId(1),
            data: vec![Bytes::from(vec![1; bytes])],
        },
    };
    Unverified::new(Signed::new(body, CHAIN, &KEYS[0])).verify(CHAIN).unwrap()
}

/// Batches by digest, without some that are not there yet.
#[derive(Clone, Default)]
struct Shelf {
    batches: BTreeMap<BatchDigest, Verified<Batch>>,
    hidden: BTreeSet<BatchDigest>,
}

impl Batches for Shelf {
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>> {
        self.batches.get(digest).filter(|_| !self.hidden.contains(digest))
    }
}

/// A lane's chains: the main one, and the one that leaves it.
struct Lane {
    incarnation: u32,
    chains: [Vec<BatchDigest>; 2],
}

struct World {
    large: bool,
    lanes: Vec<Vec<Lane>>,
    shelf: Shelf,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let mut world = Self { large: plan.large, lanes: Vec::new(), shelf: Shelf::default() };
        for author in 0..plan.seats.len() {
            let mut lanes = Vec::new();
            let mut incarnation = 0;
            for lane in in_turn(&plan.authors, author) {
                incarnation += lane.above;
                lanes.push(world.lane(author, incarnation, lane));
                incarnation += 1;
            }
            world.lanes.push(lanes);
        }
        world
    }

    fn lane(&mut self, author: usize, incarnation: u32, plan: &LanePlan) -> Lane {
        let mut place = Place { author, incarnation, seq: 0 };
        let mut main: Vec<BatchDigest> = Vec::new();
        for (index, content) in plan.batches.iter().enumerate() {
            let parent = match main.last() {
                Some(_) if plan.broken == Some(index) => BatchDigest(B256::repeat_byte(0xbb)),
                Some(parent) => *parent,
                None => BatchDigest::ZERO,
            };
            place.seq = index as u64 + 1 + u64::from(plan.misplaced == Some(index));
            main.push(self.seal(place, parent, *content, false));
        }
        let mut fork = main.clone();
        if let Some((at, contents)) = &plan.fork {
            fork.truncate(*at);
            for content in contents {
                let parent = fork.last().copied().unwrap_or(BatchDigest::ZERO);
                place.seq = fork.len() as u64 + 1;
                fork.push(self.seal(place, parent, *content, true));
            }
        }
        Lane { incarnation, chains: [main, fork] }
    }

    fn seal(
        &mut self,
        Place { author, incarnation, seq }: Place,
        parent: BatchDigest,
        (first, count): Content,
        fork: bool,
    ) -> BatchDigest {
        let offset = if self.large { 12 } else { 0 };
        let mut transactions: Vec<_> =
            (first..first + count).map(|i| TRANSACTIONS[offset + i % 12].clone()).collect();
        if fork {
            transactions.extend(TRANSACTIONS.last().cloned());
        }
        let key = &KEYS[author];
        let lane = LaneId { author: key.address(), incarnation };
        let batch = batch::seal(lane, seq, parent, transactions, CHAIN, key).unwrap();
        let digest = batch.witness().digest;
        self.shelf.batches.insert(digest, batch);
        digest
    }

    /// What an observer says of an author's lanes, with the cut where the tip has it.
    fn views(&self, tip: &Tip, observer: usize, author: usize, view: &View) -> Vec<LaneView> {
        let cut = tip.state.lane(&KEYS[author].address());
        let lanes = &self.lanes[author];
        let open = lanes.iter().position(|lane| lane.incarnation >= cut.incarnation);
        let first = match view.slip {
            Slip::Old => 0,
            _ => open.unwrap_or(lanes.len()) + view.skip,
        };
        let mut views = Vec::new();
        let mut left = 4;
        for (lane, count) in lanes.iter().skip(first).zip([view.counts.0, view.counts.1]) {
            let ordered = if lane.incarnation == cut.incarnation { cut.seq } else { 0 };
            let after = lane.chains[usize::from(view.fork)].iter().copied();
            let after = after.skip(usize::try_from(ordered).unwrap());
            let digests = slipped(after.take(count.min(left)).collect(), view.slip, tip, observer);
            left -= digests.len();
            if !digests.is_empty() {
                views.push(LaneView {
                    author: u16::try_from(author).unwrap(),
                    incarnation: lane.incarnation,
                    ages_ms: view.ages[..digests.len()].to_vec(),
                    digests,
                });
            }
        }
        if view.slip == Slip::Elsewhere
            && let (Some(second), [only]) = (lanes.get(first + 1), &mut views[..])
        {
            only.incarnation = second.incarnation;
        }
        views
    }

    /// What a member observes for the next height.
    fn observe(&self, plan: &Plan, tip: &Tip, says: &ObserverPlan, observer: usize) -> Said {
        let seats = &plan.seats;
        let liar = plan.liar % seats.len();
        let harmless = seats[liar] * 3 < seats.iter().sum::<u64>();
        let clock_ms = match says.wild {
            Some(wild) if observer == liar && harmless => wild,
            _ => START_MS + tip.next_height() * 20 + says.clock,
        };
        let lanes = (0..seats.len())
            .flat_map(|author| self.views(tip, observer, author, in_turn(&says.views, author)))
            .collect();
        let body = ObservationBody {
            height: tip.next_height(),
            parent: tip.id,
            observer: u16::try_from(observer).unwrap(),
            clock_ms,
            lanes,
            l1: Vec::new(),
        };
        sign(tip, body)
    }
}

/// What becomes of the digests an observer meant to name. Nobody who has support alone makes some
/// up: such a batch could not be fetched.
fn slipped(
    mut digests: Vec<BatchDigest>,
    slip: Slip,
    tip: &Tip,
    observer: usize,
) -> Vec<BatchDigest> {
    let committee = tip.committee();
    match (slip, &mut digests[..]) {
        (Slip::Junk, [first, ..]) if !committee.is_support(committee.members()[observer].seats) => {
            *first = BatchDigest(B256::repeat_byte(u8::try_from(observer + 1).unwrap()));
        }
        (Slip::Late, [_, ..]) => digests = digests.split_off(1),
        (Slip::Reverse, digests) => digests.reverse(),
        _ => {}
    }
    digests
}

type Said = Verified<Observation>;

fn sign(tip: &Tip, body: ObservationBody) -> Said {
    let key = &KEYS[usize::from(body.observer)];
    Unverified::new(Signed::new(body, CHAIN, key)).verify((CHAIN, tip.committee())).unwrap()
}

/// A network that has decided nothing yet. Its blocks may be smaller than any genesis allows.
fn first_tip(plan: &Plan) -> Tip {
    let max_block_bytes = if plan.large { 262_144 + plan.room * 700 } else { 300 + plan.room * 10 };
    let members = KEYS.iter().zip(&plan.seats);
    let mut genesis = Genesis {
        chain_id: CHAIN,
        time_ms: START_MS,
        l1_origin: L1Origin::default(),
        params: Params::default(),
        validators: members.map(|(k, &seats)| Member { address: k.address(), seats }).collect(),
        accounts: Vec::new(),
        namespaces: Vec::new(),
    };
    let tip = Tip::genesis(&genesis).unwrap();
    genesis.params.max_block_bytes = max_block_bytes;
    let entries = tip.state.entries().map(|(key, value)| (*key, value.clone()));
    let state = State::from_snapshot(&genesis, entries, tip.state.ledger_root()).unwrap();
    Tip { state, ..tip }
}

/// One height: what it starts from and what was said.
struct Scene<'a> {
    tip: &'a Tip,
    shelf: &'a Shelf,
    said: Vec<Said>,
}

impl Scene<'_> {
    fn derive(&self) -> Result<Derived, MissingBatches> {
        derive_from(self.tip, &self.said, self.shelf)
    }

    fn members(&self) -> &[Member] {
        self.tip.committee().members()
    }

    fn oracle(&self) -> Oracle<'_> {
        let members = self.members();
        let known = self.shelf.batches.iter().filter(|(d, _)| !self.shelf.hidden.contains(*d));
        let known = known.map(|(digest, batch)| Known {
            lane: batch.body.lane,
            seq: batch.body.seq,
            digest: *digest,
            parent: batch.body.parent,
            bytes: batch.witness().bytes,
        });
        Oracle {
            members,
            cuts: members.iter().map(|member| self.tip.state.lane(&member.address)).collect(),
            height: self.tip.header.height + 1,
            parent_ms: self.tip.header.time_ms,
            max_block_bytes: u64::from(self.tip.state.params().max_block_bytes),
            observations: self.said.iter().map(|said| &said.body).collect(),
            known: known.collect(),
        }
    }
}

fn derive_from(tip: &Tip, said: &[Said], shelf: &Shelf) -> Result<Derived, MissingBatches> {
    derive(tip, &said.iter().collect::<Vec<_>>(), shelf)
}

/// Lives through a history and looks at every height of it.
fn each_height(plan: &Plan, mut look: impl FnMut(&Scene<'_>) -> Check) -> Check {
    let world = World::new(plan);
    let mut tip = first_tip(plan);
    for height in &plan.heights {
        let said = embedded(&tip, height)
            .into_iter()
            .map(|i| world.observe(plan, &tip, in_turn(&height.observers, i), i))
            .collect();
        let scene = Scene { tip: &tip, shelf: &world.shelf, said };
        look(&scene)?;
        tip = advance(&scene);
    }
    Ok(())
}

/// Those who want to be embedded, and as many more as make a quorum; or nobody.
fn embedded(tip: &Tip, height: &HeightPlan) -> Vec<usize> {
    if height.silent {
        return Vec::new();
    }
    let members = tip.committee().members();
    let seats = |indices: &[usize]| indices.iter().map(|i| members[*i].seats).sum();
    let (mut embedded, others): (Vec<usize>, Vec<usize>) =
        (0..members.len()).partition(|i| in_turn(&height.observers, *i).present);
    for other in others {
        if !tip.committee().is_quorum(seats(&embedded)) {
            embedded.push(other);
        }
    }
    embedded.sort();
    embedded
}

/// The tip after the height.
fn advance(scene: &Scene<'_>) -> Tip {
    let derived = scene.derive().unwrap();
    let hashes = scene.said.iter().map(|said| *said.witness()).collect();
    let header = derived.propose(scene.tip, scene.members()[0].address, hashes).header;
    let mut state = scene.tip.state.clone();
    let outcome = state.apply(&derived.ordered(&header, scene.shelf).unwrap()).outcome;
    Tip { header, id: header.id(), outcome, state }
}

/// A cut, with what has no order in an order.
fn sorted(mut cut: Cut) -> Cut {
    cut.cuts.sort();
    cut.forks.iter_mut().for_each(|fork| fork.digests.sort());
    cut.forks.sort_by_key(|fork| (fork.lane, fork.seq));
    cut
}

// What must hold.

fn follows_the_oracle(scene: &Scene<'_>) -> Check {
    let derived = scene.derive().unwrap();
    let (time_ms, cut) = scene.oracle().block().unwrap();
    prop_assert_eq!(sorted(derived.cut), sorted(cut));
    prop_assert_eq!(derived.time_ms, time_ms);
    let observers: Vec<_> =
        scene.said.iter().map(|s| scene.members()[usize::from(s.body.observer)].address).collect();
    prop_assert_eq!(derived.observers, observers);
    Ok(())
}

/// The ledger has every cut where the oracle says, moved or not.
fn cuts_stand(scene: &Scene<'_>) -> Check {
    let (_, cut) = scene.oracle().block().unwrap();
    let after = advance(scene);
    for member in scene.members() {
        let moved = cut.cuts.iter().find(|(author, _)| *author == member.address);
        let stands = moved.map_or(scene.tip.state.lane(&member.address), |(_, cut)| *cut);
        prop_assert_eq!(after.state.lane(&member.address), stands);
    }
    Ok(())
}

/// Whatever quorum is embedded, what is ordered has support in it.
fn orders_what_is_supported(scene: &Scene<'_>) -> Check {
    let seats = |said: &[Said]| -> u64 {
        said.iter().map(|s| scene.members()[usize::from(s.body.observer)].seats).sum()
    };
    for left_out in 0..scene.said.len() {
        let mut said = scene.said.clone();
        said.remove(left_out);
        if !scene.tip.committee().is_quorum(seats(&said)) {
            continue;
        }
        for ordered in derive_from(scene.tip, &said, scene.shelf).unwrap().cut.batches {
            let names = |s: &&Said| {
                s.body.lanes.iter().any(|lane| {
                    scene.members()[usize::from(lane.author)].address == ordered.lane.author
                        && lane.incarnation == ordered.lane.incarnation
                        && lane.digests.contains(&ordered.digest)
                })
            };
            let named: Vec<Said> = said.iter().filter(names).cloned().collect();
            prop_assert!(scene.tip.committee().is_support(seats(&named)), "{:?}", ordered);
        }
    }
    Ok(())
}

/// Each author's batches come in the order of its lane, from the cut on and without a gap; a
/// later lane starts at its first place. Times never go back.
fn keeps_lanes_in_order(scene: &Scene<'_>) -> Check {
    let cut = scene.derive().unwrap().cut;
    for member in scene.members() {
        let LaneCut { mut incarnation, mut seq, digest: mut before, .. } =
            scene.tip.state.lane(&member.address);
        let mut time_ms = 0;
        for ordered in cut.batches.iter().filter(|o| o.lane.author == member.address) {
            if ordered.lane.incarnation != incarnation {
                prop_assert!(ordered.lane.incarnation > incarnation);
                (incarnation, seq, before) = (ordered.lane.incarnation, 0, BatchDigest::ZERO);
            }
            let batch = &scene.shelf.batches[&ordered.digest];
            prop_assert_eq!((ordered.lane, ordered.seq), (batch.body.lane, batch.body.seq));
            prop_assert_eq!((seq + 1, before), (batch.body.seq, batch.body.parent));
            prop_assert!(ordered.time_ms >= time_ms);
            (seq, before, time_ms) = (ordered.seq, ordered.digest, ordered.time_ms);
        }
    }
    let times: Vec<_> = cut.batches.iter().map(|ordered| ordered.time_ms).collect();
    prop_assert!(times.is_sorted());
    Ok(())
}

fn keeps_within_the_block(scene: &Scene<'_>) -> Check {
    let batches = scene.derive().unwrap().cut.batches;
    let bytes: u64 = batches.iter().map(|ordered| u64::from(ordered.bytes)).sum();
    prop_assert!(bytes <= u64::from(scene.tip.state.params().max_block_bytes));
    for ordered in batches {
        let length = borsh_length(&scene.shelf.batches[&ordered.digest]);
        prop_assert_eq!(u64::from(ordered.bytes), length);
    }
    Ok(())
}

fn borsh_length(batch: &Verified<Batch>) -> u64 {
    borsh::object_length(&**batch).unwrap() as u64
}

fn nobody_orders_nothing(scene: &Scene<'_>) -> Check {
    let derived = derive_from(scene.tip, &[], scene.shelf).unwrap();
    let time_ms = scene.tip.header.time_ms + 1;
    prop_assert_eq!(derived, Derived { time_ms, observers: Vec::new(), cut: Cut::default() });
    Ok(())
}

/// Without some batches: the first that each author's lane lacks is asked for, and no other.
/// Whoever gets what it asks for, again and again, comes to the same block.
fn asks_for_what_it_takes(scene: &Scene<'_>, hide: &[bool]) -> Check {
    let mut shelf = scene.shelf.clone();
    let digests = shelf.batches.keys().copied().enumerate();
    shelf.hidden = digests.filter(|(i, _)| *in_turn(hide, *i)).map(|(_, d)| d).collect();
    loop {
        let lacking = Scene { tip: scene.tip, shelf: &shelf, said: scene.said.clone() };
        let expected = lacking.oracle().block();
        match lacking.derive() {
            Ok(derived) => {
                prop_assert!(expected.is_ok());
                prop_assert_eq!(Ok(derived), scene.derive());
                return Ok(());
            }
            Err(MissingBatches(mut asked)) => {
                asked.sort();
                let mut missing = expected.err().unwrap_or_default();
                missing.sort();
                prop_assert_eq!(&asked, &missing);
                shelf.hidden.retain(|digest| !asked.contains(digest));
            }
        }
    }
}

/// Where an author forks, all comes as if nobody had named anything of it from there on.
fn loses_nothing_to_a_fork(scene: &Scene<'_>) -> Check {
    let forked = sorted(scene.derive().unwrap().cut);
    for fork in &forked.forks {
        let said: Vec<Said> = scene.said.iter().map(|s| silenced(scene, s, fork)).collect();
        let mut expected = sorted(derive_from(scene.tip, &said, scene.shelf).unwrap().cut);
        prop_assert!(!expected.forks.contains(fork));
        expected.forks.push(*fork);
        prop_assert_eq!(sorted(expected), forked.clone());
    }
    Ok(())
}

/// The observation without what it names of the fork's author from the forked place on.
fn silenced(scene: &Scene<'_>, said: &Said, fork: &Fork) -> Said {
    let cut = scene.tip.state.lane(&fork.lane.author);
    let before = if fork.lane.incarnation == cut.incarnation { cut.seq } else { 0 };
    let keep = usize::try_from(fork.seq - before - 1).unwrap();
    let mut body = said.body.clone();
    for lane in &mut body.lanes {
        if scene.members()[usize::from(lane.author)].address == fork.lane.author {
            let keep = match lane.incarnation.cmp(&fork.lane.incarnation) {
                std::cmp::Ordering::Less => lane.digests.len(),
                std::cmp::Ordering::Equal => keep,
                std::cmp::Ordering::Greater => 0,
            };
            lane.digests.truncate(keep);
            lane.ages_ms.truncate(keep);
        }
    }
    body.lanes.retain(|lane| !lane.digests.is_empty());
    sign(scene.tip, body)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(384))]

    #[test]
    fn a_block_is_what_the_text_says(plan in plans()) {
        each_height(&plan, |scene| {
            follows_the_oracle(scene)?;
            cuts_stand(scene)
        })?;
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_is_ordered_has_support_in_every_quorum(plan in plans()) {
        each_height(&plan, orders_what_is_supported)?;
    }

    #[test]
    fn lanes_stay_in_order(plan in plans()) {
        each_height(&plan, keeps_lanes_in_order)?;
    }

    #[test]
    fn blocks_stay_within_their_bytes(plan in plans()) {
        each_height(&plan, keeps_within_the_block)?;
    }

    #[test]
    fn without_observations_nothing_is_ordered(plan in plans()) {
        each_height(&plan, nobody_orders_nothing)?;
    }

    #[test]
    fn missing_batches_are_asked_for(
        plan in plans(),
        hide in prop::collection::vec(prop::bool::weighted(0.3), 1..20),
    ) {
        each_height(&plan, |scene| asks_for_what_it_takes(scene, &hide))?;
    }

    #[test]
    fn a_fork_costs_nothing_but_itself(plan in plans()) {
        each_height(&plan, loses_nothing_to_a_fork)?;
    }
}

#[test]
fn a_batch_too_large_for_its_share_leaves_nothing_to_carry() {
    let view = View { skip: 0, fork: false, counts: (1, 0), ages: [0; 4], slip: Slip::Nothing };
    let lane =
        LanePlan { above: 0, batches: vec![(4, 1)], fork: None, broken: None, misplaced: None };
    let observer = ObserverPlan { present: true, clock: 0, wild: None, views: vec![view] };
    let plan = Plan {
        seats: vec![1, 3],
        large: false,
        room: 126,
        liar: 0,
        authors: vec![vec![lane]],
        heights: vec![HeightPlan { silent: false, observers: vec![observer] }],
    };
    each_height(&plan, |scene| {
        let cut = scene.derive().unwrap().cut;
        let carries = cut.cuts.iter().map(|(_, cut)| cut.carry).collect::<Vec<_>>();
        prop_assert_eq!(cut.batches.iter().map(|o| o.bytes).collect::<Vec<_>>(), [404, 404]);
        prop_assert_eq!(carries, [0, 1170 - 404]);
        follows_the_oracle(scene)
    })
    .unwrap();
}

/// How often the histories come to what the rules are about.
#[derive(Debug, Default)]
struct Reached(BTreeMap<&'static str, usize>);

impl Reached {
    fn add(&mut self, what: &'static str, times: usize) {
        *self.0.entry(what).or_default() += times;
    }

    fn look(&mut self, scene: &Scene<'_>) {
        if scene.said.is_empty() {
            return;
        }
        let oracle = scene.oracle();
        let (time_ms, cut) = oracle.block().unwrap();
        let ties = cut.batches.windows(2).filter(|w| w[0].time_ms == w[1].time_ms);
        self.add("a batch is ordered", cut.batches.len());
        self.add("times are equal", ties.count());
        self.add("a fork stops a lane", cut.forks.len());
        self.add("the median is too early", usize::from(time_ms == oracle.parent_ms + 1));
        for author in 0..oracle.members.len() {
            self.look_at(&oracle, &cut, author);
        }
    }

    fn look_at(&mut self, oracle: &Oracle<'_>, cut: &Cut, author: usize) {
        let Member { address, seats } = oracle.members[author];
        let before = oracle.cuts[author];
        let after = cut.cuts.iter().find(|(author, _)| *author == address);
        let after = after.map_or(before, |(_, cut)| *cut);
        let taken: Vec<_> = cut.batches.iter().filter(|o| o.lane.author == address).collect();
        let bytes = taken.iter().map(|o| u64::from(o.bytes)).sum::<u64>();
        let part = oracle.max_block_bytes * seats / oracle.seats();
        let share = part + u64::from(before.carry);
        let late = |o: &&&Ordered| {
            let place = Place { author, incarnation: o.lane.incarnation, seq: o.seq };
            o.time_ms > oracle.support_time(place, o.digest)
        };
        let left = oracle.walk(author).batches.len() - taken.len();
        let lanes = taken.windows(2).filter(|w| w[0].lane != w[1].lane).count();
        self.add("a later lane opens", usize::from(after.incarnation > before.incarnation));
        self.add("two lanes of an author are ordered", lanes);
        self.add("a batch comes after its support", taken.iter().filter(late).count());
        self.add("a batch is left for want of room", left);
        self.add("an author takes room that was left", usize::from(bytes > share));
        self.add("an author lives on its carry", usize::from(bytes > part && bytes <= share));
        self.add("a carry is full", usize::from(u64::from(after.carry) == 256 * KIB));
    }
}

#[test]
fn the_histories_come_to_every_rule() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for _ in 0..128 {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        each_height(&plan, |scene| {
            reached.look(scene);
            Ok(())
        })
        .unwrap();
    }
    assert!(reached.0.values().all(|times| *times >= 10), "{reached:#?}");
}
