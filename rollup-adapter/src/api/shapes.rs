//! The JSON that a node answers with. Fields that the adapter has no use for are not read.

use serde::Deserialize;
use weft_types::{BlockId, Committee, Height, TimeMs, TransactionId, Wei};

/// `GET /status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The network.
    #[serde(with = "weft_types::json::decimal")]
    pub chain_id: u64,
    /// Id of the genesis block.
    pub genesis: BlockId,
    /// The last height decided.
    #[serde(with = "weft_types::json::decimal")]
    pub height: Height,
    /// Its block time.
    #[serde(with = "weft_types::json::decimal")]
    pub time_ms: TimeMs,
}

/// `GET /v1/namespaces/{ns}`.
#[derive(Clone, Debug, Deserialize)]
pub struct Namespace {
    /// What a byte costs the namespace, in wei, on top of the global price.
    #[serde(with = "weft_types::json::decimal")]
    pub price_per_byte: Wei,
    /// What a byte costs everybody, in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub global_price_per_byte: Wei,
}

/// `GET /v1/validators?height=`.
#[derive(Clone, Debug, Deserialize)]
pub struct Validators {
    /// Who decides the height.
    pub committee: Committee,
}

/// `POST /v1/transactions` and `GET /v1/transactions/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct TransactionStatus {
    /// The transaction.
    pub id: TransactionId,
    /// `received`, `expected` or `final`.
    pub status: String,
    /// What became of it, once it is final.
    #[serde(default)]
    pub receipt: Option<Receipt>,
}

/// What a node says became of a transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    /// `executed` or `skipped`.
    pub status: String,
    /// Why it was skipped.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `GET /v1/accounts/{address}`.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// The balance in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub balance: Wei,
}

/// An RFC 9457 problem document.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    /// What is wrong, in a few words.
    #[serde(default)]
    pub title: String,
    /// What is wrong, in full.
    #[serde(default)]
    pub detail: String,
}
