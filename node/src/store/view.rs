//! The view: ledger state and indexes, in sled, rebuilt from the log whenever in doubt
//! (architecture, "where truth lives").
//!
//! What a block changes is visible here at once, from memory; a thread of its own writes it to disk
//! a little later, several heights at a time. Indexes are written first and over again if need
//! be; the state and the height it belongs to move in one transaction. So after a crash the view is
//! behind the log and never wrong, and nothing a decision waits for ever waits for sled.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};
use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use tracing::{error, info, warn};
use weft_ledger::{Change, Key, Remembered, State, Value};
use weft_types::slice::SliceLeaf;
use weft_types::{
    Address, B256, BlockId, Genesis, Height, NamespaceId, Receipt, TimeMs, TransactionId,
};

/// Layout of what is stored. Another one is rebuilt from the log.
const VERSION: u32 = 1;

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(250);

/// How often what was written is flushed.
const FLUSH: Duration = Duration::from_secs(5);

/// Above so many transactions waiting to be indexed the node takes no more from users.
pub const MAX_LAG: usize = 500_000;

/// What became of an ordered transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionRecord {
    /// The height that ordered it.
    pub height: Height,
    /// Its place among the transactions of the block, from 0.
    pub position: u32,
    /// Its receipt, if it has one.
    pub receipt: Option<Receipt>,
}

/// Where an entry of a slice stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EntryPlace {
    /// Which batch of the block.
    pub batch: u16,
    /// Which transaction of the batch.
    pub transaction: u16,
    /// Its sender.
    pub sender: Address,
}

/// What the view takes in of a block.
#[derive(Clone, Debug)]
pub struct BlockChanges {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// Its id.
    pub id: BlockId,
    /// The ledger root after it.
    pub ledger_root: B256,
    /// The root of its slices.
    pub slices_root: B256,
    /// Every entry of the ledger that changed.
    pub changes: Vec<Change>,
    /// Every transaction it ordered.
    pub transactions: Vec<(TransactionId, TransactionRecord)>,
    /// Its slices, ascending by namespace.
    pub slices: Vec<(SliceLeaf, Vec<EntryPlace>)>,
}

/// Up to where the view goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Mark {
    version: u32,
    height: Height,
    id: BlockId,
    ledger_root: B256,
    slices_root: B256,
}

/// The state that a view holds and the block it belongs to.
pub struct Held {
    /// The ledger after the block; its root has been checked.
    pub state: State,
    /// The block's height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// The root of its slices.
    pub slices_root: B256,
}

