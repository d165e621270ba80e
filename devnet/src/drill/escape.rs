//! The committee stops, and a rollup goes on by way of Ethereum until it is back.

use eyre::{ensure, eyre};
use serde_json::{Value, json};
use weft_l1::contracts::abi::{Inbox, LightClient};
use weft_l1::wallet::call;
use weft_types::{Address, B256};

use super::ethereum::{PATIENCE, Wallet, refused_with};
use super::{Findings, Lab};
use crate::client::wait_for;
use crate::l1::Terms;
use crate::load::evm::transfer;
use crate::network::{Network, Rollup};
use crate::plan::{Options, RollupKind};
use crate::rpc::quantity;

/// The rollup, of which two nodes run.
const ROLLUP: u64 = 7001;

/// Who sends through the gateway, and who through the inbox.
const SENDER: usize = 6;
const FORCER: usize = 7;

/// Whom each pays.
const SENT_TO: Address = Address::repeat_byte(0x5e);
const FORCED_TO: Address = Address::repeat_byte(0xf0);

/// L1 blocks without a header until the network counts as stalled, and from the announcement to the
/// fallback.
const STALL: u64 = 6;
const GRACE: u64 = 3;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab
        .start(Options {
            l1: Some(Terms { stall: STALL, grace: GRACE, ..Terms::default() }),
            full_nodes: 1,
            rollups: vec![(ROLLUP, RollupKind::Revm), (ROLLUP, RollupKind::External)],
            params: weft_types::Params { relay_interval: 3, ..weft_types::Params::default() },
            ..lab.options("escape")
        })
        .await?;
    let mut story = Story { nonce: 0, forced: 0 };
    for round in 0..lab.scale.pick(1, 3) {
        findings.say(&format!("fallback {}", round + 1));
        story.fall_back_and_return(&mut network, findings).await?;
    }
    // One that begins from nothing, long after, ends at the same place.
    let first = &mut network.rollups[0];
    first.process.kill().await?;
    std::fs::remove_dir_all(first.plan.home.join("data"))?;
    first.process.restart()?;
    first.wait_ready(PATIENCE).await?;
    let last = same_chain(&network).await?;
    findings.note("a node that begins from nothing", format!("is at the same block {last}"));
    story.check_money(&network).await?;
    network.check_same_chain().await?;
    network.stop_cleanly().await?;
    Ok(())
}

/// What was sent so far.
struct Story {
    /// Transfers by the gateway.
    nonce: u64,
    /// Transfers by the inbox.
    forced: u64,
}

impl Story {
    async fn fall_back_and_return(
        &mut self,
        network: &mut Network,
        findings: &mut Findings,
    ) -> eyre::Result<()> {
        let settled = self.send(network, 3).await?;
        for rollup in &network.rollups {
            wait_status(rollup, settled, "settled").await?;
        }
        // From here on no header is posted.
        let relayer = network.l1.as_mut().and_then(|l1| l1.relayer.as_mut());
        relayer.ok_or_else(|| eyre!("no relayer"))?.kill().await?;
        let last = self.send(network, 5).await?;
        let before = network.rollups[0].rpc.quantity("eth_blockNumber", json!([])).await?;
        for rollup in &network.rollups {
            wait_status(rollup, last, "final").await?;
        }
        findings.say("killing the committee");
        for node in &mut network.validators {
            node.process.kill().await?;
        }
        let messages = vec![self.force(network).await?, self.force(network).await?];
        fall_back(network, findings).await?;
        for rollup in &network.rollups {
            wait_fallback(rollup, true).await?;
            for message in &messages {
                wait_receipt(rollup, *message).await?;
            }
            ensure!(
                receipt(rollup, last).await?.is_null(),
                "{} still has a transfer that no posted header proves",
                rollup.plan.name
            );
        }
        let kept = network.rollups[0].rpc.quantity("eth_blockNumber", json!([])).await?;
        findings.note(
            "in fallback",
            format!("messages executed; blocks {before} to {kept}, transfers after the last posted header taken back"),
        );
        // While it lasts: a node dies, another message comes.
        let adapter = &mut network.rollups[0];
        adapter.process.kill().await?;
        adapter.process.restart()?;
        wait_fallback(adapter, true).await?;
        let message = self.force(network).await?;
        for rollup in &network.rollups {
            wait_receipt(rollup, message).await?;
            wait_fallback(rollup, true).await?;
        }
        findings.say("the committee is back");
        for node in &mut network.validators {
            node.process.restart()?;
        }
        network.wait_ready(PATIENCE).await?;
        let api = format!("http://{}", network.validators[0].plan.api);
        network.start_relayer(&api)?;
        for rollup in &network.rollups {
            wait_fallback(rollup, false).await?;
            wait_receipt(rollup, last).await?;
        }
        let settled = self.send(network, 1).await?;
        for rollup in &network.rollups {
            wait_status(rollup, settled, "settled").await?;
        }
        let last = same_chain(network).await?;
        findings.note(
            "back",
            format!(
                "both engines have the same blocks up to {last}; what was taken back is there again"
            ),
        );
        self.check_money(network).await?;
        Ok(())
    }

