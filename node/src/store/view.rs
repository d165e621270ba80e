//! The view: ledger state and indexes, in sled, rebuilt from the log whenever in doubt
//! (architecture, "where truth lives").
//!
//! What a block changes is visible here at once, from memory; a thread of its own writes it to disk
//! a little later, several heights at a time. Indexes are written first and over again if need
//! be; the state and the height it belongs to move in one transaction. So after a crash the view is
//! behind the log and never wrong, and nothing a decision waits for ever waits for sled.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{error, warn};
use weft_ledger::{Change, Key, State, Value};
use weft_types::merkle::{self, Keccak};
use weft_types::slice::SliceLeaf;
use weft_types::{
    Address, B256, BlockId, Committee, DecidedBundle, Decision, Genesis, Height, NamespaceId,
    ProvenWithdrawal, Receipt, Results, TimeMs, TransactionId, Withdrawal,
};

use super::trees::Trees;

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(250);

/// How often what was written is flushed.
const FLUSH: Duration = Duration::from_secs(5);

/// Above so many transactions waiting to be indexed the node takes no more from users.
pub const MAX_LAG: usize = 500_000;

/// How much of the past may wait to be written: see [`View::wait_for_room`].
pub const MAX_BLOCKS_BEHIND: usize = 8_192;
const MAX_TRANSACTIONS_BEHIND: usize = 100_000;

/// What became of an ordered transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionRecord {
    /// The height that ordered it.
    pub height: Height,
    /// Its place among the transactions of the block, from 0.
    pub position: u32,
    /// Its receipt, if it has one.
    pub receipt: Option<Receipt>,
    /// The number of the withdrawal that it made, if it made one.
    pub withdrawal: Option<u64>,
}

/// Where an entry of a slice stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EntryPlace {
    /// Among what L1 brought.
    Event {
        /// Which of the L1 blocks passed.
        block: u8,
        /// Which of its events.
        event: u32,
    },
    /// Among the transactions.
    Transaction {
        /// Which batch of the block.
        batch: u16,
        /// Which transaction of the batch.
        transaction: u16,
        /// Its sender.
        sender: Address,
    },
    /// Nowhere: it follows from the order.
    Decision {
        /// The bundle that was decided.
        bundle: TransactionId,
        /// How.
        decision: Decision,
    },
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
    /// What its auction came to.
    pub results: Results,
    /// What it withdrew.
    pub withdrawals: Vec<Withdrawal>,
}

impl BlockChanges {
    /// The committee that takes over with the next block, if one does.
    pub fn new_committee(&self) -> Option<&Committee> {
        self.changes.iter().find_map(|change| match change {
            (Key::Committee, Some(Value::Committee(committee))) => Some(&**committee),
            _ => None,
        })
    }
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
    /// The root of its auction's results.
    pub results_root: B256,
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
    /// Told whenever something has been written.
    written: (Mutex<()>, Condvar),
}

