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

/// The chain's last block, and what was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The last block's number.
    pub number: u64,
    /// How many times blocks were taken back since the process began.
    pub unwinds: u64,
    /// The last block that was kept the last time.
    pub kept: u64,
}

impl Tip {
    /// Blocks after one were taken back.
    pub(super) fn unwind(&mut self, kept: u64) {
        *self = Self { number: kept, unwinds: self.unwinds + 1, kept };
    }
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

    /// The last block, for whoever waits for more.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        match self {
            Self::Embedded(store) => store.tip(),
            Self::External { journal, .. } => journal.tip(),
        }
    }

    /// The number of the last block that no fallback takes back any more.
    pub async fn settled(&self) -> Result<u64, ChainError> {
        let chain = self.clone();
        blocking(move || match chain {
            Self::Embedded(store) => store.view()?.settled(),
            Self::External { journal, .. } => journal.settled(),
        })
        .await
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

/// The last block of 0 to `last` that is kept, where none that is kept comes after one that is not.
/// The genesis block is.
pub(super) fn last_kept<E>(
    last: u64,
    mut is_kept: impl FnMut(u64) -> Result<bool, E>,
) -> Result<u64, E> {
    let (mut kept, mut end) = (0, last + 1);
    while end - kept > 1 {
        let middle = kept + (end - kept) / 2;
        if is_kept(middle)? {
            kept = middle;
        } else {
            end = middle;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_block_that_is_kept() {
        for last in 0..9 {
            for kept in 0..=last {
                let found = last_kept(last, |number| Ok::<_, ()>(number <= kept));
                assert_eq!(found, Ok(kept), "of {last}");
            }
        }
    }
}
