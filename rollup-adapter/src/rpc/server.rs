//! The port: JSON-RPC over HTTP and WebSocket, `/health`, `/ready`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::dispatch::SYNCED_MS;
use super::error::RpcError;
use super::wire::{self, Answer};
use super::{Rpc, socket};
use crate::follow::Held;
use crate::gateway::price::wall_ms;
use crate::serve::serve;

/// How long a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many times the largest request is read at most before a larger one is answered.
const MAX_THROWN_AWAY: usize = 8;

impl Rpc {
    /// Serves until told to finish.
    pub async fn serve(self, listener: TcpListener) {
        let shutdown = self.setup().shutdown.clone();
        serve(listener, self.router(), shutdown).await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(upgrade).post(http).options(preflight))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .fallback(not_found)
            .method_not_allowed_fallback(not_allowed)
            .layer(middleware::map_response(allow_any_origin))
            .with_state(self)
    }
}

fn refuse(status: StatusCode, error: RpcError) -> Response {
    (status, Json(Answer::new(Value::Null, Err(error)))).into_response()
}

async fn http(State(rpc): State<Rpc>, body: Body) -> Response {
    let limits = rpc.setup().limits;
    let body = match receive(body, limits.request_bytes, BODY_TIMEOUT).await {
        Ok(body) => body,
        // The rest of it is not read: the connection ends, and the client should know.
        Err((status, error)) => {
            return ([(header::CONNECTION, "close")], refuse(status, error)).into_response();
        }
    };
    match rpc.answer(wire::read(&body, limits.batch)).await {
        Some(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Reads a request's body. Of one that is too large some more is read and thrown away: a client
/// that is still sending when the connection closes does not see the answer.
async fn receive(
    body: Body,
    limit: usize,
    timeout: Duration,
) -> Result<Vec<u8>, (StatusCode, RpcError)> {
    let mut chunks = body.into_data_stream();
    let (mut body, mut total) = (Vec::new(), 0usize);
    let reading = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            total = total.saturating_add(chunk.len());
            if total <= limit {
                body.extend_from_slice(&chunk);
            } else if total > limit.saturating_mul(MAX_THROWN_AWAY) {
                break;
            }
        }
        Ok::<_, axum::Error>(())
    };
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(())) if total <= limit => Ok(body),
        Ok(Ok(())) => {
            let message = format!("request of more than {limit} bytes");
            Err((StatusCode::PAYLOAD_TOO_LARGE, RpcError::limit(message)))
        }
        Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, RpcError::request(error.to_string()))),
        Err(_) => {
            let message = format!("the request took more than {} s", timeout.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, RpcError::request(message)))
        }
    }
}

async fn upgrade(
    State(rpc): State<Rpc>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let error = RpcError::request("send JSON-RPC by POST, or connect by WebSocket");
        return refuse(StatusCode::BAD_REQUEST, error);
    };
    let Ok(permit) = rpc.0.sockets.clone().try_acquire_owned() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, Rpc::busy());
    };
    let limit = rpc.setup().limits.request_bytes;
    upgrade.max_message_size(limit).max_frame_size(limit).on_upgrade(async move |stream| {
        socket::serve(rpc, stream).await;
        drop(permit);
    })
}

async fn preflight() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

async fn not_found() -> Response {
    refuse(StatusCode::NOT_FOUND, RpcError::request("JSON-RPC is served at /"))
}

async fn not_allowed() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, RpcError::request("send JSON-RPC by POST"))
}

/// Web pages of any origin may ask: nothing here depends on who asks.
async fn allow_any_origin(mut response: Response) -> Response {
    let any = HeaderValue::from_static("*");
    let methods = HeaderValue::from_static("POST, GET, OPTIONS");
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, any),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
    ];
    response.headers_mut().extend(headers);
    response
}

/// The process is up.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The rollup is where Weft is, or why not.
async fn ready(State(rpc): State<Rpc>) -> Response {
    let setup = rpc.setup();
    let head = *setup.head.borrow();
    let lag_ms = wall_ms().saturating_sub(head.time_ms);
    let endpoints = setup.source.snapshot();
    let reason = if head.is_fallback {
        Some("fallback: messages of L1 stand in for slices".to_owned())
    } else if head.time_ms == 0 {
        Some("no slice has been verified since the start".to_owned())
    } else if lag_ms > SYNCED_MS {
        Some(format!("{} s behind", lag_ms / 1000))
    } else {
        None
    };
    let (held, live) = setup.gateway.counts();
    let body = json!({
        "ready": reason.is_none(),
        "reason": reason,
        "namespace": setup.namespace.to_string(),
        "height": head.height.map(|height| height.to_string()),
        "time_ms": head.time_ms.to_string(),
        "settled_below": head.settled_below.to_string(),
        "fallback": head.is_fallback,
        "held": head.held.as_ref().map(Held::shown),
        "block": setup.chain.tip().borrow().number.to_string(),
        "gateway": { "held": held, "live": live },
        "endpoints": endpoints,
    });
    let status = match reason {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use futures_util::stream;

    #[tokio::test]
    async fn takes_no_more_and_waits_no_longer_than_it_says() {
        let second = Duration::from_secs(1);
        assert_eq!(receive(Body::from("1234"), 4, second).await, Ok(b"1234".to_vec()));
        let (status, error) = receive(Body::from("12345"), 4, second).await.unwrap_err();
        assert_eq!((status, error.code), (StatusCode::PAYLOAD_TOO_LARGE, -32005));
        let endless = || stream::repeat_with(|| Ok::<_, axum::Error>(Bytes::from_static(b"12345")));
        let (status, _) = receive(Body::from_stream(endless()), 4, second).await.unwrap_err();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        let stuck = endless().take(1).chain(stream::pending());
        let short = Duration::from_millis(20);
        let (status, _) = receive(Body::from_stream(stuck), 1000, short).await.unwrap_err();
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    }
}
