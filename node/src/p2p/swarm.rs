//! The swarm's loop: connections, requests, and who is shut out.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use arc_malachitebft_engine::network::NetworkEvent;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use futures::StreamExt;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, Swarm, identify, multiaddr::Protocol, ping};
use libp2p_stream::Control;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info};
use weft_types::Address;

use super::behaviour::{Behaviour, BehaviourEvent};
use super::bus::Bus;
use super::inbound::{NetEvent, sync_peer};
use super::message::{
    FetchRequest, FetchResponse, Introduction, MAX_ADDRESS, MAX_ADDRESSES, MAX_INTRODUCED, Urgent,
};
use super::peers::Peers;
use super::seats::Seats;
use super::{frame, link};

/// How long a peer that broke a rule stays shut out.
const SHUT_OUT: Duration = Duration::from_secs(60);

/// Most peers shut out at once; the oldest is let in again.
const MAX_SHUT_OUT: usize = 4096;

/// How often to look for configured peers that are not connected.
const REDIAL: Duration = Duration::from_secs(1);

/// Most peer ids under which one validator is introduced.
const MAX_PER_VALIDATOR: usize = 4;

/// A peer that is connected for this long without having introduced itself is disconnected.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

/// What the swarm can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Close every connection to a peer, if this stay of it still goes on.
    Disconnect(PeerId, u64),
    /// Close them and accept none for a while.
    ShutOut(PeerId),
    /// Connect to a validator, by somebody else's word of where it is.
    Introduce(PeerId, Address, Vec<Multiaddr>),
    /// Ask a peer for blocks.
    SyncRequest(PeerId, Bytes, oneshot::Sender<sync::OutboundRequestId>),
    /// Answer a peer that asked for blocks.
    SyncResponse(sync::InboundRequestId, Bytes),
    /// Leave a peer that asked for blocks without an answer.
    SyncCancel(sync::InboundRequestId),
    /// Ask a peer for batches or observations. The answer is dropped on failure.
    Fetch(PeerId, FetchRequest, oneshot::Sender<FetchResponse>),
    /// Answer a peer that asked for them.
    Fetched(ResponseChannel<FetchResponse>, FetchResponse),
}

/// A peer's question, to be answered from what the node holds.
#[derive(Debug)]
pub struct FetchJob {
    /// What it asks for.
    pub request: FetchRequest,
    /// Where the answer goes.
    pub answer: oneshot::Sender<FetchResponse>,
}

/// The swarm and what is under way in it.
pub struct Loop {
    swarm: Swarm<Behaviour>,
    control: Control,
    peers: Peers,
    bus: Bus,
    hello: Box<dyn Fn() -> Bytes + Send>,
    commands: mpsc::Receiver<Command>,
    to_self: mpsc::Sender<Command>,
    events: mpsc::Sender<NetEvent>,
    configured: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Validators that others have told of.
    introduced: BTreeMap<PeerId, (Address, Vec<Multiaddr>)>,
    /// What others have been told last.
    told: Vec<Introduction>,
    own: Option<Address>,
    seats: watch::Receiver<Seats>,
    shut_out: BTreeMap<PeerId, Instant>,
    fetches: HashMap<OutboundRequestId, oneshot::Sender<FetchResponse>>,
    sync_channels: HashMap<sync::InboundRequestId, ResponseChannel<sync::RawResponse>>,
}

/// What the loop is made of.
pub struct Parts {
    /// Listening already.
    pub swarm: Swarm<Behaviour>,
    /// Who is connected.
    pub peers: Peers,
    /// To the engine.
    pub bus: Bus,
    /// What to say to a new peer.
    pub hello: Box<dyn Fn() -> Bytes + Send>,
    /// What to do.
    pub commands: mpsc::Receiver<Command>,
    /// The other end of that.
    pub to_self: mpsc::Sender<Command>,
    /// To the sequencer.
    pub events: mpsc::Sender<NetEvent>,
    /// Peers to stay connected to.
    pub configured: Vec<Multiaddr>,
    /// This node's own validator.
    pub own: Option<Address>,
    /// Who holds the seats.
    pub seats: watch::Receiver<Seats>,
}

