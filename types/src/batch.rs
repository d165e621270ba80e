//! Batches and lanes (protocol section 4).
//!
//! A lane is a hash chain of batches named `(author, incarnation)`. An author opens a new
//! incarnation at every boot, so that it need not remember what it had pushed.

use std::fmt;

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{BatchDigest, blake3};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_TRANSACTIONS};
use crate::signature::{SecretKey, SignatureError};
use crate::signing::{Signable, Signed, Slot};
use crate::transaction::{Transaction, TransactionError, TransactionWitness, encode};
use crate::verified::{Verified, Verify};

/// A signed batch.
pub type Batch = Signed<BatchBody>;

/// The name of a lane.
#[derive(
    Clone,
    Copy,
    Debug,
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
pub struct LaneId {
    /// The validator whose lane it is.
    pub author: Address,
    /// Which of its lanes: a counter that grows with every boot of the author.
    pub incarnation: u32,
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.author, self.incarnation)
    }
}

/// What a batch's author signs. Its digest is the blake3 of its borsh.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct BatchBody {
    /// The lane it stands in.
    pub lane: LaneId,
    /// Its place in the lane, from 1.
    #[serde(with = "crate::json::decimal")]
    pub seq: u64,
    /// The batch before it; zero for the first.
    pub parent: BatchDigest,
    /// What it carries, in the author's order.
    pub transactions: Vec<Transaction>,
}

impl BatchBody {
    /// The name by which observations call the batch.
    pub fn digest(&self) -> BatchDigest {
        BatchDigest(blake3(&[&encode(self)]))
    }
}

impl Signable for BatchBody {
    fn slot(&self) -> Slot {
        Slot::Batch { incarnation: self.lane.incarnation, seq: self.seq }
    }

    fn body_hash(&self) -> B256 {
        self.digest().0
    }
}

/// What checking a batch finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchWitness {
    /// Its digest.
    pub digest: BatchDigest,
    /// Its size in bytes of borsh, signature included.
    pub bytes: u32,
    /// Each transaction's check. A bad transaction does not spoil its batch: its author pays for
    /// the bytes (protocol section 6).
    pub transactions: Vec<Result<TransactionWitness, TransactionError>>,
}

/// Makes and signs a batch of transactions that have been checked already.
pub fn seal(
    lane: LaneId,
    seq: u64,
    parent: BatchDigest,
    transactions: Vec<Verified<Transaction>>,
    chain_id: u64,
    key: &SecretKey,
) -> Result<Verified<Batch>, BatchError> {
    let (transactions, witnesses) =
        transactions.into_iter().map(Verified::into_parts).map(|(t, w)| (t, Ok(w))).unzip();
    let batch = Signed::new(BatchBody { lane, seq, parent, transactions }, chain_id, key);
    let (digest, bytes) = batch.check_form()?;
    let witness = BatchWitness { digest, bytes, transactions: witnesses };
    Ok(Verified::from_parts(batch, witness))
}

/// Why a batch was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A batch carries something; an author with nothing to say seals none.
    #[error("batch has no transactions")]
    Empty,
    /// Too many transactions.
    #[error("batch has {0} transactions, at most {MAX_BATCH_TRANSACTIONS} allowed")]
    TooMany(usize),
    /// Too many bytes.
    #[error("batch has {0} bytes, at most {MAX_BATCH_BYTES} allowed")]
    TooLarge(usize),
    /// Places in a lane are counted from 1, and only the first has no parent.
    #[error("batch {seq} has parent {parent}")]
    Parent {
        /// Its place.
        seq: u64,
        /// The parent it names.
        parent: BatchDigest,
    },
    /// Not signed by its author.
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
}

impl Verify for Batch {
    /// The chain id.
    type Context<'a> = u64;
    type Witness = BatchWitness;
    type Error = BatchError;

