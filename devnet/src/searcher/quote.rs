//! What to trade: pure, from what the pairs hold.

use alloy_primitives::U256;

use crate::exchange::formula::{amount_out, best_amount};

/// A pair of the tokens A and B somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Venue {
    /// Which of the rollups it is on.
    pub rollup: usize,
    /// Which of the exchanges there.
    pub exchange: usize,
    /// What it holds of A and of B.
    pub reserves: [U256; 2],
}

/// To give A for B at one venue, and the same B for more A at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    /// Where B is bought.
    pub bought: Venue,
    /// Where it is sold.
    pub sold: Venue,
    /// What is given of A, in its smallest unit.
    pub given: U256,
    /// What is bought and sold of B.
    pub between: U256,
    /// What comes back of A.
    pub back: U256,
}

impl Trade {
    /// What is gained of A.
    pub fn gain(&self) -> U256 {
        self.back.saturating_sub(self.given)
    }

    /// The most that can be gained by buying at one venue and selling at another. `None` if nothing
    /// can.
    fn between(bought: Venue, sold: Venue) -> Option<Self> {
        let ([a, b], [d, c]) = (bought.reserves, sold.reserves);
        let given = best_amount([a, b], [c, d])?;
        let between = amount_out(given, a, b)?;
        let back = amount_out(between, c, d)?;
        (back > given).then_some(Self { bought, sold, given, between, back })
    }
}

/// The trade between two of the venues that gains the most. `None` if none gains anything.
pub(super) fn best(venues: &[Venue]) -> Option<Trade> {
    let pairs = venues.iter().flat_map(|bought| venues.iter().map(move |sold| (bought, sold)));
    pairs
        .filter(|(bought, sold)| bought != sold)
        .filter_map(|(bought, sold)| Trade::between(*bought, *sold))
        .max_by_key(Trade::gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue(rollup: usize, exchange: usize, a: u64, b: u64) -> Venue {
        let one = U256::from(10).pow(U256::from(18));
        Venue { rollup, exchange, reserves: [a, b].map(|amount| U256::from(amount) * one) }
    }

    #[test]
    fn is_bought_where_it_is_cheap_and_sold_where_it_is_dear() {
        let (dear, cheap) = (venue(0, 0, 10_000, 40_000), venue(0, 1, 10_000, 44_000));
        let middle = venue(1, 0, 10_000, 43_000);
        let trade = best(&[dear, cheap, middle]).unwrap();
        assert_eq!((trade.bought, trade.sold), (cheap, dear));
        assert!(trade.gain() > U256::ZERO);
        // Afterwards nothing is left between the two.
        let after = |venue: Venue, a: [U256; 2], b: [U256; 2]| Venue {
            reserves: [venue.reserves[0] + a[0] - a[1], venue.reserves[1] + b[0] - b[1]],
            ..venue
        };
        let (given, between, back, zero) = (trade.given, trade.between, trade.back, U256::ZERO);
        let cheap = after(cheap, [given, zero], [zero, between]);
        let dear = after(dear, [zero, back], [between, zero]);
        let left = best(&[dear, cheap]).map_or(zero, |trade| trade.gain());
        assert!(left < U256::from(1000), "{left} is left");
        assert!(best(&[dear, cheap, middle]).is_some(), "the third has another price");
    }

    #[test]
    fn there_is_nothing_to_gain_at_one_price() {
        assert_eq!(best(&[]), None);
        let venues = [venue(0, 0, 10_000, 40_000), venue(1, 0, 20_000, 80_000)];
        assert_eq!(best(&venues[..1]), None);
        assert_eq!(best(&venues), None);
    }
}
