//! The price below which a lot is not sold.
//!
//! It follows what lots bring, an eighth at a time: so that whoever buys cheaply and sells on dearly
//! leaves less and less between the two, and an empty market comes back to the floor.

use weft_types::Wei;
use weft_types::limits::MAX_BID_AMOUNT;

/// A lot's next reserve, in wei. `sold` is what it brought this time, if it was sold: a bid for
/// several lots brings each its [share](crate::shares::shapley). Up by an eighth, and at least 1 wei,
/// if it brought at least twice the reserve; down by an eighth if it was not sold; never below `floor`,
/// never above [`MAX_BID_AMOUNT`].
pub fn next_reserve(reserve: Wei, floor: Wei, sold: Option<Wei>) -> Wei {
    let reserve = reserve.min(MAX_BID_AMOUNT);
    let step = reserve / 8;
    let next = match sold {
        Some(brought) if brought >= reserve.saturating_mul(2) && brought > 0 => {
            reserve + step.max(1)
        }
        Some(_) => reserve,
        None => reserve - step,
    };
    next.max(floor).min(MAX_BID_AMOUNT)
}

/// A lot's reserve, in wei, after so many that were not sold, one after another.
pub fn unsold(reserve: Wei, floor: Wei, lots: u64) -> Wei {
    let mut reserve = next_reserve(reserve, floor, Some(0));
    for _ in 0..lots {
        let next = next_reserve(reserve, floor, None);
        if next == reserve {
            break;
        }
        reserve = next;
    }
    reserve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_lots_bring() {
        assert_eq!(next_reserve(800, 10, Some(1600)), 900);
        assert_eq!(next_reserve(800, 10, Some(1599)), 800);
        assert_eq!(next_reserve(800, 10, None), 700);
        assert_eq!(next_reserve(0, 0, Some(1)), 1, "it leaves zero");
        assert_eq!(next_reserve(0, 0, Some(0)), 0);
        assert_eq!(next_reserve(11, 10, None), 10);
        assert_eq!(next_reserve(5, 10, Some(5)), 10, "the floor was raised");
        assert_eq!(next_reserve(Wei::MAX, 0, Some(Wei::MAX)), MAX_BID_AMOUNT);
        let mut reserve = 1_000_000;
        let mut heights = 0;
        while reserve > 1000 {
            reserve = next_reserve(reserve, 1000, None);
            heights += 1;
        }
        assert!(heights < 60, "an empty market takes {heights} heights to a thousandth");
    }

    #[test]
    fn many_unsold_lots_are_one_after_another() {
        let mut reserve = MAX_BID_AMOUNT;
        for lots in 0..700 {
            assert_eq!(unsold(MAX_BID_AMOUNT, 100, lots), reserve, "{lots}");
            reserve = next_reserve(reserve, 100, None);
        }
        assert_eq!(unsold(MAX_BID_AMOUNT, 100, u64::MAX), 100);
        assert_eq!(unsold(5, 100, 0), 100, "the floor was raised");
    }
}
