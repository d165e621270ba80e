//! Certificates: the precommits of a quorum (protocol section 4).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Height;
use crate::committee::Committee;
use crate::hash::BlockId;
use crate::signature::{Signature, SignatureError};
use crate::verified::Verify;
use crate::vote::{Vote, VoteKind};

/// A member's precommit inside a certificate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct CommitSignature {
    /// Index of the voter in the committee of the height.
    pub member: u16,
    /// Its signature over the precommit.
    pub signature: Signature,
}

/// Precommits of a quorum for one block in one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Certificate {
    /// The height decided.
    #[serde(with = "crate::json::decimal")]
    pub height: Height,
    /// The round it was decided in.
    pub round: u32,
    /// The block decided.
    pub block: BlockId,
    /// The votes, strictly ascending by member.
    pub signatures: Vec<CommitSignature>,
}

/// Why a certificate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Votes are unsorted or repeat.
    #[error("votes must be strictly ascending by member")]
    Unsorted,
    /// A voter that is not in the committee.
    #[error("member {0} is not in the committee")]
    UnknownMember(u16),
    /// A vote with a bad signature.
    #[error("vote of member {member}: {error}")]
    Signature {
        /// Whose vote.
        member: u16,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// The votes are no quorum.
    #[error("{seats} of {total} seats are no quorum")]
    NoQuorum {
        /// Seats that voted.
        seats: u64,
        /// All seats.
        total: u64,
    },
}

impl Verify for Certificate {
    /// The chain id, and the committee of the certificate's height.
    type Context<'a> = (u64, &'a Committee);
    type Witness = ();
    type Error = CertificateError;

    fn verify(&self, (chain_id, committee): (u64, &Committee)) -> Result<(), CertificateError> {
        if !self.signatures.is_sorted_by(|a, b| a.member < b.member) {
            return Err(CertificateError::Unsorted);
        }
        // Count first: signatures are only worth checking if they can suffice.
        let mut seats = 0;
        for vote in &self.signatures {
            let member =
                committee.get(vote.member).ok_or(CertificateError::UnknownMember(vote.member))?;
            seats += member.seats;
        }
        if !committee.is_quorum(seats) {
            return Err(CertificateError::NoQuorum { seats, total: committee.seats() });
        }
        let hash = self.vote().signing_hash(chain_id);
        for vote in &self.signatures {
            let signer =
                committee.get(vote.member).ok_or(CertificateError::UnknownMember(vote.member))?;
            vote.signature
                .check(hash, signer.address)
                .map_err(|error| CertificateError::Signature { member: vote.member, error })?;
        }
        Ok(())
    }
}

impl Certificate {
    /// The precommit that every voter signed.
    pub fn vote(&self) -> Vote {
        Vote {
            kind: VoteKind::Precommit,
            height: self.height,
            round: self.round,
            block: Some(self.block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, SecretKey};
    use alloy_primitives::B256;

    fn setup() -> (Vec<SecretKey>, Committee) {
        let mut keys: Vec<SecretKey> =
            (1..=4).map(|i| SecretKey::from_bytes([i; 32]).unwrap()).collect();
        keys.sort_by_key(SecretKey::address);
        let members = keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect();
        (keys, Committee::new(members).unwrap())
    }

    fn certificate(keys: &[SecretKey], members: &[u16]) -> Certificate {
        let mut certificate = Certificate {
            height: 3,
            round: 1,
            block: BlockId(B256::repeat_byte(8)),
            signatures: vec![],
        };
        let hash = certificate.vote().signing_hash(5);
        certificate.signatures = members
            .iter()
            .map(|&member| CommitSignature {
                member,
                signature: keys[usize::from(member)].sign(hash),
            })
            .collect();
        certificate
    }

    #[test]
    fn a_quorum_certifies_and_less_does_not() {
        let (keys, committee) = setup();
        assert_eq!(certificate(&keys, &[0, 1, 2]).verify((5, &committee)), Ok(()));
        assert_eq!(
            certificate(&keys, &[0, 3]).verify((5, &committee)),
            Err(CertificateError::NoQuorum { seats: 2, total: 4 })
        );
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        let (keys, committee) = setup();
        let fine = certificate(&keys, &[0, 1, 2]);

        let mut repeated = fine.clone();
        repeated.signatures[1] = repeated.signatures[0];
        assert_eq!(repeated.verify((5, &committee)), Err(CertificateError::Unsorted));

        let mut unknown = fine.clone();
        unknown.signatures[2].member = 4;
        assert_eq!(unknown.verify((5, &committee)), Err(CertificateError::UnknownMember(4)));

        let mut swapped = fine.clone();
        swapped.signatures[2].signature = fine.signatures[1].signature;
        assert!(matches!(
            swapped.verify((5, &committee)),
            Err(CertificateError::Signature { member: 2, .. })
        ));

        for change in [
            Certificate { height: 4, ..fine.clone() },
            Certificate { round: 2, ..fine.clone() },
            Certificate { block: BlockId::ZERO, ..fine.clone() },
        ] {
            assert!(change.verify((5, &committee)).is_err());
        }
        assert!(fine.verify((6, &committee)).is_err(), "another chain's certificate");
    }
}
