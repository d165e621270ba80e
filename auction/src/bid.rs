//! Bids and the lots they are for.

use weft_types::{Address, Height, NamespaceId, TransactionId, Wei};

/// Most lots of a bid.
pub const MAX_LOTS: usize = 8;

/// Most that a bid can offer, in wei: far above all ether there is, and low enough that all bids of a
/// block can be added up.
pub const MAX_AMOUNT: Wei = 1 << 100;

/// Why something is no bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BidError {
    /// No lots, or too many.
    #[error("a bid is for 1 to {MAX_LOTS} namespaces, not {0}")]
    Lots(usize),
    /// Lots that do not ascend, or are there twice.
    #[error("a bid's namespaces have to ascend strictly")]
    Order,
    /// More than there can be.
    #[error("a bid offers at most {MAX_AMOUNT} wei, not {0}")]
    Amount(Wei),
}

/// The lots of a bid: 1 to [`MAX_LOTS`] namespaces, strictly ascending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lots(Vec<NamespaceId>);

impl Lots {
    /// Checks that these are lots of a bid.
    pub fn new(namespaces: Vec<NamespaceId>) -> Result<Self, BidError> {
        if namespaces.is_empty() || namespaces.len() > MAX_LOTS {
            return Err(BidError::Lots(namespaces.len()));
        }
        if !namespaces.is_sorted_by(|a, b| a < b) {
            return Err(BidError::Order);
        }
        Ok(Self(namespaces))
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
    /// What it pays if it wins, in wei, at most [`MAX_AMOUNT`]. Nothing withdraws what the bidder had
    /// bid before.
    pub amount: Wei,
}

impl Bid {
    /// Checks what does not depend on anything else.
    pub fn check(&self) -> Result<(), BidError> {
        if self.amount > MAX_AMOUNT { Err(BidError::Amount(self.amount)) } else { Ok(()) }
    }

    /// What bids are ranked by: more first, of as much the one for fewer lots, then the lower id.
    pub fn rank(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.amount), self.lots.0.len(), self.id)
    }
}
