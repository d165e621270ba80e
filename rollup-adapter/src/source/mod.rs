//! Pulling slices from a list of endpoints, none of which is trusted (protocol section 11).
//!
//! One endpoint is followed at a time: by its event stream, or by single requests where it has no
//! stream. Another takes over
//!
//! - when it fails: it is left alone for a while, longer each time;
//! - when it stalls: it brings nothing although another one has the slice that is due;
//! - when it lies: it is quarantined for as long as the process lives. If all of them lie, that is
//!   [an error](SourceError::NoneHonest), since nothing that could be served is worth waiting for.

pub mod health;
mod status;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use weft_types::slice::ProvenSlice;
use weft_types::{B256, Committee, Height, NamespaceId, Unverified};

use crate::api::{ApiError, Endpoint, SliceStream};
use crate::random;
use health::{Health, Pick};
pub use status::{EndpointStatus, SourceStatus};

/// Most endpoints that are used.
pub const MAX_ENDPOINTS: usize = 32;
/// How long an endpoint without a stream is polled before its stream is tried again.
const RESTREAM_AFTER: Duration = Duration::from_secs(30);
/// How long another endpoint may take to say how far it is.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How endpoints are used.
#[derive(Clone, Copy, Debug)]
pub struct SourceConfig {
    /// How long to wait for a slice before looking whether another endpoint has it.
    pub stall_after: Duration,
    /// How often an endpoint without a stream is asked.
    pub poll_interval: Duration,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self { stall_after: Duration::from_secs(3), poll_interval: Duration::from_millis(200) }
    }
}

/// A slice, and who served it.
#[derive(Debug)]
pub struct Pulled {
    /// The slice. Nothing in it has been checked.
    pub slice: Unverified<ProvenSlice>,
    /// Which endpoint served it, to be [accepted](Source::accept) or [blamed](Source::blame).
    pub endpoint: usize,
}

/// Why nothing can be pulled any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No endpoint is left.
    #[error("every endpoint has served a proof that does not hold: {}", .0.join("; "))]
    NoneHonest(Vec<String>),
    /// Nobody to pull from.
    #[error("expected 1 to {MAX_ENDPOINTS} endpoints, got {0}")]
    Endpoints(usize),
}

/// How the current endpoint is followed.
enum Mode {
    Stream(Box<SliceStream>),
    Poll { since: Instant },
}

struct Current {
    index: usize,
    mode: Mode,
}

/// Pulls slices of one namespace.
pub struct Source {
    endpoints: Vec<Endpoint>,
    namespace: NamespaceId,
    config: SourceConfig,
    health: Health,
    current: Option<Current>,
    status: SourceStatus,
}

impl Source {
    /// Pulls from these endpoints, the first one first.
    pub fn new(
        endpoints: Vec<Endpoint>,
        namespace: NamespaceId,
        config: SourceConfig,
    ) -> Result<Self, SourceError> {
        if endpoints.is_empty() || endpoints.len() > MAX_ENDPOINTS {
            return Err(SourceError::Endpoints(endpoints.len()));
        }
        let status = SourceStatus::new(&endpoints);
        let health = Health::new(endpoints.len());
        Ok(Self { endpoints, namespace, config, health, current: None, status })
    }

    /// What is thought of the endpoints, as of now, for whoever shows it.
    pub fn status(&self) -> SourceStatus {
        self.status.clone()
    }

    /// The slice of a height, however long it takes. Safe to drop while waiting.
    pub async fn pull(&mut self, height: Height) -> Result<Pulled, SourceError> {
        loop {
            let Some(current) = &mut self.current else {
                self.connect(height).await?;
                continue;
            };
            let index = current.index;
            // Whoever pulls may have gone back.
            if matches!(&current.mode, Mode::Stream(stream) if stream.height() != height) {
                self.current = None;
                continue;
            }
            let waited = match &mut current.mode {
                Mode::Stream(stream) => {
                    tokio::time::timeout(self.config.stall_after, stream.next()).await
                }
                Mode::Poll { since } => {
                    if since.elapsed() > RESTREAM_AFTER {
                        self.current = None;
                        continue;
                    }
                    let endpoint = self.endpoints[index].clone();
                    let polled = poll(endpoint, self.namespace, height, self.config.poll_interval);
                    tokio::time::timeout(self.config.stall_after, polled).await
                }
            };
            match waited {
                Ok(Ok(slice)) => return Ok(Pulled { slice, endpoint: index }),
                Ok(Err(error)) => self.fail(index, &error),
                Err(_) => {
                    if let Some(pulled) = self.elsewhere(index, height).await {
                        return Ok(pulled);
                    }
                }
            }
        }
    }

    /// A committee with this hash, from whoever has it.
    pub async fn committee(
        &mut self,
        height: Height,
        hash: B256,
    ) -> Result<Committee, SourceError> {
        loop {
            let index = match self.current.as_ref() {
                Some(current) => current.index,
                None => self.pick().await?,
            };
            match self.endpoints[index].committee(height).await {
                Ok(committee) if committee.hash() == hash => return Ok(committee),
                Ok(committee) => {
                    let actual = committee.hash();
                    self.blame(
                        index,
                        &format!("committee {actual} of height {height}, expected {hash}"),
                    );
                }
                Err(error) => self.fail(index, &error),
            }
        }
    }

