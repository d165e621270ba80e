//! Ethereum is reorganised, above finality and below.

use std::collections::BTreeMap;

use eyre::{ensure, eyre};
use futures::future::try_join_all;
use serde_json::json;
use weft_types::{B256, L1Event};

use super::ethereum::{PATIENCE, Wallet};
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::number;
use crate::l1::Terms;
use crate::network::Network;
use crate::plan::Options;

/// Blocks of an epoch of L1; two of them make a block final.
const SLOTS: u64 = 16;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    // Nobody but the drill makes blocks, so that it is known which ones a reorg takes.
    let terms = Terms { slots: SLOTS, relayer: false, ..Terms::default() };
    let mut network = lab.start(Options { l1: Some(terms), ..lab.options("reorg") }).await?;
    let seconds = lab.scale.pick(20, 120);
    let duration = std::time::Duration::from_secs(seconds);
    let rates = Rates { rate: 100.0, rollup_rate: 0.0, duration, patience: PATIENCE };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let node = &network.validators[0];
    let l1 = network.l1()?;
    l1.set_pace(false).await?;

    for round in 0..lab.scale.pick(1, 5) {
        for depth in [1, 5, 2 * SLOTS - 2] {
            // A message in the last of the blocks that will be gone.
            l1.mine(2 * SLOTS).await?;
            let index = messages(&network).await?;
            send_message(&network, round).await?;
            ensure!(messages(&network).await? == index + 1, "no message was sent");
            l1.mine(depth - 1).await?;
            l1.reorg(depth).await?;
            ensure!(messages(&network).await? == index, "the reorg took no message away");
            l1.mine(2 * SLOTS + 1).await?;
            node.wait_origin(l1.tip().await? - 2 * SLOTS).await?;
            check_events(&network).await?;
            findings.note(
                format!("reorg of {depth} blocks that are not final"),
                "every origin and event is on L1",
            );
        }
    }

    // Further back than what the network has taken in.
    let taken_in = node.origin().await?;
    let depth = l1.tip().await? - taken_in + 3;
    l1.reorg(depth).await?;
    l1.mine(2 * SLOTS + 1).await?;
    ensure!(l1.hash(taken_in).await? != origin_hash(&network, taken_in).await?, "no reorg");
    let says = Some("reorganised below finality");
    try_join_all(network.validators.iter().map(|node| node.wait_alarm(says))).await?;
    let height = node.client.height().await?;
    node.client.wait_height(height + 50, PATIENCE).await?;
    ensure!(node.origin().await? == taken_in, "the origin moved to another chain");
    findings.note(
        format!("reorg of {depth} blocks, below finality"),
        "50 heights more, the origin frozen, every node says so",
    );
    let load = traffic.finish(findings).await?;
    load.check()?;
    audit::chain(&network, &load, findings).await?;
    network.stop_cleanly().await?;
    Ok(())
}

async fn messages(network: &Network) -> eyre::Result<u64> {
    let inbox = network.contracts()?.inbox;
    let count = weft_l1::contracts::abi::Inbox::countCall {};
    Ok(weft_l1::wallet::call(network.l1()?.client(), inbox, &count).await?)
}

async fn send_message(network: &Network, round: u64) -> eyre::Result<()> {
    let user = &network.plan.accounts[3];
    let data = format!("--data=0x{round:04x}");
    let args = ["force", "--namespace=1", &data, "--no-wait"];
    network.weft(&network.validators[0], Wallet::Ethereum(user), &args).await?;
    Ok(())
}

/// Checks that every origin is the block of that number on L1, and that the messages taken in are
/// those that L1 has.
async fn check_events(network: &Network) -> eyre::Result<()> {
    let node = &network.validators[0];
    let (mut taken_in, mut origins) = (Vec::new(), BTreeMap::new());
    for height in 1..=node.client.height().await? {
        let block = node.client.get(&format!("/v1/blocks/{height}?parts=events")).await?;
        let origin = &block["header"]["l1_origin"];
        let hash: B256 = serde_json::from_value(origin["hash"].clone())?;
        origins.insert(number(&origin["number"])?, hash);
        let events: Vec<Vec<L1Event>> = serde_json::from_value(block["events"].clone())?;
        taken_in.extend(events.into_iter().flatten().filter_map(|event| match event {
            L1Event::Forced { index, .. } => Some(index),
            _ => None,
        }));
    }
    let l1 = network.l1()?;
    for (number, hash) in &origins {
        ensure!(l1.hash(*number).await? == *hash, "origin {number} is not on L1");
    }
    let last = origins.keys().next_back().ok_or_else(|| eyre!("no blocks"))?;
    let logs = l1
        .rpc
        .call(
            "eth_getLogs",
            json!([{
                "address": network.contracts()?.inbox,
                "fromBlock": "0x0",
                "toBlock": format!("{last:#x}"),
            }]),
        )
        .await?;
    let on_l1 = logs.as_array().map_or(0, Vec::len);
    ensure!(taken_in.len() == on_l1, "{} messages taken in, {on_l1} on L1", taken_in.len());
    Ok(())
}

/// What the network took the block of a number to be.
async fn origin_hash(network: &Network, wanted: u64) -> eyre::Result<B256> {
    let l1 = network.validators[0].l1().await?;
    ensure!(number(&l1["origin"]["number"])? == wanted, "the origin has moved");
    Ok(serde_json::from_value(l1["origin"]["hash"].clone())?)
}