    /// Sends transfers through a gateway, and waits until they are executed. Returns the last one.
    async fn send(&mut self, network: &Network, count: u64) -> eyre::Result<B256> {
        let sender = &network.plan.accounts[SENDER];
        let rollup = &network.rollups[0];
        let mut last = B256::ZERO;
        for _ in 0..count {
            let (hash, raw) = transfer(sender, ROLLUP, self.nonce, SENT_TO);
            rollup.rpc.call("eth_sendRawTransaction", json!([raw])).await?;
            wait_receipt(rollup, hash).await?;
            self.nonce += 1;
            last = hash;
        }
        Ok(last)
    }

    /// Sends a transfer through the inbox, without the network.
    async fn force(&mut self, network: &Network) -> eyre::Result<B256> {
        let (hash, raw) = transfer(&network.plan.accounts[FORCER], ROLLUP, self.forced, FORCED_TO);
        self.forced += 1;
        let (namespace, data) = (format!("--namespace={ROLLUP}"), format!("--data={raw}"));
        let args = ["force", &namespace, &data, &genesis_arg(network)?];
        network.weft_alone(Wallet::Ethereum(&network.plan.accounts[5]), &args).await?;
        Ok(hash)
    }

    /// Each transfer was executed once, whichever way it came.
    async fn check_money(&self, network: &Network) -> eyre::Result<()> {
        for rollup in &network.rollups {
            for (account, count) in [(SENDER, self.nonce), (FORCER, self.forced)] {
                let address = network.plan.accounts[account].address();
                let sent =
                    rollup.rpc.quantity("eth_getTransactionCount", json!([address, "latest"]));
                ensure!(sent.await? == count, "not every transfer was executed once");
            }
            for (to, count) in [(SENT_TO, self.nonce), (FORCED_TO, self.forced)] {
                let received = rollup.rpc.quantity("eth_getBalance", json!([to, "latest"])).await?;
                ensure!(received == count, "{to} has {received} wei, {count} were sent");
            }
        }
        Ok(())
    }
}

/// Announces fallback as soon as the network counts as stalled, and activates it after the grace.
async fn fall_back(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let l1 = network.l1()?;
    let contracts = network.contracts()?;
    let genesis = genesis_arg(network)?;
    let anybody = Wallet::Ethereum(&network.plan.accounts[9]);
    let announce = ["fallback", "announce", &genesis];
    let early = network.weft_alone(anybody, &announce).await;
    let head = call(l1.client(), contracts.light_client, &LightClient::headCall {}).await?;
    let stalled = head.postedAt.to::<u64>() + STALL;
    let is_early = early.is_err();
    if is_early || l1.tip().await? < stalled {
        refused_with(early, "NotStalled", "a fallback before the network has stalled")?;
    }
    if is_early {
        wait_tip(network, stalled + 1).await?;
        network.weft_alone(anybody, &announce).await?;
    }
    let activate = ["fallback", "activate", &genesis];
    let announced = call(l1.client(), contracts.inbox, &Inbox::announcementCall {}).await?;
    wait_tip(network, announced.blockNumber.to::<u64>() + GRACE).await?;
    network.weft_alone(anybody, &activate).await?;
    findings.note(
        "fallback",
        format!("from height {}, announced and activated by anybody", head.height),
    );
    Ok(())
}

