//! Starting a node: from what is on disk to a running process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
use crate::engine;
use crate::follower::{self, Follower};
use crate::home::Home;
use crate::keystore;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::p2p::{self, P2p};
use crate::publish::{self, Publisher};
use crate::replay;
use crate::sequencer::{self, Conduct, EvidenceStore, Honest, Sequencer, Tracker};
use crate::store::view::View;
use crate::store::{self, Log, MAX_PAYLOAD, Past};

/// Events from the network that may wait for the sequencer.
const NET_EVENTS: usize = 1024;

/// How long a validator waits, when it starts, to hear how far others are. They say so as soon as
/// they are connected; if too few are there, the network stands still anyway.
const LONELY: Duration = Duration::from_secs(2);

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
    let validates = address.is_some_and(|a| committee.index_of(&a).is_some());
    let past = Past::begin(&home.boots(), &home.wal(), &opened, validates)?;
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
        Some(address) if validates => info!(%address, boot, "running as a validator"),
        Some(address) => warn!(%address, "the key holds no seat; running as a full node"),
        None => info!("running as a full node"),
    }

    let metrics = Metrics::register(SharedRegistry::global());
    metrics.height.set(i64::try_from(tip.header.height).unwrap_or(i64::MAX));
    let chain = Chain::new(genesis.clone(), log, view.clone(), &tip);
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
    let (committee_tx, committee_rx) = watch::channel(Arc::new(tip.committee().clone()));
    let tip_height = Arc::new(AtomicU64::new(tip.header.height));
    let (to_net_events, net_events) = mpsc::channel(NET_EVENTS);
    let seat = key.filter(|_| validates);
    let p2p_config = p2p::Config {
        chain_id: genesis.chain_id,
        genesis: genesis_id,
        key: network_key,
        validator: seat.clone(),
        listen: config.p2p.listen.clone(),
        peers: config.p2p.peers.clone(),
        sync: sync_behaviour(&config),
    };
    let (p2p, network) = P2p::new(
        p2p_config,
        verifier.clone(),
        committee_rx,
        Arc::clone(&tip_height),
        to_net_events.clone(),
    )?;
    listen(&p2p);

    let (inner_stop_tx, inner_stop) = watch::channel(false);
    let publisher = publish::Parts {
        chain: chain.clone(),
        mempool: Arc::clone(&mempool),
        tracker: Arc::clone(&tracker),
        metrics: metrics.clone(),
        p2p: p2p.clone(),
        tip_height,
        committee: committee_tx,
    };
    let publisher = Publisher::new(publisher, &tip);
    let follower = Follower::new(follower::Parts {
        tip,
        limits: follower_limits(&config),
        lonely: LONELY,
        chain: chain.clone(),
        publisher,
        metrics: metrics.clone(),
        p2p: p2p.clone(),
        net_events,
        stop: inner_stop.clone(),
    });
    info!(peer_id = %p2p.peer_id(), "starting the network");
    // From here on: whoever listens to it has to be there by now.
    tokio::spawn(network);
    let (mut working, mut engine_ended) = match seat {
        Some(key) => {
            // It listens from here on, and begins when the sequencer says with which height.
            let (engine_tx, engine_events) = mpsc::unbounded_channel();
            let engine = engine::start(engine::Setup {
                chain_id: genesis.chain_id,
                key: key.clone(),
                wal: &home.wal(),
                sync: value_sync(&config),
                p2p: p2p.clone(),
                verifier: verifier.clone(),
                events: engine_tx,
                registry: SharedRegistry::global(),
            })
            .await?;
            let (timing, timeouts) = (config.timing(), config.timeouts());
            let (mempool, tracker) = (Arc::clone(&mempool), Arc::clone(&tracker));
            let evidence = Arc::clone(&evidence);
            let sequencing = async move {
                let Some(caught_up) = follower.catch_up(key.address()).await? else {
                    return Ok(());
                };
                let follower::Parts { tip, chain, publisher, p2p, net_events, stop, .. } =
                    caught_up;
                let resuming = past.is_none() || past.engine_height == tip.next_height();
                let sequencer = Sequencer::new(sequencer::Parts {
                    tip,
                    key,
                    incarnation: boot,
                    silent_through: past.boots.silent_through,
                    undecided,
                    resuming,
                    timing,
                    timeouts,
                    chain,
                    mempool,
                    tracker,
                    evidence,
                    metrics,
                    p2p,
                    publisher,
                    verifier,
                    consensus: engine.consensus,
                    engine_events,
                    net_events,
                    to_net_events,
                    stop,
                    conduct,
                })?;
                sequencer.run().await
            };
            (tokio::spawn(sequencing), engine.ended)
        }
        None => (tokio::spawn(follower.run()), tokio::spawn(std::future::pending())),
    };

    let engine_failed = Arc::new(AtomicBool::new(false));
    let api = Api::new(api::Parts {
        chain,
        mempool,
        tracker,
        evidence,
        p2p,
        validator: address,
        patience: config.consensus.heartbeat * 4 + Duration::from_secs(2),
        forwards: !validates,
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
        _ = &mut engine_ended => Err(eyre!("the consensus engine stopped; see the log above")),
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

/// How a node without a seat follows.
fn follower_limits(config: &Config) -> follower::Limits {
    follower::Limits {
        batch: config.sync.batch as u64,
        parallel: config.sync.parallel,
        patience: config.sync.timeout,
    }
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
