//! `eth_callBundle`: what a bundle would do at the head of the next slice. Nothing is kept of it.
//!
//! The state is the one after the last slice that was taken in, which is what the winner of the next
//! slice's lot runs on. With `afterHeight` the answer waits for the slice of that Weft height, and
//! refuses if a later one has been taken in.

use std::time::Duration;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Rpc;
use super::error::RpcError;
use crate::evm::block::Place;
use crate::evm::chain::Chain;
use crate::evm::execute::{Executed, check_items, execute};
use crate::evm::external::EngineClient;
use crate::evm::skip::SkipReason;
use crate::evm::spec::ChainSpec;
use crate::evm::store::Store;
use crate::evm::transaction::Checked;
use crate::gateway::price::wall_ms;

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
    /// The Weft height whose slice must be the last one taken in.
    #[serde(default)]
    after_height: Option<U64>,
    /// The block's time in seconds; now without it.
    #[serde(default)]
    timestamp: Option<U64>,
    /// Accounts whose balance before and after is wanted.
    #[serde(default)]
    accounts: Vec<Address>,
}

/// What became of a transaction.
struct Ran<'a> {
    transaction: &'a Checked,
    gas_used: u64,
    success: bool,
    logs: Vec<Log>,
}

impl Rpc {
    /// Runs a bundle on the state after the last slice.
    pub(super) async fn call_bundle(&self, bundle: Bundle) -> Result<Value, RpcError> {
        if bundle.txs.len() > MAX_ITEMS || bundle.accounts.len() > MAX_ITEMS {
            return Err(RpcError::params(format!("at most {MAX_ITEMS} txs and accounts")));
        }
        let height = self.taken_in(bundle.after_height.map(|height| height.to())).await?;
        let _permit = self.0.calls.acquire().await.map_err(RpcError::internal)?;
        let chain = &self.setup().chain;
        let mut answer = match chain {
            Chain::Embedded(store) => {
                let store = store.clone();
                let run = tokio::task::spawn_blocking(move || embedded(&store, &bundle));
                run.await.map_err(RpcError::internal)?
            }
            Chain::External { engine, spec, .. } => external(engine, spec, &bundle).await,
        }?;
        let later = self.setup().head.borrow().height;
        if later != height {
            let what = "another slice was taken in meanwhile, try again";
            return Err(RpcError::server(what));
        }
        answer["weftHeight"] = json!(height.map(|height| height.to_string()));
        Ok(answer)
    }

    /// Waits until the slice of a height is taken in. Returns the last one that is.
    async fn taken_in(&self, wanted: Option<u64>) -> Result<Option<u64>, RpcError> {
        let mut head = self.setup().head.clone();
        let Some(wanted) = wanted else { return Ok(head.borrow().height) };
        let reached = timeout(PATIENCE, head.wait_for(|head| head.height >= Some(wanted))).await;
        match reached {
            Ok(Ok(head)) if head.height == Some(wanted) => Ok(head.height),
            Ok(Ok(head)) => {
                let last = head.height.unwrap_or(0);
                Err(RpcError::server(format!("the slice of height {last} is taken in already")))
            }
            _ => Err(RpcError::server(format!("the slice of height {wanted} is not there yet"))),
        }
    }
}

fn embedded(store: &Store, bundle: &Bundle) -> Result<Value, RpcError> {
    let (view, spec) = (store.view()?, store.spec());
    let parent = view.head()?;
    let now = bundle.timestamp.map_or_else(wall_ms, |at| at.to::<u64>().saturating_mul(1000));
    let place = Place::after(&parent.header, parent.hash, now);
    let state = view.state_at(parent.header.number);
    let Executed { included, skipped, state: changes } = execute(state, spec, &place, &bundle.txs)?;
    let ran = included.iter().map(|included| Ran {
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
        let after = changes.accounts.get(address).map_or(before, |account| account.info.balance);
        balances.push(balance(address, before, after));
    }
    answer["accounts"] = Value::Array(balances);
    Ok(answer)
}

/// What an engine says of a simulated call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Simulated {
    status: U64,
    gas_used: U64,
    #[serde(default)]
    logs: Vec<SimulatedLog>,
    #[serde(default)]
    return_data: Bytes,
}

#[derive(Deserialize)]
struct SimulatedLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

