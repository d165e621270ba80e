//! Bids: made, signed, and handed to several endpoints (protocol sections 4 and 8).

use futures_util::future::join_all;
use reqwest::Url;
use weft_types::signature::SIGNATURE_LENGTH;
use weft_types::transaction::TransactionError;
use weft_types::{
    BidMode, Height, Leg, Payload, SecretKey, Signed, TimeMs, Transaction, TransactionBody,
    Unverified, Verified, Wei,
};

use super::client::{ApiError, Endpoint};
use super::shapes::TransactionStatus;

/// A bid for heads of slices of one height, all of them or none.
///
/// It is public once it is submitted, with all that its legs hold, and whoever has them can order
/// them in another way. So they should do no harm to who signed them if the bid loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The height it is for. It counts only if it is ordered exactly there.
    pub height: Height,
    /// A higher one replaces a lower one of the same bidder for the same height.
    pub sequence: u64,
    /// What it pays if it wins, from the bidder's collateral, in wei: 1 to
    /// [`MAX_BID_AMOUNT`](weft_types::limits::MAX_BID_AMOUNT). 0 without legs withdraws an earlier
    /// bid.
    pub amount: Wei,
    /// What ties its legs: all of them ordered or none, or all of them executed or none.
    pub mode: BidMode,
    /// What it brings to the head of each slice, in any order: at most
    /// [`MAX_BID_LEGS`](weft_types::limits::MAX_BID_LEGS), each for another namespace. The items of
    /// an EVM rollup are signed transactions (`spec/evm-rollup.md`, section 1).
    pub legs: Vec<Leg>,
    /// The most that it pays for being included, whatever comes of it, from the bidder's balance, in
    /// wei. See [`cost`](Self::cost).
    pub max_fee: Wei,
    /// The last block time at which it may be ordered, in milliseconds: at most the network's
    /// `max_validity_ms` after the block time of now.
    pub valid_until: TimeMs,
}

impl Bid {
    fn body(mut self, chain_id: u64) -> TransactionBody {
        self.legs.sort_by_key(|leg| leg.namespace);
        let Self { height, sequence, amount, mode, legs, max_fee, valid_until } = self;
        // The salt is that of bundles over JSON-RPC (`spec/auction.md`).
        let payload = Payload::Bid { sequence, height, amount, mode, legs };
        TransactionBody { chain_id, valid_until, salt: sequence, max_fee, payload }
    }

    /// What being included costs at a price per byte, in wei, and with the network's `bid_fee`. The
    /// price of the moment is
    /// [`global_price_per_byte`](super::shapes::Namespace::global_price_per_byte).
    pub fn cost(&self, price_per_byte: Wei, bid_fee: Wei) -> Wei {
        // No field that has yet to be chosen changes the size.
        let body = borsh::object_length(&self.clone().body(0)).unwrap_or(usize::MAX);
        let bytes = Wei::try_from(body.saturating_add(SIGNATURE_LENGTH)).unwrap_or(Wei::MAX);
        bytes.saturating_mul(price_per_byte).saturating_add(bid_fee)
    }

    /// Signs it for the network with this chain id. The same bid signed twice is the same
    /// transaction.
    ///
    /// # Errors
    ///
    /// If no node would take it for its form: two legs for one namespace or too many, an empty leg
    /// or item, too much offered, more bytes than a transaction may have.
    pub fn sign(
        self,
        chain_id: u64,
        key: &SecretKey,
    ) -> Result<Verified<Transaction>, TransactionError> {
        Unverified::new(Signed::new(self.body(chain_id), chain_id, key)).verify(chain_id)
    }
}

/// What came of handing a transaction to one endpoint.
#[derive(Debug)]
pub struct Submitted {
    /// The endpoint.
    pub url: Url,
    /// What it says.
    pub outcome: Result<TransactionStatus, ApiError>,
}

