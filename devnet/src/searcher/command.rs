//! `cargo devnet searcher`.

use std::path::{Path, PathBuf};

use super::Account;
use crate::dir::Dir;
use crate::drill::{Lab, Scale};
use crate::plan::Options;
use crate::tools::Tools;

/// Takes arbitrage between exchanges on two rollups by bidding for the heads of their slices, and
/// reports profit and loss.
///
/// If a network runs in the directory it is used, else one is started there.
#[derive(Clone, Debug, clap::Args)]
pub struct SearcherCommand {
    /// The directory of the network
    #[arg(long, default_value = "target/searcher")]
    pub dir: PathBuf,
    /// The first of the hundred ports that are used, if a network is started
    #[arg(long, default_value_t = 27000)]
    pub base_port: u16,
    /// Print the report as JSON on the last line, instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What is done atomically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Example {
    /// A user moves tokens from one rollup to the other
    Transfer,
    /// A searcher closes an arbitrage between them
    Arbitrage,
}

/// Runs an atomic bundle over both rollups, once so that it works and once with a leg that fails, and
/// prints an account of it.
///
/// If a network runs in the directory it is used, else one is started there.
#[derive(Clone, Debug, clap::Args)]
pub struct AtomicCommand {
    /// What to do
    #[arg(value_enum)]
    pub example: Example,
    /// The directory of the network
    #[arg(long, default_value = "target/atomic")]
    pub dir: PathBuf,
    /// The first of the hundred ports that are used, if a network is started
    #[arg(long, default_value_t = 27100)]
    pub base_port: u16,
    /// Print the account as JSON on the last line, instead of tables
    #[arg(long)]
    pub json: bool,
}

impl AtomicCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let say: fn(&str) = |line| eprintln!("{line}");
        let account = if Dir::is_used(&self.dir) {
            self.example.run(&Tools::install(say).await?, &self.dir, say).await?
        } else {
            let (lab, dir) = Lab::open(&self.dir, self.base_port, Scale::Short).await?;
            let options = Options { dir: dir.path().join("network"), ..lab.options("network") };
            let mut network = lab.start(super::options(options)).await?;
            let account = self.example.run(&lab.tools, &network.plan.options.dir, say).await?;
            network.stop().await?;
            account
        };
        println!("{}", if self.json { serde_json::to_string(&account)? } else { account.tables() });
        Ok(())
    }
}

impl Example {
    async fn run(self, tools: &Tools, dir: &Path, say: fn(&str)) -> eyre::Result<Account> {
        match self {
            Self::Transfer => super::transfer(tools, dir, say).await,
            Self::Arbitrage => super::arbitrage(tools, dir, say).await,
        }
    }
}

impl SearcherCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let say: fn(&str) = |line| eprintln!("{line}");
        let report = if Dir::is_used(&self.dir) {
            let tools = Tools::install(say).await?;
            super::run(&tools, &self.dir, say).await?
        } else {
            let (lab, dir) = Lab::open(&self.dir, self.base_port, Scale::Short).await?;
            let options = Options { dir: dir.path().join("network"), ..lab.options("network") };
            let mut network = lab.start(super::options(options)).await?;
            let report = super::run(&lab.tools, &network.plan.options.dir, say).await?;
            network.stop().await?;
            report
        };
        println!("{}", if self.json { serde_json::to_string(&report)? } else { report.table() });
        Ok(())
    }
}
