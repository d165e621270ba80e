//! Choosing what goes into the next Weft transaction, and making it. Pure.

use alloy_primitives::{B256, Bytes};
use weft_types::limits::{MAX_SUBMIT_ITEMS, MAX_TRANSACTION_BYTES};
use weft_types::{
    NamespaceId, Payload, SecretKey, Signed, TimeMs, Transaction, TransactionBody, Wei,
};

use super::pool::Pool;

/// Bytes that a `Submit` has around its items, generously.
const OVERHEAD: usize = 256;
/// Bytes that borsh adds to an item.
const PER_ITEM: usize = 4;

/// The next load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Hashes of the transactions, in order.
    pub hashes: Vec<B256>,
    /// Their bytes.
    pub data: Vec<Bytes>,
    /// Bytes that the Weft transaction will have, generously.
    pub bytes: usize,
    /// How often the one of them that was carried most often was carried already.
    pub attempts: u32,
    /// Whether more would have been ready.
    pub is_full: bool,
}

/// Takes what is ready, up to so many items.
pub fn load(pool: &Pool, max_items: usize) -> Load {
    let max_items = max_items.clamp(1, MAX_SUBMIT_ITEMS);
    let mut load = Load { bytes: OVERHEAD, ..Load::default() };
    pool.ready(|item| {
        let size = item.transaction.raw.len() + PER_ITEM;
        if load.hashes.len() >= max_items || load.bytes + size > MAX_TRANSACTION_BYTES {
            load.is_full = true;
            return false;
        }
        load.bytes += size;
        load.attempts = load.attempts.max(item.attempts);
        load.hashes.push(item.transaction.hash);
        load.data.push(item.transaction.raw.clone());
        true
    });
    load
}

/// What a Weft transaction is made with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The network.
    pub chain_id: u64,
    /// The rollup.
    pub namespace: NamespaceId,
    /// Last block time at which it may be ordered.
    pub valid_until: TimeMs,
    /// Any number.
    pub salt: u64,
    /// Most it may cost.
    pub max_fee: Wei,
}

/// Makes and signs the Weft transaction.
pub fn make(load: &Load, terms: Terms, key: &SecretKey) -> Transaction {
    let body = TransactionBody {
        chain_id: terms.chain_id,
        valid_until: terms.valid_until,
        salt: terms.salt,
        max_fee: terms.max_fee,
        payload: Payload::Submit { namespace: terms.namespace, data: load.data.clone() },
    };
    Signed::new(body, terms.chain_id, key)
}
