//! A full node among peers that lie: it takes in what is certified, from whoever has it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_engine::network::NetworkEvent;
use arc_malachitebft_metrics::SharedRegistry;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use libp2p::{Multiaddr, identity};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use weft_consensus::Tip;
use weft_consensus::build::derive;
use weft_consensus::content::Picked;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::{self, Context, Verifier, convert};
use weft_consensus::follow::follow;
use weft_node::chain::Chain;
use weft_node::follower::{Follower, Limits, Parts};
use weft_node::mempool::Mempool;
use weft_node::metrics::Metrics;
use weft_node::p2p::{self, P2p, Seats};
use weft_node::publish::{self, Publisher};
use weft_node::sequencer::Tracker;
use weft_node::store::{Log, view::View};
use weft_types::certificate::CommitSignature;
use weft_types::genesis::Allocation;
use weft_types::*;

const CHAIN: u64 = 77;
const START_MS: u64 = 1_790_000_000_000;
const HEIGHTS: Height = 150;
const PATIENCE: Duration = Duration::from_secs(60);

/// How a peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Honestly,
    /// With bytes that are no block.
    Garbage,
    /// With the blocks after those it was asked for.
    Shifted,
    /// With votes that their voters have not signed.
    Forged,
    /// With too few votes.
    Uncertified,
    /// With another block than the votes are for.
    Swapped,
    /// With blocks that lack a batch.
    LeftOut,
    /// With blocks that have a batch too many.
    Added,
    /// With nothing.
    Empty,
    /// Never.
    Silent,
}

const LIES: [Answer; 9] = [
    Answer::Garbage,
    Answer::Shifted,
    Answer::Forged,
    Answer::Uncertified,
    Answer::Swapped,
    Answer::LeftOut,
    Answer::Added,
    Answer::Empty,
    Answer::Silent,
];

struct History {
    genesis: Genesis,
    committee: Committee,
    blocks: Vec<(StoredBlock, Certificate)>,
}

fn keys() -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> =
        (1..=4).map(|i| SecretKey::from_bytes([i; 32]).unwrap()).collect();
    keys.sort_by_key(SecretKey::address);
    keys
}

impl History {
    /// Blocks of one batch each.
    fn new() -> Self {
        let (keys, user) = (keys(), SecretKey::from_bytes([200; 32]).unwrap());
        let genesis = Genesis {
            chain_id: CHAIN,
            time_ms: START_MS,
            l1_origin: L1Origin::default(),
            l1: None,
            params: Params::default(),
            validators: keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect(),
            stakes: Vec::new(),
            accounts: vec![Allocation { address: user.address(), balance: 1 << 100 }],
            namespaces: Vec::new(),
        };
        let mut tip = Tip::genesis(&genesis).unwrap();
        let committee = tip.committee().clone();
        let lane = LaneId { author: keys[0].address(), incarnation: 1 };
        let (mut parent, mut blocks) = (BatchDigest::ZERO, Vec::new());
        for height in 1..=HEIGHTS {
            let clock_ms = START_MS + 10 * height;
            let body = TransactionBody {
                chain_id: CHAIN,
                valid_until: clock_ms + 10_000,
                salt: height,
                max_fee: 1 << 60,
                payload: Payload::Transfer { to: Address::ZERO, amount: 1 },
            };
            let tx = Unverified::new(Signed::new(body, CHAIN, &user)).verify(CHAIN).unwrap();
            let batch = batch::seal(lane, height, parent, vec![tx], CHAIN, &keys[0]).unwrap();
            parent = batch.witness().digest;
            let view = LaneView {
                author: committee.index_of(&lane.author).unwrap(),
                incarnation: 1,
                digests: vec![parent],
                ages_ms: vec![5],
            };
            let observe = |observer: u16| {
                let body = ObservationBody {
                    height,
                    parent: tip.id,
                    observer,
                    clock_ms,
                    lanes: vec![view.clone()],
                    l1: Vec::new(),
                };
                let signed = Signed::new(body, CHAIN, &keys[usize::from(observer)]);
                Unverified::new(signed).verify((CHAIN, &committee)).unwrap()
            };
            let observations: Vec<_> = (0..3).map(observe).collect();
            let batches = vec![Arc::new(batch)];
            let named: Vec<_> = observations.iter().collect();
            let derived = derive(&tip, &named, &Picked::new(batches.clone(), Vec::new())).unwrap();
            let hashes = observations.iter().map(|o| *o.witness()).collect();
            let value = derived.propose(&tip, keys[1].address(), hashes);
            let certificate = certify(&value.header, &[0, 1, 3], &keys);
            let block = StoredBlock { value, observations, events: Vec::new(), batches };
            follow(&mut tip, block.clone(), certificate.clone()).unwrap();
            blocks.push((block, certificate));
        }
        Self { genesis, committee, blocks }
    }

    fn block(&self, height: Height) -> Option<&(StoredBlock, Certificate)> {
        self.blocks.get(usize::try_from(height.checked_sub(1)?).unwrap())
    }

