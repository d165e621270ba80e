//! Headers: the layout and the id.

use weft_types::hash::tag;
use weft_types::header::{HEADER_LENGTH, PROTOCOL_VERSION};
use weft_types::{Address, B256, BlockId, Header, L1Origin, Outcome, UnsealKey};

use crate::document::{Vector, hex};
use crate::fixtures::{CHAIN, NOW, address, hash_of};

pub(crate) fn vectors() -> Vec<Vector> {
    let fine = sample(1_234_567);
    let mut key = [0; 48];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = i as u8 + 1;
    }
    let mut unsealed = fine;
    unsealed.parent_outcome.unseal_key = UnsealKey(key);
    let zero = Header {
        version: 0,
        chain_id: 0,
        height: 0,
        time_ms: 0,
        parent: BlockId::ZERO,
        proposer: Address::ZERO,
        validators_hash: B256::ZERO,
        next_validators_hash: B256::ZERO,
        l1_origin: L1Origin::default(),
        observations_root: B256::ZERO,
        batches_root: B256::ZERO,
        events_root: B256::ZERO,
        parent_outcome: Outcome::default(),
    };
    let largest = Header {
        version: u16::MAX,
        chain_id: u64::MAX,
        height: u64::MAX,
        time_ms: u64::MAX,
        l1_origin: L1Origin { number: u64::MAX, ..fine.l1_origin },
        ..fine
    };
    let layout = fine.layout();
    vec![
        vector("no unseal key", &fine),
        vector("an unseal key", &unsealed),
        vector("all zero", &zero),
        vector("largest numbers", &largest),
        Vector::undecodable::<Header>("453 bytes", &layout[..HEADER_LENGTH - 1]),
        Vector::undecodable::<Header>("455 bytes", &[&layout[..], &[0]].concat()),
    ]
}

/// A header in which no two fields are alike.
pub(crate) fn sample(height: u64) -> Header {
    Header {
        version: PROTOCOL_VERSION,
        chain_id: CHAIN,
        height,
        time_ms: NOW,
        parent: BlockId(hash_of("parent")),
        proposer: address("proposer"),
        validators_hash: hash_of("validators"),
        next_validators_hash: hash_of("next validators"),
        l1_origin: L1Origin { number: 23_456_789, hash: hash_of("L1 origin") },
        observations_root: hash_of("observations"),
        batches_root: hash_of("batches"),
        events_root: hash_of("events"),
        parent_outcome: Outcome {
            ledger_root: hash_of("ledger"),
            slices_root: hash_of("slices"),
            results_root: hash_of("results"),
            withdrawals_root: hash_of("withdrawals"),
            unseal_key: UnsealKey::NONE,
        },
    }
}

fn vector(name: &str, header: &Header) -> Vector {
    let preimage = [tag("weft/header/v1").as_slice(), &header.layout()].concat();
    Vector::of(name, header)
        .hash("preimage", hex(preimage))
        .hash("id", header.id())
        .verdict("accepted", Ok::<_, String>(()))
}
