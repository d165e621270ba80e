//! From an item's bytes to a transaction that could execute in some block, or to why it cannot in
//! any. Everything here depends on the bytes and the [`ChainSpec`] alone.

use std::sync::LazyLock;

use alloy_consensus::transaction::SignableTransaction;
use alloy_consensus::{EthereumTxEnvelope, Signed, Transaction, TxEip4844, TxType};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use revm::context::TxEnv;
use revm::context::either::Either;
use revm::context_interface::cfg::GasParams;
use weft_types::Signature;

use super::skip::SkipReason;
use super::spec::{ChainSpec, HARDFORK, MAX_INITCODE, MAX_TRANSACTION_GAS};

/// A decoded transaction.
pub type Envelope = EthereumTxEnvelope<TxEip4844>;

/// The first byte of a blob transaction.
const BLOB_TYPE: u8 = 3;

static GAS_PARAMS: LazyLock<GasParams> = LazyLock::new(|| GasParams::new_spec(HARDFORK));

/// A transaction with its sender that passed every check its bytes alone allow.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The transaction.
    pub envelope: Envelope,
    /// Its bytes, as they came.
    pub raw: Bytes,
    /// Its hash: keccak256 of the bytes.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
}

impl Checked {
    /// Decodes and checks an item.
    pub fn new(raw: &Bytes, spec: &ChainSpec) -> Result<Self, SkipReason> {
        let envelope = decode(raw)?;
        if envelope.chain_id().is_some_and(|id| id != spec.chain_id) {
            return Err(SkipReason::ChainId);
        }
        let sender = recover_sender(&envelope).ok_or(SkipReason::Signature)?;
        let checked = Self { envelope, raw: raw.clone(), hash: keccak256(raw), sender };
        checked.check(spec)?;
        Ok(checked)
    }

    fn check(&self, spec: &ChainSpec) -> Result<(), SkipReason> {
        let tx = &self.envelope;
        if tx.max_fee_per_gas() < u128::from(spec.base_fee) {
            return Err(SkipReason::FeeBelowBase);
        }
        if tx.max_priority_fee_per_gas().is_some_and(|tip| tip > tx.max_fee_per_gas()) {
            return Err(SkipReason::TipAboveFee);
        }
        if tx.gas_limit() > spec.gas_limit.min(MAX_TRANSACTION_GAS) {
            return Err(SkipReason::GasAboveLimit);
        }
        if tx.kind().is_create() && tx.input().len() > MAX_INITCODE {
            return Err(SkipReason::InitcodeTooLarge);
        }
        if tx.authorization_list().is_some_and(<[_]>::is_empty) {
            return Err(SkipReason::NoAuthorizations);
        }
        if tx.nonce() == u64::MAX {
            return Err(SkipReason::NonceTooHigh);
        }
        if self.intrinsic_gas() > tx.gas_limit() {
            return Err(SkipReason::IntrinsicGas);
        }
        Ok(())
    }

    /// The gas it takes at least, whatever it does.
    pub fn intrinsic_gas(&self) -> u64 {
        let gas = GAS_PARAMS.initial_tx_gas_for_tx(self.env(), None);
        gas.initial_total_gas().max(gas.floor_gas())
    }

    /// What its sender must own: gas at the highest price, and the value.
    pub fn max_cost(&self) -> U256 {
        let tx = &self.envelope;
        U256::from(tx.gas_limit())
            .saturating_mul(U256::from(tx.max_fee_per_gas()))
            .saturating_add(tx.value())
    }

    /// The form in which the EVM takes it.
    pub fn env(&self) -> TxEnv {
        let tx = &self.envelope;
        let authorizations = tx.authorization_list().unwrap_or_default();
        TxEnv {
            tx_type: u8::from(tx.tx_type()),
            caller: self.sender,
            gas_limit: tx.gas_limit(),
            gas_price: tx.max_fee_per_gas(),
            kind: tx.kind(),
            value: tx.value(),
            data: tx.input().clone(),
            nonce: tx.nonce(),
            chain_id: tx.chain_id(),
            access_list: tx.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: tx.max_priority_fee_per_gas(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: authorizations
                .iter()
                .map(|authorization| Either::Right(recover_authority(authorization)))
                .collect(),
        }
    }

    /// Where a creation puts its contract; `None` for a call.
    pub fn created(&self) -> Option<Address> {
        match self.envelope.kind() {
            TxKind::Create => Some(self.sender.create(self.envelope.nonce())),
            TxKind::Call(_) => None,
        }
    }
}

fn decode(raw: &[u8]) -> Result<Envelope, SkipReason> {
    if raw.first() == Some(&BLOB_TYPE) {
        return Err(SkipReason::Blob);
    }
    let envelope = Envelope::decode_2718_exact(raw).map_err(|_| SkipReason::Undecodable)?;
    // One transaction, one encoding: else one signature would have several hashes.
    if envelope.encoded_2718() != raw {
        return Err(SkipReason::Undecodable);
    }
    Ok(envelope)
}

/// Decodes a transaction that a block already holds.
pub fn decode_included(raw: &[u8]) -> Option<Envelope> {
    decode(raw).ok()
}

fn recover_sender(envelope: &Envelope) -> Option<Address> {
    fn recover<T: SignableTransaction<alloy_primitives::Signature>>(
        tx: &Signed<T>,
    ) -> Option<Address> {
        let signature = tx.signature();
        recover_from(signature.r(), signature.s(), signature.v(), tx.signature_hash())
    }
    match envelope {
        EthereumTxEnvelope::Legacy(tx) => recover(tx),
        EthereumTxEnvelope::Eip2930(tx) => recover(tx),
        EthereumTxEnvelope::Eip1559(tx) => recover(tx),
        EthereumTxEnvelope::Eip7702(tx) => recover(tx),
        EthereumTxEnvelope::Eip4844(_) => None,
    }
}

fn recover_from(r: U256, s: U256, odd: bool, hash: B256) -> Option<Address> {
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&r.to_be_bytes::<32>());
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] = 27 + u8::from(odd);
    Signature(bytes).recover(hash).ok()
}

/// Recovers who signed an authorization.
pub fn recover_authority(signed: &SignedAuthorization) -> RecoveredAuthorization {
    let address = match signed.y_parity() {
        parity @ (0 | 1) => {
            recover_from(signed.r(), signed.s(), parity == 1, signed.inner().signature_hash())
        }
        _ => None,
    };
    let authority = address.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
    RecoveredAuthorization::new_unchecked(signed.inner().clone(), authority)
}

/// The number of a transaction's type, as receipts carry it.
pub fn type_number(kind: TxType) -> u8 {
    u8::from(kind)
}
