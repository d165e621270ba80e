//! `eth_callBundle`: what a bundle would do at the head of the next slice. Nothing is kept of it.
//!
//! The state is the one after the last slice that was taken in, which is what the winner of the next
//! slice's lot runs on. With `afterHeight` it is the one after the slice of that Weft height: waited
//! for, and refused if a later one has been taken in.
//!
//! A slice is proven by the block above it, when it is too late to bid on it. So the slice that comes
//! next may be one that an endpoint shows without proof: its items are run before the bundle, in the
//! same block, and the answer says `"proven": false`. Nothing is taken in by that.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use weft_types::{BidMode, SliceEntry};

use super::Rpc;
use super::error::RpcError;
use crate::evm::block::Place;
use crate::evm::chain::Chain;
use crate::evm::execute::{Executed, check_items, execute};
use crate::evm::external::EngineClient;
use crate::evm::items::Items;
use crate::evm::simulate::{Ran, Simulated, SimulatedBlock, call_of};
use crate::evm::skip::SkipReason;
use crate::evm::spec::ChainSpec;
use crate::evm::store::Store;
use crate::evm::transaction::Checked;
use crate::gateway::price::wall_ms;

/// How often to look for a slice.
const LOOK: Duration = Duration::from_millis(20);

/// How long to wait for a slice.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most transactions of a bundle, and most accounts to show.
const MAX_ITEMS: usize = 128;

/// What to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bundle {
    /// Signed transactions, in order.
    txs: Vec<Bytes>,
    /// The Weft height whose slice must be the last one before the bundle.
    #[serde(default)]
    after_height: Option<U64>,
    /// The block's time in seconds; now without it.
    #[serde(default)]
    timestamp: Option<U64>,
    /// Accounts whose balance before and after is wanted.
    #[serde(default)]
    accounts: Vec<Address>,
}

impl Rpc {
    /// What the slice of a height brings.
    fn items_of(&self, entries: &[SliceEntry], height: u64) -> Vec<Bytes> {
        Items::of(entries, self.setup().namespace, height).raw
    }

    /// Runs a bundle on the state after the last slice.
    pub(super) async fn call_bundle(&self, bundle: Bundle) -> Result<Value, RpcError> {
        if bundle.txs.len() > MAX_ITEMS || bundle.accounts.len() > MAX_ITEMS {
            return Err(RpcError::params(format!("at most {MAX_ITEMS} txs and accounts")));
        }
        let (height, ahead) = self.ground(bundle.after_height.map(|height| height.to())).await?;
        let proven = ahead.is_none();
        let before = ahead.unwrap_or_default();
        let _permit = self.0.calls.acquire().await.map_err(RpcError::internal)?;
        let chain = &self.setup().chain;
        let mut answer = match chain {
            Chain::Embedded(store) => {
                let store = store.clone();
                let run =
                    tokio::task::spawn_blocking(move || embedded(&store, &before, &bundle, height));
                run.await.map_err(RpcError::internal)?
            }
            Chain::External { engine, journal, spec } => {
                let (number, answer) = external(engine, spec, &before, &bundle).await?;
                let journal = journal.clone();
                let made = tokio::task::spawn_blocking(move || journal.made(number));
                let made = made.await.map_err(RpcError::internal)??;
                // A block that the journal does not have yet is that of a slice that is being taken in.
                let of_genesis = (number == 0).then_some(0);
                let at = made.map_or(of_genesis, |made| made.cursor.height().or(Some(0)));
                is_of(at, height).then_some(answer).ok_or_else(moved_on)
            }
        }?;
        let later = self.setup().head.borrow().height;
        // What was run ahead may be taken in by now: then it changes nothing a second time.
        if later != height && (proven || later.map(|later| later + 1) != height) {
            return Err(moved_on());
        }
        answer["weftHeight"] = json!(height.map(|height| height.to_string()));
        answer["proven"] = json!(proven);
        Ok(answer)
    }

