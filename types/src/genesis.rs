//! Genesis: what a network starts from, and the parameters it chose (protocol sections 2 and 5).

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::block::{batches_root, events_root, observations_root};
use crate::committee::{Committee, CommitteeError, Member};
use crate::hash::{BlockId, keccak256, tag};
use crate::header::{Header, L1Origin, Outcome, PROTOCOL_VERSION};
use crate::l1::L1Contracts;
use crate::limits::{
    MAX_BATCH_BYTES, MAX_BATCHES_BYTES, MAX_COMMITTEE, MAX_HOLD_HEIGHTS, MAX_HOLD_MS,
};
use crate::namespace::{NamespaceId, NamespaceSettings, SettingsError};
use crate::transaction::encode;
use crate::{TimeMs, Wei};

/// What a network starts from. Two nodes with different genesis files are on different networks:
/// the genesis block's id commits to all of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The network's number, in every signed message.
    #[serde(with = "crate::json::decimal")]
    pub chain_id: u64,
    /// Block time of the genesis block.
    #[serde(with = "crate::json::decimal")]
    pub time_ms: TimeMs,
    /// The L1 block as of which the genesis was written: the one after it is the first that is
    /// taken in.
    pub l1_origin: L1Origin,
    /// The contracts on L1; without them the network knows no L1, and stakes are those of the genesis.
    pub l1: Option<L1Contracts>,
    /// What the network chose.
    pub params: Params,
    /// The committee of the first epoch, ascending by address.
    pub validators: Vec<Member>,
    /// Stakes that count as of the L1 origin, ascending by address: they give the second epoch its
    /// committee. Without any, the first stays.
    pub stakes: Vec<Stake>,
    /// Balances to start with, ascending by address.
    pub accounts: Vec<Allocation>,
    /// Namespaces to start with, ascending by id.
    pub namespaces: Vec<GenesisNamespace>,
}

/// A stake to start with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Stake {
    /// The validator.
    pub validator: Address,
    /// How much, in wei, above zero.
    #[serde(with = "crate::json::decimal")]
    pub stake: Wei,
}

/// A balance to start with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Whose.
    pub address: Address,
    /// How much, in wei.
    #[serde(with = "crate::json::decimal")]
    pub balance: Wei,
}

/// A namespace to start with.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisNamespace {
    /// Its id.
    pub namespace: NamespaceId,
    /// Its settings.
    pub settings: NamespaceSettings,
}

/// What a network may choose at its start.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Most bytes of batches in a block: at least one largest batch, at most
    /// [`MAX_BATCHES_BYTES`].
    pub max_block_bytes: u32,
    /// How far ahead of block time a transaction's `valid_until` may lie, in milliseconds.
    #[serde(with = "crate::json::decimal")]
    pub max_validity_ms: u64,
    /// In how many non-empty blocks in a row a validator must be unseen to count as absent.
    #[serde(with = "crate::json::decimal")]
    pub absence_window: u64,
    /// Least base fee, global and per namespace, in wei per byte.
    #[serde(with = "crate::json::decimal")]
    pub min_base_fee: Wei,
    /// Bytes per second of block time at which the global base fee stays as it is.
    #[serde(with = "crate::json::decimal")]
    pub target_bytes_per_second: u64,
    /// Bytes per second of block time at which a namespace's base fee stays as it is.
    #[serde(with = "crate::json::decimal")]
    pub namespace_target_bytes_per_second: u64,
    /// What registering a namespace costs, in wei.
    #[serde(with = "crate::json::decimal")]
    pub registration_fee: Wei,
    /// How many seats an epoch's committee has, 1 to [`MAX_COMMITTEE`].
    pub committee_size: u16,
    /// How long an epoch is, in milliseconds of block time: a second or more.
    #[serde(with = "crate::json::decimal")]
    pub epoch_ms: u64,
    /// What posting a header on L1 earns, in wei, as far as the relayers' pool has it.
    #[serde(with = "crate::json::decimal")]
    pub relay_reward: Wei,
    /// How many L1 blocks have to lie between two posted headers that earn it.
    #[serde(with = "crate::json::decimal")]
    pub relay_interval: u64,
    /// What a bid costs on top of its bytes, in wei.
    #[serde(with = "crate::json::decimal")]
    pub bid_fee: Wei,
    /// What a bidder pays whose bid its collateral does not cover, in wei.
    #[serde(with = "crate::json::decimal")]
    pub bid_penalty: Wei,
    /// How long released collateral takes to come back, in milliseconds of block time.
    #[serde(with = "crate::json::decimal")]
    pub collateral_delay_ms: u64,
    /// What of a winning bid goes to validators, in parts per ten thousand.
    pub auction_validators: u16,
    /// What of a winning bid is burned, in parts per ten thousand; the rest is for rollups.
    pub auction_burned: u16,
    /// How long an atomic bundle may hold its namespaces, in milliseconds of block time: at most
    /// [`MAX_HOLD_MS`].
    #[serde(with = "crate::json::decimal")]
    pub hold_limit_ms: u64,
    /// For how many heights at most: 4 to [`MAX_HOLD_HEIGHTS`].
    pub hold_heights: u16,
    /// How long a namespace whose executors were silent again and again takes part in no atomic bundle,
    /// the first time, in milliseconds of block time: at most a day.
    #[serde(with = "crate::json::decimal")]
    pub suspension_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            max_block_bytes: 2 * 1024 * 1024,
            max_validity_ms: 120_000,
            absence_window: 12,
            min_base_fee: 1_000_000,
            target_bytes_per_second: 4 * 1024 * 1024,
            namespace_target_bytes_per_second: 2 * 1024 * 1024,
            registration_fee: 1_000_000_000_000_000,
            committee_size: 100,
            epoch_ms: 3_600_000,
            relay_reward: 2_000_000_000_000_000,
            relay_interval: 50,
            bid_fee: 100_000_000_000,
            bid_penalty: 10_000_000_000_000,
            collateral_delay_ms: 60_000,
            auction_validators: 1500,
            auction_burned: 500,
            hold_limit_ms: 3_000,
            hold_heights: 128,
            suspension_ms: 30_000,
        }
    }
}

