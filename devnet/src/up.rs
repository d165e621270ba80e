//! `cargo devnet`: everything up until Ctrl-C.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eyre::{WrapErr, ensure};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use weft_types::{AuctionSettings, Bytes, NamespaceId, Params, Payload, Wei};

use crate::dir::Dir;
use crate::l1::Terms;
use crate::load::{self, Percentiles};
use crate::network::Network;
use crate::plan::{AtomicTerms, Options, Plan, RollupKind};
use crate::process::Process;
use crate::programs::Programs;
use crate::rpc::quantity;
use crate::tools::Tools;

/// How often processes are looked after.
const LOOK: Duration = Duration::from_millis(200);

/// How long the first transaction may take.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);

/// How long an epoch of the devnet lasts, in milliseconds: half a minute, so that one can watch
/// validators join and leave.
const EPOCH_MS: u64 = 30_000;

/// Blocks of the devnet's Ethereum, a second each, from one post that is paid to the next.
const RELAY_INTERVAL: u64 = 10;

/// At every so many heights the head of every slice is for sale in the devnet, for so many wei at
/// least, and validators wait so long for bids.
const LOT_EVERY: u64 = 4;
const LOT_FLOOR: Wei = 1_000_000_000_000;
const BID_WINDOW: Duration = Duration::from_millis(50);

/// Namespaces of the devnet's rollups, with what executes them.
pub const ROLLUPS: [(u64, RollupKind); 2] =
    [(7001, RollupKind::Revm), (7002, RollupKind::External)];

/// Runs a network and shows it.
#[derive(Clone, Debug, clap::Args)]
pub struct Up {
    /// Where everything is kept
    #[arg(long, default_value = "target/devnet")]
    pub dir: PathBuf,
    /// The first of the hundred ports that are used
    #[arg(long, default_value_t = 26700)]
    pub base_port: u16,
    /// Stop after this long, such as 30s
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Print one JSON report on the last line
    #[arg(long)]
    pub json: bool,
    /// Start a process again when it dies
    #[arg(long)]
    pub restart: bool,
    /// Go on with the chain that is there, instead of a new one
    #[arg(long)]
    pub keep: bool,
    /// How many validators
    #[arg(long, default_value_t = 4)]
    pub validators: usize,
    /// How many full nodes besides
    #[arg(long, default_value_t = 0)]
    pub full_nodes: usize,
}

