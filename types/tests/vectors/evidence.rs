//! Evidence: two signatures in one slot, and what proves nothing.

use serde_json::{Value, json};
use weft_types::evidence::Evidence;
use weft_types::{B256, SecretKey, Signature, Slot, Verify, VoteKind};

use crate::document::Vector;
use crate::fixtures::{
    CHAIN, account, hash_of, signing, slot_content, twin, validators, with_v,
};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let key = &validators(4)[0];
    let vote = |kind| Slot::Vote { kind, height: 1_234_567, round: 1 };
    let slots = [
        ("two batches", Slot::Batch { incarnation: 3, seq: 12 }),
        ("two observations", Slot::Observation { height: 1_234_567 }),
        ("two proposals", Slot::Proposal { height: 1_234_567, round: 1 }),
        ("two prevotes", vote(VoteKind::Prevote)),
        ("two precommits", vote(VoteKind::Precommit)),
    ];
    let mut vectors: Vec<Vector> = slots
        .into_iter()
        .map(|(name, slot)| vector(name, &pair(slot, key, key, CHAIN), "accepted"))
        .collect();
    let slot = vote(VoteKind::Precommit);
    let nil = Evidence::new(slot, sign(slot, key, B256::ZERO, CHAIN), one(slot, key));
    vectors.push(vector("a block and nil", &nil, "accepted"));

    let fine = pair(slot, key, key, CHAIN);
    let swapped = Evidence { slot, first: fine.second, second: fine.first };
    let same = Evidence { slot, first: fine.first, second: fine.first };
    let with = |change: &dyn Fn(Signature) -> Signature| Evidence {
        second: (fine.second.0, change(fine.second.1)),
        ..fine
    };
    let other = account("another validator");
    let refused = [
        ("two transactions", pair(Slot::Transaction, key, key, CHAIN), "not_slashable"),
        ("two peers", pair(Slot::Peer, key, key, CHAIN), "not_slashable"),
        ("two bonds", pair(Slot::Bond, key, key, CHAIN), "not_slashable"),
        ("one message twice", same, "not_ascending"),
        ("higher hash first", swapped, "not_ascending"),
        ("two validators", pair(slot, key, &other, CHAIN), "two_signers"),
        ("another chain", pair(slot, key, key, CHAIN + 1), "two_signers"),
        ("another slot", Evidence { slot: vote(VoteKind::Prevote), ..fine }, "two_signers"),
        ("high s", with(&twin), "signature/high_s"),
        ("recovery byte 29", with(&|signature| with_v(signature, 29)), "signature/recovery_byte"),
    ];
    vectors.extend(refused.map(|(name, evidence, reason)| vector(name, &evidence, reason)));

    let bytes = borsh::to_vec(&fine).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    let undecodable = [
        ("slot tag 7", changed(0, 7)),
        ("vote kind 0", changed(1, 0)),
        ("vote kind 3", changed(1, 3)),
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
    ];
    vectors.extend(
        undecodable.map(|(name, bytes)| Vector::undecodable::<Evidence>(name, &bytes)),
    );
    vectors
}

fn sign(slot: Slot, key: &SecretKey, body: B256, chain_id: u64) -> (B256, Signature) {
    (body, key.sign(slot.signing_hash(chain_id, body)))
}

fn one(slot: Slot, key: &SecretKey) -> (B256, Signature) {
    sign(slot, key, hash_of("one"), CHAIN)
}

fn pair(slot: Slot, a: &SecretKey, b: &SecretKey, chain_id: u64) -> Evidence {
    let one = sign(slot, a, hash_of("one"), chain_id);
    Evidence::new(slot, one, sign(slot, b, hash_of("two"), chain_id))
}

fn vector(name: &str, evidence: &Evidence, expected: &str) -> Vector {
    let message = |(body, signature): (B256, Signature)| json!([body, signature]);
    let content: Value = json!({
        "slot": slot_content(evidence.slot),
        "first": message(evidence.first),
        "second": message(evidence.second),
    });
    Vector::with_content(name, evidence, content)
        .context("chain_id", CHAIN.to_string())
        .hash("first", signing(evidence.slot, CHAIN, evidence.first.0))
        .hash("second", signing(evidence.slot, CHAIN, evidence.second.0))
        .verdict(expected, evidence.verify(CHAIN).map_err(Refusal))
}
