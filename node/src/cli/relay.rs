//! `weft relay`: carries headers to Ethereum. Anybody may, and the network pays for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use eyre::{WrapErr, ensure};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use weft_l1::calls;
use weft_l1::contracts::abi::{Inbox, LightClient};
use weft_l1::rpc;
use weft_l1::wallet::{Wallet, call};
use weft_types::{
    Address, Certificate, Committee, Header, Height, L1Contracts, SecretKey, TimeMs, Wei,
};

use super::amount::{amount, ether};
use super::client::Client;
use super::keys::read_key;
use super::l1::{BOUNDS, contracts, duration};
use super::logging;
use super::status::ApiArgs;
use crate::config::LogConfig;

#[derive(Debug, Args)]
pub(super) struct Relay {
    #[command(flatten)]
    api: ApiArgs,
    /// JSON-RPC of Ethereum providers. If one does not answer, the next is tried.
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    provider: Vec<String>,
    /// A file with the key of the Ethereum account that sends and pays: hex, or a keystore.
    #[arg(long, value_name = "FILE")]
    wallet: PathBuf,
    /// A file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    wallet_password_file: Option<PathBuf>,
    /// Pay no more than this for gas: wei, or as in `30gwei`.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    max_gas_price: Option<Wei>,
    /// Post once so many L1 blocks have passed since the last post; as often as the network pays
    /// for without it.
    #[arg(long, value_name = "BLOCKS")]
    every: Option<u64>,
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    interval: Duration,
    /// How long a transaction may take to be mined.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    patience: Duration,
}

/// What is on Ethereum.
struct Posted {
    head: LightClient::headReturn,
    block: u64,
    /// Fallback is on: the newest header ends it.
    fallback: bool,
    /// Fallback is announced.
    announced: Option<Announced>,
}

/// What voids an announcement of fallback.
enum Announced {
    /// A header that is not older, in milliseconds.
    Stall { time_ms: TimeMs },
    /// A header whose L1 origin has reached the message's block.
    Message { block: u64 },
}

impl Announced {
    fn is_voided_by(&self, header: &Header) -> bool {
        match self {
            Self::Stall { time_ms } => header.time_ms >= *time_ms,
            Self::Message { block } => header.l1_origin.number >= *block,
        }
    }
}

/// A block as the relayer reads it.
#[derive(Deserialize)]
struct Certified {
    header: Header,
    certificate: Certificate,
}

#[derive(Deserialize)]
struct Deciders {
    committee: Committee,
    #[serde(default)]
    until: Option<String>,
}

/// Which header to post, and why.
struct Due {
    height: Height,
    why: &'static str,
}

