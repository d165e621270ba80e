//! Asking nodes, and waiting for what they will say.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use borsh::BorshDeserialize;
use eyre::{WrapErr, bail, eyre};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use weft_types::{Block, Transaction, TransactionId};

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may be idle and be used again.
const IDLE: Duration = Duration::from_secs(5);

/// An HTTP client that waits so long for an answer.
pub fn http_client(patience: Duration) -> reqwest::Client {
    // Installed once per process; a second time is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Servers close what is idle for 10 s: what is about to be closed is not used again.
    let builder = reqwest::Client::builder().timeout(patience).pool_idle_timeout(IDLE);
    builder.build().expect("a client without special settings")
}

/// A client of one node's API.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// An answer that is no success.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The problem document.
    pub problem: Value,
}

impl Client {
    /// Of the node whose API listens there.
    pub fn new(api: SocketAddr) -> Self {
        Self::of_url(&format!("http://{api}"))
    }

    /// Of a URL.
    pub fn of_url(base: &str) -> Self {
        Self { base: base.to_owned(), http: http_client(PATIENCE) }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What is at a path, or how it was refused.
    pub async fn try_get(&self, path: &str) -> eyre::Result<Result<Value, Refused>> {
        let response = self.http.get(self.url(path)).send().await?;
        let status = response.status();
        let body: Value = response.json().await.wrap_err("no JSON")?;
        Ok(if status.is_success() {
            Ok(body)
        } else {
            Err(Refused { status: status.as_u16(), problem: body })
        })
    }

    /// What is at a path.
    pub async fn get(&self, path: &str) -> eyre::Result<Value> {
        match self.try_get(path).await? {
            Ok(value) => Ok(value),
            Err(refused) => bail!("{path}: {} {}", refused.status, refused.problem),
        }
    }

    /// The last decided height.
    pub async fn height(&self) -> eyre::Result<u64> {
        number(&self.get("/status").await?["height"])
    }

    /// Whether the node says it is ready, and why not.
    pub async fn ready(&self) -> eyre::Result<Result<(), String>> {
        Ok(match self.try_get("/ready").await? {
            Ok(_) => Ok(()),
            Err(refused) => {
                Err(refused.problem["detail"].as_str().unwrap_or("no reason").to_owned())
            }
        })
    }

    /// The id of a decided block.
    pub async fn block_id(&self, height: u64) -> eyre::Result<String> {
        let block = self.get(&format!("/v1/blocks/{height}")).await?;
        block["id"].as_str().map(str::to_owned).ok_or_else(|| eyre!("a block without id"))
    }

    /// A decided block, as its borsh, without its certificate: that may hold other votes on
    /// other nodes.
    pub async fn block_bytes(&self, height: u64) -> eyre::Result<Vec<u8>> {
        let response = self
            .http
            .get(self.url(&format!("/v1/blocks/{height}")))
            .header("accept", "application/octet-stream")
            .send()
            .await?
            .error_for_status()?;
        let mut bytes = response.bytes().await?.to_vec();
        let mut rest = &bytes[..];
        Block::deserialize(&mut rest).wrap_err("not the borsh of a block")?;
        let length = bytes.len() - rest.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The node's blocks from a height on, as they come.
    pub async fn blocks(&self, from: u64) -> eyre::Result<BlockStream> {
        self.events(&format!("/v1/blocks/stream?from={from}")).await.map(BlockStream)
    }

    /// What a stream sends, as it comes.
    pub async fn events(&self, path: &str) -> eyre::Result<EventStream> {
        // Without a time limit: a stream has no end.
        let http = reqwest::Client::builder().build()?;
        let body = http.get(self.url(path)).send().await?.error_for_status()?.bytes_stream();
        Ok(EventStream { body: body.boxed(), text: Vec::new() })
    }

    /// A decided block, whole.
    pub async fn block(&self, height: u64) -> eyre::Result<Block> {
        borsh::from_slice(&self.block_bytes(height).await?).wrap_err("not the borsh of a block")
    }

    /// Submits a transaction.
    pub async fn submit(
        &self,
        transaction: &Transaction,
    ) -> eyre::Result<Result<TransactionId, Refused>> {
        let response = self
            .http
            .post(self.url("/v1/transactions"))
            .header("content-type", "application/octet-stream")
            .body(borsh::to_vec(transaction)?)
            .send()
            .await?;
        let status = response.status();
        let body: Value = response.json().await.wrap_err("no JSON")?;
        if !status.is_success() {
            return Ok(Err(Refused { status: status.as_u16(), problem: body }));
        }
        let id = body["id"].as_str().and_then(|id| id.parse().ok());
        id.map(Ok).ok_or_else(|| eyre!("no id in {body}"))
    }

    /// Waits until a transaction is final, and returns what the node says of it.
    pub async fn wait_final(&self, id: &TransactionId, patience: Duration) -> eyre::Result<Value> {
        let path = format!("/v1/transactions/{id}");
        wait_for(&format!("transaction {id} to be final"), patience, || async {
            match self.try_get(&path).await {
                Ok(Ok(found)) if found["status"] == "final" => Ok(Some(found)),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Waits until the node has decided a height.
    pub async fn wait_height(&self, height: u64, patience: Duration) -> eyre::Result<u64> {
        wait_for(&format!("{} to reach height {height}", self.base), patience, || async {
            Ok(self.height().await.ok().filter(|reached| *reached >= height))
        })
        .await
    }

    /// Waits until the node says it is ready.
    pub async fn wait_ready(&self, patience: Duration) -> eyre::Result<()> {
        wait_for(&format!("{} to be ready", self.base), patience, || async {
            Ok(matches!(self.ready().await, Ok(Ok(()))).then_some(()))
        })
        .await
    }
}

/// A block, as a node's stream shows it.
#[derive(Clone, Debug)]
pub struct BlockEvent {
    /// Its height.
    pub height: u64,
    /// The round it was decided in.
    pub round: u64,
    /// The ids of what it orders.
    pub transactions: Vec<TransactionId>,
}

/// A node's blocks as they come.
pub struct BlockStream(EventStream);

impl BlockStream {
    /// The next block; `None` when the node ends the stream.
    pub async fn next(&mut self) -> eyre::Result<Option<BlockEvent>> {
        self.0.next().await?.as_ref().map(read_block).transpose()
    }
}

/// A stream's events as they come.
pub struct EventStream {
    body: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: Vec<u8>,
}

impl EventStream {
    /// The next event's data; `None` when the node ends the stream.
    pub async fn next(&mut self) -> eyre::Result<Option<Value>> {
        loop {
            while let Some(end) = self.text.windows(2).position(|w| w == b"\n\n") {
                let event: Vec<u8> = self.text.drain(..end + 2).collect();
                let mut lines = event.split(|b| *b == b'\n');
                if let Some(data) = lines.find_map(|line| line.strip_prefix(b"data: ")) {
                    return Ok(Some(serde_json::from_slice(data)?));
                }
            }
            match self.body.next().await {
                Some(chunk) => self.text.extend_from_slice(&chunk?),
                None => return Ok(None),
            }
        }
    }
}

fn read_block(block: &Value) -> eyre::Result<BlockEvent> {
    let ids = block["transactions"].as_array().ok_or_else(|| eyre!("no transactions"))?;
    let id = |id: &Value| id.as_str().and_then(|id| id.parse().ok());
    Ok(BlockEvent {
        height: number(&block["height"])?,
        round: block["round"].as_u64().ok_or_else(|| eyre!("no round"))?,
        transactions: ids.iter().map(id).collect::<Option<_>>().ok_or_else(|| eyre!("no id"))?,
    })
}

/// Waits until a look finds what is waited for.
pub async fn wait_for<T, F>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> F,
) -> eyre::Result<T>
where
    F: Future<Output = eyre::Result<Option<T>>>,
{
    let started = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if started.elapsed() > patience {
            bail!("waited {patience:?} in vain for {what}");
        }
        sleep(LOOK).await;
    }
}

/// A decimal string.
pub fn number(value: &Value) -> eyre::Result<u64> {
    value
        .as_str()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| eyre!("expected a decimal string, found {value}"))
}
