//! The task that does it all: accept, pack, hand over, follow up.

mod settle;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use alloy_primitives::B256;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use weft_types::{NamespaceId, SecretKey, TransactionId, Wei, transaction};

use super::metrics::GatewayMetrics;
use super::pack::{self, Terms};
use super::pool::{Attempt, Item, Limits, Pool};
use super::post::Post;
use super::price::{Bounds, Quote, is_caught_up, keep_asking, offer, wall_ms, weft_now};
use super::store::{Changes, GatewayStore, StoredAttempt, StoredItem};
use super::{ANNOUNCEMENTS, Command, DropReason, Gateway, MAX_WAITING_COMMANDS, Refusal};
use crate::api::Endpoint;
use crate::evm::chain::{Chain, ChainError, Tip, blocking};
use crate::evm::store::StoreError;
use crate::evm::transaction::Checked;
use crate::follow::Head;
use crate::random;
use crate::shutdown::Shutdown;
use crate::source::SourceStatus;

/// Most transactions that are made durable together.
const MAX_GROUP: usize = 1024;
/// How often waiting transactions are looked through for those that will not come to anything.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait for a price, or for the chain to be caught up, before looking again.
const NOT_YET: Duration = Duration::from_millis(50);

/// How the gateway works.
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig {
    /// How long the first transaction waits for others to share a Weft transaction.
    pub linger: Duration,
    /// Most transactions in one Weft transaction.
    pub max_items: usize,
    /// Most Weft transactions that are live at a time.
    pub max_live: usize,
    /// How far ahead of Weft time `valid_until` lies.
    pub validity: Duration,
    /// How many times the price of the moment is offered, at first.
    pub fee_headroom: u32,
    /// Most that is offered per byte, in wei.
    pub max_fee_per_byte: Wei,
    /// How many Weft transactions may carry a transaction before it is given up.
    pub max_attempts: u32,
    /// How long a transaction waits for the one with the nonce before.
    pub gap_timeout: Duration,
    /// How much is accepted.
    pub limits: Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(5),
            max_items: 100,
            max_live: 64,
            validity: Duration::from_secs(30),
            fee_headroom: 4,
            max_fee_per_byte: 1_000_000_000_000_000,
            max_attempts: 20,
            gap_timeout: Duration::from_secs(600),
            limits: Limits::default(),
        }
    }
}

/// Whom the gateway serves, and with what.
pub struct Setup {
    /// The rollup's chain.
    pub chain: Chain,
    /// The network's number.
    pub chain_id: u64,
    /// The rollup's namespace.
    pub namespace: NamespaceId,
    /// Pays for Weft transactions.
    pub key: SecretKey,
    /// Where to hand them over.
    pub endpoints: Vec<Endpoint>,
    /// What is thought of them: none that is quarantined is used.
    pub source: SourceStatus,
    /// The least that a byte costs on the network, in wei.
    pub least_price: Wei,
    /// How it works.
    pub config: GatewayConfig,
    /// The last height taken in.
    pub head: watch::Receiver<Head>,
    /// Counts.
    pub metrics: GatewayMetrics,
    /// When to finish.
    pub shutdown: Shutdown,
}

/// Opens the pool of a home and makes the gateway and its worker.
pub fn open(path: &Path, identity: B256, setup: Setup) -> Result<(Gateway, Worker), StoreError> {
    let store = GatewayStore::open(path, identity)?;
    let (sender, commands) = mpsc::channel(MAX_WAITING_COMMANDS);
    let announcements = broadcast::channel(ANNOUNCEMENTS).0;
    let pool = Arc::new(RwLock::new(Pool::new(setup.config.limits)));
    let gateway = Gateway {
        chain: setup.chain.clone(),
        commands: sender,
        pool: pool.clone(),
        announcements: announcements.clone(),
    };
    let post = Post::new(setup.endpoints.clone(), setup.source.clone());
    let mut worker = Worker {
        setup,
        store,
        pool,
        commands,
        announcements,
        post,
        carriers: HashMap::new(),
        quotes: watch::channel(None).1,
        pack_at: None,
        last_block: None,
        restored: Vec::new(),
    };
    worker.restore()?;
    Ok((gateway, worker))
}

/// The task behind a [`Gateway`].
pub struct Worker {
    setup: Setup,
    store: GatewayStore,
    pool: Arc<RwLock<Pool>>,
    commands: mpsc::Receiver<Command>,
    announcements: broadcast::Sender<B256>,
    post: Post,
    /// Tasks that hand over live Weft transactions.
    carriers: HashMap<TransactionId, AbortHandle>,
    quotes: watch::Receiver<Option<Quote>>,
    /// When to pack next, if there is anything to pack.
    pack_at: Option<Instant>,
    /// The last block after which accounts were looked at.
    last_block: Option<Tip>,
    /// Weft transactions that were live when the process last ended.
    restored: Vec<(TransactionId, StoredAttempt)>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        for carrier in self.carriers.values() {
            carrier.abort();
        }
    }
}

