//! A node, its encoding for hashing, and its encoding for storage.

use alloy_primitives::B256;
use alloy_trie::nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode};
use alloy_trie::{Nibbles, TrieMask};

/// A node. Children are named as the parent's encoding names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The end of a key, and its value.
    Leaf {
        /// The rest of the key.
        suffix: Nibbles,
        /// The value's encoding.
        value: Vec<u8>,
    },
    /// A stretch that all keys below share. Its child is a branch.
    Extension {
        /// The stretch; not empty.
        prefix: Nibbles,
        /// The branch at its end.
        child: RlpNode,
    },
    /// Where keys part. At least two children.
    Branch(Box<[Option<RlpNode>; 16]>),
}

/// A stored node that cannot be read: the database is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored trie node is malformed")]
pub struct NodeError;

impl Node {
    /// What a parent calls this node. `buffer` is scratch space.
    pub fn name(&self, buffer: &mut Vec<u8>) -> RlpNode {
        buffer.clear();
        match self {
            Self::Leaf { suffix, value } => LeafNodeRef::new(suffix, value).rlp(buffer),
            Self::Extension { prefix, child } => ExtensionNodeRef::new(prefix, child).rlp(buffer),
            Self::Branch(children) => {
                let mut mask = TrieMask::default();
                let mut stack = Vec::with_capacity(16);
                for (nibble, child) in (0u8..).zip(children.iter()) {
                    if let Some(child) = child {
                        mask.set_bit(nibble);
                        stack.push(child.clone());
                    }
                }
                BranchNodeRef::new(&stack, mask).rlp(buffer)
            }
        }
    }

    /// The root hash of a trie whose topmost node this is.
    pub fn root(&self, buffer: &mut Vec<u8>) -> B256 {
        let name = self.name(buffer);
        name.as_hash().unwrap_or_else(|| alloy_primitives::keccak256(&name))
    }

    /// The node's stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Leaf { suffix, value } => {
                out.push(0);
                out.push(length(suffix.len()));
                out.extend_from_slice(&suffix.to_vec());
                out.extend_from_slice(value);
            }
            Self::Extension { prefix, child } => {
                out.push(1);
                out.push(length(prefix.len()));
                out.extend_from_slice(&prefix.to_vec());
                out.extend_from_slice(child);
            }
            Self::Branch(children) => {
                out.push(2);
                for child in children.iter() {
                    let bytes = child.as_deref().unwrap_or_default();
                    out.push(length(bytes.len()));
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// Reads a node's stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        let (kind, rest) = bytes.split_first().ok_or(NodeError)?;
        match kind {
            0 => {
                let (suffix, value) = nibbles(rest)?;
                Ok(Self::Leaf { suffix, value: value.to_vec() })
            }
            1 => {
                let (prefix, child) = nibbles(rest)?;
                Ok(Self::Extension { prefix, child: name(child)? })
            }
            2 => {
                let mut children: Box<[Option<RlpNode>; 16]> = Box::default();
                let mut rest = rest;
                for child in children.iter_mut() {
                    let (length, after) = rest.split_first().ok_or(NodeError)?;
                    let (bytes, after) =
                        after.split_at_checked(usize::from(*length)).ok_or(NodeError)?;
                    rest = after;
                    if !bytes.is_empty() {
                        *child = Some(name(bytes)?);
                    }
                }
                if rest.is_empty() { Ok(Self::Branch(children)) } else { Err(NodeError) }
            }
            _ => Err(NodeError),
        }
    }
}

/// Paths have at most 64 nibbles and names at most 33 bytes.
fn length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

fn nibbles(bytes: &[u8]) -> Result<(Nibbles, &[u8]), NodeError> {
    let (length, rest) = bytes.split_first().ok_or(NodeError)?;
    let (path, rest) = rest.split_at_checked(usize::from(*length)).ok_or(NodeError)?;
    if path.len() > 64 || path.iter().any(|nibble| *nibble > 15) {
        return Err(NodeError);
    }
    Ok((Nibbles::from_nibbles_unchecked(path), rest))
}

fn name(bytes: &[u8]) -> Result<RlpNode, NodeError> {
    RlpNode::from_raw(bytes).ok_or(NodeError)
}
