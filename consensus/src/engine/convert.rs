//! Certificates and evidence between the engine's types and Weft's.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types as engine;
use engine::{CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, Round};
use weft_types::evidence::Evidence;
use weft_types::{BlockId, Certificate, Committee, Signature, Verify, certificate};

use super::context::{Context, Height, ValidatorId};

/// Weft's certificate, of a committee whose members the engine's voters are.
pub fn certificate(
    certificate: &CommitCertificate<Context>,
    committee: &Committee,
) -> Option<Certificate> {
    let votes = certificate.commit_signatures.iter().map(|s| (s.address, s.signature));
    assemble(certificate.height, certificate.round, certificate.value_id, votes, committee)
}

/// Weft's certificate, from the engine's as sync carries it. Its votes are unchecked.
pub fn synced_certificate(
    certificate: &ExtendedCommitCertificate<Context>,
    committee: &Committee,
) -> Option<Certificate> {
    let votes = certificate.commit_signatures.iter().map(|s| (s.address, s.signature));
    assemble(certificate.height, certificate.round, certificate.value_id, votes, committee)
}

fn assemble(
    height: Height,
    round: Round,
    block: BlockId,
    votes: impl Iterator<Item = (ValidatorId, Signature)>,
    committee: &Committee,
) -> Option<Certificate> {
    let mut signatures: Vec<certificate::CommitSignature> = votes
        .map(|(voter, signature)| {
            let member = committee.index_of(&voter.0)?;
            Some(certificate::CommitSignature { member, signature })
        })
        .collect::<Option<_>>()?;
    signatures.sort_unstable_by_key(|vote| vote.member);
    signatures.dedup_by_key(|vote| vote.member);
    Some(Certificate { height: height.0, round: round.as_u32()?, block, signatures })
}

/// The engine's certificate, as sync carries it.
pub fn sync_certificate(
    certificate: &Certificate,
    committee: &Committee,
) -> Option<ExtendedCommitCertificate<Context>> {
    let commit_signatures = certificate
        .signatures
        .iter()
        .map(|vote| {
            let voter = ValidatorId(committee.get(vote.member)?.address);
            Some(ExtendedCommitSignature::new(voter, vote.signature, None))
        })
        .collect::<Option<_>>()?;
    Some(ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures,
    })
}

/// Everything the engine saw that proves a fault. What would prove nothing to others is left out.
pub fn evidence(found: &MisbehaviorEvidence<Context>, chain_id: u64) -> Vec<Evidence> {
    let votes = found.votes.iter().flat_map(|(_, pairs)| pairs).filter_map(|(a, b)| {
        let (plain_a, plain_b) = (a.message.plain()?, b.message.plain()?);
        (plain_a.slot() == plain_b.slot()).then(|| {
            let first = (plain_a.body_hash(), a.signature);
            Evidence::new(plain_a.slot(), first, (plain_b.body_hash(), b.signature))
        })
    });
    let proposals = found.proposals.iter().flat_map(|(_, pairs)| pairs).filter_map(|(a, b)| {
        let (plain_a, plain_b) = (a.message.plain()?, b.message.plain()?);
        (plain_a.slot() == plain_b.slot()).then(|| {
            let first = (plain_a.body_hash(), a.signature);
            Evidence::new(plain_a.slot(), first, (plain_b.body_hash(), b.signature))
        })
    });
    votes.chain(proposals).filter(|evidence| evidence.verify(chain_id).is_ok()).collect()
}
