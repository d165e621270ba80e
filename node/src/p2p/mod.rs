//! The network: one libp2p swarm for everything (architecture, "p2p").
//!
//! ```text
//!   peers --- urgent, bulk streams ---> inbound: hello, limits, checks --+--> bus: the engine
//!     ^                                                                  +--> events: the sequencer
//!     +------ link: queues per peer <--- peers <--- sequencer, engine
//!     +------ swarm: connections, fetch and sync requests
//! ```
//!
//! Validators talk to each other directly: every vote, proposal, observation and batch goes from
//! its author to each of them. See `spec/decisions/0004-direct-broadcast.md`.

mod behaviour;
mod bus;
mod frame;
mod inbound;
mod limit;
mod link;
pub mod message;
mod peers;
mod seats;
mod swarm;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_malachitebft_codec::Codec as _;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identity, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot, watch};
use weft_consensus::engine::codec::{Codec, ConsensusMessage};
use weft_consensus::engine::{self, Context, Verifier};
use weft_types::{Batch, BlockId, Height, Observation, SecretKey, Transaction};

pub use bus::Bus;
pub use inbound::{Inbound, NetEvent, sync_peer};
use message::{Bulk, FetchRequest, FetchResponse, Hello, PeerProof, Urgent, WIRE_VERSION};
use peers::Kind;
pub use peers::{Peer, Peers};
pub use seats::Seats;
pub use swarm::{Command, FetchJob, peer_of};

/// Commands that may wait for the swarm.
const COMMANDS: usize = 1024;

/// What it takes to join the network.
pub struct Config {
    /// The network's number.
    pub chain_id: u64,
    /// The network.
    pub genesis: BlockId,
    /// This node's network key.
    pub key: identity::Keypair,
    /// This node's validator key, if it has one.
    pub validator: Option<SecretKey>,
    /// Where to listen.
    pub listen: Multiaddr,
    /// Where others reach this node, if not where it listens.
    pub announce: Option<Multiaddr>,
    /// Peers to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// How sync asks and answers.
    pub sync: sync::Config,
}

/// A handle to the running network.
#[derive(Clone)]
pub struct P2p {
    peer_id: PeerId,
    peers: Peers,
    bus: Bus,
    inbound: Arc<Inbound>,
    commands: mpsc::Sender<Command>,
    own: Option<weft_types::Address>,
    /// The last status that is not sent yet.
    status: Arc<Mutex<Option<Bytes>>>,
}

