//! Bundles as searchers know them, as bids (`spec/auction.md`, bundles over JSON-RPC).
//!
//! The shapes are those of `eth_sendBundle` and `mev_sendBundle`, with one field more. What a field
//! asks for that Weft does not do is refused by the field's name, not ignored.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use serde_json::{Map, Value};
use weft_types::limits::MAX_SUBMIT_ITEMS;
use weft_types::{
    Address, B256, BidMode, Bytes, Height, Leg, NamespaceId, Payload, Signature, Transaction,
    TransactionBody, Wei,
};

use super::error::RpcError;

/// What a bid pays for its inclusion at most if it does not say, in wei: a hundredth of an ether.
pub const DEFAULT_MAX_FEE: Wei = 10_000_000_000_000_000;

/// A bundle, taken apart.
#[derive(Debug)]
pub struct Bundle {
    /// The bid that it stands for, signed.
    pub transaction: Transaction,
    /// Who says to have signed it.
    pub bidder: Address,
}

/// The bid that the parameters of `eth_sendBundle` stand for.
pub fn eth(chain_id: u64, bundle: &Value) -> Result<Bundle, RpcError> {
    let mut fields = Fields::of("bundle", bundle)?;
    let txs = fields.list("txs")?;
    let height = fields.height("blockNumber")?;
    let latest = fields.take("maxTimestamp").map(|value| number("maxTimestamp", &value));
    let latest = latest.transpose()?;
    let allowed = fields.take("revertingTxHashes");
    let allowed = allowed.map(|value| parse::<BTreeSet<B256>>("revertingTxHashes", &value));
    let allowed = allowed.transpose()?.unwrap_or_default();
    let offer = Offer::of(&mut fields, latest)?;
    let all = txs.iter().map(hash).collect::<Result<BTreeSet<_>, _>>()?;
    // That some only may revert cannot be kept.
    let is_kept =
        allowed.is_empty() || (offer.mode == BidMode::Inclusion && all.is_subset(&allowed));
    if !is_kept {
        return Err(unsupported("revertingTxHashes", offer.reverts()));
    }
    fields.nothing_else()?;
    offer.bundle(chain_id, height, &txs)
}

/// The bid that the parameters of `mev_sendBundle` stand for.
pub fn mev(chain_id: u64, bundle: &Value) -> Result<Bundle, RpcError> {
    let mut fields = Fields::of("bundle", bundle)?;
    if let Some(version) = fields.take("version")
        && !["v0.1", "beta-1"].contains(&version.as_str().unwrap_or_default())
    {
        return Err(unsupported("version", "expected v0.1"));
    }
    let inclusion = fields.take("inclusion").ok_or_else(|| missing("inclusion"))?;
    let mut inclusion = Fields::of("inclusion", &inclusion)?;
    let height = inclusion.height("block")?;
    if let Some(last) = inclusion.take("maxBlock")
        && number::<Height>("inclusion.maxBlock", &last)? != height
    {
        return Err(unsupported("inclusion.maxBlock", "a bid is for one height"));
    }
    inclusion.nothing_else()?;
    let (mut txs, mut can_revert) = (Vec::new(), Vec::new());
    for item in fields.list::<Value>("body")? {
        let mut item = Fields::of("body", &item)?;
        txs.push(parse("body.tx", &item.take("tx").ok_or_else(|| missing("body.tx"))?)?);
        let may = item.take("canRevert").map(|value| parse::<bool>("body.canRevert", &value));
        can_revert.extend(may.transpose()?);
        item.nothing_else()?;
    }
    let offer = Offer::of(&mut fields, None)?;
    let all_may = offer.mode == BidMode::Inclusion;
    if can_revert.iter().any(|may| *may != all_may) {
        return Err(unsupported("body.canRevert", offer.reverts()));
    }
    fields.nothing_else()?;
    offer.bundle(chain_id, height, &txs)
}

/// The field that neither shape has by itself.
struct Offer {
    bidder: Address,
    sequence: u64,
    amount: Wei,
    mode: BidMode,
    max_fee: Wei,
    valid_until: u64,
    signature: Signature,
}

