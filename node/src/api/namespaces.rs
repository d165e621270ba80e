//! Namespaces and their slices.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use weft_types::slice::ProvenSlice;
use weft_types::{Height, NamespaceId, NamespaceSettings, SliceEntry, TransactionId, json};

use super::blocks::parse_height;
use super::{Api, Problem, answer, blocking};
use crate::chain::Chain;

/// A namespace.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamespaceView {
    /// Its id.
    #[schema(value_type = String)]
    pub namespace: NamespaceId,
    /// What its owner decided.
    #[schema(value_type = Object)]
    pub settings: NamespaceSettings,
    /// Wei per byte that a submission pays for the namespace.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub price_per_byte: u128,
    /// Wei per byte that it pays for inclusion on top.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub global_price_per_byte: u128,
    /// The reserve of its next lot, in wei, if it has an auction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve: Option<String>,
    /// All wei that its lots have brought it.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub earned: u128,
    /// The atomic bundle that holds it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub held_by: Option<TransactionId>,
    /// How well its executors keep deadlines, if it takes part in atomic bundles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
}

/// How well the executors of a namespace keep deadlines (protocol section 9).
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// Deadlines missed, less those kept since; three suspend it.
    pub strikes: u8,
    /// How often the length of a suspension has doubled.
    pub level: u8,
    /// Block time until which it takes part in no atomic bundle, in milliseconds.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub suspended_until: u64,
    /// Whether that is later than the last block.
    pub suspended: bool,
}

fn view(api: &Api, id: NamespaceId, namespace: &weft_ledger::Namespace) -> NamespaceView {
    let head = api.chain.head();
    let params = &api.chain.genesis().params;
    let price = weft_ledger::Price {
        floor: params.min_base_fee,
        target: params.namespace_target_bytes_per_second,
    };
    NamespaceView {
        namespace: id,
        settings: namespace.settings.clone(),
        price_per_byte: price.at(&namespace.price, head.header.time_ms),
        global_price_per_byte: head.price,
        reserve: namespace.reserve(head.header.height + 1).map(|reserve| reserve.to_string()),
        earned: namespace.earned,
        held_by: namespace.held_by,
        standing: namespace.settings.atomic.is_some().then(|| StandingView {
            strikes: namespace.standing.strikes,
            level: namespace.standing.level,
            suspended_until: namespace.standing.suspended_until,
            suspended: namespace.standing.is_suspended(head.header.time_ms),
        }),
    }
}

/// Every namespace.
#[utoipa::path(get, path = "/v1/namespaces", responses((status = 200, body = Vec<NamespaceView>)))]
pub async fn list(State(api): State<Api>) -> Result<Json<Vec<NamespaceView>>, Problem> {
    let chain = api.chain.clone();
    let all = blocking(move || Ok(chain.namespaces()?)).await?;
    Ok(Json(all.iter().map(|(id, namespace)| view(&api, *id, namespace)).collect()))
}

/// A namespace.
#[utoipa::path(get, path = "/v1/namespaces/{namespace}",
    params(("namespace" = String, Path, description = "Decimal")),
    responses((status = 200, body = NamespaceView), (status = 404, body = Problem)))]
pub async fn show(
    State(api): State<Api>,
    Path(namespace): Path<String>,
) -> Result<Json<NamespaceView>, Problem> {
    let id = parse_namespace(&namespace)?;
    let chain = api.chain.clone();
    let found = blocking(move || Ok(chain.namespace(id)?)).await?;
    let namespace =
        found.ok_or_else(|| Problem::not_found(format!("namespace {id} is not registered")))?;
    Ok(Json(view(&api, id, &namespace)))
}

/// Whether to prove what is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct Proof {
    /// `1`: with all that proves it.
    pub proof: Option<String>,
}

impl Proof {
    /// Whether it asks for proof.
    pub fn wanted(&self) -> Result<bool, Problem> {
        match self.proof.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Problem::malformed("proof", "expected 0 or 1")),
        }
    }
}

/// The entries of a slice, unproven.
#[derive(Debug, Serialize, borsh::BorshSerialize, ToSchema)]
pub struct SliceView {
    /// Whose.
    #[schema(value_type = String)]
    pub namespace: NamespaceId,
    /// Of which height.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: Height,
    /// Its entries, in order.
    #[schema(value_type = Vec<Object>)]
    pub entries: Vec<SliceEntry>,
}

/// A namespace's slice of a height, once that is decided; with proof once the next one is.
#[utoipa::path(get, path = "/v1/namespaces/{namespace}/slices/{height}",
    params(
        ("namespace" = String, Path, description = "Decimal"),
        ("height" = String, Path, description = "Decimal"),
        Proof,
    ),
    responses(
        (status = 200, description = "With `proof=1` header, child, certificate, proof and \
                                      entries; else the entries", body = SliceView),
        (status = 404, description = "Not decided yet", body = Problem),
    ))]
pub async fn slice(
    State(api): State<Api>,
    Path((namespace, height)): Path<(String, String)>,
    Query(proof): Query<Proof>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, height) = (parse_namespace(&namespace)?, parse_height(&height)?);
    let proven = proof.wanted()?;
    if proven {
        let slice = read(&api.chain, id, height).await?.ok_or_else(|| {
            Problem::not_found(format!("the slice of height {height} cannot be proven yet"))
        })?;
        return Ok(answer(&headers, &slice));
    }
    let chain = api.chain.clone();
    let entries = blocking(move || Ok(chain.slice(id, height)?)).await?;
    let missing = || Problem::not_found(format!("height {height} is not decided yet"));
    let entries = entries.ok_or_else(missing)?;
    Ok(answer(&headers, &SliceView { namespace: id, height, entries }))
}

/// A proven slice, read off the async threads.
pub async fn read(
    chain: &Chain,
    namespace: NamespaceId,
    height: Height,
) -> Result<Option<ProvenSlice>, Problem> {
    let chain = chain.clone();
    blocking(move || Ok(chain.proven_slice(namespace, height)?)).await
}

/// A namespace from a path.
pub fn parse_namespace(digits: &str) -> Result<NamespaceId, Problem> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .ok_or_else(|| Problem::malformed("namespace", "expected a decimal number below 2^64"))
}
