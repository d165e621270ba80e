//! The reading methods of an external engine: its own, with the tags that mean something else on
//! Weft replaced.

use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use serde_json::{Value, json};

use super::error::RpcError;
use super::logs;
use super::params::Params;
use crate::evm::external::EngineClient;

/// Methods that are passed on.
const PASSED_ON: [&str; 25] = [
    "eth_blobBaseFee",
    "eth_blockNumber",
    "eth_call",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getProof",
    "eth_getRawTransactionByHash",
    "eth_getStorageAt",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_getUncleCountByBlockHash",
    "eth_getUncleCountByBlockNumber",
];

/// Passes a reading method on to the engine, or `None` if it is not one.
pub async fn answer(
    engine: &EngineClient,
    method: &str,
    params: &Params,
) -> Option<Result<Value, RpcError>> {
    if method == "eth_maxPriorityFeePerGas" {
        return Some(Ok(json!("0x0")));
    }
    PASSED_ON.contains(&method).then_some(())?;
    let mut params = params.0.clone();
    params.iter_mut().for_each(replace_tags);
    if method == "eth_getLogs"
        && let Err(error) = check_logs(engine, &params).await
    {
        return Some(Err(error));
    }
    let answer = engine.call_raw(method, Value::Array(params)).await;
    Some(answer.map_err(RpcError::from))
}

/// What the embedded engine refuses, no other answers: a range that runs backwards, for one, has no
/// logs to some, and is an error to others.
async fn check_logs(engine: &EngineClient, params: &[Value]) -> Result<(), RpcError> {
    let filter = params.first().cloned().map(serde_json::from_value::<Filter>);
    // What is no filter, the engine says itself.
    let Some(Ok(filter)) = filter else { return Ok(()) };
    logs::check(&filter)?;
    if matches!(filter.block_option, FilterBlockOption::Range { .. }) {
        logs::range(&filter, engine.number("eth_blockNumber", json!([])).await?)?;
    }
    Ok(())
}

/// The engine's own ideas of these tags count its blocks; on Weft they mean something else.
fn replace_tags(value: &mut Value) {
    match value {
        Value::String(text) => match text.as_str() {
            "safe" | "pending" => *text = "latest".to_owned(),
            "finalized" => *text = "earliest".to_owned(),
            _ => {}
        },
        Value::Object(fields) => {
            for name in ["fromBlock", "toBlock", "blockNumber"] {
                if let Some(field) = fields.get_mut(name) {
                    replace_tags(field);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_tags_where_they_are_tags() {
        let mut params = json!(["finalized", { "fromBlock": "pending", "data": "safe" }, 1]);
        params.as_array_mut().unwrap().iter_mut().for_each(replace_tags);
        assert_eq!(params, json!(["earliest", { "fromBlock": "latest", "data": "safe" }, 1]));
    }
}
