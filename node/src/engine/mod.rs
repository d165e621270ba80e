//! Malachite, wired at the level of its actors: its consensus, sync and write-ahead log, with a
//! host and a network of our own.

pub mod host;
mod network;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_app::config::ValueSyncConfig;
use arc_malachitebft_app::spawn::{
    spawn_consensus_actor, spawn_node_actor, spawn_sync_actor, spawn_wal_actor,
};
use arc_malachitebft_config::{ConsensusConfig, ValuePayload};
use arc_malachitebft_engine::consensus::ConsensusRef;
use arc_malachitebft_engine::sync::SyncMsg;
use arc_malachitebft_engine::util::events::TxEvent;
use arc_malachitebft_engine::util::output_port::OutputPort;
use arc_malachitebft_metrics::{Metrics, SharedRegistry};
use ractor::ActorCell;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weft_consensus::engine::codec::Codec;
use weft_consensus::engine::{Context, Signer, ValidatorId, Verifier};
use weft_types::SecretKey;

use crate::p2p::P2p;
use host::{EngineEvent, Host};

/// How long an actor may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What the engine is started with.
pub struct Setup<'a> {
    /// The network's number.
    pub chain_id: u64,
    /// The key to vote with.
    pub key: SecretKey,
    /// Its write-ahead log.
    pub wal: &'a Path,
    /// How it syncs.
    pub sync: ValueSyncConfig,
    /// The node's network.
    pub p2p: P2p,
    /// Checks signatures, once.
    pub verifier: Verifier,
    /// To the sequencer.
    pub events: mpsc::UnboundedSender<EngineEvent>,
    /// Where its metrics go.
    pub registry: &'a SharedRegistry,
}

/// The running engine.
pub struct Engine {
    /// To tell it what is valid.
    pub consensus: ConsensusRef<Context>,
    /// Ends when the engine has.
    pub ended: JoinHandle<()>,
    actors: Vec<ActorCell>,
    p2p: P2p,
}

impl Engine {
    /// Stops it: this node has no seat any more. Its network goes on.
    pub async fn stop(self) {
        self.p2p.bus().unsubscribe();
        for actor in self.actors {
            // Its supervisor first, which would take the others' end for a failure.
            let _ = actor.stop_and_wait(None, Some(STOP_PATIENCE)).await;
        }
    }
}

/// Starts the engine. It begins when the network listens.
pub async fn start(setup: Setup<'_>) -> eyre::Result<Engine> {
    let metrics = Metrics::register(setup.registry);
    let (node, ended) = spawn_node_actor(metrics.clone()).await?;
    let p2p = setup.p2p.clone();
    let network = network::Network::spawn(setup.p2p).await?;
    let wal = spawn_wal_actor(&Context, Codec, setup.wal, setup.registry, node.clone()).await?;
    let host = Host::spawn(setup.events).await?;

    let address = setup.key.address();
    let signer = Box::new(Signer::new(setup.chain_id, setup.key));
    let config = ConsensusConfig {
        value_payload: ValuePayload::ProposalAndParts,
        queue_capacity: 16,
        // Votes of a largest committee for a few rounds of the next height.
        queue_per_height_capacity: 4096,
        ..ConsensusConfig::default()
    };
    let to_sync = Arc::new(OutputPort::<SyncMsg<Context>>::with_capacity(1024));
    let consensus = spawn_consensus_actor(
        Context,
        ValidatorId(address),
        config,
        Box::new(setup.verifier),
        Some(signer),
        network.clone(),
        host.clone(),
        wal.clone(),
        Arc::clone(&to_sync),
        metrics,
        TxEvent::new(),
        node.clone(),
    )
    .await?;
    let sync = spawn_sync_actor(
        Context,
        network.clone(),
        host.clone(),
        consensus.clone(),
        Codec,
        &setup.sync,
        setup.registry,
    )
    .await?;
    let mut actors = vec![node.get_cell()];
    if let Some(sync) = &sync {
        to_sync.subscribe(sync.clone(), Some);
        actors.push(sync.get_cell());
    }
    actors.extend([consensus.get_cell(), network.get_cell(), wal.get_cell(), host.get_cell()]);
    for actor in &actors[1..] {
        actor.link(node.get_cell());
    }
    Ok(Engine { consensus, ended, actors, p2p })
}
