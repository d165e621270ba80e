//! Validators that know one of them find all others.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_engine::network::NetworkEvent;
use arc_malachitebft_sync as sync;
use libp2p::{Multiaddr, identity, multiaddr::Protocol};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use weft_consensus::engine::Verifier;
use weft_node::p2p::{self, P2p, Seats};
use weft_types::{BlockId, Committee, Member, SecretKey};

const CHAIN: u64 = 77;
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    p2p: P2p,
    address: Multiaddr,
    events: mpsc::Receiver<p2p::NetEvent>,
    _seats: watch::Sender<Seats>,
}

fn keys() -> Vec<SecretKey> {
    (1..=4).map(|byte| SecretKey::from_bytes([byte; 32]).unwrap()).collect()
}

/// The first three have seats.
fn seats() -> Seats {
    let mut members: Vec<Member> =
        keys()[..3].iter().map(|key| Member { address: key.address(), seats: 1 }).collect();
    members.sort_unstable();
    let committee = Arc::new(Committee::new(members).unwrap());
    Seats { tip: 5, next: Arc::clone(&committee), committee }
}

async fn node(validator: Option<SecretKey>, peers: Vec<Multiaddr>) -> Node {
    let (seats, seats_rx) = watch::channel(seats());
    let (to_events, events) = mpsc::channel(1024);
    let config = p2p::Config {
        chain_id: CHAIN,
        genesis: BlockId::default(),
        key: identity::Keypair::generate_ed25519(),
        validator,
        listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
        announce: None,
        peers,
        sync: sync::Config::new(true),
    };
    let (p2p, network) = P2p::new(config, Verifier::new(CHAIN), seats_rx, to_events).unwrap();
    let (listening, mut address) = mpsc::unbounded_channel();
    p2p.bus().tap(move |event| {
        if let NetworkEvent::Listening(address) = event {
            let _ = listening.send(address.to_string());
        }
    });
    tokio::spawn(network);
    let address: Multiaddr = address.recv().await.unwrap().parse().unwrap();
    let address = address.with(Protocol::P2p(p2p.peer_id()));
    Node { p2p, address, events, _seats: seats }
}

impl Node {
    /// Waits until somebody with a seat has introduced itself.
    async fn meets(&mut self, key: &SecretKey) {
        let met = async {
            while let Some(event) = self.events.recv().await {
                if matches!(event, p2p::NetEvent::PeerUp(_, Some(address)) if address == key.address())
                {
                    return true;
                }
            }
            false
        };
        assert!(timeout(PATIENCE, met).await.unwrap(), "{} is met", key.address());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_find_each_other_through_one_they_know() {
    let [hub, left, right, outsider] = &keys()[..] else { panic!("four keys") };
    let known = node(Some(hub.clone()), Vec::new()).await;
    let to_hub = vec![known.address.clone()];
    let without_seat = node(Some(outsider.clone()), to_hub.clone()).await;
    let full = node(None, to_hub.clone()).await;
    let mut a = node(Some(left.clone()), to_hub.clone()).await;
    let mut b = node(Some(right.clone()), to_hub).await;
    a.meets(right).await;
    b.meets(left).await;
    for mut without in [without_seat, full] {
        without.meets(hub).await;
        let (peers, validators) = without.p2p.peers().count();
        assert_eq!((peers, validators), (1, 1), "it knows the one that it was told of");
    }
}
