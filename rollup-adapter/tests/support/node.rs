//! A double of Weft nodes: one chain, any number of endpoints, each with faults of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes as BodyBytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use weft_types::slice::ProvenSlice;
use weft_types::{B256, Payload, SliceEntry, Transaction, TransactionId, Unverified};

use super::chain::{Chain, Validators};
use super::process::PATIENCE;

/// What an endpoint does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    // Lies: what is served decodes, and does not hold.
    /// Certificates by too few.
    NoQuorum,
    /// Certificates by other keys.
    ForeignCertificate,
    /// The last item of a slice is left out.
    Truncated,
    /// A slice that is there is left out, with a proof of absence for another namespace.
    Hidden,
    /// An item that nobody has ordered.
    Forged,
    /// Headers of a chain that the genesis does not lead to.
    OtherChain,
    /// Another block at the same height, certified by nobody.
    OtherHeader,
    /// Other committees.
    OtherCommittee,
    // Faults: nothing usable is served.
    /// Not JSON.
    Garbage,
    /// Endless answers.
    Huge,
    /// Connections end in the middle of an answer.
    Disconnects,
    /// Slices stop coming, though the status goes on.
    Stalls,
    /// There is no stream.
    NoStream,
    /// Streams end after each slice.
    ShortStreams,
    /// Transactions are refused.
    RefusesTransactions,
    /// Transactions are taken and forgotten.
    ForgetsTransactions,
    /// Server errors.
    Errors,
    // Lies that no proof shows.
    /// Says that a byte costs nothing.
    QuotesNothing,
    /// Says that a byte costs more than there is.
    QuotesTooMuch,
}

struct Shared {
    chain: Chain,
    /// What a byte costs, in wei, both globally and in the namespace.
    price: u128,
    /// Whether transactions are ordered as they come.
    auto: bool,
    /// Blocks end when this many transactions wait, in automatic mode.
    mempool: Vec<Transaction>,
    known: BTreeMap<TransactionId, &'static str>,
    remembered: BTreeSet<TransactionId>,
}

/// The network behind all endpoints.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
    height: Arc<watch::Sender<u64>>,
}

impl Network {
    pub fn new(chain: Chain) -> Self {
        let height = Arc::new(watch::channel(chain.height()).0);
        let shared = Shared {
            price: chain.genesis.params.min_base_fee,
            chain,
            auto: false,
            mempool: vec![],
            known: BTreeMap::new(),
            remembered: BTreeSet::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), height }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Looks at or changes the chain.
    pub fn with<T>(&self, f: impl FnOnce(&mut Chain) -> T) -> T {
        let mut shared = self.lock();
        let result = f(&mut shared.chain);
        let height = shared.chain.height();
        drop(shared);
        self.height.send_replace(height);
        result
    }

    /// What a byte costs from now on, in wei, both globally and in the namespace.
    pub fn set_price(&self, price: u128) {
        self.lock().price = price;
    }

    /// Orders transactions as they come from now on.
    pub fn order_as_they_come(&self) {
        self.lock().auto = true;
        self.order();
    }

    /// Stops doing so.
    pub fn hold_back(&self) {
        self.lock().auto = false;
    }

    /// Orders what waits, in one block, and decides one more so that it can be proven. Time is this
    /// machine's, or goes on a little if that is not later.
    pub fn order(&self) {
        let mut shared = self.lock();
        let now = weft_rollup_adapter::gateway::price::wall_ms();
        let before = shared.chain.time_ms();
        let time_ms = now.max(before + 1);
        let mut entries = Vec::new();
        for transaction in std::mem::take(&mut shared.mempool) {
            let id = weft_types::transaction::id_of(&transaction);
            if transaction.body.valid_until < time_ms || !shared.remembered.insert(id) {
                continue;
            }
            let Payload::Submit { namespace, data } = transaction.body.payload else { continue };
            assert_eq!(namespace, shared.chain.namespace);
            shared.known.insert(id, "final");
            entries.push(SliceEntry::Submission {
                transaction: id,
                submitter: alloy_primitives::Address::ZERO,
                data,
            });
        }
        shared.chain.push_entries(entries, time_ms - before);
        shared.chain.push_entries(vec![], 1);
        let height = shared.chain.height();
        drop(shared);
        self.height.send_replace(height);
    }

    pub fn height(&self) -> u64 {
        self.lock().chain.height()
    }

    pub fn waiting(&self) -> usize {
        self.lock().mempool.len()
    }

