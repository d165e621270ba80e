//! What ties the legs of a bundle together (protocol section 9).
//!
//! ```text
//! digest    = blake3 of the borsh of a leg's items
//! leaf      = leaf hash over namespace u64 || digest 32, keccak256
//! legs_root = keccak256( keccak256("weft/legs/v1") || count u64 || keccak256 root over leaves )
//! ```
//!
//! Every leg's entry in a slice names the root and its place among the legs. A block has all legs
//! or none, so whoever is shown one entry, with proof, and the list that the root stands for, knows
//! what the others are and that they stand in the same block.

use alloy_primitives::{B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::blake3;
use crate::merkle::{self, Keccak, TreeHash};
use crate::namespace::NamespaceId;
use crate::transaction::{Leg, encode};

const ROOT_TAG: &str = "weft/legs/v1";

/// Where a leg stands among all legs of its bundle.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct LegPlace {
    /// Its number, from 0.
    pub index: u8,
    /// How many legs there are.
    pub count: u8,
    /// What all of them are: see [`Legs::root`].
    pub root: B256,
}

/// A leg, by what it brings to whom.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct LegDigest {
    /// The rollup.
    pub namespace: NamespaceId,
    /// blake3 of the borsh of its items.
    pub digest: B256,
}

impl LegDigest {
    /// That of a leg.
    pub fn of(leg: &Leg) -> Self {
        Self::of_items(leg.namespace, &leg.data)
    }

    /// That of a leg with these items.
    pub fn of_items(namespace: NamespaceId, items: &[Bytes]) -> Self {
        Self { namespace, digest: blake3(&[&encode(&items)]) }
    }

    fn leaf(&self) -> B256 {
        let mut layout = [0u8; 40];
        layout[..8].copy_from_slice(&self.namespace.0.to_be_bytes());
        layout[8..].copy_from_slice(self.digest.as_slice());
        Keccak::leaf(&layout)
    }
}

/// All legs of a bundle, ascending by namespace.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Legs(pub Vec<LegDigest>);

impl Legs {
    /// Those of a bundle.
    pub fn of(legs: &[Leg]) -> Self {
        Self(legs.iter().map(LegDigest::of).collect())
    }

    /// The commitment that every leg's entry carries.
    pub fn root(&self) -> B256 {
        let leaves = self.0.iter().map(LegDigest::leaf).collect();
        merkle::commit(ROOT_TAG, merkle::root::<Keccak>(leaves), self.0.len() as u64)
    }

    /// The place of each leg.
    pub fn places(&self) -> impl Iterator<Item = LegPlace> + use<> {
        let (root, count) = (self.root(), u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        (0..count).map(move |index| LegPlace { index, count, root })
    }

    /// Whether a leg with these items, of that namespace and at that place, is one of these.
    pub fn holds(&self, namespace: NamespaceId, place: &LegPlace, data: &[Bytes]) -> bool {
        usize::from(place.count) == self.0.len()
            && self.0.get(usize::from(place.index)) == Some(&LegDigest::of_items(namespace, data))
            && place.root == self.root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;

    fn leg(namespace: u64, item: &'static str) -> Leg {
        let data = vec![Bytes::from_static(item.as_bytes())];
        Leg { namespace: NamespaceId(namespace), data }
    }

    #[test]
    fn a_place_stands_for_all_legs() {
        let legs = [leg(1, "a"), leg(2, "b"), leg(7, "c")];
        let all = Legs::of(&legs);
        for (place, leg) in all.places().zip(&legs) {
            assert!(all.holds(leg.namespace, &place, &leg.data));
            assert!(!all.holds(NamespaceId(9), &place, &leg.data));
            assert!(!all.holds(leg.namespace, &place, &[Bytes::from_static(b"x")]));
            let elsewhere = LegPlace { index: (place.index + 1) % 3, ..place };
            assert!(!all.holds(leg.namespace, &elsewhere, &leg.data));
            let fewer = LegPlace { count: 2, ..place };
            assert!(!all.holds(leg.namespace, &fewer, &leg.data));
        }
        let root = all.root();
        for other in [
            vec![leg(1, "a"), leg(2, "b")],
            vec![leg(1, "a"), leg(2, "b"), leg(8, "c")],
            vec![leg(1, "a"), leg(2, "x"), leg(7, "c")],
            vec![leg(2, "b"), leg(1, "a"), leg(7, "c")],
        ] {
            assert_ne!(Legs::of(&other).root(), root);
        }
    }
}
