//! What both engines can be asked by the gateway and the RPC.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use serde_json::json;
use tokio::sync::watch;
use weft_types::{Height, TransactionId};

use super::external::{EngineClient, EngineError, Journal};
use super::spec::ChainSpec;
use super::store::{Outcome, Store, StoreError};

/// The rollup's chain as executed so far, whichever engine executes it. Clones share.
#[derive(Clone)]
pub enum Chain {
    /// The embedded engine's.
    Embedded(Store),
    /// An external engine's.
    External {
        /// Its JSON-RPC.
        engine: Arc<EngineClient>,
        /// What was made of which slice.
        journal: Journal,
        /// The fields that never change.
        spec: ChainSpec,
    },
}

/// Why the chain cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The thread that asked died.
    #[error("reading ended unexpectedly")]
    Lost,
}

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Its nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
}

impl Chain {
    /// The fields that never change.
    pub fn spec(&self) -> &ChainSpec {
        match self {
            Self::Embedded(store) => store.spec(),
            Self::External { spec, .. } => spec,
        }
    }

    /// The number of the last block, for whoever waits for more.
    pub fn head(&self) -> watch::Receiver<u64> {
        match self {
            Self::Embedded(store) => store.head(),
            Self::External { journal, .. } => journal.head(),
        }
    }

    /// What accounts have as of the last block, in the order asked.
    pub async fn holdings(&self, accounts: &[Address]) -> Result<Vec<Holdings>, ChainError> {
        match self {
            Self::Embedded(store) => {
                let (store, accounts) = (store.clone(), accounts.to_vec());
                blocking(move || {
                    let view = store.view()?;
                    let holdings = |address: &Address| {
                        let record = view.account(address, u64::MAX)?.unwrap_or_default();
                        Ok(Holdings { nonce: record.nonce, balance: record.balance() })
                    };
                    accounts.iter().map(holdings).collect()
                })
                .await
            }
            Self::External { engine, .. } => {
                let nonces = engine.nonces(accounts).await?;
                let params: Vec<_> = accounts.iter().map(|a| json!([a, "latest"])).collect();
                let balances = engine.read_many("eth_getBalance", &params).await?;
                let balances = balances.into_iter().map(serde_json::from_value::<U256>);
                nonces
                    .into_iter()
                    .zip(balances)
                    .map(|(nonce, balance)| {
                        let malformed =
                            |e: serde_json::Error| EngineError::Malformed(e.to_string());
                        Ok(Holdings { nonce, balance: balance.map_err(malformed)? })
                    })
                    .collect()
            }
        }
    }

    /// What became of items, by the hash of their bytes, in the order asked.
    pub async fn outcomes(&self, hashes: &[B256]) -> Result<Vec<Option<Outcome>>, ChainError> {
        let (chain, hashes) = (self.clone(), hashes.to_vec());
        blocking(move || match chain {
            Self::Embedded(store) => {
                let view = store.view()?;
                hashes.iter().map(|hash| view.outcome(hash)).collect()
            }
            Self::External { journal, .. } => {
                hashes.iter().map(|hash| journal.outcome(hash)).collect()
            }
        })
        .await
    }

    /// The heights of the slices that Weft transactions stand in, in the order asked.
    pub async fn submissions(
        &self,
        ids: &[TransactionId],
    ) -> Result<Vec<Option<Height>>, ChainError> {
        let (chain, ids) = (self.clone(), ids.to_vec());
        blocking(move || match chain {
            Self::Embedded(store) => {
                let view = store.view()?;
                ids.iter().map(|id| view.submission(id)).collect()
            }
            Self::External { journal, .. } => ids.iter().map(|id| journal.submission(id)).collect(),
        })
        .await
    }
}

/// Runs what blocks on another thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ChainError> {
    let result = tokio::task::spawn_blocking(work).await;
    Ok(result.map_err(|_| ChainError::Lost)??)
}
