//! Evidence: two signatures of one validator over different bodies in one slot (protocol
//! section 3). It stays this small whatever was signed, so that Ethereum can check it.

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::signature::{Signature, SignatureError};
use crate::signing::{Signable, Signed, Slot};
use crate::verified::Verify;

/// Proof that somebody signed two different messages for the same slot.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Evidence {
    /// The slot both messages took.
    pub slot: Slot,
    /// Body hash and signature of one message; the lower hash of the two.
    pub first: (B256, Signature),
    /// Body hash and signature of the other.
    pub second: (B256, Signature),
}

/// Why evidence proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Two signatures of this kind are no fault.
    #[error("messages of this kind are not slashable")]
    NotSlashable,
    /// The same body twice, or in the wrong order.
    #[error("body hashes must be strictly ascending")]
    NotAscending,
    /// A signature that does not hold.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// Two signers.
    #[error("signed by {0} and {1}")]
    TwoSigners(Address, Address),
}

impl Evidence {
    /// Puts two messages together. Whether they prove anything is for [`Verify`] to say.
    pub fn new(slot: Slot, a: (B256, Signature), b: (B256, Signature)) -> Self {
        let (first, second) = if a.0 <= b.0 { (a, b) } else { (b, a) };
        Self { slot, first, second }
    }

    /// Evidence of two signed bodies, if they take the same slot.
    pub fn of<T: Signable>(a: &Signed<T>, b: &Signed<T>) -> Option<Self> {
        let slot = a.body.slot();
        (slot == b.body.slot()).then(|| {
            Self::new(slot, (a.body.body_hash(), a.signature), (b.body.body_hash(), b.signature))
        })
    }
}

impl Verify for Evidence {
    /// The chain id.
    type Context<'a> = u64;
    /// Who is guilty.
    type Witness = Address;
    type Error = EvidenceError;

    fn verify(&self, chain_id: u64) -> Result<Address, EvidenceError> {
        if !self.slot.is_slashable() {
            return Err(EvidenceError::NotSlashable);
        }
        if self.first.0 >= self.second.0 {
            return Err(EvidenceError::NotAscending);
        }
        let signer = |(body, signature): (B256, Signature)| {
            signature.recover(self.slot.signing_hash(chain_id, body))
        };
        let (a, b) = (signer(self.first)?, signer(self.second)?);
        if a == b { Ok(a) } else { Err(EvidenceError::TwoSigners(a, b)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretKey, VoteKind};

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes([byte; 32]).unwrap()
    }

    fn signed(key: &SecretKey, slot: Slot, body: u8) -> (B256, Signature) {
        let body = B256::repeat_byte(body);
        (body, key.sign(slot.signing_hash(5, body)))
    }

    #[test]
    fn two_bodies_in_one_slot_are_a_fault() {
        let slot = Slot::Vote { kind: VoteKind::Precommit, height: 7, round: 0 };
        let a = signed(&key(1), slot, 1);
        let b = signed(&key(1), slot, 2);
        assert_eq!(Evidence::new(slot, b, a).verify(5), Ok(key(1).address()));
        assert_eq!(Evidence::new(slot, a, a).verify(5), Err(EvidenceError::NotAscending));
        assert_eq!(
            Evidence { slot, first: b, second: a }.verify(5),
            Err(EvidenceError::NotAscending)
        );
        let other = signed(&key(2), slot, 2);
        assert!(matches!(
            Evidence::new(slot, a, other).verify(5),
            Err(EvidenceError::TwoSigners(..))
        ));
        assert!(Evidence::new(slot, a, b).verify(6).is_err(), "another chain's votes");
        let elsewhere = Slot::Vote { kind: VoteKind::Precommit, height: 7, round: 1 };
        assert!(Evidence::new(elsewhere, a, b).verify(5) != Ok(key(1).address()));
        let free = Slot::Transaction;
        assert_eq!(
            Evidence::new(free, signed(&key(1), free, 1), signed(&key(1), free, 2)).verify(5),
            Err(EvidenceError::NotSlashable)
        );
    }
}
