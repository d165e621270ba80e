//! The pool on disk. Every change of the pool that matters after a crash goes through [`Changes`],
//! one transaction each; what must be durable before somebody is told is.

use std::path::Path;
use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use weft_types::{TimeMs, TransactionId};

use super::DropReason;
use super::pool::{Item, MAX_REMEMBERED};
use crate::evm::store::StoreError;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const ITEMS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("items");
const ATTEMPTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("attempts");
const DROPPED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("dropped");

const IDENTITY: &str = "identity";

/// An accepted transaction, as stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredItem {
    /// Its bytes.
    pub raw: Vec<u8>,
    /// Its place in the order of arrival.
    pub arrival: u64,
    /// When it arrived.
    pub received_ms: TimeMs,
    /// How many Weft transactions have carried it.
    pub attempts: u32,
}

impl From<&Item> for StoredItem {
    fn from(item: &Item) -> Self {
        Self {
            raw: item.transaction.raw.to_vec(),
            arrival: item.arrival,
            received_ms: item.received_ms,
            attempts: item.attempts,
        }
    }
}

/// A live Weft transaction, as stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredAttempt {
    /// Last block time at which it may be ordered.
    pub valid_until: TimeMs,
    /// What it carries.
    pub items: Vec<B256>,
    /// Its borsh, to be handed over again after a crash.
    pub borsh: Vec<u8>,
}

/// What a change of the pool comes to on disk.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New or changed items.
    pub items: Vec<(B256, StoredItem)>,
    /// Items that are gone.
    pub gone: Vec<B256>,
    /// Items that are gone because they were given up.
    pub dropped: Vec<(B256, DropReason)>,
    /// New Weft transactions.
    pub attempts: Vec<(TransactionId, StoredAttempt)>,
    /// Dead Weft transactions.
    pub dead: Vec<TransactionId>,
}

impl Changes {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.gone.is_empty()
            && self.dropped.is_empty()
            && self.attempts.is_empty()
            && self.dead.is_empty()
    }

    /// Whether somebody relies on it once it is stored: accepted items and new Weft transactions.
    /// The rest follows from the chain and would be found out again.
    fn must_last(&self) -> bool {
        !self.items.is_empty() || !self.attempts.is_empty() || !self.dropped.is_empty()
    }
}

/// Everything stored.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Items by hash.
    pub items: Vec<(B256, StoredItem)>,
    /// Live Weft transactions.
    pub attempts: Vec<(TransactionId, StoredAttempt)>,
    /// Given-up transactions, oldest first.
    pub dropped: Vec<(B256, DropReason)>,
}

/// The pool's database. Clones share it.
#[derive(Clone)]
pub struct GatewayStore(Arc<Database>);

impl GatewayStore {
    /// Opens or makes the pool of a rollup.
    pub fn open(path: &Path, identity: B256) -> Result<Self, StoreError> {
        let db = Database::create(path)?;
        let write = db.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let known = meta.get(IDENTITY)?.map(|stored| stored.value() == identity.as_slice());
            match known {
                Some(true) => {}
                Some(false) => return Err(StoreError::Identity),
                None => drop(meta.insert(IDENTITY, identity.as_slice())?),
            }
            write.open_table(ITEMS)?;
            write.open_table(ATTEMPTS)?;
            write.open_table(DROPPED)?;
        }
        write.commit()?;
        Ok(Self(Arc::new(db)))
    }

    /// Stores a change. Durable when it returns, if it has to be.
    pub fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut write = self.0.begin_write()?;
        if changes.must_last() {
            write.set_quick_repair(true);
        } else {
            write.set_durability(Durability::None)?;
        }
        {
            let mut items = write.open_table(ITEMS)?;
            for hash in changes.gone.iter().chain(changes.dropped.iter().map(|(hash, _)| hash)) {
                items.remove(&hash.0)?;
            }
            for (hash, item) in &changes.items {
                items.insert(&hash.0, encode(item).as_slice())?;
            }
            let mut attempts = write.open_table(ATTEMPTS)?;
            for id in &changes.dead {
                attempts.remove(id.as_bytes())?;
            }
            for (id, attempt) in &changes.attempts {
                attempts.insert(id.as_bytes(), encode(attempt).as_slice())?;
            }
            let mut dropped = write.open_table(DROPPED)?;
            let mut next = dropped.last()?.map_or(0, |(key, _)| key.value().saturating_add(1));
            for entry in &changes.dropped {
                dropped.insert(next, encode(entry).as_slice())?;
                next = next.saturating_add(1);
            }
            let keep = next.saturating_sub(MAX_REMEMBERED as u64);
            while dropped.first()?.is_some_and(|(key, _)| key.value() < keep) {
                dropped.pop_first()?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// Reads everything.
    pub fn load(&self) -> Result<Stored, StoreError> {
        fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, StoreError> {
            borsh::from_slice(bytes).map_err(|_| StoreError::Damaged("the gateway's pool"))
        }
        let read = self.0.begin_read()?;
        let mut stored = Stored::default();
        for entry in read.open_table(ITEMS)?.iter()? {
            let (hash, item) = entry?;
            stored.items.push((B256::from(*hash.value()), decode(item.value())?));
        }
        for entry in read.open_table(ATTEMPTS)?.iter()? {
            let (id, attempt) = entry?;
            let id = TransactionId(B256::from(*id.value()));
            stored.attempts.push((id, decode(attempt.value())?));
        }
        for entry in read.open_table(DROPPED)?.iter()? {
            let (_, dropped) = entry?;
            stored.dropped.push(decode(dropped.value())?);
        }
        stored.items.sort_by_key(|(_, item)| item.arrival);
        Ok(stored)
    }
}

impl StoredItem {
    /// Its bytes, to be checked again.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.raw)
    }
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("borsh into a Vec fails only on lengths above u32::MAX")
}
