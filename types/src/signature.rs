//! secp256k1 signatures in the form `ecrecover` takes (protocol section 3).

use std::fmt;

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SECP256K1};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::keccak256;

/// Length of a signature: `r (32) || s (32) || v (1)`, `v` 27 or 28.
pub const SIGNATURE_LENGTH: usize = 65;

/// Half the order of the group, rounded down: the largest `s` that is "low".
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The last byte is neither 27 nor 28.
    #[error("recovery byte is {0}, expected 27 or 28")]
    RecoveryByte(u8),
    /// `s` is above half the group order: the malleable twin of a valid signature.
    #[error("s is not low")]
    HighS,
    /// No public key yields this signature for this message.
    #[error("signature does not recover to a key")]
    Unrecoverable,
    /// The signer is somebody else.
    #[error("signed by {actual}, expected {expected}")]
    WrongSigner {
        /// Who had to sign.
        expected: Address,
        /// Who did.
        actual: Address,
    },
}

/// `r || s || v`, big-endian, low `s`, `v` 27 or 28. Any 65 bytes can be held; only
/// [`recover`](Signature::recover) says whether they mean anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; SIGNATURE_LENGTH]);

impl Signature {
    /// The address whose key signed `hash`.
    pub fn recover(&self, hash: B256) -> Result<Address, SignatureError> {
        let v = self.0[64];
        let id = match v {
            27 => RecoveryId::Zero,
            28 => RecoveryId::One,
            _ => return Err(SignatureError::RecoveryByte(v)),
        };
        if self.0[32..64] > HALF_ORDER[..] {
            return Err(SignatureError::HighS);
        }
        let signature = RecoverableSignature::from_compact(&self.0[..64], id)
            .map_err(|_| SignatureError::Unrecoverable)?;
        let key = SECP256K1
            .recover_ecdsa(Message::from_digest(hash.0), &signature)
            .map_err(|_| SignatureError::Unrecoverable)?;
        Ok(address_of(&key))
    }

    /// Checks that `signer` signed `hash`.
    pub fn check(&self, hash: B256, signer: Address) -> Result<(), SignatureError> {
        let actual = self.recover(hash)?;
        if actual == signer {
            Ok(())
        } else {
            Err(SignatureError::WrongSigner { expected: signer, actual })
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", alloy_primitives::hex::encode(&self.0[..8]))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        alloy_primitives::hex::serde::serialize(self.0, out)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let bytes: [u8; SIGNATURE_LENGTH] = alloy_primitives::hex::serde::deserialize(input)?;
        Ok(Self(bytes))
    }
}

/// A secp256k1 signing key. Never printed, never serialised by derive.
#[derive(Clone)]
pub struct SecretKey(secp256k1::SecretKey);

impl SecretKey {
    /// Takes 32 big-endian bytes; `None` if they are zero or not below the group order.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        secp256k1::SecretKey::from_byte_array(bytes).ok().map(Self)
    }

    /// The 32 big-endian bytes, for a keystore.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// The Ethereum address of the key: its identity everywhere in Weft.
    pub fn address(&self) -> Address {
        address_of(&self.0.public_key(SECP256K1))
    }

    /// Signs a 32-byte hash. Deterministic (RFC 6979): the same hash gives the same signature.
    pub fn sign(&self, hash: B256) -> Signature {
        let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.0);
        let (id, compact) = signature.serialize_compact();
        let mut bytes = [0; SIGNATURE_LENGTH];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = match id {
            RecoveryId::Zero | RecoveryId::Two => 27,
            RecoveryId::One | RecoveryId::Three => 28,
        };
        Signature(bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.address())
    }
}

fn address_of(key: &PublicKey) -> Address {
    let uncompressed = key.serialize_uncompressed();
    Address::from_slice(&keccak256(&[&uncompressed[1..]])[12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes([7; 32]).unwrap()
    }

    #[test]
    fn address_matches_a_published_key() {
        // The first account of the well-known test mnemonic of Ethereum development nodes.
        let bytes: B256 =
            "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse().unwrap();
        let expected: Address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
        assert_eq!(SecretKey::from_bytes(bytes.0).unwrap().address(), expected);
    }

    #[test]
    fn recovers_the_signer_and_refuses_others() {
        let hash = B256::repeat_byte(3);
        let signature = key().sign(hash);
        assert_eq!(signature.recover(hash), Ok(key().address()));
        assert_eq!(signature.check(hash, key().address()), Ok(()));
        assert!(matches!(
            signature.check(hash, Address::ZERO),
            Err(SignatureError::WrongSigner { .. })
        ));
        assert_ne!(signature.recover(B256::repeat_byte(4)), Ok(key().address()));
    }

    #[test]
    fn refuses_the_malleable_twin() {
        let hash = B256::repeat_byte(3);
        let mut twin = key().sign(hash);
        // n - s, and the other parity.
        let order: [u8; 32] = alloy_primitives::hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        );
        let mut borrow = 0i16;
        for i in (0..32).rev() {
            let d = i16::from(order[i]) - i16::from(twin.0[32 + i]) - borrow;
            borrow = i16::from(d < 0);
            twin.0[32 + i] = d.rem_euclid(256) as u8;
        }
        twin.0[64] = 55 - twin.0[64];
        assert_eq!(twin.recover(hash), Err(SignatureError::HighS));
    }

    #[test]
    fn refuses_garbage_without_panicking() {
        let hash = B256::repeat_byte(3);
        for fill in [0u8, 1, 27, 28, 0x7f, 0xff] {
            for v in 0..=255u8 {
                let mut bytes = [fill; SIGNATURE_LENGTH];
                bytes[64] = v;
                let _ = Signature(bytes).recover(hash);
            }
        }
        assert_eq!(
            Signature([0; SIGNATURE_LENGTH]).recover(hash),
            Err(SignatureError::RecoveryByte(0))
        );
    }
}
