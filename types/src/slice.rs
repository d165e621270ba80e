//! Slices: one namespace's part of a block, and proofs that it is complete or absent (protocol
//! section 7).
//!
//! ```text
//! leaf        = keccak256( 0x00 || namespace u64 || entries u32 || bytes u64 || data_root 32 )
//! slices_root = keccak256( keccak256("weft/slices/v1") || leaf count u64 || root over leaves )
//! data_root   = root of the blake3 tree over the entries' borsh
//! ```
//!
//! Leaves stand in strictly ascending order of namespace. One path proves a slice complete, since
//! the leaf is the whole slice; two neighbouring leaves, or one at an edge, prove that a namespace
//! has none.

use alloy_primitives::{Address, B256, Bytes};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::certificate::{Certificate, CertificateError};
use crate::committee::Committee;
use crate::hash::TransactionId;
use crate::header::Header;
use crate::legs::{LegPlace, Legs};
use crate::merkle::{self, Blake3, Keccak, Path, Tree, TreeHash};
use crate::namespace::NamespaceId;
use crate::results::{AuctionResult, Decision, ProvenResult};
use crate::transaction::{BidMode, encode};
use crate::verified::Verify;

/// One entry of a slice. The number is its borsh tag. A decision or the head stands first, then forced
/// messages, then submissions and legs of bundles in the order of the block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[borsh(use_discriminant = true)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[repr(u8)]
pub enum SliceEntry {
    /// What became of the atomic bundle whose leg holds the namespace.
    Decision {
        /// The bid's transaction.
        bundle: TransactionId,
        /// Whether its legs are executed.
        decision: Decision,
    } = 0,
    /// What the winner of the namespace's lot brought.
    Head {
        /// The bid's transaction.
        transaction: TransactionId,
        /// Who signed it, and pays.
        bidder: Address,
        /// What ties the bid's legs. An atomic one's is executed if the decision says so, which heads
        /// a later slice; until then this slice and all after it are held.
        mode: BidMode,
        /// Where this leg stands among those of the bid.
        place: LegPlace,
        /// Its items for the namespace, in its order.
        data: Vec<Bytes>,
    } = 1,
    /// A message that was forced on L1.
    Forced {
        /// Its number among all forced messages.
        #[serde(with = "crate::json::decimal")]
        index: u64,
        /// Who sent it, on L1.
        sender: Address,
        /// What it says.
        data: Bytes,
    } = 2,
    /// What a `Submit` transaction brought.
    Submission {
        /// The transaction.
        transaction: TransactionId,
        /// Who signed it.
        submitter: Address,
        /// Its items, in its order.
        data: Vec<Bytes>,
    } = 3,
    /// What a `Bundle` transaction brought to this namespace.
    Leg {
        /// The transaction.
        transaction: TransactionId,
        /// Who signed it.
        submitter: Address,
        /// Where this leg stands among all of them.
        place: LegPlace,
        /// Its items, in its order.
        data: Vec<Bytes>,
    } = 4,
}

impl SliceEntry {
    /// What it brings to the rollup, in order.
    pub fn items(&self) -> &[Bytes] {
        match self {
            Self::Decision { .. } => &[],
            Self::Forced { data, .. } => std::slice::from_ref(data),
            Self::Head { data, .. } | Self::Submission { data, .. } | Self::Leg { data, .. } => {
                data
            }
        }
    }

    /// The transaction that has brought it, if one has.
    pub fn transaction(&self) -> Option<TransactionId> {
        match self {
            Self::Decision { .. } | Self::Forced { .. } => None,
            Self::Head { transaction, .. }
            | Self::Submission { transaction, .. }
            | Self::Leg { transaction, .. } => Some(*transaction),
        }
    }
}

/// One namespace's part of a block. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Slice {
    /// Whose it is.
    pub namespace: NamespaceId,
    /// Its entries, in execution order.
    pub entries: Vec<SliceEntry>,
}

impl Slice {
    /// The leaf that stands for the slice.
    pub fn leaf(&self) -> SliceLeaf {
        let mut bytes = 0u64;
        let leaves = self
            .entries
            .iter()
            .map(|entry| {
                let encoded = encode(entry);
                bytes += encoded.len() as u64;
                Blake3::leaf(&encoded)
            })
            .collect();
        SliceLeaf {
            namespace: self.namespace,
            entries: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            bytes,
            data_root: merkle::root::<Blake3>(leaves),
        }
    }
}

