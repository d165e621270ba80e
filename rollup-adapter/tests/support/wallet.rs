//! Accounts and their transactions.

use alloy_consensus::transaction::SignableTransaction;
use alloy_consensus::{
    EthereumTxEnvelope, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use serde_json::json;
use weft_types::SecretKey;

use super::chain::GENESIS_TIME_MS;

pub const GWEI: u128 = 1_000_000_000;

#[derive(Clone)]
pub struct Wallet {
    key: SecretKey,
}

pub fn wallet(index: u64) -> Wallet {
    let hash = alloy_primitives::keccak256(index.to_be_bytes());
    Wallet { key: SecretKey::from_bytes(hash.0).unwrap() }
}

/// An EVM genesis file in which each wallet has a thousand ether.
pub fn genesis_json<'a>(chain_id: u64, wallets: impl IntoIterator<Item = &'a Wallet>) -> String {
    let alloc: serde_json::Map<String, serde_json::Value> = wallets
        .into_iter()
        .map(|w| (w.address().to_string(), json!({ "balance": "0x3635c9adc5dea00000" })))
        .collect();
    json!({
        "config": { "chainId": chain_id },
        "timestamp": format!("{:#x}", GENESIS_TIME_MS / 1000),
        "alloc": alloc,
    })
    .to_string()
}

fn alloy_signature(key: &SecretKey, hash: B256) -> Signature {
    let signature = key.sign(hash).0;
    Signature::new(
        U256::from_be_slice(&signature[..32]),
        U256::from_be_slice(&signature[32..64]),
        signature[64] == 28,
    )
}

impl Wallet {
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The key as `0x`-hex.
    pub fn secret(&self) -> String {
        alloy_primitives::hex::encode_prefixed(self.key.to_bytes())
    }

    pub fn sign<T: SignableTransaction<Signature>>(&self, tx: T) -> Signed<T> {
        let signature = alloy_signature(&self.key, tx.signature_hash());
        tx.into_signed(signature)
    }

    pub fn authorize(&self, chain_id: u64, delegate: Address, nonce: u64) -> SignedAuthorization {
        let authorization =
            Authorization { chain_id: U256::from(chain_id), address: delegate, nonce };
        let signature = alloy_signature(&self.key, authorization.signature_hash());
        authorization.into_signed(signature)
    }

    pub fn eip1559(&self, tx: TxEip1559) -> Bytes {
        raw(EthereumTxEnvelope::Eip1559(self.sign(tx)))
    }

    pub fn legacy(&self, tx: TxLegacy) -> Bytes {
        raw(EthereumTxEnvelope::Legacy(self.sign(tx)))
    }

    pub fn eip2930(&self, tx: TxEip2930) -> Bytes {
        raw(EthereumTxEnvelope::Eip2930(self.sign(tx)))
    }

    pub fn eip7702(&self, tx: TxEip7702) -> Bytes {
        raw(EthereumTxEnvelope::Eip7702(self.sign(tx)))
    }

    pub fn eip4844(&self, tx: TxEip4844) -> Bytes {
        raw(EthereumTxEnvelope::Eip4844(self.sign(tx)))
    }

    /// A transfer at 2 gwei.
    pub fn transfer(&self, chain_id: u64, nonce: u64, to: Address, value: u64) -> Bytes {
        self.eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 2 * GWEI,
            max_priority_fee_per_gas: GWEI / 10,
            to: TxKind::Call(to),
            value: U256::from(value),
            ..TxEip1559::default()
        })
    }

    /// A call or creation at 2 gwei.
    pub fn call(
        &self,
        chain_id: u64,
        nonce: u64,
        to: TxKind,
        input: Bytes,
        gas_limit: u64,
    ) -> Bytes {
        self.eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: 2 * GWEI,
            max_priority_fee_per_gas: 0,
            to,
            input,
            ..TxEip1559::default()
        })
    }
}

fn raw(envelope: EthereumTxEnvelope<TxEip4844>) -> Bytes {
    envelope.encoded_2718().into()
}
