//! Observations of one block, encoded together.

use serde_json::{Value, json};
use weft_types::block::observations_root;
use weft_types::observation::{LaneView, ObservationBody};
use weft_types::{BatchDigest, Observation, ObservationSet, Signable};

use crate::document::Vector;
use crate::fixtures::{CHAIN, NOW, hash_of};
use crate::observation::{body, l1, sign, view};

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = decodable();
    vectors.push(more_lanes_than_the_table_holds());
    vectors.extend(undecodable());
    vectors
}

fn decodable() -> Vec<Vector> {
    let everything: Vec<LaneView> = (0..4).map(|author| view(author, 3, 4)).collect();
    let full = (0..4).map(|observer| body(observer, everything.clone())).collect();

    // Each observer got another part of the way, and not every lane is known to all.
    let partial = vec![
        body(0, vec![view(0, 3, 1), view(1, 5, 2)]),
        body(2, vec![view(0, 3, 4), view(3, 70_000, 1)]),
        body(3, vec![view(1, 5, 1), view(3, 70_000, 3)]),
    ];

    // One author shows different batches to different observers: from its second batch on, and
    // from its first on.
    let third_way = LaneView { digests: vec![digest("another first")], ..view(1, 3, 1) };
    let fork = vec![
        body(0, vec![view(1, 3, 3), view(2, 3, 1)]),
        body(1, vec![forked(3, "another"), view(2, 3, 2)]),
        body(2, vec![third_way]),
        body(3, vec![forked(2, "another"), view(2, 3, 2)]),
    ];

    let two_lanes = vec![
        body(0, vec![view(1, 3, 2), view(1, 4, 2)]),
        body(1, vec![view(1, 4, 1)]),
        body(2, vec![view(1, 3, 3)]),
    ];

    let mut other = l1(3);
    other[2].hash = hash_of("another L1 block");
    let with_l1 = |observer, l1| ObservationBody { l1, ..body(observer, vec![]) };
    let views_of_l1 = vec![
        with_l1(0, l1(2)),
        with_l1(1, l1(4)),
        with_l1(2, other),
        with_l1(3, vec![]),
    ];

    let at = |observer, clock_ms| ObservationBody { clock_ms, ..body(observer, vec![]) };
    let clocks = vec![at(0, NOW), at(1, NOW - 5_000), at(2, u64::MAX), at(3, 0)];
    [
        ("empty", vec![]),
        ("quiet", vec![body(0, vec![]), body(1, vec![]), body(3, vec![])]),
        ("full", full),
        ("parts of lanes", partial),
        ("a forked lane", fork),
        ("two lanes of one author", two_lanes),
        ("views of L1", views_of_l1),
        ("clocks far apart", clocks),
    ]
    .into_iter()
    .map(|(name, bodies)| vector(name, bodies.into_iter().map(sign).collect()))
    .collect()
}

/// The table has all lanes but the last two of those that one observer names.
fn more_lanes_than_the_table_holds() -> Vector {
    let view = |author, incarnation| LaneView {
        author,
        incarnation,
        digests: vec![digest("the same everywhere")],
        ages_ms: vec![5],
    };
    let all = (0..256).flat_map(|author| [view(author, 1), view(author, 2)]).collect();
    let few = vec![view(254, 9), view(255, 2), view(300, 1)];
    let observations: Vec<Observation> = [body(0, all), body(1, few)].map(sign).into();
    let item = hash_of("the same everywhere");
    let of_one = |author: u8, incarnation| [&[author, incarnation, 1, 1], item.as_slice()].concat();
    let unit = [of_one(1, 1), of_one(0, 2)].concat();
    described(observations, |set| Vector::long("more lanes than the table holds", set, &unit))
}

/// Lane 3 of author 1 as [`view`] has it, but other batches from the second on.
fn forked(batches: usize, name: &str) -> LaneView {
    let mut view = view(1, 3, batches);
    for (i, place) in view.digests.iter_mut().enumerate().skip(1) {
        *place = digest(&format!("{name} {i}"));
    }
    view
}

fn digest(name: &str) -> BatchDigest {
    BatchDigest(hash_of(name))
}

/// What a set is made of, to break one part of it.
#[derive(Clone)]
struct Parts {
    /// Count, then author, incarnation, and chains of each.
    lanes: Vec<u8>,
    l1_chains: Vec<u8>,
    observers: u16,
    /// Index and clock, without the signature.
    observer: Vec<u8>,
    /// L1 prefix, nibbles, far prefixes, ages.
    rest: Vec<u8>,
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let head = [&1_234_567u64.to_le_bytes()[..], hash_of("parent").as_slice()].concat();
        let observers = &self.observers.to_le_bytes();
        let observer = [&self.observer[..], &[7; 65], &self.rest].concat();
        let all = observer.repeat(usize::from(self.observers));
        [&head[..], &self.lanes, &self.l1_chains, observers, &all].concat()
    }
}