/// What the namespace tree holds of a slice.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct SliceLeaf {
    /// Whose slice.
    pub namespace: NamespaceId,
    /// How many entries.
    pub entries: u32,
    /// How many bytes of borsh the entries take.
    #[serde(with = "crate::json::decimal")]
    pub bytes: u64,
    /// blake3 root over the entries.
    pub data_root: B256,
}

impl SliceLeaf {
    /// The leaf's hash in the namespace tree.
    pub fn hash(&self) -> B256 {
        let mut layout = [0u8; 52];
        layout[..8].copy_from_slice(&self.namespace.0.to_be_bytes());
        layout[8..12].copy_from_slice(&self.entries.to_be_bytes());
        layout[12..20].copy_from_slice(&self.bytes.to_be_bytes());
        layout[20..].copy_from_slice(self.data_root.as_slice());
        Keccak::leaf(&layout)
    }
}

const ROOT_TAG: &str = "weft/slices/v1";

/// All slices of a block, as leaves in ascending order of namespace.
pub struct NamespaceTree {
    leaves: Vec<SliceLeaf>,
    tree: Tree<Keccak>,
}

impl NamespaceTree {
    /// Builds the tree; `None` unless leaves are strictly ascending by namespace.
    pub fn new(leaves: Vec<SliceLeaf>) -> Option<Self> {
        leaves.is_sorted_by(|a, b| a.namespace < b.namespace).then(|| {
            let tree = Tree::new(leaves.iter().map(SliceLeaf::hash).collect());
            Self { leaves, tree }
        })
    }

    /// The commitment that a header carries.
    pub fn slices_root(&self) -> B256 {
        merkle::commit(ROOT_TAG, self.tree.root(), self.leaves.len() as u64)
    }

    /// Proves a namespace's slice, or that it has none.
    pub fn prove(&self, namespace: NamespaceId) -> SliceProof {
        let count = self.leaves.len() as u64;
        let place = |index: usize| {
            let leaf = *self.leaves.get(index)?;
            Some(PlacedLeaf { leaf, path: self.tree.path(index)? })
        };
        match self.leaves.binary_search_by_key(&namespace, |leaf| leaf.namespace) {
            Ok(index) => SliceProof { count, before: None, at: place(index), after: None },
            Err(index) => SliceProof {
                count,
                before: index.checked_sub(1).and_then(place),
                at: None,
                after: place(index),
            },
        }
    }
}

/// A leaf and its path.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct PlacedLeaf {
    /// The leaf.
    pub leaf: SliceLeaf,
    /// The path from it to the root.
    pub path: Path,
}

/// Proof of what one namespace has in a block: everything, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct SliceProof {
    /// How many namespaces have a slice in the block.
    #[serde(with = "crate::json::decimal")]
    pub count: u64,
    /// For an absent namespace: the last leaf below it, unless there is none.
    pub before: Option<PlacedLeaf>,
    /// For a present namespace: its leaf.
    pub at: Option<PlacedLeaf>,
    /// For an absent namespace: the first leaf above it, unless there is none.
    pub after: Option<PlacedLeaf>,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceProofError {
    /// A path that does not lead to the root.
    #[error("a path does not lead to the slices root")]
    Root,
    /// A leaf of another namespace.
    #[error("the leaf belongs to namespace {0}")]
    WrongNamespace(NamespaceId),
    /// Neighbours that leave room for the namespace, or do not surround it.
    #[error("the leaves given do not show that the namespace is absent")]
    NotAdjacent,
    /// Neither a leaf nor neighbours, or both.
    #[error("a proof shows either presence or absence")]
    Ambiguous,
}

