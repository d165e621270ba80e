//! Observations: what they can say, each rule of form, and their varints.

use weft_types::observation::{L1Block, LaneView, ObservationBody};
use weft_types::{
    B256, BatchDigest, BlockId, Committee, Observation, SecretKey, Signable, Signed, Verify,
};

use crate::document::Vector;
use crate::fixtures::{CHAIN, NOW, committee, hash_of, signing, twin, validators};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = accepted();
    vectors.extend(refused());
    vectors.extend(undecodable());
    vectors
}

fn accepted() -> Vec<Vector> {
    let every_lane = (0..4).map(|author| view(author, 3, 4)).collect();
    let mut far = view(2, u32::MAX, 2);
    far.ages_ms = vec![u16::MAX, 0];
    let last = ObservationBody { height: u64::MAX, clock_ms: u64::MAX, ..body(3, vec![]) };
    [
        ("quiet", body(0, vec![])),
        ("one batch", body(1, vec![view(0, 0, 1)])),
        ("four batches of everyone", body(2, every_lane)),
        ("two lanes of one author", body(3, vec![view(1, 3, 3), view(1, 4, 1)])),
        ("highest incarnation and age", body(0, vec![far])),
        ("L1 blocks", ObservationBody { l1: l1(2), ..body(1, vec![view(3, 1, 1)]) }),
        ("most L1 blocks", ObservationBody { l1: l1(8), ..body(1, vec![]) }),
        ("largest numbers", last),
    ]
    .into_iter()
    .map(|(name, body)| vector(name, &sign(body), "accepted"))
    .collect()
}

fn refused() -> Vec<Vector> {
    let fine = sign(body(1, vec![view(0, 3, 2)]));
    let stolen = Signed { body: body(2, vec![view(0, 3, 2)]), signature: fine.signature };
    let high_s = Signed { body: fine.body.clone(), signature: twin(fine.signature) };
    let elsewhere = Signed::new(fine.body, CHAIN + 1, &validators(4)[1]);
    let mut refused: Vec<Vector> = [
        ("observer outside the committee", body(4, vec![]), "unknown_observer"),
        ("author outside the committee", body(1, vec![view(4, 1, 1)]), "unknown_author"),
        ("author far outside the committee", body(1, vec![view(300, 1, 1)]), "unknown_author"),
        ("incarnations descending", body(1, vec![view(2, 4, 1), view(2, 3, 1)]), "unsorted"),
        ("a lane twice", body(1, vec![view(2, 3, 1), view(2, 3, 1)]), "unsorted"),
        (
            "three lanes of one author",
            body(1, vec![view(2, 3, 1), view(2, 4, 1), view(2, 5, 1)]),
            "too_much_of_author",
        ),
        (
            "five batches of one author",
            body(1, vec![view(2, 3, 4), view(2, 4, 1)]),
            "too_much_of_author",
        ),
    ]
    .into_iter()
    .map(|(name, body, reason)| vector(name, &sign(body), reason))
    .collect();
    refused.push(vector("another observer", &stolen, "signature/wrong_signer"));
    refused.push(vector("another chain", &elsewhere, "signature/wrong_signer"));
    refused.push(vector("high s", &high_s, "signature/high_s"));
    refused
}