#[derive(Default)]
struct Wake {
    waiting: bool,
    stop: bool,
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
        let trees = match Trees::open(path, cache_bytes) {
            Ok(trees) => trees,
            Err(error) => {
                warn!(%error, "the view cannot be opened; it will be rebuilt from the block log");
                move_aside(path)?;
                Trees::open(path, cache_bytes)?
            }
        };
        let held = match trees.load(genesis) {
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
            written: (Mutex::default(), Condvar::new()),
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
            slices_root: state.outcome(&[], &Results::default()).slices_root,
            changes,
            transactions: Vec::new(),
            slices: Vec::new(),
            results: Results::default(),
            withdrawals: Vec::new(),
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

    /// Waits, while too much is not on disk yet, until less is: for whoever takes in the past faster
    /// than it can be written.
    pub fn wait_for_room(&self) {
        let (written, condition) = &self.0.written;
        let crowded = |&mut (): &mut ()| {
            let (blocks, transactions) = self.lag();
            blocks > MAX_BLOCKS_BEHIND || transactions > MAX_TRANSACTIONS_BEHIND
        };
        drop(condition.wait_while(lock(written), crowded));
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
        drop(pending);
        self.say_written();
    }

    /// An entry of the ledger.
    pub fn entry(&self, key: &Key) -> Result<Option<Value>, ViewError> {
        if let Some((_, value)) = self.alive()?.entries.get(key) {
            return Ok(value.clone());
        }
        self.0.trees.entry(key)
    }

    /// Every entry with a key of that kind, as of the last block.
    pub fn like(&self, key: &Key) -> Result<BTreeMap<Key, Value>, ViewError> {
        drop(self.alive()?);
        let mut found = self.0.trees.like(key)?;
        let kind = std::mem::discriminant(key);
        for (key, (_, value)) in &self.alive()?.entries {
            if std::mem::discriminant(key) == kind {
                match value {
                    Some(value) => found.insert(*key, value.clone()),
                    None => found.remove(key),
                };
            }
        }
        Ok(found)
    }

    /// What became of a transaction, if it has been ordered.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionRecord>, ViewError> {
        if let Some((_, record)) = self.alive()?.transactions.get(id) {
            return Ok(Some(*record));
        }
        self.0.trees.transaction(id)
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
        self.0.trees.leaves(height).map(Some)
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
        self.0.trees.places(namespace, height)
    }

    /// What the auction of a height came to; `None` above the tip.
    pub fn results(&self, height: Height) -> Result<Option<Results>, ViewError> {
        {
            let pending = self.alive()?;
            if height > pending.tip {
                return Ok(None);
            }
            if let Some(block) = pending.blocks.get(&height) {
                return Ok(Some(block.results.clone()));
            }
        }
        self.0.trees.results(height).map(Some)
    }

    /// What became of an atomic bundle and at which height, if it is decided.
    pub fn decided(
        &self,
        bundle: &TransactionId,
    ) -> Result<Option<(Height, DecidedBundle)>, ViewError> {
        for (height, block) in self.alive()?.blocks.iter().rev() {
            if let Some(decided) = block.results.decided(*bundle) {
                return Ok(Some((*height, decided.clone())));
            }
        }
        let Some(height) = self.0.trees.decided(bundle)? else { return Ok(None) };
        let decided = self.0.trees.results(height)?.decided(*bundle).cloned();
        Ok(decided.map(|decided| (height, decided)))
    }

    /// Every committee, by the first height that it decides.
    pub fn committees(&self) -> Result<BTreeMap<Height, Committee>, ViewError> {
        let mut found = self.0.trees.committees()?;
        for (height, block) in &self.alive()?.blocks {
            if let Some(committee) = block.new_committee() {
                found.insert(height + 1, committee.clone());
            }
        }
        Ok(found)
    }

    /// A withdrawal, proven against the root of a header that was made after a height. `None` if
    /// there was none of that number by then, or it is not on disk yet.
    pub fn withdrawal(
        &self,
        index: u64,
        after: Height,
    ) -> Result<Option<ProvenWithdrawal>, ViewError> {
        if self.alive()?.blocks.keys().next().is_some_and(|waiting| *waiting <= after) {
            return Ok(None);
        }
        let trees = &self.0.trees;
        let count = trees.withdrawn(after)?;
        let Some(withdrawal) = trees.withdrawal(index)?.filter(|_| index < count) else {
            return Ok(None);
        };
        let path = merkle::path_in::<Keccak>(index, count, |level, place| {
            trees.subtree(level, place).ok().flatten()
        });
        let path = path.ok_or(ViewError::Undecodable)?;
        Ok(Some(ProvenWithdrawal { withdrawal, count, path }))
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
        drop(pending);
        self.say_written();
        Ok(())
    }

    fn say_written(&self) {
        let (written, condition) = &self.0.written;
        // Whoever looks at the lag holds this until it waits.
        drop(lock(written));
        condition.notify_all();
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