impl SliceProof {
    /// What the root says of the namespace: its leaf, or `None` if it has no slice.
    pub fn check(
        &self,
        namespace: NamespaceId,
        slices_root: B256,
    ) -> Result<Option<SliceLeaf>, SliceProofError> {
        for placed in [&self.before, &self.at, &self.after].into_iter().flatten() {
            let root = placed.path.root::<Keccak>(placed.leaf.hash(), self.count);
            if root.map(|root| merkle::commit(ROOT_TAG, root, self.count)) != Some(slices_root) {
                return Err(SliceProofError::Root);
            }
        }
        let below = |placed: &PlacedLeaf| placed.leaf.namespace < namespace;
        match (&self.before, &self.at, &self.after) {
            (None, Some(at), None) => {
                if at.leaf.namespace == namespace {
                    Ok(Some(at.leaf))
                } else {
                    Err(SliceProofError::WrongNamespace(at.leaf.namespace))
                }
            }
            (None, None, None) => {
                // Only a block without slices needs no leaf to show that one is missing.
                if self.count == 0 && merkle::commit(ROOT_TAG, B256::ZERO, 0) == slices_root {
                    Ok(None)
                } else {
                    Err(SliceProofError::Ambiguous)
                }
            }
            (before, None, after) => {
                let below_ok = before.as_ref().is_none_or(below);
                let above_ok =
                    after.as_ref().is_none_or(|placed| placed.leaf.namespace > namespace);
                // Without a leaf below, the one above is the first; without one above, the one
                // below is the last; with both, they are neighbours.
                let next = before.as_ref().map_or(Some(0), |b| b.path.index.checked_add(1));
                let end = after.as_ref().map_or(self.count, |a| a.path.index);
                if below_ok && above_ok && next == Some(end) {
                    Ok(None)
                } else {
                    Err(SliceProofError::NotAdjacent)
                }
            }
            _ => Err(SliceProofError::Ambiguous),
        }
    }
}

/// A namespace's slice of one height with all that proves it: what an adapter pulls.
///
/// `child` is the header above, whose `parent_outcome` commits to the slices, and `certificate`
/// its certificate. Without entries, the proof shows that the namespace has none. A slice that has a
/// head comes with the proof that it is that of the lot's winner.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ProvenSlice {
    /// The header of the slice's own height.
    pub header: Header,
    /// The header above it.
    pub child: Header,
    /// The certificate of `child`.
    pub certificate: Certificate,
    /// The leaf's path, or the absence proof.
    pub proof: SliceProof,
    /// The slice's entries; none if the namespace is absent.
    pub entries: Vec<SliceEntry>,
    /// The lot whose winner brought the head, if the slice has one.
    pub lot: Option<ProvenResult>,
}

/// Why a slice was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvenSliceError {
    /// A header of another network.
    #[error("a header is of chain {0}")]
    ChainId(u64),
    /// `child` does not follow `header`.
    #[error("the child does not follow the header")]
    NotParent,
    /// The committee given is not the one that decides the child.
    #[error("the child is decided by another committee")]
    WrongCommittee,
    /// The certificate is of another block.
    #[error("the certificate is not the child's")]
    WrongCertificate,
    /// The certificate does not hold.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The proof does not hold.
    #[error("proof: {0}")]
    Proof(#[from] SliceProofError),
    /// The entries are not what the leaf stands for.
    #[error("the entries are not the slice that the proof is about")]
    WrongEntries,
    /// The head is not proven to be that of the lot's winner, or a lot comes without a head.
    #[error("the head and the lot given do not belong together")]
    WrongHead,
    /// The legs given are not those that the entry is one of.
    #[error("the legs given are not those of the entry's bundle")]
    WrongLegs,
}

/// Checks that a slice's header and its child are what they have to be, and that a quorum has
/// certified the child.
fn check_spine(
    header: &Header,
    child: &Header,
    certificate: &Certificate,
    chain_id: u64,
    committee: &Committee,
) -> Result<(), ProvenSliceError> {
    for header in [header, child] {
        if header.chain_id != chain_id {
            return Err(ProvenSliceError::ChainId(header.chain_id));
        }
    }
    if child.parent != header.id() || Some(child.height) != header.height.checked_add(1) {
        return Err(ProvenSliceError::NotParent);
    }
    if child.validators_hash != committee.hash() {
        return Err(ProvenSliceError::WrongCommittee);
    }
    if certificate.block != child.id() || certificate.height != child.height {
        return Err(ProvenSliceError::WrongCertificate);
    }
    Ok(certificate.verify((chain_id, committee))?)
}

