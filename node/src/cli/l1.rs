//! What commands that act on Ethereum share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use eyre::{WrapErr, bail, eyre};
use weft_l1::contracts::SolCall;
use weft_l1::rpc::{self, Bounds};
use weft_l1::wallet::{Mined, SendError, Wallet};
use weft_types::{Address, L1Contracts, Wei};

use super::amount::{amount, ether};
use super::client::Client;
use super::keys::read_key;
use super::say;

/// How far the provider may go.
pub(super) const BOUNDS: Bounds =
    Bounds { max_answer: 16 * 1024 * 1024, timeout: Duration::from_secs(20) };

/// Which account on Ethereum, through which provider.
#[derive(Debug, Args)]
pub(super) struct WalletArgs {
    #[command(flatten)]
    pub(super) provider: ProviderArgs,
    /// A file with the key of the Ethereum account that sends and pays: hex, or a keystore.
    #[arg(long, value_name = "FILE")]
    pub(super) wallet: PathBuf,
    /// A file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    wallet_password_file: Option<PathBuf>,
    /// Pay no more than this for gas: wei, or as in `30gwei`.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    max_gas_price: Option<Wei>,
    /// How long a transaction may take to be mined.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    patience: Duration,
}

/// Which provider of Ethereum.
#[derive(Debug, Args)]
pub(super) struct ProviderArgs {
    /// JSON-RPC of an Ethereum provider.
    #[arg(long, value_name = "URL", env = "WEFT_L1_PROVIDER")]
    pub(super) provider: String,
}

impl ProviderArgs {
    pub(super) fn client(&self) -> eyre::Result<Arc<rpc::Client>> {
        Ok(Arc::new(rpc::Client::new(&self.provider, BOUNDS)?))
    }
}

/// An account on Ethereum, and what it does there.
pub(super) struct Ethereum {
    pub(super) wallet: Wallet,
    pub(super) contracts: L1Contracts,
    patience: Duration,
}

impl WalletArgs {
    /// Reads the key, and checks that the provider is on the network's chain.
    pub(super) async fn open(&self, contracts: L1Contracts) -> eyre::Result<Ethereum> {
        let key = read_key(&self.wallet, self.wallet_password_file.as_deref())?;
        let client = self.provider.client()?;
        let name = client.name().to_owned();
        let wallet = Wallet::new(client, key, contracts.chain_id).await.wrap_err(name)?;
        let wallet = wallet.at_most(self.max_gas_price.unwrap_or(Wei::MAX));
        Ok(Ethereum { wallet, contracts, patience: self.patience })
    }
}

/// Sends a transaction and says how it goes.
pub(super) async fn send<C: SolCall>(
    ethereum: &Ethereum,
    what: &str,
    to: Address,
    call: &C,
    value: Wei,
) -> eyre::Result<Mined> {
    say(&format!("{what}: sent by {} to {to}", ethereum.wallet.address()));
    let started = Instant::now();
    let sent = ethereum.wallet.send(to, call, value, ethereum.patience).await;
    let mined = sent.map_err(|error| explain(what, error))?;
    let took = started.elapsed().as_secs_f64();
    say(&format!(
        "{what}: mined in block {}, {} gas, {}, after {took:.1} s: {}",
        mined.block,
        mined.gas,
        ether(mined.fee),
        mined.hash
    ));
    Ok(mined)
}

fn explain(what: &str, error: SendError) -> eyre::Report {
    let poor = matches!(&error, SendError::Rpc(e) if e.to_string().contains("insufficient funds"));
    let hint = if poor { "; the account has too little ether" } else { "" };
    eyre!("{what}: {error}{hint}")
}

/// Where the contracts of a node's network stand.
pub(super) async fn contracts(api: &Client) -> eyre::Result<L1Contracts> {
    let l1 = api.get("/v1/l1").await?;
    if l1["contracts"].is_null() {
        bail!("this network has no contracts on Ethereum");
    }
    serde_json::from_value(l1["contracts"].clone()).wrap_err("the node's contracts make no sense")
}

pub(super) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}