    fn value(&self, answer: Answer, height: Height) -> Option<sync::RawDecidedValue<Context>> {
        let shift = u64::from(answer == Answer::Shifted);
        let (block, mut certificate) = self.block(height + shift)?.clone();
        let mut bytes = block.encode().unwrap();
        match answer {
            Answer::Garbage => bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 7),
            Answer::Forged => {
                let mut wrong = keys();
                wrong.rotate_left(1);
                certificate = certify(&block.value.header, &[0, 1, 3], &wrong);
            }
            Answer::Uncertified => certificate.signatures.truncate(2),
            Answer::Swapped => {
                let mut other = block;
                other.value.header.time_ms += 1;
                bytes = other.encode().unwrap();
            }
            Answer::LeftOut => {
                bytes = StoredBlock { batches: Vec::new(), ..block }.encode().unwrap();
            }
            Answer::Added => {
                let mut more = block;
                more.batches.extend(self.block(height + 1)?.0.batches.clone());
                bytes = more.encode().unwrap();
            }
            Answer::Honestly | Answer::Shifted | Answer::Empty | Answer::Silent => {}
        }
        let certificate = convert::sync_certificate(&certificate, &self.committee).unwrap();
        Some(sync::RawDecidedValue::new(Bytes::from(bytes), certificate))
    }
}

fn certify(header: &Header, voters: &[u16], keys: &[SecretKey]) -> Certificate {
    let (height, block) = (header.height, header.id());
    let mut certificate = Certificate { height, round: 0, block, signatures: Vec::new() };
    let hash = certificate.vote().signing_hash(CHAIN);
    let vote = |member: &u16| {
        let signature = keys[usize::from(*member)].sign(hash);
        CommitSignature { member: *member, signature }
    };
    certificate.signatures = voters.iter().map(vote).collect();
    certificate
}

/// A network of its own, that does not run yet.
struct Net {
    p2p: P2p,
    network: Pin<Box<dyn Future<Output = ()> + Send>>,
    seats: watch::Sender<Seats>,
    events: mpsc::Receiver<p2p::NetEvent>,
}

fn join(history: &History, peers: Vec<Multiaddr>, validator: Option<SecretKey>, at: Height) -> Net {
    let committee = Arc::new(history.committee.clone());
    let seats = Seats { tip: at, next: Arc::clone(&committee), committee };
    let (seats, seats_rx) = watch::channel(seats);
    let (to_events, events) = mpsc::channel(1024);
    let config = p2p::Config {
        chain_id: CHAIN,
        genesis: history.genesis.header(&history.committee).id(),
        key: identity::Keypair::generate_ed25519(),
        validator,
        listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
        announce: None,
        peers,
        sync: sync::Config::new(true),
    };
    let verifier = Verifier::new(CHAIN);
    let (p2p, network) = P2p::new(config, verifier, seats_rx, to_events).unwrap();
    Net { p2p, network: Box::pin(network), seats, events }
}

/// A peer that answers in its way, and unless it is honest says it has more than there is. Counts
/// what it is asked.
fn serve(
    history: &Arc<History>,
    answer: Answer,
    validator: Option<SecretKey>,
    to: &Multiaddr,
) -> watch::Receiver<usize> {
    let claim = if answer == Answer::Honestly { HEIGHTS } else { Height::MAX };
    let mut net = join(history, vec![to.clone()], validator, claim);
    let history = Arc::clone(history);
    let (count, asked) = watch::channel(0);
    let (to_tap, mut heard) = mpsc::unbounded_channel();
    net.p2p.bus().tap_while(move |event| to_tap.send(event.clone()).is_ok());
    tokio::spawn(net.network);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(_) = net.events.recv() => {}
                Some(event) = heard.recv() => match event {
                    NetworkEvent::PeerConnected(_) => {
                        net.p2p.status(&sync::Status {
                            peer_id: p2p::sync_peer(&net.p2p.peer_id()),
                            tip_height: engine::Height(claim),
                            history_min_height: engine::Height(1),
                        });
                        net.p2p.send_status();
                    }
                    NetworkEvent::SyncRequest(id, _, sync::Request::ValueRequest(request)) => {
                        count.send_modify(|count| *count += 1);
                        let heights: RangeInclusive<Height> =
                            request.range.start().0..=request.range.end().0;
                        let first = *heights.start();
                        let values = match answer {
                            Answer::Silent => continue,
                            Answer::Empty => Vec::new(),
                            _ => heights.map_while(|h| history.value(answer, h)).collect(),
                        };
                        let p2p = net.p2p.clone();
                        tokio::task::spawn_blocking(move || p2p.answer_sync(id, first, values));
                    }
                    _ => {}
                },
                else => return,
            }
        }
    });
    asked
}

/// A node that knows nothing but the genesis.
struct Fresh {
    follower: Follower,
    chain: Chain,
    address: Multiaddr,
    stop: watch::Sender<bool>,
    view: View,
    _home: TempDir,
}

