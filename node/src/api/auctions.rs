//! Auctions: what is for sale next, and what became of bids (protocol section 8).

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use weft_types::{
    DecidedBundle, Height, NamespaceId, OpenedBid, ProvenResult, Results, SoldLot, Wei, json,
};

use super::blocks::parse_height;
use super::namespaces::Proof;
use super::{Api, Problem, answer, heavy};
use crate::chain::Chain;

/// A lot that is for sale.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LotView {
    /// Whose slice's head it is.
    #[schema(value_type = String)]
    pub namespace: NamespaceId,
    /// What a bid has to offer at least, in wei; for several lots their reserves together.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub reserve: Wei,
}

/// What is for sale at the next height.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NextView {
    /// The next height.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: Height,
    /// Its lots, ascending by namespace.
    pub lots: Vec<LotView>,
    /// What a bid costs on top of its bytes, in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub bid_fee: Wei,
}

/// A bid that was opened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BidView {
    /// What became of it, as its leaf says.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub opened: OpenedBid,
    /// The same in words.
    pub reason: String,
}

/// What an auction came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuctionView {
    /// The height.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: Height,
    /// The lots that were sold, ascending by namespace.
    #[schema(value_type = Vec<Object>)]
    pub lots: Vec<SoldLot>,
    /// The bids that were opened, in block order.
    pub bids: Vec<BidView>,
    /// The atomic bundles that were decided, ascending by id.
    #[schema(value_type = Vec<Object>)]
    pub bundles: Vec<DecidedBundle>,
}

/// What became of a bid, in words.
pub fn reason(bid: &OpenedBid) -> String {
    match (bid.other(), bid.number()) {
        (Some(other), _) => format!("{}: {other}", bid.result),
        (_, Some(number)) => format!("{}: {number}", bid.result),
        _ => bid.result.to_string(),
    }
}

/// Results as they are shown.
pub fn view(height: Height, results: Results) -> AuctionView {
    let view = |opened| BidView { opened, reason: reason(&opened) };
    let Results { lots, bids, bundles } = results;
    AuctionView { height, lots, bids: bids.into_iter().map(view).collect(), bundles }
}

/// What is for sale at the next height.
pub fn next_lots(chain: &Chain) -> NextView {
    let head = chain.head();
    let lot = |(namespace, reserve): &(NamespaceId, Wei)| LotView {
        namespace: *namespace,
        reserve: *reserve,
    };
    NextView {
        height: head.header.height + 1,
        lots: head.lots.iter().map(lot).collect(),
        bid_fee: chain.genesis().params.bid_fee,
    }
}

/// What the auction of a height came to, or with `next` what is for sale at the next one.
#[utoipa::path(get, path = "/v1/auctions/{height}",
    params(("height" = String, Path, description = "Decimal, `latest` or `next`"), Proof),
    responses(
        (status = 200, description = "With `proof=1` a list of results, each with its path to the \
                                      results root of the header above; for `next` a `NextView`",
         body = AuctionView),
        (status = 404, description = "Not decided yet", body = Problem),
    ))]
pub async fn show(
    State(api): State<Api>,
    Path(height): Path<String>,
    Query(proof): Query<Proof>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let chain = api.chain.clone();
    let proven = proof.wanted()?;
    let height = match height.as_str() {
        "next" if proven => {
            return Err(Problem::malformed("proof", "what is for sale next has no proof"));
        }
        "next" => {
            return Ok(Json(next_lots(&chain)).into_response());
        }
        "latest" => chain.head().header.height,
        digits => parse_height(digits)?,
    };
    heavy(&api, move || {
        let results = chain
            .results(height)?
            .ok_or_else(|| Problem::not_found(format!("height {height} is not decided yet")))?;
        if proven {
            let all: Vec<ProvenResult> = results.proven();
            return Ok(answer(&headers, &all));
        }
        Ok(Json(view(height, results)).into_response())
    })
    .await
}
