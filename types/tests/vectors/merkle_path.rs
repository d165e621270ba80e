//! Single paths: where they lead, and those that fit no tree of the size given.

use weft_types::merkle::{Keccak, Path, Tree, TreeHash};

use crate::document::{Vector, hex};
use crate::fixtures::hash_of;

pub(crate) fn vectors() -> Vec<Vector> {
    let tree = Tree::<Keccak>::new((0..6).map(|i| Keccak::leaf(&[i])).collect());
    let path = |leaf| tree.path(leaf).unwrap();
    let with = |leaf: usize, change: &dyn Fn(&mut Path)| {
        let mut path = path(leaf);
        change(&mut path);
        path
    };
    let of_one = Path { index: 0, siblings: vec![] };
    let longer = with(2, &|p| p.siblings.push(hash_of("one more")));
    let shorter = with(2, &|p| p.siblings.truncate(2));
    let none = with(2, &|p| p.siblings.clear());
    // Leaf 4 has two siblings in a tree of six, but one in a tree of five.
    vec![
        vector("third of six", &path(2), 2, 6, "accepted"),
        vector("fifth of six", &path(4), 4, 6, "accepted"),
        vector("only one", &of_one, 0, 1, "accepted"),
        vector("another leaf", &path(2), 3, 6, "accepted"),
        vector("another place of the same depth", &with(2, &|p| p.index = 3), 2, 6, "accepted"),
        vector("too long", &longer, 2, 6, "path"),
        vector("too short", &shorter, 2, 6, "path"),
        vector("no siblings", &none, 2, 6, "path"),
        vector("a smaller tree", &path(4), 4, 5, "path"),
        vector("a larger tree", &path(4), 4, 8, "path"),
        vector("place beyond the end", &with(2, &|p| p.index = 6), 2, 6, "path"),
        vector("no leaves", &of_one, 0, 0, "path"),
        Vector::undecodable::<Path>("no bytes", &[]),
        Vector::undecodable::<Path>("more siblings than bytes", &[&[0; 8][..], &[1, 0, 0, 0]].concat()),
    ]
}

fn vector(name: &str, path: &Path, content: u8, count: u64, expected: &str) -> Vector {
    let leaf = Keccak::leaf(&[content]);
    let root = path.root::<Keccak>(leaf, count);
    Vector::of(name, path)
        .context("function", "keccak256")
        .context("content", hex([content]))
        .context("count", count.to_string())
        .hash("leaf", leaf)
        .verdict(expected, root.ok_or("path"))
}
