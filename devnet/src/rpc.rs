//! A wallet's view of a rollup: JSON-RPC over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use eyre::{WrapErr, eyre};
use serde_json::{Value, json};

use crate::client::{http_client, wait_for};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON-RPC client.
#[derive(Clone, Debug)]
pub struct Rpc {
    url: String,
    http: reqwest::Client,
}

/// The error a server answered with.
#[derive(Clone, Debug)]
pub struct RpcError(pub Value);

impl Rpc {
    /// Of the server that listens there.
    pub fn new(address: SocketAddr) -> Self {
        Self::of_url(&format!("http://{address}"))
    }

    /// Of a URL.
    pub fn of_url(url: &str) -> Self {
        Self { url: url.to_owned(), http: http_client(PATIENCE) }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method. The outer error is the connection's, the inner one the server's.
    pub async fn try_call(
        &self,
        method: &str,
        params: Value,
    ) -> eyre::Result<Result<Value, RpcError>> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(&self.url).json(&request).send().await?;
        let mut answer: Value = response.json().await.wrap_err("no JSON")?;
        if !answer["error"].is_null() {
            return Ok(Err(RpcError(answer["error"].take())));
        }
        Ok(Ok(answer["result"].take()))
    }

    /// Calls a method that is expected to succeed.
    pub async fn call(&self, method: &str, params: Value) -> eyre::Result<Value> {
        self.try_call(method, params).await?.map_err(|error| eyre!("{method}: {}", error.0))
    }

    /// A quantity.
    pub async fn quantity(&self, method: &str, params: Value) -> eyre::Result<u64> {
        quantity(&self.call(method, params).await?)
    }

    /// Waits until the rollup's node that answers here has taken in the slice of a Weft height.
    pub async fn reach(&self, height: u64, patience: Duration) -> eyre::Result<()> {
        let url = format!("{}/ready", self.url);
        let shown = || async { self.http.get(&url).send().await?.json::<Value>().await };
        wait_for(&format!("{url} to show height {height}"), patience, || async {
            // One that is being started again does not answer.
            let Ok(ready) = shown().await else { return Ok(None) };
            let at = ready["height"].as_str().and_then(|at| at.parse::<u64>().ok());
            Ok((at >= Some(height)).then_some(()))
        })
        .await
    }
}

/// A number in Ethereum's hexadecimal form.
pub fn quantity(value: &Value) -> eyre::Result<u64> {
    value
        .as_str()
        .and_then(|text| text.strip_prefix("0x"))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| eyre!("expected a quantity, found {value}"))
}
