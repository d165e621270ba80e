//! The view's trees in sled: what stands where, written a few blocks at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use tracing::info;
use weft_ledger::{Key, Remembered, State, Value};
use weft_types::merkle::{Keccak, TreeHash};
use weft_types::slice::SliceLeaf;
use weft_types::{
    B256, BlockId, Committee, Genesis, Height, NamespaceId, Results, TransactionId, Withdrawal,
};

use super::view::{BlockChanges, EntryPlace, Held, TransactionRecord, ViewError};

/// Layout of what is stored. Another one is rebuilt from the log.
const VERSION: u32 = 4;

/// Up to where the view goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Mark {
    version: u32,
    height: Height,
    id: BlockId,
    ledger_root: B256,
    slices_root: B256,
    results_root: B256,
}

/// The trees.
#[derive(Clone)]
pub(super) struct Trees {
    db: sled::Db,
    meta: sled::Tree,
    state: sled::Tree,
    /// Remembered transactions by the height that ordered them: too many to be entries of `state`.
    remembered: sled::Tree,
    transactions: sled::Tree,
    slices: sled::Tree,
    leaves: sled::Tree,
    /// Results of auctions by height.
    results: sled::Tree,
    /// Heights that decided atomic bundles, by bundle.
    decided: sled::Tree,
    /// Committees by the first height that each decides.
    committees: sled::Tree,
    /// Withdrawals by their index.
    withdrawals: sled::Tree,
    /// Roots of perfect subtrees of the withdrawals tree, by level and place.
    subtrees: sled::Tree,
    /// How many withdrawals there were after a height that made some.
    withdrawn: sled::Tree,
}

