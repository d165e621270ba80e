//! Engine 1: revm over the [`Store`], in this process.

use weft_types::NamespaceId;

use super::block::Place;
use super::execute::execute;
use super::items::Items;
use super::spec::ChainSpec;
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

/// What a step brings.
pub fn items(step: &Step, spec: &ChainSpec) -> Items {
    let height = step.to().height().unwrap_or(0);
    Items::of(step.entries(), NamespaceId(spec.chain_id), height)
}

impl Embedded {
    /// An engine over a database.
    pub fn new(store: Store, metrics: EvmMetrics) -> Self {
        Self { store, metrics, cursor: None, moved: false }
    }

    fn run(
        store: &Store,
        time_ms: u64,
        items: Items,
        cursor: Cursor,
    ) -> Result<StoredBlock, StoreError> {
        let view = store.view()?;
        let parent = view.head()?;
        let place = Place::after(&parent.header, parent.hash, time_ms);
        let state = view.state_at(parent.header.number);
        let mut executed = execute(state, store.spec(), &place, &items.raw)?;
        executed.skipped.extend(items.skipped);
        store.commit(NewBlock { place, executed, submissions: &items.submissions, cursor })
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
            let items = items(step, store.spec());
            let (time_ms, count) = (step.time_ms(), items.raw.len() + items.skipped.len());
            let block = blocking(move || Self::run(&store, time_ms, items, cursor)).await?;
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

    async fn look(&mut self) -> Result<Progress, EmbeddedError> {
        Ok(Progress::Done)
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
