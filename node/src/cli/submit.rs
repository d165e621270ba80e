//! Commands that send transactions: one-shot clients, and examples of the API.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use eyre::{bail, ensure, eyre};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use weft_types::{
    Address, AtomicSettings, AuctionSettings, Bytes, NamespaceId, NamespaceSettings, Partners,
    Payload, Quota, SecretKey, Signed, Submitters, TransactionBody, Wei,
};

use super::amount::amount;
use super::client::Client;
use super::keys::read_key;
use super::say;
use super::status::ApiArgs;

/// How long a transaction may take to be ordered.
const VALIDITY: Duration = Duration::from_secs(60);

/// How much more than today's price to pay at most.
const HEAD_ROOM: Wei = 4;

/// Who sends.
#[derive(Debug, Args)]
pub(super) struct Sender {
    #[command(flatten)]
    api: ApiArgs,
    /// A file with the sender's key: hex, or a keystore.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// A file with the keystore's password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Submit {
    #[command(flatten)]
    sender: Sender,
    /// The namespace.
    #[arg(long)]
    namespace: u64,
    /// An item as 0x-hex; may be given several times.
    #[arg(long, required = true)]
    data: Vec<Bytes>,
}

#[derive(Debug, Args)]
pub(super) struct Transfer {
    #[command(flatten)]
    sender: Sender,
    /// Who receives.
    #[arg(long)]
    to: Address,
    /// How much: wei, or as in `1.5ether`.
    #[arg(long, value_parser = amount)]
    amount: Wei,
}

#[derive(Debug, Subcommand)]
pub(super) enum NamespaceCommand {
    /// Register a namespace; the sender becomes its owner unless another is named.
    Register {
        #[command(flatten)]
        sender: Sender,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Change a namespace's settings. All of them are set anew.
    Update {
        #[command(flatten)]
        sender: Sender,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Show a namespace, or all.
    Show {
        #[command(flatten)]
        api: ApiArgs,
        /// Which.
        namespace: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// The id.
    #[arg(long)]
    namespace: u64,
    /// Who may change the settings; the sender without it.
    #[arg(long)]
    owner: Option<Address>,
    /// Who gets the revenue; the owner without it.
    #[arg(long)]
    revenue_recipient: Option<Address>,
    /// Who may submit; anyone without it.
    #[arg(long, value_delimiter = ',')]
    submitters: Option<Vec<Address>>,
    /// Bytes per second, and bytes at once, that may be ordered: `RATE,BURST`.
    #[arg(long, value_delimiter = ',', num_args = 2)]
    quota: Option<Vec<u64>>,
    /// Sell the head of the slice at every so many heights; without it nothing can be bid for.
    #[arg(long, value_name = "HEIGHTS")]
    auction_every: Option<u64>,
    /// The least that the head is sold for: wei, or as in `0.001ether`.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "0", requires = "auction_every")]
    auction_floor: Wei,
    /// Who gives verdicts on legs of atomic bundles; without them the namespace takes part in none.
    #[arg(long, value_delimiter = ',', requires = "auction_every")]
    executors: Option<Vec<Address>>,
    /// How many executors have to agree; without it more than half of them.
    #[arg(long, requires = "executors")]
    quorum: Option<u8>,
    /// The collateral that an executor needs: wei, or as in `0.1ether`.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "1ether", requires = "executors")]
    bond: Wei,
    /// What holding the namespace costs per height, beyond its reserve: wei, or as in `0.001ether`.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "0.0001ether", requires = "executors")]
    hold_fee: Wei,
    /// The namespaces with which this one takes part in atomic bundles; without it with any.
    #[arg(long, value_delimiter = ',', requires = "executors")]
    partners: Option<Vec<NamespaceId>>,
}

impl Submit {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let namespace = NamespaceId(self.namespace);
        self.sender.send(|_| Payload::Submit { namespace, data: self.data.clone() }).await?;
        Ok(())
    }
}

impl Transfer {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let (to, amount) = (self.to, self.amount);
        self.sender.send(|_| Payload::Transfer { to, amount }).await?;
        Ok(())
    }
}

impl NamespaceCommand {
    pub(super) async fn run(self) -> eyre::Result<()> {
        match self {
            Self::Register { sender, settings } => {
                let namespace = NamespaceId(settings.namespace);
                sender
                    .send(|from| Payload::RegisterNamespace {
                        namespace,
                        settings: settings.settings(from),
                    })
                    .await?;
            }
            Self::Update { sender, settings } => {
                let namespace = NamespaceId(settings.namespace);
                sender
                    .send(|from| Payload::UpdateNamespace {
                        namespace,
                        settings: settings.settings(from),
                    })
                    .await?;
            }
            Self::Show { api, namespace } => {
                let path = namespace
                    .map_or("/v1/namespaces".to_owned(), |id| format!("/v1/namespaces/{id}"));
                let found = Client::new(&api.api)?.get(&path).await?;
                say(&serde_json::to_string_pretty(&found)?);
            }
        }
        Ok(())
    }
}

impl SettingsArgs {
    fn atomic(&self, mut executors: Vec<Address>) -> AtomicSettings {
        executors.sort_unstable();
        executors.dedup();
        let majority = u8::try_from(executors.len() / 2 + 1).unwrap_or(u8::MAX);
        let quorum = self.quorum.unwrap_or(majority);
        let partners = self.partners.clone().map_or(Partners::Anyone, |mut partners| {
            partners.sort_unstable();
            partners.dedup();
            Partners::Only(partners)
        });
        let (bond, hold_fee) = (self.bond, self.hold_fee);
        AtomicSettings { executors, quorum, bond, hold_fee, partners }
    }

