//! Tests of observations and of their set encoding.

use alloy_primitives::Address;
use proptest::prelude::*;

use super::*;
use crate::{Member, SecretKey, Unverified};

const CHAIN: u64 = 5;

fn keys(n: usize) -> (Vec<SecretKey>, Committee) {
    let mut keys: Vec<SecretKey> = (0..n)
        .map(|i| {
            let mut bytes = [1; 32];
            bytes[30..].copy_from_slice(&(i as u16 + 1).to_be_bytes());
            SecretKey::from_bytes(bytes).unwrap()
        })
        .collect();
    keys.sort_by_key(SecretKey::address);
    let members = keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect();
    (keys, Committee::new(members).unwrap())
}

fn digest(author: u16, seq: usize) -> BatchDigest {
    BatchDigest(keccak256(&[&author.to_be_bytes(), &(seq as u64).to_be_bytes()]))
}

fn view(author: u16, batches: usize) -> LaneView {
    LaneView {
        author,
        incarnation: 3,
        digests: (1..=batches).map(|seq| digest(author, seq)).collect(),
        ages_ms: (0..batches as u16).map(|i| 300 - i * 7 + author).collect(),
    }
}

fn body(observer: u16, lanes: Vec<LaneView>) -> ObservationBody {
    ObservationBody {
        height: 9,
        parent: BlockId(B256::repeat_byte(4)),
        observer,
        clock_ms: 1_790_000_000_000 + u64::from(observer) * 3,
        lanes,
        l1: vec![],
    }
}

fn unsigned(body: ObservationBody) -> Observation {
    Observation { body, signature: crate::Signature([7; 65]) }
}

#[test]
fn check_names_what_is_wrong() {
    let (keys, committee) = keys(4);
    let sign = |body: ObservationBody| {
        let key = keys.get(usize::from(body.observer)).unwrap_or(&keys[0]);
        // Bodies that break a rule may not encode; their signature is never reached.
        let hash = borsh::to_vec(&body).map(|bytes| keccak256(&[&bytes])).unwrap_or_default();
        let signature = key.sign(body.slot().signing_hash(CHAIN, hash));
        Observation { body, signature }
    };
    let check = |body| sign(body).verify((CHAIN, &committee));

    let fine = body(1, vec![view(0, 2), view(2, 4)]);
    assert_eq!(check(fine.clone()), Ok(fine.hash()));
    let verified = Unverified::new(sign(fine.clone())).verify((CHAIN, &committee)).unwrap();
    assert_eq!(*verified.witness(), fine.hash());

    assert_eq!(check(body(4, vec![])), Err(ObservationError::UnknownObserver(4)));
    assert_eq!(check(body(1, vec![view(4, 1)])), Err(ObservationError::UnknownAuthor(4)));
    assert_eq!(check(body(1, vec![view(2, 1), view(0, 1)])), Err(ObservationError::Unsorted));
    assert_eq!(check(body(1, vec![view(2, 1), view(2, 1)])), Err(ObservationError::Unsorted));
    let newer = |batches| LaneView { incarnation: 4, ..view(2, batches) };
    assert!(check(body(1, vec![view(2, 2), newer(2)])).is_ok());
    assert_eq!(
        check(body(1, vec![view(2, 2), newer(3)])),
        Err(ObservationError::TooMuchOfAuthor(2))
    );
    let newest = LaneView { incarnation: 5, ..view(2, 1) };
    assert_eq!(
        check(body(1, vec![view(2, 1), newer(1), newest])),
        Err(ObservationError::TooMuchOfAuthor(2))
    );
    let ageless = LaneView { ages_ms: vec![], ..view(2, 1) };
    assert_eq!(check(body(1, vec![ageless])), Err(ObservationError::MalformedLane(2)));
    let block = L1Block { hash: B256::ZERO, events_digest: EventsDigest::ZERO };
    let many = ObservationBody { l1: vec![block; MAX_L1_BLOCKS + 1], ..fine.clone() };
    assert_eq!(check(many), Err(ObservationError::TooManyL1Blocks(MAX_L1_BLOCKS + 1)));
    let stolen = Observation { signature: keys[0].sign(B256::ZERO), body: fine };
    assert!(matches!(stolen.verify((CHAIN, &committee)), Err(ObservationError::Signature(_))));
}