impl P2p {
    /// A handle, and the network itself: it listens, dials the configured peers, and goes on for as
    /// long as it is run. Whoever taps the [bus](Self::bus) before misses nothing.
    pub fn new(
        config: Config,
        verifier: Verifier,
        seats: watch::Receiver<Seats>,
        events: mpsc::Sender<NetEvent>,
    ) -> eyre::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let agent = format!("weft/{}", env!("CARGO_PKG_VERSION"));
        let peer_id = config.key.public().to_peer_id();
        let behaviour = behaviour::Behaviour::new(&config.key, &agent, config.sync)?;
        let mut swarm = SwarmBuilder::with_existing_identity(config.key)
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_behaviour(|_| behaviour)?
            .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(3600)))
            .build();
        swarm.listen_on(config.listen)?;
        if let Some(address) = config.announce {
            swarm.add_external_address(address);
        }

        let (peers, bus) = (Peers::new(seats.clone()), Bus::default());
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let own = config.validator.as_ref().map(SecretKey::address);
        let inbound = Arc::new(Inbound {
            chain_id: config.chain_id,
            genesis: config.genesis,
            own,
            peers: peers.clone(),
            verifier,
            seats: seats.clone(),
            bus: bus.clone(),
            events: events.clone(),
            swarm: commands.clone(),
            heard: limit::Budget::default(),
            batch_checks: inbound::batch_checks(),
            transaction_checks: inbound::transaction_checks(),
        });
        let mut control = swarm.behaviour().streams.new_control();
        for (protocol, kind) in [(behaviour::URGENT, Kind::Urgent), (behaviour::BULK, Kind::Bulk)] {
            let incoming = control
                .accept(protocol)
                .map_err(|_| eyre::eyre!("a stream protocol is registered twice"))?;
            tokio::spawn(inbound::accept(Arc::clone(&inbound), incoming, kind));
        }

        let proof = config.validator.map(|key| PeerProof::new(&key, config.chain_id, &peer_id));
        let genesis = config.genesis;
        let known_seats = seats.clone();
        let hello = move || {
            let tip = known_seats.borrow().tip;
            let agent = agent.clone();
            let hello = Hello { version: WIRE_VERSION, genesis, agent, tip, validator: proof };
            frame::encode(&Urgent::Hello(hello))
        };
        let parts = swarm::Parts {
            swarm,
            peers: peers.clone(),
            bus: bus.clone(),
            hello: Box::new(hello),
            commands: command_queue,
            to_self: commands.clone(),
            events,
            configured: config.peers,
            own,
            seats,
        };
        let running = swarm::Loop::new(parts).run();
        let status = Arc::default();
        Ok((Self { peer_id, peers, bus, inbound, commands, own, status }, running))
    }

    /// This node's peer id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Who is connected.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// To the engine.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// What checks things that came by other ways than a stream.
    pub fn inbound(&self) -> &Arc<Inbound> {
        &self.inbound
    }

    /// To the swarm.
    pub fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }

    /// Sends an engine's message to every validator. `again` if it has been sent before: then they
    /// pass it on.
    pub fn consensus(&self, message: ConsensusMessage, again: bool) {
        let message = if again { Urgent::Again(message) } else { Urgent::Consensus(message) };
        self.to_validators(&message);
    }

    /// Sends an observation to every validator.
    pub fn observation(&self, observation: Observation) {
        self.to_validators(&Urgent::Observation(observation));
    }

    /// Sends a batch to every validator.
    pub fn batch(&self, batch: &Batch) {
        let frame = frame::encode(&Bulk::Batch(batch.clone()));
        let queued = self.peers.bulk(&frame, |peer| peer.validator().is_some());
        if queued.full > 0 {
            tracing::debug!(peers = queued.full, "peers are too slow for a batch; they will fetch");
        }
    }

    /// Sends a batch to one validator.
    pub fn batch_to(&self, validator: &weft_types::Address, batch: &Batch) -> bool {
        let peer = self.peers.of_validator(validator);
        peer.is_some_and(|peer| {
            self.peers.bulk_to(&peer, frame::encode(&Bulk::Batch(batch.clone())))
        })
    }

    /// Sends an observation to one validator.
    pub fn observation_to(
        &self,
        validator: &weft_types::Address,
        observation: Observation,
    ) -> bool {
        let peer = self.peers.of_validator(validator);
        let frame = frame::encode(&Urgent::Observation(observation));
        peer.is_some_and(|peer| self.peers.urgent_to(&peer, frame))
    }

    /// Sends what a newly connected validator may lack.
    pub fn catch_up(&self, peer: &PeerId, batches: &[Batch], observation: Option<Observation>) {
        for batch in batches {
            self.peers.bulk_to(peer, frame::encode(&Bulk::Batch(batch.clone())));
        }
        if let Some(observation) = observation {
            self.peers.urgent_to(peer, frame::encode(&Urgent::Observation(observation)));
        }
    }

    /// Passes transactions on to a validator.
    pub fn forward(&self, peer: &PeerId, transactions: Vec<Transaction>) -> bool {
        self.peers.bulk_to(peer, frame::encode(&Bulk::Transactions(transactions)))
    }

    /// Tells every peer where this node stands: a validator at once, since others wait for it; any
    /// other node, which may be catching up by hundreds of heights, at the next
    /// [`send_status`](Self::send_status).
    pub fn status(&self, status: &sync::Status<Context>) {
        let Ok(bytes) = Codec.encode(status) else { return };
        let frame = frame::encode(&Urgent::Status(bytes.to_vec()));
        *self.waiting_status() = Some(frame);
        if self.own.is_some() {
            self.send_status();
        }
    }

    /// Sends the last status if it has not been sent.
    pub fn send_status(&self) {
        let waiting = self.waiting_status().take();
        if let Some(frame) = waiting {
            self.peers.urgent(&frame, |_| true);
        }
    }

    fn waiting_status(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a peer for blocks. The answer comes over the [bus](Self::bus), under the number that
    /// is returned.
    pub async fn sync_request(
        &self,
        peer: sync::PeerId,
        heights: RangeInclusive<Height>,
    ) -> Option<sync::OutboundRequestId> {
        let peer = PeerId::from_bytes(&peer.to_bytes()).ok()?;
        let (first, last) = heights.into_inner();
        let range = engine::Height(first)..=engine::Height(last);
        let request = sync::Request::<Context>::ValueRequest(sync::ValueRequest::new(range));
        let bytes = Codec.encode(&request).ok()?;
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::SyncRequest(peer, bytes, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Answers a peer that asked for blocks. Blocks the thread while the network is busy.
    pub fn answer_sync(
        &self,
        id: sync::InboundRequestId,
        first: Height,
        values: Vec<sync::RawDecidedValue<Context>>,
    ) {
        let response = sync::ValueResponse::new(engine::Height(first), values);
        let command = match Codec.encode(&sync::Response::ValueResponse(response)) {
            Ok(bytes) => Command::SyncResponse(id, bytes),
            Err(problem) => {
                tracing::error!(%problem, "blocks for a peer do not encode");
                Command::SyncCancel(id)
            }
        };
        // Gone only if the node stops.
        let _ = self.commands.blocking_send(command);
    }

    /// Leaves a peer that asked for blocks without an answer: it will ask another.
    pub fn cancel_sync(&self, id: sync::InboundRequestId) {
        // If the network is too busy for this, the request times out.
        let _ = self.commands.try_send(Command::SyncCancel(id));
    }

    /// Asks a peer for batches or observations.
    pub async fn fetch(&self, peer: PeerId, request: FetchRequest) -> Option<FetchResponse> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Fetch(peer, request, answer)).await.ok()?;
        answered.await.ok()
    }

    fn to_validators(&self, message: &Urgent) {
        let frame = frame::encode(message);
        let queued = self.peers.urgent(&frame, |peer| {
            peer.validator().is_some_and(|validator| Some(validator) != self.own)
        });
        if queued.full > 0 {
            tracing::warn!(peers = queued.full, "peers do not keep up with urgent messages");
        }
    }
}

/// Decodes a message of sync.
fn decode_sync<T>(bytes: Bytes) -> Option<T>
where
    Codec: arc_malachitebft_codec::Codec<T>,
{
    Codec.decode(bytes).ok()
}
