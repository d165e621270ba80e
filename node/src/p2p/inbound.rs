//! The reading end: nothing a peer sends gets further than this unless it is well formed, signed
//! by whom it claims, and of this network.
//!
//! A peer that breaks a rule is disconnected and shut out for a while. A peer that merely sends
//! more than its share is read more slowly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_codec::Codec as _;
use arc_malachitebft_engine::network::{NetworkEvent, Status};
use arc_malachitebft_network::Channel;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use futures::{AsyncRead, StreamExt};
use libp2p::{Multiaddr, PeerId, Stream};
use libp2p_stream::IncomingStreams;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, warn};
use weft_consensus::engine::codec::{self, Codec, ConsensusMessage, ProposalMessage};
use weft_consensus::engine::{Context, ValidatorId, Verifier};
use weft_types::{
    Address, Batch, BlockId, Committee, Height, L1Events, Observation, Transaction, Unverified,
    Verified,
};

use super::bus::Bus;
use super::frame::{self, FrameError};
use super::limit::{Budget, Limit};
use super::message::{
    Bulk, Hello, Introduction, MAX_ADDRESS, MAX_ADDRESSES, MAX_AGENT, MAX_BULK_FRAME,
    MAX_FORWARDED, MAX_INTRODUCED, MAX_URGENT_FRAME, Urgent, WIRE_VERSION,
};
use super::peers::{Gone, Kind, Peers};
use super::seats::Seats;
use super::swarm::Command;

/// An observation, and the committee that it was checked against.
pub type Checked = (Verified<Observation>, Arc<Committee>);

/// How long a peer has to introduce itself.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How many heights ahead of the tip a message may be: the one being decided, and the one after it,
/// which faster peers are at. Behind the tip nothing is of use; further ahead sync is.
const LOOKAHEAD: Height = 2;

/// What a validator may send: votes and observations of a hundred heights a second, batches at the
/// pace of a fast network.
const VALIDATOR_URGENT: (u32, u32) = (8 * 1024 * 1024, 4_000);
const VALIDATOR_BULK: (u32, u32) = (64 * 1024 * 1024, 2_000);

/// What anybody else may send: where it stands, and transactions to pass on.
const OTHER_URGENT: (u32, u32) = (64 * 1024, 200);
const OTHER_BULK: (u32, u32) = (4 * 1024 * 1024, 200);

/// Batches being checked at once. Checking is all computation.
const BATCH_CHECKS_AT_ONCE: usize = 2;

/// What one may send, by whether it has a seat.
struct Limits {
    validator: Limit,
    other: Limit,
}

impl Limits {
    fn new(validator: (u32, u32), other: (u32, u32)) -> Self {
        let limit = |(bytes, frames)| Limit::new(bytes, frames);
        Self { validator: limit(validator), other: limit(other) }
    }

    async fn take(&mut self, seated: bool, bytes: usize) {
        let limit = if seated { &mut self.validator } else { &mut self.other };
        limit.take(bytes).await;
    }
}

/// What came in and was checked.
#[derive(Debug)]
pub enum NetEvent {
    /// A peer has introduced itself.
    PeerUp(PeerId, Option<Address>),
    /// A peer that had introduced itself is gone.
    PeerDown(PeerId),
    /// A batch.
    Batch(Arc<Verified<Batch>>),
    /// An observation.
    Observation(Verified<Observation>, Arc<Committee>),
    /// Events of an L1 block, fetched.
    Events(Arc<Verified<L1Events>>),
    /// A proposal: what it proposes; the engine has been given the rest.
    Proposal(Box<ProposalMessage>),
    /// A validator has decided a height.
    PeerHeight(Address, Height),
    /// Transactions that a full node passes on.
    Transactions(Vec<Verified<Transaction>>),
    /// A validator asks for what it lacks.
    Fetch(super::FetchJob),
}

