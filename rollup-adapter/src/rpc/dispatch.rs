//! From a method's name to who answers it.

use std::sync::atomic::{AtomicBool, Ordering};

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, U64, keccak256};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::error::RpcError;
use super::params::Params;
use super::reads::{Reads, is_execution};
use super::wire::{Answer, Answers, Bad, Call, Incoming};
use super::{Rpc, proxy, show};
use crate::evm::chain::Chain;
use crate::gateway::price::wall_ms;

/// How many calls of a batch are answered at a time.
const BATCH_AT_ONCE: usize = 8;
/// Most bytes of JSON that the answers of a batch may have.
pub const MAX_BATCH_ANSWER: usize = 32 * 1024 * 1024;
/// How far behind this machine's clock the verified height may be for `eth_syncing` to say no.
pub(super) const SYNCED_MS: u64 = 60_000;

impl Rpc {
    /// Answers what a client has sent, as JSON. `None` if there is nothing to answer.
    pub(super) async fn answer(&self, incoming: Incoming) -> Option<String> {
        match incoming {
            Incoming::Single(Err(bad)) => Some(Answer::from(bad).text()),
            Incoming::Single(Ok(call)) => self.answer_call(call).await.map(|a| a.text()),
            Incoming::Batch(calls) => self.answer_batch(calls).await,
        }
    }

    async fn answer_batch(&self, calls: Vec<Result<Call, Bad>>) -> Option<String> {
        let mut answers = Answers::new(MAX_BATCH_ANSWER);
        let is_full = AtomicBool::new(false);
        let too_large = answers.too_large();
        let answer = async |call| match call {
            Err(bad) => Some(Answer::from(bad)),
            // Not even begun: what it asks for may be to send something.
            Ok(Call { id, .. }) if is_full.load(Ordering::Relaxed) => {
                id.map(|id| Answer::new(id, Err(too_large.clone())))
            }
            Ok(call) => self.answer_call(call).await,
        };
        let mut answered =
            std::pin::pin!(futures_util::stream::iter(calls).map(answer).buffered(BATCH_AT_ONCE));
        while let Some(answer) = answered.next().await {
            if let Some(answer) = answer {
                answers.push(answer);
                is_full.store(answers.is_full(), Ordering::Relaxed);
            }
        }
        answers.finish()
    }

    async fn answer_call(&self, call: Call) -> Option<Answer> {
        let Call { id, method, params } = call;
        let result = self.call(&method, params).await;
        self.setup().metrics.answered(result.is_err());
        id.map(|id| Answer::new(id, result))
    }

    /// Answers one call.
    pub(super) async fn call(&self, method: &str, params: Vec<Value>) -> Result<Value, RpcError> {
        let _permit = self.0.requests.try_acquire().map_err(|_| Self::busy())?;
        let setup = self.setup();
        let spec = setup.chain.spec();
        let typed = Params(params);
        match method {
            "eth_chainId" => Ok(json!(U64::from(spec.chain_id))),
            "net_version" => Ok(json!(spec.chain_id.to_string())),
            "net_listening" => Ok(json!(true)),
            "net_peerCount" => Ok(json!(U64::from(setup.source.snapshot().len()))),
            "web3_clientVersion" => {
                Ok(json!(format!("weft-rollup/v{}", env!("CARGO_PKG_VERSION"))))
            }
            "web3_sha3" => Ok(json!(keccak256(typed.get::<Bytes>(0)?))),
            "eth_accounts" => Ok(json!([])),
            "eth_syncing" => self.syncing(),
            "eth_sendRawTransaction" => Ok(json!(setup.gateway.submit(typed.get(0)?).await?)),
            "eth_sendTransaction" | "eth_sign" | "eth_signTransaction" => {
                Err(RpcError::server("unknown account: this node holds no keys"))
            }
            "eth_callBundle" => self.call_bundle(typed.get(0)?).await,
            "weft_status" => self.weft_status(typed.get(0)?).await,
            "weft_endpoints" => {
                serde_json::to_value(setup.source.snapshot()).map_err(RpcError::internal)
            }
            "weft_l1" => {
                let status = setup.l1.as_ref().map(|l1| l1.borrow().clone());
                serde_json::to_value(status.as_deref()).map_err(RpcError::internal)
            }
            "eth_newFilter" => self.new_log_filter(typed.get(0)?),
            "eth_newBlockFilter" => self.new_block_filter(),
            "eth_newPendingTransactionFilter" => self.new_pending_filter(),
            "eth_getFilterChanges" => self.filter_changes(typed.get(0)?).await,
            "eth_getFilterLogs" => self.filter_logs(typed.get(0)?).await,
            "eth_uninstallFilter" => Ok(json!(self.uninstall_filter(typed.get(0)?))),
            "eth_subscribe" | "eth_unsubscribe" => {
                Err(RpcError::server("notifications not supported: connect by WebSocket"))
            }
            _ => self.read(method, typed.0).await,
        }
    }

