//! Searchers that bid against each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use eyre::{WrapErr, eyre};
use futures::future::join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weft_types::hash::blake3;
use weft_types::{
    BidMode, Bytes, Leg, NamespaceId, Payload, SecretKey, TimeMs, TransactionId, Wei,
};

use crate::client::{Client, number};
use crate::load::sign;
use crate::network::Network;

/// A finney, roughly what bids are about.
const UNIT: Wei = 1_000_000_000_000_000;

/// What a searcher has sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The bid's id.
    pub id: TransactionId,
    /// Its height.
    pub height: u64,
    /// By when every validator had taken it, if all did and it was not replaced: wall clock,
    /// milliseconds since the Unix epoch.
    pub all_had_it_at: Option<TimeMs>,
}

/// Searchers at work.
pub struct Searchers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<eyre::Result<Vec<Sent>>>>,
}

impl Searchers {
    /// Lets accounts bid, each following another validator.
    pub fn start(network: &Network, keys: &[SecretKey]) -> Self {
        let stop = watch::Sender::new(false);
        let numbers = Arc::new(AtomicU64::new(0));
        let clients: Vec<Client> =
            network.validators.iter().map(|node| node.client.clone()).collect();
        let task = |(at, key): (usize, &SecretKey)| {
            let searcher = Searcher {
                key: key.clone(),
                follows: clients[at % clients.len()].clone(),
                clients: clients.clone(),
                chain_id: network.plan.genesis.chain_id,
                stop: stop.subscribe(),
                numbers: Arc::clone(&numbers),
            };
            tokio::spawn(searcher.run())
        };
        let tasks = keys.iter().enumerate().map(task).collect();
        Self { stop, tasks }
    }

    /// Lets them finish what they are about, and returns what they have sent.
    pub async fn finish(mut self) -> eyre::Result<Vec<Sent>> {
        self.stop.send_replace(true);
        let mut sent = Vec::new();
        for task in std::mem::take(&mut self.tasks) {
            sent.extend(task.await?.wrap_err("a searcher")?);
        }
        Ok(sent)
    }
}

impl Drop for Searchers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Searcher {
    key: SecretKey,
    /// Whose stream it follows.
    follows: Client,
    clients: Vec<Client>,
    chain_id: u64,
    stop: watch::Receiver<bool>,
    numbers: Arc<AtomicU64>,
}

impl Searcher {
    async fn run(mut self) -> eyre::Result<Vec<Sent>> {
        let mut sent = Vec::new();
        while !*self.stop.borrow() {
            // A node that is killed ends its stream; it is there again, or another one is.
            if self.follow(&mut sent).await.is_err() {
                self.clients.rotate_left(1);
                self.follows.clone_from(&self.clients[0]);
            }
        }
        Ok(sent)
    }

    async fn follow(&mut self, sent: &mut Vec<Sent>) -> eyre::Result<()> {
        let mut events = self.follows.events("/v1/auctions/stream").await?;
        let mut stop = self.stop.clone();
        loop {
            let event = tokio::select! {
                event = events.next() => event?.ok_or_else(|| eyre!("the stream has ended"))?,
                _ = stop.changed() => return Ok(()),
            };
            let Some(lots) = event["next"]["lots"].as_array() else { continue };
            let height = number(&event["next"]["height"])?;
            let before = sent.len();
            for payload in self.bids(height, lots)? {
                sent.push(self.send(height, payload).await?);
            }
            // Nodes drop one that is replaced.
            let last = sent.len().saturating_sub(1);
            for replaced in sent.iter_mut().take(last).skip(before) {
                replaced.all_had_it_at = None;
            }
        }
    }

    /// What this searcher bids for a height: one bid or none, now and then another one instead of it,
    /// or none any more.
    fn bids(&self, height: u64, lots: &[Value]) -> eyre::Result<Vec<Payload>> {
        let digest = blake3(&[self.key.address().as_slice(), &height.to_be_bytes()]);
        let dice = |at: usize| usize::from(digest[at]);
        if lots.is_empty() || dice(0) < 32 {
            return Ok(Vec::new());
        }
        let wanted = match dice(1) {
            0..150 => 1,
            150..210 => 2,
            _ => 3,
        };
        let mut wanted: Vec<&Value> =
            (0..wanted).map(|at| &lots[(dice(2) + at) % lots.len()]).collect();
        wanted.sort_by_key(|lot| number(&lot["namespace"]).unwrap_or(0));
        wanted.dedup();
        let mut least: Wei = 0;
        let mut legs = Vec::new();
        for lot in wanted {
            let reserve: Wei = lot["reserve"].as_str().unwrap_or_default().parse()?;
            least += reserve;
            let data = Bytes::copy_from_slice(&digest.0[..16]);
            legs.push(Leg { namespace: NamespaceId(number(&lot["namespace"])?), data: vec![data] });
        }
        let noise = Wei::from(u64::from_be_bytes(std::array::from_fn(|at| digest[8 + at])));
        let amount = least + UNIT / 100 + noise % (UNIT * legs.len() as Wei);
        let mut bids = vec![Payload::Bid {
            sequence: 0,
            height,
            amount,
            mode: BidMode::Inclusion,
            legs: legs.clone(),
        }];
        if dice(3) < 40 {
            let amount = least + UNIT / 100 + noise.rotate_left(17) % UNIT;
            bids.push(Payload::Bid { sequence: 1, height, amount, mode: BidMode::Inclusion, legs });
        } else if dice(3) < 50 {
            bids.push(Payload::Bid {
                sequence: 1,
                height,
                amount: 0,
                mode: BidMode::Inclusion,
                legs: Vec::new(),
            });
        }
        Ok(bids)
    }

    /// Sends a bid to all validators.
    async fn send(&self, height: u64, payload: Payload) -> eyre::Result<Sent> {
        let salt = self.numbers.fetch_add(1, Ordering::Relaxed);
        let transaction = sign(payload, self.chain_id, &self.key, salt);
        let answers = join_all(self.clients.iter().map(|client| client.submit(&transaction))).await;
        let taken = answers.iter().all(|answer| matches!(answer, Ok(Ok(_))));
        let id = weft_types::transaction::id_of(&transaction);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let all_had_it_at = if taken { Some(TimeMs::try_from(now)?) } else { None };
        Ok(Sent { id, height, all_had_it_at })
    }
}
