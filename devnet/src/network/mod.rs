//! A network that runs: real processes, and a file that says where they are.

mod node;
mod rollup;

use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{WrapErr, ensure, eyre};
use futures::future::try_join_all;
use serde_json::{Value, json};
use weft_types::{Payload, SecretKey, Wei};

pub use node::Node;
pub use rollup::Rollup;

use crate::client::wait_for;
use crate::l1::L1;
use crate::load::sign;
use crate::plan::Plan;
use crate::process::Process;
use crate::programs::Programs;
use crate::tools::Tools;

/// How long a network may take to come up, or anything in it to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network that runs.
#[derive(Debug)]
pub struct Network {
    /// What was planned.
    pub plan: Plan,
    /// What it is made of.
    pub programs: Programs,
    /// Validators.
    pub validators: Vec<Node>,
    /// Full nodes.
    pub full_nodes: Vec<Node>,
    /// Rollups.
    pub rollups: Vec<Rollup>,
    /// Ethereum.
    pub l1: Option<L1>,
}

impl Network {
    /// Makes homes, starts everything, and waits until all of it is ready. Ethereum and external
    /// engines need the tools.
    pub async fn start(
        mut plan: Plan,
        programs: &Programs,
        tools: Option<&Tools>,
    ) -> eyre::Result<Self> {
        let anvil = tools.map(Tools::anvil);
        let l1 = match (&plan.l1, &anvil) {
            (None, _) => None,
            (Some(_), None) => return Err(eyre!("Ethereum needs anvil")),
            (Some(_), Some(anvil)) => Some(L1::start(&mut plan, programs, anvil.clone()).await?),
        };
        plan.write_homes()?;
        let mut network = Self {
            validators: Vec::new(),
            full_nodes: Vec::new(),
            rollups: Vec::new(),
            l1,
            programs: programs.clone(),
            plan,
        };
        for node in &network.plan.validators {
            network.validators.push(Node::start(node, programs)?);
        }
        if !network.plan.options.late_full_nodes {
            network.start_full_nodes()?;
        }
        network.wait_ready(PATIENCE).await?;
        if network.plan.l1.as_ref().is_some_and(|planned| planned.terms.relayer) {
            let first = network.plan.validators.first().ok_or_else(|| eyre!("no validators"))?;
            network.start_relayer(&format!("http://{}", first.api))?;
        }
        for rollup in &network.plan.rollups {
            let started = Rollup::start(rollup, &programs.weft_rollup, anvil.as_deref(), PATIENCE);
            network.rollups.push(started.await?);
        }
        network.put_up_bonds().await?;
        Ok(network)
    }

    /// Lets executors put up their bonds, where rollups take part in atomic bundles.
    async fn put_up_bonds(&self) -> eyre::Result<()> {
        let Some(terms) = self.plan.options.atomic.filter(|terms| terms.bond > 0) else {
            return Ok(());
        };
        let node = self.validators.first().ok_or_else(|| eyre!("no validators"))?;
        for key in self.plan.executors().values().flatten() {
            let account = node.client.get(&format!("/v1/accounts/{}", key.address())).await?;
            let has: Wei = account["collateral"].as_str().unwrap_or_default().parse()?;
            if has < terms.bond {
                self.lock_collateral(key, terms.bond - has).await?;
            }
        }
        Ok(())
    }

    /// Lets an account put up so many wei of collateral, and waits until it has.
    pub async fn lock_collateral(&self, key: &SecretKey, amount: Wei) -> eyre::Result<()> {
        let node = self.validators.first().ok_or_else(|| eyre!("no validators"))?;
        let payload = Payload::LockCollateral { amount };
        let id = node.client.submit(&sign(payload, self.plan.genesis.chain_id, key, 0)).await?;
        let id = id.map_err(|refused| eyre!("collateral was refused: {}", refused.problem))?;
        let found = node.client.wait_final(&id, PATIENCE).await?;
        ensure!(found["receipt"]["status"] == "executed", "collateral was not put up: {found}");
        Ok(())
    }

    /// Starts a relayer, which asks a node's API.
    pub fn start_relayer(&mut self, api: &str) -> eyre::Result<()> {
        let l1 = self.l1.as_mut().ok_or_else(|| eyre!("this network has no Ethereum"))?;
        l1.start_relayer(&self.plan, &self.programs, api)
    }

    /// Starts the full nodes.
    pub fn start_full_nodes(&mut self) -> eyre::Result<()> {
        for node in &self.plan.full_nodes {
            self.full_nodes.push(Node::start(node, &self.programs)?);
        }
        Ok(())
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.validators.iter().chain(&self.full_nodes)
    }

