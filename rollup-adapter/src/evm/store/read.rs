//! Reading: a view of the database as of one moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::KECCAK_EMPTY;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::AccountInfo;
use weft_types::{Height, TransactionId};

use super::records::{AccountRecord, Outcome, StoredBlock, StoredReceipt};
use super::tables::{
    ACCOUNTS, BLOCKS, CODE, CURSOR, META, NUMBERS, OUTCOMES, RECEIPTS, STORAGE, SUBMISSIONS,
    TRANSACTIONS, account_key, storage_key,
};
use super::{Store, StoreError};
use crate::cursor::Cursor;
use crate::evm::chain::last_kept;
use crate::evm::visited::{Life, State};

/// The database as of one moment. What is committed meanwhile is not seen.
pub struct View {
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    blocks: ReadOnlyTable<u64, &'static [u8]>,
    numbers: ReadOnlyTable<&'static [u8; 32], u64>,
    transactions: ReadOnlyTable<(u64, u32), &'static [u8]>,
    receipts: ReadOnlyTable<(u64, u32), &'static [u8]>,
    outcomes: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    submissions: ReadOnlyTable<&'static [u8; 32], u64>,
    accounts: ReadOnlyTable<&'static [u8; 28], &'static [u8]>,
    storage: ReadOnlyTable<&'static [u8; 60], &'static [u8]>,
    code: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    ready: Arc<Mutex<HashMap<B256, Bytecode>>>,
}

impl View {
    pub(super) fn new(
        read: &ReadTransaction,
        ready: Arc<Mutex<HashMap<B256, Bytecode>>>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            meta: read.open_table(META)?,
            blocks: read.open_table(BLOCKS)?,
            numbers: read.open_table(NUMBERS)?,
            transactions: read.open_table(TRANSACTIONS)?,
            receipts: read.open_table(RECEIPTS)?,
            outcomes: read.open_table(OUTCOMES)?,
            submissions: read.open_table(SUBMISSIONS)?,
            accounts: read.open_table(ACCOUNTS)?,
            storage: read.open_table(STORAGE)?,
            code: read.open_table(CODE)?,
            ready,
        })
    }

    /// Where the rollup stands.
    pub fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        let stored = self.meta.get(CURSOR)?;
        let decode = |bytes: &[u8]| borsh::from_slice(bytes);
        stored
            .map(|bytes| decode(bytes.value()))
            .transpose()
            .map_err(|_| StoreError::Damaged("the cursor"))
    }

    /// The last block.
    pub fn head(&self) -> Result<StoredBlock, StoreError> {
        let (_, bytes) = self.blocks.last()?.ok_or(StoreError::Damaged("no genesis block"))?;
        StoredBlock::decode(bytes.value()).ok_or(StoreError::Damaged("a block"))
    }

    /// A block by number.
    pub fn block(&self, number: u64) -> Result<Option<StoredBlock>, StoreError> {
        let stored = self.blocks.get(number)?;
        let decode = |bytes: &[u8]| StoredBlock::decode(bytes);
        stored.map(|bytes| decode(bytes.value()).ok_or(StoreError::Damaged("a block"))).transpose()
    }

    /// The number of the last block that no fallback takes back any more.
    pub fn settled(&self) -> Result<u64, StoreError> {
        let below = self.cursor()?.map_or(0, |cursor| cursor.settled.below);
        self.last_below(below)
    }

    /// The number of the last block that needed slices of lower heights only.
    pub fn last_below(&self, height: Height) -> Result<u64, StoreError> {
        last_kept(self.head()?.header.number, |number| {
            let block = self.block(number)?.ok_or(StoreError::Damaged("a block is missing"))?;
            Ok(block.needs() <= height)
        })
    }

    /// A block's number by hash.
    pub fn number(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        Ok(self.numbers.get(&hash.0)?.map(|number| number.value()))
    }

    /// Sender and bytes of a transaction.
    pub fn transaction(
        &self,
        block: u64,
        index: u32,
    ) -> Result<Option<(Address, Bytes)>, StoreError> {
        let Some(stored) = self.transactions.get((block, index))? else { return Ok(None) };
        let (sender, raw) =
            stored.value().split_first_chunk::<20>().ok_or(StoreError::Damaged("a transaction"))?;
        Ok(Some((Address::from(*sender), Bytes::copy_from_slice(raw))))
    }

    /// The receipt of a transaction.
    pub fn receipt(&self, block: u64, index: u32) -> Result<Option<StoredReceipt>, StoreError> {
        let Some(stored) = self.receipts.get((block, index))? else { return Ok(None) };
        borsh::from_slice(stored.value()).map(Some).map_err(|_| StoreError::Damaged("a receipt"))
    }

    /// What became of an item.
    pub fn outcome(&self, hash: &B256) -> Result<Option<Outcome>, StoreError> {
        let Some(stored) = self.outcomes.get(&hash.0)? else { return Ok(None) };
        borsh::from_slice(stored.value()).map(Some).map_err(|_| StoreError::Damaged("an outcome"))
    }

    /// The height of the slice that a Weft transaction stands in.
    pub fn submission(&self, id: &TransactionId) -> Result<Option<Height>, StoreError> {
        Ok(self.submissions.get(id.as_bytes())?.map(|height| height.value()))
    }

    /// An account as of a block.
    pub fn account(
        &self,
        address: &Address,
        block: u64,
    ) -> Result<Option<AccountRecord>, StoreError> {
        account_at(&self.accounts, address, block)
    }

    /// A slot as of a block; `None` if it was never written nor visited.
    pub fn slot(
        &self,
        address: &Address,
        slot: &B256,
        block: u64,
    ) -> Result<Option<B256>, StoreError> {
        slot_at(&self.storage, address, slot, block)
    }

    /// Code by its hash.
    pub fn code(&self, hash: &B256) -> Result<Bytes, StoreError> {
        if *hash == KECCAK_EMPTY {
            return Ok(Bytes::new());
        }
        let stored = self.code.get(&hash.0)?.ok_or(StoreError::Damaged("code is missing"))?;
        Ok(Bytes::copy_from_slice(stored.value()))
    }

    fn ready_code(&self, hash: B256) -> Result<Bytecode, StoreError> {
        if let Some(code) = Store::cached_code(&self.ready, &hash) {
            return Ok(code);
        }
        let code = Bytecode::new_raw_checked(self.code(&hash)?)
            .map_err(|_| StoreError::Damaged("code"))?;
        Store::cache_code(&self.ready, hash, &code);
        Ok(code)
    }

    /// The state as of a block.
    pub fn state_at(&self, block: u64) -> StateAt<'_> {
        StateAt { view: self, block }
    }
}

