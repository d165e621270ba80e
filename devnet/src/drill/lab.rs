//! Where drills get their networks from.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use eyre::{WrapErr, eyre};
use serde::Serialize;

use crate::dir::Dir;
use crate::network::Network;
use crate::plan::{Options, Plan, clear};
use crate::programs::Programs;
use crate::tools::Tools;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// A minute or less
    Short,
    /// Many minutes
    Full,
}

impl Scale {
    /// One of two.
    pub fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        self.pick("short", "full")
    }
}

/// What drills need.
#[derive(Clone, Debug)]
pub struct Lab {
    /// What networks are made of.
    pub programs: Programs,
    /// Anvil and wallets.
    pub tools: Tools,
    /// Each drill makes a directory here.
    pub dir: PathBuf,
    /// The first of a hundred ports; networks of a lab run one after another.
    pub base_port: u16,
    /// How long and how often.
    pub scale: Scale,
    /// Told what goes on.
    pub say: fn(&str),
}

impl Lab {
    /// Builds and installs what is needed, saying so on standard error, and takes a directory.
    pub async fn open(path: &Path, base_port: u16, scale: Scale) -> eyre::Result<(Self, Dir)> {
        let say: fn(&str) = |line| eprintln!("{line}");
        let (programs, _) = Programs::build(true).await?;
        let tools = Tools::install(say).await?;
        let dir = Dir::open(path, false)?;
        let lab = Self { programs, tools, dir: dir.path().to_owned(), base_port, scale, say };
        Ok((lab, dir))
    }

    /// What a network of a drill consists of, unless the drill changes it.
    pub fn options(&self, drill: &str) -> Options {
        Options { dir: self.dir.join(drill), base_port: self.base_port, ..Options::default() }
    }

    /// Starts a new network.
    pub async fn start(&self, options: Options) -> eyre::Result<Network> {
        clear(&options.dir)?;
        // What cargo has just built may still be on its way to disk, and every fsync behind it.
        tokio::task::spawn_blocking(rustix::fs::sync).await?;
        let network = Network::start(Plan::new(options)?, &self.programs, Some(&self.tools)).await;
        let network = network.wrap_err("the network did not come up")?;
        network.write_file()?;
        Ok(network)
    }
}

/// The first of a hundred ports that nobody listens on.
pub fn free_base_port() -> eyre::Result<u16> {
    // Below what systems hand out by themselves.
    let bases = (14_000..32_700).step_by(100);
    let free =
        |base: &u16| (*base..*base + 100).all(|p| TcpListener::bind(("127.0.0.1", p)).is_ok());
    bases.into_iter().find(free).ok_or_else(|| eyre!("no hundred ports in a row are free"))
}
