//! The tables of the database, and how keys are laid out.
//!
//! State is kept with its history: the key of an account or slot ends in the number of the block
//! that wrote it, big-endian, so that the value as of a block is the last entry up to there.

use alloy_primitives::{Address, B256};
use redb::TableDefinition;

/// Facts there is one of; see the constants below.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Block number to [`StoredBlock`](super::records::StoredBlock).
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Block hash to block number.
pub(super) const NUMBERS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("numbers");
/// (Block, index) to sender and raw transaction.
pub(super) const TRANSACTIONS: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("transactions");
/// (Block, index) to [`StoredReceipt`](super::records::StoredReceipt).
pub(super) const RECEIPTS: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("receipts");
/// Transaction hash to [`Outcome`](super::records::Outcome).
pub(super) const OUTCOMES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("outcomes");
/// Id of a Weft transaction to the height of the slice it stands in.
pub(super) const SUBMISSIONS: TableDefinition<'_, &[u8; 32], u64> =
    TableDefinition::new("submissions");
/// (Address, block) to [`AccountRecord`](super::records::AccountRecord); empty if gone.
pub(super) const ACCOUNTS: TableDefinition<'_, &[u8; 28], &[u8]> = TableDefinition::new("accounts");
/// (Address, slot, block) to the slot's value; empty if gone.
pub(super) const STORAGE: TableDefinition<'_, &[u8; 60], &[u8]> = TableDefinition::new("storage");
/// Code hash to code.
pub(super) const CODE: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("code");
/// Path to node of the account trie.
pub(super) const ACCOUNT_NODES: TableDefinition<'_, &[u8], &[u8]> =
    TableDefinition::new("account_nodes");
/// (Hash of address, path) to node of an account's storage trie.
pub(super) const STORAGE_NODES: TableDefinition<'_, &[u8], &[u8]> =
    TableDefinition::new("storage_nodes");

/// In [`META`]: the layout of this database.
pub(super) const LAYOUT: &str = "layout";
/// In [`META`]: [`Cursor`](crate::cursor::Cursor).
pub(super) const CURSOR: &str = "cursor";
/// In [`META`]: fingerprint of the rollup's genesis and of its network.
pub(super) const IDENTITY: &str = "identity";

/// The key of an account as written by a block.
pub(super) fn account_key(address: &Address, block: u64) -> [u8; 28] {
    let mut key = [0; 28];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&block.to_be_bytes());
    key
}

/// The key of a slot as written by a block.
pub(super) fn storage_key(address: &Address, slot: &B256, block: u64) -> [u8; 60] {
    let mut key = [0; 60];
    key[..20].copy_from_slice(address.as_slice());
    key[20..52].copy_from_slice(slot.as_slice());
    key[52..].copy_from_slice(&block.to_be_bytes());
    key
}
