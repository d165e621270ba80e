//! Looking through what a network did: chains, signatures, logs.

use std::collections::BTreeMap;
use std::path::Path;

use eyre::{WrapErr, ensure};
use weft_types::{Address, B256, Slot, TransactionId};

use super::Findings;
use crate::client::Client;
use crate::conduct::read_records;
use crate::load::Report;
use crate::network::Network;

/// Checks that all nodes have the same chain, that nothing is in it twice, and that everything
/// that was shown to be final is in it, where it was shown to be.
pub async fn chain(network: &Network, load: &Report, findings: &mut Findings) -> eyre::Result<()> {
    ensure!(load.repeated == 0, "{} transactions were final at two heights", load.repeated);
    ensure!(load.finals > 0, "nothing became final");
    let through = network.check_same_chain().await?;
    let running = network.nodes().find(|node| node.process.pid().is_some());
    let Some(node) = running else { eyre::bail!("no node runs") };
    let chain = transactions(&node.client, through).await?;
    for (id, height) in load.seen.iter().filter(|(_, height)| **height <= through) {
        let found = chain.get(id);
        ensure!(
            found == Some(height),
            "transaction {id} was final at height {height}, but the chain has it at {found:?}"
        );
    }
    findings.note(
        "chains",
        format!(
            "byte-identical through height {through}, {} transactions, none twice",
            chain.len()
        ),
    );
    Ok(())
}

/// Every transaction of the chain with its height; fails if one is there twice.
async fn transactions(client: &Client, through: u64) -> eyre::Result<BTreeMap<TransactionId, u64>> {
    let mut found = BTreeMap::new();
    let mut blocks = client.blocks(1).await?;
    while let Some(block) = blocks.next().await? {
        for id in block.transactions {
            let before = found.insert(id, block.height);
            ensure!(before.is_none(), "{id} is in blocks {before:?} and {}", block.height);
        }
        if block.height >= through {
            break;
        }
    }
    Ok(found)
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
