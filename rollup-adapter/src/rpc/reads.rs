//! The reading methods, answered by the embedded engine's store. They block, so they run off the
//! async threads.

use alloy_consensus::Transaction as _;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{FeeHistory, Filter, Index, TransactionRequest};
use serde_json::{Value, json};

use super::RpcLimits;
use super::error::RpcError;
use super::params::Params;
use super::{logs, show};
use crate::evm::call::Ground;
use crate::evm::spec::ChainSpec;
use crate::evm::store::{AccountRecord, Outcome, StoredBlock, View};
use crate::evm::transaction::decode_included;
use crate::gateway::Gateway;

/// Most blocks in a fee history.
const MAX_FEE_BLOCKS: u64 = 1024;
/// Most blocks in a fee history with rewards, for which every transaction has to be read.
const MAX_REWARD_BLOCKS: u64 = 128;
/// Most percentiles in a fee history.
const MAX_PERCENTILES: usize = 100;

/// What reading methods are answered from.
pub struct Reads<'a> {
    /// The store, as of now.
    pub view: View,
    /// The fields that never change.
    pub spec: &'a ChainSpec,
    /// Knows what is pending.
    pub gateway: &'a Gateway,
    /// What clients may ask for.
    pub limits: &'a RpcLimits,
}

/// Methods that execute code, of which only so many run at a time.
pub fn is_execution(method: &str) -> bool {
    matches!(method, "eth_call" | "eth_estimateGas" | "eth_createAccessList")
}