/// What took how long, from the command to the first final transaction.
#[derive(Default)]
struct Stages(Vec<(&'static str, Duration)>);

impl Stages {
    fn add(&mut self, name: &'static str, took: Duration) {
        self.0.push((name, took));
    }

    fn total(&self) -> Duration {
        self.0.iter().map(|(_, took)| *took).sum()
    }

    fn table(&self) -> String {
        let longest = self.0.iter().map(|(_, took)| *took).max().unwrap_or_default();
        let rows = self.0.iter().map(|(name, took)| {
            let share = took.as_secs_f64() / longest.as_secs_f64().max(0.001);
            format!("  {name:<26}{:>8.1} s  {}", took.as_secs_f64(), bar(share, 30))
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> Value {
        self.0
            .iter()
            .map(|(name, took)| ((*name).to_owned(), json!(took.as_secs_f64())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// A horizontal bar for a share of one.
fn bar(share: f64, width: usize) -> String {
    let full = (0..width).filter(|i| *i as f64 + 0.5 < share * width as f64).count();
    "█".repeat(full)
}

impl Up {
    /// Runs it.
    pub async fn run(self) -> eyre::Result<()> {
        let mut stages = Stages::default();
        stages.add("cargo: this program", since_process_start());
        let (programs, took) = Programs::build(true).await.wrap_err("cannot build")?;
        stages.add("cargo: weft, weft-rollup", took);
        let started = Instant::now();
        let tools = Tools::install(|line| eprintln!("{line}")).await?;
        stages.add("npm: anvil and tools", started.elapsed());

        let dir = Dir::open(&self.dir, self.keep)?;
        let started = Instant::now();
        let options = Options {
            dir: dir.path().to_owned(),
            base_port: self.base_port,
            validators: self.validators,
            full_nodes: self.full_nodes,
            rollups: ROLLUPS.to_vec(),
            l1: Some(Terms::default()),
            auction: Some(AuctionSettings { every: LOT_EVERY, floor: LOT_FLOOR }),
            atomic: Some(AtomicTerms::default()),
            config: format!("bid_window = \"{}ms\"", BID_WINDOW.as_millis()),
            params: Params {
                epoch_ms: EPOCH_MS,
                relay_interval: RELAY_INTERVAL,
                ..Params::default()
            },
            ..Options::default()
        };
        let mut network = Network::start(Plan::new(options)?, &programs, Some(&tools)).await?;
        let file = network.write_file()?;
        stages.add("network up", started.elapsed());
        let started = Instant::now();
        first_transaction(&network).await?;
        stages.add("first final transaction", started.elapsed());

        show(&network, &file);
        eprintln!("\nfirst final transaction after {:.1} s:", stages.total().as_secs_f64());
        eprintln!("{}\n", stages.table());
        match self.duration {
            Some(duration) => eprintln!("runs for {}", humantime::format_duration(duration)),
            None => eprintln!("runs until Ctrl-C"),
        }
        let outcome = self.look_after(&mut network).await;
        let report = match &outcome {
            Ok(deaths) => Some(report(&network, &stages, deaths).await?),
            Err(_) => None,
        };
        eprintln!("stopping");
        let killed = network.stop().await?;
        let deaths = outcome?;
        if self.json
            && let Some(mut report) = report
        {
            report["killed"] = json!(killed);
            print_line(&report.to_string());
        }
        eprintln!("stopped; logs are in {}", network.plan.options.dir.display());
        ensure!(killed.is_empty(), "had to kill {}", killed.join(", "));
        ensure!(self.restart || deaths.is_empty(), "ended by themselves: {}", deaths.join(", "));
        Ok(())
    }

    /// Waits for the end; starts again what dies, if asked to. Returns what died.
    async fn look_after(&self, network: &mut Network) -> eyre::Result<Vec<String>> {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let until = self.duration.map(|duration| tokio::time::Instant::now() + duration);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deaths = Vec::new();
        let mut line = StatusLine::new();
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(deaths),
                _ = terminate.recv() => return Ok(deaths),
                _ = looks.tick() => {}
            }
            if until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                return Ok(deaths);
            }
            let mut changed = false;
            for process in network.processes_mut() {
                let Some(status) = process.ended() else { continue };
                eprintln!("{} ended: {status}; see {}", process.name(), process.log().display());
                deaths.push(process.name().to_owned());
                changed = true;
                if self.restart {
                    process.restart()?;
                }
            }
            if changed {
                network.write_file()?;
            }
            line.show(network).await;
        }
    }
}

/// One line, written over and over on a terminal; nothing elsewhere.
struct StatusLine {
    shown: Instant,
    on: bool,
}

impl StatusLine {
    fn new() -> Self {
        Self { shown: Instant::now(), on: std::io::stderr().is_terminal() }
    }

    async fn show(&mut self, network: &Network) {
        if !self.on || self.shown.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.shown = Instant::now();
        let mut words = Vec::new();
        for node in network.nodes() {
            words.push(match node.client.height().await {
                Ok(height) => height.to_string(),
                Err(_) => "down".to_owned(),
            });
        }
        let mut text = format!("heights {}", words.join(" "));
        for rollup in &network.rollups {
            let block = rollup.rpc.quantity("eth_blockNumber", json!([])).await;
            let block = block.map_or("down".to_owned(), |block| block.to_string());
            text += &format!("   {} {block}", rollup.plan.name);
        }
        eprint!("\r\x1b[K{text}  ");
        let _ = std::io::stderr().flush();
    }
}

#[expect(clippy::print_stdout, reason = "what a command answers")]
fn print_line(line: &str) {
    println!("{line}");
}

/// Submits a transaction and waits until it is final.
async fn first_transaction(network: &Network) -> eyre::Result<()> {
    let namespace = NamespaceId(*network.plan.options.namespaces.first().unwrap_or(&1));
    let payload =
        Payload::Submit { namespace, data: vec![Bytes::from_static(b"the first of many")] };
    let transaction =
        load::sign(payload, network.plan.genesis.chain_id, &network.plan.accounts[1], 0);
    let client = &network.validators[0].client;
    match client.submit(&transaction).await? {
        Ok(id) => client.wait_final(&id, FIRST_PATIENCE).await.map(|_| ()),
        Err(refused) => eyre::bail!("the first transaction was refused: {}", refused.problem),
    }
}

/// A row of what has no metrics.
fn plain_row(process: &Process, url: String) -> [String; 5] {
    let pid = process.pid().map_or(String::new(), |pid| pid.to_string());
    [process.name().to_owned(), url, String::new(), pid, process.log().display().to_string()]
}

/// Shows where everything is.
fn show(network: &Network, file: &Path) {
    let mut rows = vec![["", "API or RPC", "metrics", "pid", "log"].map(str::to_owned)];
    for node in network.nodes() {
        rows.push([
            node.plan.name.clone(),
            format!("http://{}", node.plan.api),
            format!("http://{}/metrics", node.plan.metrics),
            node.process.pid().map_or(String::new(), |pid| pid.to_string()),
            node.process.log().display().to_string(),
        ]);
    }
    for rollup in &network.rollups {
        rows.push([
            format!("{} ({})", rollup.plan.name, rollup.plan.kind.name()),
            rollup.rpc.url().to_owned(),
            format!("http://{}/metrics", rollup.plan.metrics),
            rollup.process.pid().map_or(String::new(), |pid| pid.to_string()),
            rollup.process.log().display().to_string(),
        ]);
        rows.extend(
            rollup
                .engine
                .iter()
                .map(|engine| plain_row(engine, format!("http://{}", rollup.plan.engine))),
        );
    }
    if let Some(l1) = &network.l1 {
        rows.push(plain_row(&l1.anvil, l1.rpc.url().to_owned()));
        let provider =
            |provider: &crate::l1::Provider| plain_row(&provider.process, provider.plan.url());
        rows.extend(l1.providers.iter().map(provider));
        rows.extend(l1.relayer.iter().map(|relayer| plain_row(relayer, String::new())));
    }
    eprintln!("\n{}", crate::table::table(&rows));
    if let (Some(rollup), Some(key)) = (network.rollups.first(), network.plan.accounts.first()) {
        let command = format!(
            "npx --prefix devnet/tools cast send --rpc-url {} --private-key 0x{} {} --value 1ether",
            rollup.rpc.url(),
            hex::encode(key.to_bytes()),
            network.plan.accounts[1].address(),
        );
        eprintln!("\ntry: {command}");
    }
    eprintln!("chain id {}, all of it in {}", network.plan.genesis.chain_id, file.display());
}

/// What the network came to.
async fn report(network: &Network, stages: &Stages, deaths: &[String]) -> eyre::Result<Value> {
    let mut nodes = Vec::new();
    for node in network.nodes().filter(|node| node.process.pid().is_some()) {
        let status = node.client.get("/status").await?;
        nodes.push(json!({
            "name": node.plan.name,
            "height": status["height"],
            "ready": node.client.ready().await?.is_ok(),
        }));
    }
    let mut rollups = Vec::new();
    for rollup in &network.rollups {
        let block = rollup.rpc.call("eth_getBlockByNumber", json!(["latest", false])).await?;
        rollups.push(json!({
            "name": rollup.plan.name,
            "kind": rollup.plan.kind.name(),
            "block": quantity(&block["number"])?.to_string(),
            "state_root": block["stateRoot"],
        }));
    }
    let same = network.check_same_chain().await;
    Ok(json!({
        "chain_id": network.plan.genesis.chain_id.to_string(),
        "same_chain_through": same.as_ref().ok().map(u64::to_string),
        "difference": same.err().map(|error| error.to_string()),
        "nodes": nodes,
        "rollups": rollups,
        "ended_by_themselves": deaths,
        "first_final_seconds": stages.total().as_secs_f64(),
        "stages_seconds": stages.json(),
        "block_interval_ms": intervals(network).await?,
    }))
}

/// Time between the last blocks, as their headers say.
async fn intervals(network: &Network) -> eyre::Result<Percentiles> {
    let client = &network.validators[0].client;
    let height = client.height().await?;
    let mut times = Vec::new();
    for h in height.saturating_sub(100).max(1)..=height {
        let block = client.get(&format!("/v1/blocks/{h}")).await?;
        times.push(crate::client::number(&block["header"]["time_ms"])?);
    }
    let micros = times.windows(2).map(|w| w[1].saturating_sub(w[0]).saturating_mul(1000));
    Ok(Percentiles::of(micros.map(|us| u32::try_from(us).unwrap_or(u32::MAX)).collect()))
}

/// How long this process has been there. Cargo becomes the program it runs, so for `cargo devnet`
/// this includes building it. Zero where the system does not tell.
fn since_process_start() -> Duration {
    let read = || -> Option<Duration> {
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name in the second field may hold spaces; what follows it does not.
        let ticks: f64 = stat.rsplit(')').next()?.split(' ').nth(20)?.parse().ok()?;
        Duration::try_from_secs_f64(uptime - ticks / 100.0).ok()
    };
    read().unwrap_or_default()
}
