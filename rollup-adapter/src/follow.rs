//! The loop of a rollup: pull, verify, execute (protocol section 11).
//!
//! Pulling and verifying run ahead of execution by up to [`PIPELINE`] slices. What L1 says comes in
//! beside them, and [`Derivation`] tells what of both is due. Execution is exactly-once across any
//! crash because nothing here is remembered: where to go on is read from the executor's cursor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use weft_types::genesis::GenesisError;
use weft_types::{Genesis, Height, NamespaceId, TimeMs, TransactionId};

use crate::cursor::Cursor;
use crate::derivation::{Case, Derivation, DerivationError, Due, Step};
use crate::executor::{Executor, Progress};
use crate::l1::L1;
use crate::light::{LightClient, LightError, VerifiedSlice};
use crate::metrics::FollowMetrics;
use crate::shutdown::Shutdown;
use crate::source::{Source, SourceError};

/// Most verified slices that wait for execution.
pub const PIPELINE: usize = 16;
/// How often what was executed is made durable, and the engine is looked at.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait in the beginning for more of what is final on L1. Outside of a fallback, nothing that L1's
/// providers do stops a rollup: without them it goes on, and takes back later what it has to.
pub const L1_PATIENCE: Duration = Duration::from_secs(10);

/// How far the rollup is: verified, executed, visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last height that was taken in; `None` before the first one in this process and this home.
    pub height: Option<Height>,
    /// Its block time; zero if not known yet in this process.
    pub time_ms: TimeMs,
    /// Slices of lower heights are settled: the headers that prove them are on L1.
    pub settled_below: Height,
    /// Whether messages of L1 stand in for slices.
    pub is_fallback: bool,
    /// What holds the next slice.
    pub held: Option<Held>,
}

/// An atomic bundle that holds a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The bid's transaction.
    pub bundle: TransactionId,
    /// The height of the slice that waits.
    pub height: Height,
    /// Since when, here.
    pub since: Instant,
}