    /// The last slice before the bundle: its height, and its items if it is not taken in yet.
    async fn ground(
        &self,
        wanted: Option<u64>,
    ) -> Result<(Option<u64>, Option<Vec<Bytes>>), RpcError> {
        let mut head = self.setup().head.clone();
        let Some(wanted) = wanted else { return Ok((head.borrow().height, None)) };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let last = head.borrow_and_update().height;
            if last > Some(wanted) {
                let last = last.unwrap_or(0);
                let what = format!("the slice of height {last} is taken in already");
                return Err(RpcError::server(what));
            }
            if last == Some(wanted) {
                return Ok((last, None));
            }
            if last.map(|last| last + 1) == Some(wanted)
                && let Some(entries) = self.unproven(wanted).await
            {
                if let Some(SliceEntry::Head { mode: BidMode::Atomic, .. }) = entries.first() {
                    let what = format!("an atomic bundle holds the slice of height {wanted}");
                    return Err(RpcError::server(what));
                }
                return Ok((Some(wanted), Some(self.items_of(&entries, wanted))));
            }
            // Looked at again when something has come, and now and then.
            let _ = timeout(LOOK, head.changed()).await;
        }
        Err(RpcError::server(format!("the slice of height {wanted} is not there yet")))
    }

    /// A slice by the word of whichever endpoint has it.
    async fn unproven(&self, height: u64) -> Option<Vec<SliceEntry>> {
        let setup = self.setup();
        for endpoint in &setup.endpoints {
            let asked = timeout(PATIENCE, endpoint.unproven_slice(setup.namespace, height)).await;
            if let Ok(Ok(Some(entries))) = asked {
                return Some(entries);
            }
        }
        None
    }
}

fn moved_on() -> RpcError {
    RpcError::server("another slice was taken in meanwhile, try again")
}

/// Whether a block, made at a Weft height, may be the last one of the slice of another. A block is there a
/// little before the height is said to be.
fn is_of(made: Option<u64>, height: Option<u64>) -> bool {
    made.is_some_and(|made| made <= height.unwrap_or(0))
}

fn embedded(
    store: &Store,
    before: &[Bytes],
    bundle: &Bundle,
    height: Option<u64>,
) -> Result<Value, RpcError> {
    let (view, spec) = (store.view()?, store.spec());
    let parent = view.head()?;
    if !is_of(Some(parent.height), height) {
        return Err(moved_on());
    }
    let now = bundle.timestamp.map_or_else(wall_ms, |at| at.to::<u64>().saturating_mul(1000));
    let place = Place::after(&parent.header, parent.hash, now);
    let state = view.state_at(parent.header.number);
    let earlier = execute(state, spec, &place, before)?.state;
    let all = [before, &bundle.txs].concat();
    let Executed { included, mut skipped, state: changes } = execute(state, spec, &place, &all)?;
    let own: BTreeSet<B256> = bundle.txs.iter().map(keccak256).collect();
    skipped.retain(|(hash, _)| own.contains(hash));
    let included = included.iter().filter(|included| own.contains(&included.transaction.hash));
    let ran = included.map(|included| Ran {
        transaction: &included.transaction,
        gas_used: included.gas_used,
        success: included.receipt.receipt.success,
        logs: included.receipt.receipt.logs.clone(),
    });
    let mut answer = shown(parent.header.number, ran, &skipped);
    let mut balances = Vec::new();
    for address in &bundle.accounts {
        let before = view.account(address, parent.header.number)?;
        let before = before.map_or(U256::ZERO, |account| account.balance());
        let before = earlier.accounts.get(address).map_or(before, |account| account.info.balance);
        let after = changes.accounts.get(address).map_or(before, |account| account.info.balance);
        balances.push(balance(address, before, after));
    }
    answer["accounts"] = Value::Array(balances);
    Ok(answer)
}