    /// Every node, to be started and stopped.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.validators.iter_mut().chain(&mut self.full_nodes)
    }

    /// Every process.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let nodes = self.validators.iter_mut().chain(&mut self.full_nodes);
        let rollups = self.rollups.iter_mut();
        nodes
            .map(|node| &mut node.process)
            .chain(rollups.flat_map(|r| std::iter::once(&mut r.process).chain(&mut r.engine)))
            .chain(self.l1.iter_mut().flat_map(L1::processes_mut))
    }

    /// Waits until every node is ready; fails at once if one has ended.
    pub async fn wait_ready(&mut self, patience: Duration) -> eyre::Result<()> {
        for node in self.nodes_mut() {
            let client = node.client.clone();
            let log = node.process.log().to_owned();
            let name = node.plan.name.clone();
            let process = &mut node.process;
            wait_for(&format!("{name} to be ready"), patience, || {
                let ended = process.ended();
                let client = client.clone();
                let (log, name) = (log.clone(), name.clone());
                async move {
                    if let Some(status) = ended {
                        let tail = tail_of(&log);
                        return Err(eyre!("{name} ended: {status}\n{tail}"));
                    }
                    Ok(matches!(client.ready().await, Ok(Ok(()))).then_some(()))
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Writes `network.json`, by renaming, so that it is never half there.
    pub fn write_file(&self) -> eyre::Result<PathBuf> {
        let path = self.plan.options.dir.join("network.json");
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_string_pretty(&self.describe())? + "\n")?;
        std::fs::rename(&temporary, &path).wrap_err("cannot write network.json")?;
        Ok(path)
    }

    /// What `network.json` says.
    pub fn describe(&self) -> Value {
        let account = |key: &SecretKey| {
            json!({
                "address": key.address(),
                "key": format!("0x{}", hex::encode(key.to_bytes())),
            })
        };
        let accounts: Vec<Value> = self.plan.accounts.iter().map(account).collect();
        let rollup = |rollup: &Rollup| {
            let mut described = rollup.describe();
            described["accounts"] = accounts.clone().into();
            described["executor"] = account(&rollup.plan.executor);
            described
        };
        let l1 = match (&self.l1, &self.plan.genesis.l1) {
            (Some(l1), Some(contracts)) => l1.describe(contracts),
            _ => json!({ "providers": [], "contracts": {} }),
        };
        json!({
            "chain_id": self.plan.genesis.chain_id.to_string(),
            "genesis": self.plan.genesis_file(),
            "namespaces": self.plan.options.namespaces.iter().map(u64::to_string).collect::<Vec<_>>(),
            "validators": self.validators.iter().map(Node::describe).collect::<Vec<_>>(),
            "full_nodes": self.full_nodes.iter().map(Node::describe).collect::<Vec<_>>(),
            "l1": l1,
            "rollups": self.rollups.iter().map(rollup).collect::<Vec<_>>(),
            "accounts": accounts,
            "load_accounts": self.plan.load_accounts.len(),
        })
    }

    /// Asks everything to stop, rollups before nodes, Ethereum last. Returns what had to be killed.
    pub async fn stop(&mut self) -> eyre::Result<Vec<String>> {
        let mut killed = Vec::new();
        for stopped in futures::future::join_all(self.rollups.iter_mut().map(Rollup::stop)).await {
            killed.extend(stopped?);
        }
        let stops = self.nodes_mut().map(|node| async move {
            let fine = node.process.stop().await?;
            Ok::<_, eyre::Report>((node.plan.name.clone(), fine))
        });
        for stopped in futures::future::join_all(stops).await {
            let (name, fine) = stopped?;
            if !fine {
                killed.push(name);
            }
        }
        if let Some(l1) = &mut self.l1 {
            killed.extend(l1.stop().await?);
        }
        Ok(killed)
    }

    /// Asks everything to stop. Fails if something had to be killed, or ended with an error.
    pub async fn stop_cleanly(&mut self) -> eyre::Result<()> {
        let killed = self.stop().await?;
        ensure!(killed.is_empty(), "these did not stop as they should: {}", killed.join(", "));
        Ok(())
    }

    /// Checks that all nodes that run have the same chain, byte for byte, up to what is now the highest tip
    /// among them. Returns that height.
    pub async fn check_same_chain(&self) -> eyre::Result<u64> {
        let running: Vec<&Node> =
            self.nodes().filter(|node| node.process.pid().is_some()).collect();
        let tips = try_join_all(running.iter().map(|node| node.client.height())).await?;
        let highest = tips.into_iter().max().ok_or_else(|| eyre!("no node runs"))?;
        try_join_all(running.iter().map(|node| node.client.wait_height(highest, PATIENCE))).await?;
        for height in 1..=highest {
            let blocks = running.iter().map(|node| node.client.block_bytes(height));
            let blocks = try_join_all(blocks).await?;
            for (node, block) in running.iter().zip(&blocks) {
                ensure!(
                    *block == blocks[0],
                    "{} and {} differ at height {height}",
                    running[0].plan.name,
                    node.plan.name
                );
            }
        }
        Ok(highest)
    }
}

/// The end of a file, for messages.
pub fn tail_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
