//! Handing a Weft transaction to endpoints until it is in the order or dead. The same bytes may be
//! handed to any number of endpoints: the network orders them once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use weft_types::{TimeMs, TransactionId};

use crate::api::{ApiError, Endpoint};
use crate::follow::Head;
use crate::random;
use crate::source::SourceStatus;
use crate::source::health::{Health, Pick};

/// How long after handing over an endpoint is asked what became of it.
const CHECK_AFTER: Duration = Duration::from_secs(2);
/// How long to wait before another endpoint gets it as well.
const SPREAD_AFTER: Duration = Duration::from_secs(4);
/// How long to wait after every endpoint has refused it.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Endpoints to hand transactions to. Clones share what is known of them.
#[derive(Clone)]
pub struct Post {
    endpoints: Arc<Vec<Endpoint>>,
    health: Arc<Mutex<Health>>,
    source: SourceStatus,
}

impl Post {
    /// Hands to these endpoints, the first one first, but to none that is quarantined.
    pub fn new(endpoints: Vec<Endpoint>, source: SourceStatus) -> Self {
        let health = Arc::new(Mutex::new(Health::new(endpoints.len())));
        Self { endpoints: Arc::new(endpoints), health, source }
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is not quarantined, and has not asked to be left alone.
    fn may_ask(&self, index: usize) -> bool {
        self.source.is_trusted(index) && !self.health().is_resting(index, Instant::now())
    }

    fn failed(&self, index: usize, error: &ApiError) {
        let (now, jitter) = (Instant::now(), random::fraction());
        self.health().fail(index, now, jitter, error.retry_after());
    }

    /// Hands a transaction over, and again, until a verified block time is past `valid_until`.
    /// Whoever learns before that what became of it drops this.
    pub async fn carry(
        self,
        id: TransactionId,
        borsh: Vec<u8>,
        valid_until: TimeMs,
        head: watch::Receiver<Head>,
    ) {
        let mut spread = 0;
        while head.borrow().time_ms <= valid_until {
            match self.hand_over(&borsh, spread).await {
                Some(index) => {
                    spread = index + 1;
                    self.watch(index, id).await;
                }
                None => tokio::time::sleep(REFUSED_PAUSE).await,
            }
        }
    }

    /// Hands it to the first endpoint that takes it, beginning at `first`.
    async fn hand_over(&self, borsh: &[u8], first: usize) -> Option<usize> {
        let count = self.endpoints.len();
        let start = if first == 0 {
            match self.health().pick(Instant::now()) {
                Pick::Now(index) => index,
                Pick::Wait(_) | Pick::Never => 0,
            }
        } else {
            first
        };
        for index in (0..count).map(|turn| (start + turn) % count) {
            if !self.may_ask(index) {
                continue;
            }
            let endpoint = &self.endpoints[index];
            match endpoint.submit(borsh.to_vec()).await {
                Ok(status) => {
                    tracing::debug!(endpoint = %endpoint.url(), id = %status.id, "handed over");
                    self.health().succeed(index);
                    return Some(index);
                }
                Err(error) => {
                    tracing::warn!(endpoint = %endpoint.url(), %error, "not taken");
                    // A refusal is about the transaction, not about the endpoint.
                    if !error.is_refusal() {
                        self.failed(index, &error);
                    }
                }
            }
        }
        None
    }

    /// Waits, and looks whether the endpoint still has it. Returns when it should be handed over
    /// again.
    async fn watch(&self, index: usize, id: TransactionId) {
        let since = Instant::now();
        while since.elapsed() < SPREAD_AFTER {
            tokio::time::sleep(CHECK_AFTER).await;
            match self.endpoints[index].transaction(id).await {
                Ok(Some(status)) => {
                    if let Some(receipt) = status.receipt.filter(|r| r.status == "skipped") {
                        let reason = receipt.reason.unwrap_or_default();
                        let endpoint = self.endpoints[index].url();
                        tracing::error!(%endpoint, %id, reason, "Weft skipped our transaction");
                        // It will not be ordered again. What an endpoint says is no proof, so it
                        // stays live until its time is over.
                        tokio::time::sleep(SPREAD_AFTER).await;
                    }
                }
                // It has forgotten it, or cannot say.
                Ok(None) => return,
                Err(error @ (ApiError::Transport(_) | ApiError::Busy { .. })) => {
                    self.failed(index, &error);
                    return;
                }
                Err(_) => {}
            }
        }
    }
}
