//! Configuration: `config.toml`, then `WEFT__SECTION__KEY` from the environment, then flags.
//! Unknown keys are errors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_malachitebft_core_types::LinearTimeouts;
use eyre::{WrapErr, ensure};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use weft_consensus::driver::Timing;
use weft_l1::config::L1Config;

/// Everything an operator can set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network among nodes.
    pub p2p: P2pConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// Metrics on a port of their own.
    pub metrics: MetricsConfig,
    /// How long to wait for what.
    pub consensus: ConsensusConfig,
    /// Catching up.
    pub sync: SyncConfig,
    /// Ethereum. What this node sees of it goes into its observations; it decides nothing by itself.
    pub l1: L1Config,
    /// Transactions that wait.
    pub mempool: MempoolConfig,
    /// What is on disk.
    pub store: StoreConfig,
    /// Keys.
    pub keys: KeysConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// The network among nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P2pConfig {
    /// Where to listen, as a multiaddr.
    pub listen: Multiaddr,
    /// Where others reach this node, if that is somewhere else, as behind a router.
    pub announce: Option<Multiaddr>,
    /// Peers to stay connected to, as multiaddrs that end in `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Where to listen.
    pub listen: SocketAddr,
}

/// Metrics on a port of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where to serve `/metrics` beside the API, if anywhere.
    pub listen: Option<SocketAddr>,
}

/// How long to wait for what. All nodes of a network should agree roughly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsensusConfig {
    /// Longest pause between two heights when there is nothing to order.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How long a proposer that holds a quorum of observations waits for the rest.
    #[serde(with = "humantime_serde")]
    pub gather: Duration,
    /// How long a node woken by others waits for batches before it observes.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// How long to wait for bids after a height is decided, if a lot is offered at the next.
    #[serde(with = "humantime_serde")]
    pub bid_window: Duration,
    /// How long to wait for a proposal in round 0.
    #[serde(with = "humantime_serde")]
    pub propose: Duration,
    /// How long to wait for more prevotes in round 0, once a quorum disagrees.
    #[serde(with = "humantime_serde")]
    pub prevote: Duration,
    /// How long to wait for more precommits in round 0, once a quorum disagrees.
    #[serde(with = "humantime_serde")]
    pub precommit: Duration,
    /// How much longer to wait for each in every later round.
    #[serde(with = "humantime_serde")]
    pub step: Duration,
    /// After how long in a round votes and certificates are sent again and passed on.
    #[serde(with = "humantime_serde")]
    pub rebroadcast: Duration,
}

/// Catching up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncConfig {
    /// Blocks asked for at once.
    pub batch: usize,
    /// Requests under way at once.
    pub parallel: usize,
    /// How long to wait for an answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// Transactions that wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MempoolConfig {
    /// Most bytes.
    pub max_bytes: usize,
}

/// What is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// At which size a segment of the block log is sealed.
    pub segment_bytes: u64,
    /// Memory for the view's cache.
    pub view_cache_bytes: u64,
}

/// Keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// The validator's keystore, relative to the home. Without the file the node only follows.
    pub validator: PathBuf,
    /// A file with the keystore's password, relative to the home, for starting unattended. Without
    /// it, `WEFT_PASSWORD` is read, or the terminal is asked.
    pub password_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Levels, as in `info,weft_node=debug`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for P2pConfig {
    fn default() -> Self {
        let listen = "/ip4/0.0.0.0/tcp/26700".parse().expect("a well-formed address");
        Self { listen, announce: None, peers: Vec::new() }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 26701)) }
    }
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            gather: Duration::from_millis(100),
            linger: Duration::from_millis(30),
            bid_window: Duration::ZERO,
            propose: Duration::from_millis(500),
            prevote: Duration::from_millis(250),
            precommit: Duration::from_millis(250),
            step: Duration::from_millis(250),
            rebroadcast: Duration::from_millis(1000),
        }
    }
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { batch: 32, parallel: 8, timeout: Duration::from_secs(5) }
    }
}

