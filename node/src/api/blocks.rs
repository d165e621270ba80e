//! Blocks, accounts, validators, evidence.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use weft_types::{
    Address, Block, Certificate, Committee, Header, Height, Observation, TimeMs, Wei, json,
};

use super::{Api, Problem, answer, blocking, heavy, wants_borsh};
use crate::sequencer::Kept;

/// Which parts of a block to show beside header and certificate.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct Parts {
    /// `batches`, `observations`, `events`, or several with commas.
    pub parts: Option<String>,
}

/// A block.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: weft_types::BlockId,
    /// Its header.
    #[schema(value_type = Object)]
    pub header: Header,
    /// The votes that decided it.
    #[schema(value_type = Object)]
    pub certificate: Certificate,
    /// Its observations, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub observations: Option<Vec<Observation>>,
    /// Its batches, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub batches: Option<Vec<weft_types::Batch>>,
    /// The events of each L1 block that it takes in, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub events: Option<Vec<weft_types::L1Events>>,
}

/// A decided block. With `Accept: application/octet-stream`, its borsh followed by that of its
/// certificate.
#[utoipa::path(get, path = "/v1/blocks/{height}",
    params(("height" = String, Path, description = "A height, or `latest`"), Parts),
    responses((status = 200, body = BlockView), (status = 404, body = Problem)))]
pub async fn show(
    State(api): State<Api>,
    Path(height): Path<String>,
    Query(parts): Query<Parts>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let height = match height.as_str() {
        "latest" => api.chain.head().header.height,
        digits => parse_height(digits)?,
    };
    let wanted = parts.parts.unwrap_or_default();
    for part in wanted.split(',').filter(|part| !part.is_empty()) {
        if !["batches", "observations", "events"].contains(&part) {
            return Err(Problem::malformed("parts", format!("no such part: {part}")));
        }
    }
    let chain = api.chain.clone();
    let found = blocking(move || {
        let block = chain.log().block(height).map_err(crate::chain::ChainError::from)?;
        Ok(block.zip(chain.certificate(height)?))
    });
    let Some((block, certificate)) = found.await? else {
        return Err(Problem::not_found(format!("height {height} is not decided")));
    };
    if wants_borsh(&headers) {
        return Ok(answer::<BorshBlock>(&headers, &BorshBlock { block, certificate }));
    }
    let has = |part| wanted.split(',').any(|p| p == part);
    Ok(Json(BlockView {
        id: block.id(),
        header: block.header,
        certificate,
        observations: has("observations").then(|| block.observations.as_slice().to_vec()),
        batches: has("batches").then_some(block.batches),
        events: has("events").then_some(block.events),
    })
    .into_response())
}

#[derive(borsh::BorshSerialize)]
struct BorshBlock {
    block: Block,
    certificate: Certificate,
}

impl Serialize for BorshBlock {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.certificate.serialize(out)
    }
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    /// Whose.
    #[schema(value_type = String)]
    pub address: Address,
    /// Its balance in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub balance: u128,
    /// What it has put up to back its bids, in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub collateral: u128,
    /// Collateral that is on its way back to the balance, soonest first: at most 32.
    pub releases: Vec<ReleaseView>,
    /// How many there are in all.
    pub release_count: u64,
    /// What they come to in all, in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub releasing: u128,
}

/// Most releases that are shown of an account.
const MAX_RELEASES: usize = 32;

impl AccountView {
    fn new(
        address: Address,
        balance: Wei,
        collateral: Wei,
        releases: &BTreeMap<TimeMs, Wei>,
    ) -> Self {
        let shown = releases.iter().take(MAX_RELEASES);
        Self {
            address,
            balance,
            collateral,
            releases: shown.map(|(at, wei)| ReleaseView { at_ms: *at, amount: *wei }).collect(),
            release_count: releases.len() as u64,
            releasing: releases.values().fold(0, |sum, wei| sum.saturating_add(*wei)),
        }
    }
}

/// Collateral that is on its way back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseView {
    /// Block time from which it is there, in milliseconds.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub at_ms: u64,
    /// How much, in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub amount: u128,
}

/// An account. One that never held anything has a balance of 0.
#[utoipa::path(get, path = "/v1/accounts/{address}",
    params(("address" = String, Path, description = "0x-hex")),
    responses((status = 200, body = AccountView), (status = 400, body = Problem)))]
pub async fn account(
    State(api): State<Api>,
    Path(address): Path<String>,
) -> Result<Json<AccountView>, Problem> {
    let address: Address = address
        .parse()
        .map_err(|_| Problem::malformed("address", "expected 20 bytes as 0x-hex"))?;
    account_view(&api, address).await.map(Json)
}