fn genesis_arg(network: &Network) -> eyre::Result<String> {
    let genesis = network.plan.genesis_file().ok_or_else(|| eyre!("no genesis file"))?;
    Ok(format!("--genesis={}", genesis.display()))
}

async fn wait_tip(network: &Network, block: u64) -> eyre::Result<u64> {
    let l1 = network.l1()?;
    wait_for(&format!("L1 block {block}"), PATIENCE, || async {
        Ok(Some(l1.tip().await?).filter(|tip| *tip >= block))
    })
    .await
}

async fn receipt(rollup: &Rollup, hash: B256) -> eyre::Result<Value> {
    rollup.rpc.call("eth_getTransactionReceipt", json!([hash])).await
}

async fn wait_receipt(rollup: &Rollup, hash: B256) -> eyre::Result<()> {
    let what = format!("{} to execute {hash}", rollup.plan.name);
    let receipt = wait_for(&what, PATIENCE, || async {
        let receipt = receipt(rollup, hash).await;
        Ok(receipt.ok().filter(|receipt| !receipt.is_null()))
    })
    .await?;
    ensure!(receipt["status"] == "0x1", "{hash} failed: {receipt}");
    Ok(())
}

async fn wait_status(rollup: &Rollup, hash: B256, wanted: &str) -> eyre::Result<()> {
    let what = format!("{hash} to be {wanted} on {}", rollup.plan.name);
    wait_for(&what, PATIENCE, || async {
        let status = rollup.rpc.call("weft_status", json!([hash])).await?;
        Ok((status["status"] == wanted).then_some(()))
    })
    .await
}

async fn wait_fallback(rollup: &Rollup, wanted: bool) -> eyre::Result<()> {
    let what =
        format!("{} to {} fallback", rollup.plan.name, if wanted { "enter" } else { "leave" });
    wait_for(&what, PATIENCE, || async {
        // One that was just started does not answer yet.
        let ready = rollup.ready().await.unwrap_or_default();
        Ok((ready["fallback"] == wanted).then_some(()))
    })
    .await
}

/// Waits until all nodes of the rollup have the same last block, and checks that so are all before it.
async fn same_chain(network: &Network) -> eyre::Result<u64> {
    let [one, other] = [&network.rollups[0].rpc, &network.rollups[1].rpc];
    let last =
        wait_for("all nodes of the rollup to have the same last block", PATIENCE, || async {
            let latest = json!(["latest", false]);
            let blocks = (
                one.call("eth_getBlockByNumber", latest.clone()).await,
                other.call("eth_getBlockByNumber", latest).await,
            );
            let (Ok(one), Ok(other)) = blocks else { return Ok(None) };
            let same = one["hash"] == other["hash"] && one["stateRoot"] == other["stateRoot"];
            Ok(if same { Some(quantity(&one["number"])?) } else { None })
        })
        .await?;
    for number in 0..=last {
        let block = json!([format!("{number:#x}"), false]);
        let hash = one.call("eth_getBlockByNumber", block.clone()).await?["hash"].clone();
        ensure!(
            other.call("eth_getBlockByNumber", block).await?["hash"] == hash,
            "block {number} is another one on the other node"
        );
    }
    for rpc in [one, other] {
        let finalized = rpc.call("eth_getBlockByNumber", json!(["finalized", false])).await?;
        ensure!(quantity(&finalized["number"])? > 0, "nothing is settled");
    }
    Ok(last)
}