    fn verify(&self, chain_id: u64) -> Result<BatchWitness, BatchError> {
        let (digest, bytes) = self.check_form()?;
        let hash = self.body.slot().signing_hash(chain_id, digest.0);
        self.signature.check(hash, self.body.lane.author)?;
        let transactions = self.body.transactions.iter().map(|tx| tx.verify(chain_id)).collect();
        Ok(BatchWitness { digest, bytes, transactions })
    }
}

impl Batch {
    /// Everything but signatures. Returns digest and size.
    fn check_form(&self) -> Result<(BatchDigest, u32), BatchError> {
        let body = &self.body;
        if body.transactions.is_empty() {
            return Err(BatchError::Empty);
        }
        if body.transactions.len() > MAX_BATCH_TRANSACTIONS {
            return Err(BatchError::TooMany(body.transactions.len()));
        }
        if body.seq == 0 || (body.seq == 1) != (body.parent == BatchDigest::ZERO) {
            return Err(BatchError::Parent { seq: body.seq, parent: body.parent });
        }
        let encoded = encode(body);
        let size = encoded.len() + crate::signature::SIGNATURE_LENGTH;
        let bytes = u32::try_from(size)
            .ok()
            .filter(|_| size <= MAX_BATCH_BYTES)
            .ok_or(BatchError::TooLarge(size))?;
        Ok((BatchDigest(blake3(&[&encoded])), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NamespaceId, Payload, SecretKey, TransactionBody};
    use alloy_primitives::Bytes;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes([byte; 32]).unwrap()
    }

    fn transaction(chain_id: u64) -> Transaction {
        let payload =
            Payload::Submit { namespace: NamespaceId(1), data: vec![Bytes::from_static(b"x")] };
        let body = TransactionBody { chain_id, valid_until: 1, salt: 0, max_fee: 0, payload };
        Signed::new(body, chain_id, &key(2))
    }

    fn batch(seq: u64, parent: BatchDigest, transactions: Vec<Transaction>) -> Batch {
        let lane = LaneId { author: key(1).address(), incarnation: 3 };
        Signed::new(BatchBody { lane, seq, parent, transactions }, 5, &key(1))
    }

    #[test]
    fn a_bad_transaction_does_not_spoil_its_batch() {
        let batch = batch(1, BatchDigest::ZERO, vec![transaction(5), transaction(6)]);
        let witness = batch.verify(5).unwrap();
        assert_eq!(witness.digest, batch.body.digest());
        assert_eq!(witness.bytes as usize, borsh::to_vec(&batch).unwrap().len());
        assert!(witness.transactions[0].is_ok());
        assert!(witness.transactions[1].is_err());
    }

    #[test]
    fn sealing_finds_what_a_check_would() {
        let lane = LaneId { author: key(1).address(), incarnation: 3 };
        let checked = crate::Unverified::new(transaction(5)).verify(5).unwrap();
        let sealed = seal(lane, 1, BatchDigest::ZERO, vec![checked], 5, &key(1)).unwrap();
        assert_eq!(sealed.verify(5).as_ref(), Ok(sealed.witness()));
    }

    #[test]
    fn check_names_what_is_wrong() {
        let digest = BatchDigest(B256::repeat_byte(1));
        assert_eq!(batch(1, BatchDigest::ZERO, vec![]).verify(5), Err(BatchError::Empty));
        assert_eq!(
            batch(1, digest, vec![transaction(5)]).verify(5),
            Err(BatchError::Parent { seq: 1, parent: digest })
        );
        assert_eq!(
            batch(2, BatchDigest::ZERO, vec![transaction(5)]).verify(5),
            Err(BatchError::Parent { seq: 2, parent: BatchDigest::ZERO })
        );
        let mut stolen = batch(1, BatchDigest::ZERO, vec![transaction(5)]);
        stolen.body.lane.author = key(2).address();
        assert!(matches!(stolen.verify(5), Err(BatchError::Signature(_))));
        let elsewhere = batch(1, BatchDigest::ZERO, vec![transaction(5)]);
        assert!(matches!(elsewhere.verify(6), Err(BatchError::Signature(_))));
    }
}