impl Reads<'_> {
    /// Answers a method, or `None` if it is not a reading one.
    pub fn answer(&self, method: &str, params: &Params) -> Option<Result<Value, RpcError>> {
        Some(match method {
            "eth_blockNumber" => self.head().map(|block| json!(U64::from(block.header.number))),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => self.block(method, params),
            "eth_getBlockReceipts" => self.block_receipts(params),
            "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
                self.per_block(method, params, |block| json!(U64::from(block.transactions)))
            }
            "eth_getUncleCountByBlockNumber" | "eth_getUncleCountByBlockHash" => {
                self.per_block(method, params, |_| json!(U64::ZERO))
            }
            "eth_getTransactionByHash" => self.transaction(params),
            "eth_getRawTransactionByHash" => self.raw_transaction(params),
            "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
                self.transaction_at(method, params)
            }
            "eth_getTransactionReceipt" => self.receipt(params),
            "eth_getTransactionCount" => self.transaction_count(params),
            "eth_getBalance" => self.account(params).map(|account| json!(account.balance())),
            "eth_getCode" => self.code(params),
            "eth_getStorageAt" => self.storage(params),
            "eth_call" => self.call(params),
            "eth_estimateGas" => self.estimate(params),
            "eth_createAccessList" => self.access_list(params),
            "eth_gasPrice" => Ok(json!(U256::from(self.spec.base_fee))),
            // Order is Weft's: a tip buys nothing here.
            "eth_maxPriorityFeePerGas" => Ok(json!(U256::ZERO)),
            "eth_blobBaseFee" => Ok(json!(U256::from(1))),
            "eth_feeHistory" => self.fee_history(params),
            "eth_getLogs" => self.logs(params),
            _ => return None,
        })
    }

    fn head(&self) -> Result<StoredBlock, RpcError> {
        Ok(self.view.head()?)
    }

    /// The block that a name stands for.
    fn find(&self, id: BlockId) -> Result<Option<StoredBlock>, RpcError> {
        let number = match id {
            BlockId::Hash(hash) => match self.view.number(&hash.block_hash)? {
                Some(number) => number,
                None => return Ok(None),
            },
            BlockId::Number(tag) => match tag {
                BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Pending => {
                    return self.head().map(Some);
                }
                BlockNumberOrTag::Finalized => self.view.settled()?,
                BlockNumberOrTag::Earliest => 0,
                BlockNumberOrTag::Number(number) => number,
            },
        };
        Ok(self.view.block(number)?)
    }

    /// The block that the first parameter names, by number or by hash.
    fn named(&self, method: &str, params: &Params) -> Result<Option<StoredBlock>, RpcError> {
        let id = if method.contains("Hash") {
            BlockId::from(params.get::<B256>(0)?)
        } else {
            BlockId::from(params.get::<BlockNumberOrTag>(0)?)
        };
        self.find(id)
    }

    fn per_block(
        &self,
        method: &str,
        params: &Params,
        show: impl FnOnce(&StoredBlock) -> Value,
    ) -> Result<Value, RpcError> {
        Ok(self.named(method, params)?.as_ref().map_or(Value::Null, show))
    }

    fn block(&self, method: &str, params: &Params) -> Result<Value, RpcError> {
        let full = params.optional(1)?.unwrap_or(false);
        match self.named(method, params)? {
            Some(block) => show::block(&self.view, &block, full),
            None => Ok(Value::Null),
        }
    }

    fn block_receipts(&self, params: &Params) -> Result<Value, RpcError> {
        let Some(block) = self.find(params.get(0)?)? else { return Ok(Value::Null) };
        let receipts = (0..block.transactions)
            .filter_map(|index| show::receipt(&self.view, &block, index).transpose());
        Ok(Value::Array(receipts.collect::<Result<_, _>>()?))
    }

    /// Where a transaction stands, if it was executed.
    fn place(&self, hash: &B256) -> Result<Option<(StoredBlock, u32)>, RpcError> {
        let Some(Outcome::Executed { block, index, .. }) = self.view.outcome(hash)? else {
            return Ok(None);
        };
        Ok(self.view.block(block)?.map(|block| (block, index)))
    }

    fn transaction(&self, params: &Params) -> Result<Value, RpcError> {
        let hash = params.get(0)?;
        if let Some((block, index)) = self.place(&hash)? {
            return shown(show::transaction(&self.view, &block, index)?);
        }
        self.gateway.pending(&hash).map_or(Ok(Value::Null), show::pending)
    }

    fn raw_transaction(&self, params: &Params) -> Result<Value, RpcError> {
        let hash = params.get(0)?;
        if let Some((block, index)) = self.place(&hash)? {
            let found = self.view.transaction(block.header.number, index)?;
            return Ok(found.map_or(Value::Null, |(_, raw)| json!(raw)));
        }
        Ok(self.gateway.pending(&hash).map_or(Value::Null, |tx| json!(tx.raw)))
    }

    fn transaction_at(&self, method: &str, params: &Params) -> Result<Value, RpcError> {
        let index: Index = params.get(1)?;
        let Some(block) = self.named(method, params)? else { return Ok(Value::Null) };
        let index = u32::try_from(index.0).unwrap_or(u32::MAX);
        shown(show::transaction(&self.view, &block, index)?)
    }

    fn receipt(&self, params: &Params) -> Result<Value, RpcError> {
        match self.place(&params.get(0)?)? {
            Some((block, index)) => {
                Ok(show::receipt(&self.view, &block, index)?.unwrap_or(Value::Null))
            }
            None => Ok(Value::Null),
        }
    }

    /// The number of the block whose state the parameter names.
    fn state_block(&self, params: &Params, place: usize) -> Result<StoredBlock, RpcError> {
        self.find(params.block(place)?)?.ok_or_else(RpcError::no_block)
    }

    fn account(&self, params: &Params) -> Result<AccountRecord, RpcError> {
        let address: Address = params.get(0)?;
        let block = self.state_block(params, 1)?.header.number;
        Ok(self.view.account(&address, block)?.unwrap_or_default())
    }

    fn transaction_count(&self, params: &Params) -> Result<Value, RpcError> {
        let nonce = self.account(params)?.nonce;
        let nonce = match params.block(1)? {
            BlockId::Number(BlockNumberOrTag::Pending) => {
                self.gateway.next_nonce(&params.get(0)?, nonce)
            }
            _ => nonce,
        };
        Ok(json!(U64::from(nonce)))
    }

    fn code(&self, params: &Params) -> Result<Value, RpcError> {
        Ok(json!(self.view.code(&self.account(params)?.code_hash)?))
    }

    fn storage(&self, params: &Params) -> Result<Value, RpcError> {
        let address: Address = params.get(0)?;
        let slot: U256 = params.get(1)?;
        let block = self.state_block(params, 2)?.header.number;
        let value = self.view.slot(&address, &B256::from(slot), block)?;
        Ok(json!(value.unwrap_or_default()))
    }

    /// Runs something on the state and in the context of the block that the second parameter
    /// names.
    fn on_ground<T: serde::Serialize>(
        &self,
        params: &Params,
        run: impl FnOnce(Ground<'_>, TransactionRequest) -> Result<T, crate::evm::call::CallError>,
    ) -> Result<Value, RpcError> {
        let request = params.get(0)?;
        let block = self.state_block(params, 1)?;
        let ground = Ground {
            state: self.view.state_at(block.header.number),
            spec: self.spec,
            header: &block.header,
            gas_cap: self.limits.call_gas,
        };
        let result = run(ground, request)?;
        serde_json::to_value(result).map_err(RpcError::internal)
    }

    fn call(&self, params: &Params) -> Result<Value, RpcError> {
        let overrides: Option<StateOverride> = params.optional(2)?;
        self.on_ground(params, |ground, request| ground.call(request, overrides))
    }

    fn estimate(&self, params: &Params) -> Result<Value, RpcError> {
        let overrides: Option<StateOverride> = params.optional(2)?;
        self.on_ground(params, |ground, request| ground.estimate(request, overrides).map(U64::from))
    }

    fn access_list(&self, params: &Params) -> Result<Value, RpcError> {
        self.on_ground(params, |ground, request| ground.access_list(request))
    }

    fn logs(&self, params: &Params) -> Result<Value, RpcError> {
        let filter: Filter = params.get(0)?;
        let logs = logs::get(&self.view, &filter, self.limits)?;
        serde_json::to_value(logs).map_err(RpcError::internal)
    }

    fn fee_history(&self, params: &Params) -> Result<Value, RpcError> {
        let count: U64 = params.get::<LooseNumber>(0)?.0;
        let newest: BlockNumberOrTag = params.get(1)?;
        let percentiles: Vec<f64> = params.optional(2)?.unwrap_or_default();
        let sorted =
            percentiles.is_sorted() && percentiles.iter().all(|p| (0.0..=100.).contains(p));
        if percentiles.len() > MAX_PERCENTILES || !sorted {
            return Err(RpcError::params("invalid reward percentile"));
        }
        let newest = self.find(newest.into())?.ok_or_else(RpcError::no_block)?.header.number;
        let most = if percentiles.is_empty() { MAX_FEE_BLOCKS } else { MAX_REWARD_BLOCKS };
        let count = count.to::<u64>().min(most).min(newest.saturating_add(1));
        let oldest = newest.saturating_add(1).saturating_sub(count);
        let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
        let mut rewards = Vec::new();
        for number in oldest..oldest.saturating_add(count) {
            let block = self.view.block(number)?.ok_or_else(RpcError::no_block)?;
            let ratio = ratio(block.header.gas_used, block.header.gas_limit);
            history.gas_used_ratio.push(ratio);
            if !percentiles.is_empty() {
                rewards.push(self.rewards(&block, &percentiles)?);
            }
        }
        // One more than blocks: the next block's are known as well, since they never change.
        let entries = history.gas_used_ratio.len() + 1;
        history.base_fee_per_gas = vec![u128::from(self.spec.base_fee); entries];
        history.base_fee_per_blob_gas = vec![1; entries];
        history.blob_gas_used_ratio = vec![0.0; entries - 1];
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        serde_json::to_value(history).map_err(RpcError::internal)
    }

    /// Tips paid in a block, at percentiles of gas used.
    fn rewards(&self, block: &StoredBlock, percentiles: &[f64]) -> Result<Vec<u128>, RpcError> {
        let mut paid = Vec::with_capacity(block.transactions as usize);
        for index in 0..block.transactions {
            let number = block.header.number;
            let transaction = self.view.transaction(number, index)?;
            let receipt = self.view.receipt(number, index)?;
            if let (Some((_, raw)), Some(receipt)) = (transaction, receipt) {
                let tip = decode_included(&raw)
                    .and_then(|tx| tx.effective_tip_per_gas(self.spec.base_fee))
                    .unwrap_or(0);
                paid.push((tip, receipt.gas_used));
            }
        }
        paid.sort_unstable();
        let at = |percentile: &f64| {
            let mut below = 0u64;
            for (tip, gas) in &paid {
                below = below.saturating_add(*gas);
                if ratio(below, block.header.gas_used) * 100.0 >= *percentile {
                    return *tip;
                }
            }
            paid.last().map_or(0, |(tip, _)| *tip)
        };
        Ok(percentiles.iter().map(at).collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio shown to wallets")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A number as `0x`-hex, or as a JSON number as some wallets send it here.
struct LooseNumber(U64);

impl<'de> serde::Deserialize<'de> for LooseNumber {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(input)?;
        if let Some(number) = value.as_u64() {
            return Ok(Self(U64::from(number)));
        }
        serde_json::from_value(value).map(Self).map_err(serde::de::Error::custom)
    }
}

fn shown<T: serde::Serialize>(value: Option<T>) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(RpcError::internal)
}
