//! Who is connected, who of them is a validator, and how to reach them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};
use weft_types::{Address, Height};

use super::message::{Hello, Introduction, MAX_INTRODUCED};
use super::seats::Seats;

/// Frames that may wait for one peer on its urgent stream. What does not fit is not sent; a peer
/// that takes nothing for long is cut off by its link.
pub const URGENT_QUEUE: usize = 2048;

/// Frames that may wait for one peer on its bulk stream. What does not fit is left for the peer to
/// fetch.
pub const BULK_QUEUE: usize = 32;

/// All peers.
#[derive(Clone)]
pub struct Peers {
    table: Arc<RwLock<Table>>,
    seats: watch::Receiver<Seats>,
}

#[derive(Default)]
struct Table {
    peers: BTreeMap<PeerId, Peer>,
    generations: u64,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct Peer {
    urgent: mpsc::Sender<Bytes>,
    bulk: mpsc::Sender<Bytes>,
    /// What it said of itself, once it has.
    pub hello: Option<Hello>,
    seats: watch::Receiver<Seats>,
    /// Where it says that it listens.
    addresses: Vec<Multiaddr>,
    /// Since when it is connected.
    pub since: Instant,
    /// Which of this peer's stays this is: what belonged to an earlier one must not end this one.
    generation: u64,
    /// Whether it has opened its urgent and its bulk stream.
    opened: [bool; 2],
}

impl Peer {
    /// The validator it has proven to be, if that has a seat now or in the next epoch: a key
    /// without is worth no more than none.
    pub fn validator(&self) -> Option<Address> {
        let proof = self.hello.as_ref()?.validator.as_ref()?;
        self.seats.borrow().recognizes(&proof.address).then_some(proof.address)
    }
}

/// Which of a peer's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The urgent one.
    Urgent,
    /// The bulk one.
    Bulk,
}

/// A peer, or that stay of it, is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Where a link's writer takes its frames from.
pub struct Queues {
    /// For the urgent stream.
    pub urgent: mpsc::Receiver<Bytes>,
    /// For the bulk stream.
    pub bulk: mpsc::Receiver<Bytes>,
    /// Which of the peer's stays they are of.
    pub generation: u64,
}

/// What became of frames that were queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Peers that will get it.
    pub sent: usize,
    /// Peers whose queue was full.
    pub full: usize,
}

impl Peers {
    /// Nobody yet.
    pub fn new(seats: watch::Receiver<Seats>) -> Self {
        Self { table: Arc::default(), seats }
    }

    /// A peer has connected.
    pub fn add(&self, peer: PeerId) -> Queues {
        let (urgent, urgent_queue) = mpsc::channel(URGENT_QUEUE);
        let (bulk, bulk_queue) = mpsc::channel(BULK_QUEUE);
        let generation = self.write(|table| {
            table.generations += 1;
            let generation = table.generations;
            let (seats, since) = (self.seats.clone(), Instant::now());
            let (hello, opened) = (None, [false; 2]);
            let addresses = Vec::new();
            let entry = Peer { urgent, bulk, hello, seats, addresses, since, generation, opened };
            table.peers.insert(peer, entry);
            generation
        });
        Queues { urgent: urgent_queue, bulk: bulk_queue, generation }
    }

    /// Which of its stays a peer is in, if it is connected.
    pub fn generation(&self, peer: &PeerId) -> Option<u64> {
        self.read(|peers| peers.get(peer).map(|entry| entry.generation))
    }

    /// A peer has opened a stream and introduced itself on it. Returns whether that is its first
    /// of the kind in this stay.
    pub fn open(&self, peer: &PeerId, generation: u64, kind: Kind) -> Result<bool, Gone> {
        self.write(|table| match table.peers.get_mut(peer) {
            Some(entry) if entry.generation == generation => {
                Ok(!std::mem::replace(&mut entry.opened[kind as usize], true))
            }
            _ => Err(Gone),
        })
    }

    /// Whether a stay of a peer goes on.
    pub fn is_current(&self, peer: &PeerId, generation: u64) -> bool {
        self.read(|peers| peers.get(peer).is_some_and(|entry| entry.generation == generation))
    }

    /// A peer is gone. Returns whether it had introduced itself.
    pub fn remove(&self, peer: &PeerId) -> bool {
        self.write(|table| table.peers.remove(peer)).is_some_and(|peer| peer.hello.is_some())
    }

    /// A peer has introduced itself. Returns `false` if that stay of it is over.
    pub fn introduce(&self, peer: &PeerId, generation: u64, hello: Hello) -> bool {
        self.write(|table| match table.peers.get_mut(peer) {
            Some(entry) if entry.generation == generation => {
                entry.hello = Some(hello);
                true
            }
            _ => false,
        })
    }

