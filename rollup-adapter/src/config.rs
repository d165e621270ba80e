//! The configuration of `weft-rollup`: `config.toml` in the home, then
//! `WEFT_ROLLUP__SECTION__KEY`, then flags. Unknown keys are errors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use weft_l1::config::{L1Config, L1ConfigError};
use weft_types::Wei;

use crate::gateway::pool::Limits;
use crate::gateway::worker::GatewayConfig;
use crate::rpc::RpcLimits;
use crate::source::SourceConfig;

/// The file's name in the home.
pub const FILE: &str = "config.toml";
/// What environment variables begin with.
pub const ENV_PREFIX: &str = "WEFT_ROLLUP__";

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whom to follow.
    pub weft: WeftSection,
    /// Ethereum: what a fallback is told by. A network with contracts there has to be followed with
    /// providers.
    pub l1: L1Config,
    /// What executes.
    pub engine: EngineSection,
    /// How transactions are taken and handed over.
    pub gateway: GatewaySection,
    /// Verdicts on legs of atomic bundles.
    pub executor: ExecutorSection,
    /// The wallet's JSON-RPC.
    pub rpc: RpcSection,
    /// Metrics for Prometheus.
    pub metrics: MetricsSection,
    /// What is logged.
    pub log: LogSection,
}

/// `[weft]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeftSection {
    /// The network's genesis file, relative to the home.
    pub genesis: PathBuf,
    /// Base URLs of Weft nodes, the preferred one first. None is trusted.
    pub endpoints: Vec<String>,
    /// The rollup's namespace. It has to be its EVM chain id.
    pub namespace: u64,
    /// How long to wait for a slice before looking whether another endpoint has it.
    pub stall_ms: u64,
    /// How often an endpoint without a stream is asked.
    pub poll_ms: u64,
}

impl Default for WeftSection {
    fn default() -> Self {
        let source = SourceConfig::default();
        Self {
            genesis: "weft-genesis.json".into(),
            endpoints: Vec::new(),
            namespace: 0,
            stall_ms: millis(source.stall_after),
            poll_ms: millis(source.poll_interval),
        }
    }
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// `revm`, or `external:` and the URL of an engine's JSON-RPC.
    pub kind: String,
    /// The rollup's genesis file, relative to the home.
    pub genesis: PathBuf,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self { kind: "revm".to_owned(), genesis: "evm-genesis.json".into() }
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySection {
    /// File with the key that pays for Weft transactions, `0x`-hex, relative to the home. Only its
    /// owner may read it.
    pub key_file: PathBuf,
    /// How long the first transaction waits for others to share a Weft transaction.
    pub linger_ms: u64,
    /// Most transactions in one Weft transaction.
    pub max_items: usize,
    /// Most Weft transactions that are live at a time.
    pub max_live: usize,
    /// How far ahead of Weft time `valid_until` lies.
    pub validity_ms: u64,
    /// How many times the price of the moment is offered, at first.
    pub fee_headroom: u32,
    /// Most that is offered per byte, in wei, as a decimal string.
    #[serde(with = "weft_types::json::decimal")]
    pub max_fee_per_byte: Wei,
    /// How many Weft transactions may carry a transaction before it is given up.
    pub max_attempts: u32,
    /// How long a transaction waits for the one with the nonce before.
    pub gap_timeout_s: u64,
    /// Most transactions held of one account.
    pub account_items: usize,
    /// How far a nonce may lie beyond the account's.
    pub nonces_ahead: u64,
    /// Most transactions held in all.
    pub items: usize,
    /// Most bytes held in all.
    pub bytes: usize,
}

impl Default for GatewaySection {
    fn default() -> Self {
        let gateway = GatewayConfig::default();
        Self {
            key_file: "gateway.key".into(),
            linger_ms: millis(gateway.linger),
            max_items: gateway.max_items,
            max_live: gateway.max_live,
            validity_ms: millis(gateway.validity),
            fee_headroom: gateway.fee_headroom,
            max_fee_per_byte: gateway.max_fee_per_byte,
            max_attempts: gateway.max_attempts,
            gap_timeout_s: gateway.gap_timeout.as_secs(),
            account_items: gateway.limits.account_items,
            nonces_ahead: gateway.limits.nonces_ahead,
            items: gateway.limits.items,
            bytes: gateway.limits.bytes,
        }
    }
}

/// `[executor]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorSection {
    /// File with the key that signs verdicts and pays for them, `0x`-hex, relative to the home. Only its
    /// owner may read it. Without it no verdicts are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Most that a verdict pays for being ordered, in wei, as a decimal string.
    #[serde(with = "weft_types::json::decimal")]
    pub max_fee: Wei,
}

