//! secp256k1 for the engine: signatures over Weft's preimages, by recovery.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_core_types as engine;
use arc_malachitebft_signing as signing;
use async_trait::async_trait;
use engine::{
    ExtendedCommitCertificate, NilOrVal, SignedMessage, SigningScheme, ValidatorProof,
    VoteExtensionScope, VoteType,
};
use signing::{Error, VerificationResult};
use weft_types::{Address, B256, SecretKey, Signature, hash::keccak256};

use super::context::{Context, Proposal, ValidatorId, Vote};

/// The signing scheme. A public key is an address; a signature is 65 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme;

/// Bytes of the wrong length for what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes")]
pub struct WrongLength(usize);

impl SigningScheme for Scheme {
    type DecodingError = WrongLength;
    type Signature = Signature;
    type PublicKey = ValidatorId;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, WrongLength> {
        bytes.try_into().map(Signature).map_err(|_| WrongLength(bytes.len()))
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<ValidatorId, WrongLength> {
        let bytes: [u8; 20] = bytes.try_into().map_err(|_| WrongLength(bytes.len()))?;
        Ok(ValidatorId(Address::from(bytes)))
    }

    fn encode_public_key(key: &ValidatorId) -> Vec<u8> {
        key.0.to_vec()
    }
}

/// Checks signatures and remembers the good ones, since one vote is checked when it comes in,
/// again by the engine, and again in a certificate.
#[derive(Clone)]
pub struct Verifier {
    chain_id: u64,
    checked: Arc<Mutex<Checked>>,
}

#[derive(Default)]
struct Checked {
    signers: BTreeMap<(B256, Signature), Address>,
    order: VecDeque<(B256, Signature)>,
}

impl Verifier {
    /// How many checked signatures are remembered: some heights' worth at 100 seats.
    pub const REMEMBERED: usize = 4096;

    /// For a network.
    pub fn new(chain_id: u64) -> Self {
        Self { chain_id, checked: Arc::default() }
    }

    /// Whether the voter signed the vote.
    pub fn check_vote(&self, vote: &Vote, signature: &Signature) -> bool {
        vote.plain().is_some_and(|plain| {
            self.check(plain.signing_hash(self.chain_id), signature, vote.voter.0)
        })
    }

    /// Whether the proposer signed the proposal.
    pub fn check_proposal(&self, proposal: &Proposal, signature: &Signature) -> bool {
        proposal.plain().is_some_and(|plain| {
            self.check(plain.signing_hash(self.chain_id), signature, proposal.proposer.0)
        })
    }

    /// Checks the votes of a certificate, so that the answers are known when the engine asks.
    pub fn check_certificate(&self, certificate: &ExtendedCommitCertificate<Context>) {
        let ExtendedCommitCertificate { height, round, value_id, .. } = *certificate;
        for signed in &certificate.commit_signatures {
            let vote = Vote {
                kind: VoteType::Precommit,
                height,
                round,
                value: NilOrVal::Val(value_id),
                voter: signed.address,
            };
            self.check_vote(&vote, &signed.signature);
        }
    }

    fn check(&self, hash: B256, signature: &Signature, signer: Address) -> bool {
        let key = (hash, *signature);
        let known = self.lock().signers.get(&key).copied();
        if let Some(known) = known {
            return known == signer;
        }
        let Ok(actual) = signature.recover(hash) else { return false };
        let mut checked = self.lock();
        if checked.signers.insert(key, actual).is_none() {
            checked.order.push_back(key);
        }
        if checked.order.len() > Self::REMEMBERED
            && let Some(oldest) = checked.order.pop_front()
        {
            checked.signers.remove(&oldest);
        }
        actual == signer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Checked> {
        // Nothing inside can be left half done.
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl signing::Verifier<Context> for Verifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &ValidatorId,
    ) -> Result<VerificationResult, Error> {
        let valid = vote.voter == *key && self.check_vote(vote, signature);
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &ValidatorId,
    ) -> Result<VerificationResult, Error> {
        let valid = proposal.proposer == *key && self.check_proposal(proposal, signature);
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Context>,
        (): &(),
        _: &Signature,
        _: &ValidatorId,
    ) -> Result<VerificationResult, Error> {
        // No height asks for extensions, so there is no good one.
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Context>,
    ) -> Result<VerificationResult, Error> {
        let key = Scheme::decode_public_key(&proof.public_key).ok();
        let hash = keccak256(&[&proof.preimage()]);
        let valid = key.is_some_and(|key| self.check(hash, &proof.signature, key.0));
        Ok(VerificationResult::from_bool(valid))
    }
}

/// Signs for the engine.
#[derive(Clone, Debug)]
pub struct Signer {
    chain_id: u64,
    key: SecretKey,
}

impl Signer {
    /// With a validator's key, on a network.
    pub fn new(chain_id: u64, key: SecretKey) -> Self {
        Self { chain_id, key }
    }

    fn sign(&self, hash: Option<B256>) -> Result<Signature, Error> {
        hash.map(|hash| self.key.sign(hash)).ok_or_else(Error::new)
    }
}

#[async_trait]
impl signing::Signer<Context> for Signer {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Context, Vote>, Error> {
        let signature = self.sign(vote.plain().map(|plain| plain.signing_hash(self.chain_id)))?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Context, Proposal>, Error> {
        let hash = proposal.plain().map(|plain| plain.signing_hash(self.chain_id));
        let signature = self.sign(hash)?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Context>,
        (): (),
    ) -> Result<SignedMessage<Context, ()>, Error> {
        Err(Error::new())
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Context>, Error> {
        let preimage = ValidatorProof::<Context>::signing_bytes(&public_key, &peer_id);
        let signature = self.key.sign(keccak256(&[&preimage]));
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Height;
    use arc_malachitebft_core_types::Round;

    fn vote(key: &SecretKey) -> Vote {
        Vote {
            kind: VoteType::Prevote,
            height: Height(3),
            round: Round::new(0),
            value: NilOrVal::Nil,
            voter: ValidatorId(key.address()),
        }
    }

    #[test]
    fn a_remembered_signature_vouches_for_its_own_vote_only() {
        let key = SecretKey::from_bytes([4; 32]).unwrap();
        let other = SecretKey::from_bytes([5; 32]).unwrap();
        let verifier = Verifier::new(7);
        let signature = key.sign(vote(&key).plain().unwrap().signing_hash(7));
        for _ in 0..2 {
            assert!(verifier.check_vote(&vote(&key), &signature));
            let stolen = Vote { voter: ValidatorId(other.address()), ..vote(&key) };
            assert!(!verifier.check_vote(&stolen, &signature));
            let moved = Vote { height: Height(4), ..vote(&key) };
            assert!(!verifier.check_vote(&moved, &signature));
            let roundless = Vote { round: Round::Nil, ..vote(&key) };
            assert!(!verifier.check_vote(&roundless, &signature));
        }
        assert!(!Verifier::new(8).check_vote(&vote(&key), &signature));
    }

    #[test]
    fn memory_is_bounded() {
        let key = SecretKey::from_bytes([4; 32]).unwrap();
        let verifier = Verifier::new(7);
        let signature = key.sign(B256::ZERO);
        for i in 0..Verifier::REMEMBERED as u64 + 100 {
            let hash = keccak256(&[&i.to_be_bytes()]);
            verifier.check(hash, &signature, key.address());
        }
        assert!(verifier.lock().signers.len() <= Verifier::REMEMBERED);
    }
}