    /// Forgets what waits, as a node that crashes.
    pub fn forget_waiting(&self) {
        let mut shared = self.lock();
        shared.mempool.clear();
        shared.known.retain(|_, status| *status == "final");
    }

    /// The verdicts that wait, in the order in which they came: of each what effects it says.
    pub fn verdicts(&self, of: TransactionId) -> Vec<Option<B256>> {
        let said = |transaction: &Transaction| match transaction.body.payload {
            Payload::Verdict { bundle, effects, .. } if bundle == of => Some(effects),
            _ => None,
        };
        self.lock().mempool.iter().filter_map(said).collect()
    }

    /// Waits until there are more verdicts on a bundle than so many.
    pub async fn until_verdict(&self, of: TransactionId, before: usize) {
        let mut height = self.height.subscribe();
        let said = async {
            while self.verdicts(of).len() <= before {
                height.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, said).await.expect("a verdict in time");
    }

    /// Waits until so many Weft transactions wait.
    pub async fn until_waiting(&self, count: usize) {
        let mut height = self.height.subscribe();
        while self.waiting() < count {
            height.changed().await.unwrap();
        }
    }
}

/// One endpoint.
#[derive(Clone)]
pub struct Node {
    pub network: Network,
    pub address: SocketAddr,
    fault: Arc<watch::Sender<Fault>>,
}

impl Node {
    /// Starts an endpoint on a free port.
    pub async fn start(network: &Network) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Self {
            network: network.clone(),
            address: listener.local_addr().unwrap(),
            fault: Arc::new(watch::channel(Fault::None).0),
        };
        let router = Router::new()
            .route("/status", get(status))
            .route("/v1/namespaces/{ns}", get(namespace))
            .route("/v1/namespaces/{ns}/slices/{height}", get(slice))
            .route("/v1/namespaces/{ns}/stream", get(slices))
            .route("/v1/validators", get(validators))
            .route("/v1/transactions", post(submit))
            .route("/v1/transactions/{id}", get(transaction))
            .with_state(node.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        node
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// The slice of a height as this endpoint serves it.
    fn serve(&self, height: u64) -> Option<ProvenSlice> {
        let shared = self.network.lock();
        let mut slice = shared.chain.proven(height)?;
        let other = Validators::new(0x77, 4);
        match self.fault() {
            Fault::NoQuorum => {
                slice.certificate.signatures.truncate(1);
            }
            Fault::ForeignCertificate => slice.certificate = other.certify(&slice.child),
            Fault::Truncated => {
                if let Some(SliceEntry::Submission { data, .. }) = slice.entries.last_mut() {
                    data.pop();
                }
            }
            Fault::Hidden => {
                slice.proof.before = slice.proof.at.take();
                slice.entries.clear();
            }
            Fault::Forged => {
                if let Some(SliceEntry::Submission { data, .. }) = slice.entries.last_mut() {
                    data.push(b"forged".as_slice().into());
                }
            }
            Fault::OtherChain => slice.header.chain_id += 1,
            Fault::OtherHeader => {
                slice.child.time_ms += 1;
                slice.certificate.block = slice.child.id();
            }
            _ => {}
        }
        Some(slice)
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": "no", "status": 0, "detail": detail });
    (status, Json(body)).into_response()
}

fn spoil(node: &Node) -> Option<Response> {
    match node.fault() {
        Fault::Garbage => Some("{\"height\": nonsense".into_response()),
        Fault::Errors => Some(problem(StatusCode::INTERNAL_SERVER_ERROR, "broken")),
        Fault::Huge => {
            let chunks = stream::repeat_with(|| {
                Ok::<_, Infallible>(BodyBytes::from_static(&[b' '; 64 * 1024]))
            });
            Some(Body::from_stream(chunks).into_response())
        }
        Fault::Disconnects => {
            let chunks = stream::iter([
                Ok(BodyBytes::from_static(b"{\"hea")),
                Err(std::io::Error::other("gone")),
            ]);
            Some(Body::from_stream(chunks).into_response())
        }
        _ => None,
    }
}

async fn status(State(node): State<Node>) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    let shared = node.network.lock();
    let chain = &shared.chain;
    let height = chain.height();
    Json(json!({
        "chain_id": chain.genesis.chain_id.to_string(),
        "genesis": chain.genesis_id(),
        "height": height.to_string(),
        "block": chain.header(height).id(),
        "time_ms": chain.time_ms().to_string(),
        "more": true,
    }))
    .into_response()
}

async fn namespace(State(node): State<Node>) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    let shared = node.network.lock();
    let price = match node.fault() {
        Fault::QuotesNothing => 0,
        Fault::QuotesTooMuch => u128::MAX,
        _ => shared.price,
    };
    Json(json!({
        "namespace": shared.chain.namespace,
        "settings": {},
        "price_per_byte": price.to_string(),
        "global_price_per_byte": price.to_string(),
    }))
    .into_response()
}

async fn slice(State(node): State<Node>, Path((_, height)): Path<(String, u64)>) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    if node.fault() == Fault::Stalls {
        return problem(StatusCode::NOT_FOUND, "not decided yet");
    }
    match node.serve(height) {
        Some(slice) => Json(slice).into_response(),
        None => problem(StatusCode::NOT_FOUND, "not decided yet"),
    }
}