impl Loop {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let own = *parts.swarm.local_peer_id();
        let mut configured: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for address in parts.configured {
            if let Some(peer) = peer_of(&address).filter(|peer| *peer != own) {
                configured.entry(peer).or_default().push(address);
            }
        }
        let mut swarm = parts.swarm;
        for peer in configured.keys() {
            swarm.behaviour_mut().limits.bypass_peer_id(peer);
        }
        Self {
            control: swarm.behaviour().streams.new_control(),
            swarm,
            peers: parts.peers,
            bus: parts.bus,
            hello: parts.hello,
            commands: parts.commands,
            to_self: parts.to_self,
            events: parts.events,
            configured,
            introduced: BTreeMap::new(),
            told: Vec::new(),
            own: parts.own,
            seats: parts.seats,
            shut_out: BTreeMap::new(),
            fetches: HashMap::new(),
            sync_channels: HashMap::new(),
        }
    }

    /// Runs until every sender of commands is gone.
    pub async fn run(mut self) {
        let mut redial = interval(REDIAL);
        redial.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                _ = redial.tick() => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let over: Vec<PeerId> =
            self.shut_out.iter().filter(|(_, until)| **until <= now).map(|(p, _)| *p).collect();
        for peer in over {
            self.let_in(&peer);
        }
        for peer in self.peers.silent(HELLO_PATIENCE) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.introduce_all();
        let introduced = self.introduced.iter().map(|(peer, (_, addresses))| (peer, addresses));
        for (peer, addresses) in self.configured.iter().chain(introduced) {
            if self.swarm.is_connected(peer) || self.shut_out.contains_key(peer) {
                continue;
            }
            let options = DialOpts::peer_id(*peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses.clone())
                .build();
            if let Err(error) = self.swarm.dial(options) {
                debug!(%peer, %error, "not dialling");
            }
        }
    }

    /// Tells validators of each other, once something has changed, and forgets those that have no
    /// seat any more. A node without a seat needs none of that.
    fn introduce_all(&mut self) {
        let seats = self.seats.borrow().clone();
        let seated = self.own.is_some_and(|own| seats.recognizes(&own));
        self.introduced.retain(|_, (validator, _)| seated && seats.recognizes(validator));
        let known = if seated { self.peers.introductions() } else { Vec::new() };
        if known != self.told {
            let frame = frame::encode(&Urgent::Validators(known.clone()));
            self.peers.urgent(&frame, |peer| peer.validator().is_some());
            self.told = known;
        }
    }

    fn on_command(&mut self, command: Command) {
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Disconnect(peer, generation) => {
                // Each of a stay's streams asks for this when it breaks; the next stay is not
                // meant.
                if self.peers.is_current(&peer, generation) {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
            }
            Command::ShutOut(peer) => self.shut_out(peer),
            Command::Introduce(peer, validator, addresses) => {
                // A validator can be introduced under many peer ids that it has signed: but not so
                // many that there is no room for others.
                let others = self.introduced.iter().filter(|(known, _)| **known != peer);
                let of_it = others.filter(|(_, (known, _))| *known == validator).count();
                let fits = self.introduced.len() < MAX_INTRODUCED && of_it < MAX_PER_VALIDATOR;
                if peer != *self.swarm.local_peer_id() && fits {
                    self.introduced.insert(peer, (validator, addresses));
                }
            }
            Command::SyncRequest(peer, bytes, answer) => {
                let id = behaviour.sync.send_request(peer, bytes);
                // The engine may have given up meanwhile.
                let _ = answer.send(sync::OutboundRequestId::new(id));
            }
            Command::SyncResponse(id, bytes) => {
                if let Some(channel) = self.sync_channels.remove(&id)
                    && behaviour.sync.send_response(channel, bytes).is_err()
                {
                    debug!(%id, "the peer no longer waits for blocks");
                }
            }
            Command::SyncCancel(id) => {
                self.sync_channels.remove(&id);
            }
            Command::Fetch(peer, request, answer) => {
                let id = behaviour.fetch.send_request(&peer, request);
                self.fetches.insert(id, answer);
            }
            Command::Fetched(channel, response) => {
                // The peer may have given up meanwhile.
                let _ = behaviour.fetch.send_response(channel, response);
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                info!(%address, "listening for peers");
                self.bus.listening(address);
            }
            SwarmEvent::ConnectionEstablished { peer_id, num_established, .. }
                if num_established.get() == 1 =>
            {
                let queues = self.peers.add(peer_id);
                let hello = (self.hello)();
                link::start(peer_id, &self.control, &hello, queues, &self.peers, &self.to_self);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. }
                if self.peers.remove(&peer_id) =>
            {
                self.bus.emit(&NetworkEvent::PeerDisconnected(sync_peer(&peer_id)));
                self.tell(NetEvent::PeerDown(peer_id));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                result: Err(error),
                ..
            })) => {
                debug!(%peer, %error, "no answer to ping");
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                // What it announces comes last, and is the best.
                let addresses = info.listen_addrs.into_iter().rev();
                let short = addresses.filter(|address| address.len() <= MAX_ADDRESS);
                self.peers.locate(&peer_id, short.take(MAX_ADDRESSES).collect());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Fetch(event)) => self.on_fetch(event),
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_sync(event),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                debug!(?peer_id, %error, "could not connect");
            }
            _ => {}
        }
    }

    fn on_fetch(&mut self, event: request_response::Event<FetchRequest, FetchResponse>) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                // Only validators name batches, and only they have a need for them.
                if self.peers.validator(&peer).is_none() {
                    return;
                }
                let (answer, answered) = oneshot::channel();
                self.tell(NetEvent::Fetch(FetchJob { request, answer }));
                let commands = self.to_self.clone();
                tokio::spawn(async move {
                    if let Ok(response) = answered.await {
                        let _ = commands.send(Command::Fetched(channel, response)).await;
                    }
                });
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(answer) = self.fetches.remove(&request_id) {
                    let _ = answer.send(response);
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                debug!(%peer, %error, "fetch failed");
                self.fetches.remove(&request_id);
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn on_sync(&mut self, event: sync::Event) {
        use request_response::{Event, Message};
        match event {
            Event::Message {
                peer,
                message: Message::Request { request_id, request, channel },
                ..
            } => {
                let id = sync::InboundRequestId::new(request_id);
                self.sync_channels.insert(id.clone(), channel);
                self.decode_request(peer, id, request.0);
            }
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => {
                let id = sync::OutboundRequestId::new(request_id);
                let peer = sync_peer(&peer);
                let response = super::decode_sync(response.0);
                self.bus.emit(&NetworkEvent::SyncResponse(id, peer, response));
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                let id = sync::OutboundRequestId::new(request_id);
                let reason = reason_of(&error);
                self.bus.emit(&NetworkEvent::SyncRequestFailed(id, sync_peer(&peer), reason));
            }
            Event::InboundFailure { peer, request_id, .. } => {
                let id = sync::InboundRequestId::new(request_id);
                self.sync_channels.remove(&id);
                self.bus.emit(&NetworkEvent::SyncInboundRequestFailed(id, sync_peer(&peer)));
            }
            Event::ResponseSent { .. } => {}
        }
    }

    fn decode_request(&mut self, peer: PeerId, id: sync::InboundRequestId, bytes: Bytes) {
        match super::decode_sync(bytes) {
            Some(request) => {
                self.bus.emit(&NetworkEvent::SyncRequest(id, sync_peer(&peer), request));
            }
            None => {
                self.sync_channels.remove(&id);
                self.shut_out(peer);
            }
        }
    }

    fn shut_out(&mut self, peer: PeerId) {
        if self.shut_out.len() >= MAX_SHUT_OUT {
            let oldest = self.shut_out.iter().min_by_key(|(_, until)| **until).map(|(p, _)| *p);
            if let Some(oldest) = oldest {
                self.let_in(&oldest);
            }
        }
        self.shut_out.insert(peer, Instant::now() + SHUT_OUT);
        self.swarm.behaviour_mut().blocked.block_peer(peer);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn let_in(&mut self, peer: &PeerId) {
        self.shut_out.remove(peer);
        self.swarm.behaviour_mut().blocked.unblock_peer(*peer);
    }

    /// Tells the sequencer, unless it is so far behind that it would hold up the network; it
    /// learns who is connected from [`Peers`] as well, and an unanswered fetch is asked again.
    fn tell(&self, event: NetEvent) {
        if self.events.try_send(event).is_err() {
            debug!("the sequencer is too busy to be told");
        }
    }
}

/// The peer id at the end of an address.
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

fn reason_of(error: &OutboundFailure) -> sync::OutboundFailureReason {
    match error {
        OutboundFailure::DialFailure => sync::OutboundFailureReason::DialFailure,
        OutboundFailure::Timeout => sync::OutboundFailureReason::Timeout,
        OutboundFailure::ConnectionClosed => sync::OutboundFailureReason::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => sync::OutboundFailureReason::UnsupportedProtocols,
        OutboundFailure::Io(_) => sync::OutboundFailureReason::Io,
    }
}
