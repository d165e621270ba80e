//! Submitting transactions and following them.

use std::sync::Arc;

use std::time::Instant;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weft_types::limits::MAX_TRANSACTION_BYTES;
use weft_types::transaction::TransactionError;
use weft_types::{Address, Payload, Receipt, Transaction, TransactionId, Unverified, Verified};

use super::{Api, Problem, blocking};
use crate::store::view::TransactionRecord;
use crate::submit::{self, PASS_AGAIN_AFTER, SubmitError};

/// Largest body: a largest transaction as hex in JSON.
pub const MAX_BODY: usize = 2 * MAX_TRANSACTION_BYTES + 64;

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// It waits at this node.
    Received,
    /// A quorum of observations names its batch: a forecast, no promise.
    Expected,
    /// It has been ordered.
    Final,
}

/// A transaction as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Its borsh, as 0x-hex.
    pub tx: String,
}

/// Where a transaction stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionStatus {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TransactionId,
    /// How far it has come.
    pub status: Tier,
    /// The height that ordered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<String>,
    /// Its place among the transactions of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Receipt>,
    /// The number of the withdrawal that it made, if it made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<String>,
}

impl TransactionStatus {
    fn pending(id: TransactionId, status: Tier) -> Self {
        Self { id, status, height: None, position: None, receipt: None, withdrawal: None }
    }
}

/// Submits a transaction. The same bytes twice give the same answer and do no harm.
#[utoipa::path(post, path = "/v1/transactions",
    request_body(content((Submission = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 202, description = "It waits to be ordered", body = TransactionStatus),
        (status = 400, description = "Malformed", body = Problem),
        (status = 413, description = "Too large", body = Problem),
        (status = 415, description = "Neither JSON nor borsh", body = Problem),
        (status = 422, description = "Refused, and why. A bid also once its bidder's for the same height \
                                      has been replaced 16 times here",
         body = Problem),
        (status = 429, description = "Over-full", body = Problem),
    ))]
pub async fn submit(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = to_bytes(body, MAX_BODY).await.map_err(|error| body_problem(&error))?;
    let encoded = decode_body(&headers, &bytes)?;
    let transaction: Transaction = borsh::from_slice(&encoded)
        .map_err(|e| Problem::malformed("tx", format!("not the borsh of a transaction: {e}")))?;
    let id = accept(&api, transaction, None).await?;
    let status = TransactionStatus::pending(id, Tier::Received);
    Ok((StatusCode::ACCEPTED, Json(status)).into_response())
}

/// Where a transaction stands.
#[utoipa::path(get, path = "/v1/transactions/{id}",
    params(("id" = String, Path, description = "0x-hex")),
    responses(
        (status = 200, body = TransactionStatus),
        (status = 404, description = "Never seen here, or expired", body = Problem),
    ))]
pub async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TransactionStatus>, Problem> {
    let id: TransactionId =
        id.parse().map_err(|_| Problem::malformed("id", "expected 32 bytes as 0x-hex"))?;
    let found = status(&api, id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("this node knows no such transaction"))
}

/// Where a transaction stands, if this node knows it.
pub async fn status(api: &Api, id: TransactionId) -> Result<Option<TransactionStatus>, Problem> {
    // What waits is looked at first: what is ordered stops waiting once it can be read as ordered.
    let tier = match api.tracker.get(&id) {
        Some(true) => Some(Tier::Expected),
        Some(false) => Some(Tier::Received),
        None => api.mempool.contains(&id).then_some(Tier::Received),
    };
    let chain = api.chain.clone();
    Ok(match blocking(move || Ok(chain.transaction(&id)?)).await? {
        Some(record) => Some(ordered(id, record)),
        None => tier.map(|tier| TransactionStatus::pending(id, tier)),
    })
}

fn ordered(id: TransactionId, record: TransactionRecord) -> TransactionStatus {
    TransactionStatus {
        id,
        status: Tier::Final,
        height: Some(record.height.to_string()),
        position: Some(record.position),
        receipt: record.receipt,
        withdrawal: record.withdrawal.map(|index| index.to_string()),
    }
}

fn body_problem(error: &axum::Error) -> Problem {
    let text = error.to_string();
    if text.contains("length limit") {
        Problem::too_large(MAX_BODY)
    } else {
        Problem::malformed("body", format!("the body could not be read: {text}"))
    }
}

