//! Transactions that are run and not kept, on either engine.

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};

use super::transaction::Checked;

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct Ran<'a> {
    /// The transaction.
    pub transaction: &'a Checked,
    /// Gas it used.
    pub gas_used: u64,
    /// Whether it did not revert.
    pub success: bool,
    /// What it logged.
    pub logs: Vec<Log>,
}

/// What an engine says of a simulated call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulated {
    /// 1 if it did not revert.
    pub status: U64,
    /// Gas it used.
    pub gas_used: U64,
    #[serde(default)]
    logs: Vec<SimulatedLog>,
    /// What it returned.
    #[serde(default)]
    pub return_data: Bytes,
}

#[derive(Clone, Debug, Deserialize)]
struct SimulatedLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// What an engine says of a simulated block.
#[derive(Clone, Debug, Deserialize)]
pub struct SimulatedBlock {
    /// Its calls, in order.
    pub calls: Vec<Simulated>,
}

impl Simulated {
    /// What became of the transaction that it stands for.
    pub fn ran<'a>(&self, transaction: &'a Checked) -> Ran<'a> {
        let log = |log: &SimulatedLog| {
            Log::new_unchecked(log.address, log.topics.clone(), log.data.clone())
        };
        Ran {
            transaction,
            gas_used: self.gas_used.to(),
            success: self.status == U64::from(1),
            logs: self.logs.iter().map(log).collect(),
        }
    }
}

/// A transaction as an engine simulates it.
pub fn call_of(checked: &Checked) -> Value {
    let tx = &checked.envelope;
    let mut call = json!({
        "type": U64::from(u8::from(tx.tx_type())),
        "from": checked.sender,
        "to": tx.kind().to(),
        "gas": U64::from(tx.gas_limit()),
        "value": tx.value(),
        "nonce": U64::from(tx.nonce()),
        "input": tx.input(),
    });
    match tx.gas_price() {
        Some(price) => call["gasPrice"] = json!(U256::from(price)),
        None => {
            call["maxFeePerGas"] = json!(U256::from(tx.max_fee_per_gas()));
            let priority = U256::from(tx.max_priority_fee_per_gas().unwrap_or(0));
            call["maxPriorityFeePerGas"] = json!(priority);
        }
    }
    if let Some(list) = tx.access_list() {
        call["accessList"] = json!(list);
    }
    if let Some(list) = tx.authorization_list() {
        call["authorizationList"] = json!(list);
    }
    call
}
