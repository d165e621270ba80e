//! The home of a rollup: what lies where, and making one.

use std::io::Write;
use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use weft_l1::provider::Finality;
use weft_types::{Genesis, SecretKey};

use crate::config::{Config, ConfigError, EngineKind, FILE};
use crate::evm::genesis::EvmGenesis;
use crate::evm::spec::Leaves;
use crate::random;

/// A rollup's home directory.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// Why a home cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// There is a home already.
    #[error("{0} exists: this home is initialised already")]
    Exists(PathBuf),
    /// The network's genesis file is no good.
    #[error("{path}: {why}")]
    Genesis {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The namespace is not the rollup's chain id.
    #[error(
        "namespace {namespace} is not the EVM chain id {chain_id} of the rollup's genesis file"
    )]
    Namespace {
        /// The namespace configured.
        namespace: u64,
        /// The chain id.
        chain_id: u64,
    },
    /// The genesis asks for a trie that an external engine does not make.
    #[error(
        "the rollup's genesis file says stateLeaves = \"ethereum\", but an external engine always \
         has \"visited\": leave stateLeaves out, or use engine revm"
    )]
    Leaves,
    /// Others may read the key.
    #[error("{0} may be read by others than its owner: set its mode to 0600")]
    KeyMode(PathBuf),
    /// Nobody to hear of a fallback from.
    #[error(
        "this network has contracts on Ethereum, by which a rollup may have to go on without it: \
         name Ethereum providers in l1.providers (--l1 of init)"
    )]
    NoProviders,
    /// The key is no key.
    #[error("{0} holds no secp256k1 key: expected 32 bytes as 0x-hex")]
    Key(PathBuf),
    /// The operating system has no randomness to give.
    #[error("no randomness for a new key")]
    Random,
    /// The configuration is no good.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> HomeError {
    let path = path.to_owned();
    move |error| HomeError::File { path, error }
}

impl Home {
    /// A home at a path.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// A path inside it, or an absolute one as it is.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// Where databases lie; made if it is not there.
    pub fn data(&self, name: &str) -> Result<PathBuf, HomeError> {
        let data = self.0.join("data");
        std::fs::create_dir_all(&data).map_err(file(&data))?;
        Ok(data.join(name))
    }

    /// The network's genesis.
    pub fn weft_genesis(&self, config: &Config) -> Result<Genesis, HomeError> {
        read_weft_genesis(&self.path(&config.weft.genesis), config)
    }

    /// The rollup's genesis, which has to be that of the namespace, and one that the engine can
    /// follow.
    pub fn evm_genesis(&self, config: &Config) -> Result<EvmGenesis, HomeError> {
        let genesis = read_evm_genesis(&self.path(&config.engine.genesis))?;
        check_namespace(config.weft.namespace, &genesis)?;
        check_leaves(&config.engine_kind()?, &genesis)?;
        Ok(genesis)
    }

    /// The gateway's key.
    pub fn gateway_key(&self, config: &Config) -> Result<SecretKey, HomeError> {
        self.key(&config.gateway.key_file)
    }

    /// The executor's key, if there is to be one.
    pub fn executor_key(&self, config: &Config) -> Result<Option<SecretKey>, HomeError> {
        config.executor.key_file.as_deref().map(|file| self.key(file)).transpose()
    }

    fn key(&self, path: &Path) -> Result<SecretKey, HomeError> {
        let path = self.path(path);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).map_err(file(&path))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(HomeError::KeyMode(path));
            }
        }
        let text = std::fs::read_to_string(&path).map_err(file(&path))?;
        let bytes: Option<[u8; 32]> = hex::decode_to_array(text.trim()).ok();
        bytes.and_then(SecretKey::from_bytes).ok_or(HomeError::Key(path))
    }
}

/// What a new home is made from.
#[derive(Clone, Debug)]
pub struct NewHome {
    /// The network's genesis file.
    pub weft_genesis: PathBuf,
    /// The rollup's genesis file.
    pub evm_genesis: PathBuf,
    /// What is configured.
    pub config: Config,
    /// A file with the gateway's key; a new key is made without it.
    pub gateway_key: Option<PathBuf>,
}