impl Offer {
    /// `latest` is until when the bundle may be ordered by the shape's own fields, in seconds.
    fn of(fields: &mut Fields, latest: Option<u64>) -> Result<Self, RpcError> {
        let weft = fields.take("weft").ok_or_else(|| missing("weft"))?;
        let mut weft = Fields::of("weft", &weft)?;
        let required = |value: Option<Value>, name| value.ok_or_else(|| missing(name));
        let bidder = parse("weft.bidder", &required(weft.take("bidder"), "weft.bidder")?)?;
        let sequence = number("weft.sequence", &required(weft.take("sequence"), "weft.sequence")?)?;
        let amount = number("weft.amount", &required(weft.take("amount"), "weft.amount")?)?;
        let mode = weft.take("mode").map(|value| parse("weft.mode", &value)).transpose()?;
        let signature: Bytes =
            parse("weft.signature", &required(weft.take("signature"), "weft.signature")?)?;
        let signature = <[u8; 65]>::try_from(&signature[..])
            .map_err(|_| RpcError::params("weft.signature", "expected 65 bytes"))?;
        let max_fee = weft.take("maxFee").map(|value| number("weft.maxFee", &value)).transpose()?;
        let until = weft.take("validUntil").map(|value| number("weft.validUntil", &value));
        let valid_until = match (until.transpose()?, latest) {
            (Some(_), Some(_)) => {
                return Err(unsupported("weft.validUntil", "maxTimestamp says it already"));
            }
            (Some(until), None) => until,
            (None, Some(seconds)) => seconds.saturating_mul(1000),
            (None, None) => return Err(missing("maxTimestamp or weft.validUntil")),
        };
        weft.nothing_else()?;
        let max_fee = max_fee.unwrap_or(DEFAULT_MAX_FEE);
        let (mode, signature) = (mode.unwrap_or_default(), Signature(signature));
        Ok(Self { bidder, sequence, amount, mode, max_fee, valid_until, signature })
    }

    /// Which transactions may revert.
    fn reverts(&self) -> &'static str {
        match self.mode {
            BidMode::Inclusion => "transactions may revert, all of them",
            BidMode::Atomic => "of an atomic bundle no transaction may revert",
        }
    }

    fn bundle(self, chain_id: u64, height: Height, txs: &[Bytes]) -> Result<Bundle, RpcError> {
        let Self { bidder, sequence, amount, mode, max_fee, valid_until, signature } = self;
        let payload = Payload::Bid { sequence, height, amount, mode, legs: legs(txs)? };
        let body = TransactionBody { chain_id, valid_until, salt: sequence, max_fee, payload };
        Ok(Bundle { transaction: Transaction { body, signature }, bidder })
    }
}

/// Legs of transactions of several chains: each chain's in its order.
fn legs(txs: &[Bytes]) -> Result<Vec<Leg>, RpcError> {
    if txs.len() > MAX_SUBMIT_ITEMS {
        return Err(RpcError::params("txs", format!("at most {MAX_SUBMIT_ITEMS} transactions")));
    }
    let mut legs: BTreeMap<u64, Vec<Bytes>> = BTreeMap::new();
    for raw in txs {
        let transaction = envelope(raw)?;
        if transaction.is_eip4844() {
            return Err(unsupported("txs", "blob transactions, which rollups skip"));
        }
        let of_chain = transaction.chain_id().ok_or_else(|| {
            RpcError::params("txs", "a transaction without a chain id could be for any rollup")
        })?;
        legs.entry(of_chain).or_default().push(raw.clone());
    }
    Ok(legs.into_iter().map(|(id, data)| Leg { namespace: NamespaceId(id), data }).collect())
}

fn envelope(raw: &Bytes) -> Result<TxEnvelope, RpcError> {
    TxEnvelope::decode_2718_exact(raw)
        .map_err(|e| RpcError::params("txs", format!("not a signed transaction: {e}")))
}

fn hash(raw: &Bytes) -> Result<B256, RpcError> {
    Ok(*envelope(raw)?.tx_hash())
}

/// The fields of an object that have not been looked at.
struct Fields {
    of: &'static str,
    left: Map<String, Value>,
}

impl Fields {
    fn of(name: &'static str, value: &Value) -> Result<Self, RpcError> {
        let left = value.as_object().cloned();
        let left = left.ok_or_else(|| RpcError::params(name, "expected an object"))?;
        Ok(Self { of: name, left })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    fn list<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &'static str,
    ) -> Result<Vec<T>, RpcError> {
        parse(name, &self.take(name).ok_or_else(|| missing(name))?)
    }

