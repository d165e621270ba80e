//! A validator that signs twice loses its bond, by evidence that others collected and a third party
//! submits.

use std::time::Duration;

use eyre::{ensure, eyre};
use weft_l1::contracts::abi::StakeRegistry;
use weft_l1::wallet::call;
use weft_types::{Params, SecretKey, Wei};

use super::ethereum::{PATIENCE, Wallet};
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::wait_for;
use crate::conduct::As;
use crate::l1::{BOND, Terms};
use crate::plan::{Options, key};

/// The validator that signs twice.
const LIAR: usize = 0;

/// A bond's status once it is lost.
const SLASHED: u8 = 3;

/// The part of a bond that goes to who proves the fault.
const REWARD_PART: Wei = 20;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let params = Params { epoch_ms: 2_000, ..Params::default() };
    let mut network = lab
        .start(Options {
            params,
            l1: Some(Terms::default()),
            conduct: vec![(LIAR, As::DoubleVoter)],
            ..lab.options("slashing")
        })
        .await?;
    let duration = lab.scale.pick(Duration::from_secs(15), Duration::from_secs(120));
    let rates = Rates { rate: 50.0, rollup_rate: 0.0, duration, patience: PATIENCE };
    let traffic = Traffic::start(&network, rates, &[LIAR]).await?;
    let honest = &network.validators[1];
    let liar = network.validators[LIAR].plan.key.as_ref().map(SecretKey::address);
    let liar = liar.ok_or_else(|| eyre!("no validator"))?;

    wait_for("evidence to be collected", PATIENCE, || async {
        let kept = honest.client.get("/v1/evidence").await?;
        let kept = kept["evidence"].as_array().is_some_and(|kept| !kept.is_empty());
        Ok(kept.then_some(()))
    })
    .await?;
    let reporter = key("reporter", 0);
    let l1 = network.l1()?;
    l1.rich(&reporter).await?;
    let before = l1.balance(reporter.address()).await?;
    let submit = ["evidence", "submit"];
    network.weft(honest, Wallet::Ethereum(&reporter), &submit).await?;
    let reward = l1.balance(reporter.address()).await?.saturating_sub(before);
    // Less what the transaction cost.
    let full = BOND / REWARD_PART;
    ensure!(reward <= full && reward > full / 100 * 99, "the reporter got {reward} wei");
    findings.note("the reporter got, in wei, gas paid", reward.to_string());

    let registry = network.contracts()?.stake_registry;
    let bond = StakeRegistry::bondsCall { validator: liar };
    let bond = call(l1.client(), registry, &bond).await?;
    ensure!(bond.status == SLASHED, "the bond is not slashed: status {}", bond.status);
    wait_for("the validator to have no seat", PATIENCE, || async {
        let now = honest.client.get("/v1/validators").await?;
        let members = now["validators"].as_array().cloned().unwrap_or_default();
        let is_liar = |member: &serde_json::Value| {
            member["address"].as_str().and_then(|address| address.parse().ok()) == Some(liar)
        };
        Ok((!members.iter().any(is_liar)).then_some(()))
    })
    .await?;
    findings.note("the validator that signed twice", "has no bond and no seat");
    let height = honest.client.height().await?;
    honest.client.wait_height(height + 20, PATIENCE).await?;

    let load = traffic.finish(findings).await?;
    load.check()?;
    audit::chain(&network, &load, findings).await?;
    network.stop_cleanly().await?;
    Ok(())
}