impl NewHome {
    /// Makes the home. The configuration file comes last: a home that has one is whole.
    pub fn make(&self, home: &Home) -> Result<SecretKey, HomeError> {
        let config_file = home.config_file();
        if config_file.exists() {
            return Err(HomeError::Exists(config_file));
        }
        read_weft_genesis(&self.weft_genesis, &self.config)?;
        let evm = read_evm_genesis(&self.evm_genesis)?;
        check_namespace(self.config.weft.namespace, &evm)?;
        check_leaves(&self.config.engine_kind()?, &evm)?;
        let key = match &self.gateway_key {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(file(path))?;
                let bytes: Option<[u8; 32]> = hex::decode_to_array(text.trim()).ok();
                bytes.and_then(SecretKey::from_bytes).ok_or_else(|| HomeError::Key(path.clone()))?
            }
            None => random::key().ok_or(HomeError::Random)?,
        };
        std::fs::create_dir_all(&home.0).map_err(file(&home.0))?;
        for (from, to) in [
            (&self.weft_genesis, &self.config.weft.genesis),
            (&self.evm_genesis, &self.config.engine.genesis),
        ] {
            let to = home.path(to);
            std::fs::copy(from, &to).map_err(file(&to))?;
        }
        let key_file = home.path(&self.config.gateway.key_file);
        if !key_file.exists() {
            write_secret(&key_file, &hex::encode_prefixed(key.to_bytes()))?;
        }
        let text = template(&self.config);
        std::fs::write(&config_file, text).map_err(file(&config_file))?;
        Ok(key)
    }
}

fn write_secret(path: &Path, text: &str) -> Result<(), HomeError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(path).map_err(file(path))?;
    writeln!(out, "{text}").map_err(file(path))
}

