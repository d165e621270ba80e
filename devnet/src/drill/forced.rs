//! A user whom every node refuses gets in by way of Ethereum, and wei goes there and back.

use std::process::Stdio;

use alloy_primitives::keccak256;
use eyre::{ensure, eyre};
use serde_json::json;
use weft_l1::contracts::abi::{Inbox, LightClient};
use weft_l1::wallet::call;
use weft_types::{Address, L1Event, ProvenWithdrawal, SecretKey};

use super::ethereum::{PATIENCE, Wallet, refused_with};
use super::{Findings, Lab};
use crate::client::{number, wait_for};
use crate::command::run as run_command;
use crate::conduct::As;
use crate::l1::{ETHER, Terms};
use crate::load::evm::transfer;
use crate::network::Network;
use crate::plan::{Options, RollupKind, key};

/// The rollup that the message is for.
const ROLLUP: u64 = 7001;

/// The validator that leaves out what comes from Ethereum.
const CENSOR: usize = 0;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab
        .start(Options {
            l1: Some(Terms::default()),
            conduct: vec![(CENSOR, As::OmittingProposer)],
            rollups: vec![(ROLLUP, RollupKind::Revm)],
            params: weft_types::Params { relay_interval: 3, ..weft_types::Params::default() },
            ..lab.options("forced")
        })
        .await?;
    forced(lab, &network, findings).await?;
    there_and_back(lab, &network, findings).await?;
    network.check_same_chain().await?;
    network.stop_cleanly().await?;
    Ok(())
}

/// A user without an account on the network, whom every node refuses for that, sends a rollup's
/// transaction through the inbox: once with `cast`, once with `weft`.
async fn forced(lab: &Lab, network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let user = &network.plan.accounts[6];
    let sender = key("nobody", 0);
    for node in &network.validators {
        let args = ["submit", "--namespace=1", "--data=0x00"];
        let refused = network.weft(node, Wallet::Weft(&sender), &args).await;
        refused_with(refused, "422", "a transaction that nobody pays for")?;
    }
    let node = &network.validators[1];
    let rollup = &network.rollups[0];
    let to = Address::repeat_byte(0x77);
    for (nonce, tool) in (0..).zip(["cast send", "weft force"]) {
        let (hash, raw) = transfer(user, ROLLUP, nonce, to);
        let index = call(network.l1()?.client(), network.contracts()?.inbox, &Inbox::countCall {});
        let index = index.await?;
        if tool == "cast send" {
            cast_force(lab, network, &raw).await?;
        } else {
            let data = format!("--data={raw}");
            let payer = &network.plan.accounts[5];
            let args = ["force", "--namespace=7001", &data];
            network.weft(node, Wallet::Ethereum(payer), &args).await?;
        }
        let receipt = wait_for("the rollup to execute the message", PATIENCE, || async {
            let receipt = rollup.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
            Ok((!receipt.is_null()).then_some(receipt))
        })
        .await?;
        ensure!(receipt["status"] == "0x1", "the message failed: {receipt}");
        let status = rollup.rpc.call("weft_status", json!([hash])).await?;
        let height = taken_in_at(network, index, number(&status["height"])?).await?;
        findings.note(
            format!("{tool}: message {index}"),
            format!("executed, in block {height}, which takes in its L1 block"),
        );
    }
    let mut refused = 0.0;
    for node in &network.validators[1..] {
        refused += node.metric("weft_invalid_proposals_total").await?;
    }
    ensure!(refused > 0.0, "nobody refused a proposal that leaves L1 out");
    findings.note("proposals that leave L1 out", format!("{refused} times refused"));
    Ok(())
}

/// The height, at most `through`, whose block holds a message: it has to be the one that takes in the
/// message's block.
async fn taken_in_at(network: &Network, index: u64, through: u64) -> eyre::Result<u64> {
    let node = &network.validators[1];
    node.client.wait_height(through, PATIENCE).await?;
    let message = Inbox::messageCall { index };
    let inbox = network.contracts()?.inbox;
    let sent = call(network.l1()?.client(), inbox, &message).await?.blockNumber;
    let mut before =
        number(&node.client.get("/v1/blocks/1").await?["header"]["l1_origin"]["number"])?;
    for height in 2..=through {
        let block = node.client.get(&format!("/v1/blocks/{height}?parts=events")).await?;
        let origin = number(&block["header"]["l1_origin"]["number"])?;
        let events: Vec<Vec<L1Event>> = serde_json::from_value(block["events"].clone())?;
        let holds = events
            .iter()
            .flatten()
            .any(|event| matches!(event, L1Event::Forced { index: found, .. } if *found == index));
        let passes = before < sent && sent <= origin;
        ensure!(
            holds == passes,
            "height {height}: message {index} of L1 block {sent} is misplaced"
        );
        if holds {
            return Ok(height);
        }
        before = origin;
    }
    Err(eyre!("no block holds message {index}"))
}

