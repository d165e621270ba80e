//! Searchers that bid for atomic bundles, some of whose legs fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use eyre::{WrapErr, ensure, eyre};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use weft_rollup_adapter::evm::items::Bound;
use weft_types::hash::blake3;
use weft_types::{BidMode, BidResult, Leg, NamespaceId, Payload, SecretKey, TransactionId, Wei};

use super::PATIENCE;
use super::gate::{self, Act};
use crate::client::{Client, number, wait_for};
use crate::load::sign;
use crate::network::Network;
use crate::rpc::Rpc;

/// What bids are about, in wei.
const UNIT: Wei = 1_000_000_000_000_000;

/// How long a decision may take, whatever happens: several times the longest hold.
const DECISION_PATIENCE: Duration = Duration::from_secs(60);

/// A leg of a bundle.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentLeg {
    pub namespace: u64,
    pub transaction: B256,
    pub act: Act,
}

/// An atomic bundle that has won its lots, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub id: TransactionId,
    pub amount: Wei,
    pub legs: Vec<SentLeg>,
    /// The height that its legs stand at.
    pub height: u64,
    /// The height that decided it.
    pub decided_at: u64,
    /// `committed`, `failed` or `timed_out`.
    pub decision: String,
    /// What it paid, in wei.
    pub paid: Wei,
}

/// A rollup as searchers reach it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// One of its nodes that is not killed while searchers work, or is back at once.
    pub rpc: Rpc,
    /// The contract that legs call.
    pub gate: Address,
}

/// What all searchers share.
#[derive(Clone)]
pub(super) struct Ground {
    pub clients: Vec<Client>,
    pub chain_id: u64,
    pub sites: BTreeMap<u64, Site>,
    /// How many bundles are still to be won.
    pub left: Arc<AtomicU64>,
    /// Tells transactions apart.
    pub numbers: Arc<AtomicU64>,
}

impl Ground {
    pub fn new(network: &Network, sites: BTreeMap<u64, Site>, bundles: u64) -> Self {
        Self {
            clients: network.validators.iter().map(|node| node.client.clone()).collect(),
            chain_id: network.plan.genesis.chain_id,
            sites,
            left: Arc::new(AtomicU64::new(bundles)),
            numbers: Arc::new(AtomicU64::new(1 << 41)),
        }
    }
}

/// Searchers at work: each bids for the lots of another pair of rollups.
pub(super) struct Searchers(Vec<JoinHandle<eyre::Result<Vec<Sent>>>>);

impl Searchers {
    pub fn start(ground: &Ground, parties: Vec<(SecretKey, [u64; 2])>) -> Self {
        let start = |(key, on): (SecretKey, [u64; 2])| {
            let searcher = Searcher { ground: ground.clone(), key, on, bids: 0 };
            tokio::spawn(searcher.run())
        };
        Self(parties.into_iter().map(start).collect())
    }

    pub fn are_done(&self) -> bool {
        self.0.iter().all(JoinHandle::is_finished)
    }

    pub async fn finish(mut self) -> eyre::Result<Vec<Sent>> {
        let mut sent = Vec::new();
        for task in std::mem::take(&mut self.0) {
            sent.extend(task.await?.wrap_err("a searcher")?);
        }
        Ok(sent)
    }
}

impl Drop for Searchers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

pub(super) struct Searcher {
    pub ground: Ground,
    pub key: SecretKey,
    /// Where its legs go, ascending.
    pub on: [u64; 2],
    pub bids: u64,
}

impl Searcher {
    async fn run(mut self) -> eyre::Result<Vec<Sent>> {
        let mut sent = Vec::new();
        while self.ground.left.load(Ordering::Relaxed) > 0 {
            let acts = self.acts();
            let Some(bundle) = self.attempt(acts).await? else { continue };
            let left = &self.ground.left;
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            sent.push(bundle);
        }
        Ok(sent)
    }

    /// What the legs of the next bid do: of ten bids three have one that fails, in some way.
    fn acts(&mut self) -> [Act; 2] {
        self.bids += 1;
        let dice = blake3(&[self.key.address().as_slice(), &self.bids.to_be_bytes()]).0;
        let bad = [Act::Reverts, Act::Overspends, Act::SkipsNonce][usize::from(dice[0]) % 3];
        match dice[1] % 20 {
            0..=2 => [bad, Act::Counts],
            3..=5 => [Act::Counts, bad],
            _ => [Act::Counts; 2],
        }
    }

