//! A running rollup: engine, follower, gateway, RPC and metrics, put together.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weft_types::genesis::GenesisError;
use weft_types::{B256, NamespaceId, SecretKey};

use crate::api::Endpoint;
use crate::config::{Config, ConfigError, EngineKind};
use crate::evm::chain::Chain;
use crate::evm::embedded::{Embedded, EmbeddedError};
use crate::evm::external::{EngineClient, External, ExternalError, Journal};
use crate::evm::store::{Store, StoreError};
use crate::follow::{Follow, FollowError, Head};
use crate::gateway::metrics::GatewayMetrics;
use crate::gateway::price::{least_price, wall_ms};
use crate::gateway::worker;
use crate::home::{Home, HomeError};
use crate::judge::{Judge, JudgeMetrics, Verdicts};
use crate::l1::L1;
use crate::metrics::{EvmMetrics, FollowMetrics, LookedUp};
use crate::rpc::metrics::RpcMetrics;
use crate::rpc::{self, Rpc};
use crate::serve::serve;
use crate::shutdown::{self, Shutdown};
use crate::source::{Source, SourceError, SourceStatus};

/// How often an executor asks L1's providers at least.
const EXECUTOR_L1_INTERVAL: Duration = Duration::from_secs(1);

/// How long tasks may take to finish once the rollup ends.
const GRACE: Duration = Duration::from_secs(5);

