//! Starting a node: from what is on disk to a running process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_malachitebft_app::config::ValueSyncConfig;
use arc_malachitebft_metrics::SharedRegistry;
use arc_malachitebft_sync as sync;
use eyre::{WrapErr, eyre};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};
use weft_consensus::Tip;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::Verifier;
use weft_types::SecretKey;

use crate::api::{self, Api};
use crate::chain::Chain;
use crate::config::Config;
use crate::home::Home;
use crate::keystore;
use crate::l1;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::p2p::{self, P2p, Seats};
use crate::publish::{self, Publisher};
use crate::replay;
use crate::sequencer::{Conduct, EvidenceStore, Honest, Tracker};
use crate::store::view::View;
use crate::store::{self, Log, MAX_PAYLOAD, Past};
use crate::work::{self, Work};

/// Events from the network that may wait for the sequencer.
const NET_EVENTS: usize = 1024;

/// What a response to a peer that syncs needs beside a largest block: certificate and framing.
const SYNC_FRAMING: usize = 1024 * 1024;

/// Runs a node until `stop` says otherwise.
pub async fn run(home: Home, config: Config, stop: watch::Receiver<bool>) -> eyre::Result<()> {
    run_as(Box::new(Honest), |_| {}, home, config, stop).await
}

/// Runs a node that conducts itself in some way. `listen` is given the network before it
/// starts.
pub async fn run_as(
    conduct: Box<dyn Conduct>,
    listen: impl FnOnce(&P2p),
    home: Home,
    config: Config,
    mut stop: watch::Receiver<bool>,
) -> eyre::Result<()> {
    let _lock = home.lock()?;
    let genesis = home.genesis()?;
    let committee = genesis.check()?;
    let genesis_id = genesis.header(&committee).id();
    let key = validator_key(&home, &config)?;
    let network_key = home.network_key()?;

    // The truth, then the view of it.
    let (log, opened) = Log::open(&home.log(), genesis_id, config.store.segment_bytes)?;
    let address = key.as_ref().map(SecretKey::address);
    let past = Past::begin(&home.boots(), &home.wal(), &opened, key.is_some())?;
    let stored = View::open(&home.view(), &genesis, config.store.view_cache_bytes)?;
    let (view, view_writer) = (stored.view, stored.writer);
    let tip = {
        let (genesis, log, view) = (genesis.clone(), log.clone(), view.clone());
        let held = stored.held;
        tokio::task::spawn_blocking(move || replay::replay(&genesis, &log, &view, held)).await??
    };
    info!(height = tip.header.height, block = %tip.id, "the chain on disk is executed");
    let undecided = undecided(&log, &opened, &tip)?;

    let boot = past.boots.count;
    match address {
        Some(address) if tip.committee().index_of(&address).is_some() => {
            info!(%address, boot, "running as a validator");
        }
        Some(address) => {
            warn!(%address, boot, "the key holds no seat; running as a full node until it does");
        }
        None => info!("running as a full node"),
    }

    let metrics = Metrics::register(SharedRegistry::global());
    metrics.height.set(i64::try_from(tip.header.height).unwrap_or(i64::MAX));
    let committees = view.committees()?;
    let chain = Chain::new(genesis.clone(), log, view.clone(), committees, &tip)?;
    let mempool = Arc::new(Mempool::new(config.mempool.max_bytes));
    let tracker = Arc::new(Tracker::default());
    let evidence =
        EvidenceStore::open(&home.evidence(), genesis.chain_id, metrics.evidence.clone())?;
    let evidence = Arc::new(evidence);

    // Bound before anything signs: a port in use is found out here.
    let api_listener = TcpListener::bind(config.api.listen)
        .await
        .wrap_err_with(|| format!("cannot listen on {}", config.api.listen))?;

    let verifier = Verifier::new(genesis.chain_id);
    let (seats, seats_rx) = watch::channel(Seats::of(&tip));
    let (to_net_events, net_events) = mpsc::channel(NET_EVENTS);
    let p2p_config = p2p::Config {
        chain_id: genesis.chain_id,
        genesis: genesis_id,
        key: network_key,
        validator: key.clone(),
        listen: config.p2p.listen.clone(),
        announce: config.p2p.announce.clone(),
        peers: config.p2p.peers.clone(),
        sync: sync_behaviour(&config),
    };
    let (p2p, network) = P2p::new(p2p_config, verifier.clone(), seats_rx, to_net_events.clone())?;
    listen(&p2p);

    let (inner_stop_tx, inner_stop) = watch::channel(false);
    let publisher = publish::Parts {
        chain: chain.clone(),
        mempool: Arc::clone(&mempool),
        tracker: Arc::clone(&tracker),
        metrics: metrics.clone(),
        p2p: p2p.clone(),
        seats,
    };
    let publisher = Publisher::new(publisher, &tip);
    let (l1, seen) = l1::start(&config.l1, &chain, metrics.l1.clone())?;
    let takes_part = Arc::new(AtomicBool::new(false));
    let work = Work {
        home,
        config: config.clone(),
        key,
        past,
        undecided,
        chain: chain.clone(),
        mempool: Arc::clone(&mempool),
        tracker: Arc::clone(&tracker),
        evidence: Arc::clone(&evidence),
        metrics,
        p2p: p2p.clone(),
        to_net_events,
        verifier,
        l1: seen,
        takes_part: Arc::clone(&takes_part),
        stop: inner_stop.clone(),
    };
    let work = work.begin(work::State { tip, publisher, net_events, conduct });
    info!(peer_id = %p2p.peer_id(), "starting the network");
    // From here on: whoever listens to it has to be there by now.
    tokio::spawn(network);
    let mut working = tokio::spawn(work);

    let engine_failed = Arc::new(AtomicBool::new(false));
    let api = Api::new(api::Parts {
        chain,
        mempool,
        tracker,
        evidence,
        p2p,
        l1,
        validator: address,
        patience: config.consensus.heartbeat * 4 + Duration::from_secs(2),
        takes_part,
        engine_failed: Arc::clone(&engine_failed),
    });
    let router = api.router();
    if let Some(listen) = config.metrics.listen {
        let listener = TcpListener::bind(listen)
            .await
            .wrap_err_with(|| format!("cannot listen on {listen}"))?;
        tokio::spawn(api::serve(listener, api::metrics_router(), inner_stop.clone()));
    }
    info!(listen = %config.api.listen, "serving the API");
    let serving = tokio::spawn(api::serve(api_listener, router, inner_stop));

    let result = tokio::select! {
        _ = stop.changed() => {
            info!("stopping");
            Ok(())
        }
        ended = &mut working => match ended {
            Ok(result) => result,
            Err(panic) => Err(eyre!("the task that takes in blocks stopped: {panic}")),
        },
    };
    if let Err(error) = &result {
        engine_failed.store(true, Ordering::Relaxed);
        error!(%error, "stopping");
    }
    let _ = inner_stop_tx.send(true);
    let _ = serving.await;
    finish(view, view_writer, working).await;
    result
}

