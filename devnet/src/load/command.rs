//! `cargo devnet load`: load on a network that runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use eyre::{WrapErr, ensure, eyre};
use serde_json::{Value, json};

use super::Load;
use super::evm::{EvmLoad, EvmReport};
use crate::plan::key;
use crate::rpc::Rpc;
use crate::table::table;

/// How long to wait for the last transactions.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes load on a network that runs, and reports on it.
///
/// Arrival is open-loop: a transaction counts from when it was due, not from when it was sent.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadCommand {
    /// The directory of the network
    #[arg(long, default_value = "target/devnet")]
    pub dir: PathBuf,
    /// Transactions per second that go to the nodes' API
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// Transfers per second that go to every rollup's RPC
    #[arg(long, default_value_t = 10.0)]
    pub rollup_rate: f64,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// About how many bytes each transaction has
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Payloads in each transaction, of so many bytes each, as gateways pack them
    #[arg(long, default_value_t = 1)]
    pub pack: usize,
    /// Connections per node
    #[arg(long, default_value_t = 2)]
    pub connections: usize,
    /// Namespaces to submit to, in turn; the network's own by default
    #[arg(long, value_delimiter = ',')]
    pub namespaces: Option<Vec<u64>>,
    /// Print one JSON report on the last line
    #[arg(long)]
    pub json: bool,
}

impl LoadCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let file = self.dir.join("network.json");
        let text = std::fs::read_to_string(&file)
            .wrap_err_with(|| format!("no network runs in {}", self.dir.display()))?;
        let network: Value = serde_json::from_str(&text)?;
        let list = |part: &str| network[part].as_array().cloned().unwrap_or_default();
        let nodes = list("validators")
            .iter()
            .map(|node| {
                let url = node["api"].as_str().unwrap_or_default();
                url.trim_start_matches("http://").parse().wrap_err("a validator's API")
            })
            .collect::<eyre::Result<Vec<SocketAddr>>>()?;
        let count = usize::try_from(network["load_accounts"].as_u64().unwrap_or(0))?;
        ensure!(count > 0, "the network has no accounts for load");
        let chain_id = network["chain_id"].as_str().and_then(|id| id.parse().ok());
        let namespaces = list("namespaces");
        let namespaces = namespaces.iter().filter_map(|n| n.as_str()?.parse().ok());
        let load = Load {
            nodes,
            accounts: (0..count).map(|i| key("load", i)).collect(),
            chain_id: chain_id.ok_or_else(|| eyre!("no chain id in {}", file.display()))?,
            namespaces: self.namespaces.clone().unwrap_or_else(|| namespaces.collect()),
            rate: self.rate,
            duration: self.duration,
            bytes: self.bytes,
            pack: self.pack,
            connections: self.connections,
            patience: PATIENCE,
        };
        let rollups: Vec<EvmLoad> = list("rollups")
            .iter()
            .filter(|_| self.rollup_rate > 0.0)
            .map(|rollup| EvmLoad {
                rpc: Rpc::of_url(rollup["rpc"].as_str().unwrap_or_default()),
                chain_id: rollup["chain_id"].as_u64().unwrap_or_default(),
                accounts: (0..count.min(16)).map(|i| key("load", i)).collect(),
                rate: self.rollup_rate,
                duration: self.duration,
                patience: PATIENCE,
            })
            .collect();
        eprintln!(
            "{} nodes at {}/s, {} rollups at {}/s, for {}",
            load.nodes.len(),
            self.rate,
            rollups.len(),
            self.rollup_rate,
            humantime::format_duration(self.duration)
        );
        let on_rollups = futures::future::join_all(rollups.iter().map(EvmLoad::run));
        let (report, on_rollups) = tokio::join!(load.run(), on_rollups);
        let report = report?;
        let on_rollups = on_rollups.into_iter().collect::<eyre::Result<Vec<_>>>()?;
        println!("{}", report.table());
        if !on_rollups.is_empty() {
            println!("{}", rollup_table(&on_rollups));
        }
        if self.json {
            println!("{}", json!({ "nodes": report, "rollups": on_rollups }));
        }
        report.check()?;
        on_rollups.iter().try_for_each(EvmReport::check)
    }
}

/// A table of what came of load on rollups.
pub fn rollup_table(reports: &[EvmReport]) -> String {
    let header = ["rollup", "accepted", "executed", "again", "p50 ms", "p99 ms", "max ms"];
    let mut rows = vec![header.map(str::to_owned)];
    for report in reports {
        let after = &report.executed_after;
        rows.push([
            report.chain_id.to_string(),
            report.accepted.to_string(),
            report.executed.to_string(),
            report.sent_again.to_string(),
            format!("{:.1}", after.p50),
            format!("{:.1}", after.p99),
            format!("{:.1}", after.max),
        ]);
    }
    table(&rows)
}
