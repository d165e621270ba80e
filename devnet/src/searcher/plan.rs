//! From what the pairs hold to a bid: the trade, its legs, what they would do, what that is worth.

use alloy_primitives::U256;
use eyre::{bail, ensure, eyre};
use weft_rollup_adapter::evm::items::Bound;
use weft_types::{BidMode, Height, Leg, SecretKey, Wei};

use super::quote::{self, Trade, Venue};
use super::rollup::{GAS_PRICE, Moved, Rollup, Signed, Simulated};
use crate::exchange::ONE;
use crate::l1::ETHER;

/// What one A is taken to be worth, in wei: a hundredth of an ether.
pub(super) const PRICE: Wei = ETHER / 100;

/// Somebody who searches.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    /// As it is called in messages.
    pub name: &'static str,
    /// What it signs with, on Weft and on rollups.
    pub key: &'a SecretKey,
    /// How much of the profit that it expects it bids, in percent.
    pub share: Wei,
}

/// What a party is about to bid for.
pub(super) struct Plan {
    /// The trade.
    pub trade: Trade,
    /// What it consists of, ascending by rollup.
    pub legs: Vec<PlannedLeg>,
    /// The gain of A less all gas, in wei. What gas costs at most counts.
    pub profit: Wei,
    /// What is bid.
    pub amount: Wei,
}

/// What is to stand at the head of one rollup's slice.
pub(super) struct PlannedLeg {
    /// Which of the rollups.
    pub rollup: usize,
    /// Its transactions, in order.
    pub transactions: Vec<Signed>,
    /// What they would do.
    pub simulated: Simulated,
}

impl Plan {
    /// Looks for the best trade at the exchanges of rollups, simulates it, and decides what to bid.
    /// `among` says which of the rollups to look at. `None` if there is nothing to gain.
    ///
    /// Nothing else of the party may be pending on these rollups: legs use its next nonces.
    pub async fn make(
        party: Party<'_>,
        rollups: &[Rollup],
        among: &[usize],
    ) -> eyre::Result<Option<Self>> {
        let mut venues = Vec::new();
        for (rollup, on) in rollups.iter().enumerate().filter(|(rollup, _)| among.contains(rollup))
        {
            for exchange in 0..on.exchanges.len() {
                let reserves = on.reserves(exchange).await?;
                venues.push(Venue { rollup, exchange, reserves });
            }
        }
        let Some(trade) = quote::best(&venues) else { return Ok(None) };
        let mut legs = Vec::new();
        for (rollup, on) in rollups.iter().enumerate() {
            let transactions = sign(party.key, on, rollup, &trade).await?;
            if !transactions.is_empty() {
                let simulated = on.simulate(&transactions, party.key.address()).await?;
                legs.push(PlannedLeg { rollup, transactions, simulated });
            }
        }
        let gain = i128::try_from(trade.gain()).map_err(|_| eyre!("{trade:?} is no trade"))?;
        let moved = sum(legs.iter().map(|leg| leg.simulated.moved));
        ensure!(moved == [gain, 0], "the formula says {gain} of A, the simulation {moved:?}");
        let gas: u128 = legs.iter().map(|leg| u128::from(leg.simulated.gas_used)).sum();
        let Some(profit) = worth(gain).checked_sub_unsigned(gas.saturating_mul(GAS_PRICE)) else {
            bail!("{gas} is no gas");
        };
        let profit = Wei::try_from(profit).unwrap_or(0);
        let amount = profit.saturating_mul(party.share) / 100;
        Ok((amount > 0).then_some(Self { trade, legs, profit, amount }))
    }

    /// What an atomic bid for a height brings: the same swaps, bound to it. Each has to pay at least what it was
    /// planned with, or more, if something is demanded of its leg.
    pub async fn bound_legs(
        &self,
        key: &SecretKey,
        rollups: &[Rollup],
        height: Height,
        demands: impl Fn(usize) -> U256,
    ) -> eyre::Result<Vec<Leg>> {
        let (mode, bidder, siblings) = (BidMode::Atomic, key.address(), Vec::new());
        let bound = Bound { mode, height, bidder, siblings };
        let mut legs = Vec::new();
        for (place, planned) in self.legs.iter().enumerate() {
            let on = &rollups[planned.rollup];
            let mut data = Vec::new();
            for (nonce, (venue, sells_a, given, least)) in
                (on.nonce(bidder).await?..).zip(swaps_on(planned.rollup, &self.trade))
            {
                let least = least.max(demands(place));
                let swap = on.swap(venue.exchange, sells_a, given, least, bidder)?;
                data.push(on.sign_bound(key, nonce, swap, &bound).raw);
            }
            legs.push(Leg { namespace: on.namespace, data });
        }
        Ok(legs)
    }

    /// What the bid brings.
    pub fn bid_legs(&self, rollups: &[Rollup]) -> Vec<Leg> {
        let leg = |leg: &PlannedLeg| Leg {
            namespace: rollups[leg.rollup].namespace,
            data: leg.transactions.iter().map(|signed| signed.raw.clone()).collect(),
        };
        self.legs.iter().map(leg).collect()
    }
}

/// The transactions of a trade on one of the rollups, with the account's next nonces there.
async fn sign(
    key: &SecretKey,
    on: &Rollup,
    rollup: usize,
    trade: &Trade,
) -> eyre::Result<Vec<Signed>> {
    let account = key.address();
    let mut signed = Vec::new();
    for (nonce, (venue, sells_a, given, least)) in
        (on.nonce(account).await?..).zip(swaps_on(rollup, trade))
    {
        let swap = on.swap(venue.exchange, sells_a, given, least, account)?;
        signed.push(on.sign(key, nonce, swap));
    }
    Ok(signed)
}

/// The swaps of a trade on one of the rollups: where, whether A is sold, how much, and for how much at least.
fn swaps_on(rollup: usize, trade: &Trade) -> impl Iterator<Item = (Venue, bool, U256, U256)> {
    let swaps = [
        (trade.bought, true, trade.given, trade.between),
        (trade.sold, false, trade.between, trade.back),
    ];
    swaps.into_iter().filter(move |(venue, ..)| venue.rollup == rollup)
}

/// What so much of A is worth, in wei.
pub(super) fn worth(amount: i128) -> i128 {
    let price = i128::try_from(PRICE).unwrap_or(i128::MAX);
    amount.saturating_mul(price / 1_000_000_000) / i128::try_from(ONE / 1_000_000_000).unwrap_or(1)
}

/// What several legs move together.
pub(super) fn sum(moved: impl Iterator<Item = Moved>) -> Moved {
    moved.fold([0, 0], |[a, b], [c, d]| [a.saturating_add(c), b.saturating_add(d)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worth_is_by_the_price() {
        let one = i128::try_from(ONE).unwrap();
        assert_eq!(worth(one), i128::try_from(PRICE).unwrap());
        assert_eq!(worth(-3 * one), -3 * i128::try_from(PRICE).unwrap());
        assert_eq!(worth(0), 0);
        assert_eq!(sum([[1, -2], [3, 2]].into_iter()), [4, 0]);
    }
}
