//! The decided chain, as the API and others read it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use weft_consensus::{Delivery, Tip};
use weft_ledger::{Applied, Key, Release, State, Undecided, Value};
use weft_types::genesis::GenesisError;
use weft_types::merkle::{Blake3, Tree, TreeHash};
use weft_types::results::AuctionResult;
use weft_types::slice::{NamespaceTree, ProvenEntry, ProvenSlice, SliceLeaf};
use weft_types::{
    Address, Batch, BidMode, Block, BlockId, Bytes, Certificate, Committee, DecidedBundle, Genesis,
    Header, Height, L1Event, L1Events, Leg, LegPlace, Legs, NamespaceId, Payload, ProvenResult,
    ProvenWithdrawal, Receipt, ReceiptStatus, Results, Slice, SliceEntry, TimeMs, TransactionId,
    Verified, Wei,
};

use crate::store::committees::Committees;
use crate::store::view::{BlockChanges, EntryPlace, TransactionRecord, View, ViewError};
use crate::store::{Log, LogError};

/// Recent blocks kept in memory, by number and by what their slices weigh.
const RECENT_BLOCKS: usize = 512;
const RECENT_BYTES: usize = 24 * 1024 * 1024;

/// What everybody wants to know of the last decided block.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// Members that are absent as of it.
    pub absent: Arc<Vec<Address>>,
    /// Wei per byte that a block right after it charges.
    pub price: Wei,
    /// What is for sale at the next height, with reserves in wei.
    pub lots: Arc<Vec<(NamespaceId, Wei)>>,
}

/// A block that was decided lately.
pub struct RecentBlock {
    /// Its header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
    /// Its slices.
    pub slices: Vec<Slice>,
    /// Their leaves.
    pub leaves: Vec<SliceLeaf>,
    /// What its auction came to.
    pub results: Results,
    /// Its transactions that are well formed, in order.
    pub transactions: Vec<TransactionId>,
    bytes: usize,
}

/// What a follower of blocks wants to know of one.
#[derive(Clone, Debug)]
pub struct BlockSummary {
    /// Its header.
    pub header: Header,
    /// The round it was decided in.
    pub round: u32,
    /// Its transactions, in order. Those that are malformed are left out while the block is
    /// recent.
    pub transactions: Vec<TransactionId>,
}

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

/// What proves slices of a height.
struct Spine {
    header: Header,
    child: Header,
    certificate: Certificate,
    tree: NamespaceTree,
}

impl Spine {
    /// One entry of a namespace's slice, which is given.
    fn prove_entry(
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

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The view.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Log and view do not fit together.
    #[error("block {0} in the log is not what the view says")]
    Mismatch(Height),
}

/// The decided chain.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    genesis: Genesis,
    genesis_header: Header,
    committees: Committees,
    log: Log,
    view: View,
    recent: RwLock<VecDeque<Arc<RecentBlock>>>,
    head: watch::Sender<Head>,
}

impl Chain {
    /// The chain of a log and its view, up to a tip. `committees` are those after the first.
    pub fn new(
        genesis: Genesis,
        log: Log,
        view: View,
        committees: BTreeMap<Height, Committee>,
        tip: &Tip,
    ) -> Result<Self, GenesisError> {
        let first = genesis.check()?;
        let genesis_header = genesis.header(&first);
        let committees = Committees::new(first, committees);
        let head = watch::Sender::new(head_of(tip, Vec::new()));
        let recent = RwLock::default();
        Ok(Self(Arc::new(Inner { genesis, genesis_header, committees, log, view, recent, head })))
    }

    /// What the network started from.
    pub fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The genesis block's id: the name of the network.
    pub fn genesis_id(&self) -> BlockId {
        self.0.genesis_header.id()
    }

    /// The committee of a height, which is at most one above the last.
    pub fn committee(&self, height: Height) -> Arc<Committee> {
        self.0.committees.at(height)
    }

    /// The last height that the committee of a height decides, unless that is not known yet.
    pub fn committee_until(&self, height: Height) -> Option<Height> {
        self.0.committees.until(height)
    }

    /// The last decided block.
    pub fn head(&self) -> Head {
        self.0.head.borrow().clone()
    }