/// Protocol section 4: at 100 seats an observation stays under 14 KB and a block's observations
/// near 110 KB, with every lane full.
#[test]
fn stays_small_at_100_seats() {
    for (seats, one, all) in [(4, 700, 2_000), (25, 3_600, 13_000), (100, 14_000, 112_000)] {
        let lanes: Vec<LaneView> =
            (0..seats).map(|author| view(author, MAX_UNORDERED_BATCHES)).collect();
        let observations: Vec<Observation> =
            (0..seats).map(|observer| unsigned(body(observer, lanes.clone()))).collect();
        let single = borsh::to_vec(&observations[0]).unwrap().len();
        let set = ObservationSet::new(observations).unwrap();
        let together = borsh::to_vec(&set).unwrap().len();
        assert!(single < one, "{seats} seats: an observation has {single} bytes");
        assert!(together < all, "{seats} seats: a block's observations have {together} bytes");
    }
}

/// A view of a lane that nobody else has.
fn lie(observer: u16, author: u16, batches: usize, which: u32) -> LaneView {
    let name = (usize::from(observer) << 20) + which as usize * 8;
    LaneView {
        author,
        incarnation: u32::MAX / 2 + u32::from(observer) * 2 + which,
        digests: (0..batches).map(|i| digest(author, name + i)).collect(),
        ages_ms: vec![u16::MAX; batches],
    }
}

fn comes_back(set: &ObservationSet) -> usize {
    let bytes = borsh::to_vec(set).unwrap();
    assert_eq!(&borsh::from_slice::<ObservationSet>(&bytes).unwrap(), set);
    bytes.len()
}

/// 33 of 100 push another lane to each observer, and name lanes that are none.
#[test]
fn liars_cannot_make_a_set_that_does_not_come_back() {
    let is_liar = |member: u16| member % 3 == 1;
    let lanes = |observer: u16| -> Vec<LaneView> {
        (0..100u16)
            .flat_map(|author| match (is_liar(observer), is_liar(author)) {
                (true, _) => vec![lie(observer, author, 2, 0), lie(observer, author, 2, 1)],
                (false, true) => vec![lie(observer, author, 4, 0)],
                (false, false) => vec![view(author, 4)],
            })
            .collect()
    };
    let observations: Vec<Observation> = (0..100).map(|o| unsigned(body(o, lanes(o)))).collect();
    assert_eq!(observations.iter().filter(|o| is_liar(o.body.observer)).count(), 33);
    let alone: usize = observations.iter().map(|o| borsh::object_length(o).unwrap()).sum();
    let set = ObservationSet::new(observations).unwrap();
    let together = comes_back(&set);
    // What honest observers share still stands once: 67 lanes of four, for 66 of 67 observers.
    assert!(together < alone - 66 * 67 * 4 * 32 + 100 * MAX_LANES, "{together} of {alone}");
}

#[test]
fn the_largest_committee_that_agrees_on_nothing_fits() {
    let lanes = |observer: u16| {
        let both = |author| [lie(observer, author, 2, 0), lie(observer, author, 2, 1)];
        (0..MAX_COMMITTEE as u16).flat_map(both).collect()
    };
    let l1 = |observer: u16| {
        let block = |i| L1Block { hash: digest(observer, i).0, events_digest: EventsDigest::ZERO };
        (0..MAX_L1_BLOCKS).map(block).collect()
    };
    let observation = |o| unsigned(ObservationBody { l1: l1(o), ..body(o, lanes(o)) });
    let observations = (0..MAX_COMMITTEE as u16).map(observation).collect();
    let bytes = comes_back(&ObservationSet::new(observations).unwrap());
    assert!(bytes <= MAX_SET_BYTES, "{bytes} bytes");
    assert!(bytes > MAX_SET_BYTES * 9 / 10, "{bytes} bytes: the bound is far off");
}