    /// Answers a reading method, from whichever engine executes.
    pub(super) async fn read(&self, method: &str, params: Vec<Value>) -> Result<Value, RpcError> {
        let params = Params(params);
        match &self.setup().chain {
            Chain::Embedded(_) => self.read_embedded(method, params).await,
            Chain::External { engine, .. } => {
                let settled = self.setup().chain.settled();
                let answer = proxy::answer(engine, method, &params, settled).await;
                let answer = answer.ok_or_else(|| RpcError::method(method))??;
                self.complete(method, &params, answer)
            }
        }
    }

    async fn read_embedded(&self, method: &str, params: Params) -> Result<Value, RpcError> {
        let _permit = if is_execution(method) {
            Some(self.0.calls.acquire().await.map_err(RpcError::internal)?)
        } else {
            None
        };
        let (rpc, name) = (self.clone(), method.to_owned());
        let answered = tokio::task::spawn_blocking(move || {
            let setup = rpc.setup();
            let Chain::Embedded(store) = &setup.chain else { return None };
            let view = match store.view() {
                Ok(view) => view,
                Err(error) => return Some(Err(error.into())),
            };
            let reads =
                Reads { view, spec: store.spec(), gateway: &setup.gateway, limits: &setup.limits };
            reads.answer(&name, &params)
        });
        let answer = answered.await.map_err(RpcError::internal)?;
        answer.ok_or_else(|| RpcError::method(method))?
    }

    /// What an external engine cannot know: what the gateway holds.
    fn complete(&self, method: &str, params: &Params, answer: Value) -> Result<Value, RpcError> {
        let gateway = &self.setup().gateway;
        match method {
            "eth_getTransactionByHash" if answer.is_null() => {
                let hash: B256 = params.get(0)?;
                gateway.pending(&hash).map_or(Ok(Value::Null), show::pending)
            }
            "eth_getTransactionCount" => {
                let pending = BlockNumberOrTag::Pending.into();
                if params.block(1)? != pending {
                    return Ok(answer);
                }
                let account: Address = params.get(0)?;
                let nonce: U64 = serde_json::from_value(answer).map_err(RpcError::internal)?;
                Ok(json!(U64::from(gateway.next_nonce(&account, nonce.to()))))
            }
            _ => Ok(answer),
        }
    }

    fn syncing(&self) -> Result<Value, RpcError> {
        let head = *self.setup().head.borrow();
        if head.time_ms.saturating_add(SYNCED_MS) >= wall_ms() {
            return Ok(json!(false));
        }
        let block = json!(U64::from(self.setup().chain.tip().borrow().number));
        Ok(json!({
            "startingBlock": "0x0",
            "currentBlock": block,
            "highestBlock": block,
            "weftHeight": head.height.unwrap_or(0).to_string(),
            "weftTimeMs": head.time_ms.to_string(),
        }))
    }
}