    /// Follows the last decided block.
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.0.head.subscribe()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// The view.
    pub fn view(&self) -> &View {
        &self.0.view
    }

    /// Takes in a block that was just decided.
    pub fn deliver(&self, delivery: Delivery, state: &State) {
        let Delivery { header, id, certificate, batches, events, applied, absent, .. } = delivery;
        let changes = changes_of(&header, id, &batches, &events, &applied);
        if let Some(committee) = changes.new_committee() {
            self.0.committees.take_over(header.height + 1, committee.clone());
        }
        self.0.view.push(changes);
        let Applied { slices, leaves, results, .. } = applied;
        let transactions: Vec<TransactionId> = ids_of(&batches).copied().collect();
        let data: usize = leaves.iter().map(|leaf| saturate(leaf.bytes)).sum();
        let bytes = 1024
            + data
            + 32 * transactions.len()
            + 160 * results.bids.len()
            + 512 * results.bundles.len();
        let block =
            RecentBlock { header, certificate, slices, leaves, results, transactions, bytes };
        {
            let mut recent = self.0.recent.write().unwrap_or_else(PoisonError::into_inner);
            recent.push_back(Arc::new(block));
            let mut total: usize = recent.iter().map(|block| block.bytes).sum();
            while recent.len() > RECENT_BLOCKS || (total > RECENT_BYTES && recent.len() > 2) {
                total -= recent.pop_front().map_or(0, |block| block.bytes);
            }
        }
        self.0.head.send_replace(head_at(header, id, state, absent));
    }

    /// The header of a height, if it is decided.
    pub fn header(&self, height: Height) -> Result<Option<Header>, ChainError> {
        if height == 0 {
            return Ok(Some(self.0.genesis_header));
        }
        if let Some(block) = self.recent(height) {
            return Ok(Some(block.header));
        }
        Ok(self.0.log.block(height)?.map(|block| block.header))
    }

