//! The state during one block: what was looked up, what has changed.
//!
//! With [`Leaves::Visited`](super::spec::Leaves) the state trie has a leaf for whatever execution
//! looks up, so what counts as looked up is part of the rules (`spec/evm-rollup.md`, section on the
//! state root):
//!
//! - an account, when it is loaded;
//! - a slot, when it is loaded, unless the account was created by execution: then when it was
//!   loaded by a transaction that changed the account.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use alloy_primitives::{Address, B256, U256};
use alloy_trie::KECCAK_EMPTY;
use borsh::{BorshDeserialize, BorshSerialize};
use revm::bytecode::Bytecode;
use revm::primitives::AddressMap;
use revm::state::{Account, AccountInfo};
use revm::{Database, DatabaseCommit};

/// How an account came to be as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Life {
    /// By the genesis, by receiving something, or not at all.
    #[default]
    Plain,
    /// Created as a contract by execution.
    Created,
    /// Created and destroyed in one transaction, and untouched since.
    Destroyed,
}

/// The state before a block.
pub trait State {
    /// Why it cannot be read.
    type Error: revm::database_interface::DBErrorMarker + std::error::Error + Send + Sync + 'static;

    /// An account, without its code; `None` if there is none.
    fn account(&self, address: &Address) -> Result<Option<(AccountInfo, Life)>, Self::Error>;

    /// A slot; `None` if it has no leaf.
    fn slot(&self, address: &Address, slot: &B256) -> Result<Option<B256>, Self::Error>;

    /// Code by its hash, which is not that of no code.
    fn code(&self, hash: &B256) -> Result<Bytecode, Self::Error>;

    /// Hash of a block before this one.
    fn block_hash(&self, number: u64) -> Result<B256, Self::Error>;
}

/// An account that was looked up.
#[derive(Clone, Debug, Default)]
pub struct VisitedAccount {
    /// As it is now.
    pub info: AccountInfo,
    /// How it came to be so.
    pub life: Life,
    /// Whether all its storage from before the block is gone.
    pub wiped: bool,
    /// Slots that were looked up or changed.
    pub storage: BTreeMap<U256, U256>,
}

/// Everything that a block looked up and changed, in order of address.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Accounts.
    pub accounts: BTreeMap<Address, VisitedAccount>,
    /// Code that was deployed.
    pub code: BTreeMap<B256, Bytecode>,
}

/// A state before a block, and what the block has made of it so far.
#[derive(Debug)]
pub struct Visited<S> {
    before: S,
    changes: Changes,
}

impl<S: State> Visited<S> {
    /// Nothing looked up yet.
    pub fn new(before: S) -> Self {
        Self { before, changes: Changes::default() }
    }

    /// What was looked up and changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    fn load(&mut self, address: Address) -> Result<&mut VisitedAccount, S::Error> {
        match self.changes.accounts.entry(address) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let (info, life) = self.before.account(&address)?.unwrap_or_default();
                Ok(entry.insert(VisitedAccount { info, life, ..VisitedAccount::default() }))
            }
        }
    }
}

impl<S: State> Database for Visited<S> {
    type Error = S::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, S::Error> {
        let account = self.load(address)?;
        Ok((account.life != Life::Destroyed).then(|| account.info.clone()))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, S::Error> {
        if hash == KECCAK_EMPTY || hash.is_zero() {
            return Ok(Bytecode::default());
        }
        match self.changes.code.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.before.code(&hash),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, S::Error> {
        let account = self.load(address)?;
        if let Some(value) = account.storage.get(&slot) {
            return Ok(*value);
        }
        let (life, wiped) = (account.life, account.wiped);
        let before = if wiped { None } else { self.before.slot(&address, &B256::from(slot))? };
        let value = before.map_or(U256::ZERO, |value| U256::from_be_bytes(value.0));
        if before.is_some() || life == Life::Plain {
            self.load(address)?.storage.insert(slot, value);
        }
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, S::Error> {
        self.before.block_hash(number)
    }
}

impl<S: State> DatabaseCommit for Visited<S> {
    fn commit(&mut self, changes: AddressMap<Account>) {
        for (address, mut account) in changes {
            if !account.is_touched() {
                continue;
            }
            let visited = self.changes.accounts.entry(address).or_default();
            if account.is_selfdestructed() {
                *visited = VisitedAccount {
                    life: Life::Destroyed,
                    wiped: true,
                    ..VisitedAccount::default()
                };
                continue;
            }
            if account.is_created() {
                visited.storage.clear();
                visited.wiped = true;
                visited.life = Life::Created;
            } else if visited.life == Life::Destroyed {
                visited.life = Life::Plain;
            }
            if let Some(code) = account.info.code.take()
                && !code.is_empty()
            {
                self.changes.code.insert(account.info.code_hash, code);
            }
            visited.info = account.info;
            let slots = account.storage.into_iter();
            visited.storage.extend(slots.map(|(slot, value)| (slot, value.present_value())));
        }
    }
}
