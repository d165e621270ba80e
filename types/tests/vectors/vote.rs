//! Votes: what is signed, and who signed it.

use serde_json::json;
use weft_types::{BlockId, Vote, VoteKind};

use crate::document::Vector;
use crate::fixtures::{CHAIN, hash_of, signing, validators};

pub(crate) fn vectors() -> Vec<Vector> {
    let block = Some(BlockId(hash_of("block")));
    let vote = |kind, block| Vote { kind, height: 1_234_567, round: 2, block };
    let precommit = vote(VoteKind::Precommit, block);
    let bytes = borsh::to_vec(&precommit).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        bytes
    };
    // kind, height and round.
    let option = 1 + 8 + 4;
    let mut vectors: Vec<Vector> = [
        ("prevote", vote(VoteKind::Prevote, block)),
        ("prevote for nil", vote(VoteKind::Prevote, None)),
        ("precommit", precommit),
        ("precommit for nil", vote(VoteKind::Precommit, None)),
        ("largest numbers", Vote { height: u64::MAX, round: u32::MAX, ..precommit }),
    ]
    .into_iter()
    .map(|(name, vote)| vector(name, &vote))
    .collect();
    let undecodable = [
        ("kind 0", changed(0, 0)),
        ("kind 3", changed(0, 3)),
        ("option tag 2", changed(option, 2)),
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
    ];
    vectors.extend(
        undecodable.map(|(name, bytes)| Vector::undecodable::<Vote>(name, &bytes)),
    );
    vectors
}

fn vector(name: &str, vote: &Vote) -> Vector {
    let voter = &validators(4)[2];
    let signature = voter.sign(vote.signing_hash(CHAIN));
    let signer = signature.recover(vote.signing_hash(CHAIN)).unwrap();
    assert_eq!(signer, voter.address());
    let content = json!({
        "kind": vote.kind,
        "height": vote.height.to_string(),
        "round": vote.round,
        "block": vote.block,
    });
    Vector::with_content(name, vote, content)
        .context("chain_id", CHAIN.to_string())
        .context("signature", signature)
        .hash("signing", signing(vote.slot(), CHAIN, vote.body_hash()))
        .verdict("accepted", Ok::<_, String>(signer))
}
