//! Applying a block (protocol section 6).

use std::collections::BTreeMap;

use weft_types::{
    Address, B256, Batch, Height, L1Events, L1Origin, Legs, NamespaceId, Outcome, Payload, Receipt,
    ReceiptStatus, Results, SkipReason, Slice, SliceEntry, TimeMs, Transaction, Verified, Wei,
    Withdrawal,
    slice::{NamespaceTree, SliceLeaf},
    transaction::TransactionWitness,
    withdrawal::withdrawals_root,
};

use crate::DUPLICATE_GRACE;
use crate::auction::Included;
use crate::entry::{Clock, Key, LaneCut, Namespace, Remembered, Value};
use crate::payload::Call;
use crate::state::{Change, State};

/// A block as the ledger sees it: what consensus derived from its observations.
#[derive(Clone, Debug)]
pub struct OrderedBlock<'a> {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// Up to where L1 is taken in.
    pub l1_origin: L1Origin,
    /// What the L1 blocks brought that it passes: those after the parent's origin, in order.
    pub events: Vec<&'a L1Events>,
    /// The validators whose observations it embeds; none in an empty block.
    pub observers: Vec<Address>,
    /// What it orders, in block order.
    pub batches: Vec<OrderedBatch<'a>>,
    /// The lanes whose cut or carry moved, and to where.
    pub cuts: Vec<(Address, LaneCut)>,
}

/// A batch and its author.
#[derive(Clone, Copy, Debug)]
pub struct OrderedBatch<'a> {
    /// Whose lane it stood in.
    pub author: Address,
    /// The batch.
    pub batch: &'a Verified<Batch>,
}

/// What a block came to.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What the child's header will say.
    pub outcome: Outcome,
    /// For each batch, for each of its transactions, what became of it; `None` where it was
    /// malformed, outside its window, or a duplicate.
    pub receipts: Vec<Vec<Option<Receipt>>>,
    /// The slices, ascending by namespace.
    pub slices: Vec<Slice>,
    /// The leaves that stand for them.
    pub leaves: Vec<SliceLeaf>,
    /// What the auction came to.
    pub results: Results,
    /// What was withdrawn, in order.
    pub withdrawals: Vec<Withdrawal>,
    /// Every entry that changed.
    pub changes: Vec<Change>,
}

/// What accumulates over a block.
#[derive(Default)]
pub(crate) struct Progress {
    collected: Wei,
    debits: BTreeMap<Address, Wei>,
    slices: BTreeMap<NamespaceId, Vec<SliceEntry>>,
    namespace_bytes: BTreeMap<NamespaceId, u64>,
    bytes: u64,
}

impl State {
    /// Applies the next block.
    pub fn apply(&mut self, block: &OrderedBlock<'_>) -> Applied {
        self.forget_before(block.time_ms);
        self.pay_releases(block.time_ms);
        let base_fee = self.global_price(block.time_ms);
        let mut progress = Progress::default();
        let passed = self.clock().l1_origin.number;
        for (events, number) in block.events.iter().zip(passed.saturating_add(1)..) {
            self.take_in(number, events, &mut progress);
        }
        let withdrawn = self.withdrawals().count();
        let (mut receipts, results, for_validators) =
            self.apply_bids(block, base_fee, &mut progress);
        for (ordered, receipts) in block.batches.iter().zip(&mut receipts) {
            self.apply_batch(ordered, block, base_fee, &mut progress, receipts);
        }
        let (bundles, of_bundles) = self.decide(block, &mut progress);
        let results = Results { bundles, ..results };
        let for_validators = for_validators.saturating_add(of_bundles);
        let pooled = self.pool_share(progress.collected);
        let shared = progress.collected.saturating_sub(pooled).saturating_add(for_validators);
        self.reward(shared, &block.observers, &progress.debits);
        self.move_prices(block.time_ms, &progress);
        for (author, cut) in &block.cuts {
            self.put(Key::Lane(*author), Value::Lane(Box::new(*cut)));
        }
        self.turn_epoch(block.time_ms);
        self.tick(block);
        let withdrawals = withdrawals_of(block, &receipts, withdrawn);
        let changes = self.settle();

        let slices: Vec<Slice> = progress
            .slices
            .into_iter()
            .map(|(namespace, entries)| Slice { namespace, entries })
            .collect();
        let leaves: Vec<SliceLeaf> = slices.iter().map(Slice::leaf).collect();
        let outcome = self.outcome(&leaves, &results);
        Applied { outcome, receipts, slices, leaves, results, withdrawals, changes }
    }

    /// What a block came to that led to this state and had slices with these leaves and these results.
    pub fn outcome(&self, leaves: &[SliceLeaf], results: &Results) -> Outcome {
        Outcome {
            ledger_root: self.ledger_root(),
            slices_root: slices_root(leaves),
            results_root: results.root(),
            withdrawals_root: withdrawals_root(self.withdrawals()),
            // No bids are sealed at this version.
            unseal_key: weft_types::UnsealKey::NONE,
        }
    }