/// An account as it is shown.
pub async fn account_view(api: &Api, address: Address) -> Result<AccountView, Problem> {
    let chain = api.chain.clone();
    // Whoever has released something makes it take longer for all.
    heavy(api, move || {
        let (balance, collateral) = (chain.balance(&address)?, chain.collateral(&address)?);
        Ok(AccountView::new(address, balance, collateral, &chain.releases(&address)?))
    })
    .await
}

/// At which height.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct AtHeight {
    /// A height; the latest without it.
    pub height: Option<String>,
}

/// A validator.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidatorView {
    /// Its address.
    #[schema(value_type = String)]
    pub address: Address,
    /// Its seats.
    pub seats: u64,
    /// Whether the last blocks embed no observation of it.
    pub absent: bool,
    /// Whether this node is connected to it, or is it.
    pub connected: bool,
}

/// A stake that counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct StakeView {
    /// The validator.
    #[schema(value_type = String)]
    pub validator: Address,
    /// How much, in wei.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub stake: Wei,
}

/// A committee.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidatorsView {
    /// The height it decides.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub height: Height,
    /// The last height that it decides, if that is known: it decides all in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The committee, as it is hashed.
    #[schema(value_type = Object)]
    pub committee: Committee,
    /// Its members as this node sees them now.
    pub validators: Vec<ValidatorView>,
    /// How long an epoch lasts, in milliseconds of block time: they begin at its multiples.
    #[serde(with = "json::decimal")]
    #[schema(value_type = String)]
    pub epoch_ms: u64,
    /// The committee of the epoch after the current one.
    #[schema(value_type = Object)]
    pub next: Committee,
    /// The stakes as of now, of which the committee of the epoch after that is made.
    pub stakes: Vec<StakeView>,
}

/// The committee that decides a height, and those to come.
#[utoipa::path(get, path = "/v1/validators", params(AtHeight),
    responses((status = 200, body = ValidatorsView), (status = 404, body = Problem)))]
pub async fn validators(
    State(api): State<Api>,
    Query(at): Query<AtHeight>,
) -> Result<Json<ValidatorsView>, Problem> {
    let head = api.chain.head();
    let height = match at.height {
        Some(digits) => parse_height(&digits)?,
        None => head.header.height,
    };
    if height > head.header.height + 1 {
        return Err(Problem::not_found(format!("height {height} is too far ahead")));
    }
    let committee = (*api.chain.committee(height)).clone();
    let validators = committee
        .members()
        .iter()
        .map(|member| ValidatorView {
            address: member.address,
            seats: member.seats,
            absent: head.absent.contains(&member.address),
            connected: api.validator == Some(member.address)
                || api.p2p.peers().of_validator(&member.address).is_some(),
        })
        .collect();
    let chain = api.chain.clone();
    let (next, stakes) = blocking(move || Ok((chain.next_committee()?, chain.stakes()?))).await?;
    let stakes = stakes.into_iter().map(|(validator, stake)| StakeView { validator, stake });
    Ok(Json(ValidatorsView {
        height,
        until: api.chain.committee_until(height).map(|height| height.to_string()),
        committee,
        validators,
        epoch_ms: api.chain.genesis().params.epoch_ms,
        next,
        stakes: stakes.collect(),
    }))
}

/// Proof of faults that this node keeps.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidenceView {
    /// Each piece with whom it is about.
    #[schema(value_type = Vec<Object>)]
    pub evidence: Vec<Kept>,
}

/// Proof of faults that this node keeps.
#[utoipa::path(get, path = "/v1/evidence", responses((status = 200, body = EvidenceView)))]
pub async fn evidence(State(api): State<Api>) -> Json<EvidenceView> {
    Json(EvidenceView { evidence: api.evidence.all() })
}

/// A height from a path or query.
pub fn parse_height(digits: &str) -> Result<Height, Problem> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .ok_or_else(|| Problem::malformed("height", "expected a decimal number below 2^64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_shows_its_soonest_releases_and_what_all_come_to() {
        let shown = |count: u64| {
            let releases = (1..=count).map(|i| (1000 * i, Wei::from(i))).collect();
            AccountView::new(Address::ZERO, 5, 6, &releases)
        };
        let view = shown(3);
        assert_eq!((view.releases.len(), view.release_count, view.releasing), (3, 3, 6));
        let view = shown(100);
        let times: Vec<u64> = view.releases.iter().map(|release| release.at_ms).collect();
        assert_eq!(times, (1..=32).map(|i| 1000 * i).collect::<Vec<_>>());
        assert_eq!((view.release_count, view.releasing), (100, 5050));
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!((&json["release_count"], &json["releasing"]), (&100.into(), &"5050".into()));
    }
}
