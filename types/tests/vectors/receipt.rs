//! Receipts: every status.

use weft_types::{Receipt, ReceiptStatus, SkipReason};

use crate::document::Vector;

pub(crate) fn vectors() -> Vec<Vector> {
    let skipped = [
        ("skipped: fee above max", SkipReason::FeeAboveMax, 0),
        ("skipped: cannot pay fee", SkipReason::CannotPayFee, 0),
        ("skipped: unknown namespace", SkipReason::UnknownNamespace, 180_000_000),
        ("skipped: not admitted", SkipReason::NotAdmitted, 180_000_001),
        ("skipped: over quota", SkipReason::OverQuota, 180_000_002),
        ("skipped: balance too low", SkipReason::BalanceTooLow, 180_000_003),
        ("skipped: namespace taken", SkipReason::NamespaceTaken, 180_000_004),
        ("skipped: not owner", SkipReason::NotOwner, 180_000_005),
        ("skipped: namespace fee not covered", SkipReason::NamespaceFeeNotCovered, 180_000_006),
        ("skipped: overflow", SkipReason::Overflow, u128::MAX),
        ("skipped: collateral too low", SkipReason::CollateralTooLow, 180_000_007),
        ("skipped: nothing to judge", SkipReason::NothingToJudge, 180_000_008),
        ("skipped: not executor", SkipReason::NotExecutor, 180_000_009),
    ];
    let executed = |fee| Receipt { status: ReceiptStatus::Executed, fee };
    let mut vectors =
        vec![vector("executed", executed(360_000_000)), vector("executed for free", executed(0))];
    vectors.extend(skipped.map(|(name, reason, fee)| {
        vector(name, Receipt { status: ReceiptStatus::Skipped(reason), fee })
    }));
    let fee = [1; 16];
    for (name, head) in [("status tag 2", &[2][..]), ("reason 13", &[1, 13])] {
        vectors.push(Vector::undecodable::<Receipt>(name, &[head, &fee].concat()));
    }
    vectors.push(Vector::undecodable::<Receipt>("no reason", &[&[1][..], &fee].concat()));
    vectors
}

fn vector(name: &str, receipt: Receipt) -> Vector {
    Vector::of(name, &receipt).verdict("accepted", Ok::<_, String>(()))
}
