//! What the tables hold.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};
use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::Height;

use crate::cursor::Hold;
use crate::evm::skip::SkipReason;
use crate::evm::visited::Life;

/// A block's header and where it comes from.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// The Weft height of its slice, or the last one before a fallback that made it; 0 for the
    /// genesis block.
    pub height: Height,
    /// Forced messages with a lower index are taken in, or are for others.
    pub forced: u64,
    /// The hold that its slice was in.
    pub hold: Option<Hold>,
    /// How many transactions it has.
    pub transactions: u32,
    /// Length of its RLP with transactions, as explorers show it.
    pub size: u64,
}

impl StoredBlock {
    /// Below which height all slices are that it needed: see [`Cursor::needs`](crate::cursor::Cursor::needs).
    pub fn needs(&self) -> Height {
        let last = self.hold.map_or(self.height, |hold| hold.decided);
        last.saturating_add(1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(700);
        bytes.extend_from_slice(self.hash.as_slice());
        bytes.extend_from_slice(&self.height.to_be_bytes());
        bytes.extend_from_slice(&self.forced.to_be_bytes());
        bytes.extend_from_slice(&self.transactions.to_be_bytes());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        // Writing to memory does not fail.
        let _ = self.hold.serialize(&mut bytes);
        self.header.encode(&mut bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk::<32>()?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let (forced, rest) = rest.split_first_chunk::<8>()?;
        let (transactions, rest) = rest.split_first_chunk::<4>()?;
        let (size, mut rest) = rest.split_first_chunk::<8>()?;
        let hold = Option::<Hold>::deserialize(&mut rest).ok()?;
        Some(Self {
            header: Header::decode(&mut rest).ok()?,
            hash: B256::from(*hash),
            height: u64::from_be_bytes(*height),
            forced: u64::from_be_bytes(*forced),
            hold,
            transactions: u32::from_be_bytes(*transactions),
            size: u64::from_be_bytes(*size),
        })
    }
}

/// A receipt and what it does not say itself.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct StoredReceipt {
    /// Gas the transaction used.
    pub gas_used: u64,
    /// Index in the block of its first log.
    pub first_log: u64,
    /// The contract it created.
    pub created: Option<Address>,
    /// The receipt's consensus encoding.
    pub receipt: Vec<u8>,
}

/// What became of an item, by the hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// It is a transaction of a block.
    Executed {
        /// The block.
        block: u64,
        /// Its place there.
        index: u32,
        /// The Weft height of the block's slice.
        height: Height,
    },
    /// It was in a slice and made no transaction; the last time, if several.
    Skipped {
        /// The Weft height of the slice.
        height: Height,
        /// Why.
        reason: SkipReason,
    },
}

impl Outcome {
    /// Whether it stays when every block after `kept` is taken back, and every slice of this height
    /// and above.
    pub(in crate::evm) fn stays(&self, kept: u64, height: Height) -> bool {
        match self {
            Self::Executed { block, .. } => *block <= kept,
            Self::Skipped { height: at, .. } => *at < height,
        }
    }
}

/// An account as of some block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountRecord {
    /// Nonce.
    pub nonce: u64,
    /// Balance in wei, big-endian.
    pub balance: [u8; 32],
    /// keccak256 of the code.
    pub code_hash: B256,
    /// Root of the storage trie.
    pub storage_root: B256,
    /// How it came to be so.
    pub life: Life,
}

impl Default for AccountRecord {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: [0; 32],
            code_hash: KECCAK_EMPTY,
            storage_root: EMPTY_ROOT_HASH,
            life: Life::Plain,
        }
    }
}

impl AccountRecord {
    /// Balance in wei.
    pub fn balance(&self) -> U256 {
        U256::from_be_bytes(self.balance)
    }

    /// No nonce, no balance, no code: the same as not existing, for execution.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance == [0; 32] && self.code_hash == KECCAK_EMPTY
    }

    /// The account's leaf in the state trie.
    pub fn leaf(&self) -> Vec<u8> {
        alloy_rlp::encode(TrieAccount {
            nonce: self.nonce,
            balance: self.balance(),
            storage_root: self.storage_root,
            code_hash: self.code_hash,
        })
    }
}
