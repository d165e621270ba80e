//! Transactions (protocol section 4).
//!
//! There are no account nonces: a transaction is remembered from being ordered until
//! `valid_until` and charged at most once. `salt` tells apart two transactions that are otherwise
//! alike.

use alloy_primitives::{Address, B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{TransactionId, blake3};
use crate::limits::{MAX_BID_AMOUNT, MAX_BID_LEGS, MAX_SUBMIT_ITEMS, MAX_TRANSACTION_BYTES};
use crate::namespace::{NamespaceId, NamespaceSettings, SettingsError};
use crate::signature::SignatureError;
use crate::signing::{Signable, Signed, Slot};
use crate::verified::Verify;
use crate::{Height, TimeMs, Wei};

/// A signed transaction. Its id covers the signature.
pub type Transaction = Signed<TransactionBody>;

/// What a transaction's sender signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct TransactionBody {
    /// The Weft network it is meant for.
    #[serde(with = "crate::json::decimal")]
    pub chain_id: u64,
    /// Last block time, in milliseconds, at which it may be ordered.
    #[serde(with = "crate::json::decimal")]
    pub valid_until: TimeMs,
    /// Any number.
    #[serde(with = "crate::json::decimal")]
    pub salt: u64,
    /// Most the sender pays for inclusion and, where it submits, for the namespace, in wei. It does
    /// not bound what a payload moves, nor the fee for registering a namespace.
    #[serde(with = "crate::json::decimal")]
    pub max_fee: Wei,
    /// What it does.
    pub payload: Payload,
}

/// What a bid or a bundle brings to one namespace's slice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// The rollup.
    pub namespace: NamespaceId,
    /// Items that mean something to the rollup, each not empty; at most [`MAX_SUBMIT_ITEMS`].
    pub data: Vec<Bytes>,
}

/// What a winning bid's legs are tied by. The number is its borsh tag.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum BidMode {
    /// All of them are ordered at one height, or none; each rollup makes of its own what it makes of it.
    #[default]
    Inclusion = 0,
    /// All of them are executed, or none (protocol section 9).
    Atomic = 1,
}

/// What a transaction does. The number is its borsh tag; gaps belong to payloads of later
/// versions of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Payload {
    /// Orders data for a rollup.
    Submit {
        /// The rollup.
        namespace: NamespaceId,
        /// Items that mean something to the rollup, each not empty; at most
        /// [`MAX_SUBMIT_ITEMS`].
        data: Vec<Bytes>,
    } = 0,
    /// Moves wei between accounts of the ledger.
    Transfer {
        /// Who receives.
        to: Address,
        /// How much, in wei.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
    } = 1,
    /// Registers a namespace for a fee.
    RegisterNamespace {
        /// The id, not yet taken.
        namespace: NamespaceId,
        /// Its first settings.
        settings: NamespaceSettings,
    } = 2,
    /// Changes a namespace's settings; only its owner may.
    UpdateNamespace {
        /// The id.
        namespace: NamespaceId,
        /// The settings from now on.
        settings: NamespaceSettings,
    } = 3,
    /// Moves wei to L1, where it can be claimed once a header that commits to it is posted.
    Withdraw {
        /// Who gets it there.
        to: Address,
        /// How much, in wei, above zero.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
    } = 4,
    /// Bids for the heads of slices of one height (protocol section 8).
    Bid {
        /// A higher one replaces a lower one of the same sender for the same height.
        #[serde(with = "crate::json::decimal")]
        sequence: u64,
        /// The height it is for. It counts only if it is ordered exactly there.
        #[serde(with = "crate::json::decimal")]
        height: Height,
        /// What it pays if it wins, in wei: 1 to [`MAX_BID_AMOUNT`], or 0 without legs.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
        /// What ties its legs: if they are to be executed all or none, there are two or more.
        #[serde(default)]
        mode: BidMode,
        /// What it brings, strictly ascending by namespace: at most [`MAX_BID_LEGS`]; none
        /// withdraws an earlier bid.
        legs: Vec<Leg>,
    } = 5,
    /// Puts up wei to back bids with.
    LockCollateral {
        /// How much, in wei, above zero.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
    } = 6,
    /// Takes collateral back. It backs nothing from then on, and returns to the balance after the
    /// network's delay.
    ReleaseCollateral {
        /// How much, in wei, above zero.
        #[serde(with = "crate::json::decimal")]
        amount: Wei,
    } = 7,
    /// Orders data for several rollups in one block: for all of them, or for none (protocol section
    /// 9).
    Bundle {
        /// What it brings, strictly ascending by namespace: 2 to [`MAX_BID_LEGS`].
        legs: Vec<Leg>,
    } = 8,
    /// What an executor finds that a leg of an atomic bundle will do (protocol section 9).
    Verdict {
        /// The bid's transaction.
        bundle: TransactionId,
        /// The leg's rollup.
        namespace: NamespaceId,
        /// What the leg will do, on what, as the rollup defines it; `None` if it will not do what it
        /// is to do. Executors agree if this is the same.
        effects: Option<B256>,
    } = 9,
}

