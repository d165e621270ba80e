//! The commands of `weft`.

mod amount;
mod auction;
mod bridge;
mod client;
mod db;
mod doctor;
mod evidence;
mod keys;
mod l1;
pub mod logging;
mod relay;
mod stake;
mod start;
mod status;
mod submit;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use eyre::WrapErr;

use crate::home::{Home, NetworkFile};

/// A node of a Weft network, and tools around it.
#[derive(Debug, Parser)]
#[command(name = "weft", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, show or import keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make a home for a node.
    Init(Init),
    /// Run the node: a validator if its key holds a seat, else a full node.
    Start(start::Start),
    /// Show where a running node stands.
    Status(status::StatusArgs),
    /// Look for what is wrong with a home and say what to do.
    Doctor(HomeArgs),
    /// Submit data to a namespace and follow it until it is final.
    Submit(submit::Submit),
    /// Send wei to another account.
    Transfer(submit::Transfer),
    /// Order data for several namespaces in one block, for all of them or for none.
    Bundle(auction::Bundle),
    /// Bid for the head of one or several rollups' next slices.
    Bid(auction::Bid),
    /// Put up, take back or show what backs bids.
    #[command(subcommand)]
    Collateral(auction::Collateral),
    /// Register, update or show namespaces.
    #[command(subcommand)]
    Namespace(submit::NamespaceCommand),
    /// Check the block log, or rebuild the view from it.
    #[command(subcommand)]
    Db(db::Db),
    /// Bond stake on Ethereum for a home's validator key, and wait for its seat.
    Join(stake::Join),
    /// End a validator's bond, and wait until it has no seat any more.
    Leave(stake::Leave),
    /// Carry headers to Ethereum, on and on.
    Relay(relay::Relay),
    /// Move wei from Ethereum to the network.
    Deposit(bridge::Deposit),
    /// Move wei from the network to Ethereum, where it has to be claimed.
    Withdraw(bridge::Withdraw),
    /// Claim a withdrawal on Ethereum.
    Claim(bridge::Claim),
    /// Send a message to a namespace by way of Ethereum, which no validator can leave out.
    Force(bridge::Force),
    /// Look after the fallback, with which rollups go on without the network.
    #[command(subcommand)]
    Fallback(bridge::Fallback),
    /// Show proof of faults that a node keeps, or submit it to Ethereum.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
}

/// Which home.
#[derive(Debug, Args)]
pub struct HomeArgs {
    /// The node's home.
    #[arg(long, value_name = "DIR", env = "WEFT_HOME")]
    home: PathBuf,
}

impl HomeArgs {
    fn home(&self) -> Home {
        Home::new(&self.home)
    }
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    home: HomeArgs,
    /// The network to join: a file with its genesis and some peers.
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> eyre::Result<()> {
        match self.command {
            Command::Keys(keys) => keys.run(),
            Command::Init(init) => init.run(),
            Command::Start(start) => start.run(),
            Command::Status(status) => runtime()?.block_on(status.run()),
            Command::Doctor(home) => runtime()?.block_on(doctor::run(&home.home())),
            Command::Submit(submit) => runtime()?.block_on(submit.run()),
            Command::Transfer(transfer) => runtime()?.block_on(transfer.run()),
            Command::Bundle(bundle) => runtime()?.block_on(bundle.run()),
            Command::Bid(bid) => runtime()?.block_on(bid.run()),
            Command::Collateral(command) => runtime()?.block_on(command.run()),
            Command::Namespace(command) => runtime()?.block_on(command.run()),
            Command::Db(db) => db.run(),
            Command::Evidence(command) => runtime()?.block_on(command.run()),
            Command::Join(join) => runtime()?.block_on(join.run()),
            Command::Leave(leave) => runtime()?.block_on(leave.run()),
            Command::Relay(relay) => runtime()?.block_on(relay.run()),
            Command::Deposit(deposit) => runtime()?.block_on(deposit.run()),
            Command::Withdraw(withdraw) => runtime()?.block_on(withdraw.run()),
            Command::Claim(claim) => runtime()?.block_on(claim.run()),
            Command::Force(force) => runtime()?.block_on(force.run()),
            Command::Fallback(command) => runtime()?.block_on(command.run()),
        }
    }
}

impl Init {
    fn run(&self) -> eyre::Result<()> {
        let text = std::fs::read_to_string(&self.network)
            .wrap_err_with(|| format!("cannot read {}", self.network.display()))?;
        let network: NetworkFile = serde_json::from_str(&text)
            .wrap_err_with(|| format!("{} describes no network", self.network.display()))?;
        let home = self.home.home();
        let peer_id = home.init(&network)?;
        say(&format!("home      {}", home.path().display()));
        say(&format!("peer id   {peer_id}"));
        say("Look through config.toml, make a key with `weft keys new` if this is to be a");
        say("validator, then `weft start`.");
        Ok(())
    }
}

/// A runtime for commands that ask a node something.
fn runtime() -> eyre::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Prints a line of a command's result.
#[expect(clippy::print_stdout, reason = "a command's result is what it prints")]
fn say(line: &str) {
    println!("{line}");
}
