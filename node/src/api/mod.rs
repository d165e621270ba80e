//! The HTTP API (`/v1`): JSON by default, borsh for those who ask for it, problem documents for
//! whoever asks wrongly. `spec/openapi.json` describes it.

mod auctions;
mod blocks;
mod bundles;
mod health;
mod l1;
mod namespaces;
mod problem;
mod rpc;
mod server;
mod shared;
mod stream;
mod transactions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use futures::stream::poll_fn;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use utoipa::OpenApi;
use weft_types::Address;

use crate::chain::Chain;
use crate::l1::L1;
use crate::mempool::Mempool;
use crate::p2p::P2p;
use crate::sequencer::{EvidenceStore, Tracker};
pub use problem::Problem;
pub use server::serve;

/// Most streams open at once.
const MAX_STREAMS: usize = 512;

/// Most requests that are worked on at once of those that may take long and much memory.
const MAX_HEAVY: usize = 2;

/// What handlers answer from.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// See [`Api`].
pub struct Inner {
    /// The decided chain.
    pub chain: Chain,
    /// Where transactions wait.
    pub mempool: Arc<Mempool>,
    /// Where they are followed.
    pub tracker: Arc<Tracker>,
    /// Faults.
    pub evidence: Arc<EvidenceStore>,
    /// The network.
    pub p2p: P2p,
    /// How it sees Ethereum.
    pub l1: L1,
    /// This node's validator address, if it has a key.
    pub validator: Option<Address>,
    /// Longest pause between blocks that is no cause for alarm.
    pub patience: std::time::Duration,
    /// When the node started.
    pub started: Instant,
    /// Whether this node takes part, and so seals users' transactions itself; otherwise they are
    /// passed on to validators.
    pub takes_part: Arc<AtomicBool>,
    /// Why the engine has stopped, if it has.
    pub engine_failed: Arc<AtomicBool>,
    streams: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
    auctions: Arc<shared::Shared<axum::response::sse::Event>>,
}

/// What an [`Api`] is made of.
pub struct Parts {
    /// See [`Inner`].
    pub chain: Chain,
    /// See [`Inner`].
    pub mempool: Arc<Mempool>,
    /// See [`Inner`].
    pub tracker: Arc<Tracker>,
    /// See [`Inner`].
    pub evidence: Arc<EvidenceStore>,
    /// See [`Inner`].
    pub p2p: P2p,
    /// See [`Inner`].
    pub l1: L1,
    /// See [`Inner`].
    pub validator: Option<Address>,
    /// See [`Inner`].
    pub patience: std::time::Duration,
    /// See [`Inner`].
    pub takes_part: Arc<AtomicBool>,
    /// See [`Inner`].
    pub engine_failed: Arc<AtomicBool>,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            chain: parts.chain,
            mempool: parts.mempool,
            tracker: parts.tracker,
            evidence: parts.evidence,
            p2p: parts.p2p,
            l1: parts.l1,
            validator: parts.validator,
            patience: parts.patience,
            started: Instant::now(),
            takes_part: parts.takes_part,
            engine_failed: parts.engine_failed,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            checks: Arc::new(Semaphore::new(2)),
            heavy: Arc::new(Semaphore::new(MAX_HEAVY)),
            auctions: Arc::default(),
        }))
    }

    fn takes_part(&self) -> bool {
        self.takes_part.load(Ordering::Relaxed)
    }

    /// Every route.
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .route("/status", get(health::status))
            .route("/metrics", get(health::metrics))
            .route("/openapi.json", get(openapi))
            .route("/v1/transactions", post(transactions::submit))
            .route("/v1/transactions/{id}", get(transactions::show))
            .route("/v1/blocks/stream", get(stream::blocks))
            .route("/v1/blocks/{height}", get(blocks::show))
            .route("/v1/namespaces", get(namespaces::list))
            .route("/v1/namespaces/{namespace}", get(namespaces::show))
            .route("/v1/namespaces/{namespace}/slices/{height}", get(namespaces::slice))
            .route("/v1/namespaces/{namespace}/stream", get(stream::slices))
            .route("/v1/auctions/stream", get(stream::auctions))
            .route("/v1/auctions/{height}", get(auctions::show))
            .route("/v1/bundles/{id}", get(bundles::show))
            .route("/rpc", post(rpc::rpc))
            .route("/v1/accounts/{address}", get(blocks::account))
            .route("/v1/validators", get(blocks::validators))
            .route("/v1/evidence", get(blocks::evidence))
            .route("/v1/l1", get(l1::show))
            .route("/v1/withdrawals/{index}", get(l1::withdrawal))
            .fallback(|| async { Problem::not_found("no such path") })
            .layer(middleware::from_fn(plain_refusals))
            .layer(middleware::from_fn(close_if_unread))
            .with_state(self)
    }
}

/// `/metrics` alone, for a port of its own.
pub fn metrics_router() -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .fallback(|| async { Problem::not_found("only /metrics is served here") })
}

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weft",
        description = "A Weft node's API. Heights, amounts and namespaces are \
         decimal strings, bytes 0x-hex. Errors are problem documents (RFC 9457)."
    ),
    paths(
        health::health,
        health::ready,
        health::status,
        health::metrics,
        transactions::submit,
        transactions::show,
        auctions::show,
        bundles::show,
        rpc::rpc,
        blocks::show,
        blocks::account,
        blocks::validators,
        blocks::evidence,
        l1::show,
        l1::withdrawal,
        namespaces::list,
        namespaces::show,
        namespaces::slice,
        stream::slices,
        stream::blocks,
        stream::auctions,
    ),
    components(schemas(Problem, auctions::NextView))
)]
pub struct Description;

/// What `/openapi.json` says.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

async fn openapi() -> impl IntoResponse {
    axum::Json(description())
}

/// Turns the framework's own refusals into problem documents.
async fn plain_refusals(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/problem"));
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take that method",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        _ => "the request is malformed",
    };
    let mut problem = Problem::new(status, "refused-by-server", detail).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}

/// Says that the connection ends with the answer if the request's body was not read to its end. The server
/// ends it then, and a client that is not told might send its next request there.
async fn close_if_unread(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_read = Arc::new(AtomicBool::new(false));
    let at_end = Arc::clone(&is_read);
    let request = request.map(|body| {
        let end = poll_fn(move |_| {
            at_end.store(true, Ordering::Relaxed);
            Poll::Ready(None)
        });
        Body::from_stream(body.into_data_stream().chain(end))
    });
    let mut response = next.run(request).await;
    if !is_read.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The type a client gets borsh as.
const BORSH: &str = "application/octet-stream";

/// Whether the client asks for borsh.
fn wants_borsh(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(BORSH.as_bytes()))
}

/// JSON, or borsh if the client asks for that.
fn answer<T: Serialize + borsh::BorshSerialize>(headers: &HeaderMap, value: &T) -> Response {
    if wants_borsh(headers) {
        let bytes = borsh::to_vec(value).unwrap_or_default();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(BORSH));
        return ([kind], bytes).into_response();
    }
    axum::Json(value).into_response()
}

/// Like [`blocking`], for what may take long and much memory: only a few at a time.
async fn heavy<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let permit = Arc::clone(&api.heavy).acquire_owned().await;
    blocking(move || {
        let _permit = permit;
        work()
    })
    .await
}

/// Runs something that reads the disk off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let stopped =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the node is stopping");
    tokio::task::spawn_blocking(work).await.map_err(|_| stopped())?
}