impl Default for ExecutorSection {
    fn default() -> Self {
        Self { key_file: None, max_fee: 1_000_000_000_000_000 }
    }
}

/// `[rpc]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpcSection {
    /// Where HTTP and WebSocket are served.
    pub listen: SocketAddr,
    /// Largest request, in bytes.
    pub request_bytes: usize,
    /// Most calls in a batch.
    pub batch: usize,
    /// Most blocks that `eth_getLogs` looks through at once.
    pub log_blocks: u64,
    /// Most logs in an answer.
    pub logs: usize,
    /// Most gas that `eth_call` may use.
    pub call_gas: u64,
    /// Most calls that execute at a time.
    pub calls: usize,
    /// Most requests that are worked on at a time.
    pub requests: usize,
    /// Most WebSocket connections.
    pub sockets: usize,
}

impl Default for RpcSection {
    fn default() -> Self {
        let limits = RpcLimits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8545)),
            request_bytes: limits.request_bytes,
            batch: limits.batch,
            log_blocks: limits.log_blocks,
            logs: limits.logs,
            call_gas: limits.call_gas,
            calls: limits.calls,
            requests: limits.requests,
            sockets: limits.sockets,
        }
    }
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSection {
    /// Where `/metrics` is served; nowhere without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// What is logged, as a filter of targets and levels.
    pub filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { filter: "info".to_owned() }
    }
}

/// What flags say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--engine`
    pub engine: Option<String>,
    /// `--rpc`
    pub rpc: Option<SocketAddr>,
    /// `--metrics`
    pub metrics: Option<SocketAddr>,
    /// `--endpoints`
    pub endpoints: Option<Vec<String>>,
    /// `--key-file`
    pub executor_key: Option<PathBuf>,
    /// `--log`
    pub log: Option<String>,
}

/// What executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// The embedded engine.
    Revm,
    /// An engine at a URL.
    External(Url),
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A key is unknown, or a value is not of its type.
    #[error("{0}")]
    Figment(Box<figment::Error>),
    /// A value of `[l1]`.
    #[error(transparent)]
    L1(#[from] L1ConfigError),
    /// A value is out of range.
    #[error("{key}: {why}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    /// Reads the configuration of a home.
    pub fn load(file: &Path, flags: &Flags) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::File { path: file.to_owned(), error })?;
        let mut figment =
            Figment::new().merge(Toml::string(&text)).merge(Env::prefixed(ENV_PREFIX).split("__"));
        if let Some(engine) = &flags.engine {
            figment = figment.merge(Serialized::default("engine.kind", engine));
        }
        if let Some(rpc) = &flags.rpc {
            figment = figment.merge(Serialized::default("rpc.listen", rpc));
        }
        if let Some(metrics) = &flags.metrics {
            figment = figment.merge(Serialized::default("metrics.listen", metrics));
        }
        if let Some(endpoints) = &flags.endpoints {
            figment = figment.merge(Serialized::default("weft.endpoints", endpoints));
        }
        if let Some(key) = &flags.executor_key {
            figment = figment.merge(Serialized::default("executor.key_file", key));
        }
        if let Some(log) = &flags.log {
            figment = figment.merge(Serialized::default("log.filter", log));
        }
        let config: Self =
            figment.extract().map_err(|error| ConfigError::Figment(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |key, fine: bool, why: &str| {
            if fine { Ok(()) } else { Err(ConfigError::Value { key, why: why.to_owned() }) }
        };
        range("weft.endpoints", !self.weft.endpoints.is_empty(), "at least one is needed")?;
        range("weft.namespace", self.weft.namespace > 0, "the rollup's EVM chain id")?;
        range("weft.stall_ms", self.weft.stall_ms >= 100, "100 or more")?;
        range("weft.poll_ms", self.weft.poll_ms >= 10, "10 or more")?;
        range("gateway.max_items", (1..=4096).contains(&self.gateway.max_items), "1 to 4096")?;
        range("gateway.max_live", self.gateway.max_live > 0, "above zero")?;
        range("gateway.validity_ms", self.gateway.validity_ms >= 2_000, "2000 or more")?;
        range("gateway.fee_headroom", self.gateway.fee_headroom > 0, "above zero")?;
        range("gateway.max_attempts", self.gateway.max_attempts > 0, "above zero")?;
        range("rpc.batch", self.rpc.batch > 0, "above zero")?;
        range("rpc.calls", self.rpc.calls > 0, "above zero")?;
        range("rpc.requests", self.rpc.requests > 0, "above zero")?;
        self.urls()?;
        self.l1.check()?;
        self.engine_kind()?;
        Ok(())
    }

    /// Refuses to offer less than what a byte costs at least on the network, in wei: nothing would
    /// ever be ordered.
    pub fn check_offer(&self, least_price: Wei) -> Result<(), ConfigError> {
        let most = self.gateway.max_fee_per_byte;
        if most >= least_price {
            return Ok(());
        }
        let why = format!("{most} wei, but on this network a byte costs at least {least_price}");
        Err(ConfigError::Value { key: "gateway.max_fee_per_byte", why })
    }

    /// The endpoints.
    pub fn urls(&self) -> Result<Vec<Url>, ConfigError> {
        self.weft.endpoints.iter().map(|url| http_url("weft.endpoints", url)).collect()
    }

    /// What executes.
    pub fn engine_kind(&self) -> Result<EngineKind, ConfigError> {
        match self.engine.kind.strip_prefix("external:") {
            Some(url) => Ok(EngineKind::External(http_url("engine.kind", url)?)),
            None if self.engine.kind == "revm" => Ok(EngineKind::Revm),
            None => Err(ConfigError::Value {
                key: "engine.kind",
                why: "expected revm or external:URL".to_owned(),
            }),
        }
    }

    /// How endpoints are used.
    pub fn source(&self) -> SourceConfig {
        SourceConfig {
            stall_after: Duration::from_millis(self.weft.stall_ms),
            poll_interval: Duration::from_millis(self.weft.poll_ms),
        }
    }

    /// How the gateway works.
    pub fn gateway(&self) -> GatewayConfig {
        let section = &self.gateway;
        GatewayConfig {
            linger: Duration::from_millis(section.linger_ms),
            max_items: section.max_items,
            max_live: section.max_live,
            validity: Duration::from_millis(section.validity_ms),
            fee_headroom: section.fee_headroom,
            max_fee_per_byte: section.max_fee_per_byte,
            max_attempts: section.max_attempts,
            gap_timeout: Duration::from_secs(section.gap_timeout_s),
            limits: Limits {
                account_items: section.account_items,
                nonces_ahead: section.nonces_ahead,
                items: section.items,
                bytes: section.bytes,
            },
        }
    }

    /// What clients of the RPC may ask for.
    pub fn rpc_limits(&self) -> RpcLimits {
        let section = &self.rpc;
        RpcLimits {
            request_bytes: section.request_bytes,
            batch: section.batch,
            log_blocks: section.log_blocks,
            logs: section.logs,
            call_gas: section.call_gas,
            calls: section.calls,
            requests: section.requests,
            sockets: section.sockets,
        }
    }
}