impl ProvenSlice {
    /// Whether the lot given is that of the head, sold to whom the head names, or there is neither.
    fn is_head_proven(&self, of: NamespaceId) -> bool {
        let stands_first = |entry: &SliceEntry| {
            matches!(entry, SliceEntry::Head { .. } | SliceEntry::Decision { .. })
        };
        if self.entries.iter().skip(1).any(stands_first) {
            return false;
        }
        let Some(SliceEntry::Head { transaction, bidder, .. }) = self.entries.first() else {
            return self.lot.is_none();
        };
        let Some(proven) = &self.lot else { return false };
        let AuctionResult::Lot(lot) = &proven.result else { return false };
        (lot.namespace, lot.bid, lot.bidder) == (of, *transaction, *bidder)
            && proven.root() == Some(self.child.parent_outcome.results_root)
    }
}

impl Verify for ProvenSlice {
    /// The chain id, the namespace, and the committee that decides `child`.
    type Context<'a> = (u64, NamespaceId, &'a Committee);
    /// The slice's leaf, or `None` if the namespace is absent.
    type Witness = Option<SliceLeaf>;
    type Error = ProvenSliceError;

    fn verify(
        &self,
        (chain_id, namespace, committee): Self::Context<'_>,
    ) -> Result<Option<SliceLeaf>, ProvenSliceError> {
        check_spine(&self.header, &self.child, &self.certificate, chain_id, committee)?;
        let leaf = self.proof.check(namespace, self.child.parent_outcome.slices_root)?;
        let entries = (!self.entries.is_empty())
            .then(|| Slice { namespace, entries: self.entries.clone() }.leaf());
        if entries != leaf {
            return Err(ProvenSliceError::WrongEntries);
        }
        if !self.is_head_proven(namespace) {
            return Err(ProvenSliceError::WrongHead);
        }
        Ok(leaf)
    }
}

/// One entry of a slice of one height with all that proves it, without the rest of the slice. An entry
/// that is a leg comes with all legs of its bundle.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct ProvenEntry {
    /// The header of the slice's height.
    pub header: Header,
    /// The header above it.
    pub child: Header,
    /// The certificate of `child`.
    pub certificate: Certificate,
    /// The path of the slice's leaf.
    pub proof: SliceProof,
    /// The entry.
    pub entry: SliceEntry,
    /// The path from it to the leaf's data root.
    pub path: Path,
    /// The legs of the bundle or bid that it is of, if it is.
    pub legs: Option<Legs>,
}

/// What a proven entry shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryWitness {
    /// Its place in its slice, from 0.
    pub index: u64,
    /// The slice's leaf.
    pub leaf: SliceLeaf,
}

