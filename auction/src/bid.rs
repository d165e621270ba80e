//! Bids and the lots they are for.

use weft_types::limits::MAX_BID_LEGS;
use weft_types::{Address, BidMode, Height, Leg, NamespaceId, TransactionId, Wei};

/// The lots of a bid: at most [`MAX_BID_LEGS`] namespaces, strictly ascending; none if it withdraws.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lots(Vec<NamespaceId>);

impl Lots {
    /// Those namespaces; `None` if they are too many, or do not ascend strictly.
    pub fn new(namespaces: Vec<NamespaceId>) -> Option<Self> {
        let fine = namespaces.len() <= MAX_BID_LEGS && namespaces.is_sorted_by(|a, b| a < b);
        fine.then_some(Self(namespaces))
    }

    /// Those that legs are for, under the same condition.
    pub fn of(legs: &[Leg]) -> Option<Self> {
        Self::new(legs.iter().map(|leg| leg.namespace).collect())
    }

    /// The namespaces, ascending.
    pub fn namespaces(&self) -> &[NamespaceId] {
        &self.0
    }

    /// The only lot, if there is one only.
    pub fn single(&self) -> Option<NamespaceId> {
        match self.0[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether all of these are among those of another bid.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|lot| other.0.binary_search(lot).is_ok())
    }

    /// Whether one of these is among those of another bid.
    pub fn touches(&self, other: &Self) -> bool {
        self.0.iter().any(|lot| other.0.binary_search(lot).is_ok())
    }
}

/// A bid as the order brought it, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The transaction that brought it. No two bids have the same.
    pub id: TransactionId,
    /// Who pays.
    pub bidder: Address,
    /// A higher one replaces a lower one of the same bidder for the same height.
    pub sequence: u64,
    /// The height it is for.
    pub height: Height,
    /// What it is for.
    pub lots: Lots,
    /// What it pays if it wins, in wei, at most [`MAX_BID_AMOUNT`](weft_types::limits::MAX_BID_AMOUNT).
    /// Nothing withdraws what the bidder had bid before.
    pub amount: Wei,
    /// What ties its legs.
    pub mode: BidMode,
}

impl Bid {
    /// What bids are ranked by: more first, of as much the one for fewer lots, then the lower id.
    pub fn rank(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.amount), self.lots.0.len(), self.id)
    }
}
