//! Bundles over several namespaces, some of which cannot be: all legs are in one block, or none is
//! anywhere. Looked at as a light client does: one proven entry per leg.

use std::collections::BTreeMap;
use std::time::Duration;

use eyre::{bail, ensure, eyre};
use futures::future::join_all;
use serde_json::Value;
use tokio::time::timeout;
use weft_types::slice::ProvenEntry;
use weft_types::{
    Bytes, Committee, Leg, NamespaceId, Payload, SliceEntry, TransactionId, Unverified,
};

use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::client::{Client, number};
use crate::load::sign;
use crate::network::Network;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bundles that are under way at a time.
const AT_ONCE: u64 = 10;

/// A namespace that nobody has registered.
const NOBODYS: NamespaceId = NamespaceId(999_999);

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab.start(lab.options("bundles")).await?;
    let rates = Rates {
        rate: 100.0,
        rollup_rate: 0.0,
        duration: lab.scale.pick(Duration::from_secs(8), Duration::from_secs(60)),
        patience: PATIENCE,
    };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let count = lab.scale.pick(100, 2000);
    let mut sent: BTreeMap<TransactionId, Vec<Leg>> = BTreeMap::new();
    for first in (0..count).step_by(usize::try_from(AT_ONCE)?) {
        let some = (first..first + AT_ONCE).map(|number| send(&network, number));
        for bundle in join_all(some).await {
            let (id, legs) = bundle?;
            sent.insert(id, legs);
        }
    }
    let committee = committee(&network)?;
    let (mut whole, mut none, mut legs_seen) = (0, 0, 0);
    for (id, legs) in &sent {
        match look(&network, &committee, id, legs).await? {
            0 => none += 1,
            seen => {
                whole += 1;
                legs_seen += seen;
            }
        }
    }
    ensure!(whole > 0 && none > 0, "{whole} bundles are whole, {none} are nowhere");
    let load = traffic.finish(findings).await?;
    load.check()?;
    audit::chain(&network, &load, findings).await?;

    // Nothing of any bundle stands where it should not.
    let node = network.validators.first().ok_or_else(|| eyre!("no validators"))?;
    let through = node.client.height().await?.saturating_sub(1);
    let mut seen: BTreeMap<TransactionId, Vec<(u64, NamespaceId)>> = BTreeMap::new();
    audit::slices(&network, node, through, |namespace, slice| {
        for entry in slice.entries() {
            if let SliceEntry::Leg { transaction, .. } = entry {
                seen.entry(*transaction).or_default().push((slice.height(), namespace));
            }
        }
    })
    .await?;
    ensure!(seen.len() == whole, "{} bundles have legs in slices, not {whole}", seen.len());
    for (id, places) in &seen {
        let legs = sent.get(id).ok_or_else(|| eyre!("{id} is nobody's"))?;
        let height = places.first().map_or(0, |(height, _)| *height);
        let fine = places.iter().all(|(at, _)| *at == height) && places.len() == legs.len();
        ensure!(fine, "{id} stands at {places:?}");
    }
    findings.note(
        "bundles",
        format!("{whole} with all of their {legs_seen} legs in one block, {none} with none"),
    );
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Sends a bundle and waits until it is final. Of each five, one has a leg that cannot be.
async fn send(network: &Network, number: u64) -> eyre::Result<(TransactionId, Vec<Leg>)> {
    let namespaces = &network.plan.options.namespaces;
    let item = |part: u64| Bytes::from(format!("bundle {number}, {part}").into_bytes());
    let wanted = if number.is_multiple_of(2) { namespaces.len() } else { 2 };
    let mut legs: Vec<Leg> = namespaces
        .iter()
        .take(wanted)
        .map(|id| Leg { namespace: NamespaceId(*id), data: vec![item(*id), item(0)] })
        .collect();
    if number % 5 == 4 {
        legs.push(Leg { namespace: NOBODYS, data: vec![item(0)] });
    }
    let validator = usize::try_from(number)? % network.validators.len();
    let client = &network.validators[validator].client;
    let key = &network.plan.accounts[usize::try_from(number)? % 8];
    let payload = Payload::Bundle { legs: legs.clone() };
    let transaction = sign(payload, network.plan.genesis.chain_id, key, 1 << 45 | number);
    let id = client.submit(&transaction).await?;
    let id = id.map_err(|refused| eyre!("a bundle was refused: {}", refused.problem))?;
    let found = timeout(PATIENCE, until_final(client, &id)).await??;
    let expected = if number % 5 == 4 { "skipped" } else { "executed" };
    ensure!(found["receipt"]["status"] == expected, "bundle {number}: {found}, not {expected}");
    Ok((id, legs))
}

/// Asks a node for a transaction that it has taken, without a pause, until it is final. At no moment may it not
/// know of it.
async fn until_final(client: &Client, id: &TransactionId) -> eyre::Result<Value> {
    loop {
        match client.try_get(&format!("/v1/transactions/{id}")).await? {
            Ok(found) if found["status"] == "final" => return Ok(found),
            Ok(_) => {}
            Err(refused) => bail!("{id} was taken, and now: {}", refused.problem),
        }
    }
}

/// Checks what a node shows of a bundle. Returns how many of its legs stand in slices.
async fn look(
    network: &Network,
    committee: &Committee,
    id: &TransactionId,
    legs: &[Leg],
) -> eyre::Result<usize> {
    let client = &network.validators[1].client;
    let height = number(&client.wait_final(id, PATIENCE).await?["height"])?;
    client.wait_height(height + 1, PATIENCE).await?;
    let bundle = client.get(&format!("/v1/bundles/{id}?proof=1")).await?;
    ensure!(number(&bundle["height"])? == height, "the bundle is shown at another height");
    let shown = bundle["legs"].as_array().ok_or_else(|| eyre!("no legs in {bundle}"))?;
    ensure!(shown.len() == legs.len(), "{} legs are shown, not {}", shown.len(), legs.len());
    let chain_id = network.plan.genesis.chain_id;
    let mut proven = 0;
    for (leg, shown) in legs.iter().zip(shown) {
        if shown["proof"].is_null() {
            ensure!(shown["entry"].is_null(), "a leg is not proven: {shown}");
            continue;
        }
        let proof: ProvenEntry = serde_json::from_value(shown["proof"].clone())?;
        let context = (chain_id, leg.namespace, committee);
        let checked = Unverified::new(proof).verify(context)?;
        ensure!(checked.header.height == height, "a leg stands at another height");
        // From this one entry, and the list that it comes with, all the others are known.
        let all = checked.legs.as_ref().ok_or_else(|| eyre!("no siblings"))?;
        ensure!(*all == weft_types::Legs::of(legs), "its siblings are others");
        let SliceEntry::Leg { transaction, data, .. } = &checked.entry else {
            return Err(eyre!("{:?} is no leg", checked.entry));
        };
        ensure!(transaction == id && *data == leg.data, "it brings something else");
        proven += 1;
    }
    ensure!(proven == 0 || proven == legs.len(), "{proven} of {} legs stand somewhere", legs.len());
    Ok(proven)
}

/// The committee of a network whose committee does not change.
fn committee(network: &Network) -> eyre::Result<Committee> {
    Ok(network.plan.genesis.check()?)
}
