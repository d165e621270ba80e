//! What a leg of an atomic bundle will do (`spec/evm-rollup.md`, section 10): executed, alone, on the
//! state on which it would head its slice's block, in that block's context.

use alloy_consensus::Transaction;
use alloy_primitives::{B256, Bytes, Log, U64, keccak256};
use serde_json::json;
use weft_types::{Header, NamespaceId, SliceEntry};

use super::block::Place;
use super::chain::{Chain, ChainError, blocking};
use super::execute::{Candidates, Executed, check_items, execute, take_places};
use super::external::{EngineClient, EngineError, Journal};
use super::items::Items;
use super::simulate::{Ran, Simulated, SimulatedBlock, call_of};
use super::spec::ChainSpec;
use super::store::{Store, StoreError};
use super::transaction::Checked;

/// What effects begin with.
const TAG: &str = "weft/evm-effects/v1";

/// What a leg will do if it heads the block of the slice with this header; `None` if one of its
/// items makes no transaction, or one that fails.
///
/// # Errors
///
/// If the chain cannot be asked, or an engine cannot say. Then nothing is known.
pub async fn effects(
    chain: &Chain,
    header: &Header,
    leg: &SliceEntry,
) -> Result<Option<B256>, ChainError> {
    let namespace = NamespaceId(chain.spec().chain_id);
    let Items { raw: items, skipped, .. } = Items::of([leg], namespace, header.height);
    if !skipped.is_empty() {
        return Ok(None);
    }
    match chain {
        Chain::Embedded(store) => {
            let (store, header) = (store.clone(), *header);
            blocking(move || embedded(&store, &header, &items)).await
        }
        Chain::External { engine, journal, spec } => {
            external(engine, journal, spec, header, &items).await
        }
    }
}

fn embedded(store: &Store, header: &Header, items: &[Bytes]) -> Result<Option<B256>, StoreError> {
    let view = store.view()?;
    let parent = view.head()?;
    let place = Place::after(&parent.header, parent.hash, header.time_ms);
    let state = view.state_at(parent.header.number);
    let Executed { included, skipped, .. } = execute(state, store.spec(), &place, items)?;
    let ran = included.iter().map(|included| Ran {
        transaction: &included.transaction,
        gas_used: included.gas_used,
        success: included.receipt.receipt.success,
        logs: included.receipt.receipt.logs.clone(),
    });
    Ok(skipped.is_empty().then(|| digest(header, parent.hash, ran)).flatten())
}

async fn external(
    engine: &EngineClient,
    journal: &Journal,
    spec: &ChainSpec,
    header: &Header,
    items: &[Bytes],
) -> Result<Option<B256>, ChainError> {
    let parent = engine.block("latest").await?;
    let parent = parent.ok_or_else(|| EngineError::Malformed("no last block".to_owned()))?;
    let in_place = || async {
        // What the engine says is of the state that the leg would run on only if that is its last one
        // before and after.
        let journal = journal.clone();
        let last = blocking(move || journal.last()).await?;
        let is_last = match last {
            Some((number, made)) => (number, made.hash) == (parent.number, parent.hash),
            None => parent.number == 0,
        };
        let now = engine.block("latest").await?.map(|block| block.hash);
        if is_last && now == Some(parent.hash) {
            return Ok(());
        }
        Err(ChainError::Engine(EngineError::Malformed("another last block".to_owned())))
    };
    let place = Place {
        number: parent.number.saturating_add(1),
        parent: parent.hash,
        timestamp: (header.time_ms / 1000).max(parent.timestamp),
    };
    let ran = simulate(engine, spec, &place, items).await?;
    in_place().await?;
    Ok(ran.and_then(|(taken, calls)| {
        if !fits(&taken, calls.iter().map(|call| call.gas_used.to()), spec.gas_limit) {
            return None;
        }
        let ran = taken.iter().zip(&calls).map(|(transaction, call)| call.ran(transaction));
        digest(header, parent.hash, ran)
    }))
}

/// What the engine says of each item's transaction; `None` if they do not all make one that can be
/// paid for.
async fn simulate(
    engine: &EngineClient,
    spec: &ChainSpec,
    place: &Place,
    items: &[Bytes],
) -> Result<Option<(Vec<Checked>, Vec<Simulated>)>, EngineError> {
    let (checked, skipped) = check_items(items, spec);
    let mut senders: Vec<_> = checked.iter().map(|transaction| transaction.sender).collect();
    senders.sort_unstable();
    senders.dedup();
    let nonces = engine.nonces(&senders).await?;
    let Candidates { taken, skipped } = take_places(checked, skipped, |sender| {
        let at = senders.binary_search(&sender).ok();
        Ok::<_, EngineError>(at.and_then(|at| nonces.get(at)).copied().unwrap_or(0))
    })?;
    if !skipped.is_empty() {
        return Ok(None);
    }
    let overrides = json!({
        "number": U64::from(place.number),
        "time": U64::from(place.timestamp),
        "baseFeePerGas": U64::from(spec.base_fee),
        "feeRecipient": spec.coinbase,
        "gasLimit": U64::from(spec.gas_limit),
        "prevRandao": place.prevrandao(),
    });
    let calls: Vec<_> = taken.iter().map(call_of).collect();
    let simulation = json!({
        "blockStateCalls": [{ "blockOverrides": overrides, "calls": calls }],
        "validation": true,
    });
    let at = U64::from(place.number.saturating_sub(1));
    let blocks: Vec<SimulatedBlock> =
        match engine.call("eth_simulateV1", json!([simulation, at])).await {
            // Such a bundle is refused as a whole.
            Err(error) if error.is_unaffordable() => return Ok(None),
            answer => answer?,
        };
    match <[SimulatedBlock; 1]>::try_from(blocks) {
        Ok([only]) if only.calls.len() == taken.len() => Ok(Some((taken, only.calls))),
        _ => Err(EngineError::Malformed("not what was to be simulated".to_owned())),
    }
}

/// Whether each transaction's gas limit is at most what those before it have left of a block.
fn fits(taken: &[Checked], used: impl Iterator<Item = u64>, gas_limit: u64) -> bool {
    let mut left = gas_limit;
    taken.iter().zip(used).all(|(transaction, used)| {
        let fits = transaction.envelope.gas_limit() <= left;
        left = left.saturating_sub(used);
        fits
    })
}

/// What transactions have done in the context of a header after a block; `None` if one has failed.
fn digest<'a>(
    header: &Header,
    parent: B256,
    ran: impl IntoIterator<Item = Ran<'a>>,
) -> Option<B256> {
    let mut bytes = keccak256(TAG).to_vec();
    bytes.extend_from_slice(header.id().0.as_slice());
    bytes.extend_from_slice(parent.as_slice());
    for ran in ran {
        if !ran.success {
            return None;
        }
        bytes.extend_from_slice(ran.transaction.hash.as_slice());
        bytes.extend_from_slice(&ran.gas_used.to_be_bytes());
        bytes.extend_from_slice(&(ran.logs.len() as u64).to_be_bytes());
        for log in &ran.logs {
            bytes.extend_from_slice(digest_of_log(log).as_slice());
        }
    }
    Some(keccak256(bytes))
}

fn digest_of_log(log: &Log) -> B256 {
    let mut bytes = log.address.to_vec();
    bytes.extend_from_slice(&(log.topics().len() as u64).to_be_bytes());
    for topic in log.topics() {
        bytes.extend_from_slice(topic.as_slice());
    }
    bytes.extend_from_slice(&log.data.data);
    keccak256(bytes)
}
