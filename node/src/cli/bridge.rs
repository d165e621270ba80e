//! Wei to and from Ethereum, forced messages, and fallback: everything that anybody can do with the
//! contracts.

use std::time::Duration;

use clap::{Args, Subcommand};
use eyre::{WrapErr, ensure, eyre};
use tokio::time::sleep;
use weft_l1::contracts::abi::{Inbox, LightClient, Vault};
use weft_l1::wallet::call;
use weft_l1::{calls, rpc};
use weft_types::{Address, Bytes, L1Contracts, Payload, ProvenWithdrawal, Wei};

use super::amount::{amount, ether};
use super::client::Client;
use super::l1::{Ethereum, ProviderArgs, WalletArgs, contracts, send};
use super::say;
use super::status::ApiArgs;
use super::submit::Sender;

/// How often to look how far it has come.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Deposit {
    #[command(flatten)]
    wallet: WalletArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// How much: wei, or as in `1.5ether`.
    #[arg(long, value_parser = amount)]
    amount: Wei,
    /// Whose account on the network; the sender's without it.
    #[arg(long)]
    to: Option<Address>,
    /// Do not wait until it has arrived.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    #[command(flatten)]
    sender: Sender,
    /// How much: wei, or as in `1.5ether`.
    #[arg(long, value_parser = amount)]
    amount: Wei,
    /// Who gets it on Ethereum; the sender without it.
    #[arg(long)]
    to: Option<Address>,
}

#[derive(Debug, Args)]
pub(super) struct Claim {
    #[command(flatten)]
    wallet: WalletArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// The withdrawal's number.
    #[arg(long)]
    index: u64,
}

#[derive(Debug, Args)]
pub(super) struct Force {
    #[command(flatten)]
    wallet: WalletArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// The namespace.
    #[arg(long)]
    namespace: u64,
    /// The message as 0x-hex: for an EVM rollup, a signed transaction.
    #[arg(long)]
    data: Bytes,
    /// Do not wait until the network has taken it in.
    #[arg(long)]
    no_wait: bool,
    /// The network's genesis file, to ask no node where the contracts are. Then nobody waits.
    #[arg(long, value_name = "FILE")]
    genesis: Option<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Fallback {
    /// Show whether rollups go on without the network, or could.
    Show {
        #[command(flatten)]
        provider: ProviderArgs,
        #[command(flatten)]
        genesis: GenesisArgs,
    },
    /// Announce it: because no headers are posted, or because of a message that is overdue.
    Announce {
        #[command(flatten)]
        wallet: WalletArgs,
        #[command(flatten)]
        genesis: GenesisArgs,
        /// The message's number; without it, because no headers are posted.
        #[arg(long)]
        message: Option<u64>,
    },
    /// Activate it, some time after it was announced.
    Activate {
        #[command(flatten)]
        wallet: WalletArgs,
        #[command(flatten)]
        genesis: GenesisArgs,
    },
}

/// The network, when there is no node to ask.
#[derive(Debug, Args)]
pub(super) struct GenesisArgs {
    /// The network's genesis file.
    #[arg(long, value_name = "FILE")]
    genesis: std::path::PathBuf,
}

impl GenesisArgs {
    fn contracts(&self) -> eyre::Result<L1Contracts> {
        let path = self.genesis.display();
        let text = std::fs::read_to_string(&self.genesis)
            .wrap_err_with(|| format!("cannot read {path}"))?;
        let genesis: weft_types::Genesis =
            serde_json::from_str(&text).wrap_err_with(|| format!("{path} is no genesis"))?;
        genesis.l1.ok_or_else(|| eyre!("this network has no contracts on Ethereum"))
    }
}

impl Deposit {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let api = Client::new(&self.api.api)?;
        let ethereum = self.wallet.open(contracts(&api).await?).await?;
        let to = self.to.unwrap_or_else(|| ethereum.wallet.address());
        let deposit = Vault::depositCall { to };
        let mined =
            send(&ethereum, "deposit", ethereum.contracts.vault, &deposit, self.amount).await?;
        if self.no_wait {
            return Ok(());
        }
        wait_for_origin(&api, mined.block).await?;
        let account = api.get(&format!("/v1/accounts/{to}")).await?;
        let balance: Wei = account["balance"].as_str().unwrap_or_default().parse()?;
        say(&format!("{to} has {} on the network", ether(balance)));
        Ok(())
    }
}

impl Withdraw {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let (to, amount) = (self.to, self.amount);
        let payload = |from| Payload::Withdraw { to: to.unwrap_or(from), amount };
        let found = self.sender.send(payload).await?;
        let index = found["withdrawal"].as_str().ok_or_else(|| eyre!("no withdrawal: {found}"))?;
        say(&format!("withdrawal {index}: weft claim --index {index}"));
        Ok(())
    }
}

