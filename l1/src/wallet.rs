//! Transactions to the contracts.
//!
//! A transaction that is not mined for a while is sent again with a higher fee; it has the same
//! nonce, so that one of them is mined at most.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use alloy_sol_types::{SolCall, SolInterface};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use weft_types::{SecretKey, Wei};

use crate::contracts::{RawLog, abi};
use crate::rpc::{Client, Quantity, RpcError, decode, quantity};

/// How long to wait between two looks for a receipt.
const POLL: Duration = Duration::from_millis(500);

/// After how long without a receipt the fee is raised.
const RAISE_AFTER: Duration = Duration::from_secs(60);

/// How often the fee is raised: after that, by a half each time, it is five times as high.
const RAISES: u32 = 4;

/// The tip to offer if the provider suggests none, in wei.
const TIP: u128 = 1_000_000_000;

/// How a transaction fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// Its hash.
    pub hash: B256,
    /// Number of the block.
    pub block: u64,
    /// Gas used.
    pub gas: u64,
    /// What was paid for it, in wei.
    pub fee: Wei,
    /// Where the contract stands, if it created one.
    pub contract: Option<Address>,
    /// What was logged.
    pub logs: Vec<RawLog>,
}

/// Why a transaction came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The provider.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The contract refuses the call. Nothing was sent.
    #[error("the contract refuses: {0}")]
    Refused(String),
    /// It was mined, and had no effect.
    #[error("{0} was reverted")]
    Reverted(B256),
    /// It was not mined in time. It may still be.
    #[error("{0} is not mined after {1:?}")]
    Pending(B256, Duration),
    /// The fee would be above what the caller wants to pay.
    #[error("gas is at {0} wei, more than {1} wei")]
    TooDear(u128, u128),
}

/// One key on one chain, through one provider.
#[derive(Clone)]
pub struct Wallet {
    client: Arc<Client>,
    key: SecretKey,
    chain_id: u64,
    max_gas_price: u128,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    #[serde(deserialize_with = "quantity")]
    status: u64,
    #[serde(deserialize_with = "quantity")]
    block_number: u64,
    #[serde(deserialize_with = "quantity")]
    gas_used: u64,
    #[serde(default)]
    effective_gas_price: U256,
    #[serde(default)]
    contract_address: Option<Address>,
    logs: Vec<ReceiptLog>,
}

#[derive(Deserialize)]
struct ReceiptLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// What a transaction offers for its gas, in wei.
#[derive(Clone, Copy)]
struct Fees {
    tip: u128,
    most: u128,
}

impl Wallet {
    /// A wallet. Checks that the provider is on the chain.
    pub async fn new(client: Arc<Client>, key: SecretKey, chain_id: u64) -> Result<Self, RpcError> {
        let actual = client.number("eth_chainId").await?;
        if actual != chain_id {
            let message = format!("the provider is on chain {actual}, expected {chain_id}");
            return Err(RpcError::Malformed(message));
        }
        Ok(Self { client, key, chain_id, max_gas_price: u128::MAX })
    }

    /// Never pays more wei for gas than this.
    #[must_use]
    pub fn at_most(mut self, max_gas_price: u128) -> Self {
        self.max_gas_price = max_gas_price;
        self
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The chain it is on.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The provider.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it has, in wei.
    pub async fn balance(&self) -> Result<Wei, RpcError> {
        let balance = json!([self.address(), "latest"]);
        Ok(self.client.call::<U256>("eth_getBalance", balance).await?.saturating_to())
    }

    /// Calls a function by a transaction, and waits until it is mined.
    pub async fn send<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        value: Wei,
        patience: Duration,
    ) -> Result<Mined, SendError> {
        self.transact(TxKind::Call(to), call.abi_encode().into(), value, patience).await
    }

    /// Creates a contract from its creation code with the constructor's arguments behind it, and
    /// waits until it is mined.
    pub async fn create(&self, code: Bytes, patience: Duration) -> Result<Mined, SendError> {
        self.transact(TxKind::Create, code, 0, patience).await
    }