    /// Bids for the next lots of both rollups, once they offer some. If it wins, waits for the decision.
    pub async fn attempt(&self, acts: [Act; 2]) -> eyre::Result<Option<Sent>> {
        let (height, least) = self.next_lots().await?;
        let (mode, bidder) = (BidMode::Atomic, self.key.address());
        let bound = Bound { mode, height, bidder, siblings: Vec::new() };
        let mut legs = Vec::new();
        let mut sent = Vec::new();
        for (namespace, act) in self.on.into_iter().zip(acts) {
            let site = self.ground.sites.get(&namespace).ok_or_else(|| eyre!("no {namespace}"))?;
            let params = json!([self.key.address(), "latest"]);
            // A node that is being started again does not answer.
            let Ok(nonce) = site.rpc.quantity("eth_getTransactionCount", params).await else {
                return Ok(None);
            };
            let (transaction, raw) =
                gate::call(namespace, site.gate, &self.key, nonce, act, &bound);
            legs.push(Leg { namespace: NamespaceId(namespace), data: vec![raw] });
            sent.push(SentLeg { namespace, transaction, act });
        }
        let salt = self.ground.numbers.fetch_add(1, Ordering::Relaxed);
        let amount = least + UNIT + Wei::from(blake3(&[&salt.to_be_bytes()]).0[0]) * (UNIT / 100);
        let payload = Payload::Bid { sequence: 0, height, amount, mode, legs };
        let transaction = sign(payload, self.ground.chain_id, &self.key, salt);
        let id = weft_types::transaction::id_of(&transaction);
        let clients = &self.ground.clients;
        join_all(clients.iter().map(|client| client.submit(&transaction))).await;
        let Some(result) = self.result(id, height).await? else { return Ok(None) };
        match result {
            BidResult::Won => {}
            // The last one if it was sealed by a validator that did not know of a suspension yet.
            BidResult::Lost | BidResult::NoLot | BidResult::BelowReserve | BidResult::NotAtomic => {
                return Ok(None);
            }
            other => return Err(eyre!("bid {id} for height {height}: {other}")),
        }
        let client = self.client()?;
        let what = format!("a decision on {id}");
        let decided: Value = wait_for(&what, DECISION_PATIENCE, || async {
            let shown = client.get(&format!("/v1/bundles/{id}")).await?;
            let decided = shown["execution"]["state"] == "decided";
            Ok(decided.then(|| shown["execution"].clone()))
        })
        .await?;
        let decided_at = number(&decided["height"])?;
        // Nonces are as of then.
        for site in self.on.iter().filter_map(|namespace| self.ground.sites.get(namespace)) {
            site.rpc.reach(decided_at, PATIENCE).await?;
        }
        Ok(Some(Sent {
            id,
            amount,
            legs: sent,
            height,
            decided_at,
            decision: decided["decision"].as_str().unwrap_or_default().to_owned(),
            paid: decided["paid"].as_str().unwrap_or_default().parse()?,
        }))
    }

    /// What the auction of its height says of a bid; `None` if it came too late.
    pub async fn result(&self, id: TransactionId, height: u64) -> eyre::Result<Option<BidResult>> {
        let client = self.client()?;
        client.wait_height(height, PATIENCE).await?;
        let auction = client.get(&format!("/v1/auctions/{height}")).await?;
        let bids = auction["bids"].as_array().cloned().unwrap_or_default();
        let own = bids.iter().find(|bid| bid["bid"] == id.to_string());
        own.map(|bid| Ok(serde_json::from_value(bid["result"].clone())?)).transpose()
    }

    /// The height of the next lots of both rollups, and their reserves together.
    async fn next_lots(&self) -> eyre::Result<(u64, Wei)> {
        let client = self.client()?;
        let mut events = client.events("/v1/auctions/stream").await?;
        let found = async {
            loop {
                let event = events.next().await?.ok_or_else(|| eyre!("the stream has ended"))?;
                let Some(lots) = event["next"]["lots"].as_array() else { continue };
                let of = |namespace: u64| {
                    let id = namespace.to_string();
                    let lot = lots.iter().find(|lot| lot["namespace"] == id);
                    lot.and_then(|lot| lot["reserve"].as_str()?.parse::<Wei>().ok())
                };
                if let [Some(first), Some(second)] = self.on.map(of) {
                    return Ok((number(&event["next"]["height"])?, first + second));
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.wrap_err("no lots are offered")?
    }

    fn client(&self) -> eyre::Result<&Client> {
        self.ground.clients.first().ok_or_else(|| eyre!("no validators"))
    }
}

/// Whether a bundle ended as its legs would have it, if executors had their say.
pub(super) fn check(sent: &Sent) -> eyre::Result<()> {
    let should_commit = sent.legs.iter().all(|leg| leg.act.succeeds());
    match sent.decision.as_str() {
        "committed" => {
            ensure!(should_commit, "{} was committed with a leg that fails", sent.id);
            ensure!(sent.paid == sent.amount, "{} paid {} for {}", sent.id, sent.paid, sent.amount);
        }
        "failed" => {
            ensure!(!should_commit, "{} failed, though its legs do not", sent.id);
            ensure!(sent.paid > 0, "{} held rollups for nothing", sent.id);
        }
        "timed_out" => ensure!(sent.paid == 0, "{} timed out and paid {}", sent.id, sent.paid),
        other => return Err(eyre!("{} was decided {other}", sent.id)),
    }
    Ok(())
}
