//! What a devnet consists of: keys, ports, homes, genesis. All of it follows from the options, so
//! that two devnets with the same options are the same network.

mod genesis;
mod homes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyre::{WrapErr, ensure, eyre};
use libp2p::identity;
use weft_types::hash::blake3;
use weft_types::{AuctionSettings, Genesis, Params, SecretKey, Wei};

use crate::conduct::As;
use crate::l1::{ETHER, Terms};
use genesis::{executors, genesis};

/// The devnet's chain id.
pub const CHAIN_ID: u64 = 7357;

/// The password of every keystore in a devnet. Nothing here is secret.
const PASSWORD: &str = "devnet";

/// What each account of a devnet starts with: a million ether.
const RICH: Wei = 1_000_000 * 1_000_000_000_000_000_000;

/// Accounts that are given out for use.
const ACCOUNTS: usize = 16;

/// Ports per node, from its first one on.
const PORTS_PER_NODE: u16 = 3;

/// Where full nodes' ports start, from the base.
const FULL_NODE_PORTS: u16 = 30;

/// Where rollups' ports start, from the base.
const ROLLUP_PORTS: u16 = 60;

/// Where the ports of the chain and its providers start, from the base.
const L1_PORTS: u16 = 90;

/// Most providers whose ports come after the chain's. More take the last ones of full nodes.
const PROVIDERS: u16 = 9;

/// Ports per rollup: wallets' RPC, metrics, an external engine's RPC.
const PORTS_PER_ROLLUP: u16 = 3;

/// Price of a rollup's gas, in wei: 1 gwei.
const GAS_PRICE: u64 = 1_000_000_000;

/// The file in a rollup's home that has its executor's key.
pub const EXECUTOR_KEY: &str = "executor.key";

/// How often providers are asked, and how long they may take: the chain has a block per second.
const L1_INTERVAL: Duration = Duration::from_millis(500);
const L1_TIMEOUT: Duration = Duration::from_secs(2);

/// Gas of a rollup's block.
const GAS_LIMIT: u64 = 60_000_000;

/// What to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub dir: PathBuf,
    /// The first of a hundred ports.
    pub base_port: u16,
    /// How many validators.
    pub validators: usize,
    /// How many full nodes besides.
    pub full_nodes: usize,
    /// How many of the full nodes' kind have a validator key without a seat: they can join.
    pub joiners: usize,
    /// Namespaces that exist from the start, besides those of rollups.
    pub namespaces: Vec<u64>,
    /// Rollups: their namespaces, which are their EVM chain ids, and what executes them. One may be
    /// there several times: as several nodes of the rollup.
    pub rollups: Vec<(u64, RollupKind)>,
    /// More accounts with money, for load.
    pub load_accounts: usize,
    /// Whether full nodes are started by hand, later.
    pub late_full_nodes: bool,
    /// Validators that run as `weft-conduct`, which records what is signed, and how they conduct
    /// themselves.
    pub conduct: Vec<(usize, As)>,
    /// The network's parameters.
    pub params: Params,
    /// The auction of every namespace's slices, if there is one.
    pub auction: Option<AuctionSettings>,
    /// How rollups take part in atomic bundles, if they do. It needs an auction.
    pub atomic: Option<AtomicTerms>,
    /// Lines for every node's `config.toml`, by section.
    pub config: String,
    /// Ethereum, if there is to be one.
    pub l1: Option<Terms>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("target/devnet"),
            base_port: 26700,
            validators: 4,
            full_nodes: 0,
            joiners: 0,
            namespaces: vec![1, 2, 3],
            rollups: Vec::new(),
            load_accounts: 256,
            late_full_nodes: false,
            conduct: Vec::new(),
            params: Params::default(),
            auction: None,
            atomic: None,
            config: String::new(),
            l1: None,
        }
    }
}

/// How rollups take part in atomic bundles. Every node of a rollup gives verdicts; more than half of a
/// rollup's executors have to agree.
#[derive(Clone, Copy, Debug)]
pub struct AtomicTerms {
    /// Executors of each rollup that no node of it is.
    pub outsiders: usize,
    /// The collateral that each executor puts up, in wei.
    pub bond: Wei,
    /// What holding a rollup costs per height beyond its reserve, in wei.
    pub hold_fee: Wei,
}

impl Default for AtomicTerms {
    fn default() -> Self {
        Self { outsiders: 0, bond: 10 * ETHER, hold_fee: ETHER / 10_000 }
    }
}

/// Ethereum as planned.
#[derive(Clone, Debug)]
pub struct PlannedL1 {
    /// Where everything of it is kept.
    pub dir: PathBuf,
    /// Where the chain listens.
    pub anvil: SocketAddr,
    /// Providers: all that nodes ask.
    pub providers: Vec<PlannedProvider>,
    /// How it is.
    pub terms: Terms,
}

impl PlannedL1 {
    /// The providers of a validator.
    pub fn of_validator(&self, validator: usize) -> impl Iterator<Item = &PlannedProvider> {
        self.providers.iter().filter(move |p| p.validator.is_none_or(|own| own == validator))
    }

