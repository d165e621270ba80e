//! `cargo devnet bench`: figures with what they are measured against, from the same run.
//!
//! Machines are noisy and differ; ratios travel better. Each figure stands beside its aim and its
//! yardstick: bare engines on the same disk, signature recoveries on the same processors.

mod auction;
mod bare;
mod cost;
mod latency;
mod memory;
mod overhead;
mod throughput;
mod window;

use std::path::PathBuf;

use clap::ValueEnum;
use eyre::ensure;
use serde::Serialize;

pub use bare::BareCommand;

use crate::drill::{Lab, Scale};
use crate::table::{markdown, table};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// From submitting to final at light load, against bare engines
    Latency,
    /// Transactions per second at saturation, against the bound of signature recovery
    Throughput,
    /// A validator's memory under load
    Memory,
    /// What namespaces cost per block and per proof
    Cost,
    /// What observations cost on the wire and in the log
    Overhead,
    /// What it takes to determine an auction's winners
    Auction,
    /// What waiting for bids costs in latency
    Window,
}

/// A figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What it came to.
    pub figure: String,
    /// What it is compared with, from the same run.
    pub against: String,
    /// The comparison.
    pub ratio: String,
    /// What is aimed at.
    pub aim: String,
}

impl Figure {
    /// A figure without anything to compare with.
    pub fn plain(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            figure: figure.into(),
            against: String::new(),
            ratio: String::new(),
            aim: String::new(),
        }
    }

    /// With what it is compared with, and how it compares.
    pub fn against(mut self, against: impl Into<String>, ratio: impl Into<String>) -> Self {
        self.against = against.into();
        self.ratio = ratio.into();
        self
    }

    /// With what is aimed at.
    pub fn aim(mut self, aim: impl Into<String>) -> Self {
        self.aim = aim.into();
        self
    }
}

/// Measures, and prints figures and ratios.
///
/// The figures are on standard output, and as `bench.md` and `bench.json` in the directory.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchCommand {
    /// What to measure; everything by default
    #[arg(value_enum)]
    pub parts: Vec<Part>,
    /// How long to measure: the full scale takes a quarter of an hour
    #[arg(long, value_enum, default_value = "full")]
    pub scale: Scale,
    /// Where networks are kept
    #[arg(long, default_value = "target/bench")]
    pub dir: PathBuf,
    /// The first of the hundred ports that are used
    #[arg(long, default_value_t = 26900)]
    pub base_port: u16,
    /// Print the figures as JSON on the last line, instead of a table
    #[arg(long)]
    pub json: bool,
}

impl BenchCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let (lab, dir) = Lab::open(&self.dir, self.base_port, self.scale).await?;
        let parts = if self.parts.is_empty() { Part::value_variants() } else { &self.parts };
        let mut figures = Vec::new();
        for part in parts {
            figures.extend(match part {
                Part::Latency => latency::run(&lab).await?,
                Part::Throughput => throughput::run(&lab).await?,
                Part::Memory => memory::run(&lab).await?,
                Part::Cost => cost::run(&lab)?,
                Part::Overhead => overhead::run()?,
                Part::Auction => auction::run(&lab)?,
                Part::Window => window::run(&lab).await?,
            });
        }
        ensure!(!figures.is_empty(), "nothing was measured");
        let mut rows = vec![["what", "figure", "against", "ratio", "aim"].map(str::to_owned)];
        rows.extend(figures.iter().cloned().map(|f| [f.what, f.figure, f.against, f.ratio, f.aim]));
        let json = serde_json::to_string(&figures)?;
        std::fs::write(dir.path().join("bench.md"), markdown(&rows) + "\n")?;
        std::fs::write(dir.path().join("bench.json"), &json)?;
        println!("{}", if self.json { json } else { table(&rows) });
        Ok(())
    }
}
