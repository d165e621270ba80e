//! What the view takes in of a block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weft_ledger::Applied;
use weft_types::{
    Batch, BlockId, Header, L1Event, L1Events, NamespaceId, Payload, Receipt, ReceiptStatus, Slice,
    SliceEntry, TransactionId, Verified,
};

use crate::store::view::{BlockChanges, EntryPlace, TransactionRecord};

/// Whether a forced message is in its namespace's slice. Slices ascend by namespace, and messages, which
/// stand before submissions, by index.
fn has_message(slices: &[Slice], namespace: NamespaceId, index: u64) -> bool {
    let slice = slices.binary_search_by_key(&namespace, |slice| slice.namespace).ok();
    let entries = slice.and_then(|at| slices.get(at)).map_or(&[][..], |slice| &slice.entries);
    let is_before = |entry: &&SliceEntry| {
        !matches!(entry, SliceEntry::Submission { .. } | SliceEntry::Leg { .. })
    };
    entries.iter().take_while(is_before).any(|entry| match entry {
        SliceEntry::Forced { index: message, .. } => *message == index,
        _ => false,
    })
}

/// What the view takes in of a block.
pub fn changes_of(
    header: &Header,
    id: BlockId,
    batches: &[Arc<Verified<Batch>>],
    events: &[Arc<Verified<L1Events>>],
    applied: &Applied,
) -> BlockChanges {
    let mut transactions = Vec::new();
    let mut places: BTreeMap<NamespaceId, Vec<EntryPlace>> = BTreeMap::new();
    for (block, events) in (0u8..).zip(events) {
        for (event, content) in (0u32..).zip(&events.0) {
            // One for a namespace that there was not at that moment has no place.
            if let L1Event::Forced { namespace, index, .. } = content
                && has_message(&applied.slices, *namespace, *index)
            {
                places.entry(*namespace).or_default().push(EntryPlace::Event { block, event });
            }
        }
    }
    let mut withdrawals = applied.withdrawals.iter();
    let won: BTreeSet<&TransactionId> = applied.results.lots.iter().map(|lot| &lot.bid).collect();
    let mut position = 0;
    for ((batch_index, batch), receipts) in (0u16..).zip(batches).zip(&applied.receipts) {
        let checked = &batch.witness().transactions;
        let contents = batch.body.transactions.iter().zip(checked).zip(receipts);
        for (index, ((transaction, checked), receipt)) in (0u16..).zip(contents) {
            if let Ok(checked) = checked {
                let executed = is_executed(receipt.as_ref());
                let withdraws = matches!(transaction.body.payload, Payload::Withdraw { .. });
                let made = (executed && withdraws).then(|| withdrawals.next()).flatten();
                // A duplicate, or one outside its window, leaves the first record as it is.
                if receipt.is_some() {
                    let height = header.height;
                    let withdrawal = made.map(|withdrawal| withdrawal.index);
                    let receipt = *receipt;
                    let record = TransactionRecord { height, position, receipt, withdrawal };
                    transactions.push((checked.id, record));
                }
                let sender = checked.sender;
                let place =
                    EntryPlace::Transaction { batch: batch_index, transaction: index, sender };
                match &transaction.body.payload {
                    Payload::Submit { namespace, .. } if executed => {
                        places.entry(*namespace).or_default().push(place);
                    }
                    Payload::Bundle { legs } if executed => {
                        for leg in legs {
                            places.entry(leg.namespace).or_default().push(place);
                        }
                    }
                    // A duplicate of the winner is executed once only.
                    Payload::Bid { legs, .. } if executed && won.contains(&checked.id) => {
                        for leg in legs {
                            places.entry(leg.namespace).or_default().insert(0, place);
                        }
                    }
                    _ => {}
                }
            }
            position += 1;
        }
    }
    for decided in &applied.results.bundles {
        let (bundle, decision) = (decided.bundle, decided.decision);
        for leg in &decided.legs {
            let places = places.entry(leg.namespace).or_default();
            places.insert(0, EntryPlace::Decision { bundle, decision });
        }
    }
    let slices = applied
        .leaves
        .iter()
        .map(|leaf| (*leaf, places.remove(&leaf.namespace).unwrap_or_default()))
        .collect();
    BlockChanges {
        height: header.height,
        time_ms: header.time_ms,
        id,
        ledger_root: applied.outcome.ledger_root,
        slices_root: applied.outcome.slices_root,
        changes: applied.changes.clone(),
        transactions,
        slices,
        results: applied.results.clone(),
        withdrawals: applied.withdrawals.clone(),
    }
}

/// The well-formed transactions of batches, in order.
pub fn ids_of(batches: &[Arc<Verified<Batch>>]) -> impl Iterator<Item = &TransactionId> {
    batches
        .iter()
        .flat_map(|batch| &batch.witness().transactions)
        .filter_map(|checked| checked.as_ref().ok())
        .map(|witness| &witness.id)
}

fn is_executed(receipt: Option<&Receipt>) -> bool {
    receipt.is_some_and(|receipt| receipt.status == ReceiptStatus::Executed)
}
