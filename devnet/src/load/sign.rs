//! Signing ahead of time, on a thread of its own: the load must not wait for its own signatures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use weft_types::{
    Bytes, NamespaceId, Payload, SecretKey, Signed, Transaction, TransactionBody, hash::blake3,
    signature::SIGNATURE_LENGTH, transaction::id_of,
};

use super::{Load, Ready};

/// How long before it is due a transaction is signed, and so how much of a load is signed before it
/// starts.
const LEAD: Duration = Duration::from_secs(60);

/// Most bytes of transactions that are signed ahead.
const MAX_AHEAD: usize = 256 * 1024 * 1024;

/// How long a transaction may take to be ordered, from when it is due.
const VALIDITY: Duration = Duration::from_secs(90);

/// Signing under way.
pub struct Signing {
    /// The thread.
    pub thread: JoinHandle<()>,
    /// What it signs, by lane.
    pub queues: Vec<mpsc::Receiver<Ready>>,
    /// Says when everything that may be signed ahead is. Now the load can start.
    pub ready: oneshot::Receiver<()>,
}

impl Signing {
    /// Starts the thread, with a queue per lane of connections; each transaction goes to the next
    /// lane. The thread signs what it may sign ahead, says so, and signs the rest in time.
    pub fn start(load: &Load, lanes: usize) -> Self {
        let ahead = ahead_of(load);
        let room = usize::try_from(ahead).unwrap_or(usize::MAX) / lanes + 1;
        let (senders, queues): (Vec<_>, Vec<_>) = (0..lanes).map(|_| mpsc::channel(room)).unzip();
        let (signed, ready) = oneshot::channel();
        let load = load.clone();
        let salt = salt();
        let thread = std::thread::spawn(move || {
            let mut signed = Some(signed);
            let mut started = Instant::now();
            for number in 0.. {
                let due = due_at(number, load.rate);
                let done = due > load.duration;
                if (done || number == ahead)
                    && let Some(signed) = signed.take()
                {
                    started = Instant::now();
                    // Nobody waits if the load was given up.
                    let _ = signed.send(());
                }
                if done {
                    return;
                }
                let left = due.saturating_sub(started.elapsed());
                if number > ahead {
                    std::thread::park_timeout(left.saturating_sub(LEAD));
                }
                let lane = usize::try_from(number).unwrap_or(0) % lanes;
                let transaction = transaction(&load, salt ^ number, number, left);
                let ready = Ready {
                    id: id_of(&transaction),
                    request: request(&load, lane, &transaction),
                    due,
                };
                if senders[lane].blocking_send(ready).is_err() {
                    return;
                }
            }
        });
        Self { thread, queues, ready }
    }
}

/// How many transactions are signed before the load starts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are far below 2^52 and above zero"
)]
fn ahead_of(load: &Load) -> u64 {
    let by_time = (load.rate * LEAD.as_secs_f64()) as u64;
    let size = load.bytes * load.pack.max(1) + 1024;
    by_time.min((MAX_AHEAD / size) as u64).max(1)
}

/// When the n-th transaction is due.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 transactions")]
fn due_at(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

/// What tells a load's transactions from those of others on the same network.
fn salt() -> u64 {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let load = LOADS.fetch_add(1, Ordering::Relaxed);
    let hash = blake3(&[&std::process::id().to_be_bytes(), &load.to_be_bytes()]);
    u64::from_be_bytes(hash.0[..8].try_into().unwrap_or_default())
}

fn body(payload: Payload, chain_id: u64, salt: u64, due_in: Duration) -> TransactionBody {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let valid_until = u64::try_from((now + due_in + VALIDITY).as_millis()).unwrap_or(u64::MAX);
    TransactionBody {
        chain_id,
        valid_until,
        salt: valid_until.rotate_left(32) ^ salt,
        max_fee: 1 << 90,
        payload,
    }
}

/// A transaction that is valid for a minute and a half; another number makes it another one.
pub fn sign(payload: Payload, chain_id: u64, key: &SecretKey, number: u64) -> Transaction {
    Signed::new(body(payload, chain_id, number, Duration::ZERO), chain_id, key)
}

/// The n-th transaction of a load.
fn transaction(load: &Load, salt: u64, number: u64, due_in: Duration) -> Transaction {
    let index = usize::try_from(number).unwrap_or(0);
    let key: &SecretKey = &load.accounts[index % load.accounts.len()];
    let namespace = NamespaceId(load.namespaces[index % load.namespaces.len()]);
    let payload = Payload::Submit { namespace, data: vec![Bytes::new()] };
    let mut body = body(payload, load.chain_id, salt, due_in);
    let data = if load.pack > 1 {
        (0..load.pack as u64).map(|part| noise(number, part, load.bytes)).collect()
    } else {
        let frame = borsh::object_length(&body).unwrap_or(0) + SIGNATURE_LENGTH;
        vec![noise(number, 0, load.bytes.saturating_sub(frame).max(8))]
    };
    body.payload = Payload::Submit { namespace, data };
    Signed::new(body, load.chain_id, key)
}

/// Bytes that do not compress, as real ones do not.
fn noise(number: u64, part: u64, size: usize) -> Bytes {
    let mut data = Vec::with_capacity(size + 32);
    while data.len() < size {
        let place = (data.len() as u64).to_be_bytes();
        let block = blake3(&[&number.to_be_bytes(), &part.to_be_bytes(), &place]);
        data.extend_from_slice(block.as_slice());
    }
    data.truncate(size);
    Bytes::from(data)
}

fn request(load: &Load, lane: usize, transaction: &Transaction) -> Vec<u8> {
    let body = borsh::to_vec(transaction).unwrap_or_default();
    let host = load.nodes[lane % load.nodes.len()];
    let mut request = format!(
        "POST /v1/transactions HTTP/1.1\r\nhost: {host}\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}