/// Why a peer is shut out.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A frame that is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No hello in time, or something else first.
    #[error("did not introduce itself")]
    NoHello,
    /// Another version of the wire.
    #[error("speaks wire version {0}, this node {WIRE_VERSION}")]
    Version(u16),
    /// Another network.
    #[error("is on the network of genesis {0}")]
    Genesis(BlockId),
    /// A hello that is malformed.
    #[error("introduced itself badly")]
    BadHello,
    /// A second stream of a kind: the two ends disagree on whether a connection stands.
    #[error("opened a stream again")]
    Again,
    /// The connection that it belonged to is gone.
    #[error("is gone")]
    Gone,
    /// A proof of being a validator that does not hold.
    #[error("claims to be validator {0} without proof")]
    BadProof(Address),
    /// This node's own validator key, used by another node.
    #[error("runs with this node's own validator key")]
    OwnKey,
    /// A message that only validators send.
    #[error("is no validator and sent {0}")]
    NotValidator(&'static str),
    /// A message that does not check.
    #[error("sent a bad {0}: {1}")]
    Bad(&'static str, String),
    /// This node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

impl Fault {
    fn is_peer_fault(&self) -> bool {
        match self {
            Self::Frame(error) => error.is_peer_fault(),
            // A slow peer is not a bad one, nor is one that has come back before it was missed.
            Self::NoHello | Self::Again | Self::Gone | Self::Stopping => false,
            _ => true,
        }
    }
}

/// What every reader needs.
pub struct Inbound {
    /// The network's number.
    pub chain_id: u64,
    /// The network.
    pub genesis: BlockId,
    /// This node's own validator.
    pub own: Option<Address>,
    /// Who is connected.
    pub peers: Peers,
    /// Checks signatures, once.
    pub verifier: Verifier,
    /// Who holds the seats.
    pub seats: watch::Receiver<Seats>,
    /// To the engine.
    pub bus: Bus,
    /// To the sequencer.
    pub events: mpsc::Sender<NetEvent>,
    /// To the swarm.
    pub swarm: mpsc::Sender<Command>,
    /// What has been heard lately of a signer at a height.
    pub heard: Budget<(Address, Height)>,
    /// Permits for checking batches.
    pub batch_checks: Arc<Semaphore>,
    /// Permits for checking transactions that are passed on: batches do not wait for these.
    pub transaction_checks: Arc<Semaphore>,
}

/// Permits for [`Inbound::batch_checks`].
pub fn batch_checks() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BATCH_CHECKS_AT_ONCE))
}

/// Permits for [`Inbound::transaction_checks`].
pub fn transaction_checks() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// Accepts streams of a kind for as long as the node runs.
pub async fn accept(inbound: Arc<Inbound>, mut incoming: IncomingStreams, kind: Kind) {
    while let Some((peer, stream)) = incoming.next().await {
        let inbound = Arc::clone(&inbound);
        let Some(generation) = inbound.peers.generation(&peer) else { continue };
        tokio::spawn(async move {
            let result = match inbound.greet(peer, generation, stream, kind).await {
                // A stream that ends before its hello was opened into another stay.
                Err(Fault::Frame(FrameError::Io(_)) | Fault::NoHello | Fault::Gone) => return,
                Err(fault) => Err(fault),
                Ok((stream, hello)) => match kind {
                    Kind::Urgent => inbound.read_urgent(peer, generation, stream, hello).await,
                    Kind::Bulk => inbound.read_bulk(stream, hello).await,
                },
            };
            let Err(fault) = result else { return };
            let command = if fault.is_peer_fault() {
                warn!(%peer, %fault, "shutting a peer out");
                Command::ShutOut(peer)
            } else {
                debug!(%peer, %fault, "stream closed");
                Command::Disconnect(peer, generation)
            };
            let _ = inbound.swarm.send(command).await;
        });
    }
}

