//! What the network takes in from Ethereum (protocol section 10).
//!
//! The contracts' logs in one L1 block, in their order, become the [events](L1Events) of that
//! block. Observations name them by their [digest](EventsDigest); the block that passes the L1
//! block carries them.

use alloy_primitives::{Address, B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{BlockId, EventsDigest, blake3, keccak256};
use crate::limits::{MAX_EVENTS_BYTES, MAX_FORCED_BYTES};
use crate::namespace::NamespaceId;
use crate::signature::{SecretKey, Signature};
use crate::signing::Slot;
use crate::transaction::encode;
use crate::verified::Verify;
use crate::{Height, Wei};

/// Where the contracts of a network stand (`spec/ethereum.md`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct L1Contracts {
    /// EIP-155 id of the chain they stand on.
    #[serde(with = "crate::json::decimal")]
    pub chain_id: u64,
    /// Follows headers by their certificates.
    pub light_client: Address,
    /// Holds bonds.
    pub stake_registry: Address,
    /// Takes deposits and pays withdrawals.
    pub vault: Address,
    /// Takes forced messages.
    pub inbox: Address,
}

/// Something that a contract logged. The number is its borsh tag.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[repr(u8)]
pub enum L1Event {
    /// Wei for an account.
    Deposit {
        /// Whose.
        to: Address,
        /// How much.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
    } = 0,
    /// The stake of a validator that counts from now on.
    Stake {
        /// Whose.
        validator: Address,
        /// How much, in wei: 0 for one that exits or was slashed.
        #[serde(with = "crate::json::decimal")]
        stake: Wei,
    } = 1,
    /// A message to a namespace that has to be taken in.
    Forced {
        /// To whom.
        namespace: NamespaceId,
        /// Its number among all messages.
        #[serde(with = "crate::json::decimal")]
        index: u64,
        /// Who sent it, on L1.
        sender: Address,
        /// What was paid for it, in wei.
        #[serde(with = "crate::json::decimal")]
        fee: Wei,
        /// What it says, 1 to [`MAX_FORCED_BYTES`].
        data: Bytes,
    } = 2,
    /// A header of this network was posted.
    Posted {
        /// Its height.
        #[serde(with = "crate::json::decimal")]
        height: Height,
        /// Its id.
        block: BlockId,
        /// Who posted it, and is paid for it.
        poster: Address,
    } = 3,
}

/// Everything that the contracts logged in one L1 block, in log order.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct L1Events(pub Vec<L1Event>);

impl L1Events {
    /// Their name: the blake3 of their borsh.
    pub fn digest(&self) -> EventsDigest {
        EventsDigest(blake3(&[&encode(self)]))
    }
}

/// What checking events finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsWitness {
    /// Their name.
    pub digest: EventsDigest,
    /// Their size in bytes of borsh.
    pub bytes: u32,
}

/// Why events were refused. No L1 block brings such: the contracts see to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// Too many bytes in all.
    #[error("events have {0} bytes, at most {MAX_EVENTS_BYTES} allowed")]
    TooLarge(usize),
    /// A forced message of a size that none can have.
    #[error("forced message {index} has {bytes} bytes, expected 1 to {MAX_FORCED_BYTES}")]
    Forced {
        /// Which.
        index: u64,
        /// Its size.
        bytes: usize,
    },
}

impl Verify for L1Events {
    type Context<'a> = ();
    type Witness = EventsWitness;
    type Error = EventsError;

    fn verify(&self, (): ()) -> Result<EventsWitness, EventsError> {
        for event in &self.0 {
            if let L1Event::Forced { index, data, .. } = event
                && (data.is_empty() || data.len() > MAX_FORCED_BYTES)
            {
                return Err(EventsError::Forced { index: *index, bytes: data.len() });
            }
        }
        let encoded = encode(self);
        let bytes = u32::try_from(encoded.len())
            .ok()
            .filter(|_| encoded.len() <= MAX_EVENTS_BYTES)
            .ok_or(EventsError::TooLarge(encoded.len()))?;
        Ok(EventsWitness { digest: EventsDigest(blake3(&[&encoded])), bytes })
    }
}

/// Proof that `key` belongs to who bonds it: its signature for a stake registry and the account
/// that will own the bond.
pub fn prove_possession(
    key: &SecretKey,
    chain_id: u64,
    stake_registry: Address,
    owner: Address,
) -> Signature {
    key.sign(Slot::Bond.signing_hash(chain_id, possession(stake_registry, owner)))
}

/// What such a proof says: `keccak256(registry 20 || owner 20)`.
pub fn possession(stake_registry: Address, owner: Address) -> B256 {
    keccak256(&[stake_registry.as_slice(), owner.as_slice()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(bytes: usize) -> L1Events {
        L1Events(vec![L1Event::Forced {
            namespace: NamespaceId(7),
            index: 3,
            sender: Address::ZERO,
            fee: 1,
            data: vec![1; bytes].into(),
        }])
    }

    #[test]
    fn check_finds_digest_and_size() {
        let events = forced(1);
        let witness = events.verify(()).unwrap();
        assert_eq!(witness.digest, events.digest());
        assert_eq!(witness.bytes as usize, borsh::to_vec(&events).unwrap().len());
        assert_ne!(L1Events::default().digest(), events.digest());
    }

    #[test]
    fn check_names_what_is_wrong() {
        for bytes in [0, MAX_FORCED_BYTES + 1] {
            assert_eq!(forced(bytes).verify(()), Err(EventsError::Forced { index: 3, bytes }));
        }
        let event = L1Event::Deposit { to: Address::ZERO, amount: 1 };
        let size = borsh::to_vec(&event).unwrap().len();
        let most = (MAX_EVENTS_BYTES - 4) / size;
        assert!(L1Events(vec![event.clone(); most]).verify(()).is_ok());
        let more = L1Events(vec![event; most + 1]);
        assert!(matches!(more.verify(()), Err(EventsError::TooLarge(_))));
    }

    #[test]
    fn possession_is_of_one_key_for_one_owner_of_one_registry() {
        let key = SecretKey::from_bytes([5; 32]).unwrap();
        let (registry, owner) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let proof = prove_possession(&key, 9, registry, owner);
        let signer = |chain_id, registry, owner| {
            proof.recover(Slot::Bond.signing_hash(chain_id, possession(registry, owner)))
        };
        assert_eq!(signer(9, registry, owner), Ok(key.address()));
        for other in
            [signer(8, registry, owner), signer(9, owner, owner), signer(9, registry, registry)]
        {
            assert_ne!(other, Ok(key.address()));
        }
    }
}
