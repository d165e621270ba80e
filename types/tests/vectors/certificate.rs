//! Certificates: quorums, and what is none.

use serde_json::json;
use weft_types::certificate::CommitSignature;
use weft_types::{BlockId, Certificate, Committee, SecretKey, Verify, Vote, VoteKind};

use crate::document::Vector;
use crate::fixtures::{CHAIN, committee, hash_of, signing, twin, validators, with_v};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let four = Network::new(&[1; 4]);
    let three = Network::new(&[1; 3]);
    let unequal = Network::new(&[5, 1, 1, 2]);
    let fine = four.certificate(&[0, 1, 3]);
    let change = |change: &dyn Fn(&mut Certificate)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed
    };
    let prevotes = four.sign(&[0, 1, 3], |vote| Vote { kind: VoteKind::Prevote, ..vote }, CHAIN);
    let nil = four.sign(&[0, 1, 3], |vote| Vote { block: None, ..vote }, CHAIN);
    let foreign = four.sign(&[0, 1, 3], |vote| vote, CHAIN + 1);
    let bytes = borsh::to_vec(&fine).unwrap();
    vec![
        four.vector("three of four", &fine, "accepted"),
        four.vector("all of four", &four.certificate(&[0, 1, 2, 3]), "accepted"),
        unequal.vector("two of four with most seats", &unequal.certificate(&[0, 3]), "accepted"),
        four.vector("nobody", &four.certificate(&[]), "no_quorum"),
        four.vector("half", &four.certificate(&[0, 3]), "no_quorum"),
        three.vector("exactly two thirds", &three.certificate(&[0, 1]), "no_quorum"),
        unequal.vector("three of four with few seats", &unequal.certificate(&[1, 2, 3]), "no_quorum"),
        four.vector("descending", &change(&|c| c.signatures.swap(0, 1)), "unsorted"),
        four.vector("a vote twice", &change(&|c| c.signatures[1] = c.signatures[0]), "unsorted"),
        four.vector(
            "voter outside the committee",
            &change(&|c| c.signatures[2].member = 4),
            "unknown_member",
        ),
        four.vector(
            "a vote under another's index",
            &change(&|c| c.signatures[2].member = 2),
            "signature/wrong_signer",
        ),
        four.vector(
            "votes of another height",
            &change(&|c| c.height += 1),
            "signature/wrong_signer",
        ),
        four.vector("votes of another round", &change(&|c| c.round += 1), "signature/wrong_signer"),
        four.vector(
            "votes for another block",
            &change(&|c| c.block = BlockId(hash_of("another block"))),
            "signature/wrong_signer",
        ),
        four.vector("prevotes", &prevotes, "signature/wrong_signer"),
        four.vector("votes for nil", &nil, "signature/wrong_signer"),
        four.vector("votes of another chain", &foreign, "signature/wrong_signer"),
        four.vector(
            "high s",
            &change(&|c| c.signatures[1].signature = twin(c.signatures[1].signature)),
            "signature/high_s",
        ),
        four.vector(
            "recovery byte 0",
            &change(&|c| c.signatures[1].signature = with_v(c.signatures[1].signature, 0)),
            "signature/recovery_byte",
        ),
        Vector::undecodable::<Certificate>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Certificate>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// Validators and their committee.
pub(crate) struct Network {
    keys: Vec<SecretKey>,
    pub(crate) committee: Committee,
}

impl Network {
    pub(crate) fn new(seats: &[u64]) -> Self {
        let keys = validators(seats.len());
        let committee = committee(&keys, seats);
        Self { keys, committee }
    }

    fn certificate(&self, members: &[u16]) -> Certificate {
        self.sign(members, |vote| vote, CHAIN)
    }

    /// Certificate of a block by these members.
    pub(crate) fn certify(&self, height: u64, block: BlockId, members: &[u16]) -> Certificate {
        self.sign_for(
            Certificate { height, round: 1, block, signatures: vec![] },
            members,
            |vote| vote,
            CHAIN,
        )
    }

    /// A certificate whose voters signed a vote changed by `with`.
    fn sign(&self, members: &[u16], with: fn(Vote) -> Vote, chain_id: u64) -> Certificate {
        let block = BlockId(hash_of("block"));
        let empty = Certificate { height: 1_234_567, round: 1, block, signatures: vec![] };
        self.sign_for(empty, members, with, chain_id)
    }

    fn sign_for(
        &self,
        mut certificate: Certificate,
        members: &[u16],
        with: fn(Vote) -> Vote,
        chain_id: u64,
    ) -> Certificate {
        let hash = with(certificate.vote()).signing_hash(chain_id);
        let vote = |&member: &u16| CommitSignature {
            member,
            signature: self.keys[usize::from(member)].sign(hash),
        };
        certificate.signatures = members.iter().map(vote).collect();
        certificate
    }

    fn vector(&self, name: &str, certificate: &Certificate, expected: &str) -> Vector {
        let vote = certificate.vote();
        let checked = certificate.verify((CHAIN, &self.committee));
        Vector::of(name, certificate)
            .context("chain_id", CHAIN.to_string())
            .context("committee", self.committee.members())
            .hash("validators_hash", self.committee.hash())
            .hash("signing", signing(vote.slot(), CHAIN, vote.body_hash()))
            .verdict(expected, checked.map(|()| json!(null)).map_err(Refusal))
    }
}