impl Default for MempoolConfig {
    fn default() -> Self {
        Self { max_bytes: 32 * 1024 * 1024 }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { segment_bytes: 128 * 1024 * 1024, view_cache_bytes: 32 * 1024 * 1024 }
    }
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { validator: "keys/validator.json".into(), password_file: None }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info,arc_malachitebft=warn".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads a file, the environment, and what flags say (as a partial configuration).
    pub fn load(path: &Path, flags: &impl Serialize) -> eyre::Result<Self> {
        ensure!(path.exists(), "{} does not exist; run `weft init` first", path.display());
        let config: Self = Figment::new()
            .merge(Toml::file(path))
            .merge(Env::prefixed("WEFT__").split("__"))
            .merge(Serialized::defaults(flags))
            .extract()
            .wrap_err_with(|| format!("the configuration in {} is wrong", path.display()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> eyre::Result<()> {
        let c = &self.consensus;
        for (name, value) in [
            ("heartbeat", c.heartbeat),
            ("propose", c.propose),
            ("prevote", c.prevote),
            ("precommit", c.precommit),
            ("rebroadcast", c.rebroadcast),
        ] {
            ensure!(
                (Duration::from_millis(1)..=Duration::from_secs(60)).contains(&value),
                "consensus.{name} is {value:?}, expected 1 ms to 60 s"
            );
        }
        ensure!(
            c.gather < c.propose,
            "consensus.gather is {:?}, expected less than consensus.propose ({:?})",
            c.gather,
            c.propose
        );
        ensure!(
            c.bid_window < c.propose && c.bid_window < c.heartbeat,
            "consensus.bid_window is {:?}, expected less than consensus.propose and heartbeat",
            c.bid_window
        );
        ensure!(
            (1..=256).contains(&self.sync.batch) && (1..=64).contains(&self.sync.parallel),
            "sync.batch is expected in 1 to 256, sync.parallel in 1 to 64"
        );
        ensure!(
            self.mempool.max_bytes >= 1024 * 1024,
            "mempool.max_bytes is {}, expected a mebibyte or more",
            self.mempool.max_bytes
        );
        ensure!(
            self.store.segment_bytes >= 1024 * 1024,
            "store.segment_bytes is {}, expected a mebibyte or more",
            self.store.segment_bytes
        );
        Ok(self.l1.check()?)
    }

    /// What the driver waits for.
    pub fn timing(&self) -> Timing {
        Timing {
            heartbeat: self.consensus.heartbeat,
            gather: self.consensus.gather,
            linger: self.consensus.linger,
            bid_window: self.consensus.bid_window,
            empty_after: self.consensus.propose / 2,
        }
    }

    /// What the engine waits for.
    pub fn timeouts(&self) -> LinearTimeouts {
        let c = &self.consensus;
        LinearTimeouts {
            propose: c.propose,
            propose_delta: c.step,
            prevote: c.prevote,
            prevote_delta: c.step,
            precommit: c.precommit,
            precommit_delta: c.step,
            rebroadcast: c.rebroadcast,
            max_timeout: Duration::from_secs(30),
        }
    }
}

/// A configuration file with the defaults and a word on each.
pub const TEMPLATE: &str = r#"# Configuration of a Weft node. What stands here is overridden by the environment
# (WEFT__P2P__LISTEN and so on), and that by flags. Unknown keys are errors.

[p2p]
# Where to listen for other nodes, as a multiaddr.
listen = "/ip4/0.0.0.0/tcp/26700"
# Where others reach this node, if that is somewhere else, as behind a router.
# announce = "/ip4/1.2.3.4/tcp/26700"
# Peers to stay connected to; validators find each other from there: "/ip4/1.2.3.4/tcp/26700/p2p/<peer id>".
peers = []

[api]
# Where to serve the HTTP API. Put a reverse proxy in front before opening it to the world.
listen = "127.0.0.1:26701"

[metrics]
# Where to serve /metrics on a port of its own; it is on the API in any case.
# listen = "127.0.0.1:26702"

[consensus]
# Longest pause between two heights when there is nothing to order.
heartbeat = "1s"
# How long a proposer that holds a quorum of observations waits for the rest.
gather = "100ms"
# How long a node woken by others waits for batches before it observes.
linger = "30ms"
# How long it waits for bids after a height is decided, if a lot is offered at the next one. Validators of
# a network should agree on it. More of it lets bidders see the state that they bid on, and adds to the
# latency of these heights.
bid_window = "0ms"
# How long to wait for a proposal, and for more votes once a quorum disagrees.
propose = "500ms"
prevote = "250ms"
precommit = "250ms"
# How much longer in each later round.
step = "250ms"
# After how long votes are sent again, and passed on by those who get them.
rebroadcast = "1s"

[sync]
# Blocks asked for at once, requests under way at once, and how long to wait for an answer.
batch = 32
parallel = 8
timeout = "5s"

[l1]
# Ethereum providers to ask, JSON-RPC over http(s) or ws(s), each run by somebody else if it can be:
# what enough of them agree on goes into this validator's observations. Without any it says nothing
# of Ethereum. Nothing that they do stops or delays ordering.
providers = []
# How many have to say the same of a block; more than half by default.
# quorum = 2
# Which blocks count as final: "finalized", "safe", or a number of blocks above.
finality = "finalized"
# How often each is asked, and how long it may take.
interval = "4s"
timeout = "4s"
# A provider this many blocks behind the furthest lags.
max_lag = 8
# Largest answer that is read, in bytes.
max_answer = 16777216

[mempool]
# Most bytes of transactions that wait.
max_bytes = 33554432

[store]
# At which size a segment of the block log is sealed.
segment_bytes = 134217728
# Memory for the cache of the view.
view_cache_bytes = 33554432

[keys]
# The validator's keystore. Without the file the node only follows.
validator = "keys/validator.json"
# A file with its password, for starting unattended. Else WEFT_PASSWORD, or the terminal.
# password_file = "keys/password"

[log]
filter = "info,arc_malachitebft=warn"
# "text" or "json".
format = "text"
"#;

#[cfg(test)]
mod tests {
    use weft_l1::provider::Finality;

    use super::*;

    fn load(text: &str) -> eyre::Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &serde_json::json!({}))
    }

    #[test]
    fn the_template_says_what_the_defaults_are() {
        assert_eq!(load(TEMPLATE).unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| format!("{:?}", load(text).unwrap_err());
        assert!(error("[p2p]\nlisten_on = 1").contains("listen_on"));
        assert!(error("[consensus]\npropose = \"50ms\"").contains("gather"));
        assert!(error("[consensus]\nheartbeat = \"0s\"").contains("heartbeat"));
        assert!(error("[nonsense]\n").contains("nonsense"));
        assert!(error("[l1]\nproviders = [\"ftp://x\"]").contains("ftp://x"));
        let three = "[l1]\nproviders = [\"http://a\", \"http://b\", \"http://c\"]\n";
        assert_eq!(load(three).unwrap().l1.quorum(), 2);
        assert!(error(&format!("{three}quorum = 1")).contains("more than half"));
        assert!(error(&format!("{three}quorum = 4")).contains("l1.quorum"));
        assert!(error("[l1]\nfinality = \"latest\"").contains("finality"));
        assert!(error("[l1]\nfinality = 0").contains("l1.finality"));
    }

    #[test]
    fn finality_is_a_name_or_a_number() {
        let finality = |text: &str| load(&format!("[l1]\nfinality = {text}")).unwrap().l1.finality;
        assert_eq!(finality("\"safe\""), Finality::Safe);
        assert_eq!(finality("12"), Finality::Depth(12));
        assert_eq!(finality("\"12\""), Finality::Depth(12));
        let written = toml::to_string(&load("[l1]\nfinality = 12").unwrap()).unwrap();
        assert_eq!(load(&written).unwrap().l1.finality, Finality::Depth(12));
    }

    #[test]
    fn flags_win() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, "[api]\nlisten = \"127.0.0.1:1\"").unwrap();
        let flags = serde_json::json!({ "api": { "listen": "127.0.0.1:2" } });
        assert_eq!(Config::load(&path, &flags).unwrap().api.listen.port(), 2);
    }
}