    /// What an endpoint served has been verified.
    pub fn accept(&mut self, endpoint: usize, height: Height) {
        self.health.succeed(endpoint);
        self.status.update(endpoint, &self.health, Some(height));
    }

    /// What an endpoint served does not hold: it is not used again.
    pub fn blame(&mut self, endpoint: usize, reason: &str) {
        let url = self.endpoints.get(endpoint).map(|e| e.url().as_str()).unwrap_or_default();
        tracing::error!(endpoint = url, reason, "endpoint serves what does not hold: quarantined");
        self.health.quarantine(endpoint, reason.to_owned());
        self.drop_current(endpoint);
        self.status.update(endpoint, &self.health, None);
    }

    fn fail(&mut self, index: usize, error: &ApiError) {
        let (now, jitter) = (Instant::now(), random::fraction());
        let delay = self.health.fail(index, now, jitter, error.retry_after());
        let endpoint = self.endpoints[index].url().as_str();
        tracing::warn!(endpoint, %error, ?delay, "endpoint failed");
        self.drop_current(index);
        self.status.update(index, &self.health, None);
    }

    fn drop_current(&mut self, index: usize) {
        if self.current.as_ref().is_some_and(|current| current.index == index) {
            self.current = None;
        }
    }

    /// The endpoint to use, once there is one that may be used.
    async fn pick(&mut self) -> Result<usize, SourceError> {
        loop {
            match self.health.pick(Instant::now()) {
                Pick::Now(index) => return Ok(index),
                Pick::Wait(until) => tokio::time::sleep_until(until.into()).await,
                Pick::Never => return Err(SourceError::NoneHonest(self.reasons())),
            }
        }
    }

    fn reasons(&self) -> Vec<String> {
        let reason = |(index, endpoint): (usize, &Endpoint)| {
            format!("{}: {}", endpoint.url(), self.health.of(index).1.unwrap_or_default())
        };
        self.endpoints.iter().enumerate().map(reason).collect()
    }

    /// Follows the best endpoint from a height on.
    async fn connect(&mut self, height: Height) -> Result<(), SourceError> {
        let index = self.pick().await?;
        match self.endpoints[index].stream(self.namespace, height).await {
            Ok(stream) => {
                let endpoint = self.endpoints[index].url().as_str();
                tracing::debug!(endpoint, height, "following");
                self.current = Some(Current { index, mode: Mode::Stream(Box::new(stream)) });
            }
            // It answers, but has no stream for us.
            Err(
                error @ (ApiError::Malformed(_) | ApiError::NotFound(_) | ApiError::Refused { .. }),
            ) => {
                let endpoint = self.endpoints[index].url().as_str();
                tracing::debug!(endpoint, %error, "no stream, asking slice by slice");
                let mode = Mode::Poll { since: Instant::now() };
                self.current = Some(Current { index, mode });
            }
            Err(error) => self.fail(index, &error),
        }
        Ok(())
    }

    /// Nothing came for a while: if another endpoint is ahead and has the slice, goes over to it.
    /// If the current one has it after all, its stream is stuck and is opened anew.
    async fn elsewhere(&mut self, current: usize, height: Height) -> Option<Pulled> {
        let now = Instant::now();
        let namespace = self.namespace;
        let mut asked: FuturesUnordered<_> = (0..self.endpoints.len())
            .filter(|index| *index == current || self.health.is_ready(*index, now))
            .map(|index| {
                let endpoint = self.endpoints[index].clone();
                async move {
                    let status = tokio::time::timeout(STATUS_TIMEOUT, endpoint.status()).await;
                    // The slice of a height is there once the next height is decided.
                    if status.ok()?.ok()?.height <= height {
                        return None;
                    }
                    let slice = endpoint.slice(namespace, height).await.ok()??;
                    Some(Pulled { slice, endpoint: index })
                }
            })
            .collect();
        let mut found = None;
        while let Some(answer) = asked.next().await {
            if let Some(pulled) = answer {
                found = Some(pulled);
                break;
            }
        }
        drop(asked);
        let pulled = found?;
        self.current = None;
        if pulled.endpoint != current {
            let stalled = ApiError::Transport("stalled while another endpoint went on".to_owned());
            self.fail(current, &stalled);
            let mode = Mode::Poll { since: Instant::now() };
            // Stay with the one that is ahead; its stream is tried after this slice.
            self.current = Some(Current { index: pulled.endpoint, mode });
            self.reconnect(pulled.endpoint, height).await;
        }
        Some(pulled)
    }

    /// Opens the stream of an endpoint from the height after this one on; polls it otherwise.
    async fn reconnect(&mut self, index: usize, height: Height) {
        let next = height.saturating_add(1);
        if let Ok(stream) = self.endpoints[index].stream(self.namespace, next).await {
            self.current = Some(Current { index, mode: Mode::Stream(Box::new(stream)) });
        }
    }
}

async fn poll(
    endpoint: Endpoint,
    namespace: NamespaceId,
    height: Height,
    interval: Duration,
) -> Result<Unverified<ProvenSlice>, ApiError> {
    loop {
        if let Some(slice) = endpoint.slice(namespace, height).await? {
            return Ok(slice);
        }
        tokio::time::sleep(interval).await;
    }
}
