//! One WebSocket connection: calls, subscriptions, and an orderly end.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::Rpc;
use super::error::RpcError;
use super::subscribe::Topic;
use super::wire::{self, Answer, Call, Incoming};
use crate::random;

/// Most subscriptions of one connection.
pub const MAX_SUBSCRIPTIONS: usize = 64;
/// Most calls of one connection that are answered at a time, answers not sent yet included.
const MAX_CALLS: usize = 16;
/// Most messages that wait to be sent; who reads slower is paced.
const OUTBOX: usize = 256;

/// Serves a connection until it or the process ends.
pub(super) async fn serve(rpc: Rpc, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (outbox, mut inbox) = mpsc::channel::<Outgoing>(OUTBOX);
    let mut shutdown = rpc.setup().shutdown.clone();
    let writer = tokio::spawn(async move {
        while let Some(Outgoing { text, slot }) = inbox.recv().await {
            if sink.send(Message::Text(text.into())).await.is_err() {
                return;
            }
            drop(slot);
        }
        let _ = sink.close().await;
    });
    let mut connection = Connection {
        rpc,
        outbox,
        subscriptions: HashMap::new(),
        tasks: JoinSet::new(),
        slots: Arc::new(Semaphore::new(MAX_CALLS)),
    };
    loop {
        let message = tokio::select! {
            message = stream.next() => message,
            () = shutdown.requested() => break,
        };
        match message {
            Some(Ok(Message::Text(text))) => connection.take(text.as_bytes()).await,
            Some(Ok(Message::Binary(bytes))) => connection.take(&bytes).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
        }
    }
    // Ends subscriptions and calls, and with them the writer.
    drop(connection);
    writer.abort();
}

/// Something to be sent.
pub(super) struct Outgoing {
    text: String,
    /// What an answer occupies until it is sent: who asks without reading is not answered on.
    slot: Option<OwnedSemaphorePermit>,
}

impl From<Value> for Outgoing {
    fn from(value: Value) -> Self {
        Self { text: value.to_string(), slot: None }
    }
}

struct Connection {
    rpc: Rpc,
    outbox: mpsc::Sender<Outgoing>,
    subscriptions: HashMap<String, AbortHandle>,
    tasks: JoinSet<()>,
    slots: Arc<Semaphore>,
}

impl Connection {
    async fn take(&mut self, bytes: &[u8]) {
        while self.tasks.try_join_next().is_some() {}
        let incoming = wire::read(bytes, self.rpc.setup().limits.batch);
        let incoming = match incoming {
            Incoming::Single(Ok(call)) if is_about_subscriptions(&call.method) => {
                self.subscription_call(call).await;
                return;
            }
            incoming => incoming,
        };
        // Waiting here paces a client that asks faster than it is answered.
        let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
        let (rpc, outbox) = (self.rpc.clone(), self.outbox.clone());
        self.tasks.spawn(async move {
            if let Some(text) = rpc.answer(incoming).await {
                let _ = outbox.send(Outgoing { text, slot: Some(slot) }).await;
            }
        });
    }

    /// The answer goes out before the first notification.
    async fn subscription_call(&mut self, call: Call) {
        let Call { id, method, params } = call;
        let mut topic = None;
        let result = if method == "eth_subscribe" {
            self.subscribe(params).map(|(name, about)| {
                topic = Some((name.clone(), about));
                json!(name)
            })
        } else {
            let name = params.first().and_then(Value::as_str).unwrap_or_default();
            match self.subscriptions.remove(name) {
                Some(task) => {
                    task.abort();
                    Ok(json!(true))
                }
                None => Err(RpcError::server("subscription not found")),
            }
        };
        if let Some(id) = id {
            let text = Answer::new(id, result).text();
            let _ = self.outbox.send(Outgoing { text, slot: None }).await;
        }
        if let Some((name, topic)) = topic {
            let publish = self.rpc.clone().publish(name.clone(), topic, self.outbox.clone());
            self.subscriptions.insert(name, self.tasks.spawn(publish));
        }
    }

    fn subscribe(&self, params: Vec<Value>) -> Result<(String, Topic), RpcError> {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(RpcError::limit(format!("more than {MAX_SUBSCRIPTIONS} subscriptions")));
        }
        let topic = Topic::read(params)?;
        Ok((format!("{:#034x}", u128::from(random::bits())), topic))
    }
}

fn is_about_subscriptions(method: &str) -> bool {
    matches!(method, "eth_subscribe" | "eth_unsubscribe")
}
