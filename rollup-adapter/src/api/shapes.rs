//! The JSON that a node answers with. Fields that nothing here has a use for are not read.

use serde::{Deserialize, Deserializer};
use weft_types::{
    B256, BlockId, Committee, DecidedBundle, Height, NamespaceId, OpenedBid, Results, SoldLot,
    TimeMs, TransactionId, Wei,
};

/// `GET /status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The network.
    #[serde(with = "weft_types::json::decimal")]
    pub chain_id: u64,
    /// Id of the genesis block.
    pub genesis: BlockId,
    /// The last height decided.
    #[serde(with = "weft_types::json::decimal")]
    pub height: Height,
    /// Its block time.
    #[serde(with = "weft_types::json::decimal")]
    pub time_ms: TimeMs,
}

/// `GET /v1/namespaces/{ns}`.
#[derive(Clone, Debug, Deserialize)]
pub struct Namespace {
    /// What a byte costs the namespace, in wei, on top of the global price.
    #[serde(with = "weft_types::json::decimal")]
    pub price_per_byte: Wei,
    /// What a byte costs everybody, in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub global_price_per_byte: Wei,
}

/// `GET /v1/validators?height=`.
#[derive(Clone, Debug, Deserialize)]
pub struct Validators {
    /// Who decides the height.
    pub committee: Committee,
}

/// `POST /v1/transactions` and `GET /v1/transactions/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct TransactionStatus {
    /// The transaction.
    pub id: TransactionId,
    /// `received`, `expected` or `final`.
    pub status: String,
    /// The height that ordered it, once it is final.
    #[serde(default, deserialize_with = "optional_decimal")]
    pub height: Option<Height>,
    /// What became of it, once it is final.
    #[serde(default)]
    pub receipt: Option<Receipt>,
}

/// What a node says became of a transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    /// `executed` or `skipped`.
    pub status: String,
    /// Why it was skipped.
    #[serde(default)]
    pub reason: Option<String>,
    /// What its sender paid for it, in wei. What a winning bid pays on top of that is in the
    /// [auction](Auction).
    #[serde(with = "weft_types::json::decimal")]
    pub fee: Wei,
}

/// `GET /v1/accounts/{address}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// The balance in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub balance: Wei,
    /// What it has put up to back its bids, in wei: no bid may offer more.
    #[serde(with = "weft_types::json::decimal")]
    pub collateral: Wei,
    /// Collateral that is on its way back to the balance, soonest first. It backs nothing any more.
    pub releases: Vec<Release>,
}

/// Collateral that is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// The block time from which it is on the balance, in milliseconds.
    #[serde(with = "weft_types::json::decimal")]
    pub at_ms: TimeMs,
    /// How much, in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub amount: Wei,
}

/// `GET /v1/auctions/next`: what is for sale at the next height (protocol section 8, lots).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NextLots {
    /// The next height.
    #[serde(with = "weft_types::json::decimal")]
    pub height: Height,
    /// Its lots, ascending by namespace.
    pub lots: Vec<Lot>,
    /// What a bid costs on top of its bytes, in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub bid_fee: Wei,
}

impl NextLots {
    /// What a bid for the heads of these namespaces has to offer at least, in wei: their reserves
    /// together. `None` if one of them is not for sale.
    pub fn reserve(&self, namespaces: impl IntoIterator<Item = NamespaceId>) -> Option<Wei> {
        namespaces.into_iter().try_fold(0, |sum: Wei, namespace| {
            let lot = self.lots.iter().find(|lot| lot.namespace == namespace)?;
            Some(sum.saturating_add(lot.reserve))
        })
    }
}

/// A lot that is for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Lot {
    /// Whose slice's head it is.
    pub namespace: NamespaceId,
    /// What a bid for it alone has to offer at least, in wei.
    #[serde(with = "weft_types::json::decimal")]
    pub reserve: Wei,
}

/// `GET /v1/auctions/{height}` and an event of `/v1/auctions/stream`: what the auction of a height
/// came to (protocol section 8, results).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Auction {
    /// The height.
    #[serde(with = "weft_types::json::decimal")]
    pub height: Height,
    /// The lots that were sold, ascending by namespace.
    pub lots: Vec<SoldLot>,
    /// The bids that were opened, in block order.
    pub bids: Vec<OpenedBid>,
    /// The atomic bundles that were decided, ascending by id.
    #[serde(default)]
    pub bundles: Vec<DecidedBundle>,
    /// What is for sale at the height after it, unless that is decided already. Events of a stream
    /// have it.
    #[serde(default)]
    pub next: Option<NextLots>,
}

