//! To the engine: network events for whoever subscribed, none lost.
//!
//! While no engine runs, what validators say of the heights to come is held for the next one, so
//! that a node that begins to take part has missed nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_engine::network::{NetworkEvent, Status, Subscriber};
use arc_malachitebft_sync::PeerId;
use libp2p::Multiaddr;
use tokio::sync::Notify;
use weft_consensus::engine::Context;

type Tap = Box<dyn Fn(&NetworkEvent<Context>) -> bool + Send>;

/// Most messages held while no engine runs: votes and proposals of a largest committee for a few
/// rounds.
const MAX_MISSED: usize = 4096;

/// The engine's actors that listen to the network.
#[derive(Clone, Default)]
pub struct Bus(Arc<Inner>);

#[derive(Default)]
struct Inner {
    audience: Mutex<Audience>,
    /// Statuses held back, by peer.
    held: Mutex<BTreeMap<PeerId, Status<Context>>>,
    news: Notify,
    tip: AtomicU64,
}

/// Who hears, and what those who come later have missed.
#[derive(Default)]
struct Audience {
    taps: Vec<Tap>,
    subscribers: Vec<Box<dyn Subscriber<NetworkEvent<Context>>>>,
    listening: Option<Multiaddr>,
    missed: VecDeque<NetworkEvent<Context>>,
}

impl Audience {
    fn tell(&mut self, event: &NetworkEvent<Context>) {
        self.taps.retain(|tap| tap(event));
        for subscriber in &self.subscribers {
            subscriber.send(event.clone());
        }
        if self.subscribers.is_empty() && height_of(event).is_some() {
            self.missed.push_back(event.clone());
            if self.missed.len() > MAX_MISSED {
                self.missed.pop_front();
            }
        }
    }
}

/// The height that a message of the engine is about.
fn height_of(event: &NetworkEvent<Context>) -> Option<u64> {
    match event {
        NetworkEvent::Vote(_, vote) => Some(vote.message.height.0),
        NetworkEvent::Proposal(_, proposal) => Some(proposal.message.height.0),
        NetworkEvent::PolkaCertificate(_, polka) => Some(polka.height.0),
        NetworkEvent::RoundCertificate(_, round) => Some(round.height.0),
        _ => None,
    }
}

impl Bus {
    /// Adds a listener and tells it what it has missed.
    pub fn subscribe(&self, subscriber: Box<dyn Subscriber<NetworkEvent<Context>>>) {
        let mut audience = lock(&self.0.audience);
        if let Some(address) = audience.listening.clone() {
            subscriber.send(NetworkEvent::Listening(address));
        }
        for event in &audience.missed {
            subscriber.send(event.clone());
        }
        audience.subscribers.push(subscriber);
    }

    /// Forgets all listeners: the engine stops.
    pub fn unsubscribe(&self) {
        lock(&self.0.audience).subscribers.clear();
    }

    /// Adds a function that sees every event before the engine does.
    pub fn tap(&self, tap: impl Fn(&NetworkEvent<Context>) + Send + 'static) {
        self.tap_while(move |event| {
            tap(event);
            true
        });
    }

    /// Adds one that sees them until it says that it has seen enough: `false`.
    pub fn tap_while(&self, tap: impl Fn(&NetworkEvent<Context>) -> bool + Send + 'static) {
        lock(&self.0.audience).taps.push(Box::new(tap));
    }

    /// Tells everybody.
    pub fn emit(&self, event: &NetworkEvent<Context>) {
        if let NetworkEvent::PeerDisconnected(peer) = event {
            lock(&self.0.held).remove(peer);
        }
        lock(&self.0.audience).tell(event);
    }

    /// The node listens: this starts the engine.
    pub fn listening(&self, address: Multiaddr) {
        let mut audience = lock(&self.0.audience);
        audience.listening = Some(address.clone());
        audience.tell(&NetworkEvent::Listening(address));
    }

    /// A peer's status. One that is ahead of this node waits for [`release`](Self::release): a
    /// validator hears of a decision from faster peers a moment before it makes it itself, and
    /// asking them for the block then would be a waste. A follower [looks](Self::statuses) at what
    /// waits.
    pub fn status(&self, peer: PeerId, status: Status<Context>) {
        if status.tip_height.0 > self.0.tip.load(Ordering::Relaxed) {
            lock(&self.0.held).insert(peer, status);
            self.0.news.notify_one();
        } else {
            self.emit(&NetworkEvent::Status(peer, status));
        }
    }

    /// Waits until a status does.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    /// The statuses of peers that are ahead, as far as it is known.
    pub fn statuses(&self) -> BTreeMap<PeerId, Status<Context>> {
        lock(&self.0.held).clone()
    }

    /// Tells of peers that are ahead, or were when they said so, those that still are again and again:
    /// a peer that waits for this node says where it stands once, and whoever listens may not have
    /// listened yet. One that says nothing new by now causes no request.
    pub fn release(&self, tip: u64) {
        self.0.tip.store(tip, Ordering::Relaxed);
        let statuses = self.statuses();
        lock(&self.0.held).retain(|_, status| status.tip_height.0 > tip);
        for (peer, status) in statuses {
            self.emit(&NetworkEvent::Status(peer, status));
        }
    }

    /// The node's own tip.
    pub fn set_tip(&self, tip: u64) {
        self.0.tip.store(tip, Ordering::Relaxed);
        let mut audience = lock(&self.0.audience);
        audience.missed.retain(|event| height_of(event).is_some_and(|height| height > tip));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use libp2p::identity::Keypair;
    use weft_consensus::engine::Height;

    use super::*;

    #[test]
    fn who_is_ahead_is_told_of_until_it_is_not_or_gone() {
        let bus = Bus::default();
        let heard = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&heard);
        bus.tap(move |event| {
            if matches!(event, NetworkEvent::Status(..)) {
                told.fetch_add(1, Ordering::Relaxed);
            }
        });
        let peer = crate::p2p::sync_peer(&Keypair::generate_ed25519().public().to_peer_id());
        let status = |tip| Status::new(Height(tip), Height(1));
        let count = || heard.swap(0, Ordering::Relaxed);
        bus.set_tip(5);
        bus.status(peer, status(5));
        assert_eq!(count(), 1, "it says nothing new");
        bus.status(peer, status(7));
        assert_eq!((count(), bus.statuses().len()), (0, 1), "a follower looks at it");
        bus.release(5);
        bus.release(5);
        assert_eq!(count(), 2, "whoever listens by now hears of it");
        bus.release(7);
        bus.release(7);
        assert_eq!(count(), 1, "it is not ahead any more");
        bus.status(peer, status(9));
        bus.emit(&NetworkEvent::PeerDisconnected(peer));
        bus.release(7);
        assert_eq!(count(), 0, "it is gone");
    }
}
