//! What legs call: a contract that counts, or reverts if asked to.

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use eyre::{ensure, eyre};
use serde_json::json;
use weft_rollup_adapter::evm::items::{Bound, MARK};
use weft_types::SecretKey;

use super::PATIENCE;
use crate::client::wait_for;
use crate::load::evm::sign;
use crate::rpc::Rpc;

/// Reverts if the first word of its input is not zero. Else it adds one to slot 0 and logs nothing:
/// `if calldataload(0) { revert(0, 0) } sstore(0, sload(0) + 1) log0(0, 0) stop()`.
const CODE: [u8; 30] = hex!("601480600a5f395ff3fe5f356010575f546001015f555f5fa0005b5f5ffd");

/// Gas of a call: more than it takes.
const GAS: u64 = 100_000;

/// Twice the base fee, in wei.
const GAS_PRICE: u128 = 2_000_000_000;

/// More than any account has, in wei.
const TOO_MUCH: U256 = U256::from_limbs([0, 0, 1, 0]);

/// What a leg's transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It counts.
    Counts,
    /// It reverts.
    Reverts,
    /// It sends more than its sender has.
    Overspends,
    /// Its nonce is not its sender's turn.
    SkipsNonce,
}

impl Act {
    /// Whether it succeeds.
    pub fn succeeds(self) -> bool {
        self == Self::Counts
    }
}

/// Puts the contract on a rollup. The account must not have sent anything there.
pub(super) async fn deploy(rpc: &Rpc, chain_id: u64, key: &SecretKey) -> eyre::Result<Address> {
    let transaction = TxEip1559 {
        to: TxKind::Create,
        input: Bytes::from_static(&CODE),
        gas_limit: 10 * GAS,
        ..transaction(chain_id, 0)
    };
    let (hash, raw) = sign(transaction, key);
    rpc.call("eth_sendRawTransaction", json!([raw])).await?;
    wait_for("the contract to be there", PATIENCE, || async {
        let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        ensure!(receipt.is_null() || receipt["status"] == "0x1", "not deployed: {receipt}");
        Ok((!receipt.is_null()).then_some(()))
    })
    .await?;
    Ok(key.address().create(0))
}

/// A leg's transaction, bound to its bundle: its hash and bytes.
pub(super) fn call(
    chain_id: u64,
    gate: Address,
    key: &SecretKey,
    nonce: u64,
    act: Act,
    bound: &Bound,
) -> (B256, Bytes) {
    let mark = AccessListItem { address: MARK, storage_keys: bound.keys() };
    let input = B256::with_last_byte(u8::from(act == Act::Reverts));
    let transaction = TxEip1559 {
        to: TxKind::Call(gate),
        input: input.to_vec().into(),
        value: if act == Act::Overspends { TOO_MUCH } else { U256::ZERO },
        access_list: AccessList(vec![mark]),
        ..transaction(chain_id, if act == Act::SkipsNonce { nonce + 1 } else { nonce })
    };
    sign(transaction, key)
}

fn transaction(chain_id: u64, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: GAS_PRICE,
        ..TxEip1559::default()
    }
}

/// How often it has counted.
pub(super) async fn counted(rpc: &Rpc, gate: Address) -> eyre::Result<u64> {
    let slot = rpc.call("eth_getStorageAt", json!([gate, "0x0", "latest"])).await?;
    let word: B256 = serde_json::from_value(slot)?;
    u64::try_from(U256::from_be_bytes(word.0)).map_err(|_| eyre!("counted to {word}"))
}
