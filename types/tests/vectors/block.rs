//! Blocks with all that it takes to check them.

use serde_json::json;
use weft_types::block::{batches_root, events_root, observations_root};
use weft_types::{Batch, BatchDigest, Block, Header, L1Events, Observation, ObservationSet};

use crate::document::Vector;
use crate::observation::{body, sign, view};
use crate::{batch, events, header, observation_set, transaction};

pub(crate) fn vectors() -> Vec<Vector> {
    let first = batch::sample(1, BatchDigest::ZERO, vec![transaction::submission(7, b"one")]);
    let second = batch::sample(2, first.body.digest(), vec![transaction::submission(9, b"two")]);
    let mut seen = view(0, 3, 2);
    seen.digests = vec![first.body.digest(), second.body.digest()];
    let observations = [0, 1, 3].map(|observer| sign(body(observer, vec![seen.clone()]))).to_vec();
    let passed = vec![L1Events::default(), events::sample()];
    let full = block(observations.clone(), passed, vec![first.clone(), second.clone()]);
    let quiet = block(observations, vec![], vec![first, second]);
    let empty = block(vec![], vec![], vec![]);
    let bytes = borsh::to_vec(&full).unwrap();
    vec![
        vector("full", &full),
        vector("without L1", &quiet),
        vector("empty", &empty),
        Vector::undecodable::<Block>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Block>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// A block whose header commits to what it holds.
fn block(observations: Vec<Observation>, events: Vec<L1Events>, batches: Vec<Batch>) -> Block {
    let observations = ObservationSet::new(observations).unwrap();
    let (observations_root, batches_root) = roots(&observations, &batches);
    let events_root = root_of(&events);
    let header =
        Header { observations_root, events_root, batches_root, ..header::sample(1_234_567) };
    Block { header, observations, events, batches }
}

fn root_of(events: &[L1Events]) -> weft_types::B256 {
    events_root(&events.iter().map(L1Events::digest).collect::<Vec<_>>())
}

fn roots(
    observations: &ObservationSet,
    batches: &[Batch],
) -> (weft_types::B256, weft_types::B256) {
    let hashes: Vec<_> = observations.as_slice().iter().map(|o| o.body.hash()).collect();
    let digests: Vec<_> = batches.iter().map(|batch| batch.body.digest()).collect();
    (observations_root(&hashes), batches_root(&digests))
}

fn vector(name: &str, block: &Block) -> Vector {
    let (observations_root, batches_root) = roots(&block.observations, &block.batches);
    assert_eq!(block.header.observations_root, observations_root);
    assert_eq!(block.header.batches_root, batches_root);
    let events_root = root_of(&block.events);
    assert_eq!(block.header.events_root, events_root);
    let content = json!({
        "header": block.header,
        "observations": observation_set::content(block.observations.as_slice()),
        "events": block.events,
        "batches": block.batches,
    });
    Vector::with_content(name, block, content)
        .hash("id", block.id())
        .hash("observations_root", observations_root)
        .hash("events_root", events_root)
        .hash("batches_root", batches_root)
        .verdict("accepted", Ok::<_, String>(()))
}