impl Inbound {
    /// Reads a stream's first frame. A second stream of a kind is one too many.
    async fn greet(
        &self,
        peer: PeerId,
        generation: u64,
        mut stream: Stream,
        kind: Kind,
    ) -> Result<(Stream, Hello), Fault> {
        let hello = self.hello(peer, &mut stream).await?;
        match self.peers.open(&peer, generation, kind) {
            Ok(true) => Ok((stream, hello)),
            Ok(false) => Err(Fault::Again),
            Err(Gone) => Err(Fault::Gone),
        }
    }

    async fn read_urgent(
        &self,
        peer: PeerId,
        generation: u64,
        mut stream: Stream,
        hello: Hello,
    ) -> Result<(), Fault> {
        let identity = hello.validator.map(|proof| proof.address);
        let tip = hello.tip;
        if !self.peers.introduce(&peer, generation, hello) {
            return Err(Fault::Gone);
        }
        // This makes the engine's sync tell the peer where this node stands.
        let id = sync_peer(&peer);
        self.bus.emit(&NetworkEvent::PeerConnected(id));
        self.bus.emit(&NetworkEvent::PeerSubscribed(id, Channel::Sync));
        let seated = self.seated(identity);
        self.tell(NetEvent::PeerUp(peer, seated)).await?;
        if let Some(validator) = seated {
            self.tell(NetEvent::PeerHeight(validator, tip)).await?;
        }
        let mut limits = Limits::new(VALIDATOR_URGENT, OTHER_URGENT);
        loop {
            let frame = frame::read(&mut stream, MAX_URGENT_FRAME).await?;
            let seated = self.seated(identity);
            limits.take(seated.is_some(), frame.len()).await;
            let message = frame::decode(&frame)?;
            let kind = match &message {
                Urgent::Hello(_) => return Err(Fault::BadHello),
                Urgent::Status(_) => None,
                Urgent::Consensus(_) | Urgent::Again(_) => Some("a vote or proposal"),
                Urgent::Observation(_) => Some("an observation"),
                Urgent::Validators(_) => Some("a list of validators"),
            };
            let from = match (kind, identity, seated) {
                (Some(kind), None, _) => return Err(Fault::NotValidator(kind)),
                // It had a seat a moment ago, or will have one that is not known here yet.
                (Some(_), Some(_), None) => continue,
                (_, identity, _) => identity.unwrap_or_default(),
            };
            match message {
                Urgent::Hello(_) => return Err(Fault::BadHello),
                Urgent::Status(bytes) => self.status(peer, seated, bytes)?,
                Urgent::Consensus(message) => {
                    self.consensus(peer, from, message, &frame, false).await?;
                }
                Urgent::Again(message) => {
                    self.consensus(peer, from, message, &frame, true).await?;
                }
                Urgent::Observation(observation) => self.observation(observation).await?,
                Urgent::Validators(list) => self.validators(list).await?,
            }
        }
    }

    /// A validator, if it has a seat now or in the next epoch.
    fn seated(&self, identity: Option<Address>) -> Option<Address> {
        identity.filter(|validator| self.seats.borrow().recognizes(validator))
    }

    async fn read_bulk(&self, mut stream: Stream, hello: Hello) -> Result<(), Fault> {
        let identity = hello.validator.map(|proof| proof.address);
        let mut limits = Limits::new(VALIDATOR_BULK, OTHER_BULK);
        loop {
            let frame = frame::read(&mut stream, MAX_BULK_FRAME).await?;
            limits.take(self.seated(identity).is_some(), frame.len()).await;
            match frame::decode(&frame)? {
                Bulk::Batch(_) if identity.is_none() => return Err(Fault::NotValidator("a batch")),
                Bulk::Batch(batch) => {
                    let author = batch.body.lane.author;
                    if self.seats.borrow().committee.index_of(&author).is_none() {
                        continue;
                    }
                    let batch = self.check_batch(batch).await?;
                    self.tell(NetEvent::Batch(batch)).await?;
                }
                Bulk::Transactions(list) if list.len() > MAX_FORWARDED => {
                    let problem = format!("{} at once", list.len());
                    return Err(Fault::Bad("list of transactions", problem));
                }
                Bulk::Transactions(list) => {
                    let checked = self.check_transactions(list).await;
                    self.tell(NetEvent::Transactions(checked)).await?;
                }
            }
        }
    }

