//! What the auction of a block came to (protocol section 8).
//!
//! ```text
//! lot leaf     = leaf hash over 0 u8 || namespace u64 || reserve u128 || bid 32 || bidder 20
//!                               || payment u128 || revenue u128
//! bid leaf     = leaf hash over 1 u8 || bid 32 || bidder 20 || height u64 || sequence u64
//!                               || amount u128 || result u8 || detail 32
//! bundle leaf  = leaf hash over 2 u8 || bundle 32 || bidder 20 || height u64 || decision u8
//!                               || paid u128 || for each leg: namespace u64 || revenue u128
//! results_root = keccak256( keccak256("weft/results/v1") || leaf count u64 || keccak256 root )
//! ```
//!
//! Lots that were sold stand first, ascending by namespace, then bids in block order, then atomic
//! bundles that were decided, ascending by id.

use alloy_primitives::{Address, B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::TransactionId;
use crate::merkle::{self, Keccak, Path, Tree, TreeHash};
use crate::namespace::NamespaceId;
use crate::{Height, Wei};

const ROOT_TAG: &str = "weft/results/v1";

/// A lot that was sold.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct SoldLot {
    /// Whose slice's head it is.
    pub namespace: NamespaceId,
    /// Its reserve, in wei.
    #[serde(with = "crate::json::decimal")]
    pub reserve: Wei,
    /// The transaction of the bid that took it.
    pub bid: TransactionId,
    /// Whose bid that is.
    pub bidder: Address,
    /// What the bid pays for all its lots, in wei. An atomic one pays when it is decided.
    #[serde(with = "crate::json::decimal")]
    pub payment: Wei,
    /// What of that goes to the namespace now, in wei: nothing of an atomic one.
    #[serde(with = "crate::json::decimal")]
    pub revenue: Wei,
}

/// What became of a bid. The number is its borsh tag, and stands in the leaf.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum BidResult {
    /// It took its lots.
    #[error("won")]
    Won = 0,
    /// Others pay more. The detail is the highest of the winners that have one of its lots; zero if
    /// there is none, since too many conflicting bids pay more.
    #[error("lost to others that pay more")]
    Lost = 1,
    /// It offers less than its lots' reserves together, which are the detail.
    #[error("below the reserve")]
    BelowReserve = 2,
    /// The bidder's collateral, which is the detail, does not cover it, with what an atomic one may have
    /// to pay for holding.
    #[error("not covered by the bidder's collateral")]
    Insolvent = 3,
    /// It was ordered at another height than its own.
    #[error("ordered at another height than its own")]
    WrongHeight = 4,
    /// A namespace offers no lot at this height; the first such one is the detail.
    #[error("a namespace offers no lot at this height")]
    NoLot = 5,
    /// The bidder has a later bid for this height, which is the detail.
    #[error("replaced by a bid with a higher sequence")]
    Replaced = 6,
    /// It offers nothing: it withdrew an earlier one.
    #[error("it withdrew an earlier bid")]
    Withdrawn = 7,
    /// It is atomic, and a namespace takes part in no atomic bundle now; the first such one is the
    /// detail.
    #[error("a namespace takes part in no atomic bundle now")]
    NotAtomic = 8,
}

/// What became of a bid, and why.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct OpenedBid {
    /// The transaction that brought it.
    pub bid: TransactionId,
    /// Who pays.
    pub bidder: Address,
    /// The height it is for.
    #[serde(with = "crate::json::decimal")]
    pub height: Height,
    /// Its sequence.
    #[serde(with = "crate::json::decimal")]
    pub sequence: u64,
    /// What it offers, in wei.
    #[serde(with = "crate::json::decimal")]
    pub amount: Wei,
    /// What became of it.
    pub result: BidResult,
    /// What the result says more: an id, or a number as 32 bytes, big-endian; else zero.
    pub detail: B256,
}

impl OpenedBid {
    /// The detail as a number, for results where it is one.
    pub fn number(&self) -> Option<u128> {
        let is_number = matches!(
            self.result,
            BidResult::BelowReserve
                | BidResult::Insolvent
                | BidResult::NoLot
                | BidResult::NotAtomic
        );
        is_number.then(|| U256::from_be_bytes(self.detail.0).try_into().ok()).flatten()
    }

    /// The detail as another bid, for results where it is one.
    pub fn other(&self) -> Option<TransactionId> {
        let is_bid = matches!(self.result, BidResult::Lost | BidResult::Replaced);
        (is_bid && self.detail != B256::ZERO).then_some(TransactionId(self.detail))
    }
}

/// What became of an atomic bundle (protocol section 9). The number is its borsh tag, and stands in the
/// leaf.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Decision {
    /// All its legs are executed.
    #[error("committed")]
    Committed = 0,
    /// None is: a quorum of some rollup's executors has found that its leg will not do what it is to do.
    #[error("aborted: a leg fails")]
    Failed = 1,
    /// None is: by the deadline there was no quorum for each leg.
    #[error("aborted: no verdict in time")]
    TimedOut = 2,
}

