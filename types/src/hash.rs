//! Hash functions and the names of what they hash (protocol section 3).
//!
//! keccak256 for the thin spine that Ethereum must verify, blake3 for the bulk.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// keccak256 of the concatenation of `parts`.
pub fn keccak256(parts: &[&[u8]]) -> B256 {
    let mut hasher = alloy_primitives::Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// blake3 of the concatenation of `parts`.
pub fn blake3(parts: &[&[u8]]) -> B256 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    B256::from(*hasher.finalize().as_bytes())
}

/// The 32-byte form in which a domain tag such as `weft/header/v1` enters a preimage.
pub fn tag(name: &str) -> B256 {
    keccak256(&[name.as_bytes()])
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl $name {
            /// The value with every byte zero, which names nothing.
            pub const ZERO: Self = Self(B256::ZERO);

            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<B256> for $name {
            fn from(hash: B256) -> Self {
                Self(hash)
            }
        }

        impl std::str::FromStr for $name {
            type Err = alloy_primitives::hex::FromHexError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

hash_type! {
    /// keccak256 of a [header](crate::Header)'s fixed layout. What validators vote on.
    BlockId
}
hash_type! {
    /// blake3 of a [batch](crate::BatchBody)'s borsh, without its signature.
    BatchDigest
}
hash_type! {
    /// blake3 of the borsh of the [events](crate::L1Events) of an L1 block.
    EventsDigest
}
hash_type! {
    /// blake3 of a whole [transaction](crate::Transaction)'s borsh, signature included.
    TransactionId
}
hash_type! {
    /// keccak256 of an [observation](crate::ObservationBody)'s borsh, without its signature.
    ObservationHash
}
