//! Two headers, the slices of the first, and what proves them.

use weft_types::merkle::{Blake3, Tree, TreeHash};
use weft_types::slice::{NamespaceTree, ProvenEntry, ProvenSlice};
use weft_types::{Header, Legs, NamespaceId, Outcome, Results, Slice, SliceEntry};

use crate::certificate::Network;
use crate::document::Vector;
use crate::fixtures::CHAIN;
use crate::header;

/// Two headers, the first's slices, and who certifies the second.
pub(crate) struct Chain {
    pub(crate) network: Network,
    slices: Vec<Slice>,
    pub(crate) results: Results,
    header: Header,
}

impl Chain {
    pub(crate) fn of(slices: Vec<Slice>, results: Results) -> Self {
        Self { network: Network::new(&[1; 4]), slices, results, header: header::sample(100) }
    }

    pub(crate) fn prove(&self, namespace: u64) -> ProvenSlice {
        let leaves = self.slices.iter().map(Slice::leaf).collect();
        let tree = NamespaceTree::new(leaves).unwrap();
        let namespace = NamespaceId(namespace);
        let of_namespace = self.slices.iter().find(|slice| slice.namespace == namespace);
        let sample = header::sample(101);
        let child = Header {
            parent: self.header.id(),
            validators_hash: self.network.committee.hash(),
            parent_outcome: Outcome {
                slices_root: tree.slices_root(),
                results_root: self.results.root(),
                ..sample.parent_outcome
            },
            ..sample
        };
        ProvenSlice {
            header: self.header,
            child,
            certificate: self.network.certify(101, child.id(), &[0, 1, 3]),
            proof: tree.prove(namespace),
            lot: of_namespace
                .filter(|slice| matches!(slice.entries[0], SliceEntry::Head { .. }))
                .and_then(|_| self.results.proven_lot(namespace)),
            entries: of_namespace.map(|slice| slice.entries.clone()).unwrap_or_default(),
        }
    }

    /// Proves one entry of a namespace's slice, with these legs.
    pub(crate) fn prove_entry(
        &self,
        namespace: u64,
        index: usize,
        legs: Option<Legs>,
    ) -> ProvenEntry {
        let ProvenSlice { header, child, certificate, proof, entries, .. } = self.prove(namespace);
        let leaves = entries.iter().map(|entry| Blake3::leaf(&borsh::to_vec(entry).unwrap()));
        let path = Tree::<Blake3>::new(leaves.collect()).path(index).unwrap();
        ProvenEntry { header, child, certificate, proof, entry: entries[index].clone(), path, legs }
    }

    /// Adds what a check of a proof of a namespace needs, and the hashes on the way.
    pub(crate) fn complete(
        &self,
        vector: Vector,
        namespace: u64,
        (header, child): (&Header, &Header),
    ) -> Vector {
        vector
            .context("chain_id", CHAIN.to_string())
            .context("namespace", namespace.to_string())
            .context("committee", self.network.committee.members())
            .hash("validators_hash", self.network.committee.hash())
            .hash("header", header.id())
            .hash("child", child.id())
    }
}
