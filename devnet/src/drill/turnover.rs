//! Every validator is replaced by a newcomer, through the contracts alone.

use std::time::{Duration, Instant};

use eyre::{ensure, eyre};
use serde_json::json;
use weft_l1::contracts::abi::LightClient;
use weft_l1::wallet::call;
use weft_types::{Address, Params, SecretKey};

use super::ethereum::{PATIENCE, Wallet};
use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::wait_for;
use crate::l1::{Terms, owner_of};
use crate::load::evm::transfer;
use crate::network::Network;
use crate::plan::{Options, RollupKind};

/// The rollup that follows.
const ROLLUP: u64 = 7001;

/// How long an epoch lasts, in milliseconds.
const EPOCH_MS: u64 = 2_000;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let params = Params { epoch_ms: EPOCH_MS, relay_interval: 5, ..Params::default() };
    let mut network = lab
        .start(Options {
            params,
            l1: Some(Terms { relayer: false, ..Terms::default() }),
            joiners: 4,
            rollups: vec![(ROLLUP, RollupKind::Revm)],
            ..lab.options("turnover")
        })
        .await?;
    // What stays is what is sent to, and relayed from.
    let newcomers: Vec<_> = network.full_nodes.iter().map(|node| node.plan.api).collect();
    network.start_relayer(&format!("http://{}", newcomers[0]))?;
    let duration = lab.scale.pick(Duration::from_secs(75), Duration::from_secs(300));
    let rates = Rates { rate: 50.0, rollup_rate: 5.0, duration, patience: PATIENCE };
    let traffic = Traffic::start_to(&network, rates, newcomers).await?;
    let pause = duration.saturating_sub(Duration::from_secs(75)) / 4;

    let mut blocks = network.full_nodes[0].client.blocks(1).await?;
    let watching = tokio::spawn(async move {
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        while let Ok(Some(block)) = blocks.next().await {
            if block.height > 5 {
                longest = longest.max(last.elapsed());
            }
            last = Instant::now();
        }
        longest
    });
    for turn in 0..network.full_nodes.len() {
        let started = Instant::now();
        replace(&mut network, turn).await?;
        findings.note(
            format!("{} in, {} out", network.full_nodes[turn].plan.name, turn),
            format!("after {}", seconds(started.elapsed())),
        );
        tokio::time::sleep(pause).await;
    }
    let mut expected: Vec<Address> =
        network.full_nodes.iter().filter_map(|node| key_of(node.plan.key.as_ref())).collect();
    expected.sort_unstable();
    // The node that is asked may be a block behind the one that the last leaver followed.
    wait_for("the newcomers to be the committee", PATIENCE, || async {
        Ok((committee(&network).await? == expected).then_some(()))
    })
    .await?;

    // Solidity's light client has followed, by certificates alone.
    let height = network.full_nodes[0].client.height().await?;
    let light_client = network.contracts()?.light_client;
    let l1 = network.l1()?.client();
    wait_for("the light client on L1 to follow", PATIENCE, || async {
        let head = call(l1, light_client, &LightClient::headCall {}).await?;
        Ok((head.height >= height).then_some(()))
    })
    .await?;
    findings.note("light client on L1", format!("followed to height {height} and beyond"));
    // The rollup's has, as well: it executes what is sent now.
    let rollup = &network.rollups[0];
    let (hash, raw) = transfer(&network.plan.accounts[9], ROLLUP, 0, Address::repeat_byte(9));
    rollup.rpc.call("eth_sendRawTransaction", json!([raw])).await?;
    wait_for("the rollup to execute what is sent", PATIENCE, || async {
        let receipt = rollup.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        Ok((!receipt.is_null()).then_some(()))
    })
    .await?;
    let block = rollup.rpc.quantity("eth_blockNumber", json!([])).await?;
    findings.note("light client of the rollup", format!("followed to the rollup's block {block}"));

    let load = traffic.finish(findings).await?;
    load.check()?;
    audit::chain(&network, &load, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    findings.note("longest gap between two blocks", seconds(watching.await?));
    Ok(())
}

/// A newcomer joins, as `weft join` has it; a validator leaves, as `weft leave` has it.
async fn replace(network: &mut Network, turn: usize) -> eyre::Result<()> {
    let newcomer = &network.full_nodes[turn];
    let owner = own(network, newcomer.plan.key.as_ref()).await?;
    let home = format!("--home={}", newcomer.plan.home.display());
    let join = ["join", &home, "--stake=32ether"];
    network.weft(newcomer, Wallet::Ethereum(&owner), &join).await?;
    let leaver = &network.validators[turn];
    let owner = own(network, leaver.plan.key.as_ref()).await?;
    let home = format!("--home={}", leaver.plan.home.display());
    network.weft(newcomer, Wallet::Ethereum(&owner), &["leave", &home]).await?;
    let stopped = network.validators[turn].process.stop().await?;
    ensure!(stopped, "a validator that has left does not stop");
    Ok(())
}

/// The account that owns a validator's bond, with money.
async fn own(network: &Network, validator: Option<&SecretKey>) -> eyre::Result<SecretKey> {
    let owner = owner_of(validator.ok_or_else(|| eyre!("no validator"))?);
    network.l1()?.rich(&owner).await?;
    Ok(owner)
}

fn key_of(key: Option<&SecretKey>) -> Option<Address> {
    key.map(SecretKey::address)
}

async fn committee(network: &Network) -> eyre::Result<Vec<Address>> {
    let found = network.full_nodes[0].client.get("/v1/validators").await?;
    let members = found["validators"].as_array().cloned().unwrap_or_default();
    let address = |member: &serde_json::Value| {
        member["address"].as_str().and_then(|address| address.parse().ok())
    };
    members.iter().map(address).collect::<Option<_>>().ok_or_else(|| eyre!("no addresses"))
}
