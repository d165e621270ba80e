//! Ethereum as a rollup sees it: the agreed blocks, in order, from a place on.

use std::sync::Arc;

use tokio::sync::watch;
use weft_l1::config::L1Config;
use weft_l1::provider::Claim;
use weft_l1::quorum::{ProviderStatus, State, Status};
use weft_l1::rpc::UrlError;
use weft_types::{L1Contracts, L1Origin};

/// Blocks that providers are asked for at a time.
const WINDOW: u64 = 64;

/// What the providers of a rollup agree on.
pub struct L1 {
    origin: watch::Sender<L1Origin>,
    agreed: watch::Receiver<Arc<[Arc<Claim>]>>,
    status: watch::Receiver<Arc<Status>>,
    quorum: usize,
}

impl L1 {
    /// Starts to ask the providers configured, from an L1 block on.
    pub fn start(
        config: &L1Config,
        contracts: L1Contracts,
        origin: L1Origin,
    ) -> Result<Self, UrlError> {
        let (origin, origin_rx) = watch::channel(origin);
        let watcher = config.watch(contracts, WINDOW, origin_rx)?;
        let (agreed, status) = (watcher.agreed(), watcher.status());
        Ok(Self { origin, agreed, status, quorum: config.quorum() })
    }

    /// How providers stand.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Waits until what enough providers say is final is taken in, up to this block.
    pub fn caught_up(&self, taken_in: u64) -> impl Future<Output = ()> + use<> {
        let (mut status, quorum) = (self.status.clone(), self.quorum);
        async move {
            let reached = |last: u64| last <= taken_in;
            // The tasks that ask end only when nobody listens any more.
            if status.wait_for(|s| last_final(s, quorum).is_some_and(reached)).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Begins anew after this block, wherever it was before.
    pub fn restart(&mut self, origin: L1Origin) {
        self.move_to(origin);
        // What is agreed on may be the same as before.
        self.agreed.mark_changed();
    }

    /// Blocks up to this one are taken in.
    pub fn move_to(&self, origin: L1Origin) {
        self.origin.send_if_modified(|known| std::mem::replace(known, origin) != origin);
    }

    /// Blocks that the providers agree on, once there are some that were not told before. The first
    /// may have been. Safe to drop while waiting.
    pub async fn blocks(&mut self) -> Arc<[Arc<Claim>]> {
        if self.agreed.changed().await.is_err() {
            // The tasks that ask have ended, which they do when this is dropped.
            std::future::pending::<()>().await;
        }
        self.agreed.borrow_and_update().clone()
    }
}

/// The last block that as many providers as are needed say is final; `None` before as many answer.
fn last_final(status: &Status, quorum: usize) -> Option<u64> {
    let useful = |p: &&ProviderStatus| {
        matches!(p.state, State::Trusted | State::Lagging) && p.score.answers > 0
    };
    let mut finals: Vec<u64> =
        status.providers.iter().filter(useful).map(|provider| provider.finalized).collect();
    finals.sort_unstable();
    finals.len().checked_sub(quorum).and_then(|at| finals.get(at)).copied()
}
