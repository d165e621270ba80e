//! Withdrawals to Ethereum (protocol sections 6 and 10).
//!
//! All withdrawals ever made are the leaves of one keccak256 tree, in their order. A header's
//! `withdrawals_root` commits to the tree and its number of leaves, so that any later root serves
//! for a withdrawal.

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Wei;
use crate::merkle::{self, Keccak, Path, Peaks, TreeHash};

const ROOT_TAG: &str = "weft/withdrawals/v1";

/// Wei that has left the ledger and can be claimed on L1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Withdrawal {
    /// Its number among all withdrawals, from 0.
    #[serde(with = "crate::json::decimal")]
    pub index: u64,
    /// Who gets it, on L1.
    pub to: Address,
    /// How much, in wei.
    #[serde(with = "crate::json::decimal")]
    pub amount: Wei,
}

impl Withdrawal {
    /// Its leaf's hash. The leaf's content is `index u64 || to 20 || amount u128`.
    pub fn leaf(&self) -> B256 {
        let mut layout = [0u8; 44];
        layout[..8].copy_from_slice(&self.index.to_be_bytes());
        layout[8..28].copy_from_slice(self.to.as_slice());
        layout[28..].copy_from_slice(&self.amount.to_be_bytes());
        Keccak::leaf(&layout)
    }
}

/// What a header says of all withdrawals so far.
pub fn withdrawals_root(tree: &Peaks<Keccak>) -> B256 {
    merkle::commit(ROOT_TAG, tree.root(), tree.count())
}

/// A withdrawal and its path, to claim it with.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ProvenWithdrawal {
    /// The withdrawal.
    pub withdrawal: Withdrawal,
    /// How many there were as of the root that it is proven against.
    #[serde(with = "crate::json::decimal")]
    pub count: u64,
    /// The path from its leaf to the root.
    pub path: Path,
}

impl ProvenWithdrawal {
    /// The `withdrawals_root` that this leads to, if the path fits such a tree.
    pub fn root(&self) -> Option<B256> {
        if self.path.index != self.withdrawal.index {
            return None;
        }
        let root = self.path.root::<Keccak>(self.withdrawal.leaf(), self.count)?;
        Some(merkle::commit(ROOT_TAG, root, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Tree;

    #[test]
    fn a_withdrawal_is_proven_against_every_later_root_and_no_earlier() {
        let all: Vec<Withdrawal> = (0..9)
            .map(|index| Withdrawal {
                index,
                to: Address::with_last_byte(7),
                amount: 10 + u128::from(index),
            })
            .collect();
        let mut peaks = Peaks::<Keccak>::default();
        let mut roots = vec![withdrawals_root(&peaks)];
        for withdrawal in &all {
            peaks.push(withdrawal.leaf());
            roots.push(withdrawals_root(&peaks));
        }
        for count in 0..=all.len() {
            let tree = Tree::<Keccak>::new(all[..count].iter().map(Withdrawal::leaf).collect());
            for (index, withdrawal) in all.iter().enumerate() {
                let Some(path) = tree.path(index) else { continue };
                let mut proven =
                    ProvenWithdrawal { withdrawal: *withdrawal, count: count as u64, path };
                assert_eq!(proven.root(), Some(roots[count]));
                proven.withdrawal.amount += 1;
                assert_ne!(proven.root(), Some(roots[count]));
                proven.withdrawal.index += 1;
                assert_eq!(proven.root(), None);
            }
        }
    }
}
