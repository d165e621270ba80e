//! The decided chain, as the API and others read it.
//!
//! | file | what |
//! |---|---|
//! | `bundles` | bundles: their legs, where those stand, what was decided |
//! | `slices` | slices and their proofs |
//! | `changes` | what the view takes in of a block |

mod bundles;
mod changes;
mod slices;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use weft_consensus::{Delivery, Tip};
use weft_ledger::{Applied, Key, Release, State, Value};
use weft_types::genesis::GenesisError;
use weft_types::slice::SliceLeaf;
use weft_types::{
    Address, BlockId, Certificate, Committee, Genesis, Header, Height, NamespaceId,
    ProvenWithdrawal, Results, Slice, TimeMs, TransactionId, Wei,
};

use crate::store::committees::Committees;
use crate::store::view::{TransactionRecord, View, ViewError};
use crate::store::{Log, LogError};
pub use bundles::{BundleRecord, Execution};
pub use changes::{changes_of, ids_of};

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

fn saturate(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
