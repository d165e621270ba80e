//! Writing a block: state, trie, indexes and cursor in one transaction.

use alloy_consensus::{Block, BlockBody, Header};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use redb::{Durability, ReadableTable, Table, WriteTransaction};
use revm::state::AccountInfo;
use weft_types::TransactionId;

use super::nodes::TableNodes;
use super::read::{account_at, slot_at};
use super::records::{AccountRecord, Outcome, StoredBlock, StoredReceipt};
use super::tables::{
    ACCOUNT_NODES, ACCOUNTS, BLOCKS, CODE, CURSOR, IDENTITY, LAYOUT, META, NUMBERS, OUTCOMES,
    RECEIPTS, STORAGE, STORAGE_NODES, SUBMISSIONS, TRANSACTIONS, account_key, storage_key,
};
use super::{LAYOUT_NOW, Store, StoreError, borsh_vec};
use crate::cursor::Cursor;
use crate::evm::block::{self, Place, encode_receipt};
use crate::evm::execute::Executed;
use crate::evm::genesis::EvmGenesis;
use crate::evm::spec::Leaves;
use crate::evm::trie;
use crate::evm::visited::{Changes, VisitedAccount};

/// An executed block that is to become part of the chain.
#[derive(Debug)]
pub struct NewBlock<'a> {
    /// Where it stands.
    pub place: Place,
    /// What executing it came to.
    pub executed: Executed,
    /// The Weft transactions that brought its items.
    pub submissions: &'a [TransactionId],
    /// Where the rollup stands with it.
    pub cursor: Cursor,
}

type Bytes28 = &'static [u8; 28];
type Bytes60 = &'static [u8; 60];
type Slice = &'static [u8];

impl Store {
    /// Adds a block and moves the cursor, in one transaction. Not durable before the next
    /// [`flush`](Self::flush).
    pub fn commit(&self, new: NewBlock<'_>) -> Result<StoredBlock, StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::None)?;
        let NewBlock { place, executed, submissions, cursor } = new;
        let number = place.number;
        let state_root = write_state(&write, executed.state, number, self.spec.leaves)?;
        let header = block::header(&self.spec, &place, state_root, &executed.included);
        let height = cursor.height().unwrap_or(0);
        let stored = {
            let bodies = executed.included.iter().map(|tx| tx.transaction.envelope.clone());
            let stored = seal(header, bodies.collect(), Some(&cursor));
            write.open_table(BLOCKS)?.insert(number, stored.encode().as_slice())?;
            write.open_table(NUMBERS)?.insert(&stored.hash.0, number)?;
            stored
        };
        {
            let mut outcomes = write.open_table(OUTCOMES)?;
            for (hash, reason) in &executed.skipped {
                // What was executed once stays executed.
                let before = outcomes.get(&hash.0)?.map(|v| v.value().first().copied());
                if before != Some(Some(0)) {
                    let outcome = Outcome::Skipped { height, reason: *reason };
                    outcomes.insert(&hash.0, borsh_vec(&outcome).as_slice())?;
                }
            }
            let mut transactions = write.open_table(TRANSACTIONS)?;
            let mut receipts = write.open_table(RECEIPTS)?;
            let mut first_log = 0;
            for (index, included) in (0u32..).zip(&executed.included) {
                let tx = &included.transaction;
                let outcome = Outcome::Executed { block: number, index, height };
                outcomes.insert(&tx.hash.0, borsh_vec(&outcome).as_slice())?;
                let body = [tx.sender.as_slice(), &tx.raw].concat();
                transactions.insert((number, index), body.as_slice())?;
                let receipt = StoredReceipt {
                    gas_used: included.gas_used,
                    first_log,
                    created: included.created,
                    receipt: encode_receipt(&included.receipt),
                };
                receipts.insert((number, index), borsh_vec(&receipt).as_slice())?;
                first_log += included.receipt.receipt.logs.len() as u64;
            }
            let mut table = write.open_table(SUBMISSIONS)?;
            for id in submissions {
                table.insert(id.as_bytes(), height)?;
            }
        }
        write.open_table(META)?.insert(CURSOR, borsh_vec(&cursor).as_slice())?;
        write.commit()?;
        self.tip.send_modify(|tip| tip.number = number);
        Ok(stored)
    }

