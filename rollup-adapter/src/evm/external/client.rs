//! JSON-RPC over HTTP to the engine, with bounded answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Largest answer that is read.
pub const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Most calls in one request.
pub const MAX_BATCH: usize = 500;
/// How long a call may take; mining a full block is the longest.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why a call to the engine came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// It cannot be reached. It may be back later.
    #[error("the engine cannot be reached: {0}")]
    Transport(String),
    /// It answered with an error.
    #[error("{message} (code {code})")]
    Rpc {
        /// The JSON-RPC error code.
        code: i64,
        /// What it says.
        message: String,
        /// What it adds.
        data: Option<Value>,
    },
    /// Its answer makes no sense.
    #[error("the engine's answer is malformed: {0}")]
    Malformed(String),
}

impl EngineError {
    /// Whether it refuses a transaction because its sender cannot pay for it, or the block has no gas left for it.
    pub fn is_unaffordable(&self) -> bool {
        // Of EIP-1474 and of the execution APIs.
        matches!(self, Self::Rpc { code: -32003 | -38014 | -38015, .. })
    }
}

/// A block as the engine describes it; what the driver looks at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineBlock {
    /// Its number.
    #[serde(with = "quantity")]
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The block before it.
    pub parent_hash: B256,
    /// Its timestamp.
    #[serde(with = "quantity")]
    pub timestamp: u64,
    /// Its gas limit.
    #[serde(with = "quantity")]
    pub gas_limit: u64,
    /// Gas it used.
    #[serde(with = "quantity")]
    pub gas_used: u64,
    /// Its base fee.
    #[serde(with = "quantity")]
    pub base_fee_per_gas: u64,
    /// Its coinbase.
    pub miner: Address,
    /// State root.
    pub state_root: B256,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
}

/// Numbers as JSON-RPC writes them.
mod quantity {
    use serde::{Deserialize, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        let text = String::deserialize(input)?;
        super::parse_quantity(&text).ok_or_else(|| D::Error::custom("expected a 0x-hex number"))
    }
}

fn parse_quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

impl Reply {
    fn result(self) -> Result<Value, EngineError> {
        match self.error {
            None => Ok(self.result),
            Some(RpcError { code, message, data }) => Err(EngineError::Rpc { code, message, data }),
        }
    }
}

/// An engine's JSON-RPC.
#[derive(Debug)]
pub struct EngineClient {
    url: Url,
    http: reqwest::Client,
    next_id: AtomicU64,
}

impl EngineClient {
    /// An engine at a URL.
    pub fn new(url: Url, http: reqwest::Client) -> Self {
        Self { url, http, next_id: AtomicU64::new(1) }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    fn request(&self, method: &str, params: &Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// Calls a method and returns whatever it returns.
    pub async fn call_raw(&self, method: &str, params: Value) -> Result<Value, EngineError> {
        let bytes = self.post(&self.request(method, &params)).await?;
        let reply: Reply = parse(&bytes)?;
        reply.result()
    }

    /// Calls a method.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, EngineError> {
        let result = self.call_raw(method, params).await?;
        serde_json::from_value(result).map_err(|e| EngineError::Malformed(e.to_string()))
    }

    /// Calls a method for several parameters at once. The order in which the engine does so is not
    /// known, so this is for reading only. Answers come in the order of the parameters.
    pub async fn read_many(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<Vec<Value>, EngineError> {
        let mut results = Vec::with_capacity(params.len());
        for chunk in params.chunks(MAX_BATCH) {
            let requests: Vec<Value> = chunk.iter().map(|p| self.request(method, p)).collect();
            let bytes = self.post(&Value::Array(requests.clone())).await?;
            let mut replies: Vec<Reply> = parse(&bytes)?;
            for request in &requests {
                let at = replies.iter().position(|reply| reply.id == request["id"]);
                let at = at.ok_or_else(|| EngineError::Malformed("an answer is missing".into()))?;
                results.push(replies.swap_remove(at).result()?);
            }
        }
        Ok(results)
    }

    async fn post(&self, body: &Value) -> Result<Vec<u8>, EngineError> {
        let transport =
            |error: reqwest::Error| EngineError::Transport(error.without_url().to_string());
        let request = self.http.post(self.url.clone()).timeout(TIMEOUT).json(body);
        let mut response = request.send().await.map_err(transport)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(EngineError::Malformed(format!("more than {MAX_ANSWER} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if bytes.is_empty() {
            return Err(EngineError::Transport(format!("HTTP status {}", response.status())));
        }
        Ok(bytes)
    }

    /// A block by number or tag; `None` if there is none.
    pub async fn block(&self, tag: impl Into<Value>) -> Result<Option<EngineBlock>, EngineError> {
        self.call("eth_getBlockByNumber", json!([tag.into(), false])).await
    }

    /// A block by number; `None` if there is none.
    pub async fn block_at(&self, number: u64) -> Result<Option<EngineBlock>, EngineError> {
        self.block(format!("{number:#x}")).await
    }

    /// Nonces of accounts as of the last block.
    pub async fn nonces(&self, accounts: &[Address]) -> Result<Vec<u64>, EngineError> {
        let params: Vec<Value> = accounts.iter().map(|a| json!([a, "latest"])).collect();
        let answers = self.read_many("eth_getTransactionCount", &params).await?;
        answers.iter().map(number).collect()
    }

    /// A number that a method returns.
    pub async fn number(&self, method: &str, params: Value) -> Result<u64, EngineError> {
        number(&self.call_raw(method, params).await?)
    }
}

fn number(value: &Value) -> Result<u64, EngineError> {
    let parsed = value.as_str().and_then(parse_quantity);
    parsed.ok_or_else(|| EngineError::Malformed("expected a 0x-hex number".into()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|e| EngineError::Malformed(e.to_string()))
}
