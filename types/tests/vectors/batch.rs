//! Batches: a lane's first and second, each rule of form, and the limit of size.

use serde_json::{Value, json};
use weft_types::limits::MAX_BATCH_BYTES;
use weft_types::{
    Batch, BatchBody, BatchDigest, Bytes, LaneId, NamespaceId, Payload, Signable, Signed,
    Transaction, Verify,
};

use crate::document::Vector;
use crate::fixtures::{CHAIN, account, hash_of, signing, twin, validators};
use crate::refusal::Refusal;
use crate::transaction::{self, body, sign, submission};

pub(crate) fn vectors() -> Vec<Vector> {
    let first = sample(1, BatchDigest::ZERO, vec![submission(7, b"one"), submission(9, b"two")]);
    let second = sample(2, first.body.digest(), vec![submission(7, b"three")]);
    let spoilt = Transaction { signature: twin(transaction::sample().signature), ..transaction::sample() };
    let foreign = {
        let mut body = transaction::sample().body;
        body.chain_id = CHAIN + 1;
        Signed::new(body, CHAIN + 1, &account("sender"))
    };
    let mixed = sample(3, second.body.digest(), vec![spoilt, submission(7, b"four"), foreign]);

    let some = || vec![submission(7, b"one")];
    let parent = BatchDigest(hash_of("parent"));
    let mut stolen = first.clone();
    stolen.body.lane.author = validators(4)[1].address();
    let elsewhere = Signed::new(first.body.clone(), CHAIN + 1, &validators(4)[0]);

    let bytes = borsh::to_vec(&first).unwrap();
    // author, incarnation, seq and parent, then the list.
    let list = 20 + 4 + 8 + 32;
    let mut overlong = bytes.clone();
    overlong[list..list + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        vector("first of a lane", &first, "accepted"),
        vector("second of a lane", &second, "accepted"),
        vector("with two malformed transactions", &mixed, "accepted"),
        vector("largest numbers", &largest_numbers(), "accepted"),
        long("largest", &of_size(MAX_BATCH_BYTES), "accepted"),
        long("one byte too large", &of_size(MAX_BATCH_BYTES + 1), "too_large"),
        vector("no transactions", &sample(1, BatchDigest::ZERO, vec![]), "empty"),
        vector("place 0", &sample(0, BatchDigest::ZERO, some()), "parent"),
        vector("first with a parent", &sample(1, parent, some()), "parent"),
        vector("second without a parent", &sample(2, BatchDigest::ZERO, some()), "parent"),
        vector("another author", &stolen, "signature/wrong_signer"),
        vector("another chain", &elsewhere, "signature/wrong_signer"),
        vector(
            "high s",
            &Batch { signature: twin(first.signature), ..first },
            "signature/high_s",
        ),
        Vector::undecodable::<Batch>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Batch>("one byte more", &[&bytes[..], &[0]].concat()),
        Vector::undecodable::<Batch>("more transactions than bytes", &overlong),
    ]
}

/// A batch of the first validator's third lane.
pub(crate) fn sample(seq: u64, parent: BatchDigest, transactions: Vec<Transaction>) -> Batch {
    let author = &validators(4)[0];
    let lane = LaneId { author: author.address(), incarnation: 3 };
    Signed::new(BatchBody { lane, seq, parent, transactions }, CHAIN, author)
}

fn largest_numbers() -> Batch {
    let author = &validators(4)[0];
    let lane = LaneId { author: author.address(), incarnation: u32::MAX };
    let parent = BatchDigest(hash_of("parent"));
    let transactions = vec![submission(u64::MAX, b"x")];
    Signed::new(BatchBody { lane, seq: u64::MAX, parent, transactions }, CHAIN, author)
}

/// A batch of so many bytes. Its one transaction is too large, which does not spoil it.
fn of_size(size: usize) -> Batch {
    let of = |bytes: usize| {
        let data = vec![Bytes::from(vec![0xab; bytes])];
        let payload = Payload::Submit { namespace: NamespaceId(7), data };
        sample(1, BatchDigest::ZERO, vec![sign(body(payload))])
    };
    of(size - borsh::to_vec(&of(0)).unwrap().len())
}

/// What a check says of a batch's transactions.
fn transactions(witness: &weft_types::batch::BatchWitness) -> Value {
    let each = witness.transactions.iter().map(|checked| match checked {
        Ok(witness) => json!({ "accepted": witness.id }),
        Err(error) => json!({ "refused": String::from(Refusal(*error)) }),
    });
    each.collect()
}

fn vector(name: &str, batch: &Batch, expected: &str) -> Vector {
    complete(Vector::of(name, batch), batch, expected)
}

fn long(name: &str, batch: &Batch, expected: &str) -> Vector {
    complete(Vector::long(name, batch, &[0xab]), batch, expected)
}

fn complete(vector: Vector, batch: &Batch, expected: &str) -> Vector {
    let checked = batch.verify(CHAIN).map(|witness| {
        assert_eq!(witness.digest, batch.body.digest());
        json!({ "bytes": witness.bytes, "transactions": transactions(&witness) })
    });
    vector
        .context("chain_id", CHAIN.to_string())
        .hash("signing", signing(batch.body.slot(), CHAIN, batch.body.body_hash()))
        .hash("digest", batch.body.digest())
        .verdict(expected, checked.map_err(Refusal))
}