/// Hands a transaction to several endpoints at once and says what came of it at each, in their order.
///
/// A bid should go to validators, to more than a third of the seats: each seals what it holds itself,
/// and one alone may be late, or leave it out. The same bytes twice do no harm. To be taken is no promise:
/// what became of the bid is in the [auction](Endpoint::auction) of its height.
///
/// Takes as long as the slowest endpoint, at most [10 s](super::client::REQUEST_TIMEOUT).
pub async fn submit_to_all(
    endpoints: &[Endpoint],
    transaction: &Verified<Transaction>,
) -> Vec<Submitted> {
    let id = transaction.witness().id;
    let encoded = borsh::to_vec(&**transaction);
    join_all(endpoints.iter().map(|endpoint| {
        let encoded = encoded.as_ref().map(Vec::clone);
        async move {
            let outcome = match encoded {
                Ok(encoded) => endpoint.submit(encoded).await,
                Err(error) => Err(ApiError::Malformed(error.to_string())),
            };
            let outcome = outcome.and_then(|status| {
                let same = status.id == id;
                same.then_some(status)
                    .ok_or_else(|| ApiError::Malformed("the id of another one".to_owned()))
            });
            Submitted { url: endpoint.url().clone(), outcome }
        }
    }))
    .await
}

#[cfg(test)]
mod tests {
    use weft_types::{Bytes, NamespaceId};

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_bytes([3; 32]).unwrap()
    }

    fn bid(namespaces: &[u64]) -> Bid {
        let leg = |n: &u64| Leg { namespace: NamespaceId(*n), data: vec![vec![1; 100].into()] };
        Bid {
            height: 9,
            sequence: 2,
            amount: 50,
            mode: BidMode::Inclusion,
            legs: namespaces.iter().map(leg).collect(),
            max_fee: 1000,
            valid_until: 77,
        }
    }

    #[test]
    fn a_signed_bid_is_what_was_asked_for() {
        let signed = bid(&[5, 3]).sign(7, &key()).unwrap();
        assert_eq!(signed.witness().sender, key().address());
        let body = &signed.body;
        assert_eq!((body.chain_id, body.valid_until, body.max_fee), (7, 77, 1000));
        let Payload::Bid { sequence, height, amount, legs, .. } = &body.payload else { panic!() };
        assert_eq!((*sequence, *height, *amount), (2, 9, 50));
        let order: Vec<u64> = legs.iter().map(|leg| leg.namespace.0).collect();
        assert_eq!(order, [3, 5], "legs ascend by namespace");
        let again = bid(&[3, 5]).sign(7, &key()).unwrap();
        assert_eq!(again.witness().id, signed.witness().id);
        let later = Bid { sequence: 3, ..bid(&[3, 5]) }.sign(7, &key()).unwrap();
        assert_ne!(later.witness().id, signed.witness().id);
    }

    #[test]
    fn what_no_node_takes_is_not_signed() {
        let error = |bid: Bid| bid.sign(7, &key()).unwrap_err();
        assert_eq!(error(bid(&[3, 3])), TransactionError::UnsortedLegs);
        assert_eq!(error(bid(&[])), TransactionError::HalfBid);
        assert_eq!(error(Bid { amount: 0, ..bid(&[3]) }), TransactionError::HalfBid);
        assert_eq!(
            error(Bid { amount: u128::MAX, ..bid(&[3]) }),
            TransactionError::TooMuch(u128::MAX)
        );
        let mut empty = bid(&[3]);
        empty.legs[0].data.push(Bytes::new());
        assert_eq!(error(empty), TransactionError::EmptyItem(1));
        Bid { amount: 0, ..bid(&[]) }.sign(7, &key()).unwrap();
    }

    #[test]
    fn the_cost_is_that_of_the_bytes_and_the_fee() {
        let bid = bid(&[3, 5]);
        let bytes = bid.clone().sign(7, &key()).unwrap().witness().bytes;
        assert_eq!(bid.cost(3, 11), u128::from(bytes) * 3 + 11);
        assert_eq!(bid.cost(u128::MAX, 11), u128::MAX);
    }
}
