//! The state root: a Merkle-Patricia trie that is kept up to date path by path.
//!
//! Every node is stored under its path from the root, so that a changed key costs the nodes on its
//! path and nothing is left over when nodes go. (Tries that store nodes under their hash never know
//! when a node may go.) A node names its children by what the trie's hashing needs: their hash, or
//! their encoding where that is shorter than a hash.

mod node;
mod update;

pub use node::{Node, NodeError};
pub use update::{Change, Nodes, update};

pub use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

#[cfg(test)]
mod tests;
