//! Taking back blocks, as a fallback does. Rare, so that it may read all of the state's history: then
//! nothing has to be kept for it while blocks are made.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use redb::{Durability, WriteTransaction};

use super::nodes::TableNodes;
use super::read::{account_at, slot_at};
use super::records::{Outcome, StoredBlock};
use super::tables::{
    ACCOUNT_NODES, ACCOUNTS, BLOCKS, CURSOR, META, NUMBERS, OUTCOMES, RECEIPTS, STORAGE,
    STORAGE_NODES, SUBMISSIONS, TRANSACTIONS,
};
use super::{Store, StoreError, borsh_vec};
use crate::cursor::Cursor;
use crate::evm::trie;

impl Store {
    /// Takes back every block that needed slices of the height of `to`'s fallback and above, and moves the
    /// cursor there, but not beyond what was held, with the forced messages that were taken in by
    /// then. Durable at once.
    pub fn unwind(&self, to: Cursor) -> Result<Cursor, StoreError> {
        let view = self.view()?;
        let kept = view.last_below(to.fallback.map_or(to.next, |fallback| fallback.height))?;
        let block = view.block(kept)?.ok_or(StoreError::Damaged("a block is missing"))?;
        let hold = view.block(kept + 1)?.and_then(|first| first.hold);
        drop(view);
        let cursor = Cursor { forced: block.forced, ..to }.not_beyond(hold);
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_quick_repair(true);
        remove_blocks(&write, kept, cursor.next)?;
        let root = restore_state(&write, kept)?;
        // The genesis block names the root of an empty trie, whatever the genesis file allocates.
        if kept > 0 && root != block.header.state_root {
            return Err(StoreError::Damaged("the state before a fallback"));
        }
        write.open_table(META)?.insert(CURSOR, borsh_vec(&cursor).as_slice())?;
        write.commit()?;
        self.tip.send_modify(|tip| tip.unwind(kept));
        Ok(cursor)
    }
}

/// Removes all blocks after one, and what slices of this height and above came to.
fn remove_blocks(write: &WriteTransaction, kept: u64, height: u64) -> Result<(), StoreError> {
    let mut numbers = write.open_table(NUMBERS)?;
    for entry in write.open_table(BLOCKS)?.extract_from_if(kept + 1.., |_, _| true)? {
        let (_, bytes) = entry?;
        let block = StoredBlock::decode(bytes.value()).ok_or(StoreError::Damaged("a block"))?;
        numbers.remove(&block.hash.0)?;
    }
    write.open_table(TRANSACTIONS)?.retain_in((kept + 1, 0).., |_, _| false)?;
    write.open_table(RECEIPTS)?.retain_in((kept + 1, 0).., |_, _| false)?;
    let stays = |outcome: Outcome| outcome.stays(kept, height);
    write.open_table(OUTCOMES)?.retain(|_, bytes| borsh::from_slice(bytes).is_ok_and(stays))?;
    write.open_table(SUBMISSIONS)?.retain(|_, at| at < height)?;
    Ok(())
}

/// Forgets what blocks after one have written, and brings the tries back to what they were.
fn restore_state(write: &WriteTransaction, kept: u64) -> Result<B256, StoreError> {
    let (mut accounts, mut storage) = (write.open_table(ACCOUNTS)?, write.open_table(STORAGE)?);
    let mut storage_nodes = write.open_table(STORAGE_NODES)?;
    let mut touched: BTreeSet<Address> = BTreeSet::new();
    let mut slots: BTreeMap<Address, BTreeSet<B256>> = BTreeMap::new();
    let is_later = |block: &[u8]| block > kept.to_be_bytes().as_slice();
    accounts.retain(|key, _| {
        let later = is_later(&key[20..]);
        if later {
            touched.insert(Address::from_slice(&key[..20]));
        }
        !later
    })?;
    storage.retain(|key, _| {
        let later = is_later(&key[52..]);
        if later {
            let address = Address::from_slice(&key[..20]);
            slots.entry(address).or_default().insert(B256::from_slice(&key[20..52]));
        }
        !later
    })?;
    for (address, slots) in &slots {
        let mut changes = Vec::with_capacity(slots.len());
        for slot in slots {
            let value = slot_at(&storage, address, slot, kept)?;
            let leaf = value.map(|value| alloy_rlp::encode(U256::from_be_bytes(value.0)));
            changes.push((Nibbles::unpack(keccak256(slot)), leaf));
        }
        changes.sort_unstable_by_key(|change| change.0);
        let hash = keccak256(address);
        let mut nodes = TableNodes::new(&mut storage_nodes, hash.as_slice());
        let root = trie::update(&mut nodes, changes)?;
        nodes.finish()?;
        let account = account_at(&accounts, address, kept)?;
        if root != account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root) {
            return Err(StoreError::Damaged("the storage before a fallback"));
        }
    }
    let mut changes = Vec::with_capacity(touched.len());
    for address in &touched {
        let account = account_at(&accounts, address, kept)?;
        changes.push((Nibbles::unpack(keccak256(address)), account.map(|account| account.leaf())));
    }
    changes.sort_unstable_by_key(|change| change.0);
    let mut table = write.open_table(ACCOUNT_NODES)?;
    let mut nodes = TableNodes::new(&mut table, &[]);
    let root = trie::update(&mut nodes, changes)?;
    nodes.finish()?;
    Ok(root)
}