impl Worker {
    fn pool(&self) -> RwLockWriteGuard<'_, Pool> {
        self.pool.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the pool as it was when the process last ended.
    fn restore(&mut self) -> Result<(), StoreError> {
        let stored = self.store.load()?;
        let mut live = HashMap::new();
        for (id, attempt) in &stored.attempts {
            live.extend(attempt.items.iter().map(|hash| (*hash, *id)));
        }
        let mut changes = Changes::default();
        let mut pool = self.pool();
        for (hash, reason) in stored.dropped {
            pool.remember(hash, reason);
        }
        for (hash, item) in stored.items {
            // What was accepted once is checked once more: the rules may have changed with the
            // software.
            let transaction = match Checked::new(&item.bytes(), self.setup.chain.spec()) {
                Ok(transaction) => transaction,
                Err(reason) => {
                    tracing::warn!(%hash, %reason, "accepted once, but no longer valid: given up");
                    let reason = DropReason::Skipped(reason);
                    pool.remember(hash, reason);
                    changes.dropped.push((hash, reason));
                    self.setup.metrics.dropped();
                    continue;
                }
            };
            let item = Item {
                transaction,
                arrival: item.arrival,
                received_ms: item.received_ms,
                attempts: item.attempts,
                live: live.get(&hash).copied(),
            };
            pool.restore(item, 0);
        }
        for (id, attempt) in &stored.attempts {
            let attempt =
                Attempt { valid_until: attempt.valid_until, items: attempt.items.clone() };
            pool.resume(*id, attempt);
        }
        let (items, attempts) = (pool.len(), stored.attempts.len());
        drop(pool);
        self.restored = stored.attempts;
        let given_up = changes.dropped.len();
        if given_up > 0 {
            self.store.apply(&changes)?;
        }
        if items > 0 || given_up > 0 {
            tracing::info!(items, attempts, given_up, "gateway pool restored");
        }
        Ok(())
    }