/// Who is in the table: the lanes that most observers name, of equals the first.
#[test]
fn the_table_has_the_lanes_that_most_name() {
    let named = |author: u16, incarnation| LaneView { incarnation, ..view(author, 1) };
    let all = (0..256).flat_map(|a| [named(a, 1), named(a, 2)]).collect();
    let few = vec![named(254, 9), named(255, 2), named(300, 1)];
    let set = ObservationSet::new(vec![unsigned(body(0, all)), unsigned(body(1, few))]).unwrap();
    comes_back(&set);
    let (lanes, some_outside) = set::collect_lanes(set.as_slice());
    let keys: Vec<_> = lanes.iter().map(set::Lane::key).collect();
    assert!(some_outside && keys.len() == MAX_LANES);
    assert!(keys.contains(&(254, 9)) && keys.contains(&(255, 2)));
    assert!(!keys.contains(&(255, 1)) && !keys.contains(&(300, 1)));
}

#[test]
fn set_refuses_disorder() {
    let (a, b) = (unsigned(body(1, vec![])), unsigned(body(2, vec![])));
    assert!(ObservationSet::new(vec![a.clone(), b.clone()]).is_ok());
    assert_eq!(ObservationSet::new(vec![b.clone(), a.clone()]), Err(set::SetError::Unsorted));
    assert_eq!(ObservationSet::new(vec![a.clone(), a.clone()]), Err(set::SetError::Unsorted));
    let mut other = b;
    other.body.height += 1;
    assert_eq!(ObservationSet::new(vec![a, other]), Err(set::SetError::Mixed));
}

fn any_lane() -> impl Strategy<Value = (u16, u32, Vec<u8>, u16)> {
    (0u16..6, 0u32..3, proptest::collection::vec(0u8..3, 1..=MAX_UNORDERED_BATCHES), any::<u16>())
}

fn any_body(observer: u16) -> impl Strategy<Value = ObservationBody> {
    let lanes = proptest::collection::vec(any_lane(), 0..8);
    let l1 = proptest::collection::vec(0u8..3, 0..=MAX_L1_BLOCKS);
    (lanes, l1, any::<u64>()).prop_map(move |(mut lanes, l1, clock_ms)| {
        lanes.sort();
        lanes.dedup_by_key(|l| (l.0, l.1));
        let lanes = lanes
            .into_iter()
            .map(|(author, incarnation, digests, age)| LaneView {
                author,
                incarnation,
                ages_ms: (0..digests.len() as u16).map(|i| age.wrapping_sub(i)).collect(),
                digests: digests.into_iter().map(|d| digest(author, d.into())).collect(),
            })
            .collect();
        let l1 = l1
            .into_iter()
            .map(|b| L1Block { hash: B256::repeat_byte(b), events_digest: EventsDigest::ZERO })
            .collect();
        ObservationBody { clock_ms, lanes, l1, ..body(observer, vec![]) }
    })
}

proptest! {
    #[test]
    fn every_observation_comes_back_from_the_set(
        bodies in (any_body(0), any_body(1), any_body(3), any_body(300)),
        signatures: [u8; 4],
    ) {
        let observations: Vec<Observation> = [bodies.0, bodies.1, bodies.2, bodies.3]
            .into_iter()
            .zip(signatures)
            .map(|(body, s)| Observation { body, signature: crate::Signature([s; 65]) })
            .collect();
        let set = ObservationSet::new(observations).unwrap();
        let bytes = borsh::to_vec(&set).unwrap();
        prop_assert_eq!(borsh::from_slice::<ObservationSet>(&bytes).unwrap(), set);
    }

    #[test]
    fn body_round_trips_and_has_one_encoding(body in any_body(2)) {
        let bytes = borsh::to_vec(&body).unwrap();
        prop_assert_eq!(&borsh::from_slice::<ObservationBody>(&bytes).unwrap(), &body);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = borsh::from_slice::<ObservationBody>(&changed) {
                prop_assert_ne!(&other, &body);
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = borsh::from_slice::<ObservationBody>(&bytes);
        let _ = borsh::from_slice::<ObservationSet>(&bytes);
    }
}

#[test]
fn addresses_never_travel() {
    let (_, committee) = keys(4);
    let bytes = borsh::to_vec(&unsigned(body(1, vec![view(0, 2)]))).unwrap();
    for member in committee.members() {
        let address: Address = member.address;
        assert!(!bytes.windows(20).any(|w| w == address.as_slice()));
    }
}
