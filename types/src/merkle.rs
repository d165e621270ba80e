//! Binary Merkle trees over keccak256 (the spine) or blake3 (the bulk), protocol section 3.
//!
//! ```text
//! leaf(data)  = H(0x00 || data)
//! node(l, r)  = H(0x01 || l || r)
//! ```
//!
//! A level with an odd number of nodes carries its last node up unchanged, which gives the tree of
//! RFC 6962. No leaves: the root is 32 zero bytes. A [commitment](commit) binds the number of
//! leaves as well, so that the last leaf can be recognised as the last:
//!
//! ```text
//! commit(tag, root, count) = keccak256( keccak256(tag) || count u64 || root )
//! ```

use std::marker::PhantomData;

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{blake3, keccak256, tag};

/// The hash function of a tree.
pub trait TreeHash {
    /// Hash of the concatenation of `parts`.
    fn hash(parts: &[&[u8]]) -> B256;

    /// Hash of a leaf's content.
    fn leaf(data: &[u8]) -> B256 {
        Self::hash(&[&[0], data])
    }

    /// Hash of an inner node.
    fn node(left: B256, right: B256) -> B256 {
        Self::hash(&[&[1], left.as_slice(), right.as_slice()])
    }
}

/// keccak256 trees: cheap to check on Ethereum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keccak;

/// blake3 trees: cheap over bulk data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blake3;

impl TreeHash for Keccak {
    fn hash(parts: &[&[u8]]) -> B256 {
        keccak256(parts)
    }
}

impl TreeHash for Blake3 {
    fn hash(parts: &[&[u8]]) -> B256 {
        blake3(parts)
    }
}

/// A tree with all its nodes, to take paths from.
pub struct Tree<H> {
    /// `levels[0]` are the leaf hashes; the last level is the root alone.
    levels: Vec<Vec<B256>>,
    hash: PhantomData<H>,
}

impl<H: TreeHash> Tree<H> {
    /// Builds the tree over leaf hashes.
    pub fn new(leaves: Vec<B256>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => H::node(*left, *right),
                    odd => odd[0],
                })
                .collect();
            levels.push(next);
        }
        Self { levels, hash: PhantomData }
    }

    /// The root; zero for a tree without leaves.
    pub fn root(&self) -> B256 {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(B256::ZERO)
    }

    /// The path from a leaf to the root, or `None` if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Path> {
        if index >= self.levels[0].len() {
            return None;
        }
        let mut siblings = Vec::new();
        let mut i = index;
        for level in &self.levels {
            siblings.extend(level.get(i ^ 1));
            i /= 2;
        }
        Some(Path { index: index as u64, siblings })
    }
}

/// The root over leaf hashes, without keeping the tree.
pub fn root<H: TreeHash>(leaves: Vec<B256>) -> B256 {
    Tree::<H>::new(leaves).root()
}

/// Binds a root to its number of leaves and its meaning.
pub fn commit(name: &str, root: B256, count: u64) -> B256 {
    keccak256(&[tag(name).as_slice(), &count.to_be_bytes(), root.as_slice()])
}

/// [`commit`] over the keccak tree of hashes that are themselves the leaves' content.
pub fn commit_hashes<'a>(name: &str, hashes: impl IntoIterator<Item = &'a B256>) -> B256 {
    let leaves: Vec<B256> = hashes.into_iter().map(|hash| Keccak::leaf(hash.as_slice())).collect();
    let count = leaves.len() as u64;
    commit(name, root::<Keccak>(leaves), count)
}

/// Longest path that is accepted: enough for 2^40 leaves.
pub const MAX_PATH: usize = 40;

/// The siblings from a leaf up to the root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Path {
    /// Position of the leaf, from 0.
    #[serde(with = "crate::json::decimal")]
    pub index: u64,
    /// Sibling hashes, lowest level first. Levels at which the node has no sibling are left out.
    pub siblings: Vec<B256>,
}

impl Path {
    /// The root that this path leads to from `leaf` in a tree of `count` leaves, or `None` if the
    /// path does not fit such a tree.
    pub fn root<H: TreeHash>(&self, leaf: B256, count: u64) -> Option<B256> {
        if self.index >= count || self.siblings.len() > MAX_PATH {
            return None;
        }
        let (mut i, mut width, mut node) = (self.index, count, leaf);
        let mut siblings = self.siblings.iter();
        while width > 1 {
            if i % 2 == 1 {
                node = H::node(*siblings.next()?, node);
            } else if i + 1 < width {
                node = H::node(node, *siblings.next()?);
            }
            i /= 2;
            width = width.div_ceil(2);
        }
        siblings.next().is_none().then_some(node)
    }
}

/// A tree that grows leaf by leaf: the roots of its largest perfect subtrees, which is all that is
/// needed to add to it and to know its root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Peaks<H> {
    count: u64,
    peaks: Vec<B256>,
    #[borsh(skip)]
    hash: PhantomData<H>,
}

impl<H> Default for Peaks<H> {
    fn default() -> Self {
        Self { count: 0, peaks: Vec::new(), hash: PhantomData }
    }
}

