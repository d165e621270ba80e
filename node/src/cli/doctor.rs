//! `weft doctor`: checks a home, its keys, clock, disk, peers, store and Ethereum providers, and says
//! what to do.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eyre::ensure;
use libp2p::multiaddr::{Multiaddr, Protocol};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weft_l1::contracts::abi::LightClient;
use weft_l1::provider::{Finality, check_chain, final_block, hash_of};
use weft_l1::rpc;
use weft_l1::wallet::call;
use weft_types::{L1Contracts, L1Origin};

use super::client::Client;
use super::say;
use crate::config::Config;
use crate::home::Home;
use crate::p2p::peer_of;
use crate::store::{Opened, verify};

/// An fsync that takes longer than this will be felt in every height.
const SLOW_FSYNC: Duration = Duration::from_millis(10);

/// Less free space than this is little.
const LITTLE_SPACE: u64 = 5 * 1024 * 1024 * 1024;

/// A clock that is further off than this spoils observations.
const CLOCK_SKEW: Duration = Duration::from_millis(500);

enum Finding {
    Fine(String),
    Warning(String),
    Bad(String),
}

use Finding::{Bad, Fine, Warning};

pub(super) async fn run(home: &Home) -> eyre::Result<()> {
    let mut bad = 0;
    let mut report = |name: &str, finding: Finding| {
        let (mark, text) = match finding {
            Fine(text) => ("ok  ", text),
            Warning(text) => ("warn", text),
            Bad(text) => {
                bad += 1;
                ("BAD ", text)
            }
        };
        say(&format!("{mark}  {name:<10}{text}"));
    };
    let config = Config::load(&home.config(), &serde_json::json!({}));
    match &config {
        Ok(_) => report("config", Fine(home.config().display().to_string())),
        Err(error) => report("config", Bad(format!("{error:#}"))),
    }
    report("genesis", genesis(home));
    report("keys", keys(home, config.as_ref().ok()));
    report("disk", disk(home));
    report("store", store(home));
    if let Ok(config) = &config {
        report("node", node(config).await);
        report("clock", clock(config).await);
        for peer in &config.p2p.peers {
            report("peer", reach(peer).await);
        }
        if config.p2p.peers.is_empty() {
            report("peer", Warning("no peers are configured; set p2p.peers".to_owned()));
        }
        if let Some((chain_id, contracts)) = contracts_of(home) {
            for finding in l1(config, chain_id, &contracts).await {
                report("L1", finding);
            }
        }
    }
    ensure!(bad == 0, "{bad} things need mending");
    Ok(())
}

fn genesis(home: &Home) -> Finding {
    match home.genesis().and_then(|genesis| Ok((genesis.check()?, genesis))) {
        Ok((committee, genesis)) => {
            let id = genesis.header(&committee).id();
            Fine(format!(
                "chain {}, {} validators, {id}",
                genesis.chain_id,
                committee.members().len()
            ))
        }
        Err(error) => Bad(format!("{error:#}")),
    }
}

fn keys(home: &Home, config: Option<&Config>) -> Finding {
    if let Err(error) = home.network_key() {
        return Bad(format!("{error:#}"));
    }
    let Some(config) = config else { return Warning("not checked without a configuration".into()) };
    let path = home.resolve(&config.keys.validator);
    if !path.exists() {
        return Fine("no validator key: a full node".to_owned());
    }
    let unattended = config.keys.password_file.is_some()
        || std::env::var(crate::keystore::PASSWORD_VARIABLE).is_ok();
    if !unattended {
        return Warning(format!(
            "{} cannot be unlocked unattended; set keys.password_file",
            path.display()
        ));
    }
    let file = config.keys.password_file.as_ref().map(|file| home.resolve(file));
    let key = crate::keystore::password(file.as_deref(), "the keystore")
        .and_then(|password| crate::keystore::read(&path, &password));
    match key {
        Ok(key) => Fine(format!("validator {}", key.address())),
        Err(error) => Bad(format!("{error:#}")),
    }
}

fn disk(home: &Home) -> Finding {
    let probe = home.path().join("data/doctor.probe");
    let write = || -> std::io::Result<Duration> {
        std::fs::create_dir_all(home.path().join("data"))?;
        let mut file = std::fs::File::create(&probe)?;
        let mut slowest = Duration::ZERO;
        for _ in 0..8 {
            file.write_all(&[0; 4096])?;
            let started = Instant::now();
            file.sync_data()?;
            slowest = slowest.max(started.elapsed());
        }
        std::fs::remove_file(&probe)?;
        Ok(slowest)
    };
    let slowest = match write() {
        Ok(slowest) => slowest,
        Err(error) => return Bad(format!("cannot write to {}: {error}", home.path().display())),
    };
    let free = rustix::fs::statvfs(home.path()).map_or(u64::MAX, |s| s.f_bavail * s.f_frsize);
    let text = format!("fsync {slowest:?} at worst, {} GiB free", free / (1 << 30));
    if free < LITTLE_SPACE {
        Bad(format!("{text}: too little space"))
    } else if slowest > SLOW_FSYNC {
        Warning(format!("{text}: slow for a validator, each height waits for several"))
    } else {
        Fine(text)
    }
}

