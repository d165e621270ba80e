//! The network that is searched on, as its `network.json` describes it.

use std::path::Path;
use std::time::Duration;

use eyre::{WrapErr, ensure, eyre};
use serde_json::Value;
use weft_rollup_adapter::api::shapes::NextLots;
use weft_rollup_adapter::api::{Bid, Endpoint};
use weft_types::{
    AuctionSettings, Genesis, Height, NamespaceId, NamespaceSettings, Params, Payload, SecretKey,
    Transaction, Verified, Wei,
};

use super::FURTHEST;
use crate::client::{Client, number};
use crate::load::sign;
use crate::rpc::Rpc;

/// How long a bid may take to be ordered, in milliseconds of block time.
const VALIDITY_MS: u64 = 30_000;

/// How many times the price of the moment is offered for inclusion at most.
const HEADROOM: Wei = 4;

/// How long a transaction may take until it is final.
const FINAL_PATIENCE: Duration = Duration::from_secs(60);

/// The account that owns the namespaces of a devnet.
const OWNER: usize = 0;

/// A network.
pub(super) struct Site {
    /// Its chain id.
    pub chain_id: u64,
    /// What it chose at its start.
    pub params: Params,
    /// The validators' APIs.
    pub validators: Vec<Endpoint>,
    /// That of the first of them, for what a searcher need not know.
    pub client: Client,
    rollups: Vec<(u64, String)>,
    accounts: Vec<SecretKey>,
}

impl Site {
    /// Reads `network.json` in the directory of a network that runs.
    pub fn read(dir: &Path) -> eyre::Result<Self> {
        let file = dir.join("network.json");
        let text = std::fs::read_to_string(&file)
            .wrap_err_with(|| format!("no network runs in {}", dir.display()))?;
        let described: Value = serde_json::from_str(&text)?;
        let list = |part: &str| described[part].as_array().cloned().unwrap_or_default();
        let genesis = described["genesis"].as_str().ok_or_else(|| eyre!("no genesis file"))?;
        let genesis = std::fs::read_to_string(genesis).wrap_err("the genesis file")?;
        let genesis: Genesis = serde_json::from_str(&genesis).wrap_err("the genesis file")?;
        let urls: Vec<String> = list("validators")
            .iter()
            .filter_map(|v| v["api"].as_str().map(str::to_owned))
            .collect();
        let client = Client::of_url(urls.first().ok_or_else(|| eyre!("no validators"))?);
        let http = Endpoint::http_client()?;
        let endpoint = |url: &String| Ok(Endpoint::new(url.parse()?, http.clone()));
        let rollups = list("rollups").into_iter().filter_map(|rollup| {
            Some((rollup["chain_id"].as_u64()?, rollup["rpc"].as_str()?.to_owned()))
        });
        let key = |account: &Value| {
            let digits = account["key"].as_str()?.strip_prefix("0x")?;
            SecretKey::from_bytes(hex::decode(digits).ok()?.try_into().ok()?)
        };
        Ok(Self {
            chain_id: genesis.chain_id,
            params: genesis.params,
            validators: urls.iter().map(endpoint).collect::<eyre::Result<_>>()?,
            client,
            rollups: rollups.collect(),
            accounts: list("accounts").iter().filter_map(key).collect(),
        })
    }

    /// The RPC of the first node of a rollup.
    pub fn rollup(&self, namespace: u64) -> eyre::Result<Rpc> {
        let found = self.rollups.iter().find(|(id, _)| *id == namespace);
        let (_, url) = found.ok_or_else(|| eyre!("no rollup {namespace} runs here"))?;
        Ok(Rpc::of_url(url))
    }

    /// One of the accounts with money.
    pub fn account(&self, index: usize) -> eyre::Result<&SecretKey> {
        self.accounts.get(index).ok_or_else(|| eyre!("the network has no account {index}"))
    }

