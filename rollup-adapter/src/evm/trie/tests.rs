//! The trie against one built from scratch.

use std::collections::BTreeMap;
use std::convert::Infallible;

use alloy_primitives::{B256, keccak256};
use alloy_trie::HashBuilder;
use proptest::prelude::*;

use super::*;

/// Nodes in memory, in their stored form.
#[derive(Default)]
struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Nodes for Memory {
    type Error = Infallible;

    fn get(&mut self, path: &Nibbles) -> Result<Option<Node>, Infallible> {
        Ok(self.0.get(&path.to_vec()).map(|bytes| Node::decode(bytes).unwrap()))
    }

    fn put(&mut self, path: &Nibbles, node: &Node) -> Result<(), Infallible> {
        self.0.insert(path.to_vec(), node.encode());
        Ok(())
    }

    fn remove(&mut self, path: &Nibbles) -> Result<(), Infallible> {
        self.0.remove(&path.to_vec());
        Ok(())
    }
}

fn from_scratch(entries: &BTreeMap<Nibbles, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in entries {
        builder.add_leaf(*key, value);
    }
    builder.root()
}

/// Keys that share long prefixes, so that extensions and short leaves come up.
fn key(seed: u16, spread: u8) -> Nibbles {
    let hash = keccak256(seed.to_be_bytes());
    match spread % 4 {
        0 => Nibbles::unpack(hash),
        1 => {
            // All but the last two nibbles shared.
            let mut bytes = [0x77; 32];
            bytes[31] = hash[0];
            Nibbles::unpack(bytes)
        }
        2 => {
            let mut bytes = [0x77; 32];
            bytes[16] = hash[0] & 0x33;
            bytes[31] = hash[1] & 0x0f;
            Nibbles::unpack(bytes)
        }
        _ => {
            let mut bytes = [0x00; 32];
            bytes[0] = hash[0] & 0x11;
            bytes[30] = hash[1];
            Nibbles::unpack(bytes)
        }
    }
}

type Step = Vec<(u16, u8, Option<u8>)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0u16..60, any::<u8>(), proptest::option::of(1u8..40));
    proptest::collection::vec(proptest::collection::vec(change, 1..30), 1..12)
}

proptest! {
    /// After every batch of changes the root is that of a trie built from scratch, and nothing is
    /// stored that is not part of the trie.
    #[test]
    fn agrees_with_a_trie_built_from_scratch(steps in steps()) {
        let mut entries: BTreeMap<Nibbles, Vec<u8>> = BTreeMap::new();
        let mut nodes = Memory::default();
        for step in steps {
            let mut changes = BTreeMap::new();
            for (seed, spread, value) in step {
                // Short and long values: short ones make nodes that are named by their encoding.
                let value = value.map(|v| vec![v; usize::from(v)]);
                changes.insert(key(seed, spread), value);
            }
            for (key, value) in &changes {
                match value {
                    Some(value) => entries.insert(*key, value.clone()),
                    None => entries.remove(key),
                };
            }
            let root = update(&mut nodes, changes.into_iter().collect()).unwrap();
            prop_assert_eq!(root, from_scratch(&entries));
            let mut again = Memory::default();
            let all = entries.iter().map(|(k, v)| (*k, Some(v.clone()))).collect();
            update(&mut again, all).unwrap();
            prop_assert_eq!(&nodes.0, &again.0);
        }
    }

    #[test]
    fn stored_nodes_come_back_and_garbage_is_refused(bytes: Vec<u8>) {
        if let Ok(node) = Node::decode(&bytes) {
            prop_assert_eq!(Node::decode(&node.encode()).unwrap(), node);
        }
    }
}