impl Claim {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let api = Client::new(&self.api.api)?;
        let ethereum = self.wallet.open(contracts(&api).await?).await?;
        let L1Contracts { vault, light_client, .. } = ethereum.contracts;
        let provider = ethereum.wallet.client();
        let claimed = Vault::isClaimedCall { index: self.index };
        ensure!(
            !call(provider, vault, &claimed).await?,
            "withdrawal {} has been claimed",
            self.index
        );
        let mut waiting = false;
        let (proven, place) = loop {
            let head = call(provider, light_client, &LightClient::headCall {}).await?;
            let path = format!("/v1/withdrawals/{}?height={}", self.index, head.height);
            if let Some(proven) = api.find(&path).await? {
                let proven: ProvenWithdrawal = serde_json::from_value(proven)?;
                // The newest root is that of the newest header.
                let newest = head.stored.to::<u64>().saturating_sub(1);
                break (proven, newest % RING);
            }
            if !waiting {
                say(&format!(
                    "the last header on Ethereum is of height {}; waiting for one with the \
                     withdrawal in its root: weft relay posts one",
                    head.height
                ));
                waiting = true;
            }
            sleep(POLL).await;
        };
        let amount = ether(proven.withdrawal.amount);
        say(&format!("{amount} for {}", proven.withdrawal.to));
        send(&ethereum, "claim", vault, &calls::claim(&proven, place), 0).await?;
        Ok(())
    }
}

/// Roots that the light client keeps.
const RING: u64 = 1024;

impl Force {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let api = Client::new(&self.api.api)?;
        let (contracts, no_wait) = match self.genesis {
            Some(genesis) => (GenesisArgs { genesis }.contracts()?, true),
            None => (contracts(&api).await?, self.no_wait),
        };
        let ethereum = self.wallet.open(contracts).await?;
        let (inbox, provider) = (ethereum.contracts.inbox, ethereum.wallet.client());
        let fee = fee_of(provider, inbox, self.data.len()).await?;
        let force = Inbox::forceCall { namespace: self.namespace, data: self.data };
        let mined = send(&ethereum, "force", inbox, &force, fee).await?;
        if no_wait {
            return Ok(());
        }
        wait_for_origin(&api, mined.block).await
    }
}

async fn fee_of(provider: &rpc::Client, inbox: Address, bytes: usize) -> eyre::Result<Wei> {
    Ok(call(provider, inbox, &calls::fee_of(bytes)).await?.saturating_to())
}

impl Fallback {
    pub(super) async fn run(self) -> eyre::Result<()> {
        match self {
            Self::Show { provider, genesis } => show(&provider, genesis.contracts()?).await,
            Self::Announce { wallet, genesis, message } => {
                let ethereum = wallet.open(genesis.contracts()?).await?;
                let message = message.unwrap_or(u64::MAX);
                let announce = Inbox::announceCall { overdueMessage: message };
                act(&ethereum, "announce", &announce).await
            }
            Self::Activate { wallet, genesis } => {
                let ethereum = wallet.open(genesis.contracts()?).await?;
                act(&ethereum, "activate", &Inbox::activateCall {}).await
            }
        }
    }
}

async fn act<C: weft_l1::contracts::SolCall>(
    ethereum: &Ethereum,
    what: &str,
    call: &C,
) -> eyre::Result<()> {
    send(ethereum, what, ethereum.contracts.inbox, call, 0).await?;
    Ok(())
}

async fn show(provider: &ProviderArgs, contracts: L1Contracts) -> eyre::Result<()> {
    let client = provider.client()?;
    let head = call(&client, contracts.light_client, &LightClient::headCall {}).await?;
    let inbox = contracts.inbox;
    let fallback = call(&client, inbox, &Inbox::isFallbackCall {}).await?;
    let announced = call(&client, inbox, &Inbox::isAnnouncedCall {}).await?;
    let count = call(&client, inbox, &Inbox::countCall {}).await?;
    let state = match (fallback, announced) {
        (true, _) => "on: rollups go on without the network, until a header is posted",
        (false, true) => "announced",
        (false, false) => "off",
    };
    for (name, value) in [
        ("fallback", state.to_owned()),
        ("last header", format!("height {}, posted in L1 block {}", head.height, head.postedAt)),
        ("L1 origin", format!("L1 block {}", head.origin)),
        ("messages", count.to_string()),
    ] {
        say(&format!("{name:<13}{value}"));
    }
    Ok(())
}

/// Waits until the network has taken in an L1 block.
async fn wait_for_origin(api: &Client, block: u64) -> eyre::Result<()> {
    say(&format!("waiting for the network to take in L1 block {block}"));
    let mut last = None;
    loop {
        let l1 = api.get("/v1/l1").await?;
        let origin: u64 = l1["origin"]["number"].as_str().unwrap_or_default().parse()?;
        if origin >= block {
            say(&format!("the network has taken in L1 block {origin}"));
            return Ok(());
        }
        if last != Some(origin) {
            say(&format!("network at L1 block {origin}"));
            last = Some(origin);
        }
        sleep(POLL).await;
    }
}
