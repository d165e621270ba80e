//! Changing many keys of a trie at once.
//!
//! One pass from the root down: the changed keys are handed to the children they belong to; what
//! comes back is the new node of that place, which the node above may absorb (a branch with one
//! child left is no branch any more). Branches never move; leaves and extensions may, so only the
//! node above decides where they are put.

use alloy_primitives::B256;
use alloy_trie::nodes::RlpNode;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::node::Node;

/// Where a trie's nodes are kept: one node per path.
pub trait Nodes {
    /// Why nodes cannot be read or written.
    type Error;

    /// The node at a path.
    fn get(&mut self, path: &Nibbles) -> Result<Option<Node>, Self::Error>;

    /// Puts a node at a path, in place of any other.
    fn put(&mut self, path: &Nibbles, node: &Node) -> Result<(), Self::Error>;

    /// Removes the node at a path, if there is one.
    fn remove(&mut self, path: &Nibbles) -> Result<(), Self::Error>;
}

/// A changed key (as a path) and its new value's encoding; `None` removes it.
pub type Change = (Nibbles, Option<Vec<u8>>);

/// Applies changes, strictly ascending by key, all keys of one length, and returns the new root.
pub fn update<N: Nodes>(nodes: &mut N, changes: Vec<Change>) -> Result<B256, N::Error> {
    debug_assert!(changes.is_sorted_by(|a, b| a.0 < b.0));
    if changes.is_empty() {
        let top = nodes.get(&Nibbles::default())?;
        return Ok(top.map_or(EMPTY_ROOT_HASH, |node| node.root(&mut Vec::new())));
    }
    let mut update = Update { nodes, buffer: Vec::with_capacity(600) };
    let root = Nibbles::default();
    let old = update.take(&root)?;
    match update.apply(old, &root, changes)? {
        None => Ok(EMPTY_ROOT_HASH),
        Some(node) => {
            update.nodes.put(&root, &node)?;
            Ok(node.root(&mut update.buffer))
        }
    }
}

struct Update<'a, N> {
    nodes: &'a mut N,
    buffer: Vec<u8>,
}

/// A branch's child while the branch is worked on.
enum Child {
    /// As it was: stored below, and called this.
    Kept(RlpNode),
    /// Changed, and not stored anywhere yet.
    New(Node),
}

