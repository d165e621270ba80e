//! The state root from scratch, to compare with the one kept up to date.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles};
use redb::{ReadableDatabase, ReadableTable};

use super::records::AccountRecord;
use super::tables::{ACCOUNTS, STORAGE};
use super::{Store, StoreError};

/// What checking a state found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateCheck {
    /// Leaves of the account trie.
    pub accounts: u64,
    /// Leaves of all storage tries.
    pub slots: u64,
    /// The root over all of them.
    pub root: B256,
}

/// Leaves by the hash of their key, as a trie wants them.
#[derive(Default)]
struct Leaves(Vec<(Nibbles, Vec<u8>)>);

impl Leaves {
    fn root(mut self) -> B256 {
        if self.0.is_empty() {
            return EMPTY_ROOT_HASH;
        }
        self.0.sort_unstable_by_key(|a| a.0);
        let mut builder = HashBuilder::default();
        for (key, value) in &self.0 {
            builder.add_leaf(*key, value);
        }
        builder.root()
    }
}

impl Store {
    /// Reads the whole state as of the last block and computes its root without the stored trie.
    pub fn check_state(&self) -> Result<StateCheck, StoreError> {
        let read = self.db.begin_read()?;
        let (accounts, storage) = (read.open_table(ACCOUNTS)?, read.open_table(STORAGE)?);
        let mut check = StateCheck { accounts: 0, slots: 0, root: EMPTY_ROOT_HASH };
        let mut leaves = Leaves::default();
        // Entries of one account stand together, the latest one last.
        let mut entries = accounts.iter()?.peekable();
        while let Some(entry) = entries.next() {
            let (key, value) = entry?;
            let address = Address::from_slice(&key.value()[..20]);
            let newer = match entries.peek() {
                Some(Ok((next, _))) => next.value()[..20] == address[..],
                _ => false,
            };
            if newer || value.value().is_empty() {
                continue;
            }
            let record: AccountRecord =
                borsh::from_slice(value.value()).map_err(|_| StoreError::Damaged("an account"))?;
            let (root, slots) = storage_root(&storage, &address)?;
            if root != record.storage_root {
                return Err(StoreError::Damaged("a storage root"));
            }
            check.accounts += 1;
            check.slots += slots;
            leaves.0.push((Nibbles::unpack(keccak256(address)), record.leaf()));
        }
        check.root = leaves.root();
        Ok(check)
    }
}

fn storage_root(
    storage: &impl ReadableTable<&'static [u8; 60], &'static [u8]>,
    address: &Address,
) -> Result<(B256, u64), StoreError> {
    let (mut from, mut to) = ([0; 60], [255; 60]);
    from[..20].copy_from_slice(address.as_slice());
    to[..20].copy_from_slice(address.as_slice());
    let mut leaves = Leaves::default();
    let mut entries = storage.range::<&[u8; 60]>(&from..=&to)?.peekable();
    while let Some(entry) = entries.next() {
        let (key, value) = entry?;
        let slot = B256::from_slice(&key.value()[20..52]);
        let newer = match entries.peek() {
            Some(Ok((next, _))) => next.value()[20..52] == slot[..],
            _ => false,
        };
        if newer || value.value().is_empty() {
            continue;
        }
        let leaf = alloy_rlp::encode(U256::from_be_slice(value.value()));
        leaves.0.push((Nibbles::unpack(keccak256(slot)), leaf));
    }
    let count = leaves.0.len() as u64;
    Ok((leaves.root(), count))
}
