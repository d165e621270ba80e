//! What drills with Ethereum share: the network's view of it, and `weft` as operators run it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use eyre::{WrapErr, bail, ensure, eyre};
use serde_json::{Value, json};
use tokio::process::Command;
use weft_node::home::write_secret;
use weft_types::{Address, B256, L1Contracts, SecretKey, Wei};

use crate::client::{number, wait_for};
use crate::command::run;
use crate::l1::L1;
use crate::network::{Network, Node};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

impl Network {
    /// Ethereum.
    pub fn l1(&self) -> eyre::Result<&L1> {
        self.l1.as_ref().ok_or_else(|| eyre!("this network has no Ethereum"))
    }

    /// The contracts.
    pub fn contracts(&self) -> eyre::Result<L1Contracts> {
        self.plan.genesis.l1.ok_or_else(|| eyre!("this network has no contracts"))
    }

    /// Runs `weft`, as an operator does. What it does on Ethereum is done with `wallet`. Returns what
    /// it printed.
    pub async fn weft(
        &self,
        node: &Node,
        wallet: Wallet<'_>,
        args: &[&str],
    ) -> eyre::Result<String> {
        let api = format!("--api=http://{}", node.plan.api);
        self.weft_alone(wallet, &[args, &[&api]].concat()).await
    }

    /// Runs `weft` without a node to ask.
    pub async fn weft_alone(&self, wallet: Wallet<'_>, args: &[&str]) -> eyre::Result<String> {
        let mut command = Command::new(&self.programs.weft);
        command.args(args);
        match wallet {
            Wallet::None => {}
            Wallet::Weft(key) => {
                command.arg(format!("--key-file={}", self.key_file(key)?.display()));
            }
            Wallet::Ethereum(key) => {
                command.arg(format!("--wallet={}", self.key_file(key)?.display()));
                command.arg(format!("--provider={}", self.l1()?.rpc.url()));
            }
        }
        let what = format!("weft {}", args.join(" "));
        run(&mut command, &what, Stdio::null(), PATIENCE).await?.output(&what)
    }

    fn key_file(&self, key: &SecretKey) -> eyre::Result<PathBuf> {
        let path = self.plan.options.dir.join(format!("{}.key", key.address()));
        if !path.exists() {
            write_secret(&path, &hex::encode(key.to_bytes()))?;
        }
        Ok(path)
    }
}

/// Checks that a command was refused, and for this reason.
pub fn refused_with<T>(ended: eyre::Result<T>, reason: &str, what: &str) -> eyre::Result<()> {
    let Err(error) = ended else { bail!("{what} is not refused") };
    ensure!(
        format!("{error:#}").contains(reason),
        "{what} is refused, but not for {reason}: {error:#}"
    );
    Ok(())
}

/// Whose money a command spends, and where.
#[derive(Clone, Copy, Debug)]
pub enum Wallet<'a> {
    /// Nobody's.
    None,
    /// An account's on the network.
    Weft(&'a SecretKey),
    /// An account's on Ethereum.
    Ethereum(&'a SecretKey),
}

impl Node {
    /// What it sees of Ethereum.
    pub async fn l1(&self) -> eyre::Result<Value> {
        self.client.get("/v1/l1").await
    }

    /// The number of the last L1 block that the network has taken in.
    pub async fn origin(&self) -> eyre::Result<u64> {
        number(&self.l1().await?["origin"]["number"])
    }

    /// Waits until the network has taken in an L1 block.
    pub async fn wait_origin(&self, block: u64) -> eyre::Result<u64> {
        wait_for(&format!("L1 block {block} to be taken in"), PATIENCE, || async {
            Ok(Some(self.origin().await?).filter(|origin| *origin >= block))
        })
        .await
    }

    /// Waits until it raises an alarm that says something, or has none any more. What it says may be another
    /// thing first, while not all providers have been heard.
    pub async fn wait_alarm(&self, wanted: Option<&str>) -> eyre::Result<String> {
        let what = format!("the alarm of {} to be {wanted:?}", self.plan.name);
        wait_for(&what, PATIENCE, || async {
            let alarm = self.l1().await?["alarm"].as_str().map(str::to_owned);
            let shown = self.metric("weft_l1_alarm").await? > 0.5;
            let as_wanted = match (&alarm, wanted) {
                (Some(alarm), Some(wanted)) => alarm.contains(wanted),
                (alarm, wanted) => alarm.is_some() == wanted.is_some(),
            };
            let as_wanted = as_wanted && shown == wanted.is_some();
            Ok(as_wanted.then(|| alarm.unwrap_or_default()))
        })
        .await
    }

    /// How each of its providers stands.
    pub async fn provider_states(&self) -> eyre::Result<Vec<String>> {
        let l1 = self.l1().await?;
        let providers = l1["watched"]["providers"].as_array().cloned().unwrap_or_default();
        let state = |provider: &Value| provider["state"].as_str().unwrap_or_default().to_owned();
        Ok(providers.iter().map(state).collect())
    }

    /// Waits until one of its providers stands in one of some ways.
    pub async fn wait_provider(&self, provider: usize, states: &[&str]) -> eyre::Result<()> {
        let what =
            format!("provider {provider} of {} to be {}", self.plan.name, states.join(" or "));
        wait_for(&what, PATIENCE, || async {
            let found = self.provider_states().await?;
            let found = found.get(provider).map(String::as_str);
            Ok(found.is_some_and(|found| states.contains(&found)).then_some(()))
        })
        .await
    }

    /// An account's balance on the network.
    pub async fn balance(&self, account: Address) -> eyre::Result<Wei> {
        let found = self.client.get(&format!("/v1/accounts/{account}")).await?;
        Ok(found["balance"].as_str().unwrap_or_default().parse()?)
    }
}

impl L1 {
    /// The number of its last block.
    pub async fn tip(&self) -> eyre::Result<u64> {
        self.rpc.quantity("eth_blockNumber", json!([])).await
    }

    /// The hash of one of its blocks.
    pub async fn hash(&self, number: u64) -> eyre::Result<B256> {
        let block =
            self.rpc.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await?;
        let hash = block["hash"].as_str().and_then(|hash| hash.parse().ok());
        hash.ok_or_else(|| eyre!("L1 has no block {number}"))
    }

    /// An account's balance on it.
    pub async fn balance(&self, account: Address) -> eyre::Result<Wei> {
        let found = self.rpc.call("eth_getBalance", json!([account, "latest"])).await?;
        let digits = found.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_default();
        Wei::from_str_radix(digits, 16).wrap_err("no balance")
    }
}