/// What a decided bundle brought a namespace.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct LegRevenue {
    /// The rollup.
    pub namespace: NamespaceId,
    /// What of what is paid goes to it, in wei.
    #[serde(with = "crate::json::decimal")]
    pub revenue: Wei,
}

/// An atomic bundle that was decided.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct DecidedBundle {
    /// The transaction of the bid that brought it.
    pub bundle: TransactionId,
    /// Who pays.
    pub bidder: Address,
    /// The height that its legs stand at.
    #[serde(with = "crate::json::decimal")]
    pub height: Height,
    /// What became of it.
    pub decision: Decision,
    /// What it pays for that, in wei.
    #[serde(with = "crate::json::decimal")]
    pub paid: Wei,
    /// For each leg, ascending by namespace.
    pub legs: Vec<LegRevenue>,
}

/// A number as the detail of a result.
pub fn number_detail(number: u128) -> B256 {
    U256::from(number).into()
}

/// One thing that an auction's results say. The number is its borsh tag, and stands in the leaf.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[repr(u8)]
pub enum AuctionResult {
    /// A lot that was sold.
    Lot(SoldLot) = 0,
    /// A bid that was opened.
    Bid(OpenedBid) = 1,
    /// An atomic bundle that was decided.
    Bundle(DecidedBundle) = 2,
}

impl AuctionResult {
    /// Its leaf's hash.
    pub fn leaf(&self) -> B256 {
        let mut layout = Vec::with_capacity(128);
        match self {
            Self::Lot(lot) => {
                layout.push(0);
                layout.extend_from_slice(&lot.namespace.0.to_be_bytes());
                layout.extend_from_slice(&lot.reserve.to_be_bytes());
                layout.extend_from_slice(lot.bid.0.as_slice());
                layout.extend_from_slice(lot.bidder.as_slice());
                layout.extend_from_slice(&lot.payment.to_be_bytes());
                layout.extend_from_slice(&lot.revenue.to_be_bytes());
            }
            Self::Bid(bid) => {
                layout.push(1);
                layout.extend_from_slice(bid.bid.0.as_slice());
                layout.extend_from_slice(bid.bidder.as_slice());
                layout.extend_from_slice(&bid.height.to_be_bytes());
                layout.extend_from_slice(&bid.sequence.to_be_bytes());
                layout.extend_from_slice(&bid.amount.to_be_bytes());
                layout.push(bid.result as u8);
                layout.extend_from_slice(bid.detail.as_slice());
            }
            Self::Bundle(decided) => {
                layout.push(2);
                layout.extend_from_slice(decided.bundle.0.as_slice());
                layout.extend_from_slice(decided.bidder.as_slice());
                layout.extend_from_slice(&decided.height.to_be_bytes());
                layout.push(decided.decision as u8);
                layout.extend_from_slice(&decided.paid.to_be_bytes());
                for leg in &decided.legs {
                    layout.extend_from_slice(&leg.namespace.0.to_be_bytes());
                    layout.extend_from_slice(&leg.revenue.to_be_bytes());
                }
            }
        }
        Keccak::leaf(&layout)
    }
}

/// What the auction of a block came to.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Results {
    /// The lots that were sold, ascending by namespace.
    pub lots: Vec<SoldLot>,
    /// The bids that were opened, in block order.
    pub bids: Vec<OpenedBid>,
    /// The atomic bundles that were decided, ascending by id.
    #[serde(default)]
    pub bundles: Vec<DecidedBundle>,
}

impl Results {
    /// Whether nobody bid, and nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> u64 {
        (self.lots.len() + self.bids.len() + self.bundles.len()) as u64
    }

    /// What became of an atomic bundle, if that was decided here.
    pub fn decided(&self, bundle: TransactionId) -> Option<&DecidedBundle> {
        let at = self.bundles.binary_search_by_key(&bundle, |decided| decided.bundle).ok()?;
        self.bundles.get(at)
    }

    /// The lot of a namespace, if it was sold.
    pub fn lot(&self, namespace: NamespaceId) -> Option<&SoldLot> {
        let at = self.lots.binary_search_by_key(&namespace, |lot| lot.namespace).ok()?;
        self.lots.get(at)
    }

    fn all(&self) -> impl Iterator<Item = AuctionResult> {
        let lots = self.lots.iter().copied().map(AuctionResult::Lot);
        let bundles = self.bundles.iter().cloned().map(AuctionResult::Bundle);
        lots.chain(self.bids.iter().copied().map(AuctionResult::Bid)).chain(bundles)
    }

    fn tree(&self) -> Tree<Keccak> {
        Tree::new(self.all().map(|result| result.leaf()).collect())
    }

    /// The commitment that the child's header carries.
    pub fn root(&self) -> B256 {
        let leaves: Vec<B256> = self.all().map(|result| result.leaf()).collect();
        let count = leaves.len() as u64;
        merkle::commit(ROOT_TAG, merkle::root::<Keccak>(leaves), count)
    }

    /// Every result with its path, in the order of the leaves.
    pub fn proven(&self) -> Vec<ProvenResult> {
        let tree = self.tree();
        let count = self.count();
        let proven =
            |(place, result)| Some(ProvenResult { result, count, path: tree.path(place)? });
        self.all().enumerate().filter_map(proven).collect()
    }

    /// A bid with its path, by its place among bids.
    pub fn proven_bid(&self, place: usize) -> Option<ProvenResult> {
        let result = AuctionResult::Bid(*self.bids.get(place)?);
        let count = self.count();
        Some(ProvenResult { result, count, path: self.tree().path(self.lots.len() + place)? })
    }

    /// A namespace's lot with its path, if it was sold.
    pub fn proven_lot(&self, namespace: NamespaceId) -> Option<ProvenResult> {
        let at = self.lots.binary_search_by_key(&namespace, |lot| lot.namespace).ok()?;
        let result = AuctionResult::Lot(*self.lots.get(at)?);
        Some(ProvenResult { result, count: self.count(), path: self.tree().path(at)? })
    }
}

