//! `weft join` and `weft leave`: bonds on Ethereum, and what the network makes of them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use eyre::{WrapErr, bail, ensure, eyre};
use serde::Deserialize;
use tokio::time::sleep;
use weft_l1::calls;
use weft_l1::contracts::abi::StakeRegistry;
use weft_l1::wallet::call;
use weft_types::{Address, Committee, SecretKey, TimeMs, Wei};

use super::amount::{amount, ether};
use super::client::Client;
use super::l1::{Ethereum, WalletArgs, contracts, send};
use super::status::ApiArgs;
use super::{HomeArgs, say};
use crate::config::Config;
use crate::keystore;

/// How often to look how far it has come.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Join {
    #[command(flatten)]
    validator: ValidatorArgs,
    #[command(flatten)]
    wallet: WalletArgs,
    /// What to bond, or to add to a bond: wei, or as in `32ether`.
    #[arg(long, value_parser = amount)]
    stake: Wei,
    /// Do not wait until the validator is seated.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Leave {
    #[command(flatten)]
    validator: ValidatorArgs,
    #[command(flatten)]
    wallet: WalletArgs,
    /// Take the bond back, after the delay.
    #[arg(long)]
    withdraw: bool,
    /// Do not wait until the validator has no seat any more.
    #[arg(long)]
    no_wait: bool,
}

/// Which validator, and the node to ask about the network.
#[derive(Debug, Args)]
struct ValidatorArgs {
    #[command(flatten)]
    home: HomeArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// A file with the password of the validator's keystore.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What `/v1/validators` says that matters here.
#[derive(Debug, Deserialize)]
struct Validators {
    committee: Committee,
    next: Committee,
    #[serde(with = "weft_types::json::decimal")]
    epoch_ms: u64,
    stakes: Vec<Stake>,
}

#[derive(Debug, Deserialize)]
struct Stake {
    validator: Address,
    #[serde(with = "weft_types::json::decimal")]
    stake: Wei,
}

/// Status of a bond, as the contract numbers it.
pub(super) const BONDED: u8 = 1;
pub(super) const EXITING: u8 = 2;
pub(super) const SLASHED: u8 = 3;

impl Join {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let key = self.validator.key()?;
        let api = Client::new(&self.validator.api.api)?;
        let ethereum = self.wallet.open(contracts(&api).await?).await?;
        let (registry, validator) = (ethereum.contracts.stake_registry, key.address());
        let bond = bond_of(&ethereum, validator).await?;
        match bond.status {
            SLASHED => bail!("{validator} has been slashed and can never bond again"),
            EXITING => bail!("{validator} is leaving: withdraw its bond with `weft leave` first"),
            BONDED => {
                let top_up = StakeRegistry::topUpCall { validator };
                send(&ethereum, "top up", registry, &top_up, self.stake).await?;
            }
            _ => {
                let owner = ethereum.wallet.address();
                let chain_id: u64 = api.status().await?.chain_id.parse()?;
                let bond = calls::bond(&key, chain_id, registry, owner);
                send(&ethereum, "bond", registry, &bond, self.stake).await?;
            }
        }
        let bonded = bond.counted().saturating_add(self.stake);
        say(&format!("{validator} has {} bonded", ether(bonded)));
        if self.no_wait {
            return Ok(());
        }
        wait_for_stake(&api, validator, |stake| stake >= bonded).await?;
        wait_for_seat(&api, validator).await
    }
}

impl Leave {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let validator = self.validator.key()?.address();
        let api = Client::new(&self.validator.api.api)?;
        let ethereum = self.wallet.open(contracts(&api).await?).await?;
        let registry = ethereum.contracts.stake_registry;
        let bond = bond_of(&ethereum, validator).await?;
        if self.withdraw {
            ensure!(bond.status == EXITING, "{validator} is not leaving");
            let withdraw = StakeRegistry::withdrawCall { validator };
            send(&ethereum, "withdraw", registry, &withdraw, 0).await?;
            return Ok(());
        }
        match bond.status {
            BONDED => {
                let exit = StakeRegistry::exitCall { validator };
                send(&ethereum, "exit", registry, &exit, 0).await?;
            }
            EXITING => say(&format!("{validator} is leaving already")),
            SLASHED => bail!("{validator} has been slashed: there is nothing to take back"),
            _ => bail!("{validator} has no bond"),
        }
        let until = Duration::from_secs(bond_of(&ethereum, validator).await?.withdrawable_at);
        say(&format!(
            "the bond can be slashed until {}, and taken back after that: weft leave --withdraw",
            humantime::format_rfc3339_seconds(UNIX_EPOCH + until)
        ));
        if self.no_wait {
            return Ok(());
        }
        wait_for_stake(&api, validator, |stake| stake == 0).await?;
        say("keep the node running until it has no seat any more");
        let mut progress = Progress::default();
        loop {
            let now = Validators::of(&api).await?;
            if !now.committee.has(validator) && !now.next.has(validator) {
                say(&format!("{validator} has no seat any more; the node may stop"));
                return Ok(());
            }
            progress.say(|| "waiting for the end of its last epoch".to_owned());
            sleep(POLL).await;
        }
    }
}

