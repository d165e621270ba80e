//! A flood of bids of every bad kind, and honest bidders in the middle of it.

use std::time::{Duration, Instant};

use eyre::{ensure, eyre};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use weft_types::limits::MAX_TRANSACTION_BYTES;
use weft_types::{BidMode, Bytes, Leg, NamespaceId, Payload, SecretKey, Wei};

use super::{COLLATERAL, PATIENCE, Searchers, compare, lock_collateral, options, searchers};
use crate::client::{Client, number};
use crate::drill::{Findings, Lab, audit};
use crate::load::sign;
use crate::network::Network;

/// Bids per second of a flood, to each validator.
const RATE: u32 = 200;

/// Of so many bids of a flood, one is of the largest size.
const LARGE_EVERY: u64 = 50;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab.start(options(lab, "flood")).await?;
    lock_collateral(&network).await?;
    let flooder = network.plan.accounts[15].clone();
    // The one that the collateral is seen at.
    let client = network.validators[0].client.clone();
    network.lock_collateral(&flooder, COLLATERAL).await?;
    let before = account(&client, &flooder).await?;

    let heights = lab.scale.pick(30, 500);
    let bidding = Searchers::start(&network, searchers(&network));
    let calm = pace(&client, heights).await?;
    let flood = Flood::start(&network, &flooder);
    let flooded = pace(&client, heights).await?;
    let told = flood.finish().await?;
    bidding.finish().await?;
    for (kind, count) in &told {
        findings.note(*kind, count.clone());
    }
    findings.note(
        "block times, flooded half to calm half",
        format!("{:.2} ({:.0} ms to {:.0} ms)", flooded / calm, flooded, calm),
    );

    // What the flooder could not be kept from ordering, it has paid for.
    let (transactions, won) = flooder_bids(&client, &flooder).await?;
    let after = account(&client, &flooder).await?;
    let paid = before.0 - after.0;
    let fee = network.plan.genesis.params.bid_fee;
    ensure!(
        paid >= Wei::from(transactions) * fee,
        "{transactions} bids of the flooder were ordered for {paid} wei"
    );
    ensure!(transactions > 0, "nothing of the flood was ordered");
    findings.note(
        "the flooder",
        format!(
            "{transactions} of its bids ordered, for {paid} wei in fees; {won} won, for {} wei",
            before.1 - after.1
        ),
    );
    compare(&network, Some(&flooder), findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Mean time between two blocks, in milliseconds, over so many of them.
async fn pace(client: &Client, heights: u64) -> eyre::Result<f64> {
    let first = client.height().await?;
    let started = Instant::now();
    let last = client.wait_height(first + heights, PATIENCE * 20).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred heights")]
    let heights = (last - first) as f64;
    Ok(started.elapsed().as_secs_f64() * 1000.0 / heights)
}

/// Balance and collateral.
async fn account(client: &Client, key: &SecretKey) -> eyre::Result<(Wei, Wei)> {
    let account = client.get(&format!("/v1/accounts/{}", key.address())).await?;
    let wei = |name: &str| account[name].as_str().unwrap_or_default().parse::<Wei>();
    Ok((wei("balance")?, wei("collateral")?))
}

/// How many bids of the flooder were ordered, whatever became of them, and how many won.
async fn flooder_bids(client: &Client, flooder: &SecretKey) -> eyre::Result<(u64, u64)> {
    let address = serde_json::to_value(flooder.address())?;
    let (mut count, mut won) = (0, 0);
    for height in 1..=client.height().await? {
        let results = client.get(&format!("/v1/auctions/{height}")).await?;
        let bids = results["bids"].as_array().ok_or_else(|| eyre!("no bids"))?;
        let own = bids.iter().filter(|bid| bid["bidder"] == address);
        for bid in own {
            count += 1;
            won += u64::from(bid["result"] == "won");
        }
    }
    Ok((count, won))
}

/// A flood under way: one stream of bids to each validator.
struct Flood {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<eyre::Result<Counts>>>,
}

/// What was sent and how it was answered, by kind.
#[derive(Clone, Copy, Default)]
struct Counts {
    sent: [u64; KINDS],
    taken: [u64; KINDS],
}

const KINDS: usize = 6;

/// The kinds of a flood's bids.
const NAMES: [&str; KINDS] = [
    "replaced again and again by the same bidder",
    "of the largest size",
    "malformed",
    "insolvent",
    "for a height that has passed",
    "for a height far ahead",
];

impl Flood {
    fn start(network: &Network, key: &SecretKey) -> Self {
        let stop = watch::Sender::new(false);
        let start = |(lane, node): (usize, &crate::network::Node)| {
            let lane = Lane {
                lane: lane as u64,
                client: node.client.clone(),
                url: format!("http://{}/v1/transactions", node.plan.api),
                key: key.clone(),
                chain_id: network.plan.genesis.chain_id,
            };
            tokio::spawn(lane.run(stop.subscribe()))
        };
        let tasks = network.validators.iter().enumerate().map(start).collect();
        Self { stop, tasks }
    }

    /// Ends it. Returns what was sent of each kind, and how much of that nodes took.
    async fn finish(self) -> eyre::Result<Vec<(&'static str, String)>> {
        self.stop.send_replace(true);
        let mut all = Counts::default();
        for counts in join_all(self.tasks).await {
            let counts = counts??;
            for kind in 0..KINDS {
                all.sent[kind] += counts.sent[kind];
                all.taken[kind] += counts.taken[kind];
            }
        }
        let told = NAMES.iter().zip(all.sent).zip(all.taken);
        Ok(told
            .map(|((name, sent), taken)| (*name, format!("{sent} sent, {taken} taken")))
            .collect())
    }
}

struct Lane {
    lane: u64,
    client: Client,
    url: String,
    key: SecretKey,
    chain_id: u64,
}

impl Lane {
    async fn run(self, stop: watch::Receiver<bool>) -> eyre::Result<Counts> {
        let mut counts = Counts::default();
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut next, mut lots) = (0, Vec::new());
        for number in 0.. {
            if *stop.borrow() {
                break;
            }
            ticks.tick().await;
            if number % 20 == 0 {
                let shown = self.client.get("/v1/auctions/next").await?;
                next = self::number(&shown["height"])?;
                lots = shown["lots"].as_array().cloned().unwrap_or_default();
            }
            let kind = self.kind(number);
            counts.sent[kind] += 1;
            counts.taken[kind] += u64::from(self.send(kind, number, next, &lots).await?);
        }
        Ok(counts)
    }

    /// Most are replaced by the next one.
    fn kind(&self, number: u64) -> usize {
        match number % 10 {
            _ if number % LARGE_EVERY == 1 => 1,
            0..6 => 0,
            other => usize::try_from(other - 4).unwrap_or(0),
        }
    }

    /// Sends one. Returns whether the node took it.
    async fn send(
        &self,
        kind: usize,
        number: u64,
        next: u64,
        lots: &[Value],
    ) -> eyre::Result<bool> {
        let Some(lot) = lots.first() else { return Ok(false) };
        let namespace = NamespaceId(self::number(&lot["namespace"])?);
        let reserve: Wei = lot["reserve"].as_str().unwrap_or_default().parse()?;
        // As little as it takes to stand.
        let amount = reserve;
        let sequence = self.lane << 32 | number;
        let leg = |bytes: usize| vec![Leg { namespace, data: vec![Bytes::from(vec![7; bytes])] }];
        let bid = |height, amount, legs| Payload::Bid {
            sequence,
            height,
            amount,
            mode: BidMode::Inclusion,
            legs,
        };
        let payload = match kind {
            1 => bid(next + 1, amount, leg(MAX_TRANSACTION_BYTES - 400)),
            2 => return self.malformed(number).await,
            3 => bid(next + 1, COLLATERAL + 1, leg(16)),
            4 => bid(next.saturating_sub(2), amount, leg(16)),
            5 => bid(next + 5000, amount, leg(16)),
            _ => bid(next + 1, amount, leg(16)),
        };
        let salt = 1 << 52 | sequence;
        let transaction = sign(payload, self.chain_id, &self.key, salt);
        let answer = self.client.submit(&transaction).await?;
        if let Err(refused) = &answer {
            ensure!(
                (400..500).contains(&refused.status) && refused.problem["detail"].is_string(),
                "a bid was refused with {} {}",
                refused.status,
                refused.problem
            );
        }
        Ok(answer.is_ok())
    }

    async fn malformed(&self, number: u64) -> eyre::Result<bool> {
        let body = match number % 3 {
            0 => json!({ "tx": "0x05" }),
            1 => json!({ "tx": format!("0x{}", "ff".repeat(300)) }),
            _ => json!({ "bid": number }),
        };
        let http = crate::client::http_client(PATIENCE);
        let answer = http.post(&self.url).json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_client_error(), "something malformed was answered with {status}");
        Ok(false)
    }
}
