//! Following a chain through honest, broken and lying endpoints.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::Bytes;
use prometheus_client::registry::Registry;
use support::chain::{Chain, Validators};
use support::node::{Fault, Network, Node};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weft_rollup_adapter::api::Endpoint;
use weft_rollup_adapter::cursor::{Cursor, Settled};
use weft_rollup_adapter::derivation::Step;
use weft_rollup_adapter::executor::{Executor, Progress};
use weft_rollup_adapter::follow::{Follow, FollowError, Head};
use weft_rollup_adapter::metrics::FollowMetrics;
use weft_rollup_adapter::shutdown::{self, Trigger};
use weft_rollup_adapter::source::{Source, SourceConfig, SourceError, SourceStatus};
use weft_types::SliceEntry;

const NAMESPACE: u64 = 500;

/// Writes down what it is given.
#[derive(Clone, Default)]
struct Recorder {
    cursor: Arc<Mutex<Option<Cursor>>>,
    items: Arc<Mutex<Vec<(u64, Bytes)>>>,
}

impl Executor for Recorder {
    type Error = Infallible;

    async fn cursor(&mut self) -> Result<Option<Cursor>, Infallible> {
        Ok(*self.cursor.lock().unwrap())
    }

    async fn execute(&mut self, step: &Step) -> Result<Progress, Infallible> {
        let mut cursor = self.cursor.lock().unwrap();
        assert!(step.follows(cursor.as_ref()), "in order, once each");
        for entry in step.entries() {
            let SliceEntry::Submission { data, .. } = entry else { continue };
            let mut items = self.items.lock().unwrap();
            items.extend(data.iter().map(|item| (step.from().next, item.clone())));
        }
        *cursor = Some(*step.to());
        Ok(Progress::Done)
    }

    async fn unwind(&mut self, _: Cursor) -> Result<(), Infallible> {
        unreachable!("there is no L1 here");
    }

    fn settle(&mut self, _: Settled) {}

