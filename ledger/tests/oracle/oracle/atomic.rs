//! Atomic bundles of protocol section 9 once more: what a winner holds, what executors say, and what
//! follows, read off the text.

use std::collections::{BTreeMap, BTreeSet};

use weft_types::{Address, B256, Partners, SkipReason, Wei};

use super::auction::{Bid, mul_div};
use super::{Oracle, Running};

/// An atomic bundle that holds its namespaces.
pub(crate) struct Undecided {
    pub(crate) height: u64,
    pub(crate) bidder: Address,
    pub(crate) amount: Wei,
    pub(crate) locked: Wei,
    /// Time, count of blocks with observations, and height.
    pub(crate) deadline: (u64, u64, u64),
    /// By namespace.
    pub(crate) legs: BTreeMap<u64, Leg>,
}

pub(crate) struct Leg {
    pub(crate) reserve: Wei,
    pub(crate) price: Wei,
    pub(crate) share: Wei,
    pub(crate) executors: Vec<Address>,
    pub(crate) quorum: u8,
    pub(crate) bond: Wei,
    pub(crate) said: BTreeMap<Address, Said>,
}

/// What an executor says of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Fails,
    Does(B256),
    /// It has said two things.
    Nothing,
}

/// How well a namespace's executors keep deadlines.
#[derive(Clone, Copy, Default)]
pub(crate) struct Standing {
    pub(crate) strikes: u8,
    pub(crate) level: u8,
    pub(crate) suspended_until: u64,
}

/// What became of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Heard {
    First,
    Again,
    /// The executor loses its bond.
    Otherwise,
    /// Nothing that the executor says counts any more.
    Void,
}

/// A decision, for the curious as well as for the results.
pub(crate) struct Decided {
    pub(crate) decision: u8,
    /// Whether it came while time and blocks would have let it wait.
    pub(crate) by_height: bool,
    /// Levels of those that are suspended by it.
    pub(crate) suspends: Vec<u8>,
    /// How many have a strike less.
    pub(crate) forgiven: usize,
}

impl Leg {
    /// What a quorum says, if one says the same.
    fn agreed(&self) -> Option<Said> {
        let different: BTreeSet<Said> =
            self.said.values().copied().filter(|said| *said != Said::Nothing).collect();
        different.into_iter().find(|said| {
            let agree = self.said.values().filter(|other| *other == said).count();
            agree >= usize::from(self.quorum)
        })
    }
}

impl Oracle {
    /// What holding each namespace costs per height that offers a lot and takes part in atomic bundles.
    pub(super) fn hold_prices(&self, height: u64, now: u64) -> BTreeMap<u64, Wei> {
        let ids = self.namespaces.keys();
        ids.filter_map(|id| Some((*id, self.hold_price(*id, height, now)?))).collect()
    }

    fn hold_price(&self, namespace: u64, height: u64, now: u64) -> Option<Wei> {
        let known = self.namespaces.get(&namespace)?;
        let atomic = known.settings.atomic.as_ref()?;
        if now < known.standing.suspended_until {
            return None;
        }
        let there = atomic.executors.iter().filter(|it| self.locked(it) >= atomic.bond).count();
        if there < usize::from(atomic.quorum) {
            return None;
        }
        Some(self.lot(namespace, height)? + atomic.hold_fee)
    }

    /// The most that holding these namespaces may cost.
    pub(crate) fn most_for_holding(&self, namespaces: &[u64], height: u64, now: u64) -> Wei {
        let prices = self.hold_prices(height, now);
        let sum: Wei = namespaces.iter().filter_map(|id| prices.get(id)).sum();
        sum * Wei::from(self.params.hold_heights)
    }

    /// What an atomic bid for these lots, ascending, has to be covered by; `None` if one of them is not
    /// offered so.
    pub(crate) fn cover_of(&self, amount: Wei, lots: &[u64], height: u64, now: u64) -> Option<Wei> {
        let prices = self.hold_prices(height, now);
        let accepts = |lot: &u64| lots.iter().all(|other| self.accepts(*lot, *other));
        let fine = lots.iter().all(|lot| prices.contains_key(lot) && accepts(lot));
        let most = self.most_for_holding(lots, height, now);
        fine.then_some(amount.max(most))
    }