fn undecodable() -> Vec<Vector> {
    let item = [0xaa; 32];
    let lane = |author: &[u8], incarnation: &[u8], chains: &[u8]| {
        [author, incarnation, chains].concat()
    };
    let chain = [&[1, 1][..], &item].concat();
    let one_lane = |lane: Vec<u8>| [&1u16.to_le_bytes()[..], &lane].concat();
    let two_lanes = |a: Vec<u8>, b: Vec<u8>| [&2u16.to_le_bytes()[..], &a, &b].concat();
    // One observer holds the one batch of the one lane since 1 ms.
    let fine = Parts {
        lanes: one_lane(lane(&[1], &[3], &chain)),
        l1_chains: vec![0],
        observers: 1,
        observer: vec![2, 6],
        rest: vec![0, 0x01, 1, 0],
    };
    assert!(borsh::from_slice::<ObservationSet>(&fine.bytes()).is_ok());
    let lanes = |lanes| Parts { lanes, ..fine.clone() };
    let observer = |observer| Parts { observer, ..fine.clone() };
    let rest = |rest| Parts { rest, ..fine.clone() };
    let l1 = |l1_chains: Vec<u8>, prefix: &[u8]| Parts {
        l1_chains,
        rest: [prefix, &[0x01, 1, 0]].concat(),
        ..fine.clone()
    };
    let l1_chain = [&[1, 1][..], &[0xbb; 64]].concat();
    assert!(borsh::from_slice::<ObservationSet>(&l1(l1_chain.clone(), &[1, 0]).bytes()).is_ok());

    // The same, with a lane outside of the table.
    let outside = |lanes_outside: &[u8]| Parts {
        lanes: [&[1, 0x80][..], &lane(&[1], &[3], &chain)].concat(),
        rest: [&[0, 0x01, 1, 0][..], lanes_outside].concat(),
        ..fine.clone()
    };
    let full = |author: u8, incarnation: u8| [&[author, incarnation * 4][..], &item, &[1, 0]].concat();
    let one_outside = |lane: Vec<u8>| outside(&[&[1][..], &lane].concat());
    for parts in [outside(&[0]), one_outside(full(1, 4)), one_outside(full(0, 3))] {
        assert!(borsh::from_slice::<ObservationSet>(&parts.bytes()).is_ok());
    }

    let five = [&[1, 5][..], &item.repeat(5)].concat();
    let nine = [&[1, 9][..], &[0xbb; 64].repeat(9)].concat();
    let again = two_lanes(lane(&[1], &[3], &chain), lane(&[0], &[3], &chain));
    let before = two_lanes(lane(&[1], &[3], &chain), lane(&[0], &[2], &chain));
    let broken = [
        ("a nibble beyond the chain", rest(vec![0, 0x02, 1, 0, 1, 0])),
        ("a nibble without a meaning", rest(vec![0, 0x05, 1, 0])),
        ("padding not zero", rest(vec![0, 0x11, 1, 0])),
        ("a far prefix of no chain", rest(vec![0, 0x0f, 1, 1, 1, 0])),
        ("a far prefix beyond the chain", rest(vec![0, 0x0f, 0, 2, 1, 0, 1, 0])),
        ("a far prefix of nothing", rest(vec![0, 0x0f, 0, 0])),
        ("a far prefix not in the shortest form", rest(vec![0, 0x0f, 0x80, 0, 1, 1, 0])),
        ("no age", rest(vec![0, 0x01])),
        ("a chain of nothing", lanes(one_lane(lane(&[1], &[3], &[2, 1, 0])))),
        ("a chain of five batches", lanes(one_lane(lane(&[1], &[3], &five)))),
        ("a lane twice", Parts { rest: vec![0, 0x11, 1, 0, 1, 0], ..lanes(again) }),
        ("lanes descending", Parts { rest: vec![0, 0x11, 1, 0, 1, 0], ..lanes(before) }),
        (
            "incarnation above 32 bits",
            lanes(one_lane(lane(&[1], &[0x80, 0x80, 0x80, 0x80, 0x10], &chain))),
        ),
        ("author above 65535", lanes(one_lane(lane(&[0x80, 0x80, 4], &[3], &chain)))),
        ("author not in the shortest form", lanes(one_lane(lane(&[0x81, 0], &[3], &chain)))),
        ("an L1 prefix of no chain", l1(vec![0], &[1, 0])),
        ("an L1 prefix beyond the chain", l1(l1_chain, &[2, 0])),
        ("an L1 chain of nine blocks", l1(nine, &[0])),
        ("an observer twice", Parts { observers: 2, ..observer(vec![0, 6]) }),
        ("observer above 65535", observer(vec![0x80, 0x80, 4, 6])),
        ("clock not in the shortest form", observer(vec![2, 0x86, 0])),
        ("no lanes outside where some are announced", outside(&[])),
        ("lanes outside that are not announced", rest(vec![0, 0x01, 1, 0, 0])),
        ("a lane outside that the table has", one_outside(full(1, 3))),
        ("a lane outside twice", outside(&[&[2][..], &full(1, 4), &full(0, 4)].concat())),
        ("fewer lanes outside than counted", outside(&[&[2][..], &full(1, 4)].concat())),
        ("more lanes outside than there can be", outside(&[0x80, 4])),
    ];
    let bytes = fine.bytes();
    let cut = [
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
    ];
    let broken = broken.into_iter().map(|(name, parts)| (name, parts.bytes()));
    cut.into_iter()
        .chain(broken)
        .map(|(name, bytes)| Vector::undecodable::<ObservationSet>(name, &bytes))
        .collect()
}

/// Observations as JSON.
pub(crate) fn content(observations: &[Observation]) -> Value {
    serde_json::to_value(observations).unwrap()
}

fn vector(name: &str, observations: Vec<Observation>) -> Vector {
    described(observations, |set| Vector::with_content(name, set, content(set.as_slice())))
}

fn described(
    observations: Vec<Observation>,
    vector: impl FnOnce(&ObservationSet) -> Vector,
) -> Vector {
    let hashes: Vec<_> = observations.iter().map(|o| o.body.hash()).collect();
    let signers: Vec<_> = observations
        .iter()
        .map(|o| o.signature.recover(o.body.slot().signing_hash(CHAIN, o.body.hash().0)).unwrap())
        .collect();
    let set = ObservationSet::new(observations).unwrap();
    vector(&set)
        .context("chain_id", CHAIN.to_string())
        .hash("hashes", &hashes)
        .hash("observations_root", observations_root(&hashes))
        .verdict("accepted", Ok::<_, String>(json!({ "signers": signers })))
}