#[derive(Deserialize)]
struct SimulatedBlock {
    calls: Vec<Simulated>,
}

/// Asks the engine to simulate what passes on its own. The engine refuses a bundle in which something
/// else does not fit, such as a nonce.
async fn external(
    engine: &EngineClient,
    spec: &ChainSpec,
    bundle: &Bundle,
) -> Result<Value, RpcError> {
    let number = engine.number("eth_blockNumber", json!([])).await?;
    let (checked, skipped) = check_items(&bundle.txs, spec);
    let calls = checked.iter().map(|checked| {
        let tx = &checked.envelope;
        json!({
            "from": checked.sender,
            "to": tx.kind().to(),
            "gas": U64::from(tx.gas_limit()),
            "maxFeePerGas": U256::from(tx.max_fee_per_gas()),
            "maxPriorityFeePerGas": U256::from(tx.max_priority_fee_per_gas().unwrap_or(0)),
            "value": tx.value(),
            "nonce": U64::from(tx.nonce()),
            "input": tx.input(),
        })
    });
    let mut overrides = json!({ "baseFeePerGas": U64::from(spec.base_fee) });
    if let Some(at) = bundle.timestamp {
        overrides["time"] = json!(at);
    }
    let calls: Vec<Value> = calls.collect();
    let accounts = balances_of(engine, &bundle.accounts).await?;
    if calls.is_empty() {
        return Ok(with_accounts(shown(number, std::iter::empty(), &skipped), &accounts, None));
    }
    // Balances afterwards are read by code that returns that of the account that is called.
    let reads =
        bundle.accounts.iter().map(|address| json!({ "to": PROBE, "input": probe(address) }));
    let state = json!({ PROBE.to_string(): { "code": BALANCE_CODE } });
    let free = json!({ "baseFeePerGas": "0x0" });
    let simulation = json!({
        "blockStateCalls": [
            { "blockOverrides": overrides, "calls": calls },
            { "blockOverrides": free, "stateOverrides": state, "calls": reads.collect::<Vec<_>>() },
        ],
        "validation": true,
    });
    let blocks: Vec<SimulatedBlock> =
        engine.call("eth_simulateV1", json!([simulation, U64::from(number)])).await?;
    let [bundle_calls, reads] = &blocks[..] else {
        return Err(RpcError::internal("the engine simulated another number of blocks"));
    };
    let ran = checked.iter().zip(&bundle_calls.calls).map(|(transaction, ran)| Ran {
        transaction,
        gas_used: ran.gas_used.to(),
        success: ran.status == U64::from(1),
        logs: ran.logs.iter().map(log).collect(),
    });
    let answer = shown(number, ran, &skipped);
    let after: Vec<U256> = reads
        .calls
        .iter()
        .map(|read| U256::try_from_be_slice(&read.return_data))
        .map(Option::unwrap_or_default)
        .collect();
    Ok(with_accounts(answer, &accounts, Some(&after)))
}

/// Where the code that reads balances is put while a bundle is simulated.
const PROBE: Address = Address::repeat_byte(0xb2);

/// `mstore(0, balance(calldataload(0))); return(0, 32)`.
const BALANCE_CODE: &str = "0x6000353160005260206000f3";

fn probe(address: &Address) -> Bytes {
    Bytes::copy_from_slice(address.into_word().as_slice())
}

fn log(log: &SimulatedLog) -> Log {
    Log::new_unchecked(log.address, log.topics.clone(), log.data.clone())
}

async fn balances_of(
    engine: &EngineClient,
    accounts: &[Address],
) -> Result<Vec<(Address, U256)>, RpcError> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let params: Vec<Value> = accounts.iter().map(|a| json!([a, "latest"])).collect();
    let balances = engine.read_many("eth_getBalance", &params).await?;
    let parse = |(address, value)| {
        serde_json::from_value(value).map(|balance| (address, balance)).map_err(RpcError::internal)
    };
    accounts.iter().copied().zip(balances).map(parse).collect()
}

fn with_accounts(mut answer: Value, before: &[(Address, U256)], after: Option<&[U256]>) -> Value {
    let show = |(at, (address, before)): (usize, &(Address, U256))| {
        let after = after.and_then(|after| after.get(at)).copied().unwrap_or(*before);
        balance(address, *before, after)
    };
    answer["accounts"] = before.iter().enumerate().map(show).collect();
    answer
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
