//! The reading methods of an external engine: its own, with the tags that mean something else on
//! Weft replaced.

use alloy_primitives::U64;
use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use serde_json::{Value, json};

use super::error::RpcError;
use super::logs;
use super::params::Params;
use crate::evm::chain::ChainError;
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

/// Passes a reading method on to the engine, or `None` if it is not one. `settled` finds the last
/// block that is settled.
pub async fn answer(
    engine: &EngineClient,
    method: &str,
    params: &Params,
    settled: impl Future<Output = Result<u64, ChainError>>,
) -> Option<Result<Value, RpcError>> {
    if method == "eth_maxPriorityFeePerGas" {
        return Some(Ok(json!("0x0")));
    }
    PASSED_ON.contains(&method).then_some(())?;
    let mut params = params.0.clone();
    let finalized = match params.iter().any(names_finalized) {
        true => match settled.await {
            Ok(number) => json!(U64::from(number)),
            Err(error) => return Some(Err(error.into())),
        },
        false => Value::Null,
    };
    params.iter_mut().for_each(|param| replace_tags(param, &finalized));
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
        // No tag but those of the last and the first block is left.
        logs::range(&filter, engine.number("eth_blockNumber", json!([])).await?, 0)?;
    }
    Ok(())
}

/// Fields that may hold a tag.
const TAGGED: [&str; 3] = ["fromBlock", "toBlock", "blockNumber"];

fn names_finalized(value: &Value) -> bool {
    value == "finalized" || TAGGED.iter().any(|name| value.get(name) == Some(&json!("finalized")))
}

/// The engine's own ideas of these tags count its blocks; on Weft they mean something else.
fn replace_tags(value: &mut Value, finalized: &Value) {
    match value {
        Value::String(text) => match text.as_str() {
            "safe" | "pending" => *text = "latest".to_owned(),
            "finalized" => *value = finalized.clone(),
            _ => {}
        },
        Value::Object(fields) => {
            for name in TAGGED {
                if let Some(field) = fields.get_mut(name) {
                    replace_tags(field, finalized);
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
        assert!(names_finalized(&params[0]) && !names_finalized(&params[1]));
        assert!(names_finalized(&json!({ "toBlock": "finalized" })));
        let finalized = json!("0x7");
        params.as_array_mut().unwrap().iter_mut().for_each(|p| replace_tags(p, &finalized));
        assert_eq!(params, json!(["0x7", { "fromBlock": "latest", "data": "safe" }, 1]));
    }
}