    async fn hello<R: AsyncRead + Unpin>(
        &self,
        peer: PeerId,
        stream: &mut R,
    ) -> Result<Hello, Fault> {
        let frame = timeout(HELLO_TIMEOUT, frame::read(stream, MAX_URGENT_FRAME))
            .await
            .map_err(|_| Fault::NoHello)??;
        let Urgent::Hello(hello) = frame::decode(&frame)? else {
            return Err(Fault::BadHello);
        };
        if hello.version != WIRE_VERSION {
            return Err(Fault::Version(hello.version));
        }
        if hello.genesis != self.genesis {
            return Err(Fault::Genesis(hello.genesis));
        }
        let printable = hello.agent.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if hello.agent.len() > MAX_AGENT || !printable {
            return Err(Fault::BadHello);
        }
        if let Some(proof) = &hello.validator {
            if !proof.holds(self.chain_id, &peer) {
                return Err(Fault::BadProof(proof.address));
            }
            if self.own == Some(proof.address) {
                return Err(Fault::OwnKey);
            }
        }
        Ok(hello)
    }

    fn status(
        &self,
        peer: PeerId,
        validator: Option<Address>,
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        let status: sync::Status<Context> = Codec
            .decode(bytes.into())
            .map_err(|e: codec::CodecError| Fault::Bad("status", e.to_string()))?;
        if status.peer_id != sync_peer(&peer) {
            return Err(Fault::Bad("status", "of another peer".to_owned()));
        }
        let (tip, from) = (status.tip_height, status.history_min_height);
        self.bus.status(status.peer_id, Status::new(tip, from));
        if let Some(validator) = validator {
            // A hint that something was decided: lost if the sequencer is that busy.
            let _ = self.events.try_send(NetEvent::PeerHeight(validator, tip.0));
        }
        Ok(())
    }

    /// Validators to connect to, unless this node is none itself. One that is connected already
    /// needs no look.
    async fn validators(&self, list: Vec<Introduction>) -> Result<(), Fault> {
        if list.len() > MAX_INTRODUCED {
            return Err(Fault::Bad("list of validators", format!("{} at once", list.len())));
        }
        if self.seated(self.own).is_none() {
            return Ok(());
        }
        for Introduction { peer, proof, addresses } in list {
            let wanted = self.seated(Some(proof.address)).is_some()
                && self.own != Some(proof.address)
                && self.peers.of_validator(&proof.address).is_none();
            if !wanted {
                continue;
            }
            let bad = |what: &str| Fault::Bad("introduction", what.to_owned());
            let peer = PeerId::from_bytes(&peer).map_err(|_| bad("no peer id"))?;
            if !proof.holds(self.chain_id, &peer) {
                return Err(bad("the validator does not vouch for the peer id"));
            }
            let short = addresses.iter().all(|address| address.len() <= MAX_ADDRESS);
            if addresses.len() > MAX_ADDRESSES || !short {
                return Err(bad("too many addresses, or too long"));
            }
            let addresses: Result<Vec<_>, _> =
                addresses.into_iter().map(Multiaddr::try_from).collect();
            let addresses = addresses.map_err(|_| bad("no address"))?;
            let command = Command::Introduce(peer, proof.address, addresses);
            self.swarm.send(command).await.map_err(|_| Fault::Stopping)?;
        }
        Ok(())
    }

