//! What this node sees of Ethereum (protocol section 10): the agreed blocks go to the sequencer,
//! how providers stand to metrics and the API. It is of no concern to anything else.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;
use weft_consensus::driver::SeenL1Block;
use weft_l1::config::L1Config;
use weft_l1::contracts::network_events;
use weft_l1::provider::Claim;
use weft_l1::quorum::Status;
use weft_l1::watcher::Watcher;
use weft_types::limits::MAX_L1_BLOCKS;
use weft_types::{L1Contracts, L1Origin, Unverified};

use crate::chain::{Chain, Head};
use crate::metrics::L1Metrics;

/// Blocks after the origin that providers are asked for: for a few observations, so that a long way
/// is caught up with.
const WINDOW: u64 = 4 * MAX_L1_BLOCKS as u64;

/// The blocks after the origin that this node's providers agree on, as they come.
pub type Seen = watch::Receiver<Arc<[SeenL1Block]>>;

/// How this node sees Ethereum. Cheap to clone.
#[derive(Clone)]
pub enum L1 {
    /// The network has no contracts.
    Unknown,
    /// No provider is configured.
    Blind,
    /// Providers are asked.
    Watched(watch::Receiver<Arc<Status>>),
}

/// Starts to watch Ethereum.
pub fn start(config: &L1Config, chain: &Chain, metrics: L1Metrics) -> eyre::Result<(L1, Seen)> {
    let (seen, seen_rx) = watch::channel(Arc::default());
    let Some(contracts) = chain.genesis().l1 else { return Ok((L1::Unknown, seen_rx)) };
    if config.providers.is_empty() {
        metrics.show_blind();
        return Ok((L1::Blind, seen_rx));
    }
    let watcher = watch_l1(config, contracts, chain)?;
    let status = watcher.status();
    tokio::spawn(translate(watcher.agreed(), seen));
    tokio::spawn(measure(status.clone(), metrics));
    Ok((L1::Watched(status), seen_rx))
}

fn watch_l1(config: &L1Config, contracts: L1Contracts, chain: &Chain) -> eyre::Result<Watcher> {
    let head = chain.watch();
    let (origin, origin_rx) = watch::channel(head.borrow().header.l1_origin);
    tokio::spawn(follow_origin(head, origin));
    Ok(config.watch(contracts, WINDOW, origin_rx)?)
}

async fn follow_origin(mut head: watch::Receiver<Head>, origin: watch::Sender<L1Origin>) {
    while head.changed().await.is_ok() {
        let now = head.borrow_and_update().header.l1_origin;
        origin.send_if_modified(|known| std::mem::replace(known, now) != now);
    }
}

async fn translate(
    mut agreed: watch::Receiver<Arc<[Arc<Claim>]>>,
    seen: watch::Sender<Arc<[SeenL1Block]>>,
) {
    while agreed.changed().await.is_ok() {
        let claims = Arc::clone(&agreed.borrow_and_update());
        let _ = seen.send(claims.iter().map_while(|claim| as_seen(claim)).collect());
    }
}

fn as_seen(claim: &Claim) -> Option<SeenL1Block> {
    let &Claim { number, hash, parent, .. } = claim;
    match Unverified::new(network_events(&claim.events)).verify(()) {
        Ok(events) => Some(SeenL1Block { number, hash, parent, events: Arc::new(events) }),
        Err(error) => {
            // The contracts allow no such block. To take it in would be to stop for good.
            warn!(number, %error, "an L1 block holds more than there can be; it is not observed");
            None
        }
    }
}

async fn measure(mut status: watch::Receiver<Arc<Status>>, metrics: L1Metrics) {
    loop {
        metrics.show(&status.borrow_and_update());
        if status.changed().await.is_err() {
            return;
        }
    }
}
