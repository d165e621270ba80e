//! To the engine: network events for whoever subscribed, none lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_engine::network::{NetworkEvent, Status, Subscriber};
use arc_malachitebft_sync::PeerId;
use libp2p::Multiaddr;
use weft_consensus::engine::Context;

type Tap = Box<dyn Fn(&NetworkEvent<Context>) + Send>;
type Subscribers = Vec<Box<dyn Subscriber<NetworkEvent<Context>>>>;

/// The engine's actors that listen to the network.
#[derive(Clone, Default)]
pub struct Bus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    subscribers: Mutex<Subscribers>,
    taps: Mutex<Vec<Tap>>,
    listening: Mutex<Option<Multiaddr>>,
    /// Statuses held back, by peer.
    held: Mutex<BTreeMap<PeerId, Status<Context>>>,
    holds: AtomicBool,
    tip: AtomicU64,
}

impl Bus {
    /// Adds a listener and tells it what it has missed.
    pub fn subscribe(&self, subscriber: Box<dyn Subscriber<NetworkEvent<Context>>>) {
        let listening = lock(&self.0.listening).clone();
        if let Some(address) = listening {
            subscriber.send(NetworkEvent::Listening(address));
        }
        lock(&self.0.subscribers).push(subscriber);
    }

    /// Adds a function that sees every event before the engine does.
    pub fn tap(&self, tap: Tap) {
        lock(&self.0.taps).push(tap);
    }

    /// Tells everybody.
    pub fn emit(&self, event: NetworkEvent<Context>) {
        for tap in lock(&self.0.taps).iter() {
            tap(&event);
        }
        for subscriber in lock(&self.0.subscribers).iter() {
            subscriber.send(event.clone());
        }
    }

    /// The node listens: this starts the engine.
    pub fn listening(&self, address: Multiaddr) {
        *lock(&self.0.listening) = Some(address.clone());
        self.emit(NetworkEvent::Listening(address));
    }

    /// Whether statuses wait for [`release`](Self::release). A validator hears of a decision from
    /// faster peers a moment before it makes it itself; asking them for the block then would be a
    /// waste. Whoever only follows asks at once.
    pub fn hold_statuses(&self, hold: bool) {
        self.0.holds.store(hold, Ordering::Relaxed);
    }

    /// A peer's status.
    pub fn status(&self, peer: PeerId, status: Status<Context>) {
        let behind = status.tip_height.0 > self.0.tip.load(Ordering::Relaxed);
        if behind && self.0.holds.load(Ordering::Relaxed) {
            lock(&self.0.held).insert(peer, status);
        } else {
            self.emit(NetworkEvent::Status(peer, status));
        }
    }

    /// Lets go of the statuses held back since the last time. Those that say nothing new by now
    /// cause no request.
    pub fn release(&self, tip: u64) {
        self.0.tip.store(tip, Ordering::Relaxed);
        for (peer, status) in std::mem::take(&mut *lock(&self.0.held)) {
            self.emit(NetworkEvent::Status(peer, status));
        }
    }

    /// The node's own tip.
    pub fn set_tip(&self, tip: u64) {
        self.0.tip.store(tip, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