pub(super) fn account_at(
    table: &impl ReadableTable<&'static [u8; 28], &'static [u8]>,
    address: &Address,
    block: u64,
) -> Result<Option<AccountRecord>, StoreError> {
    let (from, to) = (account_key(address, 0), account_key(address, block));
    let Some(entry) = table.range::<&[u8; 28]>(&from..=&to)?.next_back() else { return Ok(None) };
    let (_, value) = entry?;
    if value.value().is_empty() {
        return Ok(None);
    }
    borsh::from_slice(value.value()).map(Some).map_err(|_| StoreError::Damaged("an account"))
}

pub(super) fn slot_at(
    table: &impl ReadableTable<&'static [u8; 60], &'static [u8]>,
    address: &Address,
    slot: &B256,
    block: u64,
) -> Result<Option<B256>, StoreError> {
    let (from, to) = (storage_key(address, slot, 0), storage_key(address, slot, block));
    let Some(entry) = table.range::<&[u8; 60]>(&from..=&to)?.next_back() else { return Ok(None) };
    let (_, value) = entry?;
    match value.value() {
        [] => Ok(None),
        bytes => B256::try_from(bytes).map(Some).map_err(|_| StoreError::Damaged("a slot")),
    }
}

/// The state as of a block, as the EVM reads it. To a call, what does not exist is empty: after
/// EIP-161 the EVM cannot tell the two apart.
#[derive(Clone, Copy)]
pub struct StateAt<'a> {
    view: &'a View,
    block: u64,
}

impl DatabaseRef for StateAt<'_> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let account = State::account(self, &address)?;
        Ok(Some(account.map(|(info, _)| info).unwrap_or_default()))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        self.view.ready_code(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        let value = self.view.slot(&address, &B256::from(slot), self.block)?;
        Ok(value.map_or(U256::ZERO, |value| U256::from_be_bytes(value.0)))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        Ok(self.view.block(number)?.map_or(B256::ZERO, |block| block.hash))
    }
}

impl State for StateAt<'_> {
    type Error = StoreError;

    fn account(&self, address: &Address) -> Result<Option<(AccountInfo, Life)>, StoreError> {
        let info = |record: super::AccountRecord| AccountInfo {
            balance: record.balance(),
            nonce: record.nonce,
            code_hash: record.code_hash,
            code: None,
            ..AccountInfo::default()
        };
        let record = self.view.account(address, self.block)?;
        Ok(record.map(|record| (info(record), record.life)))
    }

    fn slot(&self, address: &Address, slot: &B256) -> Result<Option<B256>, StoreError> {
        self.view.slot(address, slot, self.block)
    }

    fn code(&self, hash: &B256) -> Result<Bytecode, StoreError> {
        self.view.ready_code(*hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StoreError> {
        self.block_hash_ref(number)
    }
}