    /// Includes bids, in block order, and settles them. Returns receipts for them, with room for those
    /// of all others, what became of them, and what is for validators.
    fn apply_bids(
        &mut self,
        block: &OrderedBlock<'_>,
        base_fee: Wei,
        progress: &mut Progress,
    ) -> (Vec<Vec<Option<Receipt>>>, Results, Wei) {
        let mut included = Included::default();
        let mut receipts = Vec::with_capacity(block.batches.len());
        for ordered in &block.batches {
            let witness = ordered.batch.witness();
            progress.bytes = progress.bytes.saturating_add(u64::from(witness.bytes));
            let transactions = ordered.batch.body.transactions.iter().zip(&witness.transactions);
            let of_batch = transactions.map(|(transaction, checked)| {
                let Ok(checked) = checked else { return None };
                if !is_bid(transaction) {
                    return None;
                }
                let flat = self.params().bid_fee;
                let fee = u128::from(checked.bytes).saturating_mul(base_fee).saturating_add(flat);
                match self.include(transaction, checked, block, fee, progress) {
                    Ok(_) => {
                        included.push(transaction, checked);
                        Some(Receipt { status: ReceiptStatus::Executed, fee })
                    }
                    Err(refused) => progress.note(ordered.author, base_fee, refused),
                }
            });
            receipts.push(of_batch.collect());
        }
        let (results, for_validators) = self.hold_auction(block, &included, progress);
        (receipts, results, for_validators)
    }

    /// Runs the transactions of a batch that are no bids.
    fn apply_batch(
        &mut self,
        ordered: &OrderedBatch<'_>,
        block: &OrderedBlock<'_>,
        base_fee: Wei,
        progress: &mut Progress,
        receipts: &mut [Option<Receipt>],
    ) {
        let transactions = &ordered.batch.body.transactions;
        let all = transactions.iter().zip(&ordered.batch.witness().transactions).zip(receipts);
        for ((transaction, checked), receipt) in all {
            let settled = match checked {
                Ok(_) if is_bid(transaction) => continue,
                Ok(checked) => {
                    self.apply_transaction(transaction, checked, block, base_fee, progress)
                }
                Err(_) => Err(Refused::Unpaid(encoded_len(transaction), None)),
            };
            *receipt = match settled {
                Ok(receipt) => Some(receipt),
                Err(refused) => progress.note(ordered.author, base_fee, refused),
            };
        }
    }

    fn apply_transaction(
        &mut self,
        transaction: &Transaction,
        checked: &TransactionWitness,
        block: &OrderedBlock<'_>,
        base_fee: Wei,
        progress: &mut Progress,
    ) -> Result<Receipt, Refused> {
        let fee = u128::from(checked.bytes).saturating_mul(base_fee);
        let fee_left = self.include(transaction, checked, block, fee, progress)?;
        let (sender, bytes) = (checked.sender, checked.bytes);
        let (now, height) = (block.time_ms, block.height);
        let call = Call { sender, bytes, fee_left, now, height };
        Ok(match self.execute(&transaction.body.payload, &call) {
            Err(reason) => Receipt { status: ReceiptStatus::Skipped(reason), fee },
            Ok(on_top) => {
                progress.collected = progress.collected.saturating_add(on_top);
                progress.place(transaction, checked);
                let fee = fee.saturating_add(on_top);
                Receipt { status: ReceiptStatus::Executed, fee }
            }
        })
    }

    /// Remembers a transaction and charges the fee for its inclusion, which is paid first, whatever
    /// the payload comes to. Returns what is left of the most that its sender pays.
    fn include(
        &mut self,
        transaction: &Transaction,
        checked: &TransactionWitness,
        block: &OrderedBlock<'_>,
        fee: Wei,
        progress: &mut Progress,
    ) -> Result<Wei, Refused> {
        // Outside its window: no receipt and no memory.
        let body = &transaction.body;
        let latest = block.time_ms.saturating_add(self.params().max_validity_ms);
        if body.valid_until < block.time_ms || body.valid_until > latest {
            return Err(Refused::Unpaid(checked.bytes, None));
        }
        let key = Remembered { valid_until: body.valid_until, id: checked.id };
        if let Some(height) = self.remembered(&key) {
            return Err(if block.height.saturating_sub(height) > DUPLICATE_GRACE {
                Refused::Unpaid(checked.bytes, None)
            } else {
                Refused::Duplicate
            });
        }
        self.put(Key::Remembered(key), Value::Height(block.height));

        let unpaid = |reason| {
            let status = ReceiptStatus::Skipped(reason);
            Refused::Unpaid(checked.bytes, Some(Receipt { status, fee: 0 }))
        };
        let Some(fee_left) = body.max_fee.checked_sub(fee) else {
            return Err(unpaid(SkipReason::FeeAboveMax));
        };
        let Some(balance) = self.balance(&checked.sender).checked_sub(fee) else {
            return Err(unpaid(SkipReason::CannotPayFee));
        };
        self.set_balance(checked.sender, balance);
        progress.collected = progress.collected.saturating_add(fee);
        Ok(fee_left)
    }

