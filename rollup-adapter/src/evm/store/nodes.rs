//! Trie nodes in a table of the database.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table};

use super::StoreError;
use crate::evm::trie::{Nibbles, Node, Nodes};

/// The nodes of one trie while it changes. Changes are gathered and written at the end, so that a
/// node that is taken and put back costs one write.
pub(super) struct TableNodes<'a, 'txn> {
    table: &'a mut Table<'txn, &'static [u8], &'static [u8]>,
    /// What every key starts with: nothing, or the hash of an account's address.
    prefix: &'a [u8],
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a, 'txn> TableNodes<'a, 'txn> {
    pub(super) fn new(
        table: &'a mut Table<'txn, &'static [u8], &'static [u8]>,
        prefix: &'a [u8],
    ) -> Self {
        Self { table, prefix, changed: BTreeMap::new() }
    }

    fn key(&self, path: &Nibbles) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + path.len());
        key.extend_from_slice(self.prefix);
        key.extend(path.iter());
        key
    }

    /// Writes what has changed.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        for (key, node) in self.changed {
            match node {
                Some(node) => drop(self.table.insert(key.as_slice(), node.as_slice())?),
                None => drop(self.table.remove(key.as_slice())?),
            }
        }
        Ok(())
    }
}

impl Nodes for TableNodes<'_, '_> {
    type Error = StoreError;

    fn get(&mut self, path: &Nibbles) -> Result<Option<Node>, StoreError> {
        let key = self.key(path);
        if let Some(changed) = self.changed.get(&key) {
            return Ok(changed.as_deref().map(Node::decode).transpose()?);
        }
        let stored = self.table.get(key.as_slice())?;
        Ok(stored.map(|bytes| Node::decode(bytes.value())).transpose()?)
    }

    fn put(&mut self, path: &Nibbles, node: &Node) -> Result<(), StoreError> {
        self.changed.insert(self.key(path), Some(node.encode()));
        Ok(())
    }

    fn remove(&mut self, path: &Nibbles) -> Result<(), StoreError> {
        self.changed.insert(self.key(path), None);
        Ok(())
    }
}
