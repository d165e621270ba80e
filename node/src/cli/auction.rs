//! Commands of bidders, and of whoever has something for several rollups.

use clap::{Args, Subcommand};
use eyre::{bail, ensure, eyre};
use weft_types::{Address, BidMode, Bytes, Leg, NamespaceId, NamespaceSettings, Payload, Wei};

use super::amount::amount;
use super::client::Client;
use super::say;
use super::status::ApiArgs;
use super::submit::Sender;

/// Bid for the heads of slices of one height, and say what became of it.
#[derive(Debug, Args)]
pub(super) struct Bid {
    #[command(flatten)]
    sender: Sender,
    /// What to bring, as `NAMESPACE:0x-hex`; may be given several times, in the order of each
    /// namespace's items.
    #[arg(long, required_unless_present = "withdraw", value_parser = item)]
    leg: Vec<(u64, Bytes)>,
    /// What to pay if it wins: wei, or as in `0.1ether`.
    #[arg(long, value_parser = amount, required_unless_present = "withdraw")]
    amount: Option<Wei>,
    /// For which height; without it the first from the second from now on at which all that is bid for is
    /// for sale.
    #[arg(long)]
    height: Option<u64>,
    /// A higher one replaces a lower one for the same height.
    #[arg(long, default_value_t = 0)]
    sequence: u64,
    /// Withdraw a bid with a lower sequence instead.
    #[arg(long, conflicts_with_all = ["leg", "amount"], requires = "height")]
    withdraw: bool,
    /// Have the legs executed on all rollups or on none.
    #[arg(long, conflicts_with = "withdraw")]
    atomic: bool,
}

/// Order data for several namespaces in one block, and say where it stands.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    #[command(flatten)]
    sender: Sender,
    /// What to bring, as `NAMESPACE:0x-hex`; at least for two namespaces.
    #[arg(long, required = true, value_parser = item)]
    leg: Vec<(u64, Bytes)>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Collateral {
    /// Put up wei from the balance to back bids with.
    Lock {
        #[command(flatten)]
        sender: Sender,
        /// How much: wei, or as in `1.5ether`.
        #[arg(long, value_parser = amount)]
        amount: Wei,
    },
    /// Take collateral back. It backs no bid from then on, and is on the balance after a while.
    Release {
        #[command(flatten)]
        sender: Sender,
        /// How much: wei, or as in `1.5ether`.
        #[arg(long, value_parser = amount)]
        amount: Wei,
    },
    /// Show what an account has put up, and what is on its way back.
    Show {
        #[command(flatten)]
        api: ApiArgs,
        /// Whose.
        address: Address,
    },
}

/// How many heights ahead to bid: the next one may be over before the bid is there.
const AHEAD: u64 = 2;

/// How many heights ahead to look.
const MOST_AHEAD: u64 = 60;

fn item(text: &str) -> Result<(u64, Bytes), String> {
    let (namespace, data) = text.split_once(':').ok_or("expected NAMESPACE:0x-hex")?;
    let namespace = namespace.parse().map_err(|e| format!("namespace: {e}"))?;
    let data = data.parse().map_err(|e| format!("item: {e}"))?;
    Ok((namespace, data))
}

impl Bid {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let client = self.sender.client()?;
        let height = match self.height {
            Some(height) => height,
            None => self.next_height(&client).await?,
        };
        let payload = Payload::Bid {
            sequence: self.sequence,
            height,
            amount: self.amount.unwrap_or(0),
            mode: if self.atomic { BidMode::Atomic } else { BidMode::Inclusion },
            legs: legs(self.leg),
        };
        say(&format!("for       height {height}"));
        let found = self.sender.send(|_| payload.clone()).await?;
        let ordered = found["height"].as_str().unwrap_or_default();
        let id = found["id"].as_str().unwrap_or_default();
        let results = client.get(&format!("/v1/auctions/{ordered}")).await?;
        let all = results["bids"].as_array().cloned().unwrap_or_default();
        let bid = all.into_iter().find(|bid| bid["bid"] == id);
        let bid = bid.ok_or_else(|| eyre!("the node shows no result of the bid"))?;
        let reason = bid["reason"].as_str().unwrap_or("?");
        say(&format!("result    {reason}"));
        let expected = if self.withdraw { "withdrawn" } else { "won" };
        ensure!(bid["result"] == expected, "the bid did not win: {reason}");
        Ok(())
    }
}