    /// Whether a rollup takes part in atomic bundles.
    pub async fn takes_atomic(&self, namespace: u64) -> eyre::Result<bool> {
        let found = self.client.get(&format!("/v1/namespaces/{namespace}")).await?;
        Ok(!found["settings"]["atomic"].is_null())
    }

    /// The first height, this one or later, at which namespaces offer lots together.
    pub async fn offered_from(&self, of: &[NamespaceId], height: Height) -> eyre::Result<Height> {
        let mut every = Vec::new();
        for namespace in of {
            let found = self.client.get(&format!("/v1/namespaces/{namespace}")).await?;
            let settings: NamespaceSettings = serde_json::from_value(found["settings"].clone())?;
            every.extend(settings.auction);
        }
        let found = (height..height + FURTHEST)
            .find(|height| every.iter().all(|auction| auction.offers(*height)));
        found.ok_or_else(|| eyre!("the heads are not for sale together"))
    }

    /// Signs a bid for lots, with a fee and a validity that suffice for now.
    pub async fn sign(
        &self,
        key: &SecretKey,
        bid: Bid,
        lots: &NextLots,
    ) -> eyre::Result<Verified<Transaction>> {
        let node = self.validators.first().ok_or_else(|| eyre!("no validators"))?;
        let first = bid.legs.first().ok_or_else(|| eyre!("a bid without legs"))?.namespace;
        let (status, namespace) = futures::try_join!(node.status(), node.namespace(first))?;
        let valid_until = status.time_ms.saturating_add(VALIDITY_MS);
        let mut bid = Bid { valid_until, ..bid };
        let price = namespace.global_price_per_byte.saturating_mul(HEADROOM);
        bid.max_fee = bid.cost(price, lots.bid_fee);
        Ok(bid.sign(self.chain_id, key)?)
    }

    /// Sends a transaction and waits until it is executed. Returns its height.
    pub async fn submit(&self, key: &SecretKey, payload: Payload) -> eyre::Result<Height> {
        number(&self.executed(key, payload).await?["height"])
    }

    /// Sends a transaction and waits until it is executed. Returns what it cost, in wei.
    pub async fn send(&self, key: &SecretKey, payload: Payload) -> eyre::Result<Wei> {
        let found = self.executed(key, payload).await?;
        let receipt = &found["receipt"];
        let fee = receipt["fee"].as_str().and_then(|fee| fee.parse().ok());
        fee.ok_or_else(|| eyre!("a receipt without a fee: {receipt}"))
    }

    async fn executed(&self, key: &SecretKey, payload: Payload) -> eyre::Result<Value> {
        let transaction = sign(payload, self.chain_id, key, 0);
        let id = match self.client.submit(&transaction).await? {
            Ok(id) => id,
            Err(refused) => return Err(eyre!("a transaction was refused: {}", refused.problem)),
        };
        let found = self.client.wait_final(&id, FINAL_PATIENCE).await?;
        let receipt = &found["receipt"];
        ensure!(receipt["status"] == "executed", "a transaction was skipped: {receipt}");
        Ok(found)
    }

    /// Where a namespace has no auction, the namespaces' owner puts the heads of its slices up for sale at
    /// every height.
    pub async fn open_auction(
        &self,
        namespace: u64,
        floor: Wei,
        say: impl Fn(&str),
    ) -> eyre::Result<()> {
        let path = format!("/v1/namespaces/{namespace}");
        let found = self.client.get(&path).await?;
        let settings: NamespaceSettings = serde_json::from_value(found["settings"].clone())?;
        if settings.auction.is_some() {
            return Ok(());
        }
        say(&format!("putting the heads of {namespace} up for sale"));
        let auction = AuctionSettings { every: 1, floor };
        let settings = NamespaceSettings { auction: Some(auction), ..settings };
        let payload = Payload::UpdateNamespace { namespace: NamespaceId(namespace), settings };
        self.send(self.account(OWNER)?, payload).await?;
        Ok(())
    }
}
