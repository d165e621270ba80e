//! Calls to the contracts, from what they are about (`spec/ethereum.md`).

use alloy_primitives::{Address, Bytes, U256};
use weft_types::evidence::Evidence;
use weft_types::l1::prove_possession;
use weft_types::{Certificate, Committee, Header, ProvenWithdrawal, SecretKey};

use crate::contracts::abi::{Inbox, LightClient, StakeRegistry, Vault};

/// Bytes of a vote: `member u16 || signature 65`.
const VOTE_BYTES: usize = 67;

/// Bytes of a member: `address 20 || seats u64`.
const MEMBER_BYTES: usize = 28;

/// Posts a header. Of the certificate's votes those of the most seats are taken, and no more than
/// are needed. `committee` is that of the header's height.
pub fn post(
    header: &Header,
    certificate: &Certificate,
    committee: &Committee,
) -> LightClient::postCall {
    let seats = |member: u16| committee.get(member).map_or(0, |member| member.seats);
    let mut votes: Vec<_> = certificate.signatures.iter().collect();
    votes.sort_by_key(|vote| (std::cmp::Reverse(seats(vote.member)), vote.member));
    let mut signed = 0;
    votes.retain(|vote| {
        let needed = !committee.is_quorum(signed);
        signed += seats(vote.member);
        needed
    });
    votes.sort_by_key(|vote| vote.member);
    let mut encoded = Vec::with_capacity(votes.len() * VOTE_BYTES);
    for vote in votes {
        encoded.extend_from_slice(&vote.member.to_be_bytes());
        encoded.extend_from_slice(&vote.signature.0);
    }
    LightClient::postCall {
        header: Bytes::copy_from_slice(&header.layout()),
        round: certificate.round,
        committee: members(committee),
        votes: encoded.into(),
    }
}

/// A committee as the light client reads it.
pub fn members(committee: &Committee) -> Bytes {
    let mut encoded = Vec::with_capacity(committee.members().len() * MEMBER_BYTES);
    for member in committee.members() {
        encoded.extend_from_slice(member.address.as_slice());
        encoded.extend_from_slice(&member.seats.to_be_bytes());
    }
    encoded.into()
}

/// Bonds a validator of the network of that chain id. `owner` is who sends it.
pub fn bond(
    key: &SecretKey,
    chain_id: u64,
    stake_registry: Address,
    owner: Address,
) -> StakeRegistry::bondCall {
    let possession = prove_possession(key, chain_id, stake_registry, owner);
    StakeRegistry::bondCall {
        validator: key.address(),
        possession: Bytes::copy_from_slice(&possession.0),
    }
}

/// Proves a fault.
pub fn slash(evidence: &Evidence) -> StakeRegistry::slashCall {
    let Evidence { slot, first, second } = evidence;
    StakeRegistry::slashCall {
        kind: slot.kind(),
        slot: slot.bytes().into(),
        bodyA: first.0,
        signatureA: Bytes::copy_from_slice(&first.1.0),
        bodyB: second.0,
        signatureB: Bytes::copy_from_slice(&second.1.0),
    }
}

/// Claims a withdrawal. `place` is where the light client has the root that it is proven against.
pub fn claim(proven: &ProvenWithdrawal, place: u64) -> Vault::claimCall {
    Vault::claimCall {
        index: proven.withdrawal.index,
        to: proven.withdrawal.to,
        amount: proven.withdrawal.amount,
        count: proven.count,
        path: proven.path.siblings.clone(),
        place: U256::from(place),
    }
}

/// Asks what a message of so many bytes costs.
pub fn fee_of(bytes: usize) -> Inbox::feeOfCall {
    Inbox::feeOfCall { length: U256::from(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::certificate::CommitSignature;
    use weft_types::{Member, Signature};

    #[test]
    fn a_post_has_the_votes_it_needs_and_no_more() {
        let member = |byte: u8, seats| Member { address: Address::with_last_byte(byte), seats };
        let seats = [1, 5, 1, 4, 1];
        let members = (1..).zip(seats).map(|(byte, seats)| member(byte, seats)).collect();
        let committee = Committee::new(members).unwrap();
        let vote = |member: u16| CommitSignature {
            member,
            signature: Signature([u8::try_from(member).unwrap(); 65]),
        };
        let certificate = |voters: &[u16]| Certificate {
            height: 3,
            round: 2,
            block: weft_types::BlockId::default(),
            signatures: voters.iter().map(|voter| vote(*voter)).collect(),
        };
        let header = weft_types::Genesis {
            chain_id: 1,
            time_ms: 1,
            l1_origin: weft_types::L1Origin::default(),
            l1: None,
            params: weft_types::Params::default(),
            validators: committee.members().to_vec(),
            stakes: vec![],
            accounts: vec![],
            namespaces: vec![],
        }
        .header(&committee);
        let voters = |voted: &[u16]| -> Vec<u16> {
            let call = post(&header, &certificate(voted), &committee);
            assert_eq!(call.round, 2);
            assert_eq!(call.committee.len(), 5 * MEMBER_BYTES);
            let votes = call.votes.chunks(VOTE_BYTES);
            votes.map(|vote| u16::from_be_bytes([vote[0], vote[1]])).collect()
        };
        assert_eq!(voters(&[0, 1, 2, 3, 4]), [1, 3]);
        assert_eq!(voters(&[0, 1, 2, 4]), [0, 1, 2, 4], "all there are");
        assert_eq!(voters(&[0, 1, 3]), [1, 3]);
    }
}
