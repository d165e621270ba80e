//! Who gets what transactions paid (protocol section 6).
//!
//! Every embedded validator gets its seats' part of all fees, N being all seats; the part of those
//! left out is burned, so that a proposer gains nothing by leaving others out. What an author's
//! lane carried without anybody paying is taken from the author's part first and burned.

use std::collections::BTreeMap;

use weft_types::{Address, Wei};

use crate::entry::ValidatorRecord;
use crate::state::State;

impl State {
    /// Shares `collected` among the embedded observers, after debiting authors.
    pub(crate) fn reward(
        &mut self,
        collected: Wei,
        observers: &[Address],
        debits: &BTreeMap<Address, Wei>,
    ) {
        for (author, debit) in debits {
            let record = self.validator(author);
            let debt = record.debt.saturating_add(*debit);
            self.set_validator(*author, ValidatorRecord { debt, ..record });
        }
        let total = u128::from(self.committee().seats());
        let mut burned = collected;
        for observer in observers {
            let seats = self
                .committee()
                .index_of(observer)
                .and_then(|index| self.committee().get(index))
                .map_or(0, |member| u128::from(member.seats));
            let share = part(collected, seats, total);
            let record = self.validator(observer);
            let owed = record.debt.min(share);
            let paid = share.saturating_sub(owed);
            let debt = record.debt.saturating_sub(owed);
            let earned = record.earned.saturating_add(paid);
            self.set_validator(*observer, ValidatorRecord { debt, earned, ..record });
            // A balance that would overflow stays; what does not fit is burned with the rest.
            let balance = self.balance(observer);
            let after = balance.saturating_add(paid);
            self.set_balance(*observer, after);
            burned = burned.saturating_sub(after.saturating_sub(balance));
        }
        self.burn(burned);
    }
}

/// `amount * seats / total`, rounded down, without overflow.
fn part(amount: Wei, seats: u128, total: u128) -> Wei {
    let whole = amount.checked_div(total).unwrap_or(0);
    let rest = amount.checked_rem(total).unwrap_or(0);
    let of_rest = rest.saturating_mul(seats).checked_div(total).unwrap_or(0);
    whole.saturating_mul(seats).saturating_add(of_rest)
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts_round_down_and_never_overflow() {
        assert_eq!(part(10, 1, 3), 3);
        assert_eq!(part(10, 3, 3), 10);
        assert_eq!(part(11, 2, 3), 7);
        assert_eq!(part(u128::MAX, 1024, 1024), u128::MAX);
        assert_eq!(part(u128::MAX, 0, 7), 0);
    }
}
