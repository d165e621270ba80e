//! Trees of 0 to 9 leaves over both hash functions, with every path.

use weft_types::B256;
use weft_types::merkle::{Blake3, Keccak, Path, Tree, TreeHash, commit};

use crate::document::{Vector, hex};

pub(crate) fn vectors() -> Vec<Vector> {
    let keccak = (0..=9).map(|leaves| vector::<Keccak>("keccak256", leaves));
    keccak.chain((0..=9).map(|leaves| vector::<Blake3>("blake3", leaves))).collect()
}

/// What the leaves of a tree hold: as many different bytes as their place says, and none first.
pub(crate) fn contents(leaves: u8) -> Vec<Vec<u8>> {
    (0..leaves).map(|leaf| (1..=leaf).collect()).collect()
}

fn vector<H: TreeHash>(function: &str, count: u8) -> Vector {
    let contents = contents(count);
    let leaves: Vec<B256> = contents.iter().map(|content| H::leaf(content)).collect();
    let tree = Tree::<H>::new(leaves.clone());
    let paths: Vec<Path> = (0..leaves.len()).map(|leaf| tree.path(leaf).unwrap()).collect();
    for (path, leaf) in paths.iter().zip(&leaves) {
        assert_eq!(path.root::<H>(*leaf, u64::from(count)), Some(tree.root()));
    }
    let contents: Vec<String> = contents.iter().map(hex).collect();
    Vector::of(&format!("{function}, {count} leaves"), &paths)
        .context("function", function)
        .context("contents", contents)
        .context("tag", "weft/slices/v1")
        .hash("leaves", &leaves)
        .hash("root", tree.root())
        .hash("commitment", commit("weft/slices/v1", tree.root(), u64::from(count)))
        .verdict("accepted", Ok::<_, String>(()))
}
