//! The engine's host: hands what it asks to the sequencer, at once.
//!
//! The engine waits for the answer to one question only, whether values are known for a round that
//! starts, and there are never any to name: its own log restores what it had been told. All other
//! answers come when the sequencer has them, so that no disk, mempool or fetch ever stalls a vote
//! or a timer.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types::{CommitCertificate, HeightParams, Round};
use arc_malachitebft_engine::host::{
    HostMsg, HostRef, LocallyProposedValue, Next, SyncedValueOutcome,
};
use arc_malachitebft_sync::RawDecidedValue;
use async_trait::async_trait;
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr};
use tokio::sync::mpsc;
use weft_consensus::engine::{Context, Height};
use weft_types::Address;

/// What the engine asks of the sequencer.
pub enum EngineEvent {
    /// It is ready for its first height.
    Ready(RpcReplyPort<(Height, HeightParams<Context>)>),
    /// It entered a round.
    StartedRound {
        /// Of which height.
        height: u64,
        /// Which.
        round: u32,
        /// Who proposes in it.
        proposer: Address,
    },
    /// It wants a value.
    ValueWanted {
        /// For which height.
        height: u64,
        /// For which round.
        round: u32,
        /// Where the value goes.
        reply: RpcReplyPort<LocallyProposedValue<Context>>,
    },
    /// It has decided; the answer says that this is on disk.
    Decided(CommitCertificate<Context>, RpcReplyPort<()>),
    /// It is done with a height; the answer says how to go on.
    Finalized {
        /// The faults it saw in the height.
        evidence: MisbehaviorEvidence<Context>,
        /// Where the answer goes.
        reply: RpcReplyPort<Next<Context>>,
    },
    /// A peer asks for blocks.
    DecidedValues {
        /// First height.
        from: u64,
        /// Last height.
        to: u64,
        /// Where the blocks go.
        reply: RpcReplyPort<Vec<RawDecidedValue<Context>>>,
    },
    /// A block came in by sync, with a certificate that holds.
    Synced {
        /// Its height.
        height: u64,
        /// Its round.
        round: u32,
        /// Who proposed in that round.
        proposer: Address,
        /// Its borsh, unchecked.
        bytes: Bytes,
        /// Where the verdict goes.
        reply: RpcReplyPort<SyncedValueOutcome<Context>>,
    },
}

/// The actor.
pub struct Host {
    events: mpsc::UnboundedSender<EngineEvent>,
}

impl Host {
    /// Starts it. Its queue needs no bound of its own: the engine asks a handful of questions per
    /// height and waits for their answers.
    pub async fn spawn(
        events: mpsc::UnboundedSender<EngineEvent>,
    ) -> Result<HostRef<Context>, SpawnErr> {
        let (host, _) = Actor::spawn(None, Self { events }, ()).await?;
        Ok(host)
    }
}

fn number(round: Round) -> u32 {
    round.as_u32().unwrap_or(0)
}

#[async_trait]
impl Actor for Host {
    type Msg = HostMsg<Context>;
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
        let event = match message {
            HostMsg::ConsensusReady { reply_to } => EngineEvent::Ready(reply_to),
            HostMsg::StartedRound { height, round, proposer, reply_to, .. } => {
                reply_to.send(Vec::new())?;
                EngineEvent::StartedRound {
                    height: height.0,
                    round: number(round),
                    proposer: proposer.0,
                }
            }
            HostMsg::GetValue { height, round, reply_to, .. } => {
                EngineEvent::ValueWanted { height: height.0, round: number(round), reply: reply_to }
            }
            HostMsg::Decided { certificate, reply_to, .. } => {
                EngineEvent::Decided(certificate, reply_to)
            }
            HostMsg::Finalized { evidence, reply_to, .. } => {
                EngineEvent::Finalized { evidence, reply: reply_to }
            }
            HostMsg::GetDecidedValues { range, reply_to } => EngineEvent::DecidedValues {
                from: range.start().0,
                to: range.end().0,
                reply: reply_to,
            },
            HostMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply_to } => {
                EngineEvent::Synced {
                    height: height.0,
                    round: number(round),
                    proposer: proposer.0,
                    bytes: value_bytes,
                    reply: reply_to,
                }
            }
            HostMsg::GetHistoryMinHeight { reply_to } => {
                // The log keeps every height.
                reply_to.send(Height(1))?;
                return Ok(());
            }
            HostMsg::ExtendVote { reply_to, .. } => {
                reply_to.send(None)?;
                return Ok(());
            }
            HostMsg::VerifyVoteExtensions { extensions, reply_to, .. } => {
                use arc_malachitebft_core_consensus::VoteExtensionError::InvalidVoteExtension;
                let refuse = |(voter, ())| (voter, Err(InvalidVoteExtension));
                reply_to.send(extensions.into_iter().map(refuse).collect())?;
                return Ok(());
            }
            // A proposal carries its whole value, whenever it is made again; parts do not exist.
            HostMsg::RestreamValue { .. } | HostMsg::ReceivedProposalPart { .. } => return Ok(()),
        };
        self.events.send(event).map_err(|_| "the sequencer is gone")?;
        Ok(())
    }
}
