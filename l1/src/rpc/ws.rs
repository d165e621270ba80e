//! JSON-RPC over WebSocket: one connection, opened when it is needed and again when it breaks.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{Bounds, RpcError};

/// The id under which new blocks are subscribed to. Calls count from 1.
const SUBSCRIPTION: u64 = 0;

/// How often a connection over which nothing has been asked is looked at for news.
const LOOK: Duration = Duration::from_millis(100);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A provider over WebSocket.
pub(super) struct Ws {
    url: Url,
    bounds: Bounds,
    /// The connection, while there is one. Whoever asks holds it until it has been answered.
    stream: Mutex<Option<Stream>>,
    news: Notify,
}

impl Ws {
    pub(super) fn new(url: Url, bounds: Bounds) -> Self {
        crate::rpc::tls();
        Self { url, bounds, stream: Mutex::new(None), news: Notify::new() }
    }

    /// Sends a request and waits for what answers it. Whatever goes wrong ends the connection; so
    /// does giving up on the answer, since the next one would be taken for it.
    pub(super) async fn exchange(&self, body: &Value) -> Result<Vec<u8>, RpcError> {
        let mut held = self.stream.lock().await;
        let mut stream = match held.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.send(Message::text(body.to_string())).await.map_err(|e| self.broken(e))?;
        loop {
            let text = self.next(&mut stream).await?;
            if self.is_answer(&text) {
                *held = Some(stream);
                return Ok(text.into_bytes());
            }
        }
    }

    /// Waits for word of a new block.
    pub(super) async fn news(&self) {
        loop {
            tokio::select! {
                () = self.news.notified() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            // Nobody else reads while nothing is asked.
            let mut held = self.stream.lock().await;
            let Some(mut stream) = held.take() else { continue };
            match tokio::time::timeout(Duration::ZERO, stream.next()).await {
                Err(_) => *held = Some(stream),
                Ok(Some(Ok(message))) => {
                    if let Message::Text(text) = &message {
                        self.is_answer(text);
                    }
                    *held = Some(stream);
                }
                // It is opened anew when it is needed.
                Ok(_) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Stream, RpcError> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.bounds.max_answer))
            .max_frame_size(Some(self.bounds.max_answer));
        let connecting = connect_async_with_config(self.url.as_str(), Some(config), true);
        let (mut stream, _) = connecting.await.map_err(|e| self.broken(e))?;
        let params = json!(["newHeads"]);
        let subscribe = json!({
            "jsonrpc": "2.0", "id": SUBSCRIPTION, "method": "eth_subscribe", "params": params
        });
        stream.send(Message::text(subscribe.to_string())).await.map_err(|e| self.broken(e))?;
        Ok(stream)
    }

    async fn next(&self, stream: &mut Stream) -> Result<String, RpcError> {
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Binary(_))) => {
                    return Err(RpcError::Malformed("a binary message".to_owned()));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(RpcError::Transport("the connection was closed".to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.broken(error)),
            }
        }
    }

    /// Whether a message answers a call; otherwise it is news, or about the subscription.
    fn is_answer(&self, text: &str) -> bool {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return true };
        if message["method"] == "eth_subscription" {
            self.news.notify_one();
            return false;
        }
        message["id"] != SUBSCRIPTION
    }

    fn broken(&self, error: tungstenite::Error) -> RpcError {
        match error {
            tungstenite::Error::Capacity(_) => RpcError::TooLarge(self.bounds.max_answer),
            tungstenite::Error::Http(response) if response.status().as_u16() == 429 => {
                RpcError::RateLimited(None)
            }
            other => RpcError::Transport(super::shorten(&other.to_string(), 100)),
        }
    }
}
