//! How the node is.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use weft_types::{Address, BlockId, json};

use super::{Api, Problem};

/// What a node says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The software's version.
    pub version: &'static str,
    /// The network's number.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub chain_id: u64,
    /// The genesis block: the network's name.
    #[schema(value_type = String)]
    pub genesis: BlockId,
    /// The last height decided.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: u64,
    /// That block.
    #[schema(value_type = String)]
    pub block: BlockId,
    /// Its time in milliseconds.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub time_ms: u64,
    /// Wei per byte that every transaction pays.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub price_per_byte: u128,
    /// `validator` or `full`.
    pub role: &'static str,
    /// The validator, if it is one.
    #[schema(value_type = Option<String>)]
    pub validator: Option<Address>,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Peers connected.
    pub peers: usize,
    /// Validators among them.
    pub validator_peers: usize,
    /// The highest tip that a peer told when it connected.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub best_peer_height: u64,
    /// Transactions and bytes in the mempool.
    pub mempool_transactions: usize,
    /// See above.
    pub mempool_bytes: usize,
    /// Seconds since the node started.
    pub uptime_seconds: u64,
    /// Whether `/ready` is 200, and why not.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/health", responses((status = 200, description = "It is")))]
pub async fn health() -> Response {
    Json(serde_json::json!({ "healthy": true })).into_response()
}

/// Whether the node does its work: it decides blocks, has a quorum in reach, and can be read from.
#[utoipa::path(get, path = "/ready", responses(
    (status = 200, description = "It does"),
    (status = 503, description = "It does not, and why", body = Problem),
))]
pub async fn ready(State(api): State<Api>) -> Response {
    match api.trouble() {
        None => Json(serde_json::json!({ "ready": true })).into_response(),
        Some(reason) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", reason).into_response()
        }
    }
}

/// Where the node stands.
#[utoipa::path(get, path = "/status", responses((status = 200, body = Status)))]
pub async fn status(State(api): State<Api>) -> Json<Status> {
    let head = api.chain.head();
    let (mempool_bytes, mempool_transactions) = api.mempool.size();
    let (peers, validator_peers) = api.p2p.peers().count();
    let reason = api.trouble();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        chain_id: head.header.chain_id,
        genesis: api.chain.genesis_id(),
        height: head.header.height,
        block: head.id,
        time_ms: head.header.time_ms,
        price_per_byte: head.price,
        role: if api.is_validator() { "validator" } else { "full" },
        validator: api.validator.filter(|_| api.is_validator()),
        peer_id: api.p2p.peer_id().to_string(),
        peers,
        validator_peers,
        best_peer_height: api.p2p.peers().best_tip(),
        mempool_transactions,
        mempool_bytes,
        uptime_seconds: api.started.elapsed().as_secs(),
        ready: reason.is_none(),
        reason,
    })
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Text format")))]
pub async fn metrics() -> Response {
    let mut text = String::new();
    arc_malachitebft_metrics::export(&mut text);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

impl Api {
    /// Whether this node holds a seat.
    pub fn is_validator(&self) -> bool {
        let head = self.chain.head();
        let committee = self.chain.committee(head.header.height + 1);
        self.validator.is_some_and(|address| committee.index_of(&address).is_some())
    }

    /// Why the node does not do its work, if it does not.
    fn trouble(&self) -> Option<String> {
        if self.engine_failed.load(Ordering::Relaxed) {
            return Some("the consensus engine has stopped; see the log".to_owned());
        }
        if self.chain.view().has_failed() {
            return Some("the view cannot be written; restart to rebuild it".to_owned());
        }
        let head = self.chain.head();
        let committee = self.chain.committee(head.header.height + 1);
        let connected = committee.members().iter().filter(|member| {
            self.validator == Some(member.address)
                || self.p2p.peers().of_validator(&member.address).is_some()
        });
        let seats: u64 = connected.map(|member| member.seats).sum();
        let total = committee.seats();
        if self.is_validator() && !committee.is_quorum(seats) {
            return Some(format!("validators with {seats} of {total} seats in reach, no quorum"));
        }
        if !self.is_validator() && self.p2p.peers().count().0 == 0 {
            return Some("no peers".to_owned());
        }
        let silence = since(head.header.time_ms);
        (silence > self.patience).then(|| format!("no block decided for {} s", silence.as_secs()))
    }
}

fn since(time_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(time_ms))
}