impl Auction {
    /// What became of a bid, if it was opened at this height.
    pub fn bid(&self, id: &TransactionId) -> Option<&OpenedBid> {
        self.bids.iter().find(|bid| bid.bid == *id)
    }

    /// The `results_root` that the header of the height above has if all of this is so and nothing
    /// is left out.
    pub fn root(&self) -> B256 {
        let Self { lots, bids, bundles, .. } = self.clone();
        Results { lots, bids, bundles }.root()
    }
}

/// An RFC 9457 problem document.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    /// What is wrong, in a few words.
    #[serde(default)]
    pub title: String,
    /// What is wrong, in full.
    #[serde(default)]
    pub detail: String,
}

/// A decimal string that may be missing.
fn optional_decimal<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Decimal(#[serde(with = "weft_types::json::decimal")] u64);
    Ok(Option::<Decimal>::deserialize(input)?.map(|Decimal(number)| number))
}

/// A slice without proof.
#[derive(Clone, Debug, Deserialize)]
pub struct UnprovenSlice {
    /// Its entries, in order.
    pub entries: Vec<weft_types::SliceEntry>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weft_types::{B256, BidResult};

    use super::*;

    const ID: B256 = B256::repeat_byte(7);

    #[test]
    fn an_auction_is_read_as_nodes_write_it() {
        let event = json!({
            "height": "12",
            "lots": [{
                "namespace": "7001", "reserve": "5", "bid": ID,
                "bidder": "0x0909090909090909090909090909090909090909",
                "payment": "100", "revenue": "80",
            }],
            "bids": [{
                "bid": ID, "bidder": "0x0909090909090909090909090909090909090909",
                "height": "12", "sequence": "1", "amount": "100", "result": "won",
                "detail": B256::ZERO, "reason": "won",
            }],
            "next": {
                "height": "13", "bid_fee": "100000000000",
                "lots": [
                    { "namespace": "7001", "reserve": "6" },
                    { "namespace": "7002", "reserve": "1" },
                ],
            },
        });
        let auction: Auction = serde_json::from_str(&event.to_string()).unwrap();
        assert_eq!((auction.height, auction.lots[0].revenue), (12, 80));
        assert_eq!(auction.bid(&TransactionId(ID)).unwrap().result, BidResult::Won);
        assert_eq!(auction.bid(&TransactionId(B256::ZERO)), None);
        let next = auction.next.as_ref().unwrap();
        assert_eq!((next.height, next.bid_fee), (13, 100_000_000_000));
        assert_eq!(next.reserve([NamespaceId(7002), NamespaceId(7001)]), Some(7));
        assert_eq!(next.reserve([NamespaceId(1)]), None, "not for sale");

        let mut other = auction.clone();
        other.lots[0].revenue += 1;
        assert_ne!(other.root(), auction.root());
    }

    #[test]
    fn what_is_not_an_auction_is_refused() {
        for wrong in [
            json!({ "height": 12, "lots": [], "bids": [] }),
            json!({ "height": "-1", "lots": [], "bids": [] }),
            json!({ "height": "12", "lots": [] }),
            json!({ "height": "12", "lots": [], "bids": [{}] }),
            json!({ "height": "12", "lots": [], "bids": [], "next": { "height": "13" } }),
        ] {
            assert!(serde_json::from_str::<Auction>(&wrong.to_string()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_account_has_what_it_put_up() {
        let account = json!({
            "address": "0x0909090909090909090909090909090909090909",
            "balance": "340282366920938463463374607431768211455", "collateral": "3",
            "releases": [{ "at_ms": "1000", "amount": "2" }],
        });
        let account: Account = serde_json::from_str(&account.to_string()).unwrap();
        assert_eq!((account.balance, account.collateral), (u128::MAX, 3));
        assert_eq!(account.releases, [Release { at_ms: 1000, amount: 2 }]);
    }

    #[test]
    fn a_final_transaction_says_where_and_for_how_much() {
        let status = json!({
            "id": ID, "status": "final", "height": "9", "position": 0,
            "receipt": { "status": "skipped", "reason": "over_quota", "fee": "17" },
        });
        let status: TransactionStatus = serde_json::from_str(&status.to_string()).unwrap();
        assert_eq!(status.height, Some(9));
        let receipt = status.receipt.unwrap();
        assert_eq!((receipt.fee, receipt.reason.as_deref()), (17, Some("over_quota")));
        let waiting = json!({ "id": ID, "status": "received" });
        let waiting: TransactionStatus = serde_json::from_str(&waiting.to_string()).unwrap();
        assert_eq!((waiting.height, waiting.receipt.is_none()), (None, true));
    }
}