    /// A message of the engine. What is early waits in its queue, so that no signer may say too
    /// much.
    ///
    /// `again` if its sender sends it for the second time, since the height is slow: a link between
    /// two validators may be broken. Then it is passed on, once, for those who do not hear the
    /// sender. So any connected network makes progress, and a calm one carries nothing twice.
    async fn consensus(
        &self,
        peer: PeerId,
        from: Address,
        message: ConsensusMessage,
        frame: &[u8],
        again: bool,
    ) -> Result<(), Fault> {
        let (tip, height) = (self.seats.borrow().tip, message.height());
        if height <= tip || height > tip + LOOKAHEAD {
            return Ok(());
        }
        let event = self.check_consensus(peer, &message)?;
        if !self.heard.spend((signer_of(&message, from), height), frame) {
            return Ok(());
        }
        if again && height == tip + 1 {
            self.pass_on(frame, &from);
        }
        if let ConsensusMessage::Proposal(proposal) = message {
            self.tell(NetEvent::Proposal(proposal)).await?;
        }
        self.bus.emit(&event);
        Ok(())
    }

    /// Queues a frame's content for every validator but the one it came from.
    fn pass_on(&self, content: &[u8], from: &Address) {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
        let frame = Bytes::from([&length[..], content].concat());
        self.peers.urgent(&frame, |peer| peer.validator().is_some_and(|v| v != *from));
    }

    fn check_consensus(
        &self,
        peer: PeerId,
        message: &ConsensusMessage,
    ) -> Result<NetworkEvent<Context>, Fault> {
        let from = sync_peer(&peer);
        let seats = self.seats.borrow().clone();
        let height = message.height();
        let member = |address: &Address| {
            seats.of_height(height).any(|committee| committee.index_of(address).is_some())
        };
        let bad_vote = || Fault::Bad("vote", "signature or voter".to_owned());
        match message {
            ConsensusMessage::Vote(message) => {
                let vote = codec::signed_vote(message.clone());
                if member(&message.voter)
                    && self.verifier.check_vote(&vote.message, &vote.signature)
                {
                    Ok(NetworkEvent::Vote(from, vote))
                } else {
                    Err(bad_vote())
                }
            }
            ConsensusMessage::Proposal(message) => {
                let proposal = codec::signed_proposal((**message).clone())
                    .map_err(|e| Fault::Bad("proposal", e.to_string()))?;
                let signed = self.verifier.check_proposal(&proposal.message, &proposal.signature);
                if member(&message.proposer) && signed {
                    Ok(NetworkEvent::Proposal(from, proposal))
                } else {
                    Err(Fault::Bad("proposal", "signature or proposer".to_owned()))
                }
            }
            ConsensusMessage::Polka(message) => {
                let polka = codec::polka(message.clone())
                    .map_err(|e| Fault::Bad("polka", e.to_string()))?;
                let voters = || polka.votes(&Context).map(|vote| vote.message.voter);
                let fine = seats.of_height(height).any(|committee| has_quorum(committee, voters()))
                    && polka
                        .votes(&Context)
                        .all(|vote| self.verifier.check_vote(&vote.message, &vote.signature));
                if fine { Ok(NetworkEvent::PolkaCertificate(from, polka)) } else { Err(bad_vote()) }
            }
            ConsensusMessage::Round(message) => {
                let round = codec::round(message.clone())
                    .map_err(|e| Fault::Bad("round certificate", e.to_string()))?;
                let voters = || round.votes(&Context).map(|vote| vote.message.voter);
                let fine =
                    seats.of_height(height).any(|committee| has_support(committee, voters()))
                        && round
                            .votes(&Context)
                            .all(|vote| self.verifier.check_vote(&vote.message, &vote.signature));
                if fine { Ok(NetworkEvent::RoundCertificate(from, round)) } else { Err(bad_vote()) }
            }
        }
    }

    /// Checks an observation, if it is of a height that matters, and hands it on.
    async fn observation(&self, observation: Observation) -> Result<(), Fault> {
        if let Some((observation, committee)) = self.check_observation(observation)? {
            self.tell(NetEvent::Observation(observation, committee)).await?;
        }
        Ok(())
    }