impl Verify for ProvenEntry {
    /// The chain id, the namespace, and the committee that decides `child`.
    type Context<'a> = (u64, NamespaceId, &'a Committee);
    type Witness = EntryWitness;
    type Error = ProvenSliceError;

    fn verify(
        &self,
        (chain_id, namespace, committee): Self::Context<'_>,
    ) -> Result<EntryWitness, ProvenSliceError> {
        check_spine(&self.header, &self.child, &self.certificate, chain_id, committee)?;
        let leaf = self.proof.check(namespace, self.child.parent_outcome.slices_root)?;
        let leaf = leaf.ok_or(ProvenSliceError::WrongEntries)?;
        let entry = Blake3::leaf(&encode(&self.entry));
        if self.path.root::<Blake3>(entry, leaf.entries.into()) != Some(leaf.data_root) {
            return Err(ProvenSliceError::WrongEntries);
        }
        let is_tied = match (&self.entry, &self.legs) {
            (
                SliceEntry::Head { place, data, .. } | SliceEntry::Leg { place, data, .. },
                Some(legs),
            ) => legs.holds(namespace, place, data),
            (SliceEntry::Head { .. } | SliceEntry::Leg { .. }, None) => false,
            (
                SliceEntry::Decision { .. }
                | SliceEntry::Forced { .. }
                | SliceEntry::Submission { .. },
                legs,
            ) => legs.is_none(),
        };
        let witness = EntryWitness { index: self.path.index, leaf };
        is_tied.then_some(witness).ok_or(ProvenSliceError::WrongLegs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(namespace: u64) -> SliceLeaf {
        SliceLeaf {
            namespace: NamespaceId(namespace),
            entries: 1,
            bytes: namespace,
            data_root: B256::repeat_byte(namespace as u8),
        }
    }

    fn tree(namespaces: &[u64]) -> NamespaceTree {
        NamespaceTree::new(namespaces.iter().copied().map(leaf).collect()).unwrap()
    }

    #[test]
    fn refuses_unsorted_leaves() {
        assert!(NamespaceTree::new(vec![leaf(2), leaf(1)]).is_none());
        assert!(NamespaceTree::new(vec![leaf(1), leaf(1)]).is_none());
    }

    proptest! {
        /// Presence and absence are proven for every namespace of every tree, at both edges too,
        /// and no proof for one namespace passes for what is not so.
        #[test]
        fn proofs_say_what_is_so(set in proptest::collection::btree_set(0u64..40, 0..20)) {
            let namespaces: Vec<u64> = set.iter().copied().collect();
            let tree = tree(&namespaces);
            let root = tree.slices_root();
            for namespace in 0..41 {
                let proof = tree.prove(NamespaceId(namespace));
                let expected = set.contains(&namespace).then(|| leaf(namespace));
                prop_assert_eq!(proof.check(NamespaceId(namespace), root), Ok(expected));
                prop_assert!(proof.check(NamespaceId(namespace), B256::ZERO).is_err());
                for other in 0..41 {
                    if let Ok(said) = proof.check(NamespaceId(other), root) {
                        prop_assert_eq!(said, set.contains(&other).then(|| leaf(other)));
                    }
                }
                let more = SliceProof { count: proof.count + 1, ..proof };
                prop_assert!(more.check(NamespaceId(namespace), root).is_err());
            }
        }

        #[test]
        fn a_gap_is_no_absence(set in proptest::collection::btree_set(0u64..40, 3..20)) {
            let namespaces: Vec<u64> = set.iter().copied().collect();
            let tree = tree(&namespaces);
            let place = |i: usize| tree.prove(NamespaceId(namespaces[i])).at;
            let hidden = NamespaceId(namespaces[1]);
            let count = namespaces.len() as u64;
            let forged = SliceProof { count, before: place(0), at: None, after: place(2) };
            prop_assert_eq!(
                forged.check(hidden, tree.slices_root()),
                Err(SliceProofError::NotAdjacent)
            );
            let edge = SliceProof { count, before: place(0), at: None, after: None };
            prop_assert_eq!(
                edge.check(hidden, tree.slices_root()),
                Err(SliceProofError::NotAdjacent)
            );
            let other_edge = SliceProof { count, before: None, at: None, after: place(2) };
            prop_assert_eq!(
                other_edge.check(hidden, tree.slices_root()),
                Err(SliceProofError::NotAdjacent)
            );
            let nothing = SliceProof { count: 0, before: None, at: None, after: None };
            prop_assert_eq!(
                nothing.check(hidden, tree.slices_root()),
                Err(SliceProofError::Ambiguous)
            );
        }
    }

    #[test]
    fn proofs_stay_under_a_kibibyte_at_1000_namespaces() {
        let namespaces: Vec<u64> = (0..1000).map(|i| i * 2).collect();
        let tree = tree(&namespaces);
        for namespace in [0, 998, 999, 1998, 1999, 5000] {
            let proof = borsh::to_vec(&tree.prove(NamespaceId(namespace))).unwrap();
            assert!(proof.len() < 1024, "namespace {namespace}: {} bytes", proof.len());
        }
    }

    #[test]
    fn leaf_stands_for_every_entry_and_their_order() {
        let entry = |byte: u8| SliceEntry::Submission {
            transaction: TransactionId(B256::repeat_byte(byte)),
            submitter: Address::ZERO,
            data: vec![Bytes::from(vec![byte])],
        };
        let slice = |entries: Vec<SliceEntry>| Slice { namespace: NamespaceId(1), entries }.leaf();
        let fine = slice(vec![entry(1), entry(2)]);
        for other in
            [vec![entry(2), entry(1)], vec![entry(1)], vec![entry(1), entry(2), entry(2)], vec![]]
        {
            assert_ne!(slice(other), fine);
        }
    }
}
