//! Homes of nodes and rollups, as their own `init` makes them, with what a devnet sets.

use std::path::PathBuf;

use eyre::{WrapErr, eyre};
use serde_json::json;
use weft_node::home::{Home, NetworkFile, write_secret};
use weft_node::keystore;
use weft_rollup_adapter::home as rollup_home;

use super::{
    EXECUTOR_KEY, GAS_LIMIT, GAS_PRICE, L1_INTERVAL, L1_TIMEOUT, PASSWORD, Plan, PlannedNode,
    PlannedProvider, PlannedRollup, RICH, RollupKind, network_key,
};

impl Plan {
    /// Makes every home. Homes that exist are kept, with what they hold.
    pub fn write_homes(&self) -> eyre::Result<()> {
        for node in self.nodes() {
            self.write_home(node)
                .wrap_err_with(|| format!("cannot make a home for {}", node.name))?;
        }
        for rollup in &self.rollups {
            self.write_rollup_home(rollup)
                .wrap_err_with(|| format!("cannot make a home for {}", rollup.name))?;
        }
        Ok(())
    }

    /// The genesis file of the network, which every home has a copy of.
    pub fn genesis_file(&self) -> Option<PathBuf> {
        self.validators.first().map(|node| Home::new(&node.home).genesis_file())
    }

    fn write_rollup_home(&self, rollup: &PlannedRollup) -> eyre::Result<()> {
        let home = rollup_home::Home::new(rollup.home.clone());
        if home.config_file().exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&rollup.home)?;
        let evm_genesis = self.options.dir.join(format!("{}.genesis.json", rollup.name));
        std::fs::write(&evm_genesis, serde_json::to_string_pretty(&self.evm_genesis(rollup))?)?;
        let gateway_key = self.options.dir.join(format!("{}.gateway.key", rollup.name));
        if !gateway_key.exists() {
            write_secret(&gateway_key, &hex::encode(rollup.gateway.to_bytes()))?;
        }
        let mut config = weft_rollup_adapter::config::Config::default();
        config.weft.namespace = rollup.namespace;
        // Each rollup prefers another validator.
        let count = self.validators.len();
        let first = usize::try_from(rollup.namespace).unwrap_or(0) % count.max(1);
        let validators = (0..count).map(|i| &self.validators[(first + i) % count]);
        let nodes =
            validators.chain(self.full_nodes.iter().filter(|_| !self.options.late_full_nodes));
        config.weft.endpoints = nodes.map(|node| format!("http://{}", node.api)).collect();
        if let Some(l1) = &self.l1 {
            config.l1.providers = l1.shared().map(PlannedProvider::node_url).collect();
            (config.l1.interval, config.l1.timeout) = (L1_INTERVAL, L1_TIMEOUT);
        }
        config.engine.kind = match rollup.kind {
            RollupKind::Revm => "revm".to_owned(),
            RollupKind::External => format!("external:http://{}", rollup.engine),
        };
        let executor_key = PathBuf::from(EXECUTOR_KEY);
        let secret = hex::encode(rollup.executor.to_bytes());
        write_secret(&rollup.home.join(&executor_key), &secret)?;
        config.executor.key_file = Some(executor_key);
        config.rpc.listen = rollup.rpc;
        config.metrics.listen = Some(rollup.metrics);
        let weft_genesis = self.genesis_file().ok_or_else(|| eyre!("no validators"))?;
        let new = rollup_home::NewHome {
            weft_genesis,
            evm_genesis,
            config,
            gateway_key: Some(gateway_key),
        };
        new.make(&home)?;
        Ok(())
    }

    fn evm_genesis(&self, rollup: &PlannedRollup) -> serde_json::Value {
        let balance = format!("{RICH:#x}");
        let alloc: serde_json::Map<_, _> = self
            .accounts
            .iter()
            .chain(&self.load_accounts)
            .map(|key| (key.address().to_string(), json!({ "balance": balance })))
            .collect();
        json!({
            "config": { "chainId": rollup.namespace },
            "timestamp": format!("{:#x}", self.genesis.time_ms / 1000),
            "gasLimit": format!("{GAS_LIMIT:#x}"),
            "baseFeePerGas": format!("{GAS_PRICE:#x}"),
            "alloc": alloc,
        })
    }

    fn write_home(&self, node: &PlannedNode) -> eyre::Result<()> {
        std::fs::create_dir_all(node.home.join("keys"))?;
        let network_key_file = node.home.join("keys/network.key");
        if !network_key_file.exists() {
            let secret = network_key(&node.name).try_into_ed25519()?.secret();
            write_secret(&network_key_file, &hex::encode(secret.as_ref()))?;
        }
        let peers = self
            .validators
            .iter()
            .filter(|validator| validator.name != node.name)
            .map(Self::address_of)
            .collect();
        let home = Home::new(&node.home);
        home.init(&NetworkFile { genesis: self.genesis.clone(), peers })?;
        let mut config = std::fs::read_to_string(home.config())?;
        for (from, to) in [
            (
                "listen = \"/ip4/0.0.0.0/tcp/26700\"".to_owned(),
                format!("listen = \"/ip4/{}/tcp/{}\"", node.listen.ip(), node.listen.port()),
            ),
            ("listen = \"127.0.0.1:26701\"".to_owned(), format!("listen = \"{}\"", node.api)),
            ("# listen = \"127.0.0.1:26702\"".to_owned(), format!("listen = \"{}\"", node.metrics)),
            (
                "# password_file = \"keys/password\"".to_owned(),
                "password_file = \"keys/password\"".to_owned(),
            ),
        ] {
            config = config.replacen(&from, &to, 1);
        }
        for line in self.options.config.lines().filter(|line| !line.trim().is_empty()) {
            let name = line.split('=').next().unwrap_or_default().trim();
            let old = config
                .lines()
                .find(|old| old.split('=').next().unwrap_or_default().trim() == name)
                .map(str::to_owned)
                .ok_or_else(|| eyre!("no line of the configuration sets {name}"))?;
            config = config.replacen(&old, line.trim(), 1);
        }
        if let Some(l1) = &self.l1 {
            let own = self.validators.iter().position(|validator| validator.name == node.name);
            let urls: Vec<String> = l1
                .of_validator(own.unwrap_or(0))
                .map(|provider| format!("\"{}\"", provider.node_url()))
                .collect();
            let slow = "interval = \"4s\"\ntimeout = \"4s\"";
            let quick = format!("interval = \"{L1_INTERVAL:?}\"\ntimeout = \"{L1_TIMEOUT:?}\"");
            config = config
                .replacen("providers = []", &format!("providers = [{}]", urls.join(", ")), 1)
                .replacen(slow, &quick, 1);
        }
        std::fs::write(home.config(), config)?;
        if let Some(key) = &node.key {
            let password = node.home.join("keys/password");
            if !password.exists() {
                write_secret(&password, PASSWORD)?;
            }
            let keystore = node.home.join("keys/validator.json");
            if !keystore.exists() {
                keystore::write(&keystore, key, PASSWORD)?;
            }
        }
        Ok(())
    }
}