    /// Checks an observation, and says against which committee; `None` if it is of a height that is
    /// over or far off.
    pub fn check_observation(&self, observation: Observation) -> Result<Option<Checked>, Fault> {
        let (seats, height) = (self.seats.borrow().clone(), observation.body.height);
        if height <= seats.tip || height > seats.tip + LOOKAHEAD {
            return Ok(None);
        }
        let mut problem = None;
        for committee in seats.of_height(height) {
            match Unverified::new(observation.clone()).verify((self.chain_id, &**committee)) {
                Ok(observation) => return Ok(Some((observation, Arc::clone(committee)))),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        let problem = problem.map(|error| error.to_string()).unwrap_or_default();
        Err(Fault::Bad("observation", problem))
    }

    /// Checks events of an L1 block.
    pub fn check_events(&self, events: L1Events) -> Result<Arc<Verified<L1Events>>, Fault> {
        let checked = Unverified::new(events).verify(());
        checked.map(Arc::new).map_err(|e| Fault::Bad("list of L1 events", e.to_string()))
    }

    /// Checks a batch and every transaction in it, off the async threads.
    pub async fn check_batch(&self, batch: Batch) -> Result<Arc<Verified<Batch>>, Fault> {
        let permit = Arc::clone(&self.batch_checks).acquire_owned().await;
        let chain_id = self.chain_id;
        let check = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            Unverified::new(batch).verify(chain_id)
        });
        match check.await {
            Ok(Ok(batch)) => Ok(Arc::new(batch)),
            Ok(Err(error)) => Err(Fault::Bad("batch", error.to_string())),
            Err(_) => Err(Fault::Stopping),
        }
    }

    /// Checks transactions and keeps the good ones: a full node passes on what users send it, and
    /// may be fooled by them.
    async fn check_transactions(&self, list: Vec<Transaction>) -> Vec<Verified<Transaction>> {
        let permit = Arc::clone(&self.transaction_checks).acquire_owned().await;
        let chain_id = self.chain_id;
        let check = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            list.into_iter().filter_map(|tx| Unverified::new(tx).verify(chain_id).ok()).collect()
        });
        check.await.unwrap_or_default()
    }

    async fn tell(&self, event: NetEvent) -> Result<(), Fault> {
        self.events.send(event).await.map_err(|_| Fault::Stopping)
    }
}

/// Whether more than two thirds of all seats have voted, nobody twice.
fn has_quorum(committee: &Committee, voters: impl Iterator<Item = ValidatorId>) -> bool {
    seats_of(committee, voters).is_some_and(|seats| committee.is_quorum(seats))
}

/// Whether more than a third of all seats have voted. A validator may have voted twice: one vote
/// of each kind counts for skipping a round.
fn has_support(committee: &Committee, voters: impl Iterator<Item = ValidatorId>) -> bool {
    let voters: BTreeSet<Address> = voters.map(|voter| voter.0).collect();
    let voters = voters.into_iter().map(ValidatorId);
    seats_of(committee, voters).is_some_and(|seats| committee.is_support(seats))
}

/// Seats of voters; `None` if one is no member or appears twice.
fn seats_of(committee: &Committee, voters: impl Iterator<Item = ValidatorId>) -> Option<u64> {
    let mut known = BTreeSet::new();
    let mut seats = 0;
    for voter in voters {
        let index = committee.index_of(&voter.0).filter(|index| known.insert(*index))?;
        seats += committee.get(index)?.seats;
    }
    Some(seats)
}

/// On whose account a message goes: that of who signed it, or of who put it together.
fn signer_of(message: &ConsensusMessage, from: Address) -> Address {
    match message {
        ConsensusMessage::Vote(vote) => vote.voter,
        ConsensusMessage::Proposal(proposal) => proposal.proposer,
        ConsensusMessage::Polka(_) | ConsensusMessage::Round(_) => from,
    }
}

/// The peer id in the engine's own type.
pub fn sync_peer(peer: &PeerId) -> sync::PeerId {
    sync::PeerId::from_bytes(&peer.to_bytes()).expect("a peer id's bytes are a peer id")
}