    async fn transact(
        &self,
        to: TxKind,
        input: Bytes,
        value: Wei,
        patience: Duration,
    ) -> Result<Mined, SendError> {
        let (from, value) = (self.address(), U256::from(value));
        let to_field = to.to().map_or(Value::Null, |to| json!(to));
        let call = json!({ "from": from, "to": to_field, "data": input, "value": value });
        let estimated = self.client.call::<Quantity>("eth_estimateGas", json!([call])).await;
        let Quantity(gas) = estimated.map_err(refusal)?;
        let Quantity(nonce) =
            self.client.call("eth_getTransactionCount", json!([from, "pending"])).await?;
        let mut fees = self.fees().await?;
        let transaction = |Fees { tip, most }| TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            // Another block may make another branch the dearer one.
            gas_limit: gas.saturating_add(gas / 8),
            max_fee_per_gas: most,
            max_priority_fee_per_gas: tip,
            to,
            value,
            input: input.clone(),
            ..TxEip1559::default()
        };
        let started = Instant::now();
        let mut sent = vec![self.submit(transaction(fees)).await?];
        for raise in 1.. {
            let until = if raise > RAISES { patience } else { RAISE_AFTER * raise };
            while started.elapsed() < until.min(patience) {
                if let Some(mined) = self.find(&sent).await? {
                    return mined;
                }
                tokio::time::sleep(POLL).await;
            }
            if started.elapsed() >= patience {
                break;
            }
            fees = Fees { tip: fees.tip + fees.tip / 2, most: fees.most + fees.most / 2 };
            if fees.most <= self.max_gas_price {
                // Refused if the first is mined by now, which the next look finds out.
                sent.extend(self.submit(transaction(fees)).await.ok());
            }
        }
        Err(SendError::Pending(sent[0], patience))
    }

    async fn fees(&self) -> Result<Fees, SendError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Latest {
            base_fee_per_gas: U256,
        }
        let Latest { base_fee_per_gas } =
            self.client.call("eth_getBlockByNumber", json!(["latest", false])).await?;
        let suggested = self.client.call::<U256>("eth_maxPriorityFeePerGas", json!([])).await;
        let tip = suggested.ok().and_then(|tip| tip.try_into().ok()).unwrap_or(TIP);
        let base: u128 = base_fee_per_gas.saturating_to();
        let now = base.saturating_add(tip);
        if now > self.max_gas_price {
            return Err(SendError::TooDear(now, self.max_gas_price));
        }
        let most = base.saturating_mul(2).saturating_add(tip).min(self.max_gas_price);
        Ok(Fees { tip: tip.min(most), most })
    }

    async fn submit(&self, transaction: TxEip1559) -> Result<B256, SendError> {
        let [signature @ .., v] = self.key.sign(transaction.signature_hash()).0;
        let signature = Signature::from_bytes_and_parity(&signature, v == 28);
        let raw = hex::encode_prefixed(transaction.into_signed(signature).encoded_2718());
        self.client.call("eth_sendRawTransaction", json!([raw])).await.map_err(refusal)
    }

    /// Whichever of some transactions is mined.
    async fn find(&self, sent: &[B256]) -> Result<Option<Result<Mined, SendError>>, RpcError> {
        for &hash in sent {
            let found = self.client.call("eth_getTransactionReceipt", json!([hash])).await;
            let found: Option<Receipt> = match found {
                Ok(found) => found,
                // It will be asked again.
                Err(RpcError::Timeout(_) | RpcError::RateLimited(_) | RpcError::Transport(_)) => {
                    None
                }
                Err(error) => return Err(error),
            };
            let Some(receipt) = found else { continue };
            if receipt.status != 1 {
                return Ok(Some(Err(SendError::Reverted(hash))));
            }
            let log =
                |ReceiptLog { address, topics, data }: ReceiptLog| RawLog { address, topics, data };
            let price: Wei = receipt.effective_gas_price.saturating_to();
            return Ok(Some(Ok(Mined {
                hash,
                block: receipt.block_number,
                gas: receipt.gas_used,
                fee: price.saturating_mul(receipt.gas_used.into()),
                contract: receipt.contract_address,
                logs: receipt.logs.into_iter().map(log).collect(),
            })));
        }
        Ok(None)
    }
}

/// What a function returns as of the latest block.
pub async fn call<C: SolCall>(
    client: &Client,
    to: Address,
    call: &C,
) -> Result<C::Return, RpcError> {
    let data = Bytes::from(call.abi_encode());
    let returned = client.call("eth_call", json!([{ "to": to, "data": data }, "latest"])).await?;
    let returned: Bytes = decode(returned)?;
    C::abi_decode_returns_validate(&returned).map_err(|e| RpcError::Malformed(e.to_string()))
}

/// Says what a contract means by an error.
fn refusal(error: RpcError) -> SendError {
    let RpcError::Refused { data, message, .. } = &error else { return error.into() };
    let data = data.as_deref().and_then(|data| hex::decode(data).ok()).unwrap_or_default();
    match reason(&data) {
        Some(reason) => SendError::Refused(reason),
        None if message.contains("revert") => SendError::Refused(message.clone()),
        None => error.into(),
    }
}

/// A contract's error, in its own words.
pub fn reason(data: &[u8]) -> Option<String> {
    named::<abi::LightClient::LightClientErrors>(data)
        .or_else(|| named::<abi::StakeRegistry::StakeRegistryErrors>(data))
        .or_else(|| named::<abi::Vault::VaultErrors>(data))
        .or_else(|| named::<abi::Inbox::InboxErrors>(data))
}

fn named<E: SolInterface + Debug>(data: &[u8]) -> Option<String> {
    let error = format!("{:?}", E::abi_decode_validate(data).ok()?);
    // `Name(Name { field: value })`: once is enough.
    let inner = error.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    Some(inner.map_or(error.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolError;

    #[test]
    fn a_contract_s_error_is_named() {
        let error = abi::LightClient::HeightNotAbove { height: 3, head: 7 };
        assert_eq!(reason(&error.abi_encode()).unwrap(), "HeightNotAbove { height: 3, head: 7 }");
        let error = abi::Vault::AlreadyClaimed { index: 5 };
        assert_eq!(reason(&error.abi_encode()).unwrap(), "AlreadyClaimed { index: 5 }");
        assert_eq!(reason(&[1, 2, 3]), None);
    }
}
