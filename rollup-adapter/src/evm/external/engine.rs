//! One block per slice, exactly once, whatever dies when.
//!
//! 1. Look where the engine is. If it is behind, it was restarted with an older state: start over
//!    from the slice after its last block.
//! 2. Choose the transactions by the rules that all engines share, and intend the block durably.
//! 3. Empty the pool, hand over the transactions one by one, fix timestamp and base fee, mine.
//! 4. Look at what it made, and complete the journal.
//!
//! If a fallback takes blocks back, the engine forgets all of its blocks, and those that are kept are
//! made again.
//!
//! Killed before 3 mines, the engine has no block and the pool is emptied next time; killed after,
//! the engine has a block that the journal only intended, and it is recognised.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use serde_json::{Value, json};

use super::client::{EngineBlock, EngineClient, EngineError};
use super::journal::{Intent, Journal};
use crate::cursor::{Cursor, Settled};
use crate::derivation::Step;
use crate::evm::block::genesis_header;
use crate::evm::embedded::items;
use crate::evm::execute::{check_items, take_places};
use crate::evm::items::Items;
use crate::evm::spec::ChainSpec;
use crate::evm::store::StoreError;
use crate::executor::{Executor, Progress};
use crate::metrics::EvmMetrics;

/// How often an engine that cannot be reached is tried.
const RETRY: Duration = Duration::from_millis(500);

/// How far back a block hash is asked for to see whether the engine remembers.
const HISTORY: u64 = 200;

/// Why an external engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The journal. Ours, or the disk's.
    #[error("journal: {0}")]
    Journal(#[from] StoreError),
    /// The engine does not do what it is asked to.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// The engine was started for another rollup, or with other settings.
    #[error(
        "the engine's genesis block is {actual}, this rollup's is {expected}: start it as the \
             rollup's spec says"
    )]
    Genesis {
        /// What it should be.
        expected: B256,
        /// What it is.
        actual: B256,
    },
    /// The engine runs another chain.
    #[error("the engine's chain id is {actual}, this rollup's is {expected}")]
    ChainId {
        /// What it should be.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// The engine has forgotten what blocks after its last one depend on. anvil does when it is
    /// started from a saved state.
    #[error(
        "the engine says that block {number} has hash {actual} inside a contract and {expected} \
         outside, as after it was started from a saved state: start it empty, and its blocks are \
         made again from their slices"
    )]
    Forgetful {
        /// The block asked about.
        number: u64,
        /// What the engine's RPC says.
        expected: B256,
        /// What `BLOCKHASH` says.
        actual: B256,
    },
    /// The engine has a block that nobody here asked for.
    #[error("the engine has block {number} ({hash}), which was not made from a slice")]
    Foreign {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// The engine made a block that is not the one asked for.
    #[error("the engine made block {number} with another {field}: {actual}, expected {expected}")]
    NotAsAsked {
        /// The block.
        number: u64,
        /// What is wrong.
        field: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// Executing a slice again gave another block.
    #[error("block {number} was {before} and is {now} when made again from the same slice")]
    NotDeterministic {
        /// The block.
        number: u64,
        /// Its hash the first time.
        before: B256,
        /// Its hash now.
        now: B256,
    },
    /// A block is about to be made again from something else, as if L1 were not known far enough.
    #[error(
        "block {number} was made of something else than what is due: Ethereum's providers do not say \
         what they said then; restart once they do"
    )]
    OtherStep {
        /// The block.
        number: u64,
    },
    /// The pool refused a transaction that the rules give a place.
    #[error("the engine's pool refuses transaction {hash}: {error}")]
    PoolRefused {
        /// The transaction.
        hash: B256,
        /// What the engine says.
        error: EngineError,
    },
    /// A step from where the rollup does not stand.
    #[error("a step out of order")]
    OutOfOrder,
}

/// The last block of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    hash: B256,
    timestamp: u64,
}

impl From<&EngineBlock> for Head {
    fn from(block: &EngineBlock) -> Self {
        Self { number: block.number, hash: block.hash, timestamp: block.timestamp }
    }
}

/// Drives an engine.
pub struct External {
    engine: Arc<EngineClient>,
    journal: Journal,
    spec: ChainSpec,
    metrics: EvmMetrics,
    /// Where the engine was last seen.
    head: Option<Head>,
    cursor: Option<Cursor>,
    moved: bool,
}

