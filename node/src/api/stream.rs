//! Streams: server-sent events, one per height, in order, none skipped.
//!
//! The event's id is the height; a client that reconnects with `Last-Event-ID` goes on after it.
//! The next event is made when the one before has been sent, so a slow reader is paced, not
//! dropped.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::warn;
use utoipa::{IntoParams, ToSchema};
use weft_types::{BlockId, Height, NamespaceId, TransactionId, json};

use super::auctions::{AuctionView, NextView, next_lots, view};
use super::blocks::parse_height;
use super::namespaces::{parse_namespace, read};
use super::server::{Client, OpenStream};
use super::shared::Shared;
use super::{Api, Problem, blocking};
use crate::chain::{Chain, Head};

/// How often a quiet stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// From where.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct From {
    /// The first height; the latest without it.
    pub from: Option<String>,
}

/// A block, as its stream shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockEvent {
    /// Its height.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: Height,
    /// Its id.
    #[schema(value_type = String)]
    pub id: BlockId,
    /// Its time in milliseconds.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub time_ms: u64,
    /// The round it was decided in.
    pub round: u32,
    /// The transactions it orders.
    #[schema(value_type = Vec<String>)]
    pub transactions: Vec<TransactionId>,
}

/// An auction, as its stream shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuctionEvent {
    /// What it came to.
    #[serde(flatten)]
    pub auction: AuctionView,
    /// What is for sale at the next height, if that is still to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextView>,
}

/// Proven slices of a namespace, from the height on that is asked for: what adapters follow.
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/stream",
    params(("namespace" = String, Path, description = "Decimal"), From),
    responses(
        (status = 200, description = "`event: slice`", content_type = "text/event-stream"),
        (status = 429, description = "Too many streams", body = Problem),
    ))]
pub async fn slices(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    Path(namespace): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let what = What::Slices(parse_namespace(&namespace)?);
    follow(&api, &client, what, &from, &headers)
}

/// Blocks as they are decided, with the ids of what they order.
#[utoipa::path(get, path = "/v1/blocks/stream", params(From),
    responses(
        (status = 200, description = "`event: block`", content_type = "text/event-stream"),
        (status = 429, description = "Too many streams", body = Problem),
    ))]
pub async fn blocks(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    follow(&api, &client, What::Blocks, &from, &headers)
}

/// What became of bids, height by height; of the last one also what is for sale next.
#[utoipa::path(get, path = "/v1/auctions/stream", params(From),
    responses(
        (status = 200, description = "`event: auction`", content_type = "text/event-stream"),
        (status = 429, description = "Too many streams", body = Problem),
    ))]
pub async fn auctions(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    follow(&api, &client, What::Auctions, &from, &headers)
}

fn follow(
    api: &Api,
    client: &Client,
    what: What,
    from: &From,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let next = match (last, &from.from) {
        (Some(last), _) => parse_height(last)?.saturating_add(1),
        (None, Some(from)) => parse_height(from)?,
        (None, None) => api.chain.head().header.height,
    };
    let next = match what {
        // The genesis block has slices, and no batches that a stream of blocks could show.
        What::Blocks => next.max(1),
        What::Slices(_) | What::Auctions => next,
    };
    let open = client
        .open_stream()
        .ok_or_else(|| Problem::too_much("too many streams are open from your address"))?;
    let permit = Arc::clone(&api.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::too_much("too many streams are open"))?;
    let (chain, head) = (api.chain.clone(), api.chain.watch());
    let shared = Arc::clone(&api.auctions);
    let follower = Follower { chain, head, shared, what, next, _open: open, _permit: permit };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.event().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

#[derive(Clone, Copy)]
enum What {
    Slices(NamespaceId),
    Blocks,
    Auctions,
}

/// One reader of a stream.
struct Follower {
    chain: Chain,
    head: watch::Receiver<Head>,
    shared: Arc<Shared<Event>>,
    what: What,
    next: Height,
    /// Held for as long as the stream is open, of the client's and of all.
    _open: OpenStream,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next height's event, once there is one. `None` ends the stream.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let last = self.head.borrow_and_update().header.height;
            let found = match self.what {
                What::Slices(namespace) => self.slice(namespace).await,
                What::Blocks => self.block().await,
                What::Auctions if self.next > last => Ok(None),
                What::Auctions => self.auction(last).await.map(Some),
            };
            match found {
                Ok(Some(event)) => {
                    self.next += 1;
                    return Some(event);
                }
                // Fails when the node stops: then there is nobody left to decide anything.
                Ok(None) => self.head.changed().await.ok()?,
                Err(problem) => {
                    warn!(detail = problem.detail, "a stream ends");
                    return None;
                }
            }
        }
    }

    async fn slice(&self, namespace: NamespaceId) -> Result<Option<Event>, Problem> {
        let slice = read(&self.chain, namespace, self.next).await?;
        slice.map(|slice| event("slice", self.next, &slice)).transpose()
    }

    /// That of a height up to the last one, made once for all readers of the last few.
    async fn auction(&self, last: Height) -> Result<Event, Problem> {
        let (chain, height) = (self.chain.clone(), self.next);
        let make = || {
            blocking(move || {
                let undecided =
                    || Problem::not_found(format!("height {height} is not decided yet"));
                let results = chain.results(height)?.ok_or_else(undecided)?;
                let next = (height == last).then(|| next_lots(&chain));
                // By now another height may be next; that comes with its own event.
                let next = next.filter(|next| next.height == height + 1);
                event("auction", height, &AuctionEvent { auction: view(height, results), next })
            })
        };
        self.shared.get(height, last, make).await
    }

    async fn block(&self) -> Result<Option<Event>, Problem> {
        let (chain, height) = (self.chain.clone(), self.next);
        let summary = blocking(move || Ok(chain.summary(height)?)).await?;
        summary
            .map(|summary| {
                let block = BlockEvent {
                    height,
                    id: summary.header.id(),
                    time_ms: summary.header.time_ms,
                    round: summary.round,
                    transactions: summary.transactions,
                };
                event("block", height, &block)
            })
            .transpose()
    }
}

fn event<T: Serialize>(name: &str, height: Height, data: &T) -> Result<Event, Problem> {
    let event = Event::default().event(name).id(height.to_string());
    event.json_data(data).map_err(|e| Problem::malformed("event", e.to_string()))
}