    /// Whether a namespace takes part together with another one.
    pub(super) fn accepts(&self, lot: u64, other: u64) -> bool {
        match &self.namespaces[&lot].settings.atomic.as_ref().unwrap().partners {
            Partners::Anyone => true,
            Partners::Only(list) => lot == other || list.iter().any(|id| id.0 == other),
        }
    }

    /// What an atomic bid's bidder needs.
    pub(super) fn cover(&self, bid: &Bid, prices: &BTreeMap<u64, Wei>) -> Wei {
        let sum: Wei = bid.legs.keys().map(|id| prices[id]).sum();
        bid.amount.max(sum * Wei::from(self.params.hold_heights))
    }

    /// Has an atomic winner hold its namespaces. Shares are by namespace.
    pub(super) fn hold(
        &mut self,
        winner: &Bid,
        shares: &[Wei],
        prices: &BTreeMap<u64, Wei>,
        running: &Running,
    ) {
        let height = running.height;
        let cover = self.cover(winner, prices);
        let mut legs = BTreeMap::new();
        for (namespace, share) in winner.legs.keys().zip(shares) {
            let price = prices[namespace];
            let reserve = self.lot(*namespace, height).unwrap();
            let atomic = self.namespaces[namespace].settings.atomic.clone().unwrap();
            let leg = Leg {
                reserve,
                price,
                share: *share,
                executors: atomic.executors,
                quorum: atomic.quorum,
                bond: atomic.bond,
                said: BTreeMap::new(),
            };
            legs.insert(*namespace, leg);
        }
        for (namespace, leg) in &legs {
            let known = self.namespaces.get_mut(namespace).unwrap();
            known.held_by = Some(winner.id);
            (known.reserve, known.reserve_at) = (leg.reserve, height);
        }
        *self.collateral.get_mut(&winner.bidder).unwrap() -= cover;
        let with_observations = running.non_empty_blocks + 3;
        let time = running.now + self.params.hold_limit_ms;
        let undecided = Undecided {
            height,
            bidder: winner.bidder,
            amount: winner.amount,
            locked: cover,
            deadline: (time, with_observations, height + u64::from(self.params.hold_heights)),
            legs,
        };
        self.undecided.insert(winner.id, undecided);
    }

    /// Takes a verdict.
    pub(super) fn verdict(
        &mut self,
        bundle: B256,
        namespace: u64,
        effects: Option<B256>,
        sender: Address,
    ) -> Result<Heard, SkipReason> {
        let collateral = self.locked(&sender);
        let leg = (self.undecided.get_mut(&bundle))
            .and_then(|bundle| bundle.legs.get_mut(&namespace))
            .ok_or(SkipReason::NothingToJudge)?;
        if !leg.executors.contains(&sender) || collateral < leg.bond {
            return Err(SkipReason::NotExecutor);
        }
        let says = effects.map_or(Said::Fails, Said::Does);
        Ok(match leg.said.get(&sender) {
            None => {
                leg.said.insert(sender, says);
                Heard::First
            }
            Some(Said::Nothing) => Heard::Void,
            Some(before) if *before == says => Heard::Again,
            Some(_) => {
                leg.said.insert(sender, Said::Nothing);
                *self.collateral.entry(sender).or_default() -= leg.bond;
                self.burned += leg.bond;
                Heard::Otherwise
            }
        })
    }

