//! A network that runs: real processes, and a file that says where they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{WrapErr, ensure, eyre};
use serde_json::{Value, json};
use weft_types::SecretKey;

use crate::client::{Client, wait_for};
use crate::plan::{Plan, PlannedNode};
use crate::process::{Process, Recipe};

/// How long a network may take to come up.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A node that was started.
#[derive(Debug)]
pub struct Node {
    /// What was planned.
    pub plan: PlannedNode,
    /// Its process.
    pub process: Process,
    /// Its API.
    pub client: Client,
}

/// A network that runs.
#[derive(Debug)]
pub struct Network {
    /// What was planned.
    pub plan: Plan,
    /// Validators.
    pub validators: Vec<Node>,
    /// Full nodes.
    pub full_nodes: Vec<Node>,
    /// What else `network.json` says: rollups, L1.
    pub rollups: Vec<Value>,
}

/// Programs that a network is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `weft`.
    pub weft: PathBuf,
}

impl Programs {
    /// Those that stand beside the running one, as cargo puts them.
    pub fn beside_this() -> eyre::Result<Self> {
        let this = std::env::current_exe()?;
        let mut directory =
            this.parent().ok_or_else(|| eyre!("no directory of {}", this.display()))?;
        // Tests run from a directory below that of programs.
        if directory.ends_with("deps") {
            directory = directory.parent().ok_or_else(|| eyre!("no directory above deps"))?;
        }
        let weft = directory.join("weft");
        ensure!(
            weft.exists(),
            "{} does not exist; build it with `cargo build --workspace --bins`",
            weft.display()
        );
        Ok(Self { weft })
    }
}

impl Node {
    /// Starts a planned node.
    pub fn start(plan: &PlannedNode, program: &Path) -> eyre::Result<Self> {
        let recipe = Recipe {
            name: plan.name.clone(),
            program: program.to_owned(),
            args: vec!["start".to_owned(), "--home".to_owned(), plan.home.display().to_string()],
            env: Vec::new(),
            log: plan.home.join("node.log"),
        };
        let process = Process::start(recipe)?;
        Ok(Self { client: Client::new(plan.api), plan: plan.clone(), process })
    }

    fn describe(&self) -> Value {
        let address = self.plan.key.as_ref().map(SecretKey::address);
        json!({
            "name": self.plan.name,
            "address": address,
            "api": format!("http://{}", self.plan.api),
            "metrics": format!("http://{}/metrics", self.plan.metrics),
            "listen": [self.plan.listen.to_string()],
            "home": self.plan.home,
            "pid": self.process.pid(),
        })
    }
}

impl Network {
    /// Makes homes and starts every node, and waits until all of them are ready.
    pub async fn start(plan: Plan, programs: &Programs) -> eyre::Result<Self> {
        plan.write_homes()?;
        let start = |node: &PlannedNode| Node::start(node, &programs.weft);
        let validators = plan.validators.iter().map(start).collect::<eyre::Result<Vec<_>>>()?;
        let full_nodes = plan.full_nodes.iter().map(start).collect::<eyre::Result<Vec<_>>>()?;
        let mut network = Self { plan, validators, full_nodes, rollups: Vec::new() };
        network.wait_ready(START_PATIENCE).await?;
        Ok(network)
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.validators.iter().chain(&self.full_nodes)
    }

    /// Every node, to be started and stopped.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.validators.iter_mut().chain(&mut self.full_nodes)
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
        json!({
            "chain_id": self.plan.genesis.chain_id.to_string(),
            "genesis": self.plan.validators.first().map(|v| v.home.join("genesis.json")),
            "validators": self.validators.iter().map(Node::describe).collect::<Vec<_>>(),
            "full_nodes": self.full_nodes.iter().map(Node::describe).collect::<Vec<_>>(),
            "l1": { "providers": [], "contracts": {} },
            "rollups": self.rollups,
            "accounts": self.plan.accounts.iter().map(account).collect::<Vec<_>>(),
        })
    }

    /// Asks every node to stop. Returns those that had to be killed.
    pub async fn stop(&mut self) -> eyre::Result<Vec<String>> {
        let mut killed = Vec::new();
        let all: Vec<&mut Node> = self.nodes_mut().collect();
        let stops = all.into_iter().map(|node| async move {
            let fine = node.process.stop().await?;
            Ok::<_, eyre::Report>((node.plan.name.clone(), fine))
        });
        for stopped in futures::future::join_all(stops).await {
            let (name, fine) = stopped?;
            if !fine {
                killed.push(name);
            }
        }
        Ok(killed)
    }

    /// Checks that all nodes that run have the same chain, up to the lowest tip among them.
    /// Returns that height.
    pub async fn check_same_chain(&self) -> eyre::Result<u64> {
        let running: Vec<&Node> =
            self.nodes().filter(|node| node.process.pid().is_some()).collect();
        let mut lowest = u64::MAX;
        for node in &running {
            lowest = lowest.min(node.client.height().await?);
        }
        let first = running.first().ok_or_else(|| eyre!("no node runs"))?;
        let expected = chain_of(first, lowest).await?;
        for node in &running[1..] {
            let chain = chain_of(node, lowest).await?;
            for (height, (a, b)) in (1..).zip(expected.iter().zip(&chain)) {
                ensure!(
                    a == b,
                    "{} and {} differ at height {height}: {a} and {b}",
                    first.plan.name,
                    node.plan.name
                );
            }
        }
        Ok(lowest)
    }
}

/// The blocks of a node's chain, as hashes of their bytes.
async fn chain_of(node: &Node, to: u64) -> eyre::Result<Vec<String>> {
    let mut blocks = Vec::new();
    for height in 1..=to {
        let bytes = node.client.block_bytes(height).await?;
        blocks.push(weft_types::hash::blake3(&[&bytes]).to_string());
    }
    Ok(blocks)
}

/// The end of a file, for messages.
pub fn tail_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
