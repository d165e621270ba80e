//! A small client of the API, for the commands.

use eyre::{WrapErr, bail, eyre};
use serde::Deserialize;
use serde_json::Value;
use weft_types::Transaction;

/// Asks a node.
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
}

/// What `/status` says that commands need.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) chain_id: String,
    pub(super) height: String,
    pub(super) time_ms: String,
    pub(super) price_per_byte: String,
}

impl Client {
    pub(super) fn new(base: &str) -> eyre::Result<Self> {
        // Installed once per process; a second time is no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(10))
            .build()
            .wrap_err("cannot make an HTTP client")?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    pub(super) async fn get(&self, path: &str) -> eyre::Result<Value> {
        let url = format!("{}{path}", self.base);
        let response =
            self.http.get(&url).send().await.wrap_err_with(|| format!("cannot reach {url}"))?;
        Self::read(response).await
    }

    /// Like [`get`](Self::get), with `None` for what does not exist.
    pub(super) async fn find(&self, path: &str) -> eyre::Result<Option<Value>> {
        let url = format!("{}{path}", self.base);
        let response =
            self.http.get(&url).send().await.wrap_err_with(|| format!("cannot reach {url}"))?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        Self::read(response).await.map(Some)
    }

    pub(super) async fn status(&self) -> eyre::Result<Status> {
        Ok(serde_json::from_value(self.get("/status").await?)?)
    }

    pub(super) async fn submit(&self, transaction: &Transaction) -> eyre::Result<String> {
        let url = format!("{}/v1/transactions", self.base);
        let response = self
            .http
            .post(&url)
            .header("content-type", "application/octet-stream")
            .body(borsh::to_vec(transaction)?)
            .send()
            .await
            .wrap_err_with(|| format!("cannot reach {url}"))?;
        let answer = Self::read(response).await?;
        answer["id"].as_str().map(str::to_owned).ok_or_else(|| eyre!("no id in {answer}"))
    }

    async fn read(response: reqwest::Response) -> eyre::Result<Value> {
        let status = response.status();
        let body: Value = response.json().await.wrap_err("the node did not answer with JSON")?;
        if status.is_success() {
            return Ok(body);
        }
        let field = body["field"].as_str().map(|field| format!("{field}: ")).unwrap_or_default();
        bail!("{status}: {field}{}", body["detail"].as_str().unwrap_or("no detail"))
    }
}
