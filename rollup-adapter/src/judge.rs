//! An executor of a rollup: gives verdicts on the legs of atomic bundles (protocol section 9).
//!
//! What was found is stored before it is said, and said again after a restart, so that no crash makes an
//! executor contradict itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::{B256, keccak256};
use futures_util::future::join_all;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use weft_types::{
    NamespaceId, Params, Payload, SecretKey, Signed, TimeMs, Transaction, TransactionBody,
    TransactionId, Wei,
};

use crate::api::Endpoint;
use crate::derivation::Case;
use crate::evm::chain::Chain;
use crate::evm::leg;
use crate::evm::store::StoreError;
use crate::gateway::price::wall_ms;
use crate::shutdown::Shutdown;
use crate::source::SourceStatus;

const VERDICTS: TableDefinition<'_, (u64, &[u8; 32]), Option<&[u8; 32]>> =
    TableDefinition::new("verdicts");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const IDENTITY: &str = "identity";

/// Most verdicts that are remembered.
const MAX_VERDICTS: u64 = 4096;

/// How long to wait before an engine that could not say is asked again, or endpoints are told again.
const AGAIN: Duration = Duration::from_millis(250);

/// How often a verdict is signed anew, as another transaction: one that was ordered when it could not be paid
/// for counts for nothing and is not ordered again.
const SIGN_AGAIN: Duration = Duration::from_secs(2);

/// What an executor was found to have said, by the height of the bundle and its id.
pub struct Verdicts(Database);

impl Verdicts {
    /// Opens or makes the verdicts of an executor of a rollup.
    ///
    /// # Errors
    ///
    /// If the file is that of another one, or cannot be read.
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
            write.open_table(VERDICTS)?;
        }
        write.commit()?;
        Ok(Self(db))
    }

    /// What was said of a bundle, if something was.
    pub fn get(&self, height: u64, bundle: TransactionId) -> Result<Option<Said>, StoreError> {
        let verdicts = self.0.begin_read()?.open_table(VERDICTS)?;
        let found = verdicts.get((height, bundle.as_bytes()))?;
        Ok(found.map(|said| said.value().copied().map(B256::from)))
    }

    /// Remembers what is about to be said. Durable when it returns.
    pub fn put(&self, height: u64, bundle: TransactionId, said: Said) -> Result<(), StoreError> {
        let write = self.0.begin_write()?;
        {
            let mut verdicts = write.open_table(VERDICTS)?;
            verdicts
                .insert((height, bundle.as_bytes()), said.as_ref().map(|effects| &effects.0))?;
            while verdicts.len()? > MAX_VERDICTS {
                verdicts.pop_first()?;
            }
        }
        write.commit()?;
        Ok(())
    }
}

/// What is said of a leg: its effects, or that it will not do what it is to do.
pub type Said = Option<B256>;

/// What an executor is counted by. Clones share.
#[derive(Clone, Debug)]
pub struct JudgeMetrics {
    does: Counter,
    fails: Counter,
    unknown: Counter,
    seconds: Histogram,
}

impl JudgeMetrics {
    /// Registers the counts.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            does: Counter::default(),
            fails: Counter::default(),
            unknown: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
        };
        let legs = "Legs of atomic bundles that were judged";
        registry.register(
            "verdicts_ok",
            format!("{legs} to do what they are to"),
            metrics.does.clone(),
        );
        registry.register("verdicts_failing", format!("{legs} not to"), metrics.fails.clone());
        registry.register(
            "verdicts_unknown",
            "Times that the engine could not say what a leg would do",
            metrics.unknown.clone(),
        );
        registry.register(
            "verdict_seconds",
            "Time from knowing of a hold to handing over the verdict",
            metrics.seconds.clone(),
        );
        metrics
    }
}

/// An executor.
pub struct Judge {
    /// What it runs legs on.
    pub chain: Chain,
    /// The network's number.
    pub chain_id: u64,
    /// The network's parameters.
    pub params: Params,
    /// The rollup's namespace.
    pub namespace: NamespaceId,
    /// Signs verdicts. Its account pays for them and has the bond.
    pub key: SecretKey,
    /// The most that a verdict pays for being ordered, in wei.
    pub max_fee: Wei,
    /// Where to hand verdicts over: to all of them at once.
    pub endpoints: Vec<Endpoint>,
    /// What is thought of them: none that is quarantined is used.
    pub source: SourceStatus,
    /// What it has said.
    pub verdicts: Verdicts,
    /// What holds the rollup.
    pub case: watch::Receiver<Option<Arc<Case>>>,
    /// Counts.
    pub metrics: JudgeMetrics,
    /// When to finish.
    pub shutdown: Shutdown,
}