async fn slices(State(node): State<Node>, Query(query): Query<BTreeMap<String, u64>>) -> Response {
    if node.fault() == Fault::NoStream {
        return problem(StatusCode::NOT_FOUND, "no stream");
    }
    let from = query["from"];
    let events = stream::unfold((node, from, 0), |(node, height, sent)| async move {
        loop {
            let fault = node.fault();
            match fault {
                Fault::Stalls => {
                    // Shows that it is alive, and nothing else.
                    let mut faults = node.fault.subscribe();
                    let _ = faults.wait_for(|fault| *fault != Fault::Stalls).await;
                    continue;
                }
                Fault::Disconnects if sent > 0 => return None,
                Fault::ShortStreams if sent > 0 => return None,
                Fault::Errors => return None,
                Fault::Garbage => {
                    let text = "event: slice\ndata: {nonsense\n\n";
                    return Some((Ok(BodyBytes::from(text)), (node, height, sent + 1)));
                }
                Fault::Huge => {
                    let text = BodyBytes::from_static(&[b'x'; 64 * 1024]);
                    return Some((Ok::<_, Infallible>(text), (node, height, sent + 1)));
                }
                _ => {}
            }
            let mut heights = node.network.height.subscribe();
            heights.borrow_and_update();
            let mut faults = node.fault.subscribe();
            faults.borrow_and_update();
            if let Some(slice) = node.serve(height) {
                let data = serde_json::to_string(&slice).unwrap();
                let text = format!(": hi\n\nevent: slice\nid: {height}\ndata: {data}\n\n");
                return Some((Ok(BodyBytes::from(text)), (node, height + 1, sent + 1)));
            }
            tokio::select! {
                changed = heights.changed() => changed.ok()?,
                changed = faults.changed() => changed.ok()?,
            }
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn validators(
    State(node): State<Node>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    let height = query["height"];
    let committee = if node.fault() == Fault::OtherCommittee {
        Validators::new(0x77, 4).committee
    } else {
        node.network.lock().chain.validators_at(height).committee.clone()
    };
    Json(json!({ "height": height.to_string(), "committee": committee })).into_response()
}

async fn submit(State(node): State<Node>, body: BodyBytes) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    let Ok(transaction) = borsh::from_slice::<Transaction>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "not borsh");
    };
    if node.fault() == Fault::RefusesTransactions {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "max_fee is below the price");
    }
    let chain_id = node.network.lock().chain.genesis.chain_id;
    let checked = match Unverified::new(transaction.clone()).verify(chain_id) {
        Ok(checked) => checked,
        Err(error) => return problem(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    let id = checked.witness().id;
    let auto = {
        let mut shared = node.network.lock();
        let time_ms = shared.chain.time_ms();
        let body = &transaction.body;
        if body.valid_until < time_ms || body.valid_until > time_ms + 120_000 {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "valid_until is out of range");
        }
        if body.max_fee < 2 * shared.price * body_size(&transaction) {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "max_fee is below the price");
        }
        if node.fault() != Fault::ForgetsTransactions && !shared.known.contains_key(&id) {
            shared.known.insert(id, "received");
            shared.mempool.push(transaction);
        }
        shared.auto
    };
    if auto {
        node.network.order();
    } else {
        // Wakes those who wait for transactions.
        let height = node.network.height();
        node.network.height.send_replace(height);
    }
    let answer = json!({ "id": id, "status": "received" });
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

fn body_size(transaction: &Transaction) -> u128 {
    borsh::to_vec(transaction).unwrap().len() as u128
}

async fn transaction(State(node): State<Node>, Path(id): Path<TransactionId>) -> Response {
    if let Some(spoilt) = spoil(&node) {
        return spoilt;
    }
    match node.network.lock().known.get(&id) {
        Some(status) => Json::<Value>(json!({ "id": id, "status": status })).into_response(),
        None => problem(StatusCode::NOT_FOUND, "unknown"),
    }
}