impl Held {
    /// As it is shown: `{bundle, height, forMs}`.
    pub fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "bundle": self.bundle,
            "height": self.height.to_string(),
            "forMs": u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl Head {
    fn at(cursor: &Cursor, time_ms: TimeMs) -> Self {
        Self {
            height: cursor.height(),
            time_ms,
            settled_below: cursor.settled.below,
            is_fallback: cursor.is_fallback(),
            held: None,
        }
    }
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
    /// L1 makes no sense.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
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
    /// What L1 says; `None` on a network without contracts.
    pub l1: Option<L1>,
    /// Told of every height taken in.
    pub head: watch::Sender<Head>,
    /// Told of every bundle that holds the rollup, once everything before it is executed, and when it does no
    /// more.
    pub case: watch::Sender<Option<Arc<Case>>>,
    /// Counts.
    pub metrics: FollowMetrics,
    /// When to finish.
    pub shutdown: Shutdown,
}

impl Follow {
    /// Follows until told to finish, or until something is wrong that waiting does not mend.
    pub async fn run<E: Executor>(self, executor: &mut E) -> Result<(), FollowError<E::Error>> {
        let Self { genesis, namespace, mut source, mut l1, head, case, metrics, mut shutdown } =
            self;
        let start = Cursor::start(&genesis)?;
        loop {
            let cursor = executor.cursor().await.map_err(FollowError::Executor)?;
            let at = cursor.unwrap_or(start);
            let derivation = Derivation::new(namespace, start.header, &at);
            head.send_modify(|head| *head = Head::at(&at, head.time_ms));
            case.send_replace(None);
            metrics.stands(&at);
            metrics.l1(derivation.l1());
            if let Some(l1) = &mut l1 {
                l1.restart(derivation.l1());
            }
            let light = LightClient::new(&genesis, namespace, &at)?;
            tracing::info!(height = light.height(), %namespace, "following");
            let (sender, mut slices) = mpsc::channel(PIPELINE);
            let puller = Puller(tokio::spawn(pull(source, light, sender)));
            let mut execution = Execution {
                executor,
                at,
                derivation,
                knows_l1: l1.is_none(),
                head: &head,
                case: &case,
                held: None,
                metrics: &metrics,
            };
            let ended = execution.run(&mut slices, l1.as_mut(), &mut shutdown).await?;
            drop(slices);
            let (returned, pulled) = puller.finish().await.ok_or(FollowError::Lost)?;
            match ended {
                Ended::Shutdown => return Ok(()),
                Ended::Elsewhere => source = returned,
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
    /// The rollup stands at an earlier place.
    Elsewhere,
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

/// Taking in what is due, from one place on.
struct Execution<'a, E> {
    executor: &'a mut E,
    at: Cursor,
    derivation: Derivation,
    /// Whether all that was final on L1 in the beginning is taken in. Until then no slice is that a
    /// fallback could take back which is there to be read.
    knows_l1: bool,
    head: &'a watch::Sender<Head>,
    case: &'a watch::Sender<Option<Arc<Case>>>,
    /// What holds the next slice.
    held: Option<Held>,
    metrics: &'a FollowMetrics,
}

impl<E: Executor> Execution<'_, E> {
    async fn run(
        &mut self,
        slices: &mut mpsc::Receiver<VerifiedSlice>,
        mut l1: Option<&mut L1>,
        shutdown: &mut Shutdown,
    ) -> Result<Ended, FollowError<E::Error>> {
        let mut flush = tokio::time::interval(FLUSH_INTERVAL);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut dirty = false;
        let mut patience = tokio::time::Instant::now() + L1_PATIENCE;
        loop {
            let due = self.derivation.due(&self.at);
            if !matches!(due, Due::Slice | Due::L1) {
                // Nobody judges on a state that moves.
                self.case.send_if_modified(|case| case.take().is_some());
            }
            let step = match &due {
                Due::Unwind(to) => {
                    self.unwind(*to).await?;
                    return Ok(Ended::Elsewhere);
                }
                Due::L1Again => {
                    tracing::info!("L1 is read again: it holds more than is kept at a time");
                    self.flush().await?;
                    return Ok(Ended::Elsewhere);
                }
                Due::L1Step(step) => Some(step.clone()),
                Due::Take(upto) if self.knows_l1 || self.derivation.is_posted(*upto) => {
                    self.derivation.take(&self.at)
                }
                Due::Slice | Due::Take(_) | Due::L1 => None,
            };
            if let Some(step) = &step {
                match self.take(step).await? {
                    Progress::Done => {}
                    Progress::Rewound => return Ok(Ended::Elsewhere),
                }
                let is_slice = step.to().next > step.from().next;
                let time_ms = is_slice.then(|| step.time_ms());
                self.head.send_modify(|head| {
                    *head = Head::at(&self.at, time_ms.unwrap_or(head.time_ms));
                });
                dirty = true;
            }
            if let Some(settled) = self.derivation.settle(&self.at) {
                self.at.settled = settled;
                self.executor.settle(settled);
                self.metrics.stands(&self.at);
                self.head.send_modify(|head| head.settled_below = settled.below);
                dirty = true;
            }
            self.note_hold();
            let takes_slice = matches!(due, Due::Slice);
            let caught_up = l1.as_ref().map(|l1| l1.caught_up(self.derivation.l1().number));
            let known = async {
                match caught_up {
                    Some(caught_up) => {
                        tokio::select! {
                            () = caught_up => {}
                            () = tokio::time::sleep_until(patience) => {}
                        }
                    }
                    None => std::future::pending().await,
                }
            };
            let next_l1 = async {
                match &mut l1 {
                    Some(l1) => l1.blocks().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => {
                    self.flush().await?;
                    return Ok(Ended::Shutdown);
                }
                _ = flush.tick() => {
                    if dirty {
                        self.flush().await?;
                        dirty = false;
                    }
                    if self.look().await? == Progress::Rewound {
                        return Ok(Ended::Elsewhere);
                    }
                }
                blocks = next_l1 => {
                    for block in blocks.iter() {
                        self.derivation.take_in(block)?;
                    }
                    let l1_origin = self.derivation.l1();
                    patience = tokio::time::Instant::now() + L1_PATIENCE;
                    self.metrics.l1(l1_origin);
                    if let Some(l1) = &l1 {
                        l1.move_to(l1_origin);
                    }
                }
                () = known, if !self.knows_l1 => {
                    tracing::info!(l1 = self.derivation.l1().number, "L1 is read so far");
                    self.knows_l1 = true;
                }
                slice = slices.recv(), if takes_slice => {
                    let Some(slice) = slice else {
                        self.flush().await?;
                        return Ok(Ended::NoMoreSlices);
                    };
                    self.derivation.push(slice);
                }
                () = std::future::ready(()), if step.is_some() => {}
            }
        }
    }

    async fn take(&mut self, step: &Step) -> Result<Progress, FollowError<E::Error>> {
        let started = Instant::now();
        let progress = self.executor.execute(step).await.map_err(FollowError::Executor)?;
        if progress == Progress::Done {
            if let Some(decision) = step.decision() {
                self.metrics.decided(decision);
            }
            if step.begins_fallback() {
                self.metrics.began_fallback();
            }
            self.at = *step.to();
            self.metrics.stands(&self.at);
            self.metrics.executed(step, started.elapsed());
        }
        Ok(progress)
    }

    /// Tells of a bundle that holds the rollup, and when it does no more.
    fn note_hold(&mut self) {
        let held = self.derivation.held(&self.at);
        if self.held.map(|held| held.bundle) != held {
            if let Some(Held { bundle, since, .. }) = self.held.take() {
                let held_for = since.elapsed();
                tracing::info!(%bundle, ?held_for, "the hold is over");
                self.metrics.held(held_for);
            }
            if let Some(bundle) = held {
                let (height, since) = (self.at.next, Instant::now());
                tracing::info!(%bundle, height, "an atomic bundle holds the rollup");
                if self.derivation.case(&self.at).is_none() {
                    let l1 = self.derivation.l1().number;
                    tracing::warn!(
                        l1,
                        "L1 is not read as far as the held slice's header knows of it"
                    );
                }
                self.held = Some(Held { bundle, height, since });
            }
        }
        self.head.send_if_modified(|head| {
            let before = std::mem::replace(&mut head.held, self.held);
            before != self.held
        });
        let case = self.derivation.case(&self.at);
        self.case.send_if_modified(|known| {
            let bundle = |case: &Case| case.bundle;
            let is_new = known.as_deref().map(bundle) != case.as_ref().map(bundle);
            if is_new {
                *known = case.map(Arc::new);
            }
            is_new
        });
    }

    async fn unwind(&mut self, to: Cursor) -> Result<(), FollowError<E::Error>> {
        tracing::warn!(
            from = self.at.next,
            to = to.next,
            "L1 says fallback: slices from here on are taken back until headers are posted again"
        );
        self.metrics.began_fallback();
        self.executor.unwind(to).await.map_err(FollowError::Executor)
    }

    async fn look(&mut self) -> Result<Progress, FollowError<E::Error>> {
        self.executor.look().await.map_err(FollowError::Executor)
    }

    async fn flush(&mut self) -> Result<(), FollowError<E::Error>> {
        self.executor.flush().await.map_err(FollowError::Executor)
    }
}
