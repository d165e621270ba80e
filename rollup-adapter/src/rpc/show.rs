//! The shapes in which blocks, transactions, receipts and logs are shown.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{EthereumReceipt, ReceiptWithBloom, Transaction as _, TxType};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, Transaction, TransactionReceipt};
use serde_json::Value;

use super::error::RpcError;
use crate::evm::block::{Receipt, decode_receipt};
use crate::evm::store::{StoreError, StoredBlock, StoredReceipt, View};
use crate::evm::transaction::{Checked, Envelope, decode_included};

type ShownReceipt = TransactionReceipt<ReceiptWithBloom<EthereumReceipt<TxType, Log>>>;

fn json<T: serde::Serialize>(value: &T) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(RpcError::internal)
}

/// A block's header as JSON.
pub fn header(block: &StoredBlock) -> Header {
    Header {
        hash: block.hash,
        inner: block.header.clone(),
        total_difficulty: Some(U256::ZERO),
        size: Some(U256::from(block.size)),
    }
}

/// A block, with whole transactions or their hashes.
pub fn block(view: &View, block: &StoredBlock, full: bool) -> Result<Value, RpcError> {
    let transactions = if full {
        let all = (0..block.transactions).map(|index| {
            transaction(view, block, index)?
                .ok_or_else(|| StoreError::Damaged("a transaction is missing").into())
        });
        BlockTransactions::Full(all.collect::<Result<Vec<_>, RpcError>>()?)
    } else {
        let mut hashes = Vec::with_capacity(block.transactions as usize);
        for index in 0..block.transactions {
            let (_, raw) = view
                .transaction(block.header.number, index)?
                .ok_or(StoreError::Damaged("a transaction is missing"))?;
            hashes.push(alloy_primitives::keccak256(raw));
        }
        BlockTransactions::Hashes(hashes)
    };
    json(&Block {
        header: header(block),
        uncles: Vec::new(),
        transactions,
        withdrawals: Some(alloy_eips::eip4895::Withdrawals::default()),
    })
}

fn included(
    view: &View,
    block: &StoredBlock,
    index: u32,
) -> Result<Option<(Address, Envelope)>, RpcError> {
    let Some((sender, raw)) = view.transaction(block.header.number, index)? else {
        return Ok(None);
    };
    let envelope = decode_included(&raw).ok_or(StoreError::Damaged("a transaction"))?;
    Ok(Some((sender, envelope)))
}

/// A transaction of a block.
pub fn transaction(
    view: &View,
    block: &StoredBlock,
    index: u32,
) -> Result<Option<Transaction<Envelope>>, RpcError> {
    let Some((sender, envelope)) = included(view, block, index)? else { return Ok(None) };
    Ok(Some(Transaction {
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        transaction_index: Some(u64::from(index)),
        effective_gas_price: Some(envelope.effective_gas_price(block.header.base_fee_per_gas)),
        block_timestamp: Some(block.header.timestamp),
        inner: Recovered::new_unchecked(envelope, sender),
    }))
}

/// A transaction that is not in a block yet.
pub fn pending(transaction: Checked) -> Result<Value, RpcError> {
    let Checked { envelope, sender, .. } = transaction;
    json(&Transaction {
        block_hash: None,
        block_number: None,
        transaction_index: None,
        effective_gas_price: Some(envelope.max_fee_per_gas()),
        block_timestamp: None,
        inner: Recovered::new_unchecked(envelope, sender),
    })
}

/// What the store says of a receipt, decoded.
pub fn stored_receipt(
    view: &View,
    block: &StoredBlock,
    index: u32,
) -> Result<Option<(StoredReceipt, Receipt)>, RpcError> {
    let Some(stored) = view.receipt(block.header.number, index)? else { return Ok(None) };
    let receipt = decode_receipt(&stored.receipt).ok_or(StoreError::Damaged("a receipt"))?;
    Ok(Some((stored, receipt)))
}

/// The receipt of a transaction of a block.
pub fn receipt(view: &View, block: &StoredBlock, index: u32) -> Result<Option<Value>, RpcError> {
    let Some((sender, envelope)) = included(view, block, index)? else { return Ok(None) };
    let (stored, receipt) =
        stored_receipt(view, block, index)?.ok_or(StoreError::Damaged("a receipt is missing"))?;
    let hash = *envelope.tx_hash();
    let ReceiptWithBloom { receipt, logs_bloom } = receipt;
    let logs = logs(block, u64::from(index), hash, stored.first_log, receipt.logs);
    let inner = ReceiptWithBloom {
        receipt: EthereumReceipt {
            tx_type: receipt.tx_type,
            success: receipt.success,
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs,
        },
        logs_bloom,
    };
    let shown: ShownReceipt = TransactionReceipt {
        inner,
        transaction_hash: hash,
        transaction_index: Some(u64::from(index)),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        gas_used: stored.gas_used,
        effective_gas_price: envelope.effective_gas_price(block.header.base_fee_per_gas),
        blob_gas_used: None,
        blob_gas_price: None,
        from: sender,
        to: envelope.to(),
        contract_address: stored.created,
    };
    json(&shown).map(Some)
}

/// The logs of a transaction, with their places.
pub fn logs(
    block: &StoredBlock,
    transaction_index: u64,
    transaction_hash: alloy_primitives::B256,
    first: u64,
    logs: Vec<alloy_primitives::Log>,
) -> Vec<Log> {
    (first..)
        .zip(logs)
        .map(|(index, inner)| Log {
            inner,
            block_hash: Some(block.hash),
            block_number: Some(block.header.number),
            block_timestamp: Some(block.header.timestamp),
            transaction_hash: Some(transaction_hash),
            transaction_index: Some(transaction_index),
            log_index: Some(index),
            removed: false,
        })
        .collect()
}
