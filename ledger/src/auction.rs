//! The top-of-block auction inside a block (protocol section 8): bids that have paid for their
//! inclusion are opened and settled before all other transactions.

use std::collections::BTreeMap;

use weft_auction::{
    Bid, Conditions, Lots, Rejection, Terms, determine, next_reserve, open, shapley, split, unsold,
};
use weft_types::results::number_detail;
use weft_types::transaction::TransactionWitness;
use weft_types::{
    Address, B256, BidResult, Height, Leg, Legs, NamespaceId, OpenedBid, Payload, Results,
    SliceEntry, SoldLot, Transaction, Wei,
};

use crate::apply::Progress;
use crate::entry::Namespace;
use crate::state::State;

/// Bids of a block that have paid for their inclusion, in block order, with what they bring.
#[derive(Default)]
pub(crate) struct Included<'a> {
    bids: Vec<Bid>,
    legs: Vec<&'a [Leg]>,
}

impl<'a> Included<'a> {
    pub(crate) fn push(&mut self, transaction: &'a Transaction, checked: &TransactionWitness) {
        let Payload::Bid { sequence, height, amount, legs } = &transaction.body.payload else {
            return;
        };
        // What has been checked has legs of that kind.
        let Some(lots) = Lots::of(legs) else { return };
        let (id, bidder) = (checked.id, checked.sender);
        let (sequence, height, amount) = (*sequence, *height, *amount);
        self.bids.push(Bid { id, bidder, sequence, height, lots, amount });
        self.legs.push(legs);
    }
}

impl Namespace {
    /// The reserve of a lot at that height, in wei, if the namespace has an auction: what it was
    /// last, an eighth less for each lot since that was not sold, but not below the floor.
    pub fn reserve(&self, height: Height) -> Option<Wei> {
        let auction = self.settings.auction?;
        let lots_until = |height: Height| height.checked_div(auction.every).unwrap_or(0);
        let before = lots_until(height.saturating_sub(1));
        let lots = before.saturating_sub(lots_until(self.reserve_at));
        Some(unsold(self.reserve, auction.floor, lots))
    }

    /// The reserve of the lot that the namespace offers at that height, in wei, if it offers one.
    pub fn lot(&self, height: Height) -> Option<Wei> {
        let offers = self.settings.auction?.offers(height);
        offers.then(|| self.reserve(height)).flatten()
    }
}

impl State {
    /// The lots that are offered at that height, with their reserves in wei, ascending.
    pub fn lots(&self, height: Height) -> impl Iterator<Item = (NamespaceId, Wei)> {
        self.namespaces().filter_map(move |(id, namespace)| Some((id, namespace.lot(height)?)))
    }

    /// Opens bids, lets the winners pay, and puts what they bring at the head of slices. Returns
    /// what became of all, and what is for validators.
    pub(crate) fn hold_auction(
        &mut self,
        height: Height,
        included: &Included<'_>,
        progress: &mut Progress,
    ) -> (Results, Wei) {
        let bids = &included.bids;
        let conditions = self.conditions(height, bids);
        let opening = open(bids, &conditions);
        let standing: Vec<usize> = opening.standing().collect();
        let field: Vec<Bid> = standing.iter().filter_map(|at| bids.get(*at)).cloned().collect();
        let allocation = determine(&field);
        let winners = allocation.by_lot(&field);
        let in_the_search = allocation.standing_by_lot(&field);

        for (bid, opened) in bids.iter().zip(&opening.0) {
            if matches!(opened, Err(Rejection::Insolvent(_))) {
                self.punish(bid.bidder);
            }
        }
        let mut for_validators: Wei = 0;
        let mut lots = BTreeMap::new();
        for place in &allocation.winners {
            let (Some(bid), Some(at)) = (field.get(*place), standing.get(*place)) else { continue };
            let sold = self.sell(height, bid, &in_the_search, &conditions);
            for_validators = for_validators.saturating_add(sold.for_validators);
            lots.extend(sold.lots.into_iter().map(|lot| (lot.namespace, lot)));
            let legs = included.legs.get(*at).copied().unwrap_or_default();
            for (leg, place) in legs.iter().zip(Legs::of(legs).places()) {
                let (transaction, bidder, data) = (bid.id, bid.bidder, leg.data.clone());
                progress.head(leg.namespace, SliceEntry::Head { transaction, bidder, place, data });
            }
        }
        let opened = bids.iter().zip(opening.0).map(|(bid, opened)| result(bid, opened, &winners));
        (Results { lots: lots.into_values().collect(), bids: opened.collect() }, for_validators)
    }