/// Lets what is under way come to an end: the last blocks into the view, the log to the disk.
async fn finish(
    view: View,
    writer: std::thread::JoinHandle<()>,
    working: JoinHandle<eyre::Result<()>>,
) {
    if !working.is_finished() {
        let _ = working.await;
    }
    view.stop();
    let joined = tokio::task::spawn_blocking(move || writer.join());
    if !matches!(joined.await, Ok(Ok(()))) {
        warn!("the view's thread ended badly; the view will be checked at the next start");
    }
}

fn validator_key(home: &Home, config: &Config) -> eyre::Result<Option<SecretKey>> {
    let path = home.resolve(&config.keys.validator);
    if !path.exists() {
        return Ok(None);
    }
    let file = config.keys.password_file.as_ref().map(|file| home.resolve(file));
    let password = keystore::password(file.as_deref(), &path.display().to_string())?;
    keystore::read(&path, &password).map(Some)
}

/// Undecided blocks of the next height: the engine may be locked on one.
fn undecided(log: &Log, opened: &store::Opened, tip: &Tip) -> eyre::Result<Vec<StoredBlock>> {
    let mut blocks = Vec::new();
    for id in &opened.undecided {
        let Some(block) = log.undecided(id)? else { continue };
        if block.header.height == tip.next_height() {
            let block = StoredBlock::check(block, tip.header.chain_id, tip.committee())
                .wrap_err_with(|| format!("undecided block {id} in the log does not check"))?;
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// How the engine catches up.
pub fn value_sync(config: &Config) -> ValueSyncConfig {
    ValueSyncConfig {
        enabled: true,
        // Peers hear of each decision at once.
        status_update_interval: Duration::ZERO,
        request_timeout: config.sync.timeout,
        parallel_requests: config.sync.parallel,
        batch_size: config.sync.batch,
        max_inbound_requests_per_window: 2_000,
        ..ValueSyncConfig::default()
    }
}

/// How the network carries what sync asks for.
pub fn sync_behaviour(config: &Config) -> sync::Config {
    let value_sync = value_sync(config);
    sync::Config::new(true)
        .with_request_timeout(value_sync.request_timeout)
        .with_parallel_requests(value_sync.parallel_requests)
        .with_batch_size(value_sync.batch_size)
        .with_max_response_size(MAX_PAYLOAD + SYNC_FRAMING)
}
