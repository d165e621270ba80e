//! Which bids stand, and why the others do not.

use std::collections::BTreeMap;

use weft_types::{Address, BidMode, Height, NamespaceId, Partners, TransactionId, Wei};

use crate::bid::Bid;

/// Why a bid does not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is for another height than the one it was ordered at.
    WrongHeight,
    /// The same bidder has a later bid for this height.
    Replaced(TransactionId),
    /// It offers nothing: it was there to withdraw an earlier one.
    Withdrawn,
    /// A namespace has no lot at this height.
    NoLot(NamespaceId),
    /// It is atomic, and a namespace takes part in no such bundle now, or not with another of its namespaces.
    NotAtomic(NamespaceId),
    /// It offers less than its lots' reserves together, in wei.
    BelowReserve(Wei),
    /// The bidder's collateral, in wei, does not cover it: what it offers or, if it is atomic, the most
    /// that holding its namespaces may cost, if that is more.
    Insolvent(Wei),
}

/// What bids meet.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// The height.
    pub height: Height,
    /// The reserve of each namespace that has a lot at this height, in wei.
    pub reserves: BTreeMap<NamespaceId, Wei>,
    /// What each bidder has put up, in wei.
    pub collateral: BTreeMap<Address, Wei>,
    /// Each namespace that takes part in atomic bundles.
    pub holds: BTreeMap<NamespaceId, Hold>,
}

/// How a namespace takes part in atomic bundles.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The most that holding it may cost, in wei.
    pub most: Wei,
    /// With whom.
    pub partners: Partners,
}

impl Conditions {
    /// What a bid has to be covered by, in wei.
    pub fn cover(&self, bid: &Bid) -> Wei {
        match bid.mode {
            BidMode::Inclusion => bid.amount,
            BidMode::Atomic => {
                let holds = bid.lots.namespaces().iter().filter_map(|lot| self.holds.get(lot));
                bid.amount.max(holds.fold(0, |sum: Wei, hold| sum.saturating_add(hold.most)))
            }
        }
    }
}

/// What opening bids came to: for each, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening(pub Vec<Result<(), Rejection>>);

impl Opening {
    /// The places of the bids that stand.
    pub fn standing(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, opened)| opened.is_ok()).map(|(place, _)| place)
    }
}

/// Opens bids. Of several of a bidder's that are for this height, the one with the highest sequence
/// counts, of equals the one with the lower id, whether it stands or not: so that withdrawing and
/// replacing does not depend on what was ordered first.
pub fn open(bids: &[Bid], conditions: &Conditions) -> Opening {
    let mut live: BTreeMap<Address, &Bid> = BTreeMap::new();
    let is_later = |bid: &Bid, than: &Bid| {
        (bid.sequence, std::cmp::Reverse(bid.id)) > (than.sequence, std::cmp::Reverse(than.id))
    };
    for bid in bids.iter().filter(|bid| bid.height == conditions.height) {
        let latest = live.entry(bid.bidder).or_insert(bid);
        if is_later(bid, latest) {
            *latest = bid;
        }
    }
    let opened = |bid: &Bid| {
        if bid.height != conditions.height {
            return Err(Rejection::WrongHeight);
        }
        if let Some(latest) = live.get(&bid.bidder).filter(|latest| latest.id != bid.id) {
            return Err(Rejection::Replaced(latest.id));
        }
        if bid.amount == 0 {
            return Err(Rejection::Withdrawn);
        }
        let mut reserve: Wei = 0;
        for lot in bid.lots.namespaces() {
            let of_lot = conditions.reserves.get(lot).ok_or(Rejection::NoLot(*lot))?;
            reserve = reserve.saturating_add(*of_lot);
        }
        if bid.mode == BidMode::Atomic {
            let lots = bid.lots.namespaces();
            let takes_part = |lot: &&NamespaceId| {
                let hold = conditions.holds.get(lot);
                hold.is_some_and(|hold| hold.partners.allow_beside(**lot, lots.iter().copied()))
            };
            if let Some(lot) = lots.iter().find(|lot| !takes_part(lot)) {
                return Err(Rejection::NotAtomic(*lot));
            }
        }
        if bid.amount < reserve {
            return Err(Rejection::BelowReserve(reserve));
        }
        let collateral = conditions.collateral.get(&bid.bidder).copied().unwrap_or(0);
        if conditions.cover(bid) > collateral {
            return Err(Rejection::Insolvent(collateral));
        }
        Ok(())
    };
    Opening(bids.iter().map(opened).collect())
}
