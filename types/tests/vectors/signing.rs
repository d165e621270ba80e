//! What signatures cover, and which signatures are refused.

use weft_types::signature::SignatureError;
use weft_types::{B256, Signature, Slot, VoteKind};

use crate::document::{Vector, hex};
use crate::fixtures::{CHAIN, account, hash_of, signing, slot_content, twin, with_v};
use crate::refusal::Refusal;

/// The order of the group of secp256k1.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// Half of it, rounded down: the highest low `s`.
const HALF_ORDER: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

pub(crate) fn vectors() -> Vec<Vector> {
    let vote = |kind| Slot::Vote { kind, height: 1_234_567_890_123, round: 7 };
    let slots = [
        ("transaction", Slot::Transaction),
        ("peer", Slot::Peer),
        ("batch", Slot::Batch { incarnation: 70_000, seq: 1_234_567_890_123 }),
        ("observation", Slot::Observation { height: 1_234_567_890_123 }),
        ("proposal", Slot::Proposal { height: 1_234_567_890_123, round: 7 }),
        ("prevote", vote(VoteKind::Prevote)),
        ("precommit", vote(VoteKind::Precommit)),
        ("bond", Slot::Bond),
        ("largest numbers", Slot::Proposal { height: u64::MAX, round: u32::MAX }),
    ];
    let body = hash_of("body");
    let mut vectors: Vec<Vector> = slots
        .into_iter()
        .map(|(name, slot)| vector(name, slot, body, sign(slot, body), "accepted"))
        .collect();
    let slot = vote(VoteKind::Prevote);
    vectors.push(vector("nil", slot, B256::ZERO, sign(slot, B256::ZERO), "accepted"));

    let fine = sign(slot, body);
    let with = |r: Option<&str>, s: Option<&str>| {
        let mut changed = fine;
        let mut put = |at: usize, scalar: &str| {
            changed.0[at..at + 32].copy_from_slice(&hex::decode(scalar).unwrap());
        };
        r.into_iter().for_each(|r| put(0, r));
        s.into_iter().for_each(|s| put(32, s));
        changed
    };
    let zero = "00".repeat(32);
    let five = format!("{:0>64}", 5);
    let above_half = HALF_ORDER.replace("20a0", "20a1");
    let refused = [
        ("high s", twin(fine), "high_s"),
        ("s just above half of the order", with(None, Some(&above_half)), "high_s"),
        ("recovery byte 0", with_v(fine, fine.0[64] - 27), "recovery_byte"),
        ("recovery byte 26", with_v(fine, 26), "recovery_byte"),
        ("recovery byte 29", with_v(fine, 29), "recovery_byte"),
        ("r zero", with(Some(&zero), None), "unrecoverable"),
        ("r the order", with(Some(ORDER), None), "unrecoverable"),
        ("r on no point", with(Some(&five), None), "unrecoverable"),
        ("s zero", with(None, Some(&zero)), "unrecoverable"),
    ];
    let highest = with(None, Some(HALF_ORDER));
    vectors.push(vector("highest low s", slot, body, highest, "accepted"));
    let refused = refused.map(|(name, bad, reason)| vector(name, slot, body, bad, reason));
    vectors.extend(refused);
    vectors.push(Vector::undecodable::<Signature>("64 bytes", &fine.0[..64]));
    vectors.push(Vector::undecodable::<Signature>("66 bytes", &[&fine.0[..], &[0]].concat()));
    vectors
}

fn sign(slot: Slot, body: B256) -> Signature {
    account("signer").sign(slot.signing_hash(CHAIN, body))
}

fn vector(name: &str, slot: Slot, body: B256, signature: Signature, expected: &str) -> Vector {
    let recovered: Result<_, SignatureError> = signature.recover(slot.signing_hash(CHAIN, body));
    Vector::of(name, &signature)
        .context("chain_id", CHAIN.to_string())
        .context("slot", hex(borsh::to_vec(&slot).unwrap()))
        .context("body_hash", body)
        .hash("signing", signing(slot, CHAIN, body))
        .hash("slot", slot_content(slot))
        .verdict(expected, recovered.map_err(Refusal))
}