/// Why the view cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// sled.
    #[error("view: {0}")]
    Sled(#[from] sled::Error),
    /// The disk.
    #[error("view: {0}")]
    Io(#[from] std::io::Error),
    /// A stored value that is none.
    #[error("view: a stored value does not decode")]
    Undecodable,
    /// sled gave up.
    #[error("view: sled panicked while opening")]
    Panicked,
    /// Writing has failed before. What is stored is not the whole truth any more.
    #[error("view: it could not be written; restart the node to rebuild it from the block log")]
    Failed,
}

/// The view, shared by whoever reads it.
#[derive(Clone)]
pub struct View(Arc<Inner>);

struct Inner {
    trees: Trees,
    pending: RwLock<Pending>,
    wake: (Mutex<Wake>, Condvar),
}

#[derive(Default)]
struct Wake {
    waiting: bool,
    stop: bool,
}

#[derive(Clone)]
struct Trees {
    db: sled::Db,
    meta: sled::Tree,
    state: sled::Tree,
    /// Remembered transactions by the height that ordered them: too many to be entries of `state`.
    remembered: sled::Tree,
    transactions: sled::Tree,
    slices: sled::Tree,
    leaves: sled::Tree,
}

/// What is not on disk yet.
#[derive(Default)]
struct Pending {
    blocks: BTreeMap<Height, Arc<BlockChanges>>,
    entries: BTreeMap<Key, (Height, Option<Value>)>,
    transactions: BTreeMap<TransactionId, (Height, TransactionRecord)>,
    tip: Height,
    /// Whether writing has failed for good. Then nothing is taken in, and nothing answered.
    failed: bool,
}

/// What opening the view came to.
pub struct Opened {
    /// The view.
    pub view: View,
    /// The state it holds, if it holds one that checks.
    pub held: Option<Held>,
    /// The thread that writes; it ends when told to [`View::stop`].
    pub writer: JoinHandle<()>,
}

impl View {
    /// Opens the view. One that cannot be opened or does not check is moved aside and made anew.
    pub fn open(path: &Path, genesis: &Genesis, cache_bytes: u64) -> Result<Opened, ViewError> {
        let trees = match open_trees(path, cache_bytes) {
            Ok(trees) => trees,
            Err(error) => {
                warn!(%error, "the view cannot be opened; it will be rebuilt from the block log");
                move_aside(path)?;
                open_trees(path, cache_bytes)?
            }
        };
        let held = match load(&trees, genesis) {
            Ok(held) => held,
            Err(problem) => {
                warn!(%problem, "the view does not check; it will be rebuilt from the block log");
                trees.clear()?;
                None
            }
        };
        let tip = held.as_ref().map_or(0, |held| held.height);
        let inner = Arc::new(Inner {
            trees,
            pending: RwLock::new(Pending { tip, ..Pending::default() }),
            wake: (Mutex::default(), Condvar::new()),
        });
        let view = Self(inner);
        let writer = std::thread::Builder::new().name("view".to_owned()).spawn({
            let view = view.clone();
            move || {
                // sled is known to panic.
                match catch_unwind(AssertUnwindSafe(|| view.write_behind())) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        error!(%error, "the view cannot be written; restart the node to rebuild it");
                        view.fail();
                    }
                    Err(_) => {
                        error!("the view's writer panicked; restart the node to rebuild the view");
                        view.fail();
                    }
                }
            }
        })?;
        Ok(Opened { view, held, writer })
    }

    /// Forgets everything: the view does not belong to the log beside it.
    pub fn clear(&self) -> Result<(), ViewError> {
        let mut pending = self.write();
        *pending = Pending { failed: pending.failed, ..Pending::default() };
        drop(pending);
        self.0.trees.clear()
    }

    /// Writes a whole state, as of a block: what a new view starts from.
    pub fn put_state(&self, state: &State, id: BlockId) {
        let clock = state.clock();
        let changes = state.entries().map(|(key, value)| (*key, Some(value.clone()))).collect();
        self.push(BlockChanges {
            height: clock.height,
            time_ms: clock.time_ms,
            id,
            ledger_root: state.ledger_root(),
            slices_root: state.outcome(&[]).slices_root,
            changes,
            transactions: Vec::new(),
            slices: Vec::new(),
        });
    }

    /// Takes in the next block.
    pub fn push(&self, block: BlockChanges) {
        let height = block.height;
        let mut pending = self.write();
        if pending.failed {
            return;
        }
        for (key, value) in &block.changes {
            pending.entries.insert(*key, (height, value.clone()));
        }
        for (id, record) in &block.transactions {
            pending.transactions.insert(*id, (height, *record));
        }
        pending.tip = height;
        pending.blocks.insert(height, Arc::new(block));
        drop(pending);
        let (wake, condition) = &self.0.wake;
        lock(wake).waiting = true;
        condition.notify_one();
    }

    /// Writes what is left and ends the thread that does.
    pub fn stop(&self) {
        let (wake, condition) = &self.0.wake;
        lock(wake).stop = true;
        condition.notify_one();
    }

    /// The last height taken in.
    pub fn tip(&self) -> Height {
        self.read().tip
    }

    /// Heights, and transactions in them, that are not on disk yet.
    pub fn lag(&self) -> (usize, usize) {
        let pending = self.read();
        (pending.blocks.len(), pending.transactions.len())
    }

    /// Whether writing has failed for good; a restart rebuilds what is missing.
    pub fn has_failed(&self) -> bool {
        self.read().failed
    }

    /// Gives up: forgets what is not on disk and takes no more in. The chain goes on without the
    /// view, whose readers hear that it has failed.
    pub(super) fn fail(&self) {
        let mut pending = self.write();
        *pending = Pending { tip: pending.tip, failed: true, ..Pending::default() };
    }

    /// An entry of the ledger.
    pub fn entry(&self, key: &Key) -> Result<Option<Value>, ViewError> {
        if let Some((_, value)) = self.alive()?.entries.get(key) {
            return Ok(value.clone());
        }
        get(&self.0.trees.state, &encode(key))
    }

    /// Every namespace's entry, ascending by id.
    pub fn namespaces(&self) -> Result<BTreeMap<NamespaceId, weft_ledger::Namespace>, ViewError> {
        drop(self.alive()?);
        let mut found = BTreeMap::new();
        let prefix = &encode(&Key::Namespace(NamespaceId(0)))[..1];
        for row in self.0.trees.state.scan_prefix(prefix) {
            let (key, value) = row?;
            if let (Key::Namespace(id), Value::Namespace(namespace)) =
                (decode(&key)?, decode(&value)?)
            {
                found.insert(id, *namespace);
            }
        }
        for (key, (_, value)) in &self.alive()?.entries {
            if let (Key::Namespace(id), Some(Value::Namespace(namespace))) = (key, value) {
                found.insert(*id, (**namespace).clone());
            }
        }
        Ok(found)
    }

    /// What became of a transaction, if it has been ordered.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionRecord>, ViewError> {
        if let Some((_, record)) = self.alive()?.transactions.get(id) {
            return Ok(Some(*record));
        }
        get(&self.0.trees.transactions, id.as_bytes())
    }

    /// The leaves of a height's slices, ascending by namespace; `None` above the tip.
    pub fn leaves(&self, height: Height) -> Result<Option<Vec<SliceLeaf>>, ViewError> {
        {
            let pending = self.alive()?;
            if height > pending.tip {
                return Ok(None);
            }
            if let Some(block) = pending.blocks.get(&height) {
                return Ok(Some(block.slices.iter().map(|(leaf, _)| *leaf).collect()));
            }
        }
        // Heights without slices have no row.
        Ok(Some(get(&self.0.trees.leaves, &height.to_be_bytes())?.unwrap_or_default()))
    }

    /// Where the entries of a slice stand in its block; none if there is no slice.
    pub fn places(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Vec<EntryPlace>, ViewError> {
        if let Some(block) = self.alive()?.blocks.get(&height) {
            let slice = block.slices.iter().find(|(leaf, _)| leaf.namespace == namespace);
            return Ok(slice.map(|(_, places)| places.clone()).unwrap_or_default());
        }
        Ok(get(&self.0.trees.slices, &slice_key(namespace, height))?.unwrap_or_default())
    }

    fn write_behind(&self) -> Result<(), ViewError> {
        let mut flushed = Instant::now();
        loop {
            let stop = self.wait();
            self.write_pending()?;
            if stop || flushed.elapsed() >= FLUSH {
                if let Err(error) = self.0.trees.flush() {
                    warn!(%error, "the view could not be flushed");
                }
                flushed = Instant::now();
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Waits for something to write, and a little longer for more. Returns whether to stop.
    fn wait(&self) -> bool {
        let (wake, condition) = &self.0.wake;
        let mut state = lock(wake);
        while !state.waiting && !state.stop {
            state = condition.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting = false;
        if !state.stop {
            let more = condition.wait_timeout_while(state, GATHER, |state| !state.stop);
            state = more.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        state.stop
    }

    fn write_pending(&self) -> Result<(), ViewError> {
        let blocks: Vec<Arc<BlockChanges>> = self.read().blocks.values().cloned().collect();
        let Some(last) = blocks.last().cloned() else { return Ok(()) };
        self.0.trees.write(&blocks)?;
        let mut pending = self.write();
        let written = last.height;
        pending.blocks = pending.blocks.split_off(&(written + 1));
        pending.entries.retain(|_, (height, _)| *height > written);
        pending.transactions.retain(|_, (height, _)| *height > written);
        Ok(())
    }

    /// What is not on disk yet, unless it never will be.
    fn alive(&self) -> Result<std::sync::RwLockReadGuard<'_, Pending>, ViewError> {
        let pending = self.read();
        if pending.failed { Err(ViewError::Failed) } else { Ok(pending) }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Pending> {
        self.0.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Pending> {
        self.0.pending.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trees {
    fn write(&self, blocks: &[Arc<BlockChanges>]) -> Result<(), ViewError> {
        let Some(last) = blocks.last() else { return Ok(()) };
        let (mut transactions, mut slices, mut leaves) =
            (sled::Batch::default(), sled::Batch::default(), sled::Batch::default());
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
        }
        self.transactions.apply_batch(transactions)?;
        self.slices.apply_batch(slices)?;
        self.leaves.apply_batch(leaves)?;

        let (state, remembered) = self.state_batches(blocks)?;
        let mark = Mark {
            version: VERSION,
            height: last.height,
            id: last.id,
            ledger_root: last.ledger_root,
            slices_root: last.slices_root,
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

    fn clear(&self) -> Result<(), ViewError> {
        for tree in [
            &self.meta,
            &self.state,
            &self.remembered,
            &self.transactions,
            &self.slices,
            &self.leaves,
        ] {
            tree.clear()?;
        }
        Ok(())
    }

    /// Flushes what was written. This survives the death of the process, not the loss of power:
    /// sled never commits the file system's journal. Doing so here would hold up the fsyncs that
    /// decisions wait for, and all that is at stake is replaying the log.
    fn flush(&self) -> Result<(), ViewError> {
        self.db.flush()?;
        Ok(())
    }
}

/// The state that the view holds, if it holds one, checked against its own root.
fn load(trees: &Trees, genesis: &Genesis) -> Result<Option<Held>, Box<dyn std::error::Error>> {
    let Some(mark) = get::<Mark>(&trees.meta, b"mark")? else {
        return Ok(None);
    };
    if mark.version != VERSION {
        return Err(format!("layout {} instead of {VERSION}", mark.version).into());
    }
    let mut entries = Vec::new();
    for row in trees.state.iter() {
        let (key, value) = row?;
        entries.push((decode::<Key>(&key)?, decode::<Value>(&value)?));
    }
    let now = entries.iter().find_map(|(_, value)| match value {
        Value::Clock(clock) => Some(clock.time_ms),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    for row in trees.remembered.iter() {
        let rows: Vec<(Remembered, Height)> = decode(&row?.1)?;
        for (key, height) in rows {
            if key.valid_until >= now.unwrap_or(0) && seen.insert(key) {
                entries.push((Key::Remembered(key), Value::Height(height)));
            }
        }
    }
    let state = State::from_snapshot(genesis, entries, mark.ledger_root)?;
    info!(height = mark.height, "the view's state checks");
    let Mark { height, id, slices_root, .. } = mark;
    Ok(Some(Held { state, height, id, slices_root }))
}

fn open_trees(path: &Path, cache_bytes: u64) -> Result<Trees, ViewError> {
    let open = || -> Result<Trees, ViewError> {
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .open()?;
        Ok(Trees {
            meta: db.open_tree("meta")?,
            state: db.open_tree("state")?,
            remembered: db.open_tree("remembered")?,
            transactions: db.open_tree("transactions")?,
            slices: db.open_tree("slices")?,
            leaves: db.open_tree("leaves")?,
            db,
        })
    };
    // A damaged sled is known to panic on open.
    catch_unwind(AssertUnwindSafe(open)).unwrap_or(Err(ViewError::Panicked))
}

fn move_aside(path: &Path) -> Result<(), ViewError> {
    let aside: PathBuf = path.with_extension("damaged");
    if aside.is_dir() {
        std::fs::remove_dir_all(&aside)?;
    } else if aside.exists() {
        std::fs::remove_file(&aside)?;
    }
    if path.exists() {
        std::fs::rename(path, &aside)?;
    }
    Ok(())
}

fn slice_key(namespace: NamespaceId, height: Height) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&namespace.0.to_be_bytes());
    key[8..].copy_from_slice(&height.to_be_bytes());
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
