//! What the node sees of Ethereum, and withdrawals to it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use weft_l1::quorum::Status;
use weft_types::{L1Contracts, L1Origin, Wei, json};

use super::blocks::{AtHeight, parse_height};
use super::{Api, Problem, answer, blocking};
use crate::l1::L1;

/// What there is for those who post headers.
#[derive(Debug, Serialize, ToSchema)]
pub struct RelayView {
    /// Wei in the pool.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub pool: Wei,
    /// Wei that a post is paid, as far as the pool goes.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub reward: Wei,
    /// L1 blocks from a post that is paid to the next.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub interval: u64,
    /// Number of the L1 block with the last post that was paid.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub paid_at: u64,
}

/// What the node sees of Ethereum.
#[derive(Debug, Serialize, ToSchema)]
pub struct L1View {
    /// Where the contracts stand; null on a network without Ethereum.
    #[schema(value_type = Option<Object>)]
    pub contracts: Option<L1Contracts>,
    /// Number and hash of the last L1 block that the network has taken in.
    #[schema(value_type = Object)]
    pub origin: L1Origin,
    /// What there is for relayers.
    pub relay: RelayView,
    /// What is wrong, if something is.
    pub alarm: Option<String>,
    /// How this node's providers stand, and what they agree on; null if it has none.
    #[schema(value_type = Option<Object>)]
    pub watched: Option<Status>,
}

/// What this node sees of Ethereum: each provider, how far they are apart, and how far the network
/// has taken L1 in.
#[utoipa::path(get, path = "/v1/l1", responses((status = 200, body = L1View)))]
pub async fn show(State(api): State<Api>) -> Result<Json<L1View>, Problem> {
    let chain = api.chain.clone();
    let relay = blocking(move || Ok(chain.relay()?)).await?;
    let params = api.chain.genesis().params;
    let watched = match &api.l1 {
        L1::Watched(status) => Some((**status.borrow()).clone()),
        L1::Unknown | L1::Blind => None,
    };
    let alarm = match &api.l1 {
        L1::Unknown => None,
        L1::Blind => Some("no provider is configured".to_owned()),
        L1::Watched(status) => status.borrow().alarm.clone(),
    };
    Ok(Json(L1View {
        contracts: api.chain.genesis().l1,
        origin: api.chain.head().header.l1_origin,
        relay: RelayView {
            pool: relay.pool,
            reward: params.relay_reward,
            interval: params.relay_interval,
            paid_at: relay.paid_at,
        },
        alarm,
        watched,
    }))
}

/// A withdrawal and its path to the `withdrawals_root` in the header of a height: what the vault
/// pays it against, once that header is on L1.
#[utoipa::path(get, path = "/v1/withdrawals/{index}",
    params(("index" = String, Path, description = "Decimal, from 0"), AtHeight),
    responses(
        (status = 200, description = "The withdrawal, how many there were, and the path", body = Object),
        (status = 404, description = "Not in that root", body = Problem),
    ))]
pub async fn withdrawal(
    State(api): State<Api>,
    Path(index): Path<String>,
    Query(at): Query<AtHeight>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let index = parse_height(&index)
        .map_err(|_| Problem::malformed("index", "expected a decimal number below 2^64"))?;
    let height = match at.height {
        Some(digits) => parse_height(&digits)?,
        None => api.chain.head().header.height,
    };
    let chain = api.chain.clone();
    let proven = blocking(move || Ok(chain.withdrawal(index, height)?)).await?;
    let proven = proven.ok_or_else(|| {
        Problem::not_found(format!("withdrawal {index} is not in the root of height {height}"))
    })?;
    Ok(answer(&headers, &proven))
}