    fn height(&mut self, name: &'static str) -> Result<Height, RpcError> {
        number(name, &self.take(name).ok_or_else(|| missing(name))?)
    }

    /// Refuses what is left, unless it asks for nothing.
    fn nothing_else(self) -> Result<(), RpcError> {
        let asks = |value: &Value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        match self.left.iter().find(|(_, value)| asks(value)) {
            Some((name, _)) => {
                Err(RpcError::params(&format!("{}.{name}", self.of), "is not supported"))
            }
            None => Ok(()),
        }
    }
}

fn missing(name: &str) -> RpcError {
    RpcError::params(name, "is missing")
}

fn unsupported(name: &str, why: &str) -> RpcError {
    RpcError::params(name, format!("is not supported: {why}"))
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, value: &Value) -> Result<T, RpcError> {
    serde_json::from_value(value.clone()).map_err(|e| RpcError::params(name, e.to_string()))
}

/// A number as JSON-RPC writes it, 0x-hex, or as the rest of the API does, in decimal digits.
fn number<T: TryFrom<u128>>(name: &str, value: &Value) -> Result<T, RpcError> {
    let text = value.as_str().map(str::to_owned);
    let text = text.or_else(|| value.as_u64().map(|number| number.to_string()));
    let parsed = text.and_then(|text| match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    });
    parsed
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| RpcError::params(name, "expected a number as 0x-hex or decimal digits"))
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    use serde_json::json;
    use weft_types::{SecretKey, Signed, Unverified};

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes([7; 32]).unwrap()
    }

    fn signed(transaction: impl SignableTransaction<alloy_primitives::Signature>) -> [u8; 65] {
        key().sign(transaction.signature_hash()).0
    }

    fn raw(chain_id: u64, nonce: u64) -> Bytes {
        let transaction = TxEip1559 { chain_id, nonce, ..TxEip1559::default() };
        let [rs @ .., v] = signed(transaction.clone());
        let signature = alloy_primitives::Signature::from_bytes_and_parity(&rs, v == 28);
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }

    fn legacy(chain_id: Option<u64>) -> Bytes {
        let transaction = TxLegacy { chain_id, ..TxLegacy::default() };
        let [rs @ .., v] = signed(transaction.clone());
        let signature = alloy_primitives::Signature::from_bytes_and_parity(&rs, v == 28);
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
    }

    /// Signs as `spec/auction.md` says.
    fn weft(legs: Vec<Leg>, height: u64, amount: Wei, valid_until: u64) -> Value {
        let mode = BidMode::Inclusion;
        let payload = Payload::Bid { sequence: 3, height, amount, mode, legs };
        let body = TransactionBody {
            chain_id: 9,
            valid_until,
            salt: 3,
            max_fee: DEFAULT_MAX_FEE,
            payload,
        };
        let signature = Signed::new(body, 9, &key()).signature;
        json!({
            "bidder": key().address(), "sequence": "0x3", "amount": amount.to_string(),
            "signature": format!("0x{}", hex::encode(signature.0)),
        })
    }

    fn leg(namespace: u64, data: Vec<Bytes>) -> Leg {
        Leg { namespace: NamespaceId(namespace), data }
    }

    #[test]
    fn both_shapes_are_the_bid_that_was_signed() {
        let (a, b, c) = (raw(7, 0), legacy(Some(5)), raw(7, 1));
        let legs = vec![leg(5, vec![b.clone()]), leg(7, vec![a.clone(), c.clone()])];
        let bundle = json!({
            "txs": [a, b, c], "blockNumber": "0x10", "maxTimestamp": 100,
            "revertingTxHashes": [], "refundPercent": null,
            "weft": weft(legs.clone(), 16, 50, 100_000),
        });
        let found = eth(9, &bundle).unwrap();
        let checked = Unverified::new(found.transaction.clone()).verify(9).unwrap();
        assert_eq!(checked.witness().sender, found.bidder);
        let Payload::Bid { legs: found, .. } = &checked.body.payload else { panic!() };
        assert_eq!(found, &legs);

        let mut offer = weft(legs, 16, 50, 100_000);
        offer["validUntil"] = json!("100000");
        let bundle = json!({
            "version": "v0.1", "inclusion": { "block": "0x10", "maxBlock": "0x10" },
            "body": [{ "tx": a }, { "tx": b, "canRevert": true }, { "tx": c }],
            "weft": offer,
        });
        let same = mev(9, &bundle).unwrap();
        assert_eq!(same.transaction, checked.into_inner());
    }

    #[test]
    fn no_transactions_withdraw() {
        let bundle = json!({
            "txs": [], "blockNumber": 16, "maxTimestamp": "100", "weft": weft(vec![], 16, 0, 100_000),
        });
        let found = eth(9, &bundle).unwrap();
        Unverified::new(found.transaction).verify(9).unwrap();
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let tx = raw(7, 0);
        let fine = json!({
            "txs": [tx], "blockNumber": "0x10", "maxTimestamp": 100,
            "weft": weft(vec![leg(7, vec![tx.clone()])], 16, 50, 100_000),
        });
        assert!(eth(9, &fine).is_ok());
        let refused = |name: &str, value: Value, expected: &str| {
            let mut bundle = fine.clone();
            bundle[name] = value;
            let error = eth(9, &bundle).unwrap_err();
            assert!(error.message.starts_with(expected), "{name}: {}", error.message);
        };
        refused("minTimestamp", json!(5), "bundle.minTimestamp");
        refused("droppingTxHashes", json!([B256::ZERO]), "bundle.droppingTxHashes");
        refused("replacementUuid", json!("a"), "bundle.replacementUuid");
        refused("refundPercent", json!(9), "bundle.refundPercent");
        refused("revertingTxHashes", json!([B256::ZERO]), "revertingTxHashes");
        refused("txs", json!(["0x01"]), "txs");
        refused("txs", json!([legacy(None)]), "txs");
        refused("txs", Value::Null, "txs: is missing");
        refused("blockNumber", json!("+1"), "blockNumber");
        refused("blockNumber", json!("0x10000000000000000"), "blockNumber");
        refused("maxTimestamp", Value::Null, "maxTimestamp or weft.validUntil");
        refused("weft", Value::Null, "weft: is missing");
        refused("weft", json!({ "bidder": 1 }), "weft.bidder");
        let mut more = fine["weft"].clone();
        more["tip"] = json!(1);
        refused("weft", more, "weft.tip");

        let body = |item: Value| {
            let mut offer = fine["weft"].clone();
            offer["validUntil"] = json!(100_000);
            json!({ "inclusion": { "block": 16 }, "body": [item], "weft": offer })
        };
        assert!(mev(9, &body(json!({ "tx": tx }))).is_ok());
        for (item, expected) in [
            (json!({ "tx": tx, "canRevert": false }), "body.canRevert"),
            (json!({ "hash": B256::ZERO }), "body.tx"),
            (json!({ "tx": tx, "canRevert": "false" }), "body.canRevert"),
            (json!({ "tx": tx, "bundle": { "a": 1 } }), "body.bundle"),
        ] {
            let error = mev(9, &body(item)).unwrap_err();
            assert!(error.message.starts_with(expected), "{}", error.message);
        }
        let mut later = body(json!({ "tx": tx }));
        later["inclusion"]["maxBlock"] = json!(17);
        assert!(mev(9, &later).unwrap_err().message.starts_with("inclusion.maxBlock"));
    }

    #[test]
    fn of_an_atomic_bundle_nothing_may_revert() {
        let tx = raw(7, 0);
        let mut offer = weft(vec![leg(7, vec![tx.clone()])], 16, 50, 100_000);
        offer["mode"] = json!("atomic");
        let of_eth = |allowed: Value| {
            let bundle = json!({
                "txs": [tx], "blockNumber": "0x10", "maxTimestamp": 100,
                "revertingTxHashes": allowed, "weft": offer,
            });
            eth(9, &bundle)
        };
        let found = of_eth(json!([])).unwrap();
        let Payload::Bid { mode, .. } = found.transaction.body.payload else { panic!() };
        assert_eq!(mode, BidMode::Atomic);
        let refused = of_eth(json!([hash(&tx).unwrap()])).unwrap_err();
        assert!(refused.message.contains("atomic"), "{}", refused.message);
        let of_mev = |may: bool| {
            let mut offer = offer.clone();
            offer["validUntil"] = json!(100_000);
            let body = json!([{ "tx": tx, "canRevert": may }]);
            mev(9, &json!({ "inclusion": { "block": 16 }, "body": body, "weft": offer }))
        };
        assert!(of_mev(false).is_ok());
        assert!(of_mev(true).unwrap_err().message.contains("atomic"));
    }
}