async fn fresh_node(history: &History, lonely: Duration) -> Fresh {
    let home = TempDir::new().unwrap();
    let genesis_id = history.genesis.header(&history.committee).id();
    let (log, _) = Log::open(&home.path().join("log"), genesis_id, 1 << 26).unwrap();
    let stored = View::open(&home.path().join("view"), &history.genesis, 1 << 20).unwrap();
    let tip = Tip::genesis(&history.genesis).unwrap();
    stored.view.put_state(&tip.state, tip.id);
    let net = join(history, Vec::new(), None, 0);
    let (listening, address) = oneshot::channel();
    let listening = std::sync::Mutex::new(Some(listening));
    net.p2p.bus().tap_while(move |event| {
        if let NetworkEvent::Listening(address) = event
            && let Some(listening) = listening.lock().unwrap().take()
        {
            let _ = listening.send(address.clone());
            return false;
        }
        true
    });
    let chain =
        Chain::new(history.genesis.clone(), log, stored.view.clone(), BTreeMap::new(), &tip);
    let chain = chain.unwrap();
    let metrics = Metrics::register(SharedRegistry::global());
    let mempool = Arc::new(Mempool::new(1 << 20));
    let publisher = publish::Parts {
        chain: chain.clone(),
        mempool: Arc::clone(&mempool),
        tracker: Arc::new(Tracker::default()),
        metrics: metrics.clone(),
        p2p: net.p2p.clone(),
        seats: net.seats,
    };
    let publisher = Publisher::new(publisher, &tip);
    let (stop, stopped) = watch::channel(false);
    let peer_id = net.p2p.peer_id();
    let follower = Follower::new(Parts {
        tip,
        limits: Limits { batch: 16, parallel: 8, patience: Duration::from_secs(1) },
        lonely,
        chain: chain.clone(),
        mempool,
        publisher,
        metrics,
        p2p: net.p2p,
        net_events: net.events,
        stop: stopped,
    });
    tokio::spawn(net.network);
    let address = address.await.unwrap().with_p2p(peer_id).unwrap();
    Fresh { follower, chain, address, stop, view: stored.view, _home: home }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_liars_one_honest_peer_is_enough() {
    let history = Arc::new(History::new());
    let node = fresh_node(&history, PATIENCE).await;
    let running = tokio::spawn(node.follower.run());
    let mut liars = Vec::new();
    for lie in LIES {
        liars.push((lie, serve(&history, lie, None, &node.address)));
    }
    for (lie, asked) in &mut liars {
        let asked = timeout(PATIENCE, asked.wait_for(|count| *count > 0)).await;
        assert!(asked.is_ok(), "who answers {lie:?} is never asked");
    }
    assert_eq!(node.chain.head().header.height, 0, "nobody has given it a block that checks");

    serve(&history, Answer::Honestly, None, &node.address);
    let mut head = node.chain.watch();
    let caught_up = head.wait_for(|head| head.header.height >= HEIGHTS);
    timeout(PATIENCE, caught_up).await.expect("it catches up").unwrap();
    assert_eq!(node.chain.head().header.height, HEIGHTS);
    for height in 1..=HEIGHTS {
        let (block, certificate) = history.block(height).unwrap();
        let bytes = node.chain.log().block_bytes(height).unwrap();
        assert_eq!(bytes, Some(block.encode().unwrap()), "height {height}");
        assert_eq!(node.chain.certificate(height).unwrap().as_ref(), Some(certificate));
    }

    node.stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    node.view.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_takes_part_once_it_is_close_to_the_others() {
    let history = Arc::new(History::new());
    let [own, one, another, liar]: [SecretKey; 4] = keys().try_into().unwrap_or_else(|_| panic!());
    let node = fresh_node(&history, PATIENCE).await;
    // One of four that claims to be far ahead holds nobody up.
    serve(&history, Answer::Silent, Some(liar), &node.address);
    serve(&history, Answer::Honestly, Some(one), &node.address);
    serve(&history, Answer::Honestly, Some(another), &node.address);
    let caught_up = timeout(PATIENCE, node.follower.until_seated(own.address())).await;
    let parts = caught_up.expect("it comes close").unwrap().expect("nobody stopped it");
    let height = parts.tip.header.height;
    assert!(height <= HEIGHTS && height + 32 >= HEIGHTS, "height {height}");
    assert_eq!(node.chain.log().tip(), height);
    node.view.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_hears_nobody_does_not_wait_for_ever() {
    let history = Arc::new(History::new());
    let own = keys()[0].address();
    let node = fresh_node(&history, Duration::from_millis(500)).await;
    serve(&history, Answer::Honestly, Some(keys()[1].clone()), &node.address);
    let caught_up = timeout(PATIENCE, node.follower.until_seated(own)).await;
    assert!(caught_up.expect("it begins").unwrap().is_some(), "one of four is not enough");

    let node = fresh_node(&history, PATIENCE).await;
    node.stop.send(true).unwrap();
    let caught_up = timeout(PATIENCE, node.follower.until_seated(own)).await;
    assert!(caught_up.expect("it stops").unwrap().is_none());
}