/// Calls a contract by `cast`, as anybody can.
async fn cast(
    lab: &Lab,
    network: &Network,
    key: &SecretKey,
    to: Address,
    args: &[String],
) -> eyre::Result<()> {
    let mut command = lab.tools.command(&lab.tools.cast());
    command.args(["send", "--rpc-url", network.l1()?.rpc.url(), "--private-key"]);
    command.arg(format!("0x{}", hex::encode(key.to_bytes()))).arg(to.to_string()).args(args);
    run_command(&mut command, "cast send", Stdio::null(), PATIENCE).await?.output("cast send")?;
    Ok(())
}

async fn cast_force(lab: &Lab, network: &Network, data: &str) -> eyre::Result<()> {
    let inbox = network.contracts()?.inbox;
    let fee = weft_l1::calls::fee_of((data.len() - "0x".len()) / 2);
    let fee = call(network.l1()?.client(), inbox, &fee).await?;
    let args = [
        "force(uint64,bytes)".to_owned(),
        ROLLUP.to_string(),
        data.to_owned(),
        "--value".to_owned(),
        fee.to_string(),
    ];
    cast(lab, network, &network.plan.accounts[4], inbox, &args).await
}

/// A deposit and two withdrawals, one claimed by `weft` and one by `cast`, to the wei.
async fn there_and_back(lab: &Lab, network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let node = &network.validators[1];
    let l1 = network.l1()?;
    let vault = network.contracts()?.vault;
    let user = key("traveller", 0);
    l1.rich(&user).await?;
    let (held, account) = (l1.balance(vault).await?, user.address());
    let deposit = ["deposit", "--amount=3ether"];
    network.weft(node, Wallet::Ethereum(&user), &deposit).await?;
    ensure!(node.balance(account).await? == 3 * ETHER, "the deposit is another amount");
    ensure!(l1.balance(vault).await? == held + 3 * ETHER, "the vault has another amount");

    let receiver = key("receiver", 0).address();
    let to = format!("--to={receiver}");
    let withdraw = ["withdraw", "--amount=1ether", &to];
    let mut fees = 0;
    for _ in 0..2 {
        let before = node.balance(account).await?;
        network.weft(node, Wallet::Weft(&user), &withdraw).await?;
        fees += before - node.balance(account).await? - ETHER;
    }
    ensure!(node.balance(account).await? == ETHER - fees, "the balance is another amount");

    // Whoever claims, it goes to the receiver.
    let claimer = &network.plan.accounts[5];
    network.weft(node, Wallet::Ethereum(claimer), &["claim", "--index=0"]).await?;
    ensure!(l1.balance(receiver).await? == ETHER, "the receiver got another amount");
    let again = network.weft(node, Wallet::Ethereum(claimer), &["claim", "--index=0"]).await;
    refused_with(again, "has been claimed", "a second claim by weft")?;
    let (proven, place) = proven_on_l1(network, 1).await?;
    cast_claim(lab, network, &proven, place).await?;
    ensure!(l1.balance(receiver).await? == 2 * ETHER, "the receiver got another amount");
    let again = cast_claim(lab, network, &proven, place).await;
    let selector = hex::encode(&keccak256("AlreadyClaimed(uint64)")[..4]);
    refused_with(again, &selector, "a second claim by cast")?;
    ensure!(l1.balance(vault).await? >= held + ETHER, "the vault paid too much");
    findings.note(
        "3 ether in, 2 ether out",
        format!("to the wei, {fees} wei in fees; claimed with weft and with cast, each once"),
    );
    Ok(())
}

/// A withdrawal, proven against a root that the light client keeps, and the place of that root.
async fn proven_on_l1(network: &Network, index: u64) -> eyre::Result<(ProvenWithdrawal, u64)> {
    let node = &network.validators[1];
    let (l1, light_client) = (network.l1()?.client(), network.contracts()?.light_client);
    wait_for("a header with the withdrawal on L1", PATIENCE, || async {
        let head = call(l1, light_client, &LightClient::headCall {}).await?;
        let path = format!("/v1/withdrawals/{index}?height={}", head.height);
        match node.client.try_get(&path).await? {
            Ok(found) => {
                let place = (head.stored.to::<u64>() - 1) % 1024;
                Ok(Some((serde_json::from_value(found)?, place)))
            }
            // The last header that was relayed is older than the withdrawal.
            Err(refused) if refused.status == 404 => Ok(None),
            Err(refused) => Err(eyre!("{path}: {} {}", refused.status, refused.problem)),
        }
    })
    .await
}

async fn cast_claim(
    lab: &Lab,
    network: &Network,
    proven: &ProvenWithdrawal,
    place: u64,
) -> eyre::Result<()> {
    let path: Vec<String> = proven.path.siblings.iter().map(ToString::to_string).collect();
    let args = [
        "claim(uint64,address,uint128,uint64,bytes32[],uint256)".to_owned(),
        proven.withdrawal.index.to_string(),
        proven.withdrawal.to.to_string(),
        proven.withdrawal.amount.to_string(),
        proven.count.to_string(),
        format!("[{}]", path.join(",")),
        place.to_string(),
    ];
    let vault = network.contracts()?.vault;
    cast(lab, network, &network.plan.accounts[4], vault, &args).await
}
