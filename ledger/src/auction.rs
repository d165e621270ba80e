//! The top-of-block auction inside a block (protocol section 8): bids that have paid for their
//! inclusion are opened and settled before all other transactions.

use std::collections::BTreeMap;

use weft_auction::{
    Bid, Conditions, Hold, Lots, Rejection, Terms, determine, next_reserve, open, shapley, split,
    unsold,
};
use weft_types::results::number_detail;
use weft_types::transaction::TransactionWitness;
use weft_types::{
    Address, B256, BidMode, BidResult, Height, Leg, Legs, NamespaceId, OpenedBid, Params, Payload,
    Results, SliceEntry, SoldLot, TimeMs, Transaction, Wei,
};

use crate::apply::{OrderedBlock, Progress};
use crate::entry::Namespace;
use crate::state::State;
use crate::undecided::{PendingLeg, Undecided};

/// Bids of a block that have paid for their inclusion, in block order, with what they bring.
#[derive(Default)]
pub(crate) struct Included<'a> {
    bids: Vec<Bid>,
    legs: Vec<&'a [Leg]>,
}

impl<'a> Included<'a> {
    pub(crate) fn push(&mut self, transaction: &'a Transaction, checked: &TransactionWitness) {
        let Payload::Bid { sequence, height, amount, mode, legs } = &transaction.body.payload
        else {
            return;
        };
        // What has been checked has legs of that kind.
        let Some(lots) = Lots::of(legs) else { return };
        let (id, bidder) = (checked.id, checked.sender);
        let (sequence, height, amount, mode) = (*sequence, *height, *amount, *mode);
        self.bids.push(Bid { id, bidder, sequence, height, lots, amount, mode });
        self.legs.push(legs);
    }
}

impl Namespace {
    /// The reserve of a lot at that height, in wei, if the namespace has an auction: what it was
    /// last, an eighth less for each lot since that was not sold, but not below the floor.
    pub fn reserve(&self, height: Height) -> Option<Wei> {
        let auction = self.settings.auction?;
        let lots_until = |height: Height| height.checked_div(auction.every).unwrap_or(0);
        // Held, it offers no lots.
        let height = if self.held_by.is_some() { self.reserve_at } else { height };
        let before = lots_until(height.saturating_sub(1));
        let lots = before.saturating_sub(lots_until(self.reserve_at));
        Some(unsold(self.reserve, auction.floor, lots))
    }

    /// The reserve of the lot that the namespace may offer at that height, in wei, if it may offer one: what holds it
    /// now will have let it go by any height after the next one, as far as anybody knows.
    pub fn may_offer(&self, height: Height, next: Height) -> Option<Wei> {
        let is_free = self.held_by.is_none() || height > next;
        let offers = self.settings.auction?.offers(height) && is_free;
        offers.then(|| self.reserve(height)).flatten()
    }

    /// The reserve of the lot that the namespace offers at that height, in wei, if it offers one.
    pub fn lot(&self, height: Height) -> Option<Wei> {
        self.may_offer(height, height)
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
        block: &OrderedBlock<'_>,
        included: &Included<'_>,
        progress: &mut Progress,
    ) -> (Results, Wei) {
        let bids = &included.bids;
        let conditions = self.conditions(block, bids);
        let opening = open(bids, &conditions);
        let standing: Vec<usize> = opening.standing().collect();
        let field: Vec<Bid> = standing.iter().filter_map(|at| bids.get(*at)).cloned().collect();
        let allocation = determine(&field);
        let winners = allocation.by_lot(&field);
        let in_the_search = allocation.standing_by_lot(&field);

        for (bid, opened) in bids.iter().zip(&opening.0) {
            // What holding may cost changes until the bid is opened; what it offers does not.
            if matches!(opened, Err(Rejection::Insolvent(has)) if bid.amount > *has) {
                self.punish(bid.bidder);
            }
        }
        let mut for_validators: Wei = 0;
        let mut lots = BTreeMap::new();
        for place in &allocation.winners {
            let (Some(bid), Some(at)) = (field.get(*place), standing.get(*place)) else { continue };
            let near = bid.lots.namespaces().iter().filter_map(|lot| in_the_search.get(lot));
            let shares = shapley(bid, near.flatten().copied());
            let sold = match bid.mode {
                BidMode::Inclusion => self.sell(block.height, bid, &shares, &conditions),
                BidMode::Atomic => self.set_aside(block, bid, &shares, &conditions),
            };
            for_validators = for_validators.saturating_add(sold.for_validators);
            lots.extend(sold.lots.into_iter().map(|lot| (lot.namespace, lot)));
            let legs = included.legs.get(*at).copied().unwrap_or_default();
            for (leg, place) in legs.iter().zip(Legs::of(legs).places()) {
                let (transaction, bidder, data) = (bid.id, bid.bidder, leg.data.clone());
                let mode = bid.mode;
                let entry = SliceEntry::Head { transaction, bidder, mode, place, data };
                progress.head(leg.namespace, entry);
            }
        }
        let opened = bids.iter().zip(opening.0).map(|(bid, opened)| result(bid, opened, &winners));
        let lots = lots.into_values().collect();
        (Results { lots, bids: opened.collect(), bundles: Vec::new() }, for_validators)
    }