impl Trees {
    /// Opens the trees. A damaged sled is known to panic on that.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, ViewError> {
        let open = || -> Result<Self, ViewError> {
            let db = sled::Config::new()
                .path(path)
                .cache_capacity(cache_bytes)
                .flush_every_ms(None)
                .open()?;
            Ok(Self {
                meta: db.open_tree("meta")?,
                state: db.open_tree("state")?,
                remembered: db.open_tree("remembered")?,
                transactions: db.open_tree("transactions")?,
                slices: db.open_tree("slices")?,
                leaves: db.open_tree("leaves")?,
                results: db.open_tree("results")?,
                decided: db.open_tree("decided")?,
                committees: db.open_tree("committees")?,
                withdrawals: db.open_tree("withdrawals")?,
                subtrees: db.open_tree("subtrees")?,
                withdrawn: db.open_tree("withdrawn")?,
                db,
            })
        };
        catch_unwind(AssertUnwindSafe(open)).unwrap_or(Err(ViewError::Panicked))
    }

    /// An entry of the ledger.
    pub fn entry(&self, key: &Key) -> Result<Option<Value>, ViewError> {
        get(&self.state, &encode(key))
    }

    /// Every entry with a key of that kind.
    pub fn like(&self, key: &Key) -> Result<BTreeMap<Key, Value>, ViewError> {
        let kind = &encode(key)[..1];
        let decoded = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = row?;
            Ok((decode(&key)?, decode(&value)?))
        };
        self.state.scan_prefix(kind).map(decoded).collect()
    }

    /// What became of a transaction.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionRecord>, ViewError> {
        get(&self.transactions, id.as_bytes())
    }

    /// The leaves of a height's slices, ascending by namespace. Heights without slices have no row.
    pub fn leaves(&self, height: Height) -> Result<Vec<SliceLeaf>, ViewError> {
        Ok(get(&self.leaves, &height.to_be_bytes())?.unwrap_or_default())
    }

    /// What the auction of a height came to. Heights without bids have no row.
    pub fn results(&self, height: Height) -> Result<Results, ViewError> {
        Ok(get(&self.results, &height.to_be_bytes())?.unwrap_or_default())
    }

    /// The height that decided an atomic bundle.
    pub fn decided(&self, bundle: &TransactionId) -> Result<Option<Height>, ViewError> {
        get(&self.decided, bundle.as_bytes())
    }

    /// Where the entries of a slice stand in its block.
    pub fn places(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Vec<EntryPlace>, ViewError> {
        Ok(get(&self.slices, &slice_key(namespace, height))?.unwrap_or_default())
    }

    /// Every committee, by the first height that it decides.
    pub fn committees(&self) -> Result<BTreeMap<Height, Committee>, ViewError> {
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = row?;
            let from = <[u8; 8]>::try_from(&*key).map_err(|_| ViewError::Undecodable)?;
            Ok((Height::from_be_bytes(from), decode(&value)?))
        };
        self.committees.iter().map(row).collect()
    }

    /// A withdrawal.
    pub fn withdrawal(&self, index: u64) -> Result<Option<Withdrawal>, ViewError> {
        get(&self.withdrawals, &index.to_be_bytes())
    }

    /// How many withdrawals there were after a height.
    pub fn withdrawn(&self, height: Height) -> Result<u64, ViewError> {
        let last = self.withdrawn.range(..=height.to_be_bytes()).next_back().transpose()?;
        last.map_or(Ok(0), |(_, count)| decode(&count))
    }

    /// The root of a perfect subtree of the withdrawals tree.
    pub fn subtree(&self, level: u32, place: u64) -> Result<Option<B256>, ViewError> {
        get(&self.subtrees, &subtree_key(level, place))
    }

    /// Adds a block's withdrawals to their tree. What is written again is the same again.
    fn add_withdrawals(&self, block: &BlockChanges) -> Result<(), ViewError> {
        let Some(last) = block.withdrawals.last() else { return Ok(()) };
        for withdrawal in &block.withdrawals {
            let index = withdrawal.index;
            self.withdrawals.insert(index.to_be_bytes(), encode(withdrawal))?;
            let (mut node, mut level) = (withdrawal.leaf(), 0);
            self.subtrees.insert(subtree_key(level, index), encode(&node))?;
            while (index >> level) & 1 == 1 {
                let left = self.subtree(level, (index >> level) - 1)?;
                node = Keccak::node(left.ok_or(ViewError::Undecodable)?, node);
                level += 1;
                self.subtrees.insert(subtree_key(level, index >> level), encode(&node))?;
            }
        }
        self.withdrawn.insert(block.height.to_be_bytes(), encode(&(last.index + 1)))?;
        Ok(())
    }

    /// Writes blocks, ascending. The state and the mark move in one transaction, last.
    pub fn write(&self, blocks: &[Arc<BlockChanges>]) -> Result<(), ViewError> {
        let Some(last) = blocks.last() else { return Ok(()) };
        let (mut transactions, mut slices, mut leaves) =
            (sled::Batch::default(), sled::Batch::default(), sled::Batch::default());
        let (mut results, mut decided) = (sled::Batch::default(), sled::Batch::default());
        for block in blocks {
            for (id, record) in &block.transactions {
                transactions.insert(id.as_bytes(), encode(record));
            }
            for (leaf, places) in &block.slices {
                slices.insert(&slice_key(leaf.namespace, block.height), encode(places));
            }
            if !block.slices.is_empty() {
                let all: Vec<SliceLeaf> = block.slices.iter().map(|(leaf, _)| *leaf).collect();
                leaves.insert(&block.height.to_be_bytes(), encode(&all));
            }
            if !block.results.is_empty() {
                results.insert(&block.height.to_be_bytes(), encode(&block.results));
            }
            for bundle in &block.results.bundles {
                decided.insert(bundle.bundle.as_bytes(), encode(&block.height));
            }
            if let Some(committee) = block.new_committee() {
                self.committees.insert((block.height + 1).to_be_bytes(), encode(committee))?;
            }
            self.add_withdrawals(block)?;
        }
        self.transactions.apply_batch(transactions)?;
        self.slices.apply_batch(slices)?;
        self.leaves.apply_batch(leaves)?;
        self.results.apply_batch(results)?;
        self.decided.apply_batch(decided)?;

        let (state, remembered) = self.state_batches(blocks)?;
        let mark = Mark {
            version: VERSION,
            height: last.height,
            id: last.id,
            ledger_root: last.ledger_root,
            slices_root: last.slices_root,
            results_root: last.results.root(),
        };
        (&self.state, &self.remembered, &self.meta)
            .transaction(|(state_tree, remembered_tree, meta)| {
                state_tree.apply_batch(&state)?;
                remembered_tree.apply_batch(&remembered)?;
                meta.insert("mark", encode(&mark))?;
                Ok::<(), ConflictableTransactionError<()>>(())
            })
            .map_err(|error| match error {
                TransactionError::Storage(error) => ViewError::Sled(error),
                TransactionError::Abort(()) => ViewError::Undecodable,
            })
    }

    /// What the blocks change in the state, each entry once, and in the remembered transactions,
    /// a row per height and none for heights that are forgotten.
    fn state_batches(
        &self,
        blocks: &[Arc<BlockChanges>],
    ) -> Result<(sled::Batch, sled::Batch), ViewError> {
        let (mut state, mut remembered) = (sled::Batch::default(), sled::Batch::default());
        let mut newest: BTreeMap<&Key, &Option<Value>> = BTreeMap::new();
        let now = blocks.last().map_or(0, |block| block.time_ms);
        for block in blocks {
            let mut rows = Vec::new();
            for (key, value) in &block.changes {
                match (key, value) {
                    (Key::Remembered(key), Some(Value::Height(height))) => {
                        rows.push((*key, *height));
                    }
                    (Key::Remembered(_), _) => {}
                    _ => {
                        newest.insert(key, value);
                    }
                }
            }
            if !rows.is_empty() {
                remembered.insert(&block.height.to_be_bytes(), encode(&rows));
            }
        }
        for (key, value) in newest {
            match value {
                Some(value) => state.insert(encode(key), encode(value)),
                None => state.remove(encode(key)),
            }
        }
        for row in self.remembered.iter() {
            let (height, rows) = row?;
            let rows: Vec<(Remembered, Height)> = decode(&rows)?;
            if rows.iter().any(|(key, _)| key.valid_until >= now) {
                break;
            }
            remembered.remove(height);
        }
        Ok((state, remembered))
    }

    /// Forgets everything.
    pub fn clear(&self) -> Result<(), ViewError> {
        for tree in [
            &self.meta,
            &self.state,
            &self.remembered,
            &self.transactions,
            &self.slices,
            &self.leaves,
            &self.results,
            &self.decided,
            &self.committees,
            &self.withdrawals,
            &self.subtrees,
            &self.withdrawn,
        ] {
            tree.clear()?;
        }
        Ok(())
    }

    /// Flushes what was written. This survives the death of the process, not the loss of power:
    /// sled never commits the file system's journal. Doing so here would hold up the fsyncs that
    /// decisions wait for, and all that is at stake is replaying the log.
    pub fn flush(&self) -> Result<(), ViewError> {
        self.db.flush()?;
        Ok(())
    }

    /// The state that is held, if there is one, checked against its own root.
    pub fn load(&self, genesis: &Genesis) -> Result<Option<Held>, Box<dyn std::error::Error>> {
        let Some(mark) = get::<Mark>(&self.meta, b"mark")? else {
            return Ok(None);
        };
        if mark.version != VERSION {
            return Err(format!("layout {} instead of {VERSION}", mark.version).into());
        }
        let mut entries = Vec::new();
        for row in self.state.iter() {
            let (key, value) = row?;
            entries.push((decode::<Key>(&key)?, decode::<Value>(&value)?));
        }
        let now = entries.iter().find_map(|(_, value)| match value {
            Value::Clock(clock) => Some(clock.time_ms),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        for row in self.remembered.iter() {
            let rows: Vec<(Remembered, Height)> = decode(&row?.1)?;
            for (key, height) in rows {
                if key.valid_until >= now.unwrap_or(0) && seen.insert(key) {
                    entries.push((Key::Remembered(key), Value::Height(height)));
                }
            }
        }
        let state = State::from_snapshot(genesis, entries, mark.ledger_root)?;
        info!(height = mark.height, "the view's state checks");
        let Mark { height, id, slices_root, results_root, .. } = mark;
        Ok(Some(Held { state, height, id, slices_root, results_root }))
    }
}

fn slice_key(namespace: NamespaceId, height: Height) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&namespace.0.to_be_bytes());
    key[8..].copy_from_slice(&height.to_be_bytes());
    key
}

fn subtree_key(level: u32, place: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&level.to_be_bytes());
    key[4..].copy_from_slice(&place.to_be_bytes());
    key
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("borsh into a Vec fails only on lengths above u32::MAX")
}

fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, ViewError> {
    borsh::from_slice(bytes).map_err(|_| ViewError::Undecodable)
}

fn get<T: BorshDeserialize>(tree: &sled::Tree, key: &[u8]) -> Result<Option<T>, ViewError> {
    tree.get(key)?.map(|bytes| decode(&bytes)).transpose()
}