    fn settings(&self, sender: Address) -> NamespaceSettings {
        let owner = self.owner.unwrap_or(sender);
        let mut submitters = self.submitters.clone();
        if let Some(list) = &mut submitters {
            list.sort_unstable();
            list.dedup();
        }
        NamespaceSettings {
            owner,
            revenue_recipient: self.revenue_recipient.unwrap_or(owner),
            submitters: submitters.map_or(Submitters::Anyone, Submitters::Only),
            quota: self.quota.as_deref().and_then(|quota| match *quota {
                [bytes_per_second, burst_bytes] => Some(Quota { bytes_per_second, burst_bytes }),
                _ => None,
            }),
            auction: self
                .auction_every
                .map(|every| AuctionSettings { every, floor: self.auction_floor }),
            atomic: self.executors.clone().map(|executors| self.atomic(executors)),
        }
    }
}

impl Sender {
    pub(super) fn client(&self) -> eyre::Result<Client> {
        Client::new(&self.api.api)
    }

    /// Signs a transaction, submits it, and follows it until it is final. Returns what the node
    /// says of it then.
    pub(super) async fn send(self, payload: impl Fn(Address) -> Payload) -> eyre::Result<Value> {
        let key = read_key(&self.key_file, self.password_file.as_deref())?;
        let client = Client::new(&self.api.api)?;
        let transaction = sign(&client, &key, payload(key.address())).await?;
        let id = client.submit(&transaction).await?;
        say(&format!("id        {id}"));
        follow(&client, &id).await
    }
}

async fn sign(
    client: &Client,
    key: &SecretKey,
    payload: Payload,
) -> eyre::Result<weft_types::Transaction> {
    let status = client.status().await?;
    let chain_id: u64 = status.chain_id.parse()?;
    let time_ms: u64 = status.time_ms.parse()?;
    let price: Wei = status.price_per_byte.parse()?;
    let validity = u64::try_from(VALIDITY.as_millis())?;
    let mut body = TransactionBody {
        chain_id,
        valid_until: time_ms + validity,
        salt: u64::from_be_bytes(random()?),
        max_fee: 0,
        payload,
    };
    // Sized with any fee: the field's width is fixed. A submission pays its namespace as well.
    let bytes = borsh::object_length(&body)? + weft_types::signature::SIGNATURE_LENGTH;
    body.max_fee = (bytes as Wei).saturating_mul(price).saturating_mul(2 * HEAD_ROOM);
    if matches!(body.payload, Payload::Bid { .. }) {
        let next = client.get("/v1/auctions/next").await?;
        let flat: Wei = next["bid_fee"].as_str().unwrap_or_default().parse()?;
        body.max_fee = body.max_fee.saturating_add(flat);
    }
    Ok(Signed::new(body, chain_id, key))
}

fn random() -> eyre::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| eyre!("no randomness: {e}"))?;
    Ok(bytes)
}

async fn follow(client: &Client, id: &str) -> eyre::Result<Value> {
    let (started, mut last) = (Instant::now(), String::new());
    while started.elapsed() < VALIDITY {
        let found = client.find(&format!("/v1/transactions/{id}")).await?;
        let Some(found) = found else { bail!("the node has forgotten the transaction") };
        let status = found["status"].as_str().unwrap_or_default().to_owned();
        if status != last {
            say(&format!("{status:<10}after {:?}", started.elapsed()));
            last.clone_from(&status);
        }
        if status == "final" {
            let receipt = &found["receipt"];
            say(&format!("height    {}", found["height"].as_str().unwrap_or("?")));
            say(&format!("fee       {} wei", receipt["fee"].as_str().unwrap_or("?")));
            ensure!(
                receipt["status"] == "executed",
                "the transaction was skipped: {}",
                receipt["reason"]
            );
            return Ok(found);
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("the transaction was not ordered in {VALIDITY:?}")
}