impl Judge {
    /// Gives verdicts until told to finish.
    ///
    /// # Errors
    ///
    /// If what is said cannot be remembered.
    pub async fn run(mut self) -> Result<(), StoreError> {
        loop {
            let case = self.case.borrow_and_update().clone();
            let mut case_changes = self.case.clone();
            let mut shutdown = self.shutdown.clone();
            let judged = async {
                match &case {
                    Some(case) => self.judge(case).await,
                    None => std::future::pending().await,
                }
            };
            // Dropped as soon as the bundle is decided: then nothing that is said has a meaning any more.
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                changed = case_changes.changed() => if changed.is_err() {
                    // The follower has ended, and says why.
                    self.shutdown.requested().await;
                    return Ok(());
                },
                judged = judged => judged?,
            }
        }
    }

    /// Finds out what a leg will do, and says so until it is dropped.
    async fn judge(&self, case: &Case) -> Result<(), StoreError> {
        let since = Instant::now();
        let (height, bundle) = (case.header.height, case.bundle);
        let said = match self.verdicts.get(height, bundle)? {
            Some(said) => said,
            None => {
                let found = self.find_out(case).await;
                // By then it may have been decided, and the state another one.
                if self.case.has_changed().unwrap_or(true) {
                    return std::future::pending().await;
                }
                self.verdicts.put(height, bundle, found)?;
                found
            }
        };
        match said {
            Some(effects) => {
                self.metrics.does.inc();
                tracing::info!(%bundle, height, %effects, "the leg will do what it is to do");
            }
            None => {
                self.metrics.fails.inc();
                tracing::info!(%bundle, height, "the leg will not do what it is to do");
            }
        }
        let handed = AtomicBool::new(false);
        let (handed, judged, judged_ms) = (&handed, Instant::now(), wall_ms());
        let all = self.endpoints.iter().enumerate();
        // Each at its own pace: one that does not answer holds up no other.
        join_all(all.map(|(index, endpoint)| async move {
            loop {
                if self.source.is_trusted(index) {
                    let attempt = judged.elapsed().as_secs() / SIGN_AGAIN.as_secs();
                    let transaction = self.sign(case, said, judged_ms, attempt);
                    let encoded = borsh::to_vec(&transaction).unwrap_or_default();
                    let sent = timeout(AGAIN * 4, endpoint.submit(encoded)).await;
                    if !handed.swap(true, Ordering::Relaxed) {
                        self.metrics.seconds.observe(since.elapsed().as_secs_f64());
                    }
                    let url = endpoint.url();
                    match sent {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => tracing::warn!(%url, %error, "verdict not taken"),
                        Err(_) => tracing::warn!(%url, "no answer to a verdict"),
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        }))
        .await;
        // Without endpoints there is nobody to tell.
        std::future::pending().await
    }

    /// What a leg will do, however often the engine has to be asked.
    async fn find_out(&self, case: &Case) -> Said {
        loop {
            match leg::effects(&self.chain, &case.header, &case.leg).await {
                Ok(said) => return said,
                Err(error) => {
                    self.metrics.unknown.inc();
                    tracing::warn!(bundle = %case.bundle, %error, "the engine cannot say");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The transaction that says so, the same one for all endpoints. Its salt tells it from verdicts on other
    /// legs, of which one key may give several, and from earlier attempts.
    fn sign(&self, case: &Case, effects: Said, judged_ms: TimeMs, attempt: u64) -> Transaction {
        let since = attempt.saturating_mul(SIGN_AGAIN.as_secs()).saturating_mul(1000);
        let now = case.header.time_ms.max(judged_ms).saturating_add(since);
        let leg = keccak256([case.bundle.as_bytes(), &self.namespace.0.to_be_bytes()[..]].concat());
        let payload = Payload::Verdict { bundle: case.bundle, namespace: self.namespace, effects };
        let body = TransactionBody {
            chain_id: self.chain_id,
            // Half of what is allowed, so that nodes that are behind take it as well.
            valid_until: now.saturating_add(self.params.max_validity_ms / 2),
            salt: u64::from_be_bytes(leg.0[..8].try_into().unwrap_or_default())
                .wrapping_add(attempt),
            max_fee: self.max_fee,
            payload,
        };
        Signed::new(body, self.chain_id, &self.key)
    }
}
