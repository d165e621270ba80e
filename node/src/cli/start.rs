//! `weft start`.

use std::net::SocketAddr;

use clap::Args;
use libp2p::Multiaddr;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{HomeArgs, logging, say};
use crate::config::Config;
use crate::run;

/// Threads for async work. One node has little of it; several may share a machine.
const WORKERS: usize = 2;

#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(flatten)]
    home: HomeArgs,
    /// Listen for peers here.
    #[arg(long, value_name = "MULTIADDR")]
    p2p_listen: Option<Multiaddr>,
    /// Stay connected to these peers, in place of those in the configuration.
    #[arg(long, value_name = "MULTIADDR", value_delimiter = ',')]
    peers: Option<Vec<Multiaddr>>,
    /// Serve the API here.
    #[arg(long, value_name = "ADDRESS")]
    api_listen: Option<SocketAddr>,
    /// Serve metrics here as well.
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// Show the configuration in force and exit.
    #[arg(long)]
    print_config: bool,
}

/// What flags set, as a partial configuration.
#[derive(Serialize)]
struct Flags {
    #[serde(skip_serializing_if = "P2pFlags::is_empty")]
    p2p: P2pFlags,
    #[serde(skip_serializing_if = "Listen::is_empty")]
    api: Listen,
    #[serde(skip_serializing_if = "Listen::is_empty")]
    metrics: Listen,
}

#[derive(Serialize)]
struct P2pFlags {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<Multiaddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<Multiaddr>>,
}

impl P2pFlags {
    fn is_empty(&self) -> bool {
        self.listen.is_none() && self.peers.is_none()
    }
}

#[derive(Serialize)]
struct Listen {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
}

impl Listen {
    fn is_empty(&self) -> bool {
        self.listen.is_none()
    }
}

impl Start {
    pub(super) fn run(self) -> eyre::Result<()> {
        let home = self.home.home();
        let flags = Flags {
            p2p: P2pFlags { listen: self.p2p_listen, peers: self.peers },
            api: Listen { listen: self.api_listen },
            metrics: Listen { listen: self.metrics_listen },
        };
        let config = Config::load(&home.config(), &flags)?;
        if self.print_config {
            say(toml::to_string_pretty(&config)?.trim_end());
            return Ok(());
        }
        logging::start(&config.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(async move {
                if wait_for_signal().await.is_ok() {
                    let _ = stop.send(true);
                }
            });
            run::run(home, config, stopped).await
        })
    }
}

async fn wait_for_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
