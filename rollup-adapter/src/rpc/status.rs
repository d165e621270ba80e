//! `weft_status`: where a transaction stands on its way (protocol section 7).

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::Rpc;
use super::error::RpcError;
use crate::evm::store::Outcome;
use crate::gateway::Known;

impl Rpc {
    /// `{status, height, receipt | reason}`. The status is `final` for what was executed,
    /// `settled` for what no fallback takes back any more,
    /// `received` for what the gateway holds, `dropped` for what it gave up, `skipped` for what
    /// stood in a slice and made no transaction, `unknown` otherwise. For what is not executed it says
    /// which atomic bundle holds the rollup, if one does.
    pub(super) async fn weft_status(&self, hash: B256) -> Result<Value, RpcError> {
        // The gateway first: it forgets a transaction only once its outcome can be read, so that
        // asked in this order one of the two knows it.
        let known = self.setup().gateway.known(&hash);
        let outcome = self.setup().chain.outcomes(&[hash]).await?.pop().flatten();
        if let Some(Outcome::Executed { height, .. }) = outcome {
            let receipt = self.read("eth_getTransactionReceipt", vec![json!(hash)]).await?;
            let settled = height < self.setup().head.borrow().settled_below;
            return Ok(json!({
                "status": if settled { "settled" } else { "final" },
                "height": height.to_string(),
                "receipt": receipt,
            }));
        }
        let mut answer = match (known, outcome) {
            (Some(Known::Waiting), _) => json!({ "status": "received" }),
            (Some(Known::Live(id)), _) => json!({ "status": "received", "weft": id.to_string() }),
            (Some(Known::Dropped(reason)), outcome) => {
                let mut status = json!({ "status": "dropped", "reason": reason.to_string() });
                if let Some(Outcome::Skipped { height, .. }) = outcome {
                    status["height"] = json!(height.to_string());
                }
                status
            }
            (None, Some(Outcome::Skipped { height, reason })) => json!({
                "status": "skipped",
                "height": height.to_string(),
                "reason": reason.to_string(),
            }),
            (None, _) => json!({ "status": "unknown" }),
        };
        if let Some(held) = &self.setup().head.borrow().held {
            answer["held"] = held.shown();
        }
        Ok(answer)
    }
}