    fn conditions(&self, block: &OrderedBlock<'_>, bids: &[Bid]) -> Conditions {
        let height = block.height;
        let heights = u128::from(self.params().hold_heights);
        let mut conditions = Conditions { height, ..Conditions::default() };
        for bid in bids {
            conditions.collateral.insert(bid.bidder, self.collateral(&bid.bidder));
            for id in bid.lots.namespaces() {
                if conditions.reserves.contains_key(id) {
                    continue;
                }
                let Some(namespace) = self.namespace(*id) else { continue };
                let Some(reserve) = namespace.lot(height) else { continue };
                conditions.reserves.insert(*id, reserve);
                let hold = self.takes_atomic(namespace, block.time_ms).map(|atomic| {
                    let most = atomic.price(reserve).saturating_mul(heights);
                    (*id, Hold { most, partners: atomic.partners.clone() })
                });
                conditions.holds.extend(hold);
            }
        }
        conditions
    }

    /// What a bid for lots of a height has to be covered by, in wei, as things stand; `None` if one of the lots will not be
    /// offered, or not atomically.
    pub fn cover(
        &self,
        height: Height,
        mode: BidMode,
        amount: Wei,
        lots: &[NamespaceId],
        now: TimeMs,
    ) -> Option<Wei> {
        let mut prices: Wei = 0;
        for id in lots {
            let namespace = self.namespace(*id)?;
            let reserve = namespace.may_offer(height, self.clock().height.saturating_add(1))?;
            if mode == BidMode::Atomic {
                let atomic = self.takes_atomic(namespace, now)?;
                if !atomic.partners.allow_beside(*id, lots.iter().copied()) {
                    return None;
                }
                prices = prices.saturating_add(atomic.price(reserve));
            }
        }
        Some(amount.max(prices.saturating_mul(self.params().hold_heights.into())))
    }

    /// Takes what a winner pays and gives it to those it is for.
    fn sell(&mut self, height: Height, bid: &Bid, shares: &[Wei], conditions: &Conditions) -> Sold {
        let left = self.collateral(&bid.bidder).saturating_sub(bid.amount);
        self.set_collateral(bid.bidder, left);
        let lots = bid.lots.namespaces().iter().copied();
        let weights: Vec<_> = lots.zip(shares.iter().copied()).collect();
        let split = split(bid.amount, &weights, self.auction_terms());
        self.burn(split.burned);
        let mut lots = Vec::with_capacity(shares.len());
        for ((id, revenue), share) in split.rollups.into_iter().zip(shares) {
            let reserve = conditions.reserves.get(&id).copied().unwrap_or(0);
            let Some(namespace) = self.namespace(id).cloned() else { continue };
            let floor = namespace.settings.auction.map_or(0, |auction| auction.floor);
            let recipient = namespace.settings.revenue_recipient;
            let earned = namespace.earned.saturating_add(revenue);
            let next = next_reserve(reserve, floor, Some(*share));
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

    /// Sets aside what an atomic winner may have to pay, and holds its namespaces.
    fn set_aside(
        &mut self,
        block: &OrderedBlock<'_>,
        bid: &Bid,
        shares: &[Wei],
        conditions: &Conditions,
    ) -> Sold {
        let locked = conditions.cover(bid);
        let left = self.collateral(&bid.bidder).saturating_sub(locked);
        self.set_collateral(bid.bidder, left);
        let mut legs = Vec::with_capacity(shares.len());
        let mut lots = Vec::with_capacity(shares.len());
        for (id, share) in bid.lots.namespaces().iter().zip(shares) {
            let reserve = conditions.reserves.get(id).copied().unwrap_or(0);
            let settings = self.namespace(*id).and_then(|it| it.settings.atomic.clone());
            // It would not have been opened otherwise.
            let Some(atomic) = settings else { continue };
            legs.push(PendingLeg {
                namespace: *id,
                reserve,
                price: atomic.price(reserve),
                share: *share,
                executors: atomic.executors,
                quorum: atomic.quorum,
                bond: atomic.bond,
                verdicts: Vec::new(),
            });
            lots.push(SoldLot {
                namespace: *id,
                reserve,
                bid: bid.id,
                bidder: bid.bidder,
                payment: bid.amount,
                revenue: 0,
            });
        }
        let (height, bidder, amount) = (block.height, bid.bidder, bid.amount);
        let deadline = self.deadline(block);
        self.hold(bid.id, Undecided { height, bidder, amount, locked, deadline, legs });
        Sold { lots, for_validators: 0 }
    }

    /// How payments are split.
    pub(crate) fn auction_terms(&self) -> Terms {
        let Params { auction_validators, auction_burned, .. } = *self.params();
        Terms { validators: auction_validators, burned: auction_burned }
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
        Err(Rejection::NotAtomic(id)) => (BidResult::NotAtomic, number_detail(id.0.into())),
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
