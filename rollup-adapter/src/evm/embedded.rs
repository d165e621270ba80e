//! Engine 1: revm over the [`Store`], in this process.

use alloy_primitives::Bytes;
use weft_types::TransactionId;

use super::block::Place;
use super::execute::execute;
use super::store::{NewBlock, Store, StoreError, StoredBlock};
use crate::cursor::{Cursor, Settled};
use crate::derivation::Step;
use crate::executor::{Executor, Progress};
use crate::metrics::EvmMetrics;

/// Why the embedded engine cannot go on. All of them are ours, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step from where the rollup does not stand.
    #[error("a step out of order")]
    OutOfOrder,
    /// The thread that executed died.
    #[error("execution ended unexpectedly")]
    Lost,
}

/// The embedded engine.
pub struct Embedded {
    store: Store,
    metrics: EvmMetrics,
    cursor: Option<Cursor>,
    /// Whether the cursor has moved since it was last stored.
    moved: bool,
}

/// The items of a step, in order, and the Weft transactions that brought them.
pub fn items(step: &Step) -> (Vec<Bytes>, Vec<TransactionId>) {
    let mut items = Vec::new();
    let mut ids = Vec::new();
    for entry in step.entries() {
        ids.extend(entry.transaction());
        items.extend_from_slice(entry.items());
    }
    (items, ids)
}

impl Embedded {
    /// An engine over a database.
    pub fn new(store: Store, metrics: EvmMetrics) -> Self {
        Self { store, metrics, cursor: None, moved: false }
    }

    fn run(
        store: &Store,
        time_ms: u64,
        items: &[Bytes],
        submissions: &[TransactionId],
        cursor: Cursor,
    ) -> Result<StoredBlock, StoreError> {
        let view = store.view()?;
        let parent = view.head()?;
        let place = Place::after(&parent.header, parent.hash, time_ms);
        let state = view.state_at(parent.header.number);
        let executed = execute(state, store.spec(), &place, items)?;
        store.commit(NewBlock { place, executed, submissions, cursor })
    }
}

/// Runs what blocks on another thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    let result = tokio::task::spawn_blocking(work).await;
    Ok(result.map_err(|_| EmbeddedError::Lost)??)
}

impl Executor for Embedded {
    type Error = EmbeddedError;

    async fn cursor(&mut self) -> Result<Option<Cursor>, EmbeddedError> {
        let store = self.store.clone();
        self.cursor = blocking(move || store.view()?.cursor()).await?;
        self.moved = false;
        Ok(self.cursor)
    }

    async fn execute(&mut self, step: &Step) -> Result<Progress, EmbeddedError> {
        if !step.follows(self.cursor.as_ref()) {
            return Err(EmbeddedError::OutOfOrder);
        }
        let cursor = *step.to();
        if step.is_empty() {
            self.moved = true;
        } else {
            let store = self.store.clone();
            let (items, submissions) = items(step);
            let (time_ms, count) = (step.time_ms(), items.len());
            let block =
                blocking(move || Self::run(&store, time_ms, &items, &submissions, cursor)).await?;
            tracing::debug!(
                number = block.header.number,
                hash = %block.hash,
                height = block.height,
                transactions = block.transactions,
                gas = block.header.gas_used,
                "block"
            );
            let executed = block.transactions as usize;
            let skipped = count.saturating_sub(executed);
            let header = &block.header;
            self.metrics.made(header.number, executed, skipped, header.gas_used);
            self.moved = false;
        }
        self.cursor = Some(cursor);
        Ok(Progress::Done)
    }

    async fn unwind(&mut self, to: Cursor) -> Result<(), EmbeddedError> {
        let store = self.store.clone();
        self.cursor = Some(blocking(move || store.unwind(to)).await?);
        self.moved = false;
        Ok(())
    }

    fn settle(&mut self, settled: Settled) {
        if let Some(cursor) = &mut self.cursor {
            cursor.settled = settled;
            self.moved = true;
        }
    }

    async fn flush(&mut self) -> Result<(), EmbeddedError> {
        let store = self.store.clone();
        let cursor = self.cursor.filter(|_| self.moved);
        blocking(move || {
            if let Some(cursor) = cursor {
                store.set_cursor(&cursor)?;
            }
            store.flush()
        })
        .await?;
        self.moved = false;
        Ok(())
    }
}
