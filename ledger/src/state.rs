//! The state: typed entries, the sum over them, and what a block touched.

use std::collections::BTreeMap;

use borsh::BorshSerialize;
use weft_types::merkle::{Keccak, Peaks};
use weft_types::{
    Address, B256, Committee, Genesis, L1Contracts, NamespaceId, Params, TimeMs, Wei, Withdrawal,
    genesis::GenesisError,
};

use crate::entry::{
    Clock, GlobalPrice, Key, LaneCut, Namespace, Relay, Release, Remembered, ValidatorRecord, Value,
};
use crate::fee::Price;
use crate::lattice::Lattice;
use crate::undecided::Standing;

/// An entry's new content, or `None` if it is gone.
pub type Change = (Key, Option<Value>);

/// The ledger at some height.
#[derive(Clone)]
pub struct State {
    params: Params,
    chain_id: u64,
    l1: Option<L1Contracts>,
    entries: BTreeMap<Key, Value>,
    lattice: Lattice,
    /// Entries written since the last [`State::settle`], with their content before.
    touched: BTreeMap<Key, Option<Value>>,
}

/// Why a snapshot is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// It lacks an entry that every state has, or one has the wrong type.
    Incomplete(Key),
    /// It has two entries of one key.
    Repeated(Key),
    /// Its commitment is another.
    Root {
        /// What the entries come to.
        actual: B256,
        /// What they should.
        expected: B256,
    },
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Repeated(key) => write!(f, "entry {key:?} stands twice"),
            Self::Incomplete(key) => write!(f, "entry {key:?} is missing or malformed"),
            Self::Root { actual, expected } => {
                write!(f, "entries come to ledger root {actual}, expected {expected}")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}

