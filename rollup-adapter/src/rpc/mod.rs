//! The wallet's JSON-RPC, over HTTP and WebSocket on one port.
//!
//! | file | what |
//! |---|---|
//! | [`wire`], [`error`] | JSON-RPC itself, pure |
//! | [`server`], [`socket`] | the port: HTTP, WebSocket, `/health`, `/ready` |
//! | [`dispatch`] | from a method's name to who answers it |
//! | [`params`] | a method's parameters |
//! | [`reads`] and [`show`] | reading methods of the embedded engine, and the shapes they answer in |
//! | [`logs`] | `eth_getLogs` |
//! | [`proxy`] | reading methods of an external engine |
//! | [`filters`], [`subscribe`] | what wallets poll for, and what is pushed to them |
//! | [`status`] | `weft_status` |
//! | `bundle` | `eth_callBundle` |
//!
//! Sending always goes through the [gateway](crate::gateway), whichever engine executes. What tags
//! mean stands in `spec/evm-rollup.md`: `latest`, `safe` and `pending` are the last block executed,
//! since everything executed is final on Weft; `finalized` is the last one that is settled on L1.

mod bundle;
pub mod dispatch;
pub mod error;
pub mod filters;
pub mod logs;
pub mod metrics;
pub mod params;
pub mod proxy;
pub mod reads;
pub mod server;
pub mod show;
pub mod socket;
pub mod status;
pub mod subscribe;
pub mod wire;

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use weft_l1::quorum::Status;
use weft_types::NamespaceId;

use crate::api::Endpoint;
use crate::evm::chain::Chain;
use crate::follow::Head;
use crate::gateway::Gateway;
use crate::shutdown::Shutdown;
use crate::source::SourceStatus;
use error::RpcError;
use filters::Filters;
use metrics::RpcMetrics;

/// What clients may ask for at most.
#[derive(Clone, Copy, Debug)]
pub struct RpcLimits {
    /// Largest request body, in bytes.
    pub request_bytes: usize,
    /// Most calls in a batch.
    pub batch: usize,
    /// Most blocks that `eth_getLogs` looks through at once.
    pub log_blocks: u64,
    /// Most logs in an answer.
    pub logs: usize,
    /// Most gas that `eth_call` may use.
    pub call_gas: u64,
    /// Most calls that execute at a time.
    pub calls: usize,
    /// Most requests that are worked on at a time.
    pub requests: usize,
    /// Most WebSocket connections.
    pub sockets: usize,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            request_bytes: 2 * 1024 * 1024,
            batch: 100,
            log_blocks: 10_000,
            logs: 10_000,
            call_gas: 50_000_000,
            calls: 4,
            requests: 512,
            sockets: 256,
        }
    }
}

/// What the RPC answers from.
pub struct Setup {
    /// The rollup's chain.
    pub chain: Chain,
    /// The rollup's namespace.
    pub namespace: NamespaceId,
    /// Takes transactions.
    pub gateway: Gateway,
    /// The last height taken in.
    pub head: watch::Receiver<Head>,
    /// What is thought of the endpoints.
    pub source: SourceStatus,
    /// The endpoints, for what is not proven yet.
    pub endpoints: Vec<Endpoint>,
    /// How L1's providers stand, on a network with contracts.
    pub l1: Option<watch::Receiver<Arc<Status>>>,
    /// What clients may ask for.
    pub limits: RpcLimits,
    /// Counts.
    pub metrics: RpcMetrics,
    /// When to finish.
    pub shutdown: Shutdown,
}

/// The RPC. Clones share.
#[derive(Clone)]
pub struct Rpc(Arc<Inner>);

struct Inner {
    setup: Setup,
    filters: Filters,
    calls: Semaphore,
    requests: Semaphore,
    sockets: Arc<Semaphore>,
}

impl Rpc {
    /// An RPC that answers from this.
    pub fn new(setup: Setup) -> Self {
        let limits = setup.limits;
        Self(Arc::new(Inner {
            setup,
            filters: Filters::default(),
            calls: Semaphore::new(limits.calls),
            requests: Semaphore::new(limits.requests),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
        }))
    }

    fn setup(&self) -> &Setup {
        &self.0.setup
    }

    fn busy() -> RpcError {
        RpcError::limit("too many requests at a time, try again")
    }
}
