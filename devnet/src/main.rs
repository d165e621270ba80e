//! `cargo devnet`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use weft_devnet::bench::{BareCommand, BenchCommand};
use weft_devnet::drill::DrillCommand;
use weft_devnet::l1::ProviderCommand;
use weft_devnet::load::LoadCommand;
use weft_devnet::searcher::{AtomicCommand, SearcherCommand};
use weft_devnet::up::Up;

/// A whole Weft network on one machine.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    up: Up,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes load on a network that runs, and reports on it
    Load(LoadCommand),
    /// Breaks networks of its own in stated ways, and reports what they did
    Drill(DrillCommand),
    /// Measures, and prints figures and ratios
    Bench(BenchCommand),
    /// Takes arbitrage by bidding for the heads of slices, and reports profit and loss
    Searcher(SearcherCommand),
    Atomic(AtomicCommand),
    /// Runs a provider of Ethereum that can be told to go wrong
    #[command(hide = true)]
    Provider(ProviderCommand),
    /// Runs one bare engine, for the bench
    #[command(hide = true)]
    Bare(BareCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => cli.up.run().await,
        Some(Command::Load(command)) => command.run().await,
        Some(Command::Drill(command)) => unless_told_to_stop(command.run()).await,
        Some(Command::Bench(command)) => unless_told_to_stop(command.run()).await,
        Some(Command::Searcher(command)) => unless_told_to_stop(command.run()).await,
        Some(Command::Atomic(command)) => unless_told_to_stop(command.run()).await,
        Some(Command::Bare(command)) => command.run().await,
        Some(Command::Provider(command)) => command.run().await,
    };
    weft_devnet::ended(ended)
}

/// Gives up when told to. What is given up takes its processes with it.
async fn unless_told_to_stop(work: impl Future<Output = eyre::Result<()>>) -> eyre::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = work => ended,
        _ = tokio::signal::ctrl_c() => eyre::bail!("interrupted"),
        _ = terminate.recv() => eyre::bail!("told to stop"),
    }
}
