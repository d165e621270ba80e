//! Load that runs beside a drill.

use std::net::SocketAddr;
use std::time::Duration;

use eyre::{WrapErr, bail, eyre};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Findings;
use crate::load::evm::{EvmLoad, EvmReport};
use crate::load::{Load, Report};
use crate::network::{Network, Node, Rollup};

/// How long the first transactions may take.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long a rollup may take to execute the last transfers.
const EVM_PATIENCE: Duration = Duration::from_secs(60);

/// Load that runs in the background.
pub struct Traffic {
    load: JoinHandle<eyre::Result<Report>>,
    evm: Vec<JoinHandle<eyre::Result<EvmReport>>>,
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Transactions per second to all validators.
    pub rate: f64,
    /// Transfers per second to each rollup.
    pub rollup_rate: f64,
    /// For how long.
    pub duration: Duration,
    /// How long to wait for what was accepted and is not final. What a node had accepted and not
    /// pushed to others is lost with its process.
    pub patience: Duration,
}

impl Traffic {
    /// Begins. Validators in `spared` are sent nothing.
    pub fn begin(network: &Network, rates: Rates, spared: &[usize]) -> Self {
        let nodes = network.validators.iter().enumerate();
        let nodes = nodes.filter(|(i, _)| !spared.contains(i)).map(|(_, node)| node.plan.api);
        Self::begin_to(network, rates, nodes.collect())
    }

    /// Begins, and sends to the APIs of some nodes.
    fn begin_to(network: &Network, rates: Rates, nodes: Vec<SocketAddr>) -> Self {
        let load = Load {
            nodes,
            accounts: network.plan.load_accounts.clone(),
            chain_id: network.plan.genesis.chain_id,
            namespaces: network.plan.options.namespaces.clone(),
            rate: rates.rate,
            duration: rates.duration,
            bytes: 200,
            pack: 1,
            connections: 2,
            patience: rates.patience,
        };
        let is_first = |rollup: &&Rollup| {
            let same = network.rollups.iter().find(|r| r.plan.namespace == rollup.plan.namespace);
            same.is_some_and(|first| first.plan.name == rollup.plan.name)
        };
        // Of several nodes of a rollup one is sent to: the accounts are the same.
        let evm = network.rollups.iter().filter(is_first).map(|rollup| {
            let load = EvmLoad {
                rpc: rollup.rpc.clone(),
                chain_id: rollup.plan.namespace,
                accounts: network.plan.accounts.iter().take(8).cloned().collect(),
                rate: rates.rollup_rate,
                duration: rates.duration,
                patience: EVM_PATIENCE,
            };
            tokio::spawn(async move { load.run().await })
        });
        Self { evm: evm.collect(), load: tokio::spawn(async move { load.run().await }) }
    }

    /// Begins, and waits until blocks carry it.
    pub async fn start(network: &Network, rates: Rates, spared: &[usize]) -> eyre::Result<Self> {
        let traffic = Self::begin(network, rates, spared);
        let node = network.validators.iter().enumerate().find(|(i, _)| !spared.contains(i));
        traffic.started(network, node.map(|(_, node)| node)).await
    }

    /// Begins with the APIs of some nodes, and waits until blocks carry it.
    pub async fn start_to(
        network: &Network,
        rates: Rates,
        nodes: Vec<SocketAddr>,
    ) -> eyre::Result<Self> {
        let node = network.nodes().find(|node| nodes.contains(&node.plan.api));
        Self::begin_to(network, rates, nodes.clone()).started(network, node).await
    }

    async fn started(self, network: &Network, node: Option<&Node>) -> eyre::Result<Self> {
        for rollup in &network.rollups {
            rollup.wait_blocks(2, START_PATIENCE).await?;
        }
        if let Some(node) = node {
            let client = &node.client;
            let mut blocks = client.blocks(client.height().await? + 1).await?;
            let loaded = async {
                while let Some(block) = blocks.next().await? {
                    if !block.transactions.is_empty() {
                        return Ok(());
                    }
                }
                Err(eyre!("the node ended its stream"))
            };
            match timeout(START_PATIENCE, loaded).await {
                Ok(started) => started?,
                Err(_) => {
                    bail!("load does not start; a node says {}", client.get("/status").await?)
                }
            }
        }
        Ok(self)
    }

    /// Waits for its end. Checks that rollups executed everything exactly once, and notes what
    /// came of it.
    pub async fn finish(mut self, findings: &mut Findings) -> eyre::Result<Report> {
        let report = (&mut self.load).await?.wrap_err("load")?;
        findings.note(
            "transactions",
            format!(
                "{} accepted, {} final, {} lost with a mempool, {} final at two heights",
                report.accepted, report.finals, report.missing, report.repeated
            ),
        );
        let after = &report.final_after;
        findings.note(
            "submit to final",
            format!("p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms", after.p50, after.p99, after.max),
        );
        for evm in &mut self.evm {
            let evm = evm.await?.wrap_err("load on a rollup")?;
            evm.check()?;
            findings.note(
                format!("transfers on rollup {}", evm.chain_id),
                format!(
                    "{} accepted, each executed once; {} sent again; p50 {:.0} ms, max {:.0} ms",
                    evm.accepted, evm.sent_again, evm.executed_after.p50, evm.executed_after.max
                ),
            );
        }
        Ok(report)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.load.abort();
        self.evm.iter().for_each(JoinHandle::abort);
    }
}