/// A result and the path that leads from it to a header.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ProvenResult {
    /// What it says.
    pub result: AuctionResult,
    /// How many leaves there are.
    #[serde(with = "crate::json::decimal")]
    pub count: u64,
    /// The path from its leaf to the root.
    pub path: Path,
}

impl ProvenResult {
    /// The `results_root` that this leads to, if the path fits such a tree.
    pub fn root(&self) -> Option<B256> {
        let root = self.path.root::<Keccak>(self.result.leaf(), self.count)?;
        Some(merkle::commit(ROOT_TAG, root, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(namespace: u64) -> SoldLot {
        SoldLot {
            namespace: NamespaceId(namespace),
            reserve: 3,
            bid: TransactionId(B256::repeat_byte(namespace as u8)),
            bidder: Address::repeat_byte(9),
            payment: 100,
            revenue: 80,
        }
    }

    fn bid(number: u8, result: BidResult, detail: B256) -> OpenedBid {
        OpenedBid {
            bid: TransactionId(B256::repeat_byte(number)),
            bidder: Address::repeat_byte(number),
            height: 7,
            sequence: 1,
            amount: 50,
            result,
            detail,
        }
    }

    fn results() -> Results {
        Results {
            lots: vec![lot(1), lot(4)],
            bids: vec![
                bid(1, BidResult::Won, B256::ZERO),
                bid(4, BidResult::Won, B256::ZERO),
                bid(5, BidResult::Lost, B256::repeat_byte(1)),
                bid(6, BidResult::Insolvent, number_detail(20)),
            ],
            bundles: vec![DecidedBundle {
                bundle: TransactionId(B256::repeat_byte(2)),
                bidder: Address::repeat_byte(2),
                height: 5,
                decision: Decision::Failed,
                paid: 9,
                legs: vec![LegRevenue { namespace: NamespaceId(1), revenue: 7 }],
            }],
        }
    }

    #[test]
    fn each_result_is_proven_and_nothing_else_is() {
        let results = results();
        let all = results.proven();
        assert_eq!(all.len(), 7);
        for proven in &all {
            assert_eq!(proven.root(), Some(results.root()));
            let mut forged = proven.clone();
            match &mut forged.result {
                AuctionResult::Lot(lot) => lot.revenue += 1,
                AuctionResult::Bid(bid) => bid.amount += 1,
                AuctionResult::Bundle(decided) => decided.legs[0].revenue += 1,
            }
            assert_ne!(forged.root(), Some(results.root()));
            let more = ProvenResult { count: 8, ..proven.clone() };
            assert_ne!(more.root(), Some(results.root()));
        }
        let NamespaceId(four) = NamespaceId(4);
        assert_eq!(results.proven_lot(NamespaceId(four)).as_ref(), all.get(1));
        assert_eq!(results.proven_lot(NamespaceId(2)), None);
        assert_eq!(results.proven_bid(1).as_ref(), all.get(3));
        assert_eq!(results.proven_bid(4), None);
    }

    #[test]
    fn the_root_stands_for_all_of_it_and_its_order() {
        let root = results().root();
        let mut other = results();
        other.bids.swap(0, 1);
        assert_ne!(other.root(), root);
        let mut fewer = results();
        fewer.lots.pop();
        assert_ne!(fewer.root(), root);
        assert_eq!(Results::default().root(), merkle::commit(ROOT_TAG, B256::ZERO, 0));
    }

    #[test]
    fn details_are_read_by_what_the_result_is() {
        let [_, won, lost, insolvent] = &results().bids[..] else { panic!() };
        assert_eq!((won.number(), won.other()), (None, None));
        assert_eq!(lost.other(), Some(TransactionId(B256::repeat_byte(1))));
        assert_eq!(insolvent.number(), Some(20));
        assert_eq!(bid(1, BidResult::Lost, B256::ZERO).other(), None, "beyond the bound");
    }
}