impl ValidatorArgs {
    fn key(&self) -> eyre::Result<SecretKey> {
        let home = self.home.home();
        let config = Config::load(&home.config(), &serde_json::json!({}))?;
        let path = home.resolve(&config.keys.validator);
        ensure!(
            path.exists(),
            "{} does not exist; make a key with `weft keys new` first",
            path.display()
        );
        let configured = config.keys.password_file.as_ref().map(|file| home.resolve(file));
        let file = self.password_file.clone().or(configured);
        let password = keystore::password(file.as_deref(), &path.display().to_string())?;
        keystore::read(&path, &password)
    }
}

struct Bond {
    amount: Wei,
    status: u8,
    withdrawable_at: u64,
}

impl Bond {
    /// What of it counts as stake.
    fn counted(&self) -> Wei {
        if self.status == BONDED { self.amount } else { 0 }
    }
}

async fn bond_of(ethereum: &Ethereum, validator: Address) -> eyre::Result<Bond> {
    let registry = ethereum.contracts.stake_registry;
    let bond = StakeRegistry::bondsCall { validator };
    let found = call(ethereum.wallet.client(), registry, &bond)
        .await
        .wrap_err_with(|| format!("no stake registry answers at {registry}"))?;
    let (amount, withdrawable_at) = (found.amount.to(), found.withdrawableAt);
    Ok(Bond { amount, status: found.status, withdrawable_at })
}

impl Validators {
    async fn of(api: &Client) -> eyre::Result<Self> {
        serde_json::from_value(api.get("/v1/validators").await?)
            .wrap_err("the node's answer makes no sense")
    }

    fn stake(&self, validator: Address) -> Wei {
        let found = self.stakes.iter().find(|stake| stake.validator == validator);
        found.map_or(0, |found| found.stake)
    }
}

trait Has {
    fn has(&self, validator: Address) -> bool;
}

impl Has for Committee {
    fn has(&self, validator: Address) -> bool {
        self.index_of(&validator).is_some()
    }
}

/// Says the same thing once.
#[derive(Default)]
struct Progress(String);

impl Progress {
    fn say(&mut self, text: impl FnOnce() -> String) {
        let text = text();
        if self.0 != text {
            say(&text);
            self.0 = text;
        }
    }
}

/// Waits until the network has taken a stake in.
async fn wait_for_stake(
    api: &Client,
    validator: Address,
    enough: impl Fn(Wei) -> bool,
) -> eyre::Result<()> {
    say("waiting for Ethereum to finalize it, and for the network to take it in");
    let mut progress = Progress::default();
    loop {
        let known = Validators::of(api).await?.stake(validator);
        if enough(known) {
            say(&format!("the network knows: a stake of {} counts", ether(known)));
            return Ok(());
        }
        let l1 = api.get("/v1/l1").await?;
        progress.say(|| {
            let origin = l1["origin"]["number"].as_str().unwrap_or("?");
            let agreed = l1["watched"]["agreed"].as_str().unwrap_or("?");
            format!("network at L1 block {origin}, this node's providers agree up to {agreed}")
        });
        sleep(POLL).await;
    }
}

/// Waits until a validator that has a stake holds a seat.
async fn wait_for_seat(api: &Client, validator: Address) -> eyre::Result<()> {
    let now = Validators::of(api).await?;
    let time: TimeMs = api.status().await?.time_ms.parse()?;
    let epoch_ms = now.epoch_ms.max(1);
    // It counts from the second epoch after that in which it was taken in.
    let latest = (time / epoch_ms + 2) * epoch_ms;
    say(&format!("seats change with epochs; it sits by {} at the latest", clock(latest)));
    loop {
        let now = Validators::of(api).await?;
        if now.committee.has(validator) {
            say(&format!("{validator} is seated"));
            return Ok(());
        }
        let time: TimeMs = api.status().await?.time_ms.parse()?;
        if time > latest + epoch_ms && !now.next.has(validator) {
            return Err(eyre!(
                "the stake of {validator} is too small for a seat: those seated have {} and more",
                ether(least_seated(&now))
            ));
        }
        sleep(POLL).await;
    }
}

fn least_seated(now: &Validators) -> Wei {
    let stakes = now.committee.members().iter().map(|member| now.stake(member.address));
    stakes.min().unwrap_or(0)
}

fn clock(time_ms: TimeMs) -> String {
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(time_ms);
    humantime::format_rfc3339_seconds(time).to_string()
}