/// Asks the engine to simulate what passes on its own, after the block whose number it returns. The engine refuses a bundle in which something
/// else does not fit, such as a nonce.
async fn external(
    engine: &EngineClient,
    spec: &ChainSpec,
    before: &[Bytes],
    bundle: &Bundle,
) -> Result<(u64, Value), RpcError> {
    let number = engine.number("eth_blockNumber", json!([])).await?;
    let (checked, skipped) = check_items(&bundle.txs, spec);
    let (earlier, _) = check_items(before, spec);
    let calls = |all: &[Checked]| -> Vec<Value> { all.iter().map(call_of).collect() };
    let mut overrides = json!({ "baseFeePerGas": U64::from(spec.base_fee) });
    if let Some(at) = bundle.timestamp {
        overrides["time"] = json!(at);
    }
    // Balances are read by code that returns that of the account that is called.
    let free = json!({ "baseFeePerGas": "0x0" });
    let state = json!({ PROBE.to_string(): { "code": BALANCE_CODE } });
    let reads =
        bundle.accounts.iter().map(|address| json!({ "to": PROBE, "input": probe(address) }));
    let reads: Vec<Value> = reads.collect();
    let simulation = json!({
        "blockStateCalls": [
            { "blockOverrides": { "baseFeePerGas": U64::from(spec.base_fee) }, "calls": calls(&earlier) },
            { "blockOverrides": free, "stateOverrides": state, "calls": reads },
            { "blockOverrides": overrides, "calls": calls(&checked) },
            { "blockOverrides": free, "calls": reads },
        ],
        "validation": true,
    });
    let blocks: Vec<SimulatedBlock> =
        engine.call("eth_simulateV1", json!([simulation, U64::from(number)])).await?;
    let [_, balances_before, bundle_calls, balances_after] = &blocks[..] else {
        return Err(RpcError::internal("the engine simulated another number of blocks"));
    };
    let ran =
        checked.iter().zip(&bundle_calls.calls).map(|(transaction, call)| call.ran(transaction));
    let mut answer = shown(number, ran, &skipped);
    let wei = |read: &Simulated| U256::try_from_be_slice(&read.return_data).unwrap_or_default();
    let both = balances_before.calls.iter().zip(&balances_after.calls);
    let accounts = bundle.accounts.iter().zip(both);
    answer["accounts"] = accounts.map(|(a, (old, new))| balance(a, wei(old), wei(new))).collect();
    Ok((number, answer))
}

/// Where the code that reads balances is put while a bundle is simulated.
const PROBE: Address = Address::repeat_byte(0xb2);

/// `mstore(0, balance(calldataload(0))); return(0, 32)`.
const BALANCE_CODE: &str = "0x6000353160005260206000f3";

fn probe(address: &Address) -> Bytes {
    Bytes::copy_from_slice(address.into_word().as_slice())
}

fn balance(address: &Address, before: U256, after: U256) -> Value {
    json!({ "address": address, "before": before, "after": after })
}

fn shown<'a>(
    number: u64,
    ran: impl Iterator<Item = Ran<'a>>,
    skipped: &[(B256, SkipReason)],
) -> Value {
    let mut total = 0u64;
    let results: Vec<Value> = ran
        .map(|ran| {
            total = total.saturating_add(ran.gas_used);
            let tx = &ran.transaction.envelope;
            let mut result = json!({
                "txHash": ran.transaction.hash,
                "fromAddress": ran.transaction.sender,
                "toAddress": tx.kind().to(),
                "gasUsed": U64::from(ran.gas_used),
                "status": if ran.success { "0x1" } else { "0x0" },
                "logs": ran.logs,
            });
            if !ran.success {
                result["error"] = json!("execution reverted");
            }
            result
        })
        .collect();
    let skipped: Vec<Value> = skipped
        .iter()
        .map(|(hash, reason)| json!({ "txHash": hash, "error": reason.to_string() }))
        .collect();
    json!({
        "stateBlockNumber": U64::from(number),
        "totalGasUsed": U64::from(total),
        "results": results,
        "skipped": skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_a_later_slice_is_not_what_is_named() {
        assert!(is_of(Some(7), Some(7)), "the last slice made it");
        assert!(is_of(Some(5), Some(7)), "later slices made none");
        assert!(is_of(Some(0), None), "the genesis block");
        assert!(!is_of(Some(8), Some(7)), "it is there before it is said to be");
        assert!(!is_of(Some(1), None));
        assert!(!is_of(None, Some(7)), "the engine has it before the journal");
    }
}
