//! JSON-RPC 2.0 at `/rpc`: bundles in the shapes that searchers send elsewhere, and `weft_*` for what
//! those have no name for.

mod bundle;
mod error;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weft_types::{Address, Bytes, Height, Transaction, TransactionId};

use self::bundle::Bundle;
use self::error::RpcError;
use super::auctions::{next_lots, reason, view};
use super::transactions::{MAX_BODY, accept, status};
use super::{Api, heavy};

/// Largest request, in bytes: a few of the largest transactions, as hex.
const MAX_REQUEST: usize = 2 * MAX_BODY;

/// Most calls of a batch.
const MAX_CALLS: usize = 16;

/// One call.
#[derive(Debug, Deserialize)]
struct Call {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Value>,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// Answers a call or a batch of them. Errors in them are answers, with status 200.
#[utoipa::path(post, path = "/rpc",
    request_body(content = Object, description = "JSON-RPC 2.0: `eth_sendBundle`, \
        `mev_sendBundle`, `weft_sendTransaction`, `weft_getTransaction`, `weft_getBid`, \
        `weft_getAuction`, `weft_getLots`, `weft_getAccount`"),
    responses((status = 200, description = "JSON-RPC 2.0, errors included", body = Object)))]
pub async fn rpc(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.trim_start().starts_with("application/json")) {
        let error = RpcError::new(-32600, "content-type: expected application/json");
        return axum::Json(failed(Value::Null, &error)).into_response();
    }
    let Ok(bytes) = to_bytes(body, MAX_REQUEST).await else {
        let error = RpcError::new(-32600, format!("a request has at most {MAX_REQUEST} bytes"));
        return axum::Json(failed(Value::Null, &error)).into_response();
    };
    let answer = match serde_json::from_slice::<Value>(&bytes) {
        Err(e) => failed(Value::Null, &RpcError::new(-32700, format!("not JSON: {e}"))),
        Ok(Value::Array(calls)) if calls.is_empty() || calls.len() > MAX_CALLS => {
            let what = format!("a batch has 1 to {MAX_CALLS} calls, not {}", calls.len());
            failed(Value::Null, &RpcError::new(-32600, what))
        }
        Ok(Value::Array(calls)) => {
            let mut answers = Vec::new();
            for call in calls {
                answers.extend(answer(&api, call).await);
            }
            if answers.is_empty() {
                return axum::http::StatusCode::NO_CONTENT.into_response();
            }
            Value::Array(answers)
        }
        Ok(call) => match answer(&api, call).await {
            Some(answer) => answer,
            None => return axum::http::StatusCode::NO_CONTENT.into_response(),
        },
    };
    axum::Json(answer).into_response()
}

/// Answers a call, unless it is a notification.
async fn answer(api: &Api, call: Value) -> Option<Value> {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let call: Call = match serde_json::from_value::<Call>(call) {
        Ok(call) if call.jsonrpc == "2.0" => call,
        Ok(_) => return Some(failed(id, &RpcError::new(-32600, "jsonrpc: expected \"2.0\""))),
        Err(e) => return Some(failed(id, &RpcError::new(-32600, format!("not a call: {e}")))),
    };
    let result = run(api, &call.method, &call.params).await;
    let id = call.id?;
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => failed(id, &error),
    })
}

fn failed(id: Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

async fn run(api: &Api, method: &str, params: &[Value]) -> Result<Value, RpcError> {
    let chain_id = api.chain.genesis().chain_id;
    match method {
        "eth_sendBundle" => send(api, bundle::eth(chain_id, first(params)?)?).await,
        "mev_sendBundle" => send(api, bundle::mev(chain_id, first(params)?)?).await,
        "weft_sendTransaction" => {
            let encoded: Bytes = param(params)?;
            let transaction: Transaction = borsh::from_slice(&encoded)
                .map_err(|e| RpcError::params("0", format!("not the borsh of one: {e}")))?;
            Ok(json!(accept(api, transaction, None).await?))
        }
        "weft_getTransaction" => {
            let found = status(api, param(params)?).await?;
            serde_json::to_value(found).map_err(|e| RpcError::new(-32603, e.to_string()))
        }
        "weft_getBid" => bid(api, param(params)?).await,
        "weft_getAuction" => {
            let digits: String = param(params)?;
            let height: Height =
                digits.parse().map_err(|_| RpcError::params("0", "expected decimal digits"))?;
            let chain = api.chain.clone();
            heavy(api, move || Ok(json!(chain.results(height)?.map(|found| view(height, found)))))
                .await
                .map_err(RpcError::from)
        }
        "weft_getLots" => Ok(json!(next_lots(&api.chain))),
        "weft_getAccount" => {
            let address: Address = param(params)?;
            Ok(json!(super::blocks::account_view(api, address).await?))
        }
        _ => Err(RpcError::new(-32601, format!("there is no method {method}"))),
    }
}

/// Takes a bundle in whose signature is the bidder's.
async fn send(api: &Api, Bundle { transaction, bidder }: Bundle) -> Result<Value, RpcError> {
    // Whoever signs something else than the bid that this is, is somebody else by the signature.
    let id = accept(api, transaction, Some(bidder)).await?;
    Ok(json!({ "bundleHash": id }))
}

/// What became of a bid, with proof; `null` if it has not been opened.
async fn bid(api: &Api, id: TransactionId) -> Result<Value, RpcError> {
    let chain = api.chain.clone();
    let found = heavy(api, move || {
        let Some(record) = chain.transaction(&id)? else { return Ok(None) };
        let Some(results) = chain.results(record.height)? else { return Ok(None) };
        let Some(at) = results.bids.iter().position(|bid| bid.bid == id) else { return Ok(None) };
        let proof = results.proven_bid(at);
        Ok(results.bids.get(at).copied().zip(proof).map(|found| (record.height, found)))
    });
    Ok(match found.await? {
        None => Value::Null,
        Some((height, (opened, proof))) => json!({
            "height": height.to_string(), "bid": opened, "reason": reason(&opened), "proof": proof,
        }),
    })
}

fn first(params: &[Value]) -> Result<&Value, RpcError> {
    match params {
        [only] => Ok(only),
        _ => Err(RpcError::params("params", format!("expected 1, not {}", params.len()))),
    }
}

fn param<T: DeserializeOwned>(params: &[Value]) -> Result<T, RpcError> {
    serde_json::from_value(first(params)?.clone()).map_err(|e| RpcError::params("0", e))
}
