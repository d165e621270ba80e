//! `weft-rollup`: runs one EVM rollup on Weft: engine, gateway, wallet's JSON-RPC.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use eyre::{WrapErr, bail};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use weft_rollup_adapter::config::{Config, EngineKind, Flags};
use weft_rollup_adapter::evm::external::anvil_arguments;
use weft_rollup_adapter::evm::store::Store;
use weft_rollup_adapter::home::{Home, NewHome};
use weft_rollup_adapter::{service, shutdown};

/// Runs one EVM rollup on Weft.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a home with a commented config.toml and a gateway key
    Init(Init),
    /// Runs the rollup of a home
    Start(Start),
    /// Runs the rollup of a home, and gives verdicts on legs of atomic bundles
    Executor(Start),
    /// Prints the arguments with which anvil has to be started as the home's external engine
    AnvilArgs(At),
    /// Computes the state root of a home from scratch and compares it with the last block; for
    /// engine revm only
    Verify(At),
}

#[derive(Args)]
struct At {
    /// The rollup's home
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Another configuration file than the home's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Init {
    /// The rollup's home, to be made
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    weft_genesis: PathBuf,
    /// The rollup's genesis file
    #[arg(long, value_name = "FILE")]
    evm_genesis: PathBuf,
    /// Base URLs of Weft nodes
    #[arg(long, value_name = "URL,...", value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// URLs of Ethereum providers; needed if the network has contracts there
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    l1: Vec<String>,
    /// The rollup's namespace: its EVM chain id
    #[arg(long, value_name = "N")]
    namespace: u64,
    /// Where to serve the wallet's JSON-RPC
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8545")]
    rpc: SocketAddr,
    /// Where to serve metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// revm, or external:URL
    #[arg(long, value_name = "ENGINE", default_value = "revm")]
    engine: String,
    /// A file with the gateway's key as 0x-hex; a new key is made without it
    #[arg(long, value_name = "FILE")]
    gateway_key: Option<PathBuf>,
}

#[derive(Args)]
struct Start {
    #[command(flatten)]
    at: At,
    /// revm, or external:URL
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Where to serve the wallet's JSON-RPC
    #[arg(long, value_name = "ADDRESS")]
    rpc: Option<SocketAddr>,
    /// Where to serve metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Base URLs of Weft nodes
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    endpoints: Option<Vec<String>>,
    /// A file with the key that signs verdicts, as 0x-hex; with it, verdicts are given
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What to log, such as info or weft_rollup_adapter=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Init(init) => initialise(init),
        Command::Start(start) => run(start, false),
        Command::Executor(start) => run(start, true),
        Command::AnvilArgs(at) => print_anvil_arguments(&at),
        Command::Verify(at) => verify(&at),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(at: &At, flags: &Flags) -> eyre::Result<(Home, Config)> {
    let home = Home::new(at.home.clone());
    let file = at.config.clone().unwrap_or_else(|| home.config_file());
    let config = Config::load(&file, flags).wrap_err("configuration")?;
    Ok((home, config))
}

#[expect(clippy::print_stdout, reason = "what a command answers")]
fn initialise(init: Init) -> eyre::Result<()> {
    let home = Home::new(init.home);
    let mut config = Config::default();
    config.weft.endpoints = init.endpoints;
    config.l1.providers = init.l1;
    config.l1.check()?;
    config.weft.namespace = init.namespace;
    config.rpc.listen = init.rpc;
    config.metrics.listen = init.metrics;
    config.engine.kind = init.engine;
    config.urls()?;
    config.engine_kind()?;
    let new = NewHome {
        weft_genesis: init.weft_genesis,
        evm_genesis: init.evm_genesis,
        config,
        gateway_key: init.gateway_key,
    };
    let key = new.make(&home)?;
    println!("{}", home.config_file().display());
    println!("gateway {}", key.address());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what a command answers")]
fn print_anvil_arguments(at: &At) -> eyre::Result<()> {
    let (home, config) = load(at, &Flags::default())?;
    let genesis = home.evm_genesis(&config)?;
    for argument in anvil_arguments(&genesis.spec) {
        println!("{argument}");
    }
    println!("--init={}", home.path(&config.engine.genesis).display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what a command answers")]
fn verify(at: &At) -> eyre::Result<()> {
    let (home, config) = load(at, &Flags::default())?;
    if let EngineKind::External(url) = config.engine_kind()? {
        bail!("there is nothing to verify: this home's state is kept by the engine at {url}");
    }
    let state = home.data("state.redb")?;
    if !state.exists() {
        bail!("there is nothing to verify: {} does not exist", state.display());
    }
    let (weft, evm) = (home.weft_genesis(&config)?, home.evm_genesis(&config)?);
    let network = weft.header(&weft.check()?).id();
    let store = Store::open(&state, &evm, network.0)?;
    let head = store.view()?.head()?;
    let check = store.check_state()?;
    println!("block {} {}", head.header.number, head.hash);
    println!("accounts {} slots {} root {}", check.accounts, check.slots, check.root);
    if head.header.number > 0 && check.root != head.header.state_root {
        bail!("the block says {}", head.header.state_root);
    }
    Ok(())
}

#[tokio::main]
async fn run(start: Start, judges: bool) -> eyre::Result<()> {
    let flags = Flags {
        engine: start.engine,
        rpc: start.rpc,
        metrics: start.metrics,
        endpoints: start.endpoints,
        executor_key: start.key_file,
        log: start.log,
    };
    let (home, config) = load(&start.at, &flags)?;
    if judges && config.executor.key_file.is_none() {
        bail!("an executor needs a key: executor.key_file in the configuration, or --key-file");
    }
    let filter = EnvFilter::try_new(&config.log.filter).wrap_err("log.filter")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (trigger, stop) = shutdown::channel();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
        trigger.shut_down();
        // A second signal does not wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    match service::run(&home, &config, stop).await {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "rollup stops");
            Err(error.into())
        }
    }
}