impl Signable for TransactionBody {
    fn slot(&self) -> Slot {
        Slot::Transaction
    }

    fn body_hash(&self) -> B256 {
        blake3(&[&encode(self)])
    }
}

/// What checking a transaction finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionWitness {
    /// Its id.
    pub id: TransactionId,
    /// Who signed it.
    pub sender: Address,
    /// Its size in bytes of borsh: what fees are charged on.
    pub bytes: u32,
}

/// Why a transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Meant for another network.
    #[error("chain_id is {actual}, this network is {expected}")]
    ChainId {
        /// This network.
        expected: u64,
        /// The one named.
        actual: u64,
    },
    /// Larger than any transaction may be.
    #[error("transaction has {0} bytes, at most {MAX_TRANSACTION_BYTES} allowed")]
    TooLarge(usize),
    /// A submission without data.
    #[error("data has no items")]
    NoItems,
    /// A submission with too many items.
    #[error("data has {0} items, at most {MAX_SUBMIT_ITEMS} allowed")]
    TooManyItems(usize),
    /// A submission with an item of no bytes.
    #[error("data item {0} is empty")]
    EmptyItem(usize),
    /// A withdrawal of nothing.
    #[error("amount to withdraw is zero")]
    NothingToWithdraw,
    /// Collateral of nothing.
    #[error("amount of collateral is zero")]
    NoCollateral,
    /// A bid or bundle for too many namespaces.
    #[error("it has {0} legs, at most {MAX_BID_LEGS} allowed")]
    TooManyLegs(usize),
    /// Legs that are unsorted, or two for one namespace.
    #[error("legs must be strictly ascending by namespace")]
    UnsortedLegs,
    /// A bid that offers more than any can.
    #[error("bid offers {0} wei, at most {MAX_BID_AMOUNT} allowed")]
    TooMuch(Wei),
    /// A bid that offers something for nothing, or nothing for something.
    #[error("a bid has legs and an amount above zero, or withdraws and has neither")]
    HalfBid,
    /// A bundle that binds nothing together.
    #[error("a bundle has two legs or more, not {0}")]
    TooFewLegs(usize),
    /// A bid to be executed on all rollups or none that is for one, or withdraws.
    #[error("an atomic bid has two legs or more, not {0}")]
    AtomicLegs(usize),
    /// Malformed namespace settings.
    #[error("settings: {0}")]
    Settings(#[from] SettingsError),
    /// The signature is no good.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
}

impl Verify for Transaction {
    /// The chain id.
    type Context<'a> = u64;
    type Witness = TransactionWitness;
    type Error = TransactionError;

    fn verify(&self, chain_id: u64) -> Result<TransactionWitness, TransactionError> {
        if self.body.chain_id != chain_id {
            return Err(TransactionError::ChainId {
                expected: chain_id,
                actual: self.body.chain_id,
            });
        }
        self.body.payload.check()?;
        let encoded = encode(self);
        let bytes = u32::try_from(encoded.len())
            .ok()
            .filter(|_| encoded.len() <= MAX_TRANSACTION_BYTES)
            .ok_or(TransactionError::TooLarge(encoded.len()))?;
        // The body is the encoding without the signature at its end.
        let body = &encoded[..encoded.len() - crate::signature::SIGNATURE_LENGTH];
        let hash = Slot::Transaction.signing_hash(chain_id, blake3(&[body]));
        let sender = self.signature.recover(hash)?;
        Ok(TransactionWitness { id: TransactionId(blake3(&[&encoded])), sender, bytes })
    }
}

impl Payload {
    fn check(&self) -> Result<(), TransactionError> {
        match self {
            Self::Submit { data, .. } => check_data(data),
            Self::Transfer { .. } => Ok(()),
            Self::Withdraw { amount: 0, .. } => Err(TransactionError::NothingToWithdraw),
            Self::Withdraw { .. } => Ok(()),
            Self::LockCollateral { amount: 0 } | Self::ReleaseCollateral { amount: 0 } => {
                Err(TransactionError::NoCollateral)
            }
            Self::LockCollateral { .. } | Self::ReleaseCollateral { .. } | Self::Verdict { .. } => {
                Ok(())
            }
            Self::Bundle { legs } => {
                if legs.len() < 2 {
                    return Err(TransactionError::TooFewLegs(legs.len()));
                }
                check_legs(legs)
            }
            Self::Bid { amount, mode, legs, .. } => {
                if *amount > MAX_BID_AMOUNT {
                    return Err(TransactionError::TooMuch(*amount));
                }
                if (*amount == 0) != legs.is_empty() {
                    return Err(TransactionError::HalfBid);
                }
                if *mode == BidMode::Atomic && legs.len() < 2 {
                    return Err(TransactionError::AtomicLegs(legs.len()));
                }
                check_legs(legs)
            }
            Self::RegisterNamespace { settings, .. } | Self::UpdateNamespace { settings, .. } => {
                Ok(settings.check()?)
            }
        }
    }
}