fn decode_body(headers: &HeaderMap, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("application/octet-stream") => Ok(bytes.to_vec()),
        Some("application/json") => {
            let submission: Submission = serde_json::from_slice(bytes)
                .map_err(|e| Problem::malformed("body", format!("not {{\"tx\":\"0x..\"}}: {e}")))?;
            let digits = submission
                .tx
                .strip_prefix("0x")
                .ok_or_else(|| Problem::malformed("tx", "expected 0x-hex"))?;
            hex::decode(digits).map_err(|e| Problem::malformed("tx", format!("not hex: {e}")))
        }
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "expected application/octet-stream (borsh) or application/json",
        )
        .field("content-type")),
    }
}

/// Checks a transaction and takes it in, off the async threads: that is computation, and a look at
/// the disk. If somebody is said to have signed it, it has to be so.
pub async fn accept(
    api: &Api,
    transaction: Transaction,
    signer: Option<Address>,
) -> Result<TransactionId, Problem> {
    let permit = Arc::clone(&api.checks).acquire_owned().await;
    let api = api.clone();
    blocking(move || {
        let _permit = permit;
        let transaction = check(api.chain.genesis().chain_id, transaction)?;
        let found = transaction.witness().sender;
        if let Some(signer) = signer.filter(|signer| *signer != found) {
            let what = format!("it is {found}'s for this transaction, not {signer}'s");
            return Err(Problem::refused(what).field("signature"));
        }
        if api.takes_part() { take(&api, transaction) } else { forward(&api, transaction) }
    })
    .await
}

fn check(chain_id: u64, transaction: Transaction) -> Result<Verified<Transaction>, Problem> {
    Unverified::new(transaction).verify(chain_id).map_err(|error| {
        let field = match error {
            TransactionError::ChainId { .. } => "chain_id",
            TransactionError::TooLarge(_) => return Problem::too_large(MAX_TRANSACTION_BYTES),
            TransactionError::Signature(_) => "signature",
            TransactionError::Settings(_) => "payload.settings",
            TransactionError::TooManyLegs(_)
            | TransactionError::UnsortedLegs
            | TransactionError::TooFewLegs(_)
            | TransactionError::HalfBid => "payload.legs",
            TransactionError::TooMuch(_)
            | TransactionError::NoCollateral
            | TransactionError::NothingToWithdraw => "payload.amount",
            _ => "payload.data",
        };
        Problem::refused(error.to_string()).field(field)
    })
}

fn take(api: &Api, transaction: Verified<Transaction>) -> Result<TransactionId, Problem> {
    submit::insert(&api.chain, &api.mempool, &api.tracker, transaction).map_err(|e| problem(&e))
}

/// A full node checks what it can and hands the transaction to a validator, each time to another; a bid
/// it hands to all, since it has to be in a batch by its height.
fn forward(api: &Api, transaction: Verified<Transaction>) -> Result<TransactionId, Problem> {
    let plain = (*transaction).clone();
    let is_bid = matches!(plain.body.payload, Payload::Bid { .. });
    let id = take(api, transaction)?;
    // It is ordered by a validator. This node keeps it until it is, and hands it to another one if that
    // takes long.
    api.mempool.defer([&id], Instant::now() + PASS_AGAIN_AFTER);
    let to = if is_bid { usize::MAX } else { 1 };
    if submit::pass_on(&api.p2p, &[plain], to) {
        Ok(id)
    } else {
        api.mempool.remove([&id]);
        Err(Problem::too_much("no validator is in reach to pass the transaction on to"))
    }
}

fn problem(error: &SubmitError) -> Problem {
    match error {
        SubmitError::Refused(refusal) if refusal.is_temporary() => {
            Problem::too_much(refusal.to_string())
        }
        SubmitError::Refused(refusal) => {
            use crate::mempool::Refusal;
            let field = match refusal {
                Refusal::Expired { .. } | Refusal::TooFarAhead { .. } => "valid_until",
                Refusal::FeeAboveMax { .. } | Refusal::Underpriced(_) => "max_fee",
                Refusal::PastHeight { .. } | Refusal::FarHeight { .. } | Refusal::NoLot { .. } => {
                    "payload.height"
                }
                Refusal::NotAtomic { .. } => "payload.mode",
                Refusal::BelowReserve { .. } | Refusal::Insolvent { .. } => "payload.amount",
                Refusal::Sequence { .. } | Refusal::Replaced { .. } => "payload.sequence",
                _ => "sender",
            };
            Problem::refused(refusal.to_string()).field(field)
        }
        SubmitError::Behind => Problem::too_much(error.to_string()),
        SubmitError::Chain(error) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string())
        }
    }
}
