//! Signing ahead of time, on a thread of its own: the load must not wait for its own signatures.

use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use weft_types::{
    Bytes, NamespaceId, Payload, SecretKey, Signed, Transaction, TransactionBody, hash::blake3,
    signature::SIGNATURE_LENGTH, transaction::id_of,
};

use super::{Load, Ready};

/// Transactions signed ahead per connection.
const AHEAD: usize = 2048;

/// How long before it is due a transaction is signed: it must not expire before it is sent.
const LEAD: Duration = Duration::from_secs(10);

/// How long a transaction may take to be ordered.
const VALIDITY: Duration = Duration::from_secs(90);

/// Signs transactions for a load.
pub struct Signer;

impl Signer {
    /// Starts the thread. Returns a queue per lane of connections; each transaction goes to the
    /// next lane.
    pub fn start(load: &Load, lanes: usize) -> (JoinHandle<()>, Vec<mpsc::Receiver<Ready>>) {
        let (senders, queues): (Vec<_>, Vec<_>) = (0..lanes).map(|_| mpsc::channel(AHEAD)).unzip();
        let load = load.clone();
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let mut number = 0u64;
            loop {
                let due = due_at(number, load.rate);
                if due > load.duration {
                    return;
                }
                let early = due.saturating_sub(started.elapsed() + LEAD);
                std::thread::park_timeout(early);
                let lane = usize::try_from(number).unwrap_or(0) % lanes;
                let transaction = transaction(&load, number);
                let ready = Ready {
                    id: id_of(&transaction),
                    request: request(&load, lane, &transaction),
                    due,
                };
                if senders[lane].blocking_send(ready).is_err() {
                    return;
                }
                number += 1;
            }
        });
        (thread, queues)
    }
}

/// When the n-th transaction is due.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 transactions")]
fn due_at(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

fn body(payload: Payload, chain_id: u64, number: u64) -> TransactionBody {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let valid_until = u64::try_from((now + VALIDITY).as_millis()).unwrap_or(u64::MAX);
    TransactionBody {
        chain_id,
        valid_until,
        // Unlike that of any other load on the same network.
        salt: valid_until.rotate_left(32) ^ number,
        max_fee: 1 << 90,
        payload,
    }
}

/// A transaction that is valid for a minute and a half; another number makes it another one.
pub fn sign(payload: Payload, chain_id: u64, key: &SecretKey, number: u64) -> Transaction {
    Signed::new(body(payload, chain_id, number), chain_id, key)
}

/// The n-th transaction of a load.
fn transaction(load: &Load, number: u64) -> Transaction {
    let index = usize::try_from(number).unwrap_or(0);
    let key: &SecretKey = &load.accounts[index % load.accounts.len()];
    let namespace = NamespaceId(load.namespaces[index % load.namespaces.len()]);
    let payload = Payload::Submit { namespace, data: vec![Bytes::new()] };
    let mut body = body(payload, load.chain_id, number);
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
