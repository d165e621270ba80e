//! What one provider says of finalized blocks.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use weft_types::L1Contracts;
use weft_types::hash::blake3;

use crate::contracts::{ContractEvent, LogError, RawLog, addresses, event_of};
use crate::rpc::{Call, Client, MAX_BATCH, RpcError, decode};

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

/// A number as JSON-RPC writes it.
pub(crate) fn quantity<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let text = String::deserialize(input)?;
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty());
    let parsed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    parsed.ok_or_else(|| serde::de::Error::custom("expected a 0x-hex number"))
}

#[derive(Deserialize)]
struct Quantity(#[serde(deserialize_with = "quantity")] u64);

/// Checks that a provider is on the chain that the contracts stand on.
pub async fn check_chain(client: &Client, contracts: &L1Contracts) -> Result<(), ProviderError> {
    let Quantity(actual) = client.call("eth_chainId", json!([])).await?;
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
    let wanted: Vec<u64> = wanted.take(MAX_BATCH - 1).collect();
    let tag: Call = match finality {
        Finality::Finalized => ("eth_getBlockByNumber", json!(["finalized", false])),
        Finality::Safe => ("eth_getBlockByNumber", json!(["safe", false])),
        Finality::Depth(_) => ("eth_blockNumber", json!([])),
    };
    let by_number = |number: &u64| ("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
    let calls: Vec<Call> = std::iter::once(tag).chain(wanted.iter().map(by_number)).collect();
    let mut answers = client.batch(&calls).await?.into_iter();

    let last = answers.next().unwrap_or(Ok(Value::Null))?;
    let finalized = match finality {
        Finality::Depth(depth) => decode::<Quantity>(last)?.0.saturating_sub(depth),
        // A chain that has finalized nothing yet has no such block.
        _ => decode::<Option<Block>>(last)?.map_or(0, |block| block.number),
    };
    let mut blocks = Vec::new();
    for (number, answer) in wanted.into_iter().zip(answers) {
        if number > finalized {
            break;
        }
        let block = decode::<Option<Block>>(answer?)?.ok_or(ProviderError::NoBlock(number))?;
        if block.number != number {
            return Err(ProviderError::OtherBlock { expected: number, actual: block.number });
        }
        blocks.push(block);
    }
    let claims = with_logs(client, contracts, blocks).await?;
    Ok(Answer { finalized, claims })
}

/// Asks for the contracts' logs in each block, by its hash: so that they are of that block whatever
/// the provider switches to meanwhile.
async fn with_logs(
    client: &Client,
    contracts: &L1Contracts,
    blocks: Vec<Block>,
) -> Result<Vec<Claim>, ProviderError> {
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
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
