//! Who gets what a winning bid pays. Every wei goes somewhere.

use alloy_primitives::U256;
use weft_types::{NamespaceId, Wei};

use crate::bid::{Bid, Lots};

/// A whole, in parts per ten thousand.
const WHOLE: u16 = 10_000;

/// How a payment is split, in parts per ten thousand. The rest goes to the rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For validators.
    pub validators: u16,
    /// Burned.
    pub burned: u16,
}

impl Default for Terms {
    fn default() -> Self {
        Self { validators: 1500, burned: 500 }
    }
}

/// Who gets what of a payment, in wei.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The rollups whose lots it took, ascending.
    pub rollups: Vec<(NamespaceId, Wei)>,
    /// All validators together.
    pub validators: Wei,
    /// Nobody.
    pub burned: Wei,
}

/// What each of the winner's lots has contributed to what it pays, in order of its lots: the Shapley
/// value of the game in which some lots are worth what the standing bids that need no others would
/// have paid for them together, and all of them what the winner pays. `standing` are the bids that were
/// in the [search](crate::winners::Allocation::standing). Sums to the payment; the wei that do not
/// divide go to those who were cut off the most, of equals to the lower namespace.
pub fn shapley<'a>(winner: &Bid, standing: impl IntoIterator<Item = &'a Bid>) -> Vec<Wei> {
    let lots = winner.lots.namespaces();
    let count = lots.len();
    let all = (1usize << count) - 1;
    let mut worth = vec![0; all + 1];
    for bid in standing.into_iter().filter(|bid| bid.lots.is_within(&winner.lots)) {
        let set = set_of(&winner.lots, &bid.lots);
        worth[set] = worth[set].max(bid.amount);
    }
    for set in 1..=all {
        // Of each two parts that make it up, the one with its lowest lot is looked at.
        let lowest = set & set.wrapping_neg();
        let mut part = (set - 1) & set;
        while part > 0 {
            if part & lowest != 0 {
                worth[set] = worth[set].max(worth[part] + worth[set & !part]);
            }
            part = (part - 1) & set;
        }
        worth[set] = worth[set].min(winner.amount);
    }
    worth[all] = winner.amount;
    let factorial = |n: usize| (1..=n as u128).product::<u128>();
    let orders = factorial(count);
    let mut shares = Vec::with_capacity(count);
    for lot in 0..count {
        // Over all orders in which the lots may come in: what this one adds to those before it.
        let mut added = 0;
        for set in (0..=all).filter(|set| set & (1 << lot) == 0) {
            let before = set.count_ones() as usize;
            let weight = factorial(before) * factorial(count - before - 1);
            added += weight * (worth[set | 1 << lot] - worth[set]);
        }
        shares.push(added);
    }
    divide(&shares, orders, winner.amount)
}

/// Which of the lots of one bid those of another are.
fn set_of(of: &Lots, lots: &Lots) -> usize {
    let place = |lot: &NamespaceId| of.namespaces().binary_search(lot).ok();
    lots.namespaces().iter().filter_map(place).fold(0, |set, place| set | 1 << place)
}

/// Divides each part by the same number, so that the results sum to `total`, which is what the sum
/// divides to.
fn divide(parts: &[u128], by: u128, total: Wei) -> Vec<Wei> {
    let mut results: Vec<Wei> = parts.iter().map(|part| part / by).collect();
    let left = total - results.iter().sum::<Wei>();
    let mut cut_off: Vec<usize> = (0..parts.len()).collect();
    cut_off.sort_by_key(|place| (std::cmp::Reverse(parts[*place] % by), *place));
    for place in cut_off.into_iter().zip(0..left).map(|(place, _)| place) {
        results[place] += 1;
    }
    results
}

/// Splits a payment, what is left for rollups in proportion to weights, ascending by namespace: those of
/// a winner are what its [lots have contributed](shapley).
///
/// Terms that give away more than a whole leave nothing for the rollups, and count as they are read:
/// validators first.
pub fn split(payment: Wei, weights: &[(NamespaceId, Wei)], terms: Terms) -> Split {
    let of_validators = terms.validators.min(WHOLE);
    let of_nobody = terms.burned.min(WHOLE - of_validators);
    let validators = part(payment, of_validators.into(), WHOLE.into());
    let burned = part(payment, of_nobody.into(), WHOLE.into());
    let for_rollups = payment - validators - burned;

    let all: Wei = weights.iter().map(|(_, weight)| weight).sum();
    let mut rollups: Vec<(NamespaceId, Wei)> =
        weights.iter().map(|(id, weight)| (*id, part(for_rollups, *weight, all))).collect();
    let given: Wei = rollups.iter().map(|(_, wei)| wei).sum();
    // Less than one for each lot.
    if let Some((_, first)) = rollups.first_mut() {
        *first += for_rollups - given;
    }
    Split { rollups, validators, burned }
}

/// `whole * numerator / denominator`, rounded down; 0 of 0.
fn part(whole: Wei, numerator: u128, denominator: u128) -> Wei {
    let product = U256::from(whole) * U256::from(numerator);
    product.checked_div(U256::from(denominator)).unwrap_or_default().saturating_to()
}