impl State {
    /// The state that a genesis stands for.
    pub fn genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        let committee = genesis.check()?;
        let mut state = Self::empty(genesis);
        let price = GlobalPrice { base_fee: state.params.min_base_fee, at_ms: genesis.time_ms };
        state.put(
            Key::Clock,
            Value::Clock(Clock {
                height: 0,
                time_ms: genesis.time_ms,
                non_empty_blocks: 0,
                l1_origin: genesis.l1_origin,
            }),
        );
        state.put(Key::GlobalPrice, Value::GlobalPrice(price));
        state.put(Key::Burned, Value::Wei(0));
        for member in committee.members() {
            state.set_validator(member.address, ValidatorRecord::default());
        }
        for stake in &genesis.stakes {
            state.set_stake(stake.validator, stake.stake);
        }
        let next = state.committee_by_stake().unwrap_or_else(|| committee.clone());
        state.put(Key::Committee, Value::Committee(Box::new(committee)));
        state.put(Key::NextCommittee, Value::Committee(Box::new(next)));
        state.put(Key::Withdrawals, Value::Withdrawals(Box::default()));
        let relay = Relay { pool: 0, paid_at: genesis.l1_origin.number };
        state.put(Key::Relay, Value::Relay(relay));
        for account in &genesis.accounts {
            state.set_balance(account.address, account.balance);
        }
        for n in &genesis.namespaces {
            let namespace = Namespace {
                tokens: n.settings.quota.map_or(0, |quota| quota.burst_bytes),
                tokens_at_ms: genesis.time_ms,
                settings: n.settings.clone(),
                price,
                reserve: 0,
                reserve_at: 0,
                earned: 0,
                held_by: None,
                standing: Standing::default(),
            };
            state.set_namespace(n.namespace, namespace);
        }
        state.settle();
        Ok(state)
    }

    /// The state that a snapshot of all its entries stands for, if it has the given root.
    pub fn from_snapshot(
        genesis: &Genesis,
        entries: impl IntoIterator<Item = (Key, Value)>,
        ledger_root: B256,
    ) -> Result<Self, SnapshotError> {
        let mut state = Self::empty(genesis);
        for (key, value) in entries {
            if state.entries.contains_key(&key) {
                return Err(SnapshotError::Repeated(key));
            }
            state.put(key, value);
        }
        state.settle();
        let actual = state.ledger_root();
        if actual != ledger_root {
            return Err(SnapshotError::Root { actual, expected: ledger_root });
        }
        let has = |key, fine: fn(&Value) -> bool| {
            let found = state.entries.get(&key).is_some_and(fine);
            if found { Ok(()) } else { Err(SnapshotError::Incomplete(key)) }
        };
        has(Key::Clock, |v| matches!(v, Value::Clock(_)))?;
        has(Key::GlobalPrice, |v| matches!(v, Value::GlobalPrice(_)))?;
        has(Key::Burned, |v| matches!(v, Value::Wei(_)))?;
        has(Key::Committee, |v| matches!(v, Value::Committee(_)))?;
        has(Key::NextCommittee, |v| matches!(v, Value::Committee(_)))?;
        has(Key::Withdrawals, |v| matches!(v, Value::Withdrawals(_)))?;
        has(Key::Relay, |v| matches!(v, Value::Relay(_)))?;
        Ok(state)
    }

    fn empty(genesis: &Genesis) -> Self {
        Self {
            params: genesis.params,
            chain_id: genesis.chain_id,
            l1: genesis.l1,
            entries: BTreeMap::new(),
            lattice: Lattice::empty(),
            touched: BTreeMap::new(),
        }
    }

    /// The network's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The network's number.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The network's contracts on L1, if it knows one.
    pub fn l1(&self) -> Option<&L1Contracts> {
        self.l1.as_ref()
    }

    /// The commitment to every entry.
    pub fn ledger_root(&self) -> B256 {
        self.lattice.root()
    }

    /// Every entry, in order of key: a snapshot.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.iter()
    }

    /// Where the chain is.
    pub fn clock(&self) -> Clock {
        match self.entries.get(&Key::Clock) {
            Some(Value::Clock(clock)) => *clock,
            _ => Clock::default(),
        }
    }

    /// The committee that decides the next height.
    pub fn committee(&self) -> &Committee {
        self.committee_at(&Key::Committee)
    }

    /// The committee of the next epoch.
    pub fn next_committee(&self) -> &Committee {
        self.committee_at(&Key::NextCommittee)
    }

    fn committee_at(&self, key: &Key) -> &Committee {
        match self.entries.get(key) {
            Some(Value::Committee(committee)) => committee,
            _ => unreachable!("genesis and every snapshot have both committees"),
        }
    }

    /// All withdrawals so far.
    pub fn withdrawals(&self) -> &Peaks<Keccak> {
        match self.entries.get(&Key::Withdrawals) {
            Some(Value::Withdrawals(tree)) => tree,
            _ => unreachable!("genesis and every snapshot have withdrawals"),
        }
    }

    /// What is there for relayers.
    pub fn relay(&self) -> Relay {
        match self.entries.get(&Key::Relay) {
            Some(Value::Relay(relay)) => *relay,
            _ => Relay::default(),
        }
    }

    /// Every validator's stake that counts, ascending by address.
    pub fn stakes(&self) -> impl Iterator<Item = (Address, Wei)> {
        let range = Key::Stake(Address::ZERO)..=Key::Stake(Address::repeat_byte(0xff));
        self.entries.range(range).filter_map(|entry| match entry {
            (Key::Stake(validator), Value::Wei(stake)) => Some((*validator, *stake)),
            _ => None,
        })
    }

    /// An account's balance in wei.
    pub fn balance(&self, account: &Address) -> Wei {
        self.wei(&Key::Account(*account))
    }

    /// What an account has put up to back its bids, in wei.
    pub fn collateral(&self, account: &Address) -> Wei {
        self.wei(&Key::Collateral(*account))
    }

    /// Collateral on its way back to balances, by when it is there.
    pub fn releases(&self) -> impl Iterator<Item = (Release, Wei)> {
        let all = Key::Release(Release::FIRST)..=Key::Release(Release::LAST);
        self.entries.range(all).filter_map(|entry| match entry {
            (Key::Release(release), Value::Wei(amount)) => Some((*release, *amount)),
            _ => None,
        })
    }

    /// All wei ever burned.
    pub fn burned(&self) -> Wei {
        self.wei(&Key::Burned)
    }

    /// A namespace, if it is registered.
    pub fn namespace(&self, id: NamespaceId) -> Option<&Namespace> {
        match self.entries.get(&Key::Namespace(id)) {
            Some(Value::Namespace(namespace)) => Some(namespace),
            _ => None,
        }
    }

    /// Every namespace, ascending.
    pub fn namespaces(&self) -> impl Iterator<Item = (NamespaceId, &Namespace)> {
        let range = Key::Namespace(NamespaceId(0))..=Key::Namespace(NamespaceId(u64::MAX));
        self.entries.range(range).filter_map(|entry| match entry {
            (Key::Namespace(id), Value::Namespace(namespace)) => Some((*id, &**namespace)),
            _ => None,
        })
    }

    /// What the ledger keeps of a validator.
    pub fn validator(&self, address: &Address) -> ValidatorRecord {
        match self.entries.get(&Key::Validator(*address)) {
            Some(Value::Validator(record)) => *record,
            _ => ValidatorRecord::default(),
        }
    }

    /// Up to where an author's open lane has been ordered.
    pub fn lane(&self, author: &Address) -> LaneCut {
        match self.entries.get(&Key::Lane(*author)) {
            Some(Value::Lane(cut)) => **cut,
            _ => LaneCut::default(),
        }
    }

    /// The height that ordered a transaction, while it is remembered.
    pub fn remembered(&self, key: &Remembered) -> Option<weft_types::Height> {
        match self.entries.get(&Key::Remembered(*key)) {
            Some(Value::Height(height)) => Some(*height),
            _ => None,
        }
    }

    /// Wei per byte that a block at `now` charges every transaction.
    pub fn global_price(&self, now: TimeMs) -> Wei {
        self.global_price_rule().at(&self.global_price_entry(), now)
    }

    /// Wei per byte that a block at `now` charges a submission to the namespace on top.
    pub fn namespace_price(&self, namespace: &Namespace, now: TimeMs) -> Wei {
        self.namespace_price_rule().at(&namespace.price, now)
    }

    pub(crate) fn global_price_rule(&self) -> Price {
        Price { floor: self.params.min_base_fee, target: self.params.target_bytes_per_second }
    }

    pub(crate) fn namespace_price_rule(&self) -> Price {
        Price {
            floor: self.params.min_base_fee,
            target: self.params.namespace_target_bytes_per_second,
        }
    }

    pub(crate) fn global_price_entry(&self) -> GlobalPrice {
        match self.entries.get(&Key::GlobalPrice) {
            Some(Value::GlobalPrice(price)) => *price,
            _ => GlobalPrice { base_fee: self.params.min_base_fee, at_ms: 0 },
        }
    }

    pub(crate) fn set_balance(&mut self, account: Address, balance: Wei) {
        let key = Key::Account(account);
        // An account without wei is no entry: it costs nothing to have existed.
        if balance == 0 { self.remove(key) } else { self.put(key, Value::Wei(balance)) }
    }

    pub(crate) fn set_collateral(&mut self, account: Address, amount: Wei) {
        let key = Key::Collateral(account);
        if amount == 0 { self.remove(key) } else { self.put(key, Value::Wei(amount)) }
    }

    /// Pays out collateral that is back by `now`.
    pub(crate) fn pay_releases(&mut self, now: TimeMs) {
        let due: Vec<(Release, Wei)> =
            self.releases().take_while(|(release, _)| release.at_ms <= now).collect();
        for (release, amount) in due {
            self.remove(Key::Release(release));
            self.credit(release.account, amount);
        }
    }

    /// Adds to an account. A balance that would overflow stays, and what does not fit is burned.
    pub(crate) fn credit(&mut self, to: Address, amount: Wei) {
        let balance = self.balance(&to);
        let after = balance.saturating_add(amount);
        self.set_balance(to, after);
        self.burn(amount.saturating_sub(after.saturating_sub(balance)));
    }

    pub(crate) fn set_namespace(&mut self, id: NamespaceId, namespace: Namespace) {
        self.put(Key::Namespace(id), Value::Namespace(Box::new(namespace)));
    }

    pub(crate) fn set_validator(&mut self, address: Address, record: ValidatorRecord) {
        self.put(Key::Validator(address), Value::Validator(record));
    }

    pub(crate) fn set_stake(&mut self, validator: Address, stake: Wei) {
        let key = Key::Stake(validator);
        if stake == 0 { self.remove(key) } else { self.put(key, Value::Wei(stake)) }
    }

    pub(crate) fn add_withdrawal(&mut self, to: Address, amount: Wei) {
        let mut tree = self.withdrawals().clone();
        let index = tree.count();
        tree.push(Withdrawal { index, to, amount }.leaf());
        self.put(Key::Withdrawals, Value::Withdrawals(Box::new(tree)));
    }

    /// Burns wei that already left its account.
    pub(crate) fn burn(&mut self, amount: Wei) {
        if amount > 0 {
            self.put(Key::Burned, Value::Wei(self.burned().saturating_add(amount)));
        }
    }

    /// Forgets transactions whose validity ended before `now`.
    pub(crate) fn forget_before(&mut self, now: TimeMs) {
        let from = Remembered { valid_until: 0, id: weft_types::TransactionId::ZERO };
        let to = Remembered { valid_until: now, id: weft_types::TransactionId::ZERO };
        let range = Key::Remembered(from)..Key::Remembered(to);
        let expired: Vec<Key> = self.entries.range(range).map(|(key, _)| *key).collect();
        for key in expired {
            self.remove(key);
        }
    }

    pub(crate) fn put(&mut self, key: Key, value: Value) {
        let before = self.entries.insert(key, value);
        self.touched.entry(key).or_insert(before);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.entries.get(key)
    }

    pub(crate) fn range(
        &self,
        keys: std::ops::RangeInclusive<Key>,
    ) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.range(keys)
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let before = self.entries.remove(&key);
        self.touched.entry(key).or_insert(before);
    }

    pub(crate) fn wei(&self, key: &Key) -> Wei {
        match self.entries.get(key) {
            Some(Value::Wei(wei)) => *wei,
            _ => 0,
        }
    }

    /// Brings the commitment up to date and returns what changed since the last time.
    pub(crate) fn settle(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, before) in std::mem::take(&mut self.touched) {
            let after = self.entries.get(&key);
            if before.as_ref() == after {
                continue;
            }
            if let Some(before) = &before {
                self.lattice.remove(&element(&key, before));
            }
            if let Some(after) = after {
                self.lattice.add(&element(&key, after));
            }
            changes.push((key, after.cloned()));
        }
        changes
    }
}

/// What enters the lattice for an entry: both borsh, the key self-delimiting.
fn element(key: &Key, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let written = key.serialize(&mut bytes).and_then(|()| value.serialize(&mut bytes));
    written.expect("borsh into a Vec fails only on lengths above u32::MAX");
    bytes
}
