//! Proposals: what is signed, and who signed it.

use serde_json::json;
use weft_types::{BlockId, Proposal};

use crate::document::{Vector, hex};
use crate::fixtures::{CHAIN, hash_of, signing, validators};

pub(crate) fn vectors() -> Vec<Vector> {
    let fine = Proposal {
        height: 1_234_567,
        round: 2,
        block: BlockId(hash_of("block")),
        pol_round: None,
    };
    let bytes = borsh::to_vec(&fine).unwrap();
    let mut tag = bytes.clone();
    *tag.last_mut().unwrap() = 2;
    vec![
        vector("no POL round", &fine),
        vector("POL round 0", &Proposal { pol_round: Some(0), ..fine }),
        vector("POL round 1", &Proposal { pol_round: Some(1), ..fine }),
        vector("largest numbers", &Proposal { height: u64::MAX, round: u32::MAX, ..fine }),
        Vector::undecodable::<Proposal>("option tag 2", &tag),
        Vector::undecodable::<Proposal>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Proposal>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

fn vector(name: &str, proposal: &Proposal) -> Vector {
    let proposer = &validators(4)[1];
    let signature = proposer.sign(proposal.signing_hash(CHAIN));
    let signer = signature.recover(proposal.signing_hash(CHAIN)).unwrap();
    assert_eq!(signer, proposer.address());
    let content = json!({
        "height": proposal.height.to_string(),
        "round": proposal.round,
        "block": proposal.block,
        "pol_round": proposal.pol_round,
    });
    let pol_round = proposal.pol_round.unwrap_or(u32::MAX).to_be_bytes();
    Vector::with_content(name, proposal, content)
        .context("chain_id", CHAIN.to_string())
        .context("signature", signature)
        .hash("body_preimage", hex([&proposal.block.as_bytes()[..], &pol_round].concat()))
        .hash("signing", signing(proposal.slot(), CHAIN, proposal.body_hash()))
        .verdict("accepted", Ok::<_, String>(signer))
}
