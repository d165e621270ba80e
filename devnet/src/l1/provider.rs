//! A provider of Ethereum that can be told to go wrong: a process between a node and a chain.
//!
//! What it does wrong stands in a file, which it reads at every request, so that it can be changed
//! from anywhere, such as with `echo '{"mode":"lag","blocks":50}' > provider-0.fault.json`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use eyre::{WrapErr, eyre};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::fault::{Fault, Liar, lagging_tag};
use crate::client::http_client;

/// How long the chain may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one.
#[derive(Clone, Debug, clap::Args)]
pub struct ProviderCommand {
    /// JSON-RPC of the chain
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where to answer
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The file that says what to do wrong; nothing while there is none
    #[arg(long, value_name = "FILE")]
    fault: PathBuf,
}

#[derive(Clone)]
struct Provider {
    upstream: Arc<str>,
    fault: Arc<Path>,
    http: reqwest::Client,
    liar: Arc<Mutex<Liar>>,
}

impl ProviderCommand {
    /// Runs it until it is told to stop.
    pub async fn run(self) -> eyre::Result<()> {
        let listener = TcpListener::bind(self.listen)
            .await
            .wrap_err_with(|| format!("cannot listen on {}", self.listen))?;
        let provider = Provider {
            upstream: self.upstream.into(),
            fault: self.fault.into(),
            http: http_client(PATIENCE),
            liar: Arc::default(),
        };
        let router = Router::new().fallback(any(answer)).with_state(provider);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = axum::serve(listener, router).into_future() => Ok(ended?),
            // Those who wait for an answer may wait in vain.
            _ = terminate.recv() => Ok(()),
        }
    }
}

/// How a request ends.
enum Ending {
    Answer(Value),
    Status(StatusCode),
    Never,
    HangUp,
    Text(&'static str),
    Endless,
}

async fn answer(
    State(provider): State<Provider>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    body: Bytes,
) -> Response {
    if let Ok(upgrade) = upgrade {
        return upgrade.on_upgrade(|socket| provider.converse(socket));
    }
    match provider.ending(&body).await {
        Ending::Answer(value) => axum::Json(value).into_response(),
        Ending::Status(status) => (status, [(header::RETRY_AFTER, "1")]).into_response(),
        Ending::Never => std::future::pending().await,
        Ending::HangUp => {
            let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("hangs up"))]);
            Body::from_stream(broken).into_response()
        }
        Ending::Text(text) => text.into_response(),
        Ending::Endless => {
            let chunk = Bytes::from(vec![b'['; 64 * 1024]);
            let chunks = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(chunks).into_response()
        }
    }
}

impl Provider {
    async fn converse(self, mut socket: WebSocket) {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let reply = match self.ending(text.as_bytes()).await {
                Ending::Answer(value) => value.to_string(),
                Ending::Text(text) => text.to_owned(),
                Ending::Endless => "[".repeat(64 * 1024 * 1024),
                Ending::Never => std::future::pending().await,
                Ending::Status(_) | Ending::HangUp => return,
            };
            if socket.send(Message::text(reply)).await.is_err() {
                return;
            }
        }
    }

    async fn ending(&self, body: &[u8]) -> Ending {
        let fault = std::fs::read(&self.fault).ok();
        let fault = fault.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        match fault {
            Fault::RateLimit => return Ending::Status(StatusCode::TOO_MANY_REQUESTS),
            Fault::Stall => return Ending::Never,
            Fault::Drop => return Ending::HangUp,
            Fault::Garbage => return Ending::Text("\u{1}<html>503 try again</html>"),
            Fault::Endless => return Ending::Endless,
            _ => {}
        }
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return Ending::Status(StatusCode::BAD_REQUEST);
        };
        match self.ask(fault, request).await {
            Ok(value) => Ending::Answer(value),
            Err(_) => Ending::Status(StatusCode::BAD_GATEWAY),
        }
    }

    async fn ask(&self, fault: Fault, request: Value) -> eyre::Result<Value> {
        let single = request.is_object();
        let calls = if single { vec![request] } else { array(request)? };
        let known = match fault {
            Fault::Lag { .. } => self.tagged().await?,
            _ => Tagged::default(),
        };
        let asked: Vec<Value> = calls
            .iter()
            .map(|call| {
                let mut asked = self.liar().request(call);
                if let Fault::Lag { blocks } = fault {
                    lagging_tag(&mut asked, blocks, |tag| known.of(tag));
                }
                asked
            })
            .collect();
        let mut answers = array(self.post(&Value::Array(asked)).await?)?;
        for answer in &mut answers {
            let call = calls.iter().find(|call| call["id"] == answer["id"]);
            if let Some(call) = call {
                self.liar().answer(fault, call, answer, known.latest);
            }
        }
        match (single, answers.pop()) {
            (true, Some(only)) => Ok(only),
            (_, last) => Ok(answers.into_iter().chain(last).collect()),
        }
    }

    /// The numbers of the blocks with a tag.
    async fn tagged(&self) -> eyre::Result<Tagged> {
        let of = |tag: &str| {
            json!({
                "jsonrpc": "2.0", "id": tag, "method": "eth_getBlockByNumber", "params": [tag, false]
            })
        };
        let tags = ["latest", "safe", "finalized"];
        let answers = array(self.post(&tags.map(of).into_iter().collect()).await?)?;
        let number = |tag: &str| {
            let block = answers.iter().find(|answer| answer["id"] == tag);
            block.and_then(|block| crate::rpc::quantity(&block["result"]["number"]).ok())
        };
        let [latest, safe, finalized] = tags.map(|tag| number(tag).unwrap_or(0));
        Ok(Tagged { latest, safe, finalized })
    }

    async fn post(&self, body: &Value) -> eyre::Result<Value> {
        let response = self.http.post(&*self.upstream).json(body).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    fn liar(&self) -> std::sync::MutexGuard<'_, Liar> {
        self.liar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Tagged {
    latest: u64,
    safe: u64,
    finalized: u64,
}

impl Tagged {
    fn of(&self, tag: &str) -> u64 {
        match tag {
            "safe" => self.safe,
            "finalized" => self.finalized,
            _ => self.latest,
        }
    }
}

fn array(value: Value) -> eyre::Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(eyre!("expected an array: {other}")),
    }
}
