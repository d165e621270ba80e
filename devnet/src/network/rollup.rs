//! A rollup that was started: `weft-rollup`, and an anvil beside it if that executes.

use std::path::Path;
use std::time::Duration;

use eyre::eyre;
use serde_json::{Value, json};
use weft_rollup_adapter::config::Config;
use weft_rollup_adapter::evm::external::anvil_arguments;
use weft_rollup_adapter::home::Home;

use super::tail_of;
use crate::client::{http_client, wait_for};
use crate::plan::{PlannedRollup, RollupKind};
use crate::process::{Process, Recipe};
use crate::rpc::Rpc;

/// A rollup that was started.
#[derive(Debug)]
pub struct Rollup {
    /// What was planned.
    pub plan: PlannedRollup,
    /// `weft-rollup`.
    pub process: Process,
    /// An external engine.
    pub engine: Option<Process>,
    /// Wallets' RPC.
    pub rpc: Rpc,
}

impl Rollup {
    /// Starts a planned rollup whose home is made, and waits until it answers wallets.
    pub async fn start(
        plan: &PlannedRollup,
        program: &Path,
        anvil: Option<&Path>,
        patience: Duration,
    ) -> eyre::Result<Self> {
        let engine = match plan.kind {
            RollupKind::Revm => None,
            RollupKind::External => {
                let anvil = anvil.ok_or_else(|| eyre!("{} needs anvil", plan.name))?;
                let mut engine = Process::start(engine_recipe(plan, anvil)?)?;
                let rpc = Rpc::new(plan.engine);
                answers(&rpc, &mut engine, patience).await?;
                Some(engine)
            }
        };
        let recipe = Recipe {
            name: plan.name.clone(),
            program: program.to_owned(),
            args: vec!["start".to_owned(), "--home".to_owned(), plan.home.display().to_string()],
            env: Vec::new(),
            log: plan.home.join("rollup.log"),
        };
        let mut process = Process::start(recipe)?;
        let rpc = Rpc::new(plan.rpc);
        answers(&rpc, &mut process, patience).await?;
        Ok(Self { plan: plan.clone(), process, engine, rpc })
    }

    /// Waits until it answers wallets.
    pub async fn wait_ready(&mut self, patience: Duration) -> eyre::Result<()> {
        answers(&self.rpc, &mut self.process, patience).await
    }

    /// How it says that it stands.
    pub async fn ready(&self) -> eyre::Result<Value> {
        let url = format!("http://{}/ready", self.plan.rpc);
        Ok(http_client(Duration::from_secs(5)).get(url).send().await?.json().await?)
    }

    /// Waits until it has made so many more blocks.
    pub async fn wait_blocks(&self, count: u64, patience: Duration) -> eyre::Result<()> {
        let what = format!("{count} more blocks of {}", self.plan.name);
        let until = std::cell::Cell::new(None);
        wait_for(&what, patience, || async {
            let Ok(block) = self.rpc.quantity("eth_blockNumber", json!([])).await else {
                return Ok(None);
            };
            let aim = until.get().unwrap_or(block + count);
            until.set(Some(aim));
            Ok((block >= aim).then_some(()))
        })
        .await
    }

    /// Asks it to stop, then its engine. Returns those that had to be killed.
    pub async fn stop(&mut self) -> eyre::Result<Vec<String>> {
        let mut killed = Vec::new();
        for process in std::iter::once(&mut self.process).chain(&mut self.engine) {
            if !process.stop().await? {
                killed.push(process.name().to_owned());
            }
        }
        Ok(killed)
    }

    /// As `network.json` has it, but for its accounts.
    pub fn describe(&self) -> Value {
        json!({
            "name": self.plan.name,
            "namespace": self.plan.namespace.to_string(),
            "chain_id": self.plan.namespace,
            "rpc": format!("http://{}", self.plan.rpc),
            "metrics": format!("http://{}/metrics", self.plan.metrics),
            "kind": self.plan.kind.name(),
            "home": self.plan.home,
            "pid": self.process.pid(),
            "engine_pid": self.engine.as_ref().and_then(Process::pid),
        })
    }
}

fn engine_recipe(plan: &PlannedRollup, anvil: &Path) -> eyre::Result<Recipe> {
    let home = Home::new(plan.home.clone());
    let config = Config::load(&home.config_file(), &Default::default())?;
    let genesis = home.evm_genesis(&config)?;
    let mut args = anvil_arguments(&genesis.spec);
    args.push(format!("--init={}", home.path(&config.engine.genesis).display()));
    args.push(format!("--host={}", plan.engine.ip()));
    args.push(format!("--port={}", plan.engine.port()));
    args.push("--quiet".to_owned());
    Ok(Recipe {
        name: format!("{}-anvil", plan.name),
        program: anvil.to_owned(),
        args,
        env: Vec::new(),
        log: plan.home.join("anvil.log"),
    })
}

/// Waits until an RPC answers that it is up to date, and so has a state to answer from; fails at
/// once if its process has ended.
async fn answers(rpc: &Rpc, process: &mut Process, patience: Duration) -> eyre::Result<()> {
    let what = format!("{} to be up to date", process.name());
    wait_for(&what, patience, || {
        let ended = process
            .ended()
            .map(|status| eyre!("{} ended: {status}\n{}", process.name(), tail_of(process.log())));
        async move {
            if let Some(error) = ended {
                return Err(error);
            }
            let syncing = rpc.call("eth_syncing", json!([])).await.ok();
            Ok(syncing.filter(|syncing| syncing.as_bool() == Some(false)))
        }
    })
    .await
    .map(|_| ())
}