impl External {
    /// Drives the engine that has this journal.
    pub fn new(
        engine: Arc<EngineClient>,
        journal: Journal,
        spec: ChainSpec,
        metrics: EvmMetrics,
    ) -> Self {
        Self { engine, journal, spec, metrics, head: None, cursor: None, moved: false }
    }

    /// The engine's last block, however long it takes to reach it.
    async fn reach(&self) -> Result<EngineBlock, ExternalError> {
        let mut complained = false;
        loop {
            match self.engine.block("latest").await {
                Ok(Some(block)) => return Ok(block),
                Ok(None) => return Err(EngineError::Malformed("no last block".into()).into()),
                Err(EngineError::Transport(error)) => {
                    if !complained {
                        tracing::warn!(engine = %self.engine.url(), error, "waiting for the engine");
                        complained = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the engine is where it was left.
    async fn is_in_place(&self) -> Result<bool, ExternalError> {
        Ok(self.head == Some(Head::from(&self.reach().await?)))
    }

    /// Compares the engine with the journal, and finds where to go on.
    async fn locate(&mut self) -> Result<Option<Cursor>, ExternalError> {
        let mut block = self.reach().await?;
        self.check_genesis().await?;
        self.check_memory(block.number).await?;
        let last = self.journal.last_number()?;
        if self.journal.has_unwound()? {
            if block.number > last {
                block = self.empty().await?;
            }
            self.journal.engine_unwound()?;
        }
        if block.number > last && !self.adopt(&block).await? {
            return Err(ExternalError::Foreign { number: block.number, hash: block.hash });
        }
        let made = self.journal.made(block.number)?;
        if let Some(made) = made.filter(|made| made.hash != block.hash) {
            return Err(ExternalError::NotDeterministic {
                number: block.number,
                before: made.hash,
                now: block.hash,
            });
        }
        let made = made.map(|made| made.cursor);
        let cursor = if block.number >= last {
            // Heights without a slice may have moved the cursor beyond the last block; making blocks
            // again may have left it before.
            let place = |cursor: &Cursor| (cursor.next, cursor.forced);
            let stored = self.journal.cursor()?;
            if stored.as_ref().map(place) >= made.as_ref().map(place) { stored } else { made }
        } else {
            tracing::warn!(
                engine = block.number,
                journal = last,
                "the engine has an older state: making its blocks again"
            );
            made
        };
        self.head = Some(Head::from(&block));
        self.cursor = cursor;
        self.moved = false;
        Ok(cursor)
    }

    /// Has the engine forget all its blocks. It could go back by a few, but not with everything that
    /// state roots depend on.
    async fn empty(&self) -> Result<EngineBlock, ExternalError> {
        tracing::warn!("the engine's blocks were taken back: all that are kept are made again");
        // The genesis block is made anew with the base fee that is next.
        self.set_base_fee().await?;
        self.engine.call_raw("anvil_reset", json!([])).await?;
        let block = self.reach().await?;
        self.check_genesis().await?;
        Ok(block)
    }

    async fn set_base_fee(&self) -> Result<(), EngineError> {
        let base_fee = format!("{:#x}", self.spec.base_fee);
        self.engine.call_raw("anvil_setNextBlockBaseFeePerGas", json!([base_fee])).await?;
        Ok(())
    }

    async fn check_genesis(&self) -> Result<(), ExternalError> {
        let actual = self.engine.number("eth_chainId", json!([])).await?;
        if actual != self.spec.chain_id {
            return Err(ExternalError::ChainId { expected: self.spec.chain_id, actual });
        }
        let block = self.engine.block_at(0).await?;
        let block = block.ok_or_else(|| EngineError::Malformed("no genesis block".into()))?;
        let expected = genesis_header(&self.spec).hash_slow();
        if block.hash != expected {
            return Err(ExternalError::Genesis { expected, actual: block.hash });
        }
        Ok(())
    }

    /// Asks the engine for the hash of a block in both ways that contracts and wallets do. The block
    /// lies as far back as possible, since blocks made after a loss are remembered; but it is not
    /// the genesis block, which every engine makes anew.
    async fn check_memory(&self, head: u64) -> Result<(), ExternalError> {
        if head == 0 {
            return Ok(());
        }
        let number = head.saturating_sub(HISTORY).max(1);
        let block = self.engine.block_at(number).await?;
        let expected = block.ok_or_else(|| EngineError::Malformed("a block is missing".into()))?;
        // PUSH8 number, BLOCKHASH, PUSH1 1, MSTORE, PUSH1 33, PUSH0, RETURN. What comes back passes
        // for a contract's code, which must not start with 0xef as a hash may: so a zero goes first.
        let mut code = vec![0x67];
        code.extend_from_slice(&number.to_be_bytes());
        code.extend_from_slice(&[0x40, 0x60, 0x01, 0x52, 0x60, 0x21, 0x5f, 0xf3]);
        let request = json!({ "data": Bytes::from(code) });
        // Of the block after the last one, so that the last one can be asked about.
        let answer: Bytes = self.engine.call("eth_call", json!([request, "pending"])).await?;
        let actual = answer.get(1..).and_then(|hash| B256::try_from(hash).ok());
        let actual = actual.ok_or_else(|| EngineError::Malformed("no block hash".into()))?;
        if actual != expected.hash {
            return Err(ExternalError::Forgetful { number, expected: expected.hash, actual });
        }
        Ok(())
    }

    /// If the engine is one block ahead of the journal and the block is the one intended, completes
    /// the journal.
    async fn adopt(&self, block: &EngineBlock) -> Result<bool, ExternalError> {
        let Some(intent) = self.journal.intent()? else { return Ok(false) };
        let parent = match intent.number.checked_sub(1) {
            Some(0) => Some(genesis_header(&self.spec).hash_slow()),
            Some(number) => self.journal.made(number)?.map(|made| made.hash),
            None => None,
        };
        if block.number != intent.number || parent != Some(intent.parent) {
            return Ok(false);
        }
        self.check_made(&intent, block)?;
        self.journal.complete(&intent, block.hash, &block.transactions)?;
        tracing::info!(number = block.number, hash = %block.hash, "recognised the engine's block");
        Ok(true)
    }

    /// Checks that a block is what was asked for: its place, its fixed fields, and its transactions
    /// some of those handed over, in their order.
    fn check_made(&self, intent: &Intent, block: &EngineBlock) -> Result<(), ExternalError> {
        let same = |field, expected: String, actual: String| {
            if expected == actual {
                return Ok(());
            }
            Err(ExternalError::NotAsAsked { number: intent.number, field, expected, actual })
        };
        same("number", intent.number.to_string(), block.number.to_string())?;
        same("parent", intent.parent.to_string(), block.parent_hash.to_string())?;
        same("timestamp", intent.timestamp.to_string(), block.timestamp.to_string())?;
        same("gas limit", self.spec.gas_limit.to_string(), block.gas_limit.to_string())?;
        same("base fee", self.spec.base_fee.to_string(), block.base_fee_per_gas.to_string())?;
        same("coinbase", self.spec.coinbase.to_string(), block.miner.to_string())?;
        let mut handed = intent.transactions.iter();
        let in_order = block.transactions.iter().all(|hash| handed.any(|h| h == hash));
        same(
            "order of transactions",
            "as handed over".into(),
            match in_order {
                true => "as handed over".into(),
                false => "another".into(),
            },
        )
    }

    async fn make(
        &mut self,
        head: Head,
        time_ms: u64,
        items: Items,
        cursor: Cursor,
    ) -> Result<EngineBlock, ExternalError> {
        let (checked, mut skipped) = check_items(&items.raw, &self.spec);
        skipped.extend(items.skipped);
        let mut senders: Vec<Address> = checked.iter().map(|tx| tx.sender).collect();
        senders.sort_unstable();
        senders.dedup();
        let nonces = self.engine.nonces(&senders).await?;
        let candidates = take_places(checked, skipped, |sender| {
            let at = senders.binary_search(&sender).ok();
            Ok::<_, ExternalError>(at.and_then(|at| nonces.get(at)).copied().unwrap_or(0))
        })?;
        let intent = Intent {
            number: head.number.saturating_add(1),
            parent: head.hash,
            timestamp: (time_ms / 1000).max(head.timestamp),
            transactions: candidates.taken.iter().map(|tx| tx.hash).collect(),
            skipped: candidates.skipped,
            submissions: items.submissions,
            cursor,
        };
        if let Some(before) = self.journal.made(intent.number)?
            && (before.cursor.next, before.cursor.forced) != (cursor.next, cursor.forced)
        {
            return Err(ExternalError::OtherStep { number: intent.number });
        }
        self.journal.intend(&intent)?;
        self.engine.call_raw("anvil_dropAllTransactions", json!([])).await?;
        for tx in &candidates.taken {
            let sent = self.engine.call_raw("eth_sendRawTransaction", json!([tx.raw])).await;
            match sent {
                Ok(_) => {}
                Err(error @ EngineError::Rpc { .. }) => {
                    return Err(ExternalError::PoolRefused { hash: tx.hash, error });
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.set_base_fee().await?;
        let timestamp = Value::from(intent.timestamp);
        self.engine.call_raw("evm_setNextBlockTimestamp", json!([timestamp])).await?;
        self.engine.call_raw("evm_mine", json!([])).await?;
        let block = self.engine.block_at(intent.number).await?;
        let block = block.ok_or_else(|| EngineError::Malformed("no new block".into()))?;
        self.check_made(&intent, &block)?;
        if let Some(before) = self.journal.made(intent.number)?
            && before.hash != block.hash
        {
            return Err(ExternalError::NotDeterministic {
                number: intent.number,
                before: before.hash,
                now: block.hash,
            });
        }
        self.journal.complete(&intent, block.hash, &block.transactions)?;
        Ok(block)
    }
}

impl Executor for External {
    type Error = ExternalError;

    async fn cursor(&mut self) -> Result<Option<Cursor>, ExternalError> {
        loop {
            match self.locate().await {
                // It went away again while it was looked at.
                Err(ExternalError::Engine(EngineError::Transport(_))) => {
                    tokio::time::sleep(RETRY).await;
                }
                located => return located,
            }
        }
    }

    async fn execute(&mut self, step: &Step) -> Result<Progress, ExternalError> {
        if !step.follows(self.cursor.as_ref()) {
            return Err(ExternalError::OutOfOrder);
        }
        let cursor = *step.to();
        if step.begins_fallback()
            && let Some(head) = self.head
            && self.journal.takes_back_after(head.number, &cursor)?
        {
            // The engine had lost blocks that the fallback takes back as well.
            self.journal.unwind(cursor)?;
        }
        if step.is_empty() {
            self.cursor = Some(cursor);
            self.moved = true;
            return Ok(Progress::Done);
        }
        let Some(head) = self.head else { return Ok(Progress::Rewound) };
        if !self.is_in_place().await? {
            return Ok(Progress::Rewound);
        }
        let items = items(step, &self.spec);
        let count = items.raw.len() + items.skipped.len();
        let made = self.make(head, step.time_ms(), items, cursor).await;
        let block = match made {
            Ok(block) => block,
            // It went away half way: look where it is once it is back.
            Err(ExternalError::Engine(EngineError::Transport(error))) => {
                tracing::warn!(error, "lost the engine");
                return Ok(Progress::Rewound);
            }
            Err(error) => return Err(error),
        };
        tracing::debug!(
            number = block.number,
            hash = %block.hash,
            height = cursor.height(),
            transactions = block.transactions.len(),
            "block"
        );
        let executed = block.transactions.len();
        let skipped = count.saturating_sub(executed);
        self.metrics.made(block.number, executed, skipped, block.gas_used);
        self.head = Some(Head::from(&block));
        self.cursor = Some(cursor);
        self.moved = false;
        Ok(Progress::Done)
    }

    async fn unwind(&mut self, to: Cursor) -> Result<(), ExternalError> {
        self.journal.unwind(to)?;
        Ok(())
    }

    fn settle(&mut self, settled: Settled) {
        if let Some(cursor) = &mut self.cursor {
            cursor.settled = settled;
            self.moved = true;
        }
    }

    async fn look(&mut self) -> Result<Progress, ExternalError> {
        Ok(if self.is_in_place().await? { Progress::Done } else { Progress::Rewound })
    }

    async fn flush(&mut self) -> Result<(), ExternalError> {
        if let Some(cursor) = self.cursor.filter(|_| self.moved) {
            self.journal.set_cursor(&cursor)?;
            self.moved = false;
        }
        self.journal.flush()?;
        Ok(())
    }
}
