//! Proofs of what a namespace has in a block: the leaf, or nothing, and forgeries of either.

use weft_types::slice::{NamespaceTree, PlacedLeaf};
use weft_types::{NamespaceId, Slice, SliceLeaf, SliceProof};

use crate::document::Vector;
use crate::fixtures::hash_of;
use crate::refusal::Refusal;
use crate::slices::slice;

pub(crate) fn vectors() -> Vec<Vector> {
    let five = Block::new(&[10, 20, 30, 40, 50]);
    let one = Block::new(&[20]);
    let none = Block::new(&[]);
    let mut vectors: Vec<Vector> = [
        ("present, first", &five, 10),
        ("present, in the middle", &five, 30),
        ("present, last", &five, 50),
        ("present, alone", &one, 20),
        ("absent, between", &five, 25),
        ("absent, before the first", &five, 5),
        ("absent, after the last", &five, u64::MAX),
        ("absent, before the only one", &one, 19),
        ("absent, after the only one", &one, 21),
        ("absent, no namespaces", &none, 20),
    ]
    .into_iter()
    .map(|(name, block, namespace)| {
        block.vector(name, namespace, &block.prove(namespace), "accepted")
    })
    .collect();

    let shown = |before: Option<u64>, at: Option<u64>, after: Option<u64>| {
        let place = |namespace: Option<u64>| namespace.map(|namespace| five.place(namespace));
        SliceProof { count: 5, before: place(before), at: place(at), after: place(after) }
    };
    let change = |namespace, change: &dyn Fn(&mut PlacedLeaf)| {
        let mut proof = five.prove(namespace);
        change(proof.at.as_mut().unwrap());
        proof
    };
    let other = Block::new(&[10, 20, 30, 40, 60]).prove(20);
    let forged = [
        ("hidden by its neighbours", 30, shown(Some(20), None, Some(40)), "not_adjacent"),
        ("hidden by the last leaf", 30, shown(Some(50), None, None), "not_adjacent"),
        ("hidden by the first leaf", 30, shown(None, None, Some(10)), "not_adjacent"),
        ("hidden behind a leaf below", 30, shown(Some(20), None, None), "not_adjacent"),
        ("hidden behind a leaf above", 30, shown(None, None, Some(40)), "not_adjacent"),
        ("neighbours elsewhere", 25, shown(Some(30), None, Some(40)), "not_adjacent"),
        ("neighbours swapped", 25, shown(Some(30), None, Some(20)), "not_adjacent"),
        ("itself as its neighbour", 30, shown(Some(30), None, Some(40)), "not_adjacent"),
        ("another's leaf", 30, shown(None, Some(40), None), "wrong_namespace"),
        ("present and absent", 30, shown(Some(20), Some(30), None), "ambiguous"),
        ("nothing shown", 30, shown(None, None, None), "ambiguous"),
        ("nothing counted", 30, SliceProof { count: 0, ..shown(None, None, None) }, "ambiguous"),
        ("a leaf of no tree", 30, SliceProof { count: 0, ..five.prove(30) }, "root"),
        ("count too high", 30, SliceProof { count: 6, ..five.prove(30) }, "root"),
        ("count too low", 30, SliceProof { count: 4, ..five.prove(30) }, "root"),
        ("fewer entries", 30, change(30, &|placed| placed.leaf.entries -= 1), "root"),
        ("fewer bytes", 30, change(30, &|placed| placed.leaf.bytes -= 1), "root"),
        (
            "other entries",
            30,
            change(30, &|placed| placed.leaf.data_root = hash_of("other entries")),
            "root",
        ),
        ("another place", 30, change(30, &|placed| placed.path.index = 3), "root"),
        (
            "a sibling changed",
            30,
            change(30, &|placed| placed.path.siblings[0] = hash_of("sibling")),
            "root",
        ),
        (
            "a sibling more",
            30,
            change(30, &|placed| placed.path.siblings.push(hash_of("sibling"))),
            "root",
        ),
        ("proof of another block", 20, other, "root"),
    ];
    vectors.extend(
        forged.map(|(name, namespace, proof, reason)| five.vector(name, namespace, &proof, reason)),
    );
    vectors.push(none.vector("nothing counted as one", 20, &one.prove(20), "root"));

    let bytes = borsh::to_vec(&five.prove(25)).unwrap();
    let mut tag = bytes.clone();
    tag[8] = 2;
    vectors.push(Vector::undecodable::<SliceProof>("option tag 2", &tag));
    vectors.push(Vector::undecodable::<SliceProof>("one byte short", &bytes[..bytes.len() - 1]));
    vectors.push(Vector::undecodable::<SliceProof>("one byte more", &[&bytes[..], &[0]].concat()));
    vectors
}

/// The leaves of a block's slices.
struct Block(Vec<SliceLeaf>);

impl Block {
    fn new(namespaces: &[u64]) -> Self {
        let slice = |namespace: &u64| slice(*namespace, &["one", "two"][..]);
        Self(namespaces.iter().map(slice).map(|slice: Slice| slice.leaf()).collect())
    }

    fn tree(&self) -> NamespaceTree {
        NamespaceTree::new(self.0.clone()).unwrap()
    }

    fn prove(&self, namespace: u64) -> SliceProof {
        self.tree().prove(NamespaceId(namespace))
    }

    fn place(&self, namespace: u64) -> PlacedLeaf {
        self.prove(namespace).at.unwrap()
    }

    fn vector(&self, name: &str, namespace: u64, proof: &SliceProof, expected: &str) -> Vector {
        let slices_root = self.tree().slices_root();
        let checked = proof.check(NamespaceId(namespace), slices_root);
        Vector::of(name, proof)
            .context("namespace", namespace.to_string())
            .context("leaves", &self.0)
            .hash("slices_root", slices_root)
            .verdict(expected, checked.map_err(Refusal))
    }
}
