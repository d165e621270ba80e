//! A block's header: what follows from its parent, its slice and its execution.

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{EthereumReceipt, Header, ReceiptWithBloom, TxReceipt, TxType};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, Bloom, Log, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use weft_types::TimeMs;

use super::execute::Included;
use super::spec::ChainSpec;

/// A receipt as the receipts trie holds it.
pub type Receipt = ReceiptWithBloom<EthereumReceipt<TxType>>;

/// Where a block stands, known before it executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: u64,
    /// Hash of the block before it.
    pub parent: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
}

impl Place {
    /// The place after a block, at a Weft block time.
    pub fn after(parent: &Header, parent_hash: B256, time_ms: TimeMs) -> Self {
        Self {
            number: parent.number.saturating_add(1),
            parent: parent_hash,
            timestamp: (time_ms / 1000).max(parent.timestamp),
        }
    }

    /// `keccak256( parent hash || number as u64, little-endian )`.
    pub fn prevrandao(&self) -> B256 {
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(self.parent.as_slice());
        bytes[32..].copy_from_slice(&self.number.to_le_bytes());
        keccak256(bytes)
    }
}

/// What every header has in common.
fn template(spec: &ChainSpec) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: spec.coinbase,
        gas_limit: spec.gas_limit,
        base_fee_per_gas: Some(spec.base_fee),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// The genesis block's header. Its state root is that of an empty trie, whatever the allocation.
pub fn genesis_header(spec: &ChainSpec) -> Header {
    Header {
        timestamp: spec.genesis_time,
        state_root: EMPTY_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        ..template(spec)
    }
}

/// The header of an executed block.
pub fn header(spec: &ChainSpec, place: &Place, state_root: B256, included: &[Included]) -> Header {
    let receipts: Vec<Receipt> = included.iter().map(|tx| tx.receipt.clone()).collect();
    let mut logs_bloom = Bloom::ZERO;
    for receipt in &receipts {
        logs_bloom.accrue_bloom(&receipt.logs_bloom);
    }
    let envelopes: Vec<_> = included.iter().map(|tx| &tx.transaction.envelope).collect();
    Header {
        parent_hash: place.parent,
        number: place.number,
        timestamp: place.timestamp,
        mix_hash: place.prevrandao(),
        state_root,
        transactions_root: calculate_transaction_root(&envelopes),
        receipts_root: calculate_receipt_root(&receipts),
        logs_bloom,
        gas_used: receipts.last().map_or(0, |receipt| receipt.receipt.cumulative_gas_used),
        ..template(spec)
    }
}

/// Makes a receipt.
pub fn receipt(
    tx_type: TxType,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
) -> Receipt {
    let receipt = EthereumReceipt { tx_type, success, cumulative_gas_used, logs };
    let logs_bloom = receipt.bloom();
    ReceiptWithBloom { receipt, logs_bloom }
}

/// A receipt's bytes, as stored.
pub fn encode_receipt(receipt: &Receipt) -> Vec<u8> {
    receipt.encoded_2718()
}

/// The inverse of [`encode_receipt`].
pub fn decode_receipt(bytes: &[u8]) -> Option<Receipt> {
    Receipt::decode_2718_exact(bytes).ok()
}