/// Why a rollup does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network's genesis.
    #[error("network's genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// A database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list of endpoints.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The HTTP client.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The list of L1 providers.
    #[error("l1.providers: {0}")]
    Provider(#[from] weft_l1::rpc::UrlError),
    /// A port.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Following ended, with the embedded engine.
    #[error(transparent)]
    Embedded(#[from] FollowError<EmbeddedError>),
    /// Following ended, with an external engine.
    #[error(transparent)]
    External(#[from] FollowError<ExternalError>),
    /// A task of the rollup ended by itself.
    #[error("the {0} ended unexpectedly")]
    Task(&'static str),
}

enum Engine {
    Embedded(Embedded),
    External(External),
}

/// Runs a rollup until told to finish, or until something is wrong that waiting does not mend.
pub async fn run(home: &Home, config: &Config, mut stop: Shutdown) -> Result<(), ServiceError> {
    let genesis = home.weft_genesis(config)?;
    let evm_genesis = home.evm_genesis(config)?;
    let key = home.gateway_key(config)?;
    let executor_key = home.executor_key(config)?;
    let network = genesis.header(&genesis.check()?).id();
    let namespace = NamespaceId(config.weft.namespace);
    let least_price = least_price(&genesis.params);
    config.check_offer(least_price)?;
    let identity = alloy_primitives::keccak256([evm_genesis.fingerprint().0, network.0.0].concat());

    let rpc_listener = listen(config.rpc.listen).await?;
    // Says which port it is, if the system was to choose one.
    let rpc_address = rpc_listener.local_addr().unwrap_or(config.rpc.listen);
    let metrics_listener = match config.metrics.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let http = Endpoint::http_client()?;
    let endpoints: Vec<Endpoint> =
        config.urls()?.into_iter().map(|url| Endpoint::new(url, http.clone())).collect();
    let rpc_endpoints = endpoints.clone();
    let source = Source::new(endpoints.clone(), namespace, config.source())?;
    let mut l1_config = config.l1.clone();
    if executor_key.is_some() {
        // It judges once it has read L1 as far as the header knows of it.
        l1_config.interval = l1_config.interval.min(EXECUTOR_L1_INTERVAL);
    }
    let start_l1 = |contracts| L1::start(&l1_config, contracts, genesis.l1_origin);
    let l1 = genesis.l1.map(start_l1).transpose()?;
    let l1_status = l1.as_ref().map(L1::status);

    let mut registry = Registry::with_prefix("weft_rollup");
    let evm_metrics = EvmMetrics::new(&mut registry);
    let (chain, engine) =
        open_engine(home, config, &evm_genesis, network.0, identity, http, evm_metrics)?;
    let (head_sender, head) = watch::channel(Head::default());
    let (case_sender, case) = watch::channel(None);
    let (trigger, shutdown) = shutdown::channel();
    let follow = Follow {
        genesis: genesis.clone(),
        namespace,
        l1,
        head: head_sender,
        case: case_sender,
        metrics: FollowMetrics::new(&mut registry),
        shutdown: shutdown.clone(),
        source,
    };
    let status = follow.source.status();
    let (gateway, gateway_worker) = worker::open(
        &home.data("gateway.redb")?,
        identity,
        worker::Setup {
            chain: chain.clone(),
            chain_id: genesis.chain_id,
            namespace,
            key: key.clone(),
            endpoints,
            source: status.clone(),
            least_price,
            config: config.gateway(),
            head: head.clone(),
            metrics: GatewayMetrics::new(&mut registry),
            shutdown: shutdown.clone(),
        },
    )?;
    let executor = executor_key.as_ref().map(SecretKey::address);
    let judge = match executor_key {
        Some(key) => {
            let own =
                alloy_primitives::keccak256([identity.0, key.address().into_word().0].concat());
            Some(Judge {
                chain: chain.clone(),
                chain_id: genesis.chain_id,
                params: genesis.params,
                namespace,
                key,
                max_fee: config.executor.max_fee,
                endpoints: rpc_endpoints.clone(),
                source: status.clone(),
                verdicts: Verdicts::open(&home.data("verdicts.redb")?, own)?,
                case,
                metrics: JudgeMetrics::new(&mut registry),
                shutdown: shutdown.clone(),
            })
        }
        None => None,
    };
    let rpc = Rpc::new(rpc::Setup {
        endpoints: rpc_endpoints,
        chain,
        namespace,
        gateway,
        head: head.clone(),
        source: status.clone(),
        l1: l1_status,
        limits: config.rpc_limits(),
        metrics: RpcMetrics::new(&mut registry),
        shutdown: shutdown.clone(),
    });
    let looked_up = LookedUp::new(&mut registry);
    tracing::info!(
        rpc = %rpc_address,
        namespace = %namespace,
        network = %network,
        gateway = %key.address(),
        executor = executor.map(tracing::field::display),
        engine = config.engine.kind,
        "rollup starts"
    );
    let mut rpc_task = tokio::spawn(rpc.serve(rpc_listener));
    let mut gateway_task = tokio::spawn(gateway_worker.run());
    let mut judge_task = tokio::spawn(async move {
        match judge {
            Some(judge) => judge.run().await,
            None => std::future::pending().await,
        }
    });
    let metrics_task = metrics_listener.map(|listener| {
        let shown = Shown { registry: Arc::new(registry), looked_up, status, head };
        tokio::spawn(serve_metrics(listener, shown, shutdown.clone()))
    });
    let mut follow_task = tokio::spawn(async move {
        match engine {
            Engine::Embedded(mut engine) => Ok(follow.run(&mut engine).await?),
            Engine::External(mut engine) => Ok(follow.run(&mut engine).await?),
        }
    });

    let mut followed = None;
    let early: Result<(), ServiceError> = tokio::select! {
        () = stop.requested() => Ok(()),
        ended = &mut follow_task => {
            followed = Some(());
            ended.unwrap_or(Err(ServiceError::Task("follower")))
        }
        _ = &mut rpc_task => Err(ServiceError::Task("RPC server")),
        ended = &mut gateway_task => match ended {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(ServiceError::Task("gateway")),
        },
        ended = &mut judge_task => match ended {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(ServiceError::Task("executor")),
        },
    };
    trigger.shut_down();
    let last = if followed.is_some() {
        Ok(())
    } else {
        // The follower makes everything durable before it ends.
        follow_task.await.unwrap_or(Err(ServiceError::Task("follower")))
    };
    judge_task.abort();
    finish(gateway_task).await;
    finish(rpc_task).await;
    if let Some(task) = metrics_task {
        finish(task).await;
    }
    early.and(last)
}

async fn finish<T>(task: JoinHandle<T>) {
    if task.is_finished() {
        return;
    }
    let abort = task.abort_handle();
    if tokio::time::timeout(GRACE, task).await.is_err() {
        abort.abort();
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, ServiceError> {
    TcpListener::bind(address).await.map_err(|error| ServiceError::Listen { address, error })
}

fn open_engine(
    home: &Home,
    config: &Config,
    genesis: &crate::evm::genesis::EvmGenesis,
    network: B256,
    identity: B256,
    http: reqwest::Client,
    metrics: EvmMetrics,
) -> Result<(Chain, Engine), ServiceError> {
    Ok(match config.engine_kind()? {
        EngineKind::Revm => {
            let store = Store::open(&home.data("state.redb")?, genesis, network)?;
            (Chain::Embedded(store.clone()), Engine::Embedded(Embedded::new(store, metrics)))
        }
        EngineKind::External(url) => {
            let journal = Journal::open(&home.data("journal.redb")?, identity)?;
            let engine = Arc::new(EngineClient::new(url, http));
            let chain = Chain::External {
                engine: engine.clone(),
                journal: journal.clone(),
                spec: genesis.spec,
            };
            (chain, Engine::External(External::new(engine, journal, genesis.spec, metrics)))
        }
    })
}

/// What `/metrics` shows.
#[derive(Clone)]
struct Shown {
    registry: Arc<Registry>,
    looked_up: LookedUp,
    status: SourceStatus,
    head: watch::Receiver<Head>,
}

async fn serve_metrics(listener: TcpListener, shown: Shown, shutdown: Shutdown) {
    let router = axum::Router::new().route("/metrics", get(metrics)).with_state(shown);
    serve(listener, router, shutdown).await;
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let time_ms = shown.head.borrow().time_ms;
    let lag_ms = if time_ms == 0 { 0 } else { wall_ms().saturating_sub(time_ms) };
    shown.looked_up.update(&shown.status.snapshot(), lag_ms);
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &shown.registry);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
