//! Slices as the chain has them, and their proofs.

use weft_types::merkle::{Blake3, Tree, TreeHash};
use weft_types::slice::{NamespaceTree, ProvenEntry, ProvenSlice};
use weft_types::{
    Block, Bytes, Certificate, Header, Height, L1Event, Leg, LegPlace, Legs, NamespaceId, Payload,
    SliceEntry,
};

use super::{Chain, ChainError};
use crate::store::view::EntryPlace;

/// What proves slices of a height.
pub(super) struct Spine {
    header: Header,
    child: Header,
    certificate: Certificate,
    tree: NamespaceTree,
}

impl Spine {
    /// One entry of a namespace's slice, which is given.
    pub(super) fn prove_entry(
        &self,
        namespace: NamespaceId,
        slice: Vec<SliceEntry>,
        index: usize,
        legs: Legs,
    ) -> Option<ProvenEntry> {
        let leaves = slice.iter().map(|entry| Blake3::leaf(&borsh_of(entry))).collect();
        let path = Tree::<Blake3>::new(leaves).path(index)?;
        Some(ProvenEntry {
            header: self.header,
            child: self.child,
            certificate: self.certificate.clone(),
            proof: self.tree.prove(namespace),
            entry: slice.into_iter().nth(index)?,
            path,
            legs: Some(legs),
        })
    }
}

impl Chain {
    /// A namespace's slice of a height and its proof; `None` until the next height is decided.
    pub fn proven_slice(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Option<ProvenSlice>, ChainError> {
        let Some(Spine { header, child, certificate, tree }) = self.spine(height)? else {
            return Ok(None);
        };
        let recent = self.recent(height);
        let proof = tree.prove(namespace);
        let entries = match (&proof.at, &recent) {
            (None, _) => Vec::new(),
            (Some(_), Some(block)) => {
                let slice = block.slices.iter().find(|slice| slice.namespace == namespace);
                slice.map(|slice| slice.entries.clone()).unwrap_or_default()
            }
            (Some(_), None) => self.entries(namespace, height)?,
        };
        let lot = match entries.first() {
            Some(SliceEntry::Head { .. }) => {
                let results = self.results(height)?.ok_or(ChainError::Mismatch(height))?;
                results.proven_lot(namespace)
            }
            _ => None,
        };
        Ok(Some(ProvenSlice { header, child, certificate, proof, entries, lot }))
    }

    /// What proves slices of a height; `None` until the next height is decided.
    pub(super) fn spine(&self, height: Height) -> Result<Option<Spine>, ChainError> {
        let Some(above) = height.checked_add(1).filter(|h| *h <= self.head().header.height) else {
            return Ok(None);
        };
        let (Some(header), Some(child), Some(certificate)) =
            (self.header(height)?, self.header(above)?, self.certificate(above)?)
        else {
            return Ok(None);
        };
        let leaves = match self.recent(height) {
            Some(block) => Some(block.leaves.clone()),
            None if height == 0 => Some(Vec::new()),
            None => self.0.view.leaves(height)?,
        };
        let Some(leaves) = leaves else { return Ok(None) };
        let tree = NamespaceTree::new(leaves).ok_or(ChainError::Mismatch(height))?;
        if tree.slices_root() != child.parent_outcome.slices_root {
            return Err(ChainError::Mismatch(height));
        }
        Ok(Some(Spine { header, child, certificate, tree }))
    }

    /// The entries of a namespace's slice of a height, unproven; `None` if the height is not decided.
    pub fn slice(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Option<Vec<SliceEntry>>, ChainError> {
        if height > self.head().header.height {
            return Ok(None);
        }
        if let Some(block) = self.recent(height) {
            let slice = block.slices.iter().find(|slice| slice.namespace == namespace);
            return Ok(Some(slice.map(|slice| slice.entries.clone()).unwrap_or_default()));
        }
        if height == 0 { Ok(Some(Vec::new())) } else { self.entries(namespace, height).map(Some) }
    }

    /// The entries of a slice, from the log.
    fn entries(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> Result<Vec<SliceEntry>, ChainError> {
        let block = self.0.log.block(height)?.ok_or(ChainError::Mismatch(height))?;
        self.entries_in(&block, namespace)
    }

    /// The entries of a slice of a block.
    pub(super) fn entries_in(
        &self,
        block: &Block,
        namespace: NamespaceId,
    ) -> Result<Vec<SliceEntry>, ChainError> {
        let height = block.header.height;
        let places = self.0.view.places(namespace, height)?;
        let entry = |place: &EntryPlace| match *place {
            EntryPlace::Event { block: passed, event } => {
                let events = block.events.get(usize::from(passed))?;
                match events.0.get(usize::try_from(event).ok()?)? {
                    L1Event::Forced { index, sender, data, .. } => Some(SliceEntry::Forced {
                        index: *index,
                        sender: *sender,
                        data: data.clone(),
                    }),
                    _ => None,
                }
            }
            EntryPlace::Decision { bundle, decision } => {
                Some(SliceEntry::Decision { bundle, decision })
            }
            EntryPlace::Transaction { batch, transaction, sender } => {
                let batch = block.batches.get(usize::from(batch))?;
                let transaction = batch.body.transactions.get(usize::from(transaction))?;
                let id = weft_types::transaction::id_of(transaction);
                match &transaction.body.payload {
                    Payload::Submit { data, .. } => Some(SliceEntry::Submission {
                        transaction: id,
                        submitter: sender,
                        data: data.clone(),
                    }),
                    Payload::Bid { mode, legs, .. } => {
                        let (place, data) = leg_of(legs, namespace)?;
                        let (transaction, bidder, mode) = (id, sender, *mode);
                        Some(SliceEntry::Head { transaction, bidder, mode, place, data })
                    }
                    Payload::Bundle { legs } => {
                        let (place, data) = leg_of(legs, namespace)?;
                        Some(SliceEntry::Leg { transaction: id, submitter: sender, place, data })
                    }
                    _ => None,
                }
            }
        };
        let entries: Option<Vec<SliceEntry>> = places.iter().map(entry).collect();
        entries.ok_or(ChainError::Mismatch(height))
    }
}

/// The leg for a namespace: its place and its items.
fn leg_of(legs: &[Leg], namespace: NamespaceId) -> Option<(LegPlace, Vec<Bytes>)> {
    let at = legs.iter().position(|leg| leg.namespace == namespace)?;
    Some((Legs::of(legs).places().nth(at)?, legs.get(at)?.data.clone()))
}

fn borsh_of(entry: &SliceEntry) -> Vec<u8> {
    borsh::to_vec(entry).expect("borsh into a Vec fails only on lengths above u32::MAX")
}