/// Checks what goes to several rollups.
fn check_legs(legs: &[Leg]) -> Result<(), TransactionError> {
    if legs.len() > MAX_BID_LEGS {
        return Err(TransactionError::TooManyLegs(legs.len()));
    }
    if !legs.is_sorted_by(|a, b| a.namespace < b.namespace) {
        return Err(TransactionError::UnsortedLegs);
    }
    legs.iter().try_for_each(|leg| check_data(&leg.data))
}

/// Checks what goes to a rollup.
fn check_data(data: &[Bytes]) -> Result<(), TransactionError> {
    if data.is_empty() {
        return Err(TransactionError::NoItems);
    }
    if data.len() > MAX_SUBMIT_ITEMS {
        return Err(TransactionError::TooManyItems(data.len()));
    }
    match data.iter().position(|item| item.is_empty()) {
        Some(index) => Err(TransactionError::EmptyItem(index)),
        None => Ok(()),
    }
}

/// The id of a transaction as it stands, checked or not.
pub fn id_of(transaction: &Transaction) -> TransactionId {
    TransactionId(blake3(&[&encode(transaction)]))
}

/// borsh into a vector. Writing to memory fails for no value of this crate's types.
pub(crate) fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("borsh into a Vec fails only on lengths above u32::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretKey, Unverified};

    fn key() -> SecretKey {
        SecretKey::from_bytes([9; 32]).unwrap()
    }

    fn submit(data: Vec<Bytes>) -> Transaction {
        Signed::new(
            TransactionBody {
                chain_id: 5,
                valid_until: 10,
                salt: 0,
                max_fee: 1,
                payload: Payload::Submit { namespace: NamespaceId(7), data },
            },
            5,
            &key(),
        )
    }

    #[test]
    fn check_finds_sender_id_and_size() {
        let tx = submit(vec![Bytes::from_static(b"x")]);
        let size = borsh::to_vec(&tx).unwrap().len();
        let verified = Unverified::new(tx.clone()).verify(5).unwrap();
        assert_eq!(verified.witness().sender, key().address());
        assert_eq!(verified.witness().bytes as usize, size);
        assert_eq!(verified.witness().id, id_of(&tx));
    }

    #[test]
    fn check_names_what_is_wrong() {
        let fine = submit(vec![Bytes::from_static(b"x")]);
        let errors = [
            (fine.verify(6), TransactionError::ChainId { expected: 6, actual: 5 }),
            (submit(vec![]).verify(5), TransactionError::NoItems),
            (
                submit(vec![Bytes::from_static(b"x"), Bytes::new()]).verify(5),
                TransactionError::EmptyItem(1),
            ),
            (
                submit(vec![Bytes::from_static(b"x"); MAX_SUBMIT_ITEMS + 1]).verify(5),
                TransactionError::TooManyItems(MAX_SUBMIT_ITEMS + 1),
            ),
        ];
        for (actual, expected) in errors {
            assert_eq!(actual, Err(expected));
        }
        let bid = |amount, namespaces: &[u64]| {
            let leg =
                |n: &u64| Leg { namespace: NamespaceId(*n), data: vec![Bytes::from_static(b"x")] };
            let legs = namespaces.iter().map(leg).collect();
            let mode = BidMode::Inclusion;
            Payload::Bid { sequence: 1, height: 2, amount, mode, legs }.check()
        };
        let nine: Vec<u64> = (0..9).collect();
        assert_eq!(bid(1, &[1, 2]), Ok(()));
        assert_eq!(bid(0, &[]), Ok(()));
        assert_eq!(bid(1, &[]), Err(TransactionError::HalfBid));
        assert_eq!(bid(0, &[1]), Err(TransactionError::HalfBid));
        assert_eq!(bid(1, &[2, 2]), Err(TransactionError::UnsortedLegs));
        assert_eq!(bid(1, &nine), Err(TransactionError::TooManyLegs(9)));
        let most = MAX_BID_AMOUNT + 1;
        assert_eq!(bid(most, &[1]), Err(TransactionError::TooMuch(most)));
        let bundle = |namespaces: &[u64]| {
            let data = vec![Bytes::from_static(b"x")];
            let leg = |n: &u64| Leg { namespace: NamespaceId(*n), data: data.clone() };
            Payload::Bundle { legs: namespaces.iter().map(leg).collect() }.check()
        };
        assert_eq!(bundle(&[1, 2]), Ok(()));
        assert_eq!(bundle(&[1]), Err(TransactionError::TooFewLegs(1)));
        assert_eq!(bundle(&[2, 1]), Err(TransactionError::UnsortedLegs));
        assert_eq!(bundle(&nine), Err(TransactionError::TooManyLegs(9)));
        let large = submit(vec![Bytes::from(vec![1; MAX_TRANSACTION_BYTES])]);
        assert!(matches!(large.verify(5), Err(TransactionError::TooLarge(_))));
    }

    #[test]
    fn any_changed_bit_changes_sender_or_fails() {
        let tx = submit(vec![Bytes::from_static(b"hello")]);
        let bytes = borsh::to_vec(&tx).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(tx) = borsh::from_slice::<Transaction>(&changed) else { continue };
            if let Ok(witness) = tx.verify(5) {
                assert_ne!(witness.sender, key().address(), "bit {bit}");
            }
        }
    }
}