    async fn look(&mut self) -> Result<Progress, Infallible> {
        Ok(Progress::Done)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Running {
    task: JoinHandle<Result<(), FollowError<Infallible>>>,
    head: watch::Receiver<Head>,
    status: SourceStatus,
    trigger: Trigger,
    recorder: Recorder,
}

impl Running {
    fn start(network: &Network, nodes: &[&Node], recorder: Recorder) -> Self {
        let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
        Self::start_with(network, &urls, recorder, Duration::from_millis(150))
    }

    /// With patience for an endpoint that is slow, so that what is wrong with it is what it says.
    fn patient(network: &Network, nodes: &[&Node]) -> Self {
        let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
        Self::start_with(network, &urls, Recorder::default(), Duration::from_secs(30))
    }

    fn start_with(
        network: &Network,
        urls: &[String],
        recorder: Recorder,
        stall_after: Duration,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Endpoint::http_client().unwrap();
        let endpoints =
            urls.iter().map(|url| Endpoint::new(url.parse().unwrap(), http.clone())).collect();
        let (genesis, namespace) = network.with(|chain| (chain.genesis.clone(), chain.namespace));
        let config = SourceConfig { stall_after, poll_interval: Duration::from_millis(20) };
        let source = Source::new(endpoints, namespace, config).unwrap();
        let status = source.status();
        let (sender, head) = watch::channel(Head::default());
        let (trigger, shutdown) = shutdown::channel();
        let follow = Follow {
            genesis,
            namespace,
            source,
            l1: None,
            head: sender,
            case: tokio::sync::watch::channel(None).0,
            metrics: FollowMetrics::new(&mut Registry::default()),
            shutdown,
        };
        let mut executor = recorder.clone();
        let task = tokio::spawn(async move { follow.run(&mut executor).await });
        Self { task, head, status, trigger, recorder }
    }

    async fn until(&mut self, height: u64) {
        let reached = self.head.wait_for(|head| head.height >= Some(height));
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        reached.expect("in time").expect("still following");
    }

    async fn stop(self) -> Recorder {
        self.trigger.shut_down();
        self.task.await.unwrap().unwrap();
        self.recorder
    }
}

/// A chain with slices at some heights, others without, and two changes of committee.
fn chain(blocks: u64) -> Network {
    let mut chain = Chain::new(NAMESPACE);
    for i in 1..=blocks {
        if i == 5 {
            chain.change_validators(9, Validators::new(0x20, 7));
        }
        if i == 12 {
            chain.change_validators(14, Validators::new(0x10, 1));
        }
        let item = |n: u64| Bytes::from(format!("{i}/{n}").into_bytes());
        chain.push(match i % 3 {
            0 => vec![],
            1 => vec![vec![item(0)]],
            _ => vec![vec![item(0), item(1)], vec![item(2)]],
        });
    }
    Network::new(chain)
}

fn expected(blocks: u64) -> Vec<(u64, Bytes)> {
    let items = |i: u64| {
        let count = [0, 1, 3][(i % 3) as usize];
        (0..count).map(move |n| (i, Bytes::from(format!("{i}/{n}").into_bytes())))
    };
    (1..=blocks).flat_map(items).collect()
}

const BLOCKS: u64 = 20;
/// The last height whose slice can be proven.
const LAST: u64 = BLOCKS - 1;

async fn check(running: Running) {
    let recorder = running.stop().await;
    assert_eq!(*recorder.items.lock().unwrap(), expected(LAST));
}

#[tokio::test]
async fn follows_through_changes_of_committee_and_resumes() {
    let network = chain(BLOCKS);
    let node = Node::start(&network).await;
    let mut running = Running::start(&network, &[&node], Recorder::default());
    running.until(LAST).await;
    let recorder = running.stop().await;
    assert_eq!(*recorder.items.lock().unwrap(), expected(LAST));
    // Another process goes on where this one stopped, whoever decides by now.
    recorder.items.lock().unwrap().clear();
    let mut running = Running::start(&network, &[&node], recorder);
    network.with(|chain| {
        chain.push(vec![vec![Bytes::from_static(b"later")]]);
        chain.push(vec![]);
    });
    running.until(BLOCKS + 1).await;
    let recorder = running.stop().await;
    let items = recorder.items.lock().unwrap().clone();
    assert_eq!(items.last(), Some(&(BLOCKS + 1, Bytes::from_static(b"later"))));
    assert!(items.iter().all(|(height, _)| *height >= BLOCKS), "{items:?}");
}

#[tokio::test]
async fn whoever_lies_is_named_and_not_asked_again() {
    for fault in [
        Fault::NoQuorum,
        Fault::ForeignCertificate,
        Fault::Truncated,
        Fault::Hidden,
        Fault::Forged,
        Fault::OtherChain,
        Fault::OtherHeader,
        Fault::OtherCommittee,
    ] {
        let network = chain(BLOCKS);
        let (liar, honest) = (Node::start(&network).await, Node::start(&network).await);
        liar.set(fault);
        let mut running = Running::patient(&network, &[&liar, &honest]);
        running.until(LAST).await;
        let status = running.status.snapshot();
        assert!(status[0].quarantined.is_some(), "{fault:?}: {status:?}");
        assert_eq!(status[1].quarantined, None, "{fault:?}");
        check(running).await;
    }
}

#[tokio::test]
async fn stops_loudly_if_all_lie() {
    let network = chain(BLOCKS);
    let nodes = [Node::start(&network).await, Node::start(&network).await];
    nodes[0].set(Fault::Forged);
    nodes[1].set(Fault::NoQuorum);
    let running = Running::patient(&network, &[&nodes[0], &nodes[1]]);
    let error = running.task.await.unwrap().unwrap_err();
    let FollowError::Source(SourceError::NoneHonest(reasons)) = &error else {
        panic!("{error}");
    };
    for node in &nodes {
        assert!(reasons.iter().any(|reason| reason.contains(&node.url())), "{error}");
    }
    // Nothing of the lies got through.
    let items = running.recorder.items.lock().unwrap().clone();
    assert!(expected(LAST).starts_with(&items), "{items:?}");
}

#[tokio::test]
async fn others_take_over_from_the_broken() {
    for fault in [Fault::Garbage, Fault::Huge, Fault::Disconnects, Fault::Stalls, Fault::Errors] {
        let network = chain(BLOCKS);
        let (broken, fine) = (Node::start(&network).await, Node::start(&network).await);
        broken.set(fault);
        let mut running = Running::start(&network, &[&broken, &fine], Recorder::default());
        running.until(LAST).await;
        let status = running.status.snapshot();
        assert_eq!(status[0].quarantined, None, "{fault:?} is no lie");
        assert!(status[0].failures > 0, "{fault:?}: {status:?}");
        check(running).await;
    }
}

#[tokio::test]
async fn a_stream_that_stalls_midway_is_left_and_a_broken_endpoint_comes_back() {
    let network = chain(BLOCKS);
    let (first, second) = (Node::start(&network).await, Node::start(&network).await);
    let mut running = Running::start(&network, &[&first, &second], Recorder::default());
    running.until(LAST).await;
    first.set(Fault::Stalls);
    network.with(|chain| chain.push(vec![]));
    running.until(BLOCKS).await;
    // Now the other one breaks, and the first is fine again.
    second.set(Fault::Errors);
    first.set(Fault::None);
    network.with(|chain| chain.push(vec![]));
    network.with(|chain| chain.push(vec![]));
    running.until(BLOCKS + 2).await;
    running.stop().await;
}

#[tokio::test]
async fn works_without_streams_and_with_short_ones() {
    for fault in [Fault::NoStream, Fault::ShortStreams] {
        let network = chain(BLOCKS);
        let node = Node::start(&network).await;
        node.set(fault);
        let mut running = Running::start(&network, &[&node], Recorder::default());
        running.until(LAST).await;
        network.with(|chain| chain.push(vec![]));
        running.until(BLOCKS).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn waits_for_endpoints_that_are_not_there_yet() {
    let network = chain(BLOCKS);
    let node = Node::start(&network).await;
    node.set(Fault::Errors);
    // Bound and not listening: refused, and nobody else can get the port meanwhile.
    let gone = tokio::net::TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let urls = [format!("http://{}", gone.local_addr().unwrap()), node.url()];
    let mut running =
        Running::start_with(&network, &urls, Recorder::default(), Duration::from_millis(150));
    let failed = |status: &SourceStatus| status.snapshot().iter().all(|s| s.failures > 1);
    tokio::time::timeout(Duration::from_secs(20), async {
        while !failed(&running.status) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("both fail");
    node.set(Fault::None);
    running.until(LAST).await;
    check(running).await;
}
