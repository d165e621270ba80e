//! Looking through what a network did: chains, signatures, logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eyre::{WrapErr, ensure, eyre};
use weft_rollup_adapter::api::Endpoint;
use weft_rollup_adapter::cursor::Cursor;
use weft_rollup_adapter::light::{LightClient, VerifiedSlice};
use weft_types::{Address, B256, NamespaceId, SliceEntry, Slot, TransactionId};

use super::Findings;
use crate::conduct::read_records;
use crate::load::Report;
use crate::network::{Network, Node};

/// Checks that all nodes have the same chain, that nothing was executed twice, and that everything
/// that was shown to be final was executed, at the height where it was shown to be.
pub async fn chain(network: &Network, load: &Report, findings: &mut Findings) -> eyre::Result<()> {
    ensure!(load.repeated == 0, "{} transactions were final at two heights", load.repeated);
    ensure!(load.finals > 0, "nothing became final");
    let through = network.check_same_chain().await?;
    let running = network.nodes().find(|node| node.process.pid().is_some());
    let node = running.ok_or_else(|| eyre!("no node runs"))?;
    // A slice is proven by the block after it.
    let proven = through.saturating_sub(1);
    let executed = executed(network, node, proven).await?;
    for (id, height) in load.seen.iter().filter(|(_, height)| **height <= proven) {
        let found = executed.get(id);
        ensure!(
            found == Some(height),
            "transaction {id} was final at height {height}, but was executed at {found:?}"
        );
    }
    findings.note(
        "chains",
        format!(
            "byte-identical through height {through}; {} transactions executed, none twice, by \
             proven slices",
            executed.len()
        ),
    );
    Ok(())
}

/// Every submission that a node's slices hold, with its height. Fails if one is there twice.
pub async fn executed(
    network: &Network,
    node: &Node,
    through: u64,
) -> eyre::Result<BTreeMap<TransactionId, u64>> {
    let mut found = BTreeMap::new();
    let mut twice = None;
    slices(network, node, through, |_, slice| {
        for entry in slice.entries() {
            let SliceEntry::Submission { transaction, .. } = entry else { continue };
            if let Some(before) = found.insert(*transaction, slice.height()) {
                twice = Some((*transaction, before, slice.height()));
            }
        }
    })
    .await?;
    match twice {
        Some((id, first, second)) => Err(eyre!("{id} was executed at {first} and {second}")),
        None => Ok(found),
    }
}

/// Goes through all slices of a node, verified from the genesis file on, as an adapter does.
pub async fn slices(
    network: &Network,
    node: &Node,
    through: u64,
    mut each: impl FnMut(NamespaceId, &VerifiedSlice),
) -> eyre::Result<()> {
    let endpoint =
        Endpoint::new(format!("http://{}", node.plan.api).parse()?, Endpoint::http_client()?);
    let rollups = network.plan.rollups.iter().map(|rollup| rollup.namespace);
    let namespaces = network.plan.options.namespaces.iter().copied().chain(rollups);
    for namespace in namespaces.collect::<BTreeSet<u64>>() {
        let namespace = NamespaceId(namespace);
        let start = Cursor::start(&network.plan.genesis)?;
        let mut light = LightClient::new(&network.plan.genesis, namespace, &start)?;
        let mut slices = endpoint.stream(namespace, 0).await?;
        while light.height() <= through {
            let slice = slices.next().await?;
            if let Some((height, hash)) = light.needs(&slice)? {
                light.learn(height, hash, endpoint.committee(height).await?)?;
            }
            let slice = light.advance(slice)?;
            each(namespace, &slice);
        }
    }
    Ok(())
}

/// Checks from the records of validators that run as `weft-conduct` that nobody signed two things
/// for one slot.
pub fn signatures(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let mut signed: BTreeMap<(Address, Slot), B256> = BTreeMap::new();
    let mut count = 0u64;
    for node in network.validators.iter().filter(|node| node.plan.conduct.is_some()) {
        for record in read_records(&node.plan.record())? {
            count += 1;
            let first = *signed.entry((record.signer, record.slot)).or_insert(record.body);
            ensure!(
                first == record.body,
                "{} signed twice: {first} and {} for {:?}",
                record.signer,
                record.body,
                record.slot
            );
        }
    }
    ensure!(count > 0, "no signatures were recorded");
    findings.note(
        "signatures",
        format!("{count} recorded, {} distinct, nobody signed twice", signed.len()),
    );
    Ok(())
}

/// Checks that nothing has panicked, in any log of a network's directory.
pub fn logs(network: &Network) -> eyre::Result<()> {
    let homes = network.plan.nodes().map(|node| node.home.join("node.log"));
    for log in homes.chain(network.plan.rollups.iter().map(|r| r.home.join("rollup.log"))) {
        if !log.exists() {
            continue;
        }
        let text = read(&log)?;
        let panic = text.lines().find(|line| line.contains("panicked at"));
        ensure!(panic.is_none(), "{}: {}", log.display(), panic.unwrap_or_default());
    }
    Ok(())
}

/// A log file's text.
pub fn read(path: &Path) -> eyre::Result<String> {
    let bytes = std::fs::read(path).wrap_err_with(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
