//! Withdrawals and the roots that their paths lead to.

use weft_types::merkle::{Keccak, Tree};
use weft_types::{ProvenWithdrawal, Withdrawal};

use crate::document::Vector;
use crate::fixtures::{address, hash_of};

pub(crate) fn vectors() -> Vec<Vector> {
    let with = |index: u64, count: u64, change: &dyn Fn(&mut ProvenWithdrawal)| {
        let mut proven = proven(index, count);
        change(&mut proven);
        proven
    };
    let fine = borsh::to_vec(&proven(2, 5)).unwrap();
    vec![
        vector("the only one", &proven(0, 1), "accepted"),
        vector("third of three", &proven(2, 3), "accepted"),
        vector("third of five", &proven(2, 5), "accepted"),
        vector("fifth of five", &proven(4, 5), "accepted"),
        vector("sixth of eleven", &proven(5, 11), "accepted"),
        vector(
            "another amount leads elsewhere",
            &with(2, 5, &|p| p.withdrawal.amount += 1),
            "accepted",
        ),
        vector("another index than the path's", &with(2, 5, &|p| p.withdrawal.index = 3), "path"),
        vector("too long", &with(2, 5, &|p| p.path.siblings.push(hash_of("one more"))), "path"),
        vector("too short", &with(2, 5, &|p| p.path.siblings.truncate(2)), "path"),
        vector("beyond the end", &with(4, 5, &|p| p.count = 4), "path"),
        Vector::undecodable::<ProvenWithdrawal>("one byte short", &fine[..fine.len() - 1]),
    ]
}

fn withdrawal(index: u64) -> Withdrawal {
    let to = address(&format!("receiver {index}"));
    Withdrawal { index, to, amount: 10u128.pow(18) + u128::from(index) }
}

fn proven(index: u64, count: u64) -> ProvenWithdrawal {
    let leaves = (0..count).map(|index| withdrawal(index).leaf()).collect();
    let path = Tree::<Keccak>::new(leaves).path(index as usize).unwrap();
    ProvenWithdrawal { withdrawal: withdrawal(index), count, path }
}

fn vector(name: &str, proven: &ProvenWithdrawal, expected: &str) -> Vector {
    Vector::of(name, proven)
        .hash("leaf", proven.withdrawal.leaf())
        .verdict(expected, proven.root().ok_or("path"))
}