fn undecodable() -> Vec<Vector> {
    let fine = borsh::to_vec(&sign(body(1, vec![view(0, 3, 1)]))).unwrap();
    // height, parent, observer and clock.
    let head = &fine[..8 + 32 + 2 + 8];
    let raw = |lanes: u16, lane: &[u8], l1: u8| {
        let l1_blocks = vec![0xcd; usize::from(l1) * 64];
        [head, &lanes.to_le_bytes(), lane, &[l1], &l1_blocks, &[7; 65]].concat()
    };
    let one_lane = |author: &[u8], incarnation_and_batches: &[u8]| {
        raw(1, &[author, incarnation_and_batches, &[0xaa; 32], &[1, 0]].concat(), 0)
    };
    assert!(borsh::from_slice::<Observation>(&one_lane(&[1], &[0])).is_ok());
    assert!(borsh::from_slice::<Observation>(&raw(0, &[], 8)).is_ok());
    let above_u16 = [[0xff, 0xff, 3].as_slice(), &[0], &[0xaa; 32], &[1, 0]].concat();
    let and_one_more = [above_u16.as_slice(), &[1], &[0], &[0xaa; 32], &[1, 0]].concat();
    [
        ("one byte short", fine[..fine.len() - 1].to_vec()),
        ("one byte more", [&fine[..], &[0]].concat()),
        ("author not in the shortest form", one_lane(&[0x81, 0], &[0])),
        ("incarnation not in the shortest form", one_lane(&[1], &[0x80, 0x80, 0])),
        ("author above 65535", one_lane(&[0x80, 0x80, 4], &[0])),
        ("sum of authors above 65535", raw(2, &and_one_more, 0)),
        // 2^34, of which a quarter is the incarnation.
        ("incarnation above 32 bits", one_lane(&[1], &[0x80, 0x80, 0x80, 0x80, 0x40])),
        (
            "varint above 64 bits",
            one_lane(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[0]),
        ),
        ("nine L1 blocks", raw(0, &[], 9)),
        ("more lanes than bytes", raw(2, &[&[1, 0][..], &[0xaa; 32], &[1, 0]].concat(), 0)),
    ]
    .into_iter()
    .map(|(name, bytes)| Vector::undecodable::<Observation>(name, &bytes))
    .collect()
}

/// What an observer holds of a lane: its first batches, the oldest for the longest.
pub(crate) fn view(author: u16, incarnation: u32, batches: usize) -> LaneView {
    let digest = |seq| BatchDigest(hash_of(&format!("batch {author}/{incarnation}/{seq}")));
    LaneView {
        author,
        incarnation,
        digests: (1..=batches).map(digest).collect(),
        ages_ms: (1..=batches as u16).rev().map(|back| back * 260 + author).collect(),
    }
}

/// So many L1 blocks.
pub(crate) fn l1(blocks: usize) -> Vec<L1Block> {
    let block = |i| L1Block {
        hash: hash_of(&format!("L1 block {i}")),
        events_digest: hash_of(&format!("events of L1 block {i}")).into(),
    };
    (0..blocks).map(block).collect()
}

pub(crate) fn body(observer: u16, lanes: Vec<LaneView>) -> ObservationBody {
    ObservationBody {
        height: 1_234_567,
        parent: BlockId(hash_of("parent")),
        observer,
        clock_ms: NOW + 17 * u64::from(observer),
        lanes,
        l1: vec![],
    }
}

/// Signed by its observer, or by the first validator if there is no such observer.
pub(crate) fn sign(body: ObservationBody) -> Observation {
    let keys = validators(4);
    let key = keys.get(usize::from(body.observer)).unwrap_or(&keys[0]);
    Signed::new(body, CHAIN, key)
}

fn four() -> (Vec<SecretKey>, Committee) {
    let keys = validators(4);
    let committee = committee(&keys, &[1; 4]);
    (keys, committee)
}

fn vector(name: &str, observation: &Observation, expected: &str) -> Vector {
    let (_, committee) = four();
    let checked = observation.verify((CHAIN, &committee));
    let body = &observation.body;
    let signing_hash: B256 = body.slot().signing_hash(CHAIN, body.hash().0);
    let signer = observation.signature.recover(signing_hash).ok();
    Vector::of(name, observation)
        .context("chain_id", CHAIN.to_string())
        .context("committee", committee.members())
        .hash("validators_hash", committee.hash())
        .hash("signing", signing(body.slot(), CHAIN, body.body_hash()))
        .hash("hash", body.hash())
        .verdict(
            expected,
            checked.map(|_| serde_json::json!({ "signer": signer })).map_err(Refusal),
        )
}