    /// Decides what can be decided at the end of a block. Returns the leaves of the decisions, and what
    /// is for validators.
    pub(super) fn decisions(&mut self, running: &mut Running) -> (Vec<Vec<u8>>, Wei) {
        let (now, height) = (running.now, running.height);
        let (mut leaves, mut for_validators) = (Vec::new(), 0);
        let ids: Vec<B256> = self.undecided.keys().copied().collect();
        for id in ids {
            let bundle = &self.undecided[&id];
            let agreed: BTreeMap<u64, Option<Said>> =
                bundle.legs.iter().map(|(id, leg)| (*id, leg.agreed())).collect();
            let (time, blocks, last) = bundle.deadline;
            let waited = now >= time && running.non_empty_blocks >= blocks;
            let decision = if height == bundle.height {
                continue;
            } else if agreed.values().any(|agreed| *agreed == Some(Said::Fails)) {
                1
            } else if agreed.values().all(|agreed| matches!(agreed, Some(Said::Does(_)))) {
                0
            } else if waited || height == last {
                2
            } else {
                continue;
            };
            let bundle = self.undecided.remove(&id).unwrap();
            let prices: Wei = bundle.legs.values().map(|leg| leg.price).sum();
            let holding = Wei::from(height - bundle.height) * prices;
            let (bid, held) = match decision {
                0 => (bundle.amount, 0),
                1 => (0, holding),
                _ => (0, 0),
            };
            *self.collateral.entry(bundle.bidder).or_default() += bundle.locked - bid - held;

            let mut revenues: BTreeMap<u64, Wei> = bundle.legs.keys().map(|id| (*id, 0)).collect();
            for (paid, by_share) in [(bid, true), (held, false)] {
                if paid == 0 {
                    continue;
                }
                let part = |parts: u16| mul_div(paid, parts.into(), 10_000);
                let validators = part(self.params.auction_validators);
                let nobody = part(self.params.auction_burned);
                for_validators += validators;
                self.burned += nobody;
                let rest = paid - validators - nobody;
                let weight = |leg: &Leg| if by_share { leg.share } else { leg.price };
                let all: Wei = bundle.legs.values().map(weight).sum();
                let mut left = rest;
                for (id, leg) in &bundle.legs {
                    let part = mul_div(rest, weight(leg), all);
                    *revenues.get_mut(id).unwrap() += part;
                    left -= part;
                }
                *revenues.values_mut().next().unwrap() += left;
            }

            let mut report = Decided {
                decision,
                by_height: decision == 2 && !waited,
                suspends: Vec::new(),
                forgiven: 0,
            };
            let mut leaf = vec![2];
            leaf.extend_from_slice(id.as_slice());
            leaf.extend_from_slice(bundle.bidder.as_slice());
            leaf.extend_from_slice(&bundle.height.to_be_bytes());
            leaf.push(decision);
            leaf.extend_from_slice(&(bid + held).to_be_bytes());
            for (namespace, leg) in &bundle.legs {
                let revenue = revenues[namespace];
                leaf.extend_from_slice(&namespace.to_be_bytes());
                leaf.extend_from_slice(&revenue.to_be_bytes());
                let mut entry = vec![0];
                entry.extend_from_slice(id.as_slice());
                entry.push(decision);
                running.slices.entry(*namespace).or_default().insert(0, entry);

                let known = self.namespaces.get_mut(namespace).unwrap();
                known.held_by = None;
                known.reserve = leg.reserve;
                known.reserve_at = height;
                if decision == 0 {
                    known.sold_for(leg.share);
                }
                known.earned += revenue;
                *self.accounts.entry(known.settings.revenue_recipient).or_default() += revenue;
                let standing = &mut known.standing;
                if agreed[namespace].is_some() {
                    report.forgiven += usize::from(standing.strikes > 0);
                    standing.strikes = standing.strikes.saturating_sub(1);
                    if standing.strikes == 0 {
                        standing.level = 0;
                    }
                } else if decision == 2 {
                    standing.strikes += 1;
                    if standing.strikes == 3 {
                        report.suspends.push(standing.level);
                        let twice = 1 << standing.level;
                        standing.suspended_until = now + self.params.suspension_ms * twice;
                        standing.level = (standing.level + 1).min(6);
                        standing.strikes = 2;
                    }
                }
            }
            leaves.push(leaf);
            running.decided.push(report);
        }
        (leaves, for_validators)
    }
}