/// Why a genesis was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// No committee can be made of the validators.
    #[error("validators: {0}")]
    Committee(#[from] CommitteeError),
    /// Accounts or namespaces out of order or repeated.
    #[error("{0} must be strictly ascending")]
    Unsorted(&'static str),
    /// A validator staked with nothing.
    #[error("stakes must be above zero")]
    NoStake,
    /// An L1 origin further than L1 can get.
    #[error("l1_origin.number must be below 2^48")]
    L1Origin,
    /// Bad settings of a namespace.
    #[error("namespace {0}: {1}")]
    Namespace(NamespaceId, SettingsError),
    /// A parameter out of range.
    #[error("params.{0} is out of range: {1}")]
    Param(&'static str, &'static str),
    /// More wei than there can be.
    #[error("balances add up to more than 2^128 - 1 wei")]
    TooMuchWei,
}

impl Genesis {
    /// Checks the genesis and returns its committee.
    pub fn check(&self) -> Result<Committee, GenesisError> {
        let committee = Committee::new(self.validators.clone())?;
        if self.l1_origin.number >> 48 != 0 {
            return Err(GenesisError::L1Origin);
        }
        if !self.stakes.is_sorted_by(|a, b| a.validator < b.validator) {
            return Err(GenesisError::Unsorted("stakes"));
        }
        if self.stakes.iter().any(|stake| stake.stake == 0) {
            return Err(GenesisError::NoStake);
        }
        if !self.accounts.is_sorted_by(|a, b| a.address < b.address) {
            return Err(GenesisError::Unsorted("accounts"));
        }
        if !self.namespaces.is_sorted_by(|a, b| a.namespace < b.namespace) {
            return Err(GenesisError::Unsorted("namespaces"));
        }
        for n in &self.namespaces {
            n.settings.check().map_err(|e| GenesisError::Namespace(n.namespace, e))?;
        }
        let total = self.accounts.iter().try_fold(0 as Wei, |sum, a| sum.checked_add(a.balance));
        total.ok_or(GenesisError::TooMuchWei)?;
        self.params.check()?;
        Ok(committee)
    }

    /// The genesis block's header, whose id names the network. `parent` commits to all of the
    /// genesis: `keccak256( keccak256("weft/genesis/v1") || borsh )`.
    pub fn header(&self, committee: &Committee) -> Header {
        let validators_hash = committee.hash();
        Header {
            version: PROTOCOL_VERSION,
            chain_id: self.chain_id,
            height: 0,
            time_ms: self.time_ms,
            parent: BlockId(keccak256(&[tag("weft/genesis/v1").as_slice(), &encode(self)])),
            proposer: Address::ZERO,
            validators_hash,
            next_validators_hash: validators_hash,
            l1_origin: self.l1_origin,
            observations_root: observations_root(&[]),
            batches_root: batches_root(&[]),
            events_root: events_root(&[]),
            parent_outcome: Outcome { ledger_root: B256::ZERO, ..Outcome::default() },
        }
    }
}

impl Params {
    fn check(&self) -> Result<(), GenesisError> {
        let range = |name, fine: bool, why| {
            if fine { Ok(()) } else { Err(GenesisError::Param(name, why)) }
        };
        let bytes = self.max_block_bytes as usize;
        range(
            "max_block_bytes",
            (MAX_BATCH_BYTES..=MAX_BATCHES_BYTES).contains(&bytes),
            "from one largest batch to 4 MiB",
        )?;
        range(
            "max_validity_ms",
            (1_000..=3_600_000).contains(&self.max_validity_ms),
            "from a second to an hour",
        )?;
        range("absence_window", self.absence_window > 0, "above zero")?;
        range("min_base_fee", self.min_base_fee >= 8, "8 or more, so that an eighth is a step")?;
        range("min_base_fee", self.min_base_fee <= 1 << 64, "at most 2^64")?;
        range("target_bytes_per_second", self.target_bytes_per_second > 0, "above zero")?;
        range(
            "namespace_target_bytes_per_second",
            self.namespace_target_bytes_per_second > 0,
            "above zero",
        )?;
        range(
            "committee_size",
            (1..=MAX_COMMITTEE).contains(&usize::from(self.committee_size)),
            "from one seat to 256",
        )?;
        range("epoch_ms", self.epoch_ms >= 1_000, "a second or more")?;
        range("relay_reward", self.relay_reward <= 1 << 80, "at most 2^80")?;
        range("bid_fee", self.bid_fee <= 1 << 80, "at most 2^80")?;
        range("bid_penalty", self.bid_penalty <= 1 << 80, "at most 2^80")?;
        range("auction_validators", self.auction_validators <= 10_000, "at most 10000")?;
        let left = 10_000u16.saturating_sub(self.auction_validators);
        range("auction_burned", self.auction_burned <= left, "at most what validators leave")?;
        range(
            "hold_limit_ms",
            (1..=MAX_HOLD_MS).contains(&self.hold_limit_ms),
            "from a millisecond to a minute",
        )?;
        range(
            "hold_heights",
            (4..=MAX_HOLD_HEIGHTS).contains(&self.hold_heights),
            "from 4 heights to 1024",
        )?;
        range("suspension_ms", self.suspension_ms <= 86_400_000, "at most a day")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis() -> Genesis {
        Genesis {
            chain_id: 9,
            time_ms: 1,
            l1_origin: L1Origin::default(),
            l1: None,
            params: Params::default(),
            validators: vec![Member { address: Address::with_last_byte(1), seats: 1 }],
            stakes: vec![],
            accounts: vec![],
            namespaces: vec![],
        }
    }

    #[test]
    fn id_commits_to_all_of_it() {
        let id = |g: &Genesis| g.header(&g.check().unwrap()).id();
        let fine = genesis();
        let mut richer = fine.clone();
        richer.accounts.push(Allocation { address: Address::ZERO, balance: 1 });
        let mut faster = fine.clone();
        faster.params.absence_window += 1;
        assert_ne!(id(&fine), id(&richer));
        assert_ne!(id(&fine), id(&faster));
    }

    #[test]
    fn json_comes_back_and_unknown_fields_are_refused() {
        let json = serde_json::to_string(&genesis()).unwrap();
        assert_eq!(serde_json::from_str::<Genesis>(&json).unwrap(), genesis());
        let typo = json.replace("chain_id", "chainid");
        assert!(serde_json::from_str::<Genesis>(&typo).is_err());
        let number = json.replace("\"9\"", "9");
        assert!(serde_json::from_str::<Genesis>(&number).is_err());
    }

    #[test]
    fn check_names_what_is_wrong() {
        let mut g = genesis();
        g.params.max_block_bytes = 1;
        assert!(matches!(g.check(), Err(GenesisError::Param("max_block_bytes", _))));
        let mut g = genesis();
        g.accounts = vec![Allocation { address: Address::ZERO, balance: Wei::MAX }; 2];
        assert_eq!(g.check(), Err(GenesisError::Unsorted("accounts")));
        g.accounts[1].address = Address::with_last_byte(1);
        assert_eq!(g.check(), Err(GenesisError::TooMuchWei));
        let mut g = genesis();
        g.l1_origin.number = 1 << 48;
        assert_eq!(g.check(), Err(GenesisError::L1Origin));
        let mut g = genesis();
        let stake = |stake| Stake { validator: Address::ZERO, stake };
        g.stakes = vec![stake(0)];
        assert_eq!(g.check(), Err(GenesisError::NoStake));
        g.stakes = vec![stake(1); 2];
        assert_eq!(g.check(), Err(GenesisError::Unsorted("stakes")));
        let mut g = genesis();
        g.params.committee_size = 0;
        assert!(matches!(g.check(), Err(GenesisError::Param("committee_size", _))));
        let mut g = genesis();
        g.validators.clear();
        assert!(matches!(g.check(), Err(GenesisError::Committee(_))));
    }
}
