//! `eth_subscribe`: what is pushed over a WebSocket. New blocks are read from the chain one by one,
//! so a slow reader is paced and misses none.

use alloy_primitives::U64;
use alloy_rpc_types_eth::Filter;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::error::RpcError;
use super::params::Params;
use super::socket::Outgoing;
use super::wire::notification;
use super::{Rpc, logs};
use crate::evm::chain::Tip;

/// What a subscription is about.
pub(super) enum Topic {
    Heads,
    Logs(Box<Filter>),
    Pending { full: bool },
}

impl Topic {
    /// Reads the parameters of `eth_subscribe`.
    pub(super) fn read(params: Vec<Value>) -> Result<Self, RpcError> {
        let params = Params(params);
        let name: String = params.get(0)?;
        match name.as_str() {
            "newHeads" => Ok(Self::Heads),
            "logs" => {
                let filter: Filter = params.optional(1)?.unwrap_or_default();
                logs::check(&filter)?;
                Ok(Self::Logs(Box::new(filter)))
            }
            "newPendingTransactions" => {
                Ok(Self::Pending { full: params.optional(1)?.unwrap_or(false) })
            }
            _ => Err(RpcError::params(format!(
                "no {:?} subscription in eth namespace",
                name.chars().take(50).collect::<String>()
            ))),
        }
    }
}

impl Rpc {
    /// Sends what is new until the socket is gone.
    pub(super) async fn publish(self, id: String, topic: Topic, socket: mpsc::Sender<Outgoing>) {
        let ended = match topic {
            Topic::Pending { full } => self.publish_pending(&id, full, &socket).await,
            topic => self.publish_blocks(&id, &topic, &socket).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%id, ?error, "subscription ended");
        }
    }

    async fn publish_blocks(
        &self,
        id: &str,
        topic: &Topic,
        socket: &mpsc::Sender<Outgoing>,
    ) -> Result<(), RpcError> {
        let mut tip = self.setup().chain.tip();
        let Tip { number: mut seen, mut unwinds, .. } = *tip.borrow_and_update();
        loop {
            let now = *tip.borrow_and_update();
            if std::mem::replace(&mut unwinds, now.unwinds) != now.unwinds {
                seen = seen.min(now.kept);
            }
            while seen < now.number {
                seen += 1;
                let Some(results) = self.of_block(topic, seen).await? else {
                    // It was taken back meanwhile.
                    seen -= 1;
                    break;
                };
                for result in results {
                    if socket.send(notification(id, &result).into()).await.is_err() {
                        return Ok(());
                    }
                }
            }
            tokio::select! {
                changed = tip.changed() => if changed.is_err() { return Ok(()) },
                () = socket.closed() => return Ok(()),
            }
        }
    }

    /// What to send about a block; `None` if there is none of that number.
    async fn of_block(&self, topic: &Topic, number: u64) -> Result<Option<Vec<Value>>, RpcError> {
        match topic {
            Topic::Logs(filter) => match self.logs_between(filter, number, number).await? {
                Value::Array(logs) => Ok(Some(logs)),
                _ => Ok(Some(Vec::new())),
            },
            _ => {
                let params = vec![json!(U64::from(number)), json!(false)];
                let mut block = self.read("eth_getBlockByNumber", params).await?;
                if let Some(fields) = block.as_object_mut() {
                    for field in ["transactions", "uncles", "withdrawals", "size"] {
                        fields.remove(field);
                    }
                }
                Ok((!block.is_null()).then(|| vec![block]))
            }
        }
    }

    async fn publish_pending(
        &self,
        id: &str,
        full: bool,
        socket: &mpsc::Sender<Outgoing>,
    ) -> Result<(), RpcError> {
        let mut hashes = self.setup().gateway.announcements();
        loop {
            let hash = tokio::select! {
                hash = hashes.recv() => match hash {
                    Ok(hash) => hash,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = socket.closed() => return Ok(()),
            };
            let result = if full {
                self.read("eth_getTransactionByHash", vec![json!(hash)]).await?
            } else {
                json!(hash)
            };
            if socket.send(notification(id, &result).into()).await.is_err() {
                return Ok(());
            }
        }
    }
}