    /// Writes the genesis block. Durable at once.
    pub(super) fn write_genesis(
        &self,
        genesis: &EvmGenesis,
        identity: B256,
    ) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        let mut state = Changes::default();
        for (address, account) in &genesis.alloc {
            let code = revm::bytecode::Bytecode::new_raw_checked(account.code.clone())
                .map_err(|_| StoreError::Damaged("code in the genesis file"))?;
            let info = AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash: code.hash_slow(),
                ..AccountInfo::default()
            };
            state.code.insert(info.code_hash, code);
            let storage = account
                .storage
                .iter()
                .map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)));
            let account =
                VisitedAccount { info, storage: storage.collect(), ..VisitedAccount::default() };
            state.accounts.insert(*address, account);
        }
        write_state(&write, state, 0, genesis.spec.leaves)?;
        let stored = seal(block::genesis_header(&genesis.spec), Vec::new(), None);
        write.open_table(BLOCKS)?.insert(0, stored.encode().as_slice())?;
        write.open_table(NUMBERS)?.insert(&stored.hash.0, 0)?;
        // Views open every table, so every table has to be there.
        write.open_table(TRANSACTIONS)?;
        write.open_table(RECEIPTS)?;
        write.open_table(OUTCOMES)?;
        write.open_table(SUBMISSIONS)?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert(LAYOUT, LAYOUT_NOW.to_be_bytes().as_slice())?;
            meta.insert(IDENTITY, identity.as_slice())?;
        }
        write.commit()?;
        Ok(())
    }
}

/// Hashes a header and measures the block. `cursor` is where the rollup stands with it.
fn seal(
    header: Header,
    transactions: Vec<crate::evm::transaction::Envelope>,
    cursor: Option<&Cursor>,
) -> StoredBlock {
    let count = u32::try_from(transactions.len()).unwrap_or(u32::MAX);
    let body = BlockBody {
        transactions,
        ommers: Vec::new(),
        withdrawals: Some(alloy_eips::eip4895::Withdrawals::default()),
    };
    let block = Block::<_, Header>::new(header, body);
    let size = block.length() as u64;
    let hash = block.header.hash_slow();
    StoredBlock {
        header: block.header,
        hash,
        height: cursor.and_then(Cursor::height).unwrap_or(0),
        forced: cursor.map_or(0, |cursor| cursor.forced),
        hold: cursor.and_then(|cursor| cursor.hold),
        transactions: count,
        size,
    }
}

/// Writes what a block looked up and changed, and returns the new state root.
fn write_state(
    write: &WriteTransaction,
    state: Changes,
    block: u64,
    leaves: Leaves,
) -> Result<B256, StoreError> {
    let mut code = write.open_table(CODE)?;
    for (hash, bytecode) in &state.code {
        if !bytecode.is_empty() && code.get(&hash.0)?.is_none() {
            code.insert(&hash.0, bytecode.original_byte_slice())?;
        }
    }
    let mut tables = State {
        accounts: write.open_table(ACCOUNTS)?,
        storage: write.open_table(STORAGE)?,
        storage_nodes: write.open_table(STORAGE_NODES)?,
        block,
        leaves,
    };
    let mut changes = Vec::new();
    for (address, account) in state.accounts {
        if let Some(leaf) = tables.write_account(&address, account)? {
            changes.push((Nibbles::unpack(keccak256(address)), leaf));
        }
    }
    changes.sort_unstable_by_key(|a| a.0);
    let mut table = write.open_table(ACCOUNT_NODES)?;
    let mut nodes = TableNodes::new(&mut table, &[]);
    let root = trie::update(&mut nodes, changes)?;
    nodes.finish()?;
    Ok(root)
}

