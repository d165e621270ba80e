//! The loop of a rollup: pull, verify, execute (protocol section 11).
//!
//! Pulling and verifying run ahead of execution by up to [`PIPELINE`] slices. Execution is
//! exactly-once across any crash because nothing here is remembered: where to go on is read from
//! the executor's cursor.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use weft_types::genesis::GenesisError;
use weft_types::{Genesis, Height, NamespaceId, TimeMs};

use crate::executor::{Executor, Progress};
use crate::light::{LightClient, LightError, VerifiedSlice};
use crate::metrics::FollowMetrics;
use crate::shutdown::Shutdown;
use crate::source::{Source, SourceError};

/// Most verified slices that wait for execution.
pub const PIPELINE: usize = 16;
/// How often what was executed is made durable.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// The last height that was taken in: verified, executed, visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The height; `None` before the first one in this process and this home.
    pub height: Option<Height>,
    /// Its block time; zero if not known yet in this process.
    pub time_ms: TimeMs,
}

/// Why following ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError<E: std::error::Error> {
    /// Nobody left to pull from: every endpoint lied.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The chain has gone where this software cannot follow.
    #[error(transparent)]
    Light(#[from] LightError),
    /// The genesis file makes no network.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The engine cannot go on.
    #[error("engine: {0}")]
    Executor(#[source] E),
    /// The pulling task died.
    #[error("pulling ended unexpectedly")]
    Lost,
}

/// Whom to follow, and what to tell about it.
pub struct Follow {
    /// The network.
    pub genesis: Genesis,
    /// The rollup's namespace.
    pub namespace: NamespaceId,
    /// Where slices come from.
    pub source: Source,
    /// Told of every height taken in.
    pub head: watch::Sender<Head>,
    /// Counts.
    pub metrics: FollowMetrics,
    /// When to finish.
    pub shutdown: Shutdown,
}

impl Follow {
    /// Follows until told to finish, or until something is wrong that waiting does not mend.
    pub async fn run<E: Executor>(mut self, executor: &mut E) -> Result<(), FollowError<E::Error>> {
        let mut source = self.source;
        loop {
            let cursor = executor.cursor().await.map_err(FollowError::Executor)?;
            self.head.send_modify(|head| head.height = cursor.map(|cursor| cursor.height));
            let light = LightClient::new(&self.genesis, self.namespace, cursor.as_ref())?;
            tracing::info!(height = light.height(), namespace = %self.namespace, "following");
            let (sender, mut slices) = mpsc::channel(PIPELINE);
            let puller = Puller(tokio::spawn(pull(source, light, sender)));
            let ended =
                execute(executor, &mut slices, &self.head, &self.metrics, &mut self.shutdown)
                    .await?;
            drop(slices);
            let (returned, pulled) = puller.finish().await.ok_or(FollowError::Lost)?;
            match ended {
                Ended::Shutdown => return Ok(()),
                Ended::Rewound => source = returned,
                Ended::NoMoreSlices => {
                    pulled?;
                    return Err(FollowError::Lost);
                }
            }
        }
    }
}

enum Ended {
    Shutdown,
    Rewound,
    NoMoreSlices,
}

/// The pulling task. Aborted if dropped.
struct Puller(JoinHandle<(Source, Result<(), PullError>)>);

impl Puller {
    async fn finish(mut self) -> Option<(Source, Result<(), PullError>)> {
        (&mut self.0).await.ok()
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Light(#[from] LightError),
}

impl<E: std::error::Error> From<PullError> for FollowError<E> {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Source(error) => Self::Source(error),
            PullError::Light(error) => Self::Light(error),
        }
    }
}

/// Pulls and verifies until nobody takes slices any more.
async fn pull(
    mut source: Source,
    mut light: LightClient,
    slices: mpsc::Sender<VerifiedSlice>,
) -> (Source, Result<(), PullError>) {
    let result = async {
        loop {
            let slice = tokio::select! {
                slice = next(&mut source, &mut light) => slice?,
                () = slices.closed() => return Ok(()),
            };
            if slices.send(slice).await.is_err() {
                return Ok(());
            }
        }
    }
    .await;
    (source, result)
}

/// The next slice that holds. Whoever serves one that does not is not asked again.
async fn next(source: &mut Source, light: &mut LightClient) -> Result<VerifiedSlice, PullError> {
    loop {
        let height = light.height();
        let pulled = source.pull(height).await?;
        let verified = async {
            if let Some((at, hash)) = light.needs(&pulled.slice)? {
                let committee = source.committee(at, hash).await?;
                light.learn(at, hash, committee)?;
            }
            Ok::<_, PullError>(light.advance(pulled.slice)?)
        }
        .await;
        match verified {
            Ok(slice) => {
                source.accept(pulled.endpoint, height);
                return Ok(slice);
            }
            Err(PullError::Light(error)) if error.is_endpoint_fault() => {
                source.blame(pulled.endpoint, &format!("slice of height {height}: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
}

async fn execute<E: Executor>(
    executor: &mut E,
    slices: &mut mpsc::Receiver<VerifiedSlice>,
    head: &watch::Sender<Head>,
    metrics: &FollowMetrics,
    shutdown: &mut Shutdown,
) -> Result<Ended, FollowError<E::Error>> {
    let mut flush = tokio::time::interval(FLUSH_INTERVAL);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut dirty = false;
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => {
                executor.flush().await.map_err(FollowError::Executor)?;
                return Ok(Ended::Shutdown);
            }
            _ = flush.tick(), if dirty => {
                executor.flush().await.map_err(FollowError::Executor)?;
                dirty = false;
            }
            slice = slices.recv() => {
                let Some(slice) = slice else {
                    executor.flush().await.map_err(FollowError::Executor)?;
                    return Ok(Ended::NoMoreSlices);
                };
                let started = std::time::Instant::now();
                match executor.execute(&slice).await.map_err(FollowError::Executor)? {
                    Progress::Done => {}
                    Progress::Rewound => return Ok(Ended::Rewound),
                }
                dirty = true;
                metrics.executed(&slice, started.elapsed());
                head.send_replace(Head {
                    height: Some(slice.height()),
                    time_ms: slice.time_ms(),
                });
            }
        }
    }
}
