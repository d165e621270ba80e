//! A chain to write examples on: four validators of one seat each, Alice, Bob and Carol, and
//! Alice's namespace 7.
//!
//! Prices stay at the floor unless an example lowers the targets; a block is a second after its
//! parent and embeds everybody unless an example says otherwise.

use std::collections::BTreeMap;

use weft_ledger::{Applied, Key, LaneCut, OrderedBatch, OrderedBlock, State, Value};
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::{
    Address, Batch, BatchBody, Bytes, Genesis, L1Event, L1Events, L1Origin, LaneId, Member,
    NamespaceId, NamespaceSettings, Params, Payload, Quota, Receipt, ReceiptStatus, SecretKey,
    Signed, SkipReason, Submitters, Transaction, TransactionBody, Unverified, Verified, Wei,
};

pub(crate) const CHAIN_ID: u64 = 9;
/// The least price, in wei per byte.
pub(crate) const FLOOR: Wei = 1_000;
/// What Alice, Bob and Carol start with, each.
pub(crate) const ENDOWMENT: Wei = 1_000_000_000;
pub(crate) const REGISTRATION_FEE: Wei = 50_000_000;
pub(crate) const SEVEN: NamespaceId = NamespaceId(7);

/// A block's batches: each author's index, and what it carries.
pub(crate) type Batches<'a> = &'a [(usize, &'a [&'a Transaction])];

pub(crate) fn alice() -> SecretKey {
    SecretKey::from_bytes([0xa1; 32]).unwrap()
}

pub(crate) fn bob() -> SecretKey {
    SecretKey::from_bytes([0xb0; 32]).unwrap()
}

pub(crate) fn carol() -> SecretKey {
    SecretKey::from_bytes([0xca; 32]).unwrap()
}

/// Somebody without a wei.
pub(crate) fn pauper() -> SecretKey {
    SecretKey::from_bytes([0xee; 32]).unwrap()
}

/// The validators' keys in order of committee.
fn validators() -> Vec<SecretKey> {
    let mut keys: Vec<_> = (1..=4).map(|i| SecretKey::from_bytes([i; 32]).unwrap()).collect();
    keys.sort_by_key(SecretKey::address);
    keys
}

pub(crate) fn validator(index: usize) -> Address {
    validators()[index].address()
}

/// A namespace of Alice's that everybody may submit to.
pub(crate) fn open() -> NamespaceSettings {
    NamespaceSettings {
        owner: alice().address(),
        revenue_recipient: alice().address(),
        submitters: Submitters::Anyone,
        quota: None,
        auction: None,
        atomic: None,
    }
}

pub(crate) fn with_quota(bytes_per_second: u64, burst_bytes: u64) -> NamespaceSettings {
    NamespaceSettings { quota: Some(Quota { bytes_per_second, burst_bytes }), ..open() }
}

/// A submission that makes its transaction so many bytes large.
pub(crate) fn submit(namespace: NamespaceId, bytes: usize) -> Payload {
    Payload::Submit { namespace, data: vec![Bytes::from(vec![0x5a; bytes - 122])] }
}

pub(crate) fn transfer(to: &SecretKey, amount: Wei) -> Payload {
    Payload::Transfer { to: to.address(), amount }
}

pub(crate) fn register(id: u64, settings: NamespaceSettings) -> Payload {
    Payload::RegisterNamespace { namespace: NamespaceId(id), settings }
}

pub(crate) fn update(namespace: NamespaceId, settings: NamespaceSettings) -> Payload {
    Payload::UpdateNamespace { namespace, settings }
}

pub(crate) fn bytes(transaction: &Transaction) -> Wei {
    borsh::to_vec(transaction).unwrap().len() as Wei
}

/// What its inclusion costs at the floor price.
pub(crate) fn inclusion(transaction: &Transaction) -> Wei {
    bytes(transaction) * FLOOR
}

pub(crate) fn executed(fee: Wei) -> Option<Receipt> {
    Some(Receipt { status: ReceiptStatus::Executed, fee })
}

pub(crate) fn skipped(reason: SkipReason, fee: Wei) -> Option<Receipt> {
    Some(Receipt { status: ReceiptStatus::Skipped(reason), fee })
}

pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) state: State,
    /// How long after its parent the next block is, and whom it embeds.
    gap_ms: u64,
    observers: Vec<usize>,
    salt: u64,
    lanes: BTreeMap<usize, LaneCut>,
    /// What the L1 blocks bring that the next block passes.
    events: Vec<L1Events>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A chain with a genesis that differs somewhat.
    pub(crate) fn with(change: impl FnOnce(&mut Genesis)) -> Self {
        let mut accounts: Vec<Allocation> = [alice(), bob(), carol()]
            .map(|key| Allocation { address: key.address(), balance: ENDOWMENT })
            .to_vec();
        accounts.sort_by_key(|account| account.address);
        let mut genesis = Genesis {
            chain_id: CHAIN_ID,
            time_ms: 1_700_000_000_000,
            l1_origin: L1Origin::default(),
            l1: None,
            params: Params {
                max_validity_ms: 120_000,
                absence_window: 3,
                min_base_fee: FLOOR,
                target_bytes_per_second: u64::MAX,
                namespace_target_bytes_per_second: u64::MAX,
                registration_fee: REGISTRATION_FEE,
                relay_reward: 0,
                epoch_ms: u64::MAX,
                ..Params::default()
            },
            validators: (0..4).map(|i| Member { address: validator(i), seats: 1 }).collect(),
            stakes: Vec::new(),
            accounts,
            namespaces: vec![GenesisNamespace { namespace: SEVEN, settings: open() }],
        };
        change(&mut genesis);
        Self {
            state: State::genesis(&genesis).unwrap(),
            genesis,
            gap_ms: 1_000,
            observers: vec![0, 1, 2, 3],
            salt: 0,
            lanes: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Sets how long after its parent the next block is.
    pub(crate) fn after_ms(&mut self, gap_ms: u64) -> &mut Self {
        self.gap_ms = gap_ms;
        self
    }

    /// Sets whom the next block embeds.
    pub(crate) fn seen_by(&mut self, observers: &[usize]) -> &mut Self {
        self.observers = observers.to_vec();
        self
    }

    /// Has the next block pass one more L1 block.
    pub(crate) fn passing(&mut self, events: &[L1Event]) -> &mut Self {
        self.events.push(L1Events(events.to_vec()));
        self
    }

    /// The time of the next block.
    pub(crate) fn next_ms(&self) -> u64 {
        self.state.clock().time_ms + self.gap_ms
    }

    /// A transaction that may be ordered in the next hundred seconds and pays whatever it takes.
    pub(crate) fn sign(&mut self, key: &SecretKey, payload: Payload) -> Transaction {
        self.sign_with(key, payload, |_| {})
    }

    pub(crate) fn sign_with(
        &mut self,
        key: &SecretKey,
        payload: Payload,
        change: impl FnOnce(&mut TransactionBody),
    ) -> Transaction {
        self.salt += 1;
        let mut body = TransactionBody {
            chain_id: CHAIN_ID,
            valid_until: self.next_ms() + 100_000,
            salt: self.salt,
            max_fee: Wei::MAX,
            payload,
        };
        change(&mut body);
        Signed::new(body, CHAIN_ID, key)
    }

    /// Applies the next block.
    pub(crate) fn block(&mut self, batches: Batches<'_>) -> Applied {
        let batches: Vec<(usize, Verified<Batch>)> = (batches.iter())
            .map(|(author, transactions)| (*author, self.seal(*author, transactions)))
            .collect();
        let clock = self.state.clock();
        let block = OrderedBlock {
            height: clock.height + 1,
            time_ms: self.next_ms(),
            l1_origin: L1Origin {
                number: clock.l1_origin.number + self.events.len() as u64,
                ..clock.l1_origin
            },
            events: self.events.iter().collect(),
            observers: self.observers.iter().copied().map(validator).collect(),
            batches: (batches.iter())
                .map(|(author, batch)| OrderedBatch { author: validator(*author), batch })
                .collect(),
            cuts: (batches.iter())
                .map(|(author, _)| (validator(*author), self.lanes[author]))
                .collect(),
        };
        let applied = self.state.apply(&block);
        (self.gap_ms, self.observers) = (1_000, vec![0, 1, 2, 3]);
        self.events.clear();
        applied
    }

    /// Applies a block in which the first validator orders these. Returns the receipts.
    pub(crate) fn order(&mut self, transactions: &[&Transaction]) -> Vec<Option<Receipt>> {
        self.block(&[(0, transactions)]).receipts.remove(0)
    }

    /// Applies a block in which the first validator orders something alone.
    pub(crate) fn order_one(&mut self, key: &SecretKey, payload: Payload) -> Option<Receipt> {
        let transaction = self.sign(key, payload);
        self.order(&[&transaction])[0]
    }

    fn seal(&mut self, author: usize, transactions: &[&Transaction]) -> Verified<Batch> {
        let key = &validators()[author];
        let lane = self.lanes.entry(author).or_default();
        let body = BatchBody {
            lane: LaneId { author: key.address(), incarnation: 0 },
            seq: lane.seq + 1,
            parent: lane.digest,
            transactions: transactions.iter().map(|&transaction| transaction.clone()).collect(),
        };
        (lane.seq, lane.digest) = (body.seq, body.digest());
        Unverified::new(Signed::new(body, CHAIN_ID, key)).verify(CHAIN_ID).unwrap()
    }

    pub(crate) fn balance(&self, key: &SecretKey) -> Wei {
        self.state.balance(&key.address())
    }

    /// What a validator was paid so far: it started with nothing.
    pub(crate) fn earned(&self, validator_index: usize) -> Wei {
        self.state.balance(&validator(validator_index))
    }

    pub(crate) fn debt(&self, validator_index: usize) -> Wei {
        self.state.validator(&validator(validator_index)).debt
    }

    pub(crate) fn price(&self) -> Wei {
        self.state.global_price(self.next_ms())
    }

    pub(crate) fn price_of(&self, namespace: NamespaceId) -> Wei {
        self.state.namespace_price(self.state.namespace(namespace).unwrap(), self.next_ms())
    }

    pub(crate) fn entries(&self) -> Vec<(Key, Value)> {
        self.state.entries().map(|(key, value)| (*key, value.clone())).collect()
    }
}
