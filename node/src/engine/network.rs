//! The engine's network, on top of the node's own.
//!
//! An actor that turns what the engine publishes into frames and requests. What comes in goes the
//! other way without it: the network hands checked messages to the [`Bus`](crate::p2p::Bus), which
//! the engine's actors subscribe to here.

use arc_malachitebft_codec::Codec as _;
use arc_malachitebft_engine::network::{Msg, NetworkRef, PersistentPeerError};
use arc_malachitebft_sync as sync;
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use tracing::{debug, error};
use weft_consensus::engine::Context;
use weft_consensus::engine::codec::{Codec, ConsensusMessage};

use crate::p2p::{Command, P2p};

/// The actor.
pub struct Network {
    p2p: P2p,
}

impl Network {
    /// Starts it.
    pub async fn spawn(p2p: P2p) -> Result<NetworkRef<Context>, SpawnErr> {
        let (network, _) = Actor::spawn(None, Self { p2p }, ()).await?;
        Ok(network)
    }

    async fn request(
        &self,
        peer: sync::PeerId,
        request: &sync::Request<Context>,
    ) -> Option<sync::OutboundRequestId> {
        let sync::Request::ValueRequest(request) = request;
        let heights = request.range.start().0..=request.range.end().0;
        self.p2p.sync_request(peer, heights).await
    }

    async fn command(&self, command: Command) {
        if self.p2p.commands().send(command).await.is_err() {
            debug!("the network is gone");
        }
    }
}

#[async_trait]
impl Actor for Network {
    type Msg = Msg<Context>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Subscribe(subscriber) => self.p2p.bus().subscribe(subscriber),
            Msg::PublishConsensusMsg(message) => match ConsensusMessage::from_engine(&message) {
                Ok(message) => self.p2p.consensus(message, false),
                Err(problem) => error!(%problem, "the engine published a malformed message"),
            },
            Msg::PublishLivenessMsg(message) => match ConsensusMessage::from_liveness(&message) {
                Ok(message) => self.p2p.consensus(message, true),
                Err(problem) => error!(%problem, "the engine published a malformed message"),
            },
            Msg::BroadcastStatus(status) => {
                let status = sync::Status {
                    peer_id: crate::p2p::sync_peer(&self.p2p.peer_id()),
                    tip_height: status.tip_height,
                    history_min_height: status.history_min_height,
                };
                self.p2p.status(&status);
            }
            Msg::OutgoingRequest(peer, request, reply) => {
                if let Some(id) = self.request(peer, &request).await {
                    // The engine may have given up meanwhile.
                    let _ = reply.send(id);
                }
            }
            Msg::OutgoingResponse(id, response) => match Codec.encode(&response) {
                Ok(bytes) => self.command(Command::SyncResponse(id, bytes)).await,
                Err(problem) => {
                    error!(%problem, "blocks for a peer do not encode");
                    self.command(Command::SyncCancel(id)).await;
                }
            },
            Msg::CancelInboundRequest(id) => self.command(Command::SyncCancel(id)).await,
            // libp2p cannot recall a request; a late answer finds nobody waiting.
            Msg::CancelRequest(_) => {}
            Msg::DumpState(reply) => {
                let _ = reply.send(None);
            }
            Msg::UpdatePersistentPeers(_, reply) => {
                let problem = "peers are configured in the node".to_owned();
                let _ = reply.send(Err(PersistentPeerError::InternalError(problem)));
            }
            // The network knows its validators by their hello, the committee from the sequencer,
            // and proposals have no parts.
            Msg::UpdateValidatorSet(_)
            | Msg::ValidatorProofVerified { .. }
            | Msg::PublishProposalPart(_)
            | Msg::NewEvent(_) => {}
        }
        Ok(())
    }
}