    /// Works until told to finish.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let (quote_sender, quotes) = watch::channel(None);
        self.quotes = quotes;
        let asking = tokio::spawn(keep_asking(
            self.setup.endpoints.clone(),
            self.setup.source.clone(),
            self.setup.namespace,
            quote_sender,
            self.setup.shutdown.clone(),
        ));
        for (id, attempt) in std::mem::take(&mut self.restored) {
            self.carry(id, attempt.borsh, attempt.valid_until);
        }
        let mut head = self.setup.head.clone();
        let mut shutdown = self.setup.shutdown.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let pack_at = self.pack_at;
            let packing = async move {
                match pack_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let done: Result<(), WorkError> = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.accept(command).await,
                    None => break,
                },
                Ok(()) = head.changed() => self.settle().await,
                () = packing => self.pack().await,
                _ = tick.tick() => self.sweep().await,
            };
            self.count();
            match done {
                Ok(()) => {}
                Err(WorkError::Store(error)) => return Err(error),
                // An external engine that is away comes back.
                Err(WorkError::Chain(error)) => tracing::warn!(%error, "gateway has to wait"),
            }
        }
        asking.abort();
        Ok(())
    }

    async fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        match blocking(move || store.apply(&changes)).await {
            Ok(()) => Ok(()),
            Err(ChainError::Store(error)) => Err(error),
            Err(_) => Err(StoreError::Damaged("the thread that writes has died")),
        }
    }

    fn count(&self) {
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        self.setup.metrics.pool(pool.len(), pool.live(), pool.attempts().len());
    }

    /// Accepts a command and all that wait behind it, with one write to disk for all of them.
    async fn accept(&mut self, first: Command) -> Result<(), WorkError> {
        let mut group = vec![first];
        while group.len() < MAX_GROUP {
            match self.commands.try_recv() {
                Ok(command) => group.push(command),
                Err(_) => break,
            }
        }
        let now = wall_ms();
        let mut changes = Changes::default();
        let mut accepted = Vec::new();
        {
            let mut pool = self.pool();
            for Command { transaction, holdings, reply } in group {
                match pool.admit(&transaction, holdings) {
                    Err(refusal) => {
                        self.setup.metrics.refused();
                        let _ = reply.send(Err(refusal));
                    }
                    Ok(replaced) => {
                        if let Some(replaced) = replaced {
                            pool.remove(&replaced, Some(DropReason::Replaced));
                            changes.dropped.push((replaced, DropReason::Replaced));
                        }
                        let item = pool.add(transaction, holdings.nonce, now);
                        let hash = item.transaction.hash;
                        changes.items.push((hash, StoredItem::from(item)));
                        accepted.push((hash, reply));
                    }
                }
            }
        }
        if accepted.is_empty() {
            return Ok(());
        }
        // One may have been replaced by another of the same group.
        let gone: Vec<B256> = changes.dropped.iter().map(|(hash, _)| *hash).collect();
        changes.items.retain(|(hash, _)| !gone.contains(hash));
        if let Err(error) = self.apply(changes).await {
            let mut pool = self.pool();
            for (hash, reply) in accepted {
                pool.remove(&hash, None);
                let _ = reply.send(Err(Refusal::Storage(error.to_string())));
            }
            return Err(error.into());
        }
        for (hash, reply) in accepted {
            self.setup.metrics.accepted();
            let _ = self.announcements.send(hash);
            let _ = reply.send(Ok(()));
        }
        let soon = Instant::now() + self.setup.config.linger;
        self.pack_at = Some(self.pack_at.map_or(soon, |at| at.min(soon)));
        Ok(())
    }

    /// Makes Weft transactions of what is ready.
    async fn pack(&mut self) -> Result<(), WorkError> {
        self.pack_at = None;
        if self.pool().waiting().next().is_none() {
            return Ok(());
        }
        let head = *self.setup.head.borrow();
        let quote = *self.quotes.borrow();
        let Some(quote) = quote.filter(|quote| is_caught_up(&head, quote)) else {
            self.pack_at = Some(Instant::now() + NOT_YET);
            return Ok(());
        };
        loop {
            let load = {
                let pool = self.pool();
                if pool.attempts().len() >= self.setup.config.max_live {
                    return Ok(());
                }
                pack::load(&pool, self.setup.config.max_items)
            };
            if load.hashes.is_empty() {
                return Ok(());
            }
            self.hand_over(load, &head, &quote).await?;
        }
    }

    async fn hand_over(
        &mut self,
        load: pack::Load,
        head: &Head,
        quote: &Quote,
    ) -> Result<(), WorkError> {
        let config = &self.setup.config;
        let validity = u64::try_from(config.validity.as_millis()).unwrap_or(u64::MAX);
        let bounds = Bounds {
            least: self.setup.least_price,
            most: config.max_fee_per_byte,
            headroom: config.fee_headroom,
        };
        let per_byte = offer(quote.per_byte, &bounds, load.attempts);
        let terms = Terms {
            chain_id: self.setup.chain_id,
            namespace: self.setup.namespace,
            valid_until: weft_now(head, quote).saturating_add(validity),
            salt: random::bits(),
            max_fee: per_byte.saturating_mul(load.bytes as Wei),
        };
        let made = pack::make(&load, terms, &self.setup.key);
        let id = transaction::id_of(&made);
        let borsh = borsh::to_vec(&made).map_err(|_| StoreError::Damaged("a Weft transaction"))?;
        let attempt = Attempt { valid_until: terms.valid_until, items: load.hashes };
        let mut changes = Changes::default();
        {
            let mut pool = self.pool();
            pool.hand_over(id, attempt.clone());
            let stored = attempt.items.iter().filter_map(|hash| pool.get(hash));
            changes.items = stored.map(|i| (i.transaction.hash, StoredItem::from(i))).collect();
        }
        let stored = StoredAttempt {
            valid_until: attempt.valid_until,
            items: attempt.items.clone(),
            borsh: borsh.clone(),
        };
        changes.attempts.push((id, stored));
        // On disk before anybody sees it: else a crash could put the same items into another one.
        self.apply(changes).await?;
        let (items, bytes) = (attempt.items.len(), borsh.len());
        tracing::debug!(%id, items, bytes, per_byte, "Weft transaction");
        self.setup.metrics.handed_over(attempt.items.len());
        self.carry(id, borsh, attempt.valid_until);
        Ok(())
    }

    fn carry(&mut self, id: TransactionId, borsh: Vec<u8>, valid_until: u64) {
        let carrier = self.post.clone().carry(id, borsh, valid_until, self.setup.head.clone());
        self.carriers.insert(id, tokio::spawn(carrier).abort_handle());
    }

    fn bury(&mut self, id: &TransactionId) {
        if let Some(carrier) = self.carriers.remove(id) {
            carrier.abort();
        }
    }
}

#[derive(Debug)]
enum WorkError {
    Store(StoreError),
    Chain(ChainError),
}

impl From<StoreError> for WorkError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ChainError> for WorkError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Store(error) => Self::Store(error),
            error => Self::Chain(error),
        }
    }
}
