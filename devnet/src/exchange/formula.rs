//! What Uniswap V2 must answer, computed without it. All amounts are in the tokens' smallest units.

use alloy_primitives::{Address, B256, U256, keccak256};

/// Shares that the first deposit of a pair loses for good; nobody owns them.
pub const LOCKED_SHARES: u64 = 1000;

/// What a swap of `amount_in` pays out of a pair that holds `reserve_in` of the token given and
/// `reserve_out` of the token taken: the product of the reserves must not shrink after 3 in 1000 of
/// the amount were set aside as the fee. Rounds down; `None` if a number does not fit, or nothing
/// is in the pair.
pub fn amount_out(amount_in: U256, reserve_in: U256, reserve_out: U256) -> Option<U256> {
    let after_fee = amount_in.checked_mul(U256::from(997))?;
    let numerator = after_fee.checked_mul(reserve_out)?;
    let denominator = reserve_in.checked_mul(U256::from(1000))?.checked_add(after_fee)?;
    numerator.checked_div(denominator)
}

/// What to give of a token so that to swap it in one pair for another token, and what that pays in a
/// second pair back for the first, gains the most. `first` is what the first pair holds of the token
/// given and of the one taken there, `second` what the second pair holds of the token taken in the first and
/// of the one taken in the end. `None` if nothing is gained, or a number does not fit.
///
/// With reserves `a`, `b` of the first pair, `c`, `d` of the second, and `g` = 997 / 1000, giving `x`
/// pays `g^2 b d x / (a c + g (c + g b) x)`. That grows by one for one more of `x` where
/// `x = (g sqrt(a b c d) - a c) / (g (c + g b))`. What is rounded off costs nothing that can be seen:
/// the gain is flat there.
pub fn best_amount(first: [U256; 2], second: [U256; 2]) -> Option<U256> {
    let [a, b] = first;
    let [c, d] = second;
    let [thousand, kept] = [U256::from(1000), U256::from(997)];
    let roots = a.checked_mul(b)?.root(2).checked_mul(c.checked_mul(d)?.root(2))?;
    let product = a.checked_mul(c)?.checked_mul(thousand)?;
    // Each times a thousand, then times another thousand over what is divided by.
    let gained = roots.checked_mul(kept)?.checked_sub(product)?.checked_mul(thousand)?;
    let slope = c.checked_mul(thousand)?.checked_add(b.checked_mul(kept)?)?.checked_mul(kept)?;
    gained.checked_div(slope).filter(|amount| !amount.is_zero())
}

/// The shares that who makes the first deposit receives: the geometric mean of the amounts, rounded
/// down, less the locked ones. `None` if the product does not fit, or nothing is left.
pub fn first_shares(amount_a: U256, amount_b: U256) -> Option<U256> {
    amount_a.checked_mul(amount_b)?.root(2).checked_sub(U256::from(LOCKED_SHARES))
}

/// The address of the pair of two tokens, in any order, that `factory` makes from code whose
/// Keccak-256 hash is `code_hash`.
pub fn pair_address(factory: Address, a: Address, b: Address, code_hash: B256) -> Address {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let salt: B256 = keccak256([first.as_slice(), second.as_slice()].concat());
    factory.create2(salt, code_hash)
}

/// Turns amounts of two tokens from the pair's order, ascending by address, into the order of `a`
/// and `b`, or back.
pub fn in_order_of<T>(a: Address, b: Address, [first, second]: [T; 2]) -> [T; 2] {
    if a < b { [first, second] } else { [second, first] }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256};

    use super::*;

    fn n(number: u128) -> U256 {
        U256::from(number)
    }

    #[test]
    fn a_swap_pays_what_keeps_the_product_after_the_fee() {
        // 100 in, of which 99.7 count: 1000 - 1000 * 1000 / 1099.7 = 90.66.
        assert_eq!(amount_out(n(100), n(1000), n(1000)), Some(n(90)));
        assert_eq!(amount_out(n(0), n(1000), n(1000)), Some(n(0)));
        assert_eq!(amount_out(n(0), n(0), n(0)), None);
        assert_eq!(amount_out(U256::MAX, n(1), n(1)), None);
        for amount in [1, 997, 123_456_789, u128::from(u64::MAX)] {
            let (into, out_of) = (n(10u128.pow(22)), n(4 * 10u128.pow(22)));
            let paid = amount_out(n(amount), into, out_of).unwrap();
            let after = |paid: U256| (into * n(1000) + n(amount * 997)) * (out_of - paid);
            let product = into * n(1000) * out_of;
            assert!(after(paid) >= product, "the product shrinks");
            assert!(after(paid + n(1)) < product, "one more would have been paid");
        }
    }

    #[test]
    fn the_best_amount_gains_more_than_others() {
        let one = 10u128.pow(18);
        for (first, second) in [
            ([10_000 * one, 44_000 * one], [40_000 * one, 10_000 * one]),
            ([7 * one, 9_000 * one], [40_000 * one, 33 * one]),
            ([10_000 * one, 41_000 * one], [40_000 * one, 10_000 * one]),
        ] {
            let (first, second) = (first.map(n), second.map(n));
            let gain = |given: U256| {
                let taken = amount_out(given, first[0], first[1]).unwrap();
                let back = amount_out(taken, second[0], second[1]).unwrap();
                i128::try_from(back).unwrap() - i128::try_from(given).unwrap()
            };
            let best = best_amount(first, second).unwrap();
            assert!(gain(best) > 0);
            for thousandths in [1, 500, 990, 999, 1001, 1010, 2000, 10_000] {
                let other = best * n(thousandths) / n(1000);
                assert!(gain(other) < gain(best), "{thousandths} in 1000 of it gain more");
            }
        }
    }

    #[test]
    fn between_equal_prices_nothing_is_gained() {
        let [a, b] = [n(10_000), n(40_000)];
        assert_eq!(best_amount([a, b], [b, a]), None);
        // The fee is more than the difference.
        assert_eq!(best_amount([a, n(40_200)], [b, a]), None);
        assert_eq!(best_amount([a, n(44_000)], [n(0), n(0)]), None);
        assert_eq!(best_amount([U256::MAX, b], [b, a]), None);
    }

    #[test]
    fn the_first_deposit_is_worth_its_geometric_mean() {
        assert_eq!(first_shares(n(10_000), n(40_000)), Some(n(20_000 - 1000)));
        assert_eq!(first_shares(n(3), n(5)), None);
        assert_eq!(first_shares(U256::MAX, n(2)), None);
    }

    /// The pair of USDC and WETH on Ethereum's main network.
    #[test]
    fn a_pair_stands_where_its_tokens_say_in_any_order() {
        let a = address!("A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
        let b = address!("C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2");
        let factory = address!("5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f");
        let code = b256!("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f");
        let pair = address!("B4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc");
        assert_eq!(pair_address(factory, a, b, code), pair);
        assert_eq!(pair_address(factory, b, a, code), pair);
        assert_eq!(in_order_of(b, a, [1, 2]), [2, 1]);
        assert_eq!(in_order_of(a, b, [1, 2]), [1, 2]);
    }
}