impl Relay {
    pub(super) async fn run(self) -> eyre::Result<()> {
        logging::start(&LogConfig::default())?;
        let key = read_key(&self.wallet, self.wallet_password_file.as_deref())?;
        let api = Client::new(&self.api.api)?;
        let providers = self
            .provider
            .iter()
            .map(|url| Ok(Arc::new(rpc::Client::new(url, BOUNDS)?)))
            .collect::<eyre::Result<Vec<_>>>()?;
        info!(account = %key.address(), "relaying");
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut told = String::new();
        loop {
            let pause = tokio::select! {
                pause = self.step(&api, &providers, &key, &mut told) => pause,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    /// Posts a header if one is due by any provider's word, through that provider. Returns how
    /// long to wait before the next. What goes wrong in the same way again is not `told` again.
    async fn step(
        &self,
        api: &Client,
        providers: &[Arc<rpc::Client>],
        key: &SecretKey,
        told: &mut String,
    ) -> Duration {
        let mut failures = Vec::new();
        for provider in providers {
            match self.try_step(api, provider, key).await {
                Ok(true) => return Duration::ZERO,
                // By this one's word. Another may know better.
                Ok(false) => {}
                Err(error) => failures.push(format!("{}: {error:#}", provider.name())),
            }
        }
        let failures = failures.join("; ");
        if failures != *told {
            if !failures.is_empty() {
                warn!(%failures, "nothing posted");
            }
            *told = failures;
        }
        self.interval
    }

    /// Whether something was posted.
    async fn try_step(
        &self,
        api: &Client,
        provider: &Arc<rpc::Client>,
        key: &SecretKey,
    ) -> eyre::Result<bool> {
        let contracts = contracts(api).await?;
        let posted = Posted::of(provider, &contracts).await?;
        let Some(due) = self.due(api, &posted).await? else { return Ok(false) };
        let block: Certified = read(api, &format!("/v1/blocks/{}", due.height)).await?;
        let decided = format!("/v1/validators?height={}", due.height);
        let Deciders { committee, .. } = read(api, &decided).await?;
        let wallet = Wallet::new(Arc::clone(provider), key.clone(), contracts.chain_id).await?;
        let wallet = wallet.at_most(self.max_gas_price.unwrap_or(Wei::MAX));
        let post = calls::post(&block.header, &block.certificate, &committee);
        let mined = wallet.send(contracts.light_client, &post, 0, self.patience).await?;
        info!(
            height = due.height,
            why = due.why,
            l1_block = mined.block,
            gas = mined.gas,
            fee = ether(mined.fee),
            "posted"
        );
        Ok(true)
    }

    async fn due(&self, api: &Client, posted: &Posted) -> eyre::Result<Option<Due>> {
        let last = posted.head.height;
        let tip: Height = api.status().await?.height.parse()?;
        if tip <= last {
            return Ok(None);
        }
        // The last header under each committee is the only one that names the next.
        let Deciders { until, .. } =
            read(api, &format!("/v1/validators?height={}", last + 1)).await?;
        if let Some(height) = until {
            return Ok(Some(Due { height: height.parse()?, why: "committee" }));
        }
        if posted.fallback {
            return Ok(Some(Due { height: tip, why: "fallback" }));
        }
        if let Some(announced) = &posted.announced {
            let newest: Certified = read(api, &format!("/v1/blocks/{tip}")).await?;
            if announced.is_voided_by(&newest.header) {
                return Ok(Some(Due { height: tip, why: "announcement" }));
            }
        }
        let l1 = api.get("/v1/l1").await?;
        let interval: u64 = l1["relay"]["interval"].as_str().unwrap_or_default().parse()?;
        let every = self.every.unwrap_or(interval);
        let since = posted.block.saturating_sub(posted.head.postedAt.to());
        Ok((since >= every).then_some(Due { height: tip, why: "interval" }))
    }
}

impl Posted {
    async fn of(provider: &rpc::Client, contracts: &L1Contracts) -> eyre::Result<Self> {
        let (light_client, inbox) = (contracts.light_client, contracts.inbox);
        let head = call(provider, light_client, &LightClient::headCall {})
            .await
            .wrap_err_with(|| format!("no light client answers at {light_client}"))?;
        let is_announced = call(provider, inbox, &Inbox::isAnnouncedCall {}).await?;
        let announced = if is_announced { Some(announced(provider, inbox).await?) } else { None };
        let fallback = call(provider, inbox, &Inbox::isFallbackCall {}).await?;
        let block = provider.number("eth_blockNumber").await?;
        ensure!(head.postedAt.to::<u64>() <= block, "the provider contradicts itself");
        Ok(Self { head, block, fallback, announced })
    }
}

async fn announced(provider: &rpc::Client, inbox: Address) -> eyre::Result<Announced> {
    let announcement = call(provider, inbox, &Inbox::announcementCall {}).await?;
    let index = announcement.message;
    if index == u64::MAX {
        let time_ms = announcement.timestamp.to::<u64>().saturating_mul(1000);
        return Ok(Announced::Stall { time_ms });
    }
    let message = call(provider, inbox, &Inbox::messageCall { index }).await?;
    Ok(Announced::Message { block: message.blockNumber })
}

async fn read<T: for<'de> Deserialize<'de>>(api: &Client, path: &str) -> eyre::Result<T> {
    serde_json::from_value(api.get(path).await?).wrap_err("the node's answer makes no sense")
}
