//! Keys, hashes and signatures that vectors are made of. All of it follows from names and numbers.

use serde_json::{Value, json};
use weft_types::hash::{keccak256, tag};
use weft_types::{Address, B256, Committee, Member, SecretKey, Signature, Slot};

use crate::document::hex;

/// The network of all vectors.
pub(crate) const CHAIN: u64 = 1477;

/// A block time, in milliseconds.
pub(crate) const NOW: u64 = 1_790_000_000_000;

/// A hash that stands for something that is not spelled out.
pub(crate) fn hash_of(name: &str) -> B256 {
    keccak256(&[name.as_bytes()])
}

/// The key of an account.
pub(crate) fn account(name: &str) -> SecretKey {
    SecretKey::from_bytes(hash_of(name).0).unwrap()
}

/// Keys of `n` validators, ascending by address.
pub(crate) fn validators(n: usize) -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> = (0..n).map(|i| account(&format!("validator {i}"))).collect();
    keys.sort_by_key(SecretKey::address);
    keys
}

/// The committee of these keys, with so many seats each.
pub(crate) fn committee(keys: &[SecretKey], seats: &[u64]) -> Committee {
    Committee::new(members(keys, seats)).unwrap()
}

/// The members of [`committee`].
pub(crate) fn members(keys: &[SecretKey], seats: &[u64]) -> Vec<Member> {
    let member = |(key, &seats): (&SecretKey, &u64)| Member { address: key.address(), seats };
    keys.iter().zip(seats).map(member).collect()
}

/// What is signed for a body hash under a slot: all bytes of it.
pub(crate) fn preimage(slot: Slot, chain_id: u64, body_hash: B256) -> Vec<u8> {
    let (kind, place) = match slot {
        Slot::Transaction => ("weft/transaction/v1", vec![]),
        Slot::Peer => ("weft/peer/v1", vec![]),
        Slot::Bond => ("weft/bond/v1", vec![]),
        Slot::Batch { incarnation, seq } => {
            ("weft/batch/v1", [&incarnation.to_be_bytes()[..], &seq.to_be_bytes()].concat())
        }
        Slot::Observation { height } => ("weft/observation/v1", height.to_be_bytes().to_vec()),
        Slot::Proposal { height, round } => {
            ("weft/proposal/v1", [&[0], &height.to_be_bytes()[..], &round.to_be_bytes()].concat())
        }
        Slot::Vote { kind, height, round } => (
            "weft/vote/v1",
            [&[kind as u8], &height.to_be_bytes()[..], &round.to_be_bytes()].concat(),
        ),
    };
    let kind = tag(kind);
    let parts = [kind.as_slice(), &chain_id.to_be_bytes(), &place, body_hash.as_slice()];
    assert_eq!(keccak256(&parts), slot.signing_hash(chain_id, body_hash));
    parts.concat()
}

/// Body hash, preimage and signing hash.
pub(crate) fn signing(slot: Slot, chain_id: u64, body_hash: B256) -> Value {
    json!({
        "body_hash": body_hash,
        "preimage": hex(preimage(slot, chain_id, body_hash)),
        "signing_hash": slot.signing_hash(chain_id, body_hash),
    })
}

/// A slot as JSON: heights and places as decimal strings.
pub(crate) fn slot_content(slot: Slot) -> Value {
    match slot {
        Slot::Transaction => json!("transaction"),
        Slot::Peer => json!("peer"),
        Slot::Bond => json!("bond"),
        Slot::Batch { incarnation, seq } => {
            json!({ "batch": { "incarnation": incarnation, "seq": seq.to_string() } })
        }
        Slot::Observation { height } => json!({ "observation": { "height": height.to_string() } }),
        Slot::Proposal { height, round } => {
            json!({ "proposal": { "height": height.to_string(), "round": round } })
        }
        Slot::Vote { kind, height, round } => {
            json!({ "vote": { "kind": kind, "height": height.to_string(), "round": round } })
        }
    }
}

/// The other signature that recovers to the same key, with a high `s`.
pub(crate) fn twin(signature: Signature) -> Signature {
    let s: [u8; 32] = signature.0[32..64].try_into().unwrap();
    let mut twin = signature;
    let negated = secp256k1::SecretKey::from_byte_array(s).unwrap().negate();
    twin.0[32..64].copy_from_slice(&negated.secret_bytes());
    twin.0[64] = 27 + 28 - signature.0[64];
    twin
}

/// A signature with another last byte.
pub(crate) fn with_v(mut signature: Signature, v: u8) -> Signature {
    signature.0[64] = v;
    signature
}

/// An address for where only the bytes matter.
pub(crate) fn address(name: &str) -> Address {
    account(name).address()
}