fn http_url(key: &'static str, text: &str) -> Result<Url, ConfigError> {
    let wrong = |why: String| ConfigError::Value { key, why };
    let url: Url = text.parse().map_err(|error| wrong(format!("{text}: {error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(wrong(format!("{text}: expected http:// or https://"))),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let figment = Figment::new().merge(Toml::string(text));
        let config: Config = figment.extract().map_err(|e| ConfigError::Figment(Box::new(e)))?;
        config.check()?;
        Ok(config)
    }

    const LEAST: &str = "[weft]\nendpoints = [\"http://127.0.0.1:1\"]\nnamespace = 7\n";

    #[test]
    fn least_configuration_is_enough_and_mistakes_are_named() {
        let config = load(LEAST).unwrap();
        assert_eq!(config.engine_kind().unwrap(), EngineKind::Revm);
        for (more, word) in [
            ("stal_ms = 5\n", "stal_ms"),
            ("[engine]\nkind = \"geth\"\n", "engine.kind"),
            ("[engine]\nkind = \"external:ftp://x\"\n", "engine.kind"),
            ("[gateway]\nmax_items = 0\n", "gateway.max_items"),
            ("[gatway]\n", "gatway"),
        ] {
            let error = load(&format!("{LEAST}{more}")).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn an_offer_that_nobody_takes_is_refused() {
        let config = load(&format!("{LEAST}[gateway]\nmax_fee_per_byte = \"15\"\n")).unwrap();
        assert!(config.check_offer(15).is_ok());
        let error = config.check_offer(16).unwrap_err().to_string();
        assert!(error.contains("gateway.max_fee_per_byte"), "{error}");
    }

    #[test]
    fn a_written_configuration_comes_back() {
        let mut config = Config::default();
        config.weft.endpoints = vec!["http://127.0.0.1:1".to_owned()];
        config.weft.namespace = 7;
        let text = crate::home::template(&config);
        assert_eq!(load(&text).unwrap(), config);
    }
}