    /// Those of the first validator, which others use as well.
    pub fn shared(&self) -> impl Iterator<Item = &PlannedProvider> {
        self.of_validator(0)
    }
}

/// A provider of Ethereum that is planned.
#[derive(Clone, Debug)]
pub struct PlannedProvider {
    /// Its name, such as `l1-provider-0`.
    pub name: String,
    /// Where it answers.
    pub listen: SocketAddr,
    /// The file that says what it does wrong.
    pub fault: PathBuf,
    /// The validator that it is for; all without one.
    pub validator: Option<usize>,
    /// Whether nodes speak WebSocket with it.
    pub websocket: bool,
}

impl PlannedProvider {
    /// As wallets and scripts reach it.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// As nodes reach it.
    pub fn node_url(&self) -> String {
        format!("{}://{}", if self.websocket { "ws" } else { "http" }, self.listen)
    }
}

/// A node that is planned.
#[derive(Clone, Debug)]
pub struct PlannedNode {
    /// Its name, such as `validator-0`.
    pub name: String,
    /// Its home.
    pub home: PathBuf,
    /// Its validator key, if it is one.
    pub key: Option<SecretKey>,
    /// Where it listens for peers.
    pub listen: SocketAddr,
    /// Its API.
    pub api: SocketAddr,
    /// Its metrics.
    pub metrics: SocketAddr,
    /// Its peer id.
    pub peer_id: libp2p::PeerId,
    /// How it conducts itself, if it runs as `weft-conduct`.
    pub conduct: Option<As>,
}

impl PlannedNode {
    /// What `weft-conduct` records.
    pub fn record(&self) -> PathBuf {
        self.home.join("record.jsonl")
    }
}

/// What executes a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollupKind {
    /// The embedded engine.
    Revm,
    /// An anvil beside it, driven over its RPC.
    External,
}

impl RollupKind {
    /// As `network.json` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revm => "revm",
            Self::External => "external",
        }
    }
}

/// A rollup that is planned.
#[derive(Clone, Debug)]
pub struct PlannedRollup {
    /// Its name, such as `rollup-7001`.
    pub name: String,
    /// Its namespace and EVM chain id.
    pub namespace: u64,
    /// What executes it.
    pub kind: RollupKind,
    /// Its home.
    pub home: PathBuf,
    /// Its wallets' RPC.
    pub rpc: SocketAddr,
    /// Its metrics.
    pub metrics: SocketAddr,
    /// Where an external engine listens.
    pub engine: SocketAddr,
    /// What its gateway pays with.
    pub gateway: SecretKey,
    /// What it signs verdicts with.
    pub executor: SecretKey,
}

/// A network that is planned.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub options: Options,
    /// What the network starts from.
    pub genesis: Genesis,
    /// Validators, ascending by address.
    pub validators: Vec<PlannedNode>,
    /// Full nodes, and those that can join.
    pub full_nodes: Vec<PlannedNode>,
    /// Rollups.
    pub rollups: Vec<PlannedRollup>,
    /// Ethereum.
    pub l1: Option<PlannedL1>,
    /// Accounts with money, on Weft and on every rollup.
    pub accounts: Vec<SecretKey>,
    /// Accounts for load, with money as well.
    pub load_accounts: Vec<SecretKey>,
}

/// A key that follows from a word and a number.
pub fn key(word: &str, number: usize) -> SecretKey {
    let mut salt = 0u64;
    loop {
        let hash = blake3(&[
            b"weft devnet",
            word.as_bytes(),
            &(number as u64).to_be_bytes(),
            &salt.to_be_bytes(),
        ]);
        if let Some(key) = SecretKey::from_bytes(hash.0) {
            return key;
        }
        salt += 1;
    }
}

fn network_key(name: &str) -> identity::Keypair {
    let mut secret = blake3(&[b"weft devnet network key", name.as_bytes()]).0;
    identity::Keypair::ed25519_from_bytes(&mut secret).expect("any 32 bytes are an ed25519 key")
}