struct State<'txn> {
    accounts: Table<'txn, Bytes28, Slice>,
    storage: Table<'txn, Bytes60, Slice>,
    storage_nodes: Table<'txn, Slice, Slice>,
    block: u64,
    leaves: Leaves,
}

impl State<'_> {
    /// Writes an account and its storage; returns its new leaf in the state trie (`None` inside for
    /// no leaf), or `None` if that has not changed.
    #[expect(clippy::option_option, reason = "unchanged, removed and changed are three things")]
    fn write_account(
        &mut self,
        address: &Address,
        account: VisitedAccount,
    ) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let old = account_at(&self.accounts, address, u64::MAX)?;
        let mut root = old.map_or(EMPTY_ROOT_HASH, |old| old.storage_root);
        if account.wiped && root != EMPTY_ROOT_HASH {
            self.wipe_storage(address)?;
            root = EMPTY_ROOT_HASH;
        }
        let changes = self.write_slots(address, account.storage)?;
        if !changes.is_empty() {
            let hash = keccak256(address);
            let mut nodes = TableNodes::new(&mut self.storage_nodes, hash.as_slice());
            root = trie::update(&mut nodes, changes)?;
            nodes.finish()?;
        }
        let new = AccountRecord {
            nonce: account.info.nonce,
            balance: account.info.balance.to_be_bytes(),
            code_hash: account.info.code_hash,
            storage_root: root,
            life: account.life,
        };
        let new = match self.leaves {
            Leaves::Visited => Some(new),
            Leaves::Ethereum => (!new.is_empty()).then_some(new),
        };
        if new == old {
            return Ok(None);
        }
        let bytes = new.as_ref().map(borsh_vec).unwrap_or_default();
        self.accounts.insert(&account_key(address, self.block), bytes.as_slice())?;
        let leaf = |record: AccountRecord| record.leaf();
        // How an account came to be is not in its leaf.
        if new.map(leaf) == old.map(leaf) {
            return Ok(None);
        }
        Ok(Some(new.map(leaf)))
    }

    /// Writes changed slots and returns the changes to the storage trie, in order of key.
    fn write_slots(
        &mut self,
        address: &Address,
        slots: impl IntoIterator<Item = (U256, U256)>,
    ) -> Result<Vec<trie::Change>, StoreError> {
        let mut changes = Vec::new();
        for (slot, value) in slots {
            let slot = B256::from(slot);
            let old = slot_at(&self.storage, address, &slot, u64::MAX)?;
            let new = match self.leaves {
                Leaves::Visited => Some(B256::from(value)),
                Leaves::Ethereum => (!value.is_zero()).then(|| B256::from(value)),
            };
            if new == old {
                continue;
            }
            let bytes = new.as_ref().map(|value| value.as_slice()).unwrap_or_default();
            self.storage.insert(&storage_key(address, &slot, self.block), bytes)?;
            let leaf = new.map(|_| alloy_rlp::encode(value));
            changes.push((Nibbles::unpack(keccak256(slot)), leaf));
        }
        changes.sort_unstable_by_key(|a| a.0);
        Ok(changes)
    }

    /// Forgets an account's storage, as when a contract is created where one was.
    fn wipe_storage(&mut self, address: &Address) -> Result<(), StoreError> {
        let (from, to) = (
            storage_key(address, &B256::ZERO, 0),
            storage_key(address, &B256::repeat_byte(255), u64::MAX),
        );
        let mut gone = Vec::new();
        for entry in self.storage.range::<&[u8; 60]>(&from..=&to)? {
            let (key, _) = entry?;
            let slot = B256::from_slice(&key.value()[20..52]);
            if gone.last() != Some(&slot) {
                gone.push(slot);
            }
        }
        for slot in gone {
            self.storage.insert(&storage_key(address, &slot, self.block), [].as_slice())?;
        }
        let hash = keccak256(address);
        let mut end = hash.to_vec();
        end.extend_from_slice(&[255]);
        self.storage_nodes.retain_in::<&[u8], _>(hash.as_slice()..end.as_slice(), |_, _| false)?;
        Ok(())
    }
}
