//! What one provider says of finalized blocks.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes};
use serde::Deserialize;
use serde_json::json;
use weft_types::hash::blake3;
use weft_types::{L1Contracts, L1Origin};

use crate::contracts::{ContractEvent, LogError, RawLog, addresses, event_of};
use crate::rpc::{Call, Client, MAX_BATCH, RpcError, decode, quantity};

/// Most logs of the contracts in one block.
const MAX_LOGS: usize = 50_000;

/// Which blocks count as final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Those that Ethereum has finalized.
    Finalized,
    /// Those that it has justified.
    Safe,
    /// Those with so many blocks above them.
    Depth(u64),
}

/// What a provider says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// What the contracts logged in it.
    pub events: Vec<ContractEvent>,
}

impl Claim {
    /// What two providers have to agree on: everything.
    pub fn digest(&self) -> B256 {
        let head = (self.number, self.timestamp, &self.events);
        let content = borsh::to_vec(&head).unwrap_or_default();
        blake3(&[self.hash.as_slice(), self.parent.as_slice(), &content])
    }
}

/// Why a provider's answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// Another chain.
    #[error("is on chain {actual}, expected {expected}")]
    Chain {
        /// The one that the contracts stand on.
        expected: u64,
        /// The one it says it is on.
        actual: u64,
    },
    /// A block other than the one asked for.
    #[error("gave block {actual} for block {expected}")]
    OtherBlock {
        /// Asked for.
        expected: u64,
        /// Given.
        actual: u64,
    },
    /// It does not have a block that it says is final.
    #[error("does not have block {0}, which it says is final")]
    NoBlock(u64),
    /// Logs that are none of the block's, or out of order.
    #[error("gave logs of another block, or out of order")]
    Logs,
    /// A log that makes no sense.
    #[error("gave {0}")]
    Log(#[from] LogError),
}

impl ProviderError {
    /// Whether the provider said something that cannot be so, rather than nothing.
    pub fn is_garbage(&self) -> bool {
        !matches!(
            self,
            Self::Rpc(
                RpcError::Transport(_)
                    | RpcError::Timeout(_)
                    | RpcError::RateLimited(_)
                    | RpcError::Refused { .. }
            )
        )
    }
}

/// What a provider answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the last final block.
    pub finalized: u64,
    /// What it says of those asked for that are final, ascending.
    pub claims: Vec<Claim>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    #[serde(deserialize_with = "quantity")]
    number: u64,
    hash: B256,
    parent_hash: B256,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_hash: B256,
    #[serde(deserialize_with = "quantity")]
    log_index: u64,
    #[serde(default)]
    removed: bool,
}

/// Checks that a provider is on the chain that the contracts stand on.
pub async fn check_chain(client: &Client, contracts: &L1Contracts) -> Result<(), ProviderError> {
    let actual = client.number("eth_chainId").await?;
    let expected = contracts.chain_id;
    if actual == expected { Ok(()) } else { Err(ProviderError::Chain { expected, actual }) }
}

/// Asks a provider how far it is, and for those of the blocks that are final by its word.
pub async fn ask(
    client: &Client,
    contracts: &L1Contracts,
    finality: Finality,
    wanted: RangeInclusive<u64>,
) -> Result<Answer, ProviderError> {
    let finalized = last_final(client, finality).await?;
    let final_by_now = wanted.take_while(|number| *number <= finalized);
    let wanted: Vec<u64> = final_by_now.take(MAX_BATCH).collect();
    if wanted.is_empty() {
        return Ok(Answer { finalized, claims: Vec::new() });
    }
    let calls: Vec<Call> = wanted.iter().map(by_number).collect();
    let answers = client.batch(&calls).await?;
    let mut blocks = Vec::new();
    for (number, answer) in wanted.into_iter().zip(answers) {
        let block = decode::<Option<Block>>(answer?)?.ok_or(ProviderError::NoBlock(number))?;
        if block.number != number {
            return Err(ProviderError::OtherBlock { expected: number, actual: block.number });
        }
        blocks.push(block);
    }
    let claims = with_logs(client, contracts, blocks).await?;
    Ok(Answer { finalized, claims })
}

/// The number of the last block that is final by a provider's word.
async fn last_final(client: &Client, finality: Finality) -> Result<u64, ProviderError> {
    let tag = match finality {
        Finality::Finalized => "finalized",
        Finality::Safe => "safe",
        Finality::Depth(depth) => {
            return Ok(client.number("eth_blockNumber").await?.saturating_sub(depth));
        }
    };
    // A chain that has finalized nothing yet has no such block.
    let block: Option<Block> = client.call("eth_getBlockByNumber", json!([tag, false])).await?;
    Ok(block.map_or(0, |block| block.number))
}

fn by_number(number: &u64) -> Call {
    ("eth_getBlockByNumber", json!([format!("{number:#x}"), false]))
}

/// The hash of the block of a number, by a provider's word.
pub async fn hash_of(client: &Client, number: u64) -> Result<B256, ProviderError> {
    let (method, params) = by_number(&number);
    let block: Option<Block> = client.call(method, params).await?;
    Ok(block.ok_or(ProviderError::NoBlock(number))?.hash)
}

/// The number and hash of the last block that is final by a provider's word; `None` if none is.
pub async fn final_block(
    client: &Client,
    finality: Finality,
) -> Result<Option<L1Origin>, ProviderError> {
    match last_final(client, finality).await? {
        0 => Ok(None),
        number => Ok(Some(L1Origin { number, hash: hash_of(client, number).await? })),
    }
}

/// Asks for the contracts' logs in each block, by its hash: so that they are of that block whatever
/// the provider switches to meanwhile.
async fn with_logs(
    client: &Client,
    contracts: &L1Contracts,
    blocks: Vec<Block>,
) -> Result<Vec<Claim>, ProviderError> {
    let addresses = addresses(contracts);
    let logs_of =
        |block: &Block| ("eth_getLogs", json!([{ "blockHash": block.hash, "address": addresses }]));
    let calls: Vec<Call> = blocks.iter().map(logs_of).collect();
    let answers = client.batch(&calls).await?;
    let mut claims = Vec::new();
    for (block, answer) in blocks.into_iter().zip(answers) {
        let Block { number, hash, parent_hash: parent, timestamp } = block;
        let events = events(contracts, hash, decode(answer?)?)?;
        claims.push(Claim { number, hash, parent, timestamp, events });
    }
    Ok(claims)
}

fn events(
    contracts: &L1Contracts,
    block: B256,
    logs: Vec<Log>,
) -> Result<Vec<ContractEvent>, ProviderError> {
    let ordered = logs.is_sorted_by(|a, b| a.log_index < b.log_index);
    let fine = |log: &Log| log.block_hash == block && !log.removed;
    if !ordered || logs.len() > MAX_LOGS || !logs.iter().all(fine) {
        return Err(ProviderError::Logs);
    }
    let mut events = Vec::new();
    for Log { address, topics, data, .. } in logs {
        events.extend(event_of(contracts, &RawLog { address, topics, data })?);
    }
    Ok(events)
}