impl Plan {
    /// Plans a network.
    pub fn new(options: Options) -> eyre::Result<Self> {
        ensure!((1..=10).contains(&options.validators), "1 to 10 validators fit the ports");
        let besides = options.full_nodes + options.joiners;
        ensure!(besides <= 10, "at most 10 nodes besides validators fit the ports");
        ensure!(options.rollups.len() <= 10, "at most 10 rollups fit the ports");
        let port = |offset: u16| {
            options
                .base_port
                .checked_add(offset)
                .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
                .ok_or_else(|| eyre!("base port {} is too high", options.base_port))
        };
        let mut keys: Vec<SecretKey> =
            (0..options.validators).map(|i| key("validator", i)).collect();
        keys.sort_by_key(SecretKey::address);
        let node =
            |name: String, key: Option<SecretKey>, first: u16| -> eyre::Result<PlannedNode> {
                Ok(PlannedNode {
                    home: options.dir.join(&name),
                    key,
                    listen: port(first)?,
                    api: port(first + 1)?,
                    metrics: port(first + 2)?,
                    peer_id: network_key(&name).public().to_peer_id(),
                    conduct: None,
                    name,
                })
            };
        let mut validators = (0u16..)
            .zip(keys)
            .map(|(i, key)| node(format!("validator-{i}"), Some(key), i * PORTS_PER_NODE))
            .collect::<eyre::Result<Vec<_>>>()?;
        for (i, conduct) in &options.conduct {
            let node = validators.get_mut(*i).ok_or_else(|| eyre!("no validator {i}"))?;
            node.conduct = Some(*conduct);
        }
        let names = (0..options.full_nodes).map(|i| (format!("full-{i}"), None));
        let joiners = (0..options.joiners).map(|i| (format!("joiner-{i}"), Some(key("joiner", i))));
        let full_nodes = (0u16..)
            .zip(names.chain(joiners))
            .map(|(i, (name, key))| node(name, key, FULL_NODE_PORTS + i * PORTS_PER_NODE))
            .collect::<eyre::Result<Vec<_>>>()?;
        let accounts: Vec<SecretKey> = (0..ACCOUNTS).map(|i| key("account", i)).collect();
        let load_accounts: Vec<SecretKey> =
            (0..options.load_accounts).map(|i| key("load", i)).collect();
        let rollups = (0u16..)
            .zip(options.rollups.iter().copied())
            .map(|(i, (namespace, kind))| {
                let before = &options.rollups[..usize::from(i)];
                let name = match before.iter().filter(|(other, _)| *other == namespace).count() {
                    0 => format!("rollup-{namespace}"),
                    twins => format!("rollup-{namespace}-{}", twins + 1),
                };
                let first = ROLLUP_PORTS + i * PORTS_PER_ROLLUP;
                Ok(PlannedRollup {
                    home: options.dir.join(&name),
                    name,
                    namespace,
                    kind,
                    rpc: port(first)?,
                    metrics: port(first + 1)?,
                    engine: port(first + 2)?,
                    gateway: key("gateway", i.into()),
                    executor: key("executor", i.into()),
                })
            })
            .collect::<eyre::Result<Vec<_>>>()?;
        let gateways = rollups.iter().map(|rollup| &rollup.gateway);
        let executors = executors(&options, &rollups);
        let rich = accounts.iter().chain(&load_accounts).chain(gateways);
        let rich = rich.chain(executors.values().flatten());
        let genesis = genesis(&options, &validators, rich, &executors)?;
        let l1 = options.l1.map(|terms| plan_l1(&options, terms, port)).transpose()?;
        Ok(Self { options, genesis, validators, full_nodes, rollups, l1, accounts, load_accounts })
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = &PlannedNode> {
        self.validators.iter().chain(&self.full_nodes)
    }

    /// The keys of each rollup's executors: those of its nodes, then outsiders'.
    pub fn executors(&self) -> BTreeMap<u64, Vec<SecretKey>> {
        executors(&self.options, &self.rollups)
    }

    /// A peer's address, for others to dial.
    pub fn address_of(node: &PlannedNode) -> libp2p::Multiaddr {
        format!("/ip4/{}/tcp/{}/p2p/{}", node.listen.ip(), node.listen.port(), node.peer_id)
            .parse()
            .expect("a well-formed address")
    }
}

fn plan_l1(
    options: &Options,
    terms: Terms,
    port: impl Fn(u16) -> eyre::Result<SocketAddr>,
) -> eyre::Result<PlannedL1> {
    let dir = options.dir.join("l1");
    let owners: Vec<Option<usize>> = if terms.own_providers {
        (0..options.validators).flat_map(|i| vec![Some(i); terms.providers]).collect()
    } else {
        vec![None; terms.providers]
    };
    let last_of_full_nodes = ROLLUP_PORTS - 1;
    let room = PROVIDERS + last_of_full_nodes - FULL_NODE_PORTS;
    let besides = options.full_nodes + options.joiners;
    let most = if besides == 0 { room } else { PROVIDERS };
    ensure!(
        owners.len() <= most.into(),
        "{} providers and {besides} nodes besides validators do not fit the ports",
        owners.len()
    );
    let providers = (0u16..).zip(owners).map(|(i, validator)| {
        let offset =
            if i < PROVIDERS { L1_PORTS + 1 + i } else { last_of_full_nodes - (i - PROVIDERS) };
        Ok(PlannedProvider {
            name: format!("l1-provider-{i}"),
            listen: port(offset)?,
            fault: dir.join(format!("provider-{i}.fault.json")),
            validator,
            websocket: i % 3 == 2,
        })
    });
    let providers = providers.collect::<eyre::Result<Vec<_>>>()?;
    Ok(PlannedL1 { anvil: port(L1_PORTS)?, providers, terms, dir })
}

/// A directory for a devnet's data that is empty.
pub fn clear(dir: &Path) -> eyre::Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).wrap_err_with(|| format!("cannot clear {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir)?;
    Ok(())
}
