//! Bundles: their legs, where those stand, and proof of it (protocol section 9).

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;
use utoipa::ToSchema;
use weft_ledger::undecided::{PendingLeg, Undecided, Verdict};
use weft_types::slice::ProvenEntry;
use weft_types::{
    Address, B256, BidMode, DecidedBundle, Decision, Height, LegDigest, NamespaceId, ProvenResult,
    Receipt, TransactionId, Wei, json,
};

use super::namespaces::Proof;
use super::{Api, Problem, heavy};
use crate::chain::{BundleRecord, Execution};

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

/// What the executors of a leg have said so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerdictView {
    /// The rollup.
    #[schema(value_type = String)]
    pub namespace: NamespaceId,
    /// Whose verdict it is.
    #[schema(value_type = String)]
    pub executor: Address,
    /// `does`, `fails`, or `void` for one who has said two different things.
    pub verdict: &'static str,
    /// What the leg will do, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub effects: Option<B256>,
}

/// Whether the legs of an atomic bid that has won are executed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ExecutionView {
    /// It holds its namespaces.
    Undecided {
        /// Block time from which it is aborted, once three blocks with observations have followed it; in
        /// milliseconds.
        #[serde(with = "json::decimal")]
        #[schema(value_type = String)]
        deadline_ms: u64,
        /// The height at which it is aborted in any case.
        #[serde(with = "json::decimal")]
        #[schema(value_type = String)]
        deadline_height: Height,
        /// What of the bidder's collateral is set aside for it, in wei.
        #[serde(with = "json::decimal")]
        #[schema(value_type = String)]
        locked: Wei,
        /// What executors have said, ascending by namespace and executor.
        verdicts: Vec<VerdictView>,
    },
    /// All legs are executed, or none.
    Decided {
        /// `committed`, `failed` or `timed_out`.
        #[schema(value_type = String)]
        decision: Decision,
        /// The height that decided it.
        #[serde(with = "json::decimal")]
        #[schema(value_type = String)]
        height: Height,
        /// What it pays, in wei.
        #[serde(with = "json::decimal")]
        #[schema(value_type = String)]
        paid: Wei,
        /// The decision with its path to the results root of the header above, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        proof: Option<ProvenResult>,
    },
}

impl From<Execution> for ExecutionView {
    fn from(execution: Execution) -> Self {
        match execution {
            Execution::Undecided(Undecided { deadline, locked, legs, .. }) => Self::Undecided {
                deadline_ms: deadline.time_ms,
                deadline_height: deadline.height,
                locked,
                verdicts: legs.iter().flat_map(verdicts).collect(),
            },
            Execution::Decided { height, decided, proof } => {
                let DecidedBundle { decision, paid, .. } = decided;
                Self::Decided { decision, height, paid, proof }
            }
        }
    }
}

fn verdicts(leg: &PendingLeg) -> impl Iterator<Item = VerdictView> {
    leg.verdicts.iter().map(|(executor, said)| {
        let (verdict, effects) = match said {
            Verdict::Does(effects) => ("does", Some(*effects)),
            Verdict::Fails => ("fails", None),
            Verdict::Void => ("void", None),
        };
        VerdictView { namespace: leg.namespace, executor: *executor, verdict, effects }
    })
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
    /// What ties its legs, if it is a bid: `inclusion` or `atomic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mode: Option<BidMode>,
    /// Whether its legs are executed, if it is an atomic bid that has won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionView>,
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
        let BundleRecord { record, legs, entries, mode, execution } = bundle;
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
            mode,
            execution: execution.map(ExecutionView::from),
            legs_root: legs.root(),
            legs: shown,
        }))
    });
    let missing = || Problem::not_found("this node has ordered no such bundle");
    found.await?.map(Json).ok_or_else(missing)
}
