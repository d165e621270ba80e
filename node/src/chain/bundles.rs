//! Bundles as the chain has them: their legs, where those stand, and what was decided.

use weft_ledger::{Key, Undecided, Value};
use weft_types::results::AuctionResult;
use weft_types::slice::ProvenEntry;
use weft_types::{
    BidMode, DecidedBundle, Height, Legs, Payload, ProvenResult, SliceEntry, TransactionId,
};

use super::{Chain, ChainError};
use crate::store::view::TransactionRecord;

/// A bundle, or a bid for several lots, that has been ordered.
#[derive(Clone, Debug)]
pub struct BundleRecord {
    /// What became of the transaction.
    pub record: TransactionRecord,
    /// Its legs.
    pub legs: Legs,
    /// The place of each leg's entry in its slice, from 0, if it has been executed, and the entry
    /// proven, if that was asked for.
    pub entries: Vec<(Option<usize>, Option<ProvenEntry>)>,
    /// What ties its legs, if it is a bid.
    pub mode: Option<BidMode>,
    /// Whether its legs are executed, if it is an atomic bid that has won.
    pub execution: Option<Execution>,
}

/// Whether the legs of an atomic bundle are executed.
#[derive(Clone, Debug)]
pub enum Execution {
    /// It holds its namespaces.
    Undecided(Undecided),
    /// It is decided.
    Decided {
        /// The height that decided it.
        height: Height,
        /// What became of it.
        decided: DecidedBundle,
        /// That with its path to the results root of the height above, if asked for.
        proof: Option<ProvenResult>,
    },
}

impl Chain {
    /// A bundle, or a bid for several lots: what it consists of, and where its legs stand if it has been
    /// executed. `None` for what is no such transaction, or has not been ordered.
    /// With proof of each, if asked for and the next height is decided.
    pub fn bundle(
        &self,
        id: &TransactionId,
        proven: bool,
    ) -> Result<Option<BundleRecord>, ChainError> {
        let Some(record) = self.transaction(id)? else { return Ok(None) };
        let Some(block) = self.0.log.block(record.height)? else { return Ok(None) };
        let mut all = block.batches.iter().flat_map(|batch| &batch.body.transactions);
        let found = all.find(|transaction| weft_types::transaction::id_of(transaction) == *id);
        let Some(transaction) = found else { return Ok(None) };
        let (Payload::Bundle { legs } | Payload::Bid { legs, .. }) = &transaction.body.payload
        else {
            return Ok(None);
        };
        let all = Legs::of(legs);
        let spine = if proven { self.spine(record.height)? } else { None };
        let mut entries = Vec::with_capacity(legs.len());
        for leg in legs {
            let slice = self.entries_in(&block, leg.namespace)?;
            let index = slice.iter().position(|entry| match entry {
                SliceEntry::Head { transaction, .. } | SliceEntry::Leg { transaction, .. } => {
                    transaction == id
                }
                SliceEntry::Decision { .. }
                | SliceEntry::Forced { .. }
                | SliceEntry::Submission { .. } => false,
            });
            let proof = index.zip(spine.as_ref());
            let proof = proof.and_then(|(index, spine)| {
                spine.prove_entry(leg.namespace, slice, index, all.clone())
            });
            entries.push((index, proof));
        }
        let mode = match &transaction.body.payload {
            Payload::Bid { mode, .. } => Some(*mode),
            _ => None,
        };
        let execution = match mode {
            Some(BidMode::Atomic) => self.execution(id, proven)?,
            _ => None,
        };
        Ok(Some(BundleRecord { record, legs: all, entries, mode, execution }))
    }

    /// Whether the legs of an atomic bundle are executed; `None` if it has not won.
    fn execution(
        &self,
        bundle: &TransactionId,
        proven: bool,
    ) -> Result<Option<Execution>, ChainError> {
        // In this order: what is undecided when it is looked at may be decided right after.
        if let Some(Value::Undecided(undecided)) = self.0.view.entry(&Key::Undecided(*bundle))? {
            return Ok(Some(Execution::Undecided(*undecided)));
        }
        let Some((height, decided)) = self.0.view.decided(bundle)? else { return Ok(None) };
        let proof = if proven {
            let results = self.results(height)?.ok_or(ChainError::Mismatch(height))?;
            results.proven().into_iter().find(|proven| match &proven.result {
                AuctionResult::Bundle(decided) => decided.bundle == *bundle,
                _ => false,
            })
        } else {
            None
        };
        Ok(Some(Execution::Decided { height, decided, proof }))
    }
}
