//! Blocks as they are proposed: observations by hash.

use serde_json::json;
use weft_types::block::observations_root;
use weft_types::{Header, ObservationHash, ProposedBlock};

use crate::document::Vector;
use crate::fixtures::hash_of;
use crate::header;

pub(crate) fn vectors() -> Vec<Vector> {
    let hashes = ["first", "second", "third"].map(|name| ObservationHash(hash_of(name))).to_vec();
    let full = block(hashes);
    let change = |change: &dyn Fn(&mut ProposedBlock)| {
        let mut changed = full.clone();
        change(&mut changed);
        changed
    };
    let bytes = borsh::to_vec(&full).unwrap();
    vec![
        vector("three observations", &full, "accepted"),
        vector("empty", &block(vec![]), "accepted"),
        vector("one missing", &change(&|b| b.observations.truncate(2)), "observations_root"),
        vector("another order", &change(&|b| b.observations.swap(0, 1)), "observations_root"),
        vector("last one twice", &change(&|b| b.observations.extend_from_within(2..)), "observations_root"),
        vector("none instead of three", &change(&|b| b.observations.clear()), "observations_root"),
        Vector::undecodable::<ProposedBlock>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<ProposedBlock>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

fn block(observations: Vec<ObservationHash>) -> ProposedBlock {
    let observations_root = observations_root(&observations);
    let header = Header { observations_root, ..header::sample(1_234_567) };
    ProposedBlock { header, observations }
}

fn vector(name: &str, block: &ProposedBlock, expected: &str) -> Vector {
    let consistent = if block.is_consistent() { Ok(()) } else { Err("observations_root") };
    let content = json!({ "header": block.header, "observations": block.observations });
    Vector::with_content(name, block, content)
        .hash("id", block.header.id())
        .hash("observations_root", observations_root(&block.observations))
        .verdict(expected, consistent)
}