impl<N: Nodes> Update<'_, N> {
    /// The node at a path, removed from there. Whoever takes it puts something back, or nothing.
    fn take(&mut self, path: &Nibbles) -> Result<Option<Node>, N::Error> {
        let node = self.nodes.get(path)?;
        if node.is_some() {
            self.nodes.remove(path)?;
        }
        Ok(node)
    }

    /// Stores a node and returns its name.
    fn place(&mut self, path: &Nibbles, node: &Node) -> Result<RlpNode, N::Error> {
        self.nodes.put(path, node)?;
        Ok(node.name(&mut self.buffer))
    }

    /// The node that takes the place of `old` at `path` once the changes, all of which lie below
    /// `path`, are applied. The children of what is returned are stored; it itself is not.
    fn apply(
        &mut self,
        old: Option<Node>,
        path: &Nibbles,
        mut changes: Vec<Change>,
    ) -> Result<Option<Node>, N::Error> {
        if changes.is_empty() {
            return Ok(old);
        }
        match old {
            None => {
                changes.retain(|(_, value)| value.is_some());
                self.build(path, changes)
            }
            Some(Node::Leaf { suffix, value }) => {
                // A leaf is a key like any other, unless it is changed itself.
                let key = path.join(&suffix);
                if let Err(at) = changes.binary_search_by(|(changed, _)| changed.cmp(&key)) {
                    changes.insert(at, (key, Some(value)));
                }
                changes.retain(|(_, value)| value.is_some());
                self.build(path, changes)
            }
            Some(Node::Extension { prefix, child }) => {
                self.apply_to_extension(prefix, child, path, changes)
            }
            Some(Node::Branch(children)) => {
                let children = children.map(|child| child.map(Child::Kept));
                self.apply_to_branch(children, path, changes)
            }
        }
    }

    /// A trie of nothing but these keys, which all have values.
    fn build(
        &mut self,
        path: &Nibbles,
        mut changes: Vec<Change>,
    ) -> Result<Option<Node>, N::Error> {
        let depth = path.len();
        let (Some((first, _)), Some((last, _))) = (changes.first(), changes.last()) else {
            return Ok(None);
        };
        if changes.len() == 1 {
            let suffix = first.slice(depth..);
            let value = changes.pop().and_then(|(_, value)| value).unwrap_or_default();
            return Ok(Some(Node::Leaf { suffix, value }));
        }
        // Keys ascend, so what the first and the last share, all share.
        let shared = first.common_prefix_length(last);
        let branch_path = first.slice(..shared);
        let branch = self.apply_to_branch(Default::default(), &branch_path, changes)?;
        match branch {
            Some(branch) if shared > depth => {
                let child = self.place(&branch_path, &branch)?;
                Ok(Some(Node::Extension { prefix: branch_path.slice(depth..), child }))
            }
            branch => Ok(branch),
        }
    }

    fn apply_to_extension(
        &mut self,
        prefix: Nibbles,
        child: RlpNode,
        path: &Nibbles,
        changes: Vec<Change>,
    ) -> Result<Option<Node>, N::Error> {
        let depth = path.len();
        let end = path.join(&prefix);
        // Removing what is not there changes nothing, and must not part the stretch.
        let changes: Vec<Change> = changes
            .into_iter()
            .filter(|(key, value)| value.is_some() || key.starts_with(&end))
            .collect();
        let (Some((first, _)), Some((last, _))) = (changes.first(), changes.last()) else {
            return Ok(Some(Node::Extension { prefix, child }));
        };
        let shared = first.common_prefix_length(&end).min(last.common_prefix_length(&end));
        if shared == end.len() {
            let old = self.take(&end)?;
            let new = self.apply(old, &end, changes)?;
            return self.extend(path, &prefix, new);
        }
        // The stretch parts at `shared`: a branch goes there, with the rest of it as one child.
        let fork = end.slice(..shared);
        let nibble = usize::from(end.get_unchecked(shared));
        let mut children: [Option<Child>; 16] = Default::default();
        let rest = end.slice(shared + 1..);
        children[nibble] = Some(if rest.is_empty() {
            Child::Kept(child)
        } else {
            Child::New(Node::Extension { prefix: rest, child })
        });
        let new = self.apply_to_branch(children, &fork, changes)?;
        self.extend(path, &end.slice(depth..shared), new)
    }

    /// Puts a stretch of path in front of the node at its end.
    fn extend(
        &mut self,
        path: &Nibbles,
        prefix: &Nibbles,
        node: Option<Node>,
    ) -> Result<Option<Node>, N::Error> {
        let Some(node) = node else { return Ok(None) };
        if prefix.is_empty() {
            return Ok(Some(node));
        }
        Ok(Some(match node {
            Node::Leaf { suffix, value } => Node::Leaf { suffix: prefix.join(&suffix), value },
            Node::Extension { prefix: more, child } => {
                Node::Extension { prefix: prefix.join(&more), child }
            }
            branch @ Node::Branch(_) => {
                let child = self.place(&path.join(prefix), &branch)?;
                Node::Extension { prefix: *prefix, child }
            }
        }))
    }

    fn apply_to_branch(
        &mut self,
        mut children: [Option<Child>; 16],
        path: &Nibbles,
        changes: Vec<Change>,
    ) -> Result<Option<Node>, N::Error> {
        let depth = path.len();
        let mut changes = changes.into_iter().peekable();
        while let Some((key, _)) = changes.peek() {
            let nibble = key.get_unchecked(depth);
            let mut group = Vec::new();
            while let Some(change) = changes.next_if(|(key, _)| key.get_unchecked(depth) == nibble)
            {
                group.push(change);
            }
            let mut below = *path;
            below.push(nibble);
            let slot = &mut children[usize::from(nibble)];
            let old = match slot.take() {
                None => None,
                Some(Child::New(node)) => Some(node),
                Some(Child::Kept(_)) => self.take(&below)?,
            };
            *slot = self.apply(old, &below, group)?.map(Child::New);
        }
        let mut present = (0u8..).zip(&children).filter(|(_, child)| child.is_some());
        let first = present.next().map(|(nibble, _)| nibble);
        let more = present.next().is_some();
        match first {
            None => Ok(None),
            Some(nibble) if !more => {
                // One child left: it takes the branch's place.
                let prefix = Nibbles::from_nibbles_unchecked([nibble]);
                let below = path.join(&prefix);
                let node = match children[usize::from(nibble)].take() {
                    Some(Child::New(node)) => Some(node),
                    Some(Child::Kept(_)) => self.take(&below)?,
                    None => None,
                };
                self.extend(path, &prefix, node)
            }
            Some(_) => {
                let mut names: Box<[Option<RlpNode>; 16]> = Box::default();
                for (nibble, (name, child)) in (0u8..).zip(names.iter_mut().zip(children)) {
                    *name = match child {
                        None => None,
                        Some(Child::Kept(name)) => Some(name),
                        Some(Child::New(node)) => {
                            let mut below = *path;
                            below.push(nibble);
                            Some(self.place(&below, &node)?)
                        }
                    };
                }
                Ok(Some(Node::Branch(names)))
            }
        }
    }
}