/// The network's genesis, which has to be one that can be followed as configured.
fn read_weft_genesis(path: &Path, config: &Config) -> Result<Genesis, HomeError> {
    let wrong = |why: String| HomeError::Genesis { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(file(path))?;
    let genesis: Genesis = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    genesis.check().map_err(|e| wrong(e.to_string()))?;
    if genesis.l1.is_some() && config.l1.providers.is_empty() {
        return Err(HomeError::NoProviders);
    }
    Ok(genesis)
}

fn read_evm_genesis(path: &Path) -> Result<EvmGenesis, HomeError> {
    let text = std::fs::read_to_string(path).map_err(file(path))?;
    EvmGenesis::from_json(&text)
        .map_err(|e| HomeError::Genesis { path: path.to_owned(), why: e.to_string() })
}

fn check_namespace(namespace: u64, genesis: &EvmGenesis) -> Result<(), HomeError> {
    let chain_id = genesis.spec.chain_id;
    if namespace == chain_id {
        return Ok(());
    }
    Err(HomeError::Namespace { namespace, chain_id })
}

/// What the trie has leaves for is part of every block hash, and an external engine's own affair.
fn check_leaves(engine: &EngineKind, genesis: &EvmGenesis) -> Result<(), HomeError> {
    match (engine, genesis.spec.leaves) {
        (EngineKind::External(_), Leaves::Ethereum) => Err(HomeError::Leaves),
        _ => Ok(()),
    }
}

/// A commented configuration file.
pub fn template(config: &Config) -> String {
    let Config { weft, l1, engine, gateway, executor, rpc, metrics, log } = config;
    let executor_key = match &executor.key_file {
        Some(file) => format!("key_file = {file:?}"),
        None => "# key_file = \"executor.key\"".to_owned(),
    };
    let list = |urls: &[String]| {
        urls.iter().map(|url| format!("{url:?}")).collect::<Vec<String>>().join(", ")
    };
    let quorum = match l1.quorum {
        Some(quorum) => format!("quorum = {quorum}"),
        None => "# quorum = 2".to_owned(),
    };
    let finality = match l1.finality {
        Finality::Finalized => "\"finalized\"".to_owned(),
        Finality::Safe => "\"safe\"".to_owned(),
        Finality::Depth(blocks) => blocks.to_string(),
    };
    let metrics = match metrics.listen {
        Some(listen) => format!("listen = \"{listen}\""),
        None => "# listen = \"127.0.0.1:9545\"".to_owned(),
    };
    format!(
        r#"# weft-rollup. Every key may be set by WEFT_ROLLUP__SECTION__KEY as well; flags come last.
# Paths are relative to this directory. Unknown keys are errors.

[weft]
genesis = {genesis:?}
# Weft nodes, the preferred one first. None of them is trusted: whoever serves a proof that does
# not hold is not asked again.
endpoints = [{endpoints}]
# The rollup's namespace, which is its EVM chain id.
namespace = {namespace}
# How long to wait for a slice before looking whether another endpoint has it.
stall_ms = {stall_ms}
# How often an endpoint without a stream is asked.
poll_ms = {poll_ms}

[l1]
# Ethereum providers, JSON-RPC over http(s) or ws(s), each run by somebody else if it can be: they
# tell of a fallback, what is forced in it, and what is settled. Needed if the network has contracts.
providers = [{providers}]
# How many have to say the same of a block; more than half by default.
{quorum}
# Which blocks count as final: "finalized", "safe", or a number of blocks above. All nodes of a rollup
# come to the same state whatever they say here, unless Ethereum takes back what counted as final.
finality = {finality}
# How often each is asked, and how long it may take.
interval = "{interval:?}"
timeout = "{timeout:?}"
# A provider more than this many blocks behind the furthest lags.
max_lag = {max_lag}
# Largest answer that is read, in bytes.
max_answer = {max_answer}

[engine]
# "revm", or "external:http://host:port" for an engine that `weft-rollup anvil-args` starts.
kind = {kind:?}
genesis = {evm_genesis:?}

[gateway]
# The key that pays for Weft transactions: 32 bytes as 0x-hex, mode 0600.
key_file = {key_file:?}
# How long the first transaction waits for others to share a Weft transaction, and how many may.
linger_ms = {linger_ms}
max_items = {max_items}
# Weft transactions that are live at a time.
max_live = {max_live}
# How far ahead of Weft time valid_until lies.
validity_ms = {validity_ms}
# How many times the price of the moment is offered, twice as much after each Weft transaction that
# came to nothing, and the most per byte in wei. What is charged is the ledger's price.
fee_headroom = {fee_headroom}
max_fee_per_byte = "{max_fee_per_byte}"
# Weft transactions that may carry a transaction before it is given up.
max_attempts = {max_attempts}
# How long a transaction waits for the one with the nonce before.
gap_timeout_s = {gap_timeout_s}
# What is held: per account, how far ahead a nonce may lie, and in all.
account_items = {account_items}
nonces_ahead = {nonces_ahead}
items = {items}
bytes = {bytes}

[executor]
# The key that signs verdicts on legs of atomic bundles and pays for them: 32 bytes as 0x-hex, mode
# 0600. Without it no verdicts are given.
{executor_key}
# The most that a verdict pays for being ordered, in wei.
max_fee = "{executor_max_fee}"

[rpc]
listen = "{listen}"
request_bytes = {request_bytes}
batch = {batch}
# eth_getLogs: blocks looked through at once, logs in an answer.
log_blocks = {log_blocks}
logs = {logs}
# eth_call: gas, and how many execute at a time.
call_gas = {call_gas}
calls = {calls}
requests = {requests}
sockets = {sockets}

[metrics]
# Where Prometheus finds /metrics; nowhere without it.
{metrics}

[log]
filter = {filter:?}
"#,
        executor_max_fee = executor.max_fee,
        genesis = weft.genesis,
        endpoints = list(&weft.endpoints),
        namespace = weft.namespace,
        stall_ms = weft.stall_ms,
        poll_ms = weft.poll_ms,
        providers = list(&l1.providers),
        interval = l1.interval,
        timeout = l1.timeout,
        max_lag = l1.max_lag,
        max_answer = l1.max_answer,
        kind = engine.kind,
        evm_genesis = engine.genesis,
        key_file = gateway.key_file,
        linger_ms = gateway.linger_ms,
        max_items = gateway.max_items,
        max_live = gateway.max_live,
        validity_ms = gateway.validity_ms,
        fee_headroom = gateway.fee_headroom,
        max_fee_per_byte = gateway.max_fee_per_byte,
        max_attempts = gateway.max_attempts,
        gap_timeout_s = gateway.gap_timeout_s,
        account_items = gateway.account_items,
        nonces_ahead = gateway.nonces_ahead,
        items = gateway.items,
        bytes = gateway.bytes,
        listen = rpc.listen,
        request_bytes = rpc.request_bytes,
        batch = rpc.batch,
        log_blocks = rpc.log_blocks,
        logs = rpc.logs,
        call_gas = rpc.call_gas,
        calls = rpc.calls,
        requests = rpc.requests,
        sockets = rpc.sockets,
        filter = log.filter,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_that_the_engine_does_not_make_are_refused() {
        let genesis = |leaves: &str| {
            let weft = format!(r#"{{"stateLeaves":"{leaves}"}}"#);
            let json = format!(r#"{{"config":{{"chainId":7}},"alloc":{{}},"weft":{weft}}}"#);
            EvmGenesis::from_json(&json).unwrap()
        };
        let external = EngineKind::External("http://127.0.0.1:1".parse().unwrap());
        for (engine, leaves, fine) in [
            (&EngineKind::Revm, "visited", true),
            (&EngineKind::Revm, "ethereum", true),
            (&external, "visited", true),
            (&external, "ethereum", false),
        ] {
            assert_eq!(check_leaves(engine, &genesis(leaves)).is_ok(), fine, "{engine:?} {leaves}");
        }
    }
}
