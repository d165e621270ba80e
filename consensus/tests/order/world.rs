//! Random histories: who says what of which batches, height after height.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use weft_consensus::build::{Derived, derive};
use weft_consensus::content::Missing;
use weft_consensus::cut::Cut;
use weft_consensus::tip::Tip;
use weft_types::*;

use super::oracle::*;
use super::support::cramped;
use super::{CHAIN, Check, MEMBERS, START_MS};

/// A history: who there is, what the lanes hold, and what is said of them at each height.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seats: Vec<u64>,
    /// Blocks and batches of the size the protocol allows, instead of small ones.
    pub(crate) large: bool,
    /// How large blocks are, in thousandths of the range.
    pub(crate) room: u32,
    /// Who may have a wild clock.
    pub(crate) liar: usize,
    pub(crate) authors: Vec<Vec<LanePlan>>,
    pub(crate) heights: Vec<HeightPlan>,
}

/// A lane, open after the lane before.
#[derive(Clone, Debug)]
pub(crate) struct LanePlan {
    pub(crate) above: u32,
    pub(crate) batches: Vec<Content>,
    /// Another chain that leaves this one at a place.
    pub(crate) fork: Option<(usize, Vec<Content>)>,
    /// The place whose batch does not link to the one before.
    pub(crate) broken: Option<usize>,
    /// The place whose batch says that it stands in the next.
    pub(crate) misplaced: Option<usize>,
}

/// Which transactions a batch has: the first, and how many.
pub(crate) type Content = (usize, usize);

#[derive(Clone, Debug)]
pub(crate) struct HeightPlan {
    pub(crate) silent: bool,
    /// Of the members in turn, as are the views of authors in turn.
    pub(crate) observers: Vec<ObserverPlan>,
}

#[derive(Clone, Debug)]
pub(crate) struct ObserverPlan {
    pub(crate) present: bool,
    pub(crate) clock: u64,
    pub(crate) wild: Option<u64>,
    pub(crate) views: Vec<View>,
}

/// What an observer names of an author: some of its open lane, and some of the one after.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) skip: usize,
    pub(crate) fork: bool,
    pub(crate) counts: (usize, usize),
    pub(crate) ages: [u16; 4],
    pub(crate) slip: Slip,
}

/// What an observer gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
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

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
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

pub(crate) fn lane_plan() -> impl Strategy<Value = LanePlan> {
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

pub(crate) fn height_plan() -> impl Strategy<Value = HeightPlan> {
    let observers = prop::collection::vec(observer_plan(), 1..=MEMBERS);
    (prop::bool::weighted(0.08), observers)
        .prop_map(|(silent, observers)| HeightPlan { silent, observers })
}

pub(crate) fn observer_plan() -> impl Strategy<Value = ObserverPlan> {
    let wild = prop_oneof![Just(0), Just(3), Just(u64::MAX)];
    let views = prop::collection::vec(view(), 1..=MEMBERS);
    (prop::bool::weighted(0.7), 0u64..40, prop::option::weighted(0.3, wild), views)
        .prop_map(|(present, clock, wild, views)| ObserverPlan { present, clock, wild, views })
}

pub(crate) fn view() -> impl Strategy<Value = View> {
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

pub(crate) fn in_turn<T>(items: &[T], index: usize) -> &T {
    &items[index % items.len()]
}

/// Keys of members, ascending by address.
pub(crate) static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let mut keys: Vec<SecretKey> =
        (1..=7).map(|byte| SecretKey::from_bytes([byte; 32]).unwrap()).collect();
    keys.sort_by_key(SecretKey::address);
    keys
});

/// Transactions to fill batches with: small ones, then large ones, then one for forks.
pub(crate) static TRANSACTIONS: LazyLock<Vec<Verified<Transaction>>> = LazyLock::new(|| {
    let small = (0..12).map(|i| 1 + 37 * i);
    let large = (0..12).map(|i| 20_000 + 9_001 * i);
    small.chain(large).chain([2]).map(transaction).collect()
});