    fn conditions(&self, height: Height, bids: &[Bid]) -> Conditions {
        let mut conditions = Conditions { height, ..Conditions::default() };
        for bid in bids {
            conditions.collateral.insert(bid.bidder, self.collateral(&bid.bidder));
            for id in bid.lots.namespaces() {
                if conditions.reserves.contains_key(id) {
                    continue;
                }
                let reserve = self.namespace(*id).and_then(|namespace| namespace.lot(height));
                conditions.reserves.extend(reserve.map(|reserve| (*id, reserve)));
            }
        }
        conditions
    }

    /// Takes what a winner pays and gives it to those it is for.
    fn sell(
        &mut self,
        height: Height,
        bid: &Bid,
        standing: &BTreeMap<NamespaceId, Vec<&Bid>>,
        conditions: &Conditions,
    ) -> Sold {
        let left = self.collateral(&bid.bidder).saturating_sub(bid.amount);
        self.set_collateral(bid.bidder, left);
        let terms = Terms {
            validators: self.params().auction_validators,
            burned: self.params().auction_burned,
        };
        let lots = bid.lots.namespaces().iter();
        let near = lots.filter_map(|lot| standing.get(lot)).flatten().copied();
        let shares = shapley(bid, near);
        let split = split(bid, &shares, terms);
        self.burn(split.burned);
        let mut lots = Vec::with_capacity(shares.len());
        for ((id, revenue), share) in split.rollups.into_iter().zip(shares) {
            let reserve = conditions.reserves.get(&id).copied().unwrap_or(0);
            let Some(namespace) = self.namespace(id).cloned() else { continue };
            let floor = namespace.settings.auction.map_or(0, |auction| auction.floor);
            let recipient = namespace.settings.revenue_recipient;
            let earned = namespace.earned.saturating_add(revenue);
            let next = next_reserve(reserve, floor, Some(share));
            let after = Namespace { reserve: next, reserve_at: height, earned, ..namespace };
            self.set_namespace(id, after);
            self.credit(recipient, revenue);
            lots.push(SoldLot {
                namespace: id,
                reserve,
                bid: bid.id,
                bidder: bid.bidder,
                payment: bid.amount,
                revenue,
            });
        }
        Sold { lots, for_validators: split.validators }
    }

    /// Takes the penalty for a bid that nothing backs, as far as there is anything to take.
    fn punish(&mut self, bidder: Address) {
        let penalty = self.params().bid_penalty;
        let locked = self.collateral(&bidder);
        let of_collateral = locked.min(penalty);
        let balance = self.balance(&bidder);
        let of_balance = balance.min(penalty.saturating_sub(of_collateral));
        self.set_collateral(bidder, locked.saturating_sub(of_collateral));
        self.set_balance(bidder, balance.saturating_sub(of_balance));
        self.burn(of_collateral.saturating_add(of_balance));
    }
}

/// What a winner's lots brought.
struct Sold {
    lots: Vec<SoldLot>,
    for_validators: Wei,
}

/// What became of a bid.
fn result(
    bid: &Bid,
    opened: Result<(), Rejection>,
    winners: &BTreeMap<NamespaceId, &Bid>,
) -> OpenedBid {
    let in_the_way = || {
        let rivals = bid.lots.namespaces().iter().filter_map(|lot| winners.get(lot));
        rivals.min_by_key(|rival| rival.rank()).map(|rival| rival.id)
    };
    let (result, detail) = match opened {
        Ok(()) => match in_the_way() {
            Some(id) if id == bid.id => (BidResult::Won, B256::ZERO),
            rival => (BidResult::Lost, rival.map_or(B256::ZERO, |id| id.0)),
        },
        Err(Rejection::WrongHeight) => (BidResult::WrongHeight, B256::ZERO),
        Err(Rejection::Replaced(by)) => (BidResult::Replaced, by.0),
        Err(Rejection::Withdrawn) => (BidResult::Withdrawn, B256::ZERO),
        Err(Rejection::NoLot(id)) => (BidResult::NoLot, number_detail(id.0.into())),
        Err(Rejection::BelowReserve(reserve)) => (BidResult::BelowReserve, number_detail(reserve)),
        Err(Rejection::Insolvent(has)) => (BidResult::Insolvent, number_detail(has)),
    };
    OpenedBid {
        bid: bid.id,
        bidder: bid.bidder,
        height: bid.height,
        sequence: bid.sequence,
        amount: bid.amount,
        result,
        detail,
    }
}
