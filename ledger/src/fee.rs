//! Prices per byte, EIP-1559 in continuous time (protocol section 6).
//!
//! Blocks come when there is something to order, tens of milliseconds or a second apart, so the
//! price follows bytes per second of block time rather than bytes per block: within eight seconds
//! without use it falls to the floor, and ordering a second's target lifts it by an eighth. At the
//! target rate the two cancel out.

use weft_types::{TimeMs, Wei};

use crate::entry::GlobalPrice;

/// Milliseconds without use in which a price falls to nothing but its floor.
const FALL_MS: u128 = 8_000;

/// By ordering how many targets of a second a price doubles.
const RISE: u128 = 8;

/// A price never rises above 2^80 wei per byte, so that arithmetic on it cannot overflow.
const CEILING: Wei = 1 << 80;

/// How a price moves.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// Least wei per byte.
    pub floor: Wei,
    /// Bytes per second of block time at which it stays.
    pub target: u64,
}

impl Price {
    /// The price in a block at `now`.
    pub fn at(&self, price: &GlobalPrice, now: TimeMs) -> Wei {
        let idle = u128::from(now.saturating_sub(price.at_ms)).min(FALL_MS);
        let fall = mul_div(price.base_fee, idle, FALL_MS);
        price.base_fee.saturating_sub(fall).clamp(self.floor, CEILING)
    }

    /// The price after a block at `now` that used `bytes`.
    pub fn after(&self, price: &GlobalPrice, now: TimeMs, bytes: u64) -> GlobalPrice {
        let base_fee = self.at(price, now);
        let full = u128::from(self.target).saturating_mul(RISE);
        let rise = mul_div(base_fee, u128::from(bytes).min(full), full);
        GlobalPrice { base_fee: base_fee.saturating_add(rise).min(CEILING), at_ms: now }
    }
}

/// `value * numerator / denominator` for a value up to the ceiling and a numerator up to 2^48.
fn mul_div(value: Wei, numerator: u128, denominator: u128) -> u128 {
    value.saturating_mul(numerator).checked_div(denominator).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { floor: 1_000_000, target: 1000 };

    fn at(base_fee: Wei) -> GlobalPrice {
        GlobalPrice { base_fee, at_ms: 50_000 }
    }

    #[test]
    fn falls_when_idle_and_never_below_the_floor() {
        assert_eq!(PRICE.at(&at(8_000_000), 50_000), 8_000_000);
        assert_eq!(PRICE.at(&at(8_000_000), 51_000), 7_000_000);
        assert_eq!(PRICE.at(&at(8_000_000), 58_000), 1_000_000);
        assert_eq!(PRICE.at(&at(8_000_000), u64::MAX), 1_000_000);
        assert_eq!(PRICE.at(&at(8_000_000), 0), 8_000_000, "time never runs backwards");
    }

    #[test]
    fn use_at_the_target_rate_keeps_it_whatever_the_pace_of_blocks() {
        for pace in [10u64, 100, 1000] {
            let mut price = at(800_000_000);
            let mut now = price.at_ms;
            for _ in 0..20_000 / pace {
                now += pace;
                price = PRICE.after(&price, now, PRICE.target * pace / 1000);
            }
            let drift = price.base_fee.abs_diff(800_000_000);
            assert!(drift < 300_000_000, "{} at a block per {pace} ms", price.base_fee);
        }
    }

    #[test]
    fn a_second_at_twice_the_target_lifts_it_by_an_eighth() {
        let mut price = at(800_000_000);
        for _ in 0..100 {
            price = PRICE.after(&price, price.at_ms + 10, 20);
        }
        assert!((895_000_000..912_000_000).contains(&price.base_fee), "{}", price.base_fee);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let price = GlobalPrice { base_fee: Wei::MAX, at_ms: 0 };
        let steep = Price { floor: 8, target: u64::MAX };
        assert_eq!(steep.at(&price, 0), CEILING);
        let next = Price { floor: 8, target: 1 }.after(&price, 0, u64::MAX);
        assert_eq!(next.base_fee, CEILING);
    }
}
