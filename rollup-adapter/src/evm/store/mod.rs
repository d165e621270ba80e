//! Everything durable of the embedded engine, in one database and changed in one transaction per
//! block: state with its history, trie nodes, blocks, receipts, indexes, cursor.
//!
//! Commits are not durable one by one; [`Store::flush`] makes all so far durable at once. A crash
//! goes back to the last flush as a whole, never to a mixture.

mod nodes;
mod read;
mod records;
mod tables;
mod unwind;
mod verify;
mod write;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::B256;
use redb::{Database, Durability, ReadableDatabase};
use revm::bytecode::Bytecode;
use tokio::sync::watch;

pub use read::{StateAt, View};
pub use records::{AccountRecord, Outcome, StoredBlock, StoredReceipt};
pub use verify::StateCheck;
pub use write::NewBlock;

use super::chain::Tip;
use super::genesis::EvmGenesis;
use super::spec::ChainSpec;
use super::trie::NodeError;
use crate::cursor::Cursor;
use tables::{CURSOR, IDENTITY, LAYOUT, META};

/// The layout of the database. A home of another one must be made anew (or replayed).
const LAYOUT_NOW: u32 = 3;
/// How much memory the database's page cache may take.
const CACHE_BYTES: usize = 256 * 1024 * 1024;
/// Most contracts whose code is kept ready for execution.
const MAX_CACHED_CODE: usize = 2048;

/// Why the store cannot do its work. All of them are ours, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("database: {0}")]
    Database(#[from] redb::Error),
    /// It is of another layout.
    #[error("database has layout {0}, this software has {1}: start with a new home")]
    Layout(u32, u32),
    /// It belongs to another rollup, another network, or another genesis.
    #[error("the database belongs to another rollup or another genesis file")]
    Identity,
    /// What was read makes no sense.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
}

impl revm::database_interface::DBErrorMarker for StoreError {}

impl From<NodeError> for StoreError {
    fn from(_: NodeError) -> Self {
        Self::Damaged("a trie node")
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// The embedded engine's database. Clones share it.
#[derive(Clone)]
pub struct Store {
    db: Arc<Database>,
    spec: ChainSpec,
    code: Arc<Mutex<HashMap<B256, Bytecode>>>,
    tip: Arc<watch::Sender<Tip>>,
}

impl Store {
    /// Opens the database of a rollup, or makes it with the genesis block. `network` is the id of
    /// the Weft network's genesis block.
    pub fn open(path: &Path, genesis: &EvmGenesis, network: B256) -> Result<Self, StoreError> {
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let store = Self {
            db: Arc::new(db),
            spec: genesis.spec,
            code: Arc::default(),
            tip: Arc::new(watch::channel(Tip::default()).0),
        };
        let identity = alloy_primitives::keccak256([genesis.fingerprint().0, network.0].concat());
        if store.is_new()? {
            store.write_genesis(genesis, identity)?;
        }
        store.check(identity)?;
        let number = store.view()?.head()?.header.number;
        store.tip.send_modify(|tip| tip.number = number);
        Ok(store)
    }

    fn is_new(&self) -> Result<bool, StoreError> {
        match self.db.begin_read()?.open_table(META) {
            Ok(_) => Ok(false),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, identity: B256) -> Result<(), StoreError> {
        let meta = self.db.begin_read()?.open_table(META)?;
        let layout = meta.get(LAYOUT)?.ok_or(StoreError::Damaged("no layout"))?;
        let layout = layout.value().try_into().map(u32::from_be_bytes).unwrap_or(0);
        if layout != LAYOUT_NOW {
            return Err(StoreError::Layout(layout, LAYOUT_NOW));
        }
        let stored = meta.get(IDENTITY)?.ok_or(StoreError::Damaged("no identity"))?;
        if stored.value() == identity.as_slice() { Ok(()) } else { Err(StoreError::Identity) }
    }

    /// The fields that never change.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Everything as of the last block.
    pub fn view(&self) -> Result<View, StoreError> {
        View::new(&self.db.begin_read()?, self.code.clone())
    }

    /// The last block, for whoever waits for more.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// Moves the cursor over heights without a slice.
    pub fn set_cursor(&self, cursor: &Cursor) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::None)?;
        write.open_table(META)?.insert(CURSOR, borsh_vec(cursor).as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// Makes everything committed so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        // Opening after a crash would otherwise read all of the database.
        write.set_quick_repair(true);
        write.commit()?;
        Ok(())
    }

    fn cached_code(cache: &Mutex<HashMap<B256, Bytecode>>, hash: &B256) -> Option<Bytecode> {
        cache.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn cache_code(cache: &Mutex<HashMap<B256, Bytecode>>, hash: B256, code: &Bytecode) {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED_CODE {
            cache.clear();
        }
        cache.insert(hash, code.clone());
    }
}

fn borsh_vec<T: borsh::BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("borsh into a Vec fails only on lengths above u32::MAX")
}
