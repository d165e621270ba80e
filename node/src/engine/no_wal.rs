//! In place of a write-ahead log, for a node that never votes. There is nothing it could forget,
//! and an fsync at each height would be most of what catching up takes.

use arc_malachitebft_engine::wal::{Msg, WalRef};
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use weft_consensus::engine::Context;

/// Answers as an empty log does.
pub struct NoWal;

impl NoWal {
    /// Starts it.
    pub async fn spawn() -> Result<WalRef<Context>, SpawnErr> {
        Ok(Actor::spawn(None, Self, ()).await?.0)
    }
}

#[async_trait]
impl Actor for NoWal {
    type Msg = Msg<Context>;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        (): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::StartedHeight(_, reply) => reply.send(Ok(Vec::new()))?,
            Msg::Reset(_, reply) | Msg::Append(_, _, reply) | Msg::Flush(reply) => {
                reply.send(Ok(()))?;
            }
            Msg::Dump => {}
        }
        Ok(())
    }
}
