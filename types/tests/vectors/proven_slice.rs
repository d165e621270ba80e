//! A slice of one height with all that proves it, and what must not pass for one.

use weft_types::slice::{NamespaceTree, ProvenSlice};
use weft_types::{BlockId, Header, NamespaceId, Outcome, Slice, SliceProof, Verify};

use crate::certificate::Network;
use crate::document::Vector;
use crate::fixtures::{CHAIN, hash_of};
use crate::header;
use crate::refusal::Refusal;
use crate::slices::slice;

pub(crate) fn vectors() -> Vec<Vector> {
    let chain = Chain::new();
    let fine = chain.prove(30);
    // Changes below the child's header; what stands above it is certified again.
    let again = |change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed.certificate =
            chain.network.certify(changed.child.height, changed.child.id(), &[0, 1, 3]);
        changed
    };
    let change = |change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed
    };
    let other_root = SliceProof { count: 4, ..fine.proof.clone() };
    let bytes = borsh::to_vec(&fine).unwrap();
    let mut vectors = vec![
        chain.shown("present", &fine, 30),
        chain.shown("absent", &chain.prove(25), 25),
        chain.shown("absent, no namespaces", &Chain::without_slices().prove(25), 25),
    ];
    let refused = [
        ("header of another chain", again(&|s| chain.link(s, |h| h.chain_id += 1)), "chain_id"),
        ("child of another chain", again(&|s| s.child.chain_id += 1), "chain_id"),
        ("another parent", again(&|s| s.child.parent = BlockId(hash_of("parent"))), "not_parent"),
        ("not the next height", again(&|s| s.child.height += 1), "not_parent"),
        (
            "another committee",
            again(&|s| s.child.validators_hash = hash_of("validators")),
            "wrong_committee",
        ),
        (
            "certificate of another block",
            change(&|s| s.certificate = chain.network.certify(101, s.header.id(), &[0, 1, 3])),
            "wrong_certificate",
        ),
        (
            "certificate of another height",
            change(&|s| s.certificate = chain.network.certify(100, s.child.id(), &[0, 1, 3])),
            "wrong_certificate",
        ),
        (
            "too few votes",
            change(&|s| s.certificate.signatures.truncate(2)),
            "certificate/no_quorum",
        ),
        (
            "another round's votes",
            change(&|s| s.certificate.round += 1),
            "certificate/signature/wrong_signer",
        ),
        (
            "another slices root",
            again(&|s| s.child.parent_outcome.slices_root = hash_of("slices")),
            "proof/root",
        ),
        ("count too high", change(&|s| s.proof = other_root.clone()), "proof/root"),
        ("another's proof", change(&|s| s.proof = chain.prove(10).proof), "proof/wrong_namespace"),
        ("an entry missing", change(&|s| s.entries.truncate(1)), "wrong_entries"),
        ("no entries", change(&|s| s.entries.clear()), "wrong_entries"),
        ("another order", change(&|s| s.entries.swap(0, 1)), "wrong_entries"),
        ("an entry twice", change(&|s| s.entries.extend_from_within(1..)), "wrong_entries"),
    ];
    vectors.extend(refused.map(|(name, slice, reason)| chain.long(name, &slice, 30, reason)));
    let mut invented = chain.prove(25);
    invented.entries = fine.entries.clone();
    vectors.push(chain.long("entries of an absent namespace", &invented, 25, "wrong_entries"));
    vectors.push(Vector::undecodable::<ProvenSlice>("one byte short", &bytes[..bytes.len() - 1]));
    vectors
}

/// Two headers, the first's slices, and who certifies the second.
struct Chain {
    network: Network,
    slices: Vec<Slice>,
    header: Header,
}

impl Chain {
    fn new() -> Self {
        Self::of([10, 20, 30].map(|namespace| slice(namespace, &["one", "two"])).to_vec())
    }

    fn without_slices() -> Self {
        Self::of(vec![])
    }

    fn of(slices: Vec<Slice>) -> Self {
        Self { network: Network::new(&[1; 4]), slices, header: header::sample(100) }
    }

    fn prove(&self, namespace: u64) -> ProvenSlice {
        let leaves = self.slices.iter().map(Slice::leaf).collect();
        let tree = NamespaceTree::new(leaves).unwrap();
        let namespace = NamespaceId(namespace);
        let of_namespace = self.slices.iter().find(|slice| slice.namespace == namespace);
        let sample = header::sample(101);
        let child = Header {
            parent: self.header.id(),
            validators_hash: self.network.committee.hash(),
            parent_outcome: Outcome { slices_root: tree.slices_root(), ..sample.parent_outcome },
            ..sample
        };
        ProvenSlice {
            header: self.header,
            child,
            certificate: self.network.certify(101, child.id(), &[0, 1, 3]),
            proof: tree.prove(namespace),
            entries: of_namespace.map(|slice| slice.entries.clone()).unwrap_or_default(),
        }
    }

    /// Changes the lower header and has the child follow it.
    fn link(&self, slice: &mut ProvenSlice, change: fn(&mut Header)) {
        change(&mut slice.header);
        slice.child.parent = slice.header.id();
    }

    fn shown(&self, name: &str, slice: &ProvenSlice, namespace: u64) -> Vector {
        self.complete(Vector::of(name, slice), slice, namespace, "accepted")
    }

    fn long(&self, name: &str, slice: &ProvenSlice, namespace: u64, expected: &str) -> Vector {
        self.complete(Vector::long(name, slice, &[]), slice, namespace, expected)
    }

    fn complete(
        &self,
        vector: Vector,
        slice: &ProvenSlice,
        namespace: u64,
        expected: &str,
    ) -> Vector {
        let committee = &self.network.committee;
        let checked = slice.verify((CHAIN, NamespaceId(namespace), committee));
        vector
            .context("chain_id", CHAIN.to_string())
            .context("namespace", namespace.to_string())
            .context("committee", committee.members())
            .hash("validators_hash", committee.hash())
            .hash("header", slice.header.id())
            .hash("child", slice.child.id())
            .verdict(expected, checked.map_err(Refusal))
    }
}