impl<H: TreeHash> Peaks<H> {
    /// How many leaves it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The roots of the largest perfect subtrees, from the left: one for each bit of the count.
    pub fn peaks(&self) -> &[B256] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: B256) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// Adds a leaf, and tells of each perfect subtree that this completes: its level (0 for the
    /// leaf), its number from the left on that level, and its root.
    pub fn push_with(&mut self, leaf: B256, mut completed: impl FnMut(u32, u64, B256)) {
        let (mut node, mut level) = (leaf, 0);
        completed(level, self.count, node);
        while (self.count >> level) & 1 == 1 {
            // A bit of the count stands for a peak.
            let Some(left) = self.peaks.pop() else { break };
            node = H::node(left, node);
            level += 1;
            completed(level, self.count >> level, node);
        }
        self.peaks.push(node);
        self.count += 1;
    }

    /// The root; zero without leaves.
    pub fn root(&self) -> B256 {
        let from_the_right = self.peaks.iter().rev().copied();
        from_the_right.reduce(|right, left| H::node(left, right)).unwrap_or(B256::ZERO)
    }
}

impl<H> BorshDeserialize for Peaks<H> {
    fn deserialize_reader<R: std::io::Read>(input: &mut R) -> std::io::Result<Self> {
        let count = u64::deserialize_reader(input)?;
        let peaks = Vec::deserialize_reader(input)?;
        if peaks.len() != usize::try_from(count.count_ones()).unwrap_or(0) {
            return Err(crate::wire::invalid("not the peaks of so many leaves"));
        }
        Ok(Self { count, peaks, hash: PhantomData })
    }
}

/// The path of a leaf in a tree of `count` leaves, given the roots of perfect subtrees as
/// [`Peaks::push_with`] tells of them. `None` if there is no such leaf, or a root is missing.
pub fn path_in<H: TreeHash>(
    index: u64,
    count: u64,
    node: impl Fn(u32, u64) -> Option<B256>,
) -> Option<Path> {
    if index >= count {
        return None;
    }
    let mut siblings = Vec::new();
    let (mut i, mut level) = (index, 0);
    while level < u64::BITS && (count - 1) >> level > 0 {
        let beside = i ^ 1;
        if beside << level < count {
            siblings.push(subtree::<H>(level, beside, count, &node)?);
        }
        i /= 2;
        level += 1;
    }
    Some(Path { index, siblings })
}

/// The root of the i-th subtree of a level, which the end of the tree may cut short.
fn subtree<H: TreeHash>(
    level: u32,
    i: u64,
    count: u64,
    node: &impl Fn(u32, u64) -> Option<B256>,
) -> Option<B256> {
    if (i + 1) << level <= count {
        return node(level, i);
    }
    let below = level.checked_sub(1)?;
    let left = subtree::<H>(below, 2 * i, count, node)?;
    if (2 * i + 1) << below >= count {
        return Some(left);
    }
    Some(H::node(left, subtree::<H>(below, 2 * i + 1, count, node)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn leaves(n: usize) -> Vec<B256> {
        (0..n).map(|i| Keccak::leaf(&(i as u64).to_be_bytes())).collect()
    }

    /// The recursive definition of RFC 6962: split at the largest power of two below n.
    fn reference(leaves: &[B256]) -> B256 {
        match leaves {
            [] => B256::ZERO,
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                Keccak::node(reference(left), reference(right))
            }
        }
    }

    #[test]
    fn agrees_with_the_recursive_definition() {
        for n in 0..70 {
            assert_eq!(root::<Keccak>(leaves(n)), reference(&leaves(n)), "{n} leaves");
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_to_no_other() {
        for n in 1..40u64 {
            let tree = Tree::<Keccak>::new(leaves(n as usize));
            for i in 0..n {
                let path = tree.path(i as usize).unwrap();
                let leaf = leaves(n as usize)[i as usize];
                assert_eq!(path.root::<Keccak>(leaf, n), Some(tree.root()));
                assert_ne!(path.root::<Keccak>(B256::ZERO, n), Some(tree.root()));
                let elsewhere = Path { index: (i + 1) % n, ..path.clone() };
                if n > 1 {
                    assert_ne!(elsewhere.root::<Keccak>(leaf, n), Some(tree.root()));
                }
                let mut longer = path.clone();
                longer.siblings.push(B256::ZERO);
                assert_eq!(longer.root::<Keccak>(leaf, n), None);
                if !path.siblings.is_empty() {
                    let mut shorter = path;
                    shorter.siblings.pop();
                    assert_eq!(shorter.root::<Keccak>(leaf, n), None);
                }
            }
            assert!(tree.path(n as usize).is_none());
        }
    }

    #[test]
    fn a_growing_tree_is_the_same_tree() {
        let all = leaves(70);
        let (mut peaks, mut nodes) = (Peaks::<Keccak>::default(), BTreeMap::new());
        for count in 0..=all.len() {
            let tree = Tree::<Keccak>::new(all[..count].to_vec());
            assert_eq!((peaks.count(), peaks.root()), (count as u64, tree.root()));
            let bytes = borsh::to_vec(&peaks).unwrap();
            assert_eq!(borsh::from_slice::<Peaks<Keccak>>(&bytes).unwrap(), peaks);
            for index in 0..count + 2 {
                let node = |level, i| nodes.get(&(level, i)).copied();
                let path = path_in::<Keccak>(index as u64, count as u64, node);
                assert_eq!(path, tree.path(index), "{index} of {count}");
            }
            if let Some(leaf) = all.get(count) {
                peaks.push_with(*leaf, |level, i, root| {
                    assert!(nodes.insert((level, i), root).is_none());
                });
            }
        }
        let wrong = borsh::to_vec(&(3u64, vec![B256::ZERO])).unwrap();
        assert!(borsh::from_slice::<Peaks<Keccak>>(&wrong).is_err());
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let tree = Tree::<Blake3>::new(leaves(2));
        let both = [leaves(2)[0].0, leaves(2)[1].0].concat();
        assert_ne!(Blake3::leaf(&both), tree.root());
    }
}
