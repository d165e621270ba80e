//! Bundles: their legs, where those stand, and proof of it (protocol section 9).

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;
use utoipa::ToSchema;
use weft_types::slice::ProvenEntry;
use weft_types::{B256, LegDigest, NamespaceId, Receipt, TransactionId};

use super::namespaces::Proof;
use super::{Api, Problem, heavy};
use crate::chain::BundleRecord;

/// A leg of a bundle.
#[derive(Debug, Serialize, ToSchema)]
pub struct LegView {
    /// The rollup.
    #[schema(value_type = String)]
    pub namespace: NamespaceId,
    /// blake3 of the borsh of its items.
    #[schema(value_type = String)]
    pub digest: B256,
    /// Its entry's place in the slice, from 0, if the bundle was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
    /// The entry and all that proves it, if asked for and the next height is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub proof: Option<ProvenEntry>,
}

/// A bundle, or a bid for several lots, that has been ordered.
#[derive(Debug, Serialize, ToSchema)]
pub struct BundleView {
    /// The transaction.
    #[schema(value_type = String)]
    pub id: TransactionId,
    /// The height that ordered it.
    pub height: String,
    /// What became of the transaction. That a bid was executed says that it was opened: it has won if its
    /// legs have entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Receipt>,
    /// What every leg's entry carries.
    #[schema(value_type = String)]
    pub legs_root: B256,
    /// Its legs, ascending by namespace: all of them have entries, or none.
    pub legs: Vec<LegView>,
}

/// A bundle, or a bid, that has been ordered.
#[utoipa::path(get, path = "/v1/bundles/{id}",
    params(("id" = String, Path, description = "0x-hex"), Proof),
    responses(
        (status = 200, description = "With `proof=1` each leg's entry, proven", body = BundleView),
        (status = 404, description = "Not ordered yet, or no bundle", body = Problem),
    ))]
pub async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(proof): Query<Proof>,
) -> Result<Json<BundleView>, Problem> {
    let id: TransactionId =
        id.parse().map_err(|_| Problem::malformed("id", "expected 32 bytes as 0x-hex"))?;
    let proven = proof.wanted()?;
    let chain = api.chain.clone();
    let found = heavy(&api, move || {
        let Some(bundle) = chain.bundle(&id, proven)? else { return Ok(None) };
        let BundleRecord { record, legs, entries } = bundle;
        let leg = |(leg, (entry, proof)): (&LegDigest, _)| LegView {
            namespace: leg.namespace,
            digest: leg.digest,
            entry,
            proof,
        };
        let shown = legs.0.iter().zip(entries).map(leg).collect();
        Ok(Some(BundleView {
            id,
            height: record.height.to_string(),
            receipt: record.receipt,
            legs_root: legs.root(),
            legs: shown,
        }))
    });
    let missing = || Problem::not_found("this node has ordered no such bundle");
    found.await?.map(Json).ok_or_else(missing)
}