    /// The certificate of a height, if it is decided.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, ChainError> {
        if let Some(block) = self.recent(height) {
            return Ok(Some(block.certificate.clone()));
        }
        Ok(self.0.log.certificate(height)?)
    }

    /// What a follower of blocks wants to know of a height, if it is decided.
    pub fn summary(&self, height: Height) -> Result<Option<BlockSummary>, ChainError> {
        if let Some(block) = self.recent(height) {
            let transactions = block.transactions.clone();
            let round = block.certificate.round;
            return Ok(Some(BlockSummary { header: block.header, round, transactions }));
        }
        let Some(block) = self.0.log.block(height)? else { return Ok(None) };
        let round = self.0.log.certificate(height)?.map_or(0, |certificate| certificate.round);
        let transactions = block
            .batches
            .iter()
            .flat_map(|batch| &batch.body.transactions)
            .map(weft_types::transaction::id_of)
            .collect();
        Ok(Some(BlockSummary { header: block.header, round, transactions }))
    }

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

    /// What proves slices of a height; `None` until the next height is decided.
    fn spine(&self, height: Height) -> Result<Option<Spine>, ChainError> {
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

    /// What the auction of a height came to, if it is decided.
    pub fn results(&self, height: Height) -> Result<Option<Results>, ChainError> {
        if let Some(block) = self.recent(height) {
            return Ok(Some(block.results.clone()));
        }
        Ok(self.0.view.results(height)?)
    }

    /// What an account has put up to back its bids.
    pub fn collateral(&self, account: &Address) -> Result<Wei, ChainError> {
        Ok(match self.0.view.entry(&Key::Collateral(*account))? {
            Some(Value::Wei(locked)) => locked,
            _ => 0,
        })
    }

    /// Collateral of an account that is on its way back, by when it is there.
    pub fn releases(&self, account: &Address) -> Result<BTreeMap<TimeMs, Wei>, ChainError> {
        let first = Key::Release(Release { at_ms: 0, account: Address::ZERO });
        let of_account = |(key, value)| match (key, value) {
            (Key::Release(release), Value::Wei(amount)) if release.account == *account => {
                Some((release.at_ms, amount))
            }
            _ => None,
        };
        Ok(self.0.view.like(&first)?.into_iter().filter_map(of_account).collect())
    }

    /// An account's balance.
    pub fn balance(&self, account: &Address) -> Result<Wei, ChainError> {
        Ok(match self.0.view.entry(&Key::Account(*account))? {
            Some(Value::Wei(balance)) => balance,
            _ => 0,
        })
    }

    /// A namespace.
    pub fn namespace(&self, id: NamespaceId) -> Result<Option<weft_ledger::Namespace>, ChainError> {
        Ok(match self.0.view.entry(&Key::Namespace(id))? {
            Some(Value::Namespace(namespace)) => Some(*namespace),
            _ => None,
        })
    }

    /// Every namespace.
    pub fn namespaces(&self) -> Result<BTreeMap<NamespaceId, weft_ledger::Namespace>, ChainError> {
        let entries = self.0.view.like(&Key::Namespace(NamespaceId(0)))?;
        let namespace = |(key, value)| match (key, value) {
            (Key::Namespace(id), Value::Namespace(namespace)) => Some((id, *namespace)),
            _ => None,
        };
        Ok(entries.into_iter().filter_map(namespace).collect())
    }

    /// Every stake that counts.
    pub fn stakes(&self) -> Result<BTreeMap<Address, Wei>, ChainError> {
        let entries = self.0.view.like(&Key::Stake(Address::ZERO))?;
        let stake = |(key, value)| match (key, value) {
            (Key::Stake(validator), Value::Wei(stake)) => Some((validator, stake)),
            _ => None,
        };
        Ok(entries.into_iter().filter_map(stake).collect())
    }

    /// The committee of the next epoch.
    pub fn next_committee(&self) -> Result<Committee, ChainError> {
        match self.0.view.entry(&Key::NextCommittee)? {
            Some(Value::Committee(committee)) => Ok(*committee),
            _ => Err(ChainError::Mismatch(self.head().header.height)),
        }
    }

    /// What there is for relayers.
    pub fn relay(&self) -> Result<weft_ledger::Relay, ChainError> {
        Ok(match self.0.view.entry(&Key::Relay)? {
            Some(Value::Relay(relay)) => relay,
            _ => weft_ledger::Relay::default(),
        })
    }

    /// A withdrawal, proven against the withdrawals root of the header of a height. `None` if it is
    /// not in that.
    pub fn withdrawal(
        &self,
        index: u64,
        height: Height,
    ) -> Result<Option<ProvenWithdrawal>, ChainError> {
        let Some(before) = height.checked_sub(1) else { return Ok(None) };
        let (Some(header), Some(proven)) =
            (self.header(height)?, self.0.view.withdrawal(index, before)?)
        else {
            return Ok(None);
        };
        if proven.root() != Some(header.parent_outcome.withdrawals_root) {
            return Err(ChainError::Mismatch(height));
        }
        Ok(Some(proven))
    }

    /// What became of a transaction, if it has been ordered.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionRecord>, ChainError> {
        Ok(self.0.view.transaction(id)?)
    }

    fn recent(&self, height: Height) -> Option<Arc<RecentBlock>> {
        let recent = self.0.recent.read().unwrap_or_else(PoisonError::into_inner);
        let first = recent.front()?.header.height;
        let index = usize::try_from(height.checked_sub(first)?).ok()?;
        recent.get(index).cloned()
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
    fn entries_in(
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

/// What the head says of a tip.
pub fn head_of(tip: &Tip, absent: Vec<Address>) -> Head {
    head_at(tip.header, tip.id, &tip.state, absent)
}

fn head_at(header: Header, id: BlockId, state: &State, absent: Vec<Address>) -> Head {
    let lots = state.lots(header.height + 1).collect();
    let price = state.global_price(header.time_ms);
    Head { header, id, absent: Arc::new(absent), price, lots: Arc::new(lots) }
}

/// The leg for a namespace: its place and its items.
fn leg_of(legs: &[Leg], namespace: NamespaceId) -> Option<(LegPlace, Vec<Bytes>)> {
    let at = legs.iter().position(|leg| leg.namespace == namespace)?;
    Some((Legs::of(legs).places().nth(at)?, legs.get(at)?.data.clone()))
}

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

fn borsh_of(entry: &SliceEntry) -> Vec<u8> {
    borsh::to_vec(entry).expect("borsh into a Vec fails only on lengths above u32::MAX")
}

fn saturate(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