fn store(home: &Home) -> Finding {
    if !home.log().exists() {
        return Fine("no block log yet".to_owned());
    }
    let check = || -> eyre::Result<Option<Opened>> {
        let Ok(_lock) = home.lock() else { return Ok(None) };
        let genesis = home.genesis()?;
        let id = genesis.header(&genesis.check()?).id();
        Ok(Some(verify(&home.log(), id, |_, _| {})?))
    };
    match check() {
        Ok(Some(Opened { tip, torn_bytes: 0, .. })) => {
            Fine(format!("the block log is intact up to height {tip}"))
        }
        Ok(Some(Opened { tip, torn_bytes, .. })) => Warning(format!(
            "the block log is intact up to height {tip}; behind that is a torn tail of \
             {torn_bytes} bytes, which the next start cuts off"
        )),
        Ok(None) => Fine("in use by a running node; stop it to check the block log".to_owned()),
        Err(error) => Bad(format!("{error:#}")),
    }
}

async fn node(config: &Config) -> Finding {
    let api = format!("http://{}", config.api.listen);
    let status = match Client::new(&api) {
        Ok(client) => client.get("/status").await,
        Err(error) => Err(error),
    };
    match status {
        Ok(status) => match status["reason"].as_str() {
            Some(reason) => Bad(format!("runs and is not ready: {reason}")),
            None => Fine(format!("runs, height {}", status["height"].as_str().unwrap_or("?"))),
        },
        Err(_) => Warning(format!("does not run, or not on {api}")),
    }
}

/// Compares the clock with block time, which is the median of the validators' clocks.
async fn clock(config: &Config) -> Finding {
    let api = format!("http://{}", config.api.listen);
    let Ok(client) = Client::new(&api) else { return Warning("not checked".to_owned()) };
    let Ok(status) = client.status().await else {
        return Warning("not checked: needs a running node".to_owned());
    };
    let block = Duration::from_millis(status.time_ms.parse().unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if block > now + CLOCK_SKEW {
        Bad(format!("{:?} behind the network; synchronise it", block - now))
    } else if now > block + config.consensus.heartbeat * 2 + CLOCK_SKEW {
        Warning(format!("the last block is {:?} old: a fast clock, or no blocks", now - block))
    } else {
        Fine("in step with block time".to_owned())
    }
}

fn contracts_of(home: &Home) -> Option<(u64, L1Contracts)> {
    let genesis = home.genesis().ok()?;
    Some((genesis.chain_id, genesis.l1?))
}

/// Asks every provider, and compares what they say of a block that is final to all of them.
async fn l1(config: &Config, chain_id: u64, contracts: &L1Contracts) -> Vec<Finding> {
    let Ok(clients) = config.l1.clients() else { return Vec::new() };
    if clients.is_empty() {
        return vec![Warning(
            "no provider is configured: a validator says nothing of Ethereum; set l1.providers"
                .to_owned(),
        )];
    }
    let finality = config.l1.finality;
    let mut findings = Vec::new();
    let mut finals = Vec::new();
    for client in &clients {
        match ask_provider(client, finality, chain_id, contracts).await {
            Ok(block) => finals.push((client, block)),
            Err(what) => findings.push(Bad(format!("{} {what}", client.name()))),
        }
    }
    let common = finals.iter().map(|(_, block)| block.number).min().unwrap_or(0);
    let mut hashes = Vec::new();
    for (client, block) in finals {
        match hash_of(client, common).await {
            Ok(hash) => hashes.push((client, block, hash)),
            Err(error) => findings.push(Bad(format!("{} {error}", client.name()))),
        }
    }
    let agreeing = |hash| hashes.iter().filter(|(_, _, other)| *other == hash).count();
    for &(client, block, hash) in &hashes {
        let (name, number) = (client.name(), block.number);
        findings.push(if agreeing(hash) < config.l1.quorum() && hashes.len() > 1 {
            Bad(format!("{name} says {hash} of block {common}, which too few others say"))
        } else if number > common + config.l1.max_lag {
            Fine(format!("{name} is at final block {number}, {} ahead", number - common))
        } else {
            Fine(format!("{name} is at final block {number}"))
        });
    }
    if clients.len() < 3 {
        let few = format!("{} providers: with three, one may fail or lie", clients.len());
        findings.push(Warning(few));
    }
    findings
}

/// The last final block of a provider that is on the right chain, with the contracts on it.
async fn ask_provider(
    client: &rpc::Client,
    finality: Finality,
    chain_id: u64,
    contracts: &L1Contracts,
) -> Result<L1Origin, String> {
    check_chain(client, contracts).await.map_err(|error| error.to_string())?;
    let light_client = contracts.light_client;
    let found = call(client, light_client, &LightClient::chainIdCall {}).await;
    match found {
        Ok(found) if found == chain_id => {}
        Ok(found) => return Err(format!("has a light client of chain {found} at {light_client}")),
        Err(error) => return Err(format!("has no light client at {light_client}: {error}")),
    }
    let block = final_block(client, finality).await.map_err(|error| error.to_string())?;
    block.ok_or_else(|| "has no final block".to_owned())
}

async fn reach(peer: &Multiaddr) -> Finding {
    if peer_of(peer).is_none() {
        return Bad(format!("{peer} does not end in /p2p/<peer id>"));
    }
    let mut parts = peer.iter();
    let (host, port) = match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (ip.to_string(), port),
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) => (ip.to_string(), port),
        (
            Some(Protocol::Dns(h) | Protocol::Dns4(h) | Protocol::Dns6(h)),
            Some(Protocol::Tcp(p)),
        ) => (h.into_owned(), p),
        _ => return Bad(format!("{peer} is no TCP address")),
    };
    let connect = TcpStream::connect((host.as_str(), port));
    match timeout(Duration::from_secs(3), connect).await {
        Ok(Ok(_)) => Fine(format!("{peer} answers")),
        Ok(Err(error)) => Warning(format!("{peer}: {error}")),
        Err(_) => Warning(format!("{peer} does not answer in 3 s")),
    }
}
