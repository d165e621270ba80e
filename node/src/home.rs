//! A node's home: what stands where in it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use eyre::{WrapErr, ensure, eyre};
use libp2p::identity;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use weft_types::Genesis;

use crate::config::TEMPLATE;
use crate::store::durable;

/// A network to join: what it started from, and where to find it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// What it started from.
    pub genesis: Genesis,
    /// Nodes that are usually there, as multiaddrs that end in `/p2p/<peer id>`.
    #[serde(default)]
    pub peers: Vec<libp2p::Multiaddr>,
}

/// A directory that holds all a node has.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// The home at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The genesis.
    pub fn genesis_file(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// The network key.
    pub fn network_key_file(&self) -> PathBuf {
        self.0.join("keys/network.key")
    }

    /// A path that the configuration names.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    /// The block log.
    pub fn log(&self) -> PathBuf {
        self.0.join("data/log")
    }

    /// The view.
    pub fn view(&self) -> PathBuf {
        self.0.join("data/view")
    }

    /// The engine's write-ahead log.
    pub fn wal(&self) -> PathBuf {
        self.0.join("data/wal/consensus.wal")
    }

    /// The count of boots.
    pub fn boots(&self) -> PathBuf {
        self.0.join("data/boots")
    }

    /// Evidence.
    pub fn evidence(&self) -> PathBuf {
        self.0.join("data/evidence.jsonl")
    }

    /// Makes a home for a network: configuration, genesis, network key. Returns the peer id. What
    /// is there already stays.
    pub fn init(&self, network: &NetworkFile) -> eyre::Result<libp2p::PeerId> {
        network.genesis.check()?;
        std::fs::create_dir_all(self.0.join("keys"))?;
        std::fs::create_dir_all(self.0.join("data"))?;
        let genesis = serde_json::to_string_pretty(&network.genesis)?;
        if self.genesis_file().exists() {
            ensure!(
                self.genesis()? == network.genesis,
                "{} is a home of another network",
                self.0.display()
            );
        } else {
            std::fs::write(self.genesis_file(), genesis + "\n")?;
        }
        if !self.config().exists() {
            let peers: Vec<String> = network.peers.iter().map(|p| format!("{p:?}")).collect();
            let peers: Vec<String> =
                peers.iter().map(|p| format!("\"{}\"", p.trim_matches('"'))).collect();
            let text =
                TEMPLATE.replacen("peers = []", &format!("peers = [{}]", peers.join(", ")), 1);
            std::fs::write(self.config(), text)?;
        }
        if !self.network_key_file().exists() {
            let key = identity::Keypair::generate_ed25519();
            let secret = key.try_into_ed25519()?.secret();
            write_secret(&self.network_key_file(), &hex::encode(secret.as_ref()))?;
        }
        Ok(self.network_key()?.public().to_peer_id())
    }

    /// Reads the genesis.
    pub fn genesis(&self) -> eyre::Result<Genesis> {
        let path = self.genesis_file();
        let text = std::fs::read_to_string(&path)
            .wrap_err_with(|| format!("cannot read {}; run `weft init` first", path.display()))?;
        serde_json::from_str(&text).wrap_err_with(|| format!("{} is no genesis", path.display()))
    }

    /// Reads the network key.
    pub fn network_key(&self) -> eyre::Result<identity::Keypair> {
        let path = self.network_key_file();
        let text = std::fs::read_to_string(&path)
            .wrap_err_with(|| format!("cannot read {}; run `weft init` first", path.display()))?;
        let mut secret = hex::decode(text.trim())
            .wrap_err_with(|| format!("{} holds no hex", path.display()))?;
        identity::Keypair::ed25519_from_bytes(&mut secret)
            .map_err(|e| eyre!("{} holds no ed25519 key: {e}", path.display()))
    }

    /// Takes the home for this process alone, until the file is closed. Two nodes on one home would
    /// sign against each other.
    pub fn lock(&self) -> eyre::Result<File> {
        let path = self.0.join("data/lock");
        durable::create_directory(&self.0.join("data"))?;
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            eyre!("another process runs on {}: {} is locked", self.0.display(), path.display())
        })?;
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(file)
    }
}

/// Writes a secret to a new file that only its owner can read.
pub fn write_secret(path: &Path, secret: &str) -> eyre::Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .wrap_err_with(|| format!("cannot create {}", path.display()))?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_per_home() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let held = home.lock().unwrap();
        assert!(home.lock().unwrap_err().to_string().contains("another process"));
        drop(held);
        home.lock().unwrap();
    }
}
