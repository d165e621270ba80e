//! What L1 blocks bring: each event, the digest, each limit.

use weft_types::limits::MAX_FORCED_BYTES;
use weft_types::{BlockId, Bytes, L1Event, L1Events, NamespaceId, Verify};

use crate::document::Vector;
use crate::fixtures::{address, hash_of};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let all = sample();
    let bytes = borsh::to_vec(&all).unwrap();
    let tagged = |tag: u8| {
        let mut bytes = bytes.clone();
        bytes[4] = tag;
        bytes
    };
    let message = |bytes: usize| one(forced(vec![0xab; bytes]));
    let unit = borsh::to_vec(&deposit(1)).unwrap();
    vec![
        vector("none", &L1Events::default(), "accepted"),
        vector("one of each", &all, "accepted"),
        vector("deposit", &one(deposit(u128::MAX)), "accepted"),
        vector("no stake any more", &one(stake(0)), "accepted"),
        vector("the same twice", &L1Events(vec![deposit(1); 2]), "accepted"),
        long("largest message", &message(MAX_FORCED_BYTES), &[0xab], "accepted"),
        long("message too large", &message(MAX_FORCED_BYTES + 1), &[0xab], "forced"),
        long("most bytes", &repeated(MOST), &unit, "accepted"),
        long("too many bytes", &repeated(MOST + 1), &unit, "too_large"),
        vector("empty message", &one(forced(vec![])), "forced"),
        Vector::undecodable::<L1Events>("event tag 4", &tagged(4)),
        Vector::undecodable::<L1Events>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<L1Events>("one byte more", &[&bytes[..], &[0]].concat()),
        Vector::undecodable::<L1Events>("more events than bytes", &u32::MAX.to_le_bytes()),
    ]
}

/// Deposits that a block of 1 MiB has room for.
const MOST: usize = (1024 * 1024 - 4) / (1 + 20 + 16);

fn repeated(count: usize) -> L1Events {
    L1Events(vec![deposit(1); count])
}

/// One event of each kind.
pub(crate) fn sample() -> L1Events {
    let posted = L1Event::Posted {
        height: 1_234_000,
        block: BlockId(hash_of("posted block")),
        poster: address("relayer"),
    };
    let message = forced(b"let me in".to_vec());
    L1Events(vec![deposit(15 * 10u128.pow(17)), stake(32 * 10u128.pow(18)), message, posted])
}

fn one(event: L1Event) -> L1Events {
    L1Events(vec![event])
}

fn deposit(amount: u128) -> L1Event {
    L1Event::Deposit { to: address("rich"), amount }
}

fn stake(stake: u128) -> L1Event {
    L1Event::Stake { validator: address("validator 0"), stake }
}

fn forced(data: Vec<u8>) -> L1Event {
    L1Event::Forced {
        namespace: NamespaceId(845_300),
        index: 70_000,
        sender: address("censored"),
        fee: 10u128.pow(15),
        data: Bytes::from(data),
    }
}

fn vector(name: &str, events: &L1Events, expected: &str) -> Vector {
    complete(Vector::of(name, events), events, expected)
}

fn long(name: &str, events: &L1Events, unit: &[u8], expected: &str) -> Vector {
    complete(Vector::long(name, events, unit), events, expected)
}

fn complete(vector: Vector, events: &L1Events, expected: &str) -> Vector {
    let checked = events.verify(()).map(|witness| {
        assert_eq!(witness.digest, events.digest());
        serde_json::json!({ "digest": witness.digest, "bytes": witness.bytes })
    });
    vector.hash("digest", events.digest()).verdict(expected, checked.map_err(Refusal))
}