    /// A peer says where it listens.
    pub fn locate(&self, peer: &PeerId, addresses: Vec<Multiaddr>) {
        self.write(|table| {
            if let Some(entry) = table.peers.get_mut(peer) {
                entry.addresses = addresses;
            }
        });
    }

    /// Every validator that is connected and can be reached by others, for them to connect to.
    pub fn introductions(&self) -> Vec<Introduction> {
        self.read(|peers| {
            let known = peers.iter().filter(|(_, peer)| peer.validator().is_some());
            let introduction = |(id, peer): (&PeerId, &Peer)| {
                let proof = peer.hello.as_ref()?.validator?;
                let addresses: Vec<Vec<u8>> =
                    peer.addresses.iter().map(Multiaddr::to_vec).collect();
                (!addresses.is_empty()).then(|| Introduction {
                    peer: id.to_bytes(),
                    proof,
                    addresses,
                })
            };
            known.filter_map(introduction).take(MAX_INTRODUCED).collect()
        })
    }

    /// Peers that have been connected for so long and have not introduced themselves.
    pub fn silent(&self, patience: Duration) -> Vec<PeerId> {
        self.read(|peers| {
            let silent = |peer: &Peer| peer.hello.is_none() && peer.since.elapsed() > patience;
            peers.iter().filter(|(_, peer)| silent(peer)).map(|(id, _)| *id).collect()
        })
    }

    /// The peer that has proven to be a validator.
    pub fn of_validator(&self, validator: &Address) -> Option<PeerId> {
        self.read(|peers| {
            peers
                .iter()
                .find(|(_, peer)| peer.validator().as_ref() == Some(validator))
                .map(|(id, _)| *id)
        })
    }

    /// The validator that a peer has proven to be.
    pub fn validator(&self, peer: &PeerId) -> Option<Address> {
        self.read(|peers| peers.get(peer).and_then(Peer::validator))
    }

    /// Every peer, as it stands.
    pub fn snapshot(&self) -> Vec<(PeerId, Peer)> {
        self.read(|peers| peers.iter().map(|(id, peer)| (*id, peer.clone())).collect())
    }

    /// How many peers have introduced themselves, and how many of them as validators.
    pub fn count(&self) -> (usize, usize) {
        self.read(|peers| {
            let known = peers.values().filter(|peer| peer.hello.is_some());
            known.fold((0, 0), |(all, validators), peer| {
                (all + 1, validators + usize::from(peer.validator().is_some()))
            })
        })
    }

    /// The highest tip a peer said to have when it connected.
    pub fn best_tip(&self) -> Height {
        self.read(|peers| {
            peers.values().filter_map(|p| p.hello.as_ref()).map(|h| h.tip).max().unwrap_or(0)
        })
    }

    /// Queues an urgent frame for every peer that `to` picks.
    pub fn urgent(&self, frame: &Bytes, to: impl Fn(&Peer) -> bool) -> Queued {
        self.queue(|peer| &peer.urgent, frame, to)
    }

    /// Queues a bulk frame for every peer that `to` picks.
    pub fn bulk(&self, frame: &Bytes, to: impl Fn(&Peer) -> bool) -> Queued {
        self.queue(|peer| &peer.bulk, frame, to)
    }

    /// Queues an urgent frame for one peer.
    pub fn urgent_to(&self, peer: &PeerId, frame: Bytes) -> bool {
        self.read(|peers| peers.get(peer).is_some_and(|p| p.urgent.try_send(frame).is_ok()))
    }

    /// Queues a bulk frame for one peer.
    pub fn bulk_to(&self, peer: &PeerId, frame: Bytes) -> bool {
        self.read(|peers| peers.get(peer).is_some_and(|p| p.bulk.try_send(frame).is_ok()))
    }

    fn queue(
        &self,
        queue: impl Fn(&Peer) -> &mpsc::Sender<Bytes>,
        frame: &Bytes,
        to: impl Fn(&Peer) -> bool,
    ) -> Queued {
        self.read(|peers| {
            let mut queued = Queued::default();
            for peer in peers.values().filter(|peer| peer.hello.is_some() && to(peer)) {
                match queue(peer).try_send(frame.clone()) {
                    Ok(()) => queued.sent += 1,
                    Err(_) => queued.full += 1,
                }
            }
            queued
        })
    }

    fn read<T>(&self, f: impl FnOnce(&BTreeMap<PeerId, Peer>) -> T) -> T {
        f(&self.table.read().unwrap_or_else(PoisonError::into_inner).peers)
    }

    fn write<T>(&self, f: impl FnOnce(&mut Table) -> T) -> T {
        f(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }
}