    fn move_prices(&mut self, now: TimeMs, progress: &Progress) {
        let price = self.global_price_rule().after(&self.global_price_entry(), now, progress.bytes);
        self.put(Key::GlobalPrice, Value::GlobalPrice(price));
        let rule = self.namespace_price_rule();
        for (id, bytes) in &progress.namespace_bytes {
            if let Some(namespace) = self.namespace(*id) {
                let price = rule.after(&namespace.price, now, *bytes);
                let namespace = Namespace { price, ..namespace.clone() };
                self.set_namespace(*id, namespace);
            }
        }
    }

    fn tick(&mut self, block: &OrderedBlock<'_>) {
        let clock = self.clock();
        let seen = u64::from(!block.observers.is_empty());
        let non_empty_blocks = clock.non_empty_blocks.saturating_add(seen);
        self.see(&block.observers, non_empty_blocks);
        let clock = Clock {
            height: block.height,
            time_ms: block.time_ms,
            non_empty_blocks,
            l1_origin: block.l1_origin,
        };
        self.put(Key::Clock, Value::Clock(clock));
    }
}

impl Progress {
    pub(crate) fn push(&mut self, namespace: NamespaceId, entry: SliceEntry) {
        self.slices.entry(namespace).or_default().push(entry);
    }

    /// Puts what a winner brings, or a decision, before everything else.
    pub(crate) fn head(&mut self, namespace: NamespaceId, entry: SliceEntry) {
        self.slices.entry(namespace).or_default().insert(0, entry);
    }

    /// Debits the author of a batch for bytes that nobody paid for. Returns the receipt, if there is
    /// one.
    fn note(&mut self, author: Address, base_fee: Wei, refused: Refused) -> Option<Receipt> {
        match refused {
            Refused::Duplicate => None,
            Refused::Unpaid(bytes, receipt) => {
                let debit = u128::from(bytes).saturating_mul(base_fee);
                let debits = self.debits.entry(author).or_default();
                *debits = debits.saturating_add(debit);
                receipt
            }
        }
    }

    /// Puts what an executed transaction brings into slices.
    fn place(&mut self, transaction: &Transaction, checked: &TransactionWitness) {
        let (id, submitter) = (checked.id, checked.sender);
        match &transaction.body.payload {
            Payload::Submit { namespace, data } => {
                let (transaction, data) = (id, data.clone());
                self.push(*namespace, SliceEntry::Submission { transaction, submitter, data });
                self.use_bytes(*namespace, checked.bytes);
            }
            Payload::Bundle { legs } => {
                for (leg, place) in legs.iter().zip(Legs::of(legs).places()) {
                    let (transaction, data) = (id, leg.data.clone());
                    let entry = SliceEntry::Leg { transaction, submitter, place, data };
                    self.push(leg.namespace, entry);
                    self.use_bytes(leg.namespace, encoded_len(leg));
                }
            }
            _ => {}
        }
    }

    fn use_bytes(&mut self, namespace: NamespaceId, used: u32) {
        let bytes = self.namespace_bytes.entry(namespace).or_default();
        *bytes = bytes.saturating_add(u64::from(used));
    }
}

/// Why a transaction was not included.
enum Refused {
    /// A duplicate that its author could not avoid.
    Duplicate,
    /// So many bytes that nobody paid for.
    Unpaid(u32, Option<Receipt>),
}

fn is_bid(transaction: &Transaction) -> bool {
    matches!(transaction.body.payload, Payload::Bid { .. })
}

pub(crate) fn encoded_len<T: borsh::BorshSerialize>(value: &T) -> u32 {
    let length = borsh::object_length(value).unwrap_or(usize::MAX);
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The withdrawals of a block, of which there were so many before.
fn withdrawals_of(
    block: &OrderedBlock<'_>,
    receipts: &[Vec<Option<Receipt>>],
    before: u64,
) -> Vec<Withdrawal> {
    let transactions = block.batches.iter().flat_map(|ordered| &ordered.batch.body.transactions);
    let executed = transactions
        .zip(receipts.iter().flatten())
        .filter(|(_, receipt)| receipt.is_some_and(|r| r.status == ReceiptStatus::Executed));
    let withdrawn = executed.filter_map(|(transaction, _)| match transaction.body.payload {
        Payload::Withdraw { to, amount } => Some((to, amount)),
        _ => None,
    });
    let numbered = (before..).zip(withdrawn);
    numbered.map(|(index, (to, amount))| Withdrawal { index, to, amount }).collect()
}

fn slices_root(leaves: &[SliceLeaf]) -> B256 {
    NamespaceTree::new(leaves.to_vec())
        .expect("slices come out of a map, ascending by namespace")
        .slices_root()
}