pub(crate) fn transaction(bytes: usize) -> Verified<Transaction> {
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
pub(crate) struct Shelf {
    pub(crate) batches: BTreeMap<BatchDigest, Verified<Batch>>,
    pub(crate) hidden: BTreeSet<BatchDigest>,
}

impl weft_consensus::Content for Shelf {
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>> {
        self.batches.get(digest).filter(|_| !self.hidden.contains(digest))
    }

    fn events(&self, _: &EventsDigest) -> Option<&Verified<L1Events>> {
        None
    }
}

/// A lane's chains: the main one, and the one that leaves it.
pub(crate) struct Lane {
    pub(crate) incarnation: u32,
    pub(crate) chains: [Vec<BatchDigest>; 2],
}

pub(crate) struct World {
    pub(crate) large: bool,
    pub(crate) lanes: Vec<Vec<Lane>>,
    pub(crate) shelf: Shelf,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
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

    pub(crate) fn lane(&mut self, author: usize, incarnation: u32, plan: &LanePlan) -> Lane {
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

    pub(crate) fn seal(
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
    pub(crate) fn views(
        &self,
        tip: &Tip,
        observer: usize,
        author: usize,
        view: &View,
    ) -> Vec<LaneView> {
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
    pub(crate) fn observe(
        &self,
        plan: &Plan,
        tip: &Tip,
        says: &ObserverPlan,
        observer: usize,
    ) -> Said {
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
pub(crate) fn slipped(
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

pub(crate) type Said = Verified<Observation>;

pub(crate) fn sign(tip: &Tip, body: ObservationBody) -> Said {
    let key = &KEYS[usize::from(body.observer)];
    Unverified::new(Signed::new(body, CHAIN, key)).verify((CHAIN, tip.committee())).unwrap()
}

/// A network that has decided nothing yet. Its blocks may be smaller than any genesis allows.
pub(crate) fn first_tip(plan: &Plan) -> Tip {
    let max_block_bytes = if plan.large { 262_144 + plan.room * 700 } else { 300 + plan.room * 10 };
    let members = KEYS.iter().zip(&plan.seats);
    let genesis = Genesis {
        chain_id: CHAIN,
        time_ms: START_MS,
        l1_origin: L1Origin::default(),
        l1: None,
        params: Params::default(),
        stakes: Vec::new(),
        validators: members.map(|(k, &seats)| Member { address: k.address(), seats }).collect(),
        accounts: Vec::new(),
        namespaces: Vec::new(),
    };
    cramped(&genesis, max_block_bytes)
}

/// One height: what it starts from and what was said.
pub(crate) struct Scene<'a> {
    pub(crate) tip: &'a Tip,
    pub(crate) shelf: &'a Shelf,
    pub(crate) said: Vec<Said>,
}

impl Scene<'_> {
    pub(crate) fn derive(&self) -> Result<Derived, Missing> {
        derive_from(self.tip, &self.said, self.shelf)
    }

    pub(crate) fn members(&self) -> &[Member] {
        self.tip.committee().members()
    }

    pub(crate) fn oracle(&self) -> Oracle<'_> {
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

pub(crate) fn derive_from(tip: &Tip, said: &[Said], shelf: &Shelf) -> Result<Derived, Missing> {
    derive(tip, &said.iter().collect::<Vec<_>>(), shelf)
}

/// Lives through a history and looks at every height of it.
pub(crate) fn each_height(plan: &Plan, mut look: impl FnMut(&Scene<'_>) -> Check) -> Check {
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
pub(crate) fn embedded(tip: &Tip, height: &HeightPlan) -> Vec<usize> {
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
pub(crate) fn advance(scene: &Scene<'_>) -> Tip {
    let derived = scene.derive().unwrap();
    let hashes = scene.said.iter().map(|said| *said.witness()).collect();
    let header = derived.propose(scene.tip, scene.members()[0].address, hashes).header;
    let mut state = scene.tip.state.clone();
    let outcome = state.apply(&derived.ordered(&header, scene.shelf).unwrap()).outcome;
    Tip { header, id: header.id(), outcome, state }
}

/// A cut, with what has no order in an order.
pub(crate) fn sorted(mut cut: Cut) -> Cut {
    cut.cuts.sort();
    cut.forks.iter_mut().for_each(|fork| fork.digests.sort());
    cut.forks.sort_by_key(|fork| (fork.lane, fork.seq));
    cut
}