impl Bid {
    /// The first height, not too soon, at which every namespace offers a lot.
    async fn next_height(&self, client: &Client) -> eyre::Result<u64> {
        let mut offered = Vec::new();
        for (namespace, _) in &self.leg {
            let found = client.get(&format!("/v1/namespaces/{namespace}")).await?;
            let settings: NamespaceSettings = serde_json::from_value(found["settings"].clone())?;
            let auction = settings.auction;
            offered.push(auction.ok_or_else(|| eyre!("namespace {namespace} has no auction"))?);
        }
        let first = client.status().await?.height.parse::<u64>()? + AHEAD;
        let mut heights = first..first + MOST_AHEAD;
        let all_offer = |height: &u64| offered.iter().all(|auction| auction.offers(*height));
        let found = heights.find(all_offer);
        found.ok_or_else(|| {
            eyre!("within {MOST_AHEAD} heights not all of them are for sale at once")
        })
    }
}

impl Bundle {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let client = self.sender.client()?;
        let payload = Payload::Bundle { legs: legs(self.leg) };
        let found = self.sender.send(|_| payload.clone()).await?;
        let id = found["id"].as_str().unwrap_or_default();
        let bundle = client.get(&format!("/v1/bundles/{id}")).await?;
        for leg in bundle["legs"].as_array().into_iter().flatten() {
            let namespace = leg["namespace"].as_str().unwrap_or("?");
            say(&format!("leg       entry {} of namespace {namespace}'s slice", leg["entry"]));
        }
        Ok(())
    }
}

/// Legs of items, each namespace's in their order.
fn legs(items: Vec<(u64, Bytes)>) -> Vec<Leg> {
    let mut legs: std::collections::BTreeMap<u64, Vec<Bytes>> = std::collections::BTreeMap::new();
    for (namespace, item) in items {
        legs.entry(namespace).or_default().push(item);
    }
    legs.into_iter().map(|(id, data)| Leg { namespace: NamespaceId(id), data }).collect()
}

impl Collateral {
    pub(super) async fn run(self) -> eyre::Result<()> {
        match self {
            Self::Lock { sender, amount } => {
                sender.send(|_| Payload::LockCollateral { amount }).await?;
            }
            Self::Release { sender, amount } => {
                sender.send(|_| Payload::ReleaseCollateral { amount }).await?;
            }
            Self::Show { api, address } => {
                let account =
                    Client::new(&api.api)?.get(&format!("/v1/accounts/{address}")).await?;
                let Some(collateral) = account["collateral"].as_str() else {
                    bail!("the node shows no collateral");
                };
                say(&format!("balance     {} wei", account["balance"].as_str().unwrap_or("?")));
                say(&format!("collateral  {collateral} wei"));
                for release in account["releases"].as_array().into_iter().flatten() {
                    let (at, amount) = (&release["at_ms"], &release["amount"]);
                    let (at, amount) = (at.as_str().unwrap_or("?"), amount.as_str().unwrap_or("?"));
                    say(&format!("on its way  {amount} wei, there at block time {at} ms"));
                }
                let count = |shown: &serde_json::Value| shown.as_array().map_or(0, Vec::len) as u64;
                let all = account["release_count"].as_u64().unwrap_or(0);
                if all > count(&account["releases"]) {
                    let sum = account["releasing"].as_str().unwrap_or("?");
                    say(&format!("in all      {all} on their way, {sum} wei"));
                }
            }
        }
        Ok(())
    }
}
