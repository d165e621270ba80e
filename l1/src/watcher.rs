//! Asks all providers, again and again, and says what enough of them agree on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};
use weft_types::{L1Contracts, L1Origin};

use crate::provider::{Answer, Claim, Finality, ProviderError, ask, check_chain};
use crate::quorum::{Rules, State, Status, Tracker};
use crate::rpc::{Client, MAX_BATCH, RpcError};

/// Blocks that a provider is asked for at a time: the origin and one more at least.
const MOST_BLOCKS: u64 = MAX_BATCH as u64;
const FEWEST_BLOCKS: u64 = 2;

/// What to watch, and how.
pub struct Config {
    /// The contracts.
    pub contracts: L1Contracts,
    /// Which blocks count as final.
    pub finality: Finality,
    /// How agreement is reached.
    pub rules: Rules,
    /// Whom to ask.
    pub providers: Vec<Client>,
}

/// What is seen of L1. Cheap to clone.
#[derive(Clone)]
pub struct Watcher {
    agreed: watch::Receiver<Arc<[Arc<Claim>]>>,
    status: watch::Receiver<Arc<Status>>,
}

struct Shared {
    contracts: L1Contracts,
    finality: Finality,
    tracker: Mutex<Tracker>,
    origin: watch::Receiver<L1Origin>,
    agreed: watch::Sender<Arc<[Arc<Claim>]>>,
    status: watch::Sender<Arc<Status>>,
    epoch: Instant,
}

impl Watcher {
    /// Starts a task for each provider. They end when `origin`'s sender is gone.
    pub fn start(config: Config, origin: watch::Receiver<L1Origin>) -> Self {
        let names = config.providers.iter().map(|client| client.name().to_owned());
        let tracker = Tracker::new(config.rules, names, *origin.borrow());
        let status = tracker.status(Duration::ZERO);
        let (agreed, agreed_rx) = watch::channel(Arc::default());
        let (status, status_rx) = watch::channel(Arc::new(status));
        let shared = Arc::new(Shared {
            contracts: config.contracts,
            finality: config.finality,
            tracker: Mutex::new(tracker),
            origin,
            agreed,
            status,
            epoch: Instant::now(),
        });
        tokio::spawn(tick(Arc::clone(&shared), config.rules.interval));
        for (index, client) in config.providers.into_iter().enumerate() {
            tokio::spawn(poll(Arc::clone(&shared), index, client));
        }
        Self { agreed: agreed_rx, status: status_rx }
    }

    /// The blocks after the origin on which enough providers agree, in order.
    pub fn agreed(&self) -> watch::Receiver<Arc<[Arc<Claim>]>> {
        self.agreed.clone()
    }

    /// How providers stand.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }
}

/// Looks at what has not been heard of for long: what is missing tells nothing.
async fn tick(shared: Arc<Shared>, every: Duration) {
    let mut origin = shared.origin.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => shared.tick(),
            moved = origin.changed() => if moved.is_err() { return },
        }
    }
}

async fn poll(shared: Arc<Shared>, index: usize, client: Client) {
    let mut origin = shared.origin.clone();
    let mut span = MOST_BLOCKS;
    loop {
        let due = shared.lock().due(index).saturating_sub(shared.epoch.elapsed());
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = client.news() => {}
            moved = origin.changed() => {
                if moved.is_err() {
                    return;
                }
                shared.move_origin(*origin.borrow_and_update());
                continue;
            }
        }
        let started = Instant::now();
        let answer = shared.ask(&client, span).await;
        match &answer {
            Ok(_) => span = span.saturating_mul(2).min(MOST_BLOCKS),
            // Blocks may hold so much that an answer about many of them is too large, or takes too
            // long, and nobody is to blame for that.
            Err(ProviderError::Rpc(RpcError::TooLarge(_))) if span > FEWEST_BLOCKS => {
                span = (span / 2).max(FEWEST_BLOCKS);
                continue;
            }
            Err(ProviderError::Rpc(RpcError::Timeout(_))) => {
                span = (span / 2).max(FEWEST_BLOCKS);
            }
            Err(_) => {}
        }
        shared.report(index, answer, started.elapsed());
    }
}

impl Shared {
    async fn ask(&self, client: &Client, span: u64) -> Result<Answer, ProviderError> {
        // Behind one URL there may be another node each time.
        check_chain(client, &self.contracts).await?;
        let wanted = self.lock().wanted();
        let last = wanted.start().saturating_add(span - 1).min(*wanted.end());
        let wanted = *wanted.start()..=last;
        ask(client, &self.contracts, self.finality, wanted).await
    }

    fn report(&self, index: usize, answer: Result<Answer, ProviderError>, took: Duration) {
        let now = self.epoch.elapsed();
        let mut tracker = self.lock();
        match answer {
            Ok(answer) => tracker.answered(index, answer, took, now),
            Err(error) => tracker.failed(index, &error, now),
        }
        self.publish(&tracker, now);
    }

    fn move_origin(&self, origin: L1Origin) {
        let now = self.epoch.elapsed();
        let mut tracker = self.lock();
        tracker.move_origin(origin, now);
        self.publish(&tracker, now);
    }

    fn tick(&self) {
        let now = self.epoch.elapsed();
        let mut tracker = self.lock();
        tracker.tick(now);
        self.publish(&tracker, now);
    }

    fn publish(&self, tracker: &Tracker, now: Duration) {
        let agreed: Arc<[Arc<Claim>]> = tracker.agreed(now).into();
        self.agreed.send_if_modified(|known| {
            let changed = known[..] != agreed[..];
            if changed {
                *known = agreed;
            }
            changed
        });
        let status = tracker.status(now);
        self.status.send_if_modified(|known| {
            let changed = **known != status;
            if changed {
                tell(known, &status);
                *known = Arc::new(status);
            }
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs what an operator has to know.
fn tell(before: &Status, after: &Status) {
    for (was, is) in before.providers.iter().zip(&after.providers) {
        let (name, reason) = (&is.name, is.reason.as_deref().unwrap_or("-"));
        if was.state == is.state {
            continue;
        }
        match is.state {
            State::Trusted => info!(provider = %name, "an L1 provider is trusted again"),
            State::Lagging => warn!(provider = %name, lag = is.lag, "an L1 provider lags"),
            State::Failing => warn!(provider = %name, reason, "an L1 provider does not answer"),
            State::Quarantined => warn!(provider = %name, reason, "an L1 provider is shut out"),
        }
    }
    if before.alarm != after.alarm {
        match &after.alarm {
            Some(alarm) => warn!(%alarm, "L1 is not seen as it should be"),
            None => info!("L1 is seen again"),
        }
    }
}
