//! Namespaces: what a rollup owns (protocol sections 2 and 6).

use std::fmt;
use std::str::FromStr;

use alloy_primitives::Address;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_BID_AMOUNT, MAX_EXECUTORS, MAX_PARTNERS, MAX_SUBMITTERS};
use crate::{Height, Wei};

/// A rollup's namespace. For an EVM rollup it is its EIP-155 chain id.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct NamespaceId(#[serde(with = "crate::json::decimal")] pub u64);

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for NamespaceId {
    type Err = std::num::ParseIntError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self)
    }
}

/// Who may submit to a namespace.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submitters {
    /// Anybody who pays.
    Anyone,
    /// These accounts only, strictly ascending, at most [`MAX_SUBMITTERS`].
    Only(Vec<Address>),
}

impl Submitters {
    /// Whether `account` may submit.
    pub fn allows(&self, account: &Address) -> bool {
        match self {
            Self::Anyone => true,
            Self::Only(list) => list.binary_search(account).is_ok(),
        }
    }
}

/// How much a namespace may order, as a token bucket over block time.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Bytes the bucket gains per second of block time.
    #[serde(with = "crate::json::decimal")]
    pub bytes_per_second: u64,
    /// Bytes the bucket holds at most.
    #[serde(with = "crate::json::decimal")]
    pub burst_bytes: u64,
}

/// When a namespace offers the head of its slice, and for how much at least (protocol section 8).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct AuctionSettings {
    /// At heights that this divides, above zero.
    #[serde(with = "crate::json::decimal")]
    pub every: u64,
    /// The least reserve, in wei, at most [`MAX_BID_AMOUNT`].
    #[serde(with = "crate::json::decimal")]
    pub floor: Wei,
}

impl AuctionSettings {
    /// Whether a lot is offered at that height.
    pub fn offers(&self, height: Height) -> bool {
        height.checked_rem(self.every) == Some(0)
    }
}

/// With which other namespaces one takes part in atomic bundles. Each of them can make it wait: until its executors
/// have their say, or the hold's limit is reached.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partners {
    /// With any that takes part. Anybody can register one whose executors are silent.
    Anyone,
    /// With these only, strictly ascending, at most [`MAX_PARTNERS`].
    Only(Vec<NamespaceId>),
}

impl Partners {
    /// Whether a namespace is one of them.
    pub fn allow(&self, namespace: NamespaceId) -> bool {
        match self {
            Self::Anyone => true,
            Self::Only(list) => list.binary_search(&namespace).is_ok(),
        }
    }

    /// Whether all others of these are, `own` being whose partners they are.
    pub fn allow_beside(
        &self,
        own: NamespaceId,
        mut all: impl Iterator<Item = NamespaceId>,
    ) -> bool {
        all.all(|other| other == own || self.allow(other))
    }
}

/// Who says whether a leg of an atomic bundle will do what it is to do, and what holding the rollup for
/// that costs (protocol section 9).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtomicSettings {
    /// The accounts whose verdicts count, strictly ascending, 1 to [`MAX_EXECUTORS`].
    pub executors: Vec<Address>,
    /// How many of them have to agree: more than half of them.
    pub quorum: u8,
    /// How much collateral an executor must have for its verdicts to count, in wei; what it loses by
    /// contradicting itself.
    #[serde(with = "crate::json::decimal")]
    pub bond: Wei,
    /// What holding the namespace costs per height, beyond its reserve, in wei, at most
    /// [`MAX_BID_AMOUNT`].
    #[serde(with = "crate::json::decimal")]
    pub hold_fee: Wei,
    /// With whom it takes part.
    pub partners: Partners,
}

impl AtomicSettings {
    /// What holding the namespace costs per height, in wei, given the reserve of its lot.
    pub fn price(&self, reserve: Wei) -> Wei {
        reserve.saturating_add(self.hold_fee)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let count = self.executors.len();
        if count == 0 || count > MAX_EXECUTORS {
            return Err(SettingsError::Executors(count));
        }
        if !self.executors.is_sorted_by(|a, b| a < b) {
            return Err(SettingsError::UnsortedExecutors);
        }
        let quorum = usize::from(self.quorum);
        if quorum > count || quorum * 2 <= count {
            return Err(SettingsError::Quorum { quorum: self.quorum, of: count });
        }
        if self.hold_fee > MAX_BID_AMOUNT {
            return Err(SettingsError::HoldFee(self.hold_fee));
        }
        if let Partners::Only(list) = &self.partners {
            if list.len() > MAX_PARTNERS {
                return Err(SettingsError::TooManyPartners(list.len()));
            }
            if !list.is_sorted_by(|a, b| a < b) {
                return Err(SettingsError::UnsortedPartners);
            }
        }
        Ok(())
    }
}

/// What a namespace's owner decides.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSettings {
    /// The account that may change these settings.
    pub owner: Address,
    /// The account that the namespace's revenue goes to.
    pub revenue_recipient: Address,
    /// Who may submit.
    pub submitters: Submitters,
    /// How much may be ordered; without it only the global fee limits the namespace.
    pub quota: Option<Quota>,
    /// The auction of its slices' heads; without it nothing can be bid for.
    #[serde(default)]
    pub auction: Option<AuctionSettings>,
    /// Execution of bundles on all rollups or none; without it the namespace takes part in no such
    /// bundle. It needs an auction.
    #[serde(default)]
    pub atomic: Option<AtomicSettings>,
}

/// Why settings were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Too many accounts listed.
    #[error("{0} submitters listed, at most {MAX_SUBMITTERS} allowed")]
    TooManySubmitters(usize),
    /// The list is unsorted or repeats an account.
    #[error("submitters must be strictly ascending")]
    UnsortedSubmitters,
    /// A quota that lets nothing through.
    #[error("a quota needs a rate and a burst above zero")]
    EmptyQuota,
    /// An auction at no height.
    #[error("an auction has to be at every so many heights, not every 0")]
    AuctionNever,
    /// A floor that nobody can bid.
    #[error("an auction's floor is {0} wei, at most {MAX_BID_AMOUNT} allowed")]
    AuctionFloor(Wei),
    /// No executors, or too many.
    #[error("{0} executors listed, 1 to {MAX_EXECUTORS} allowed")]
    Executors(usize),
    /// The list is unsorted or repeats an account.
    #[error("executors must be strictly ascending")]
    UnsortedExecutors,
    /// Too few to be sure that no other quorum says otherwise, or more than there are.
    #[error(
        "a quorum of {quorum} of {of} executors is not more than half of them, or more than all"
    )]
    Quorum {
        /// How many have to agree.
        quorum: u8,
        /// Of how many.
        of: usize,
    },
    /// More than holding a namespace can cost.
    #[error("holding costs {0} wei per height, at most {MAX_BID_AMOUNT} allowed")]
    HoldFee(Wei),
    /// Too many namespaces listed.
    #[error("{0} partners listed, at most {MAX_PARTNERS} allowed")]
    TooManyPartners(usize),
    /// The list is unsorted or repeats a namespace.
    #[error("partners must be strictly ascending")]
    UnsortedPartners,
    /// Bundles that cannot be bid for.
    #[error("atomic bundles need an auction")]
    AtomicWithoutAuction,
}

impl NamespaceSettings {
    /// Checks that the settings are well formed.
    pub fn check(&self) -> Result<(), SettingsError> {
        if let Submitters::Only(list) = &self.submitters {
            if list.len() > MAX_SUBMITTERS {
                return Err(SettingsError::TooManySubmitters(list.len()));
            }
            if !list.is_sorted_by(|a, b| a < b) {
                return Err(SettingsError::UnsortedSubmitters);
            }
        }
        if self.quota.is_some_and(|q| q.bytes_per_second == 0 || q.burst_bytes == 0) {
            return Err(SettingsError::EmptyQuota);
        }
        if let Some(auction) = self.auction {
            if auction.every == 0 {
                return Err(SettingsError::AuctionNever);
            }
            if auction.floor > MAX_BID_AMOUNT {
                return Err(SettingsError::AuctionFloor(auction.floor));
            }
        }
        if let Some(atomic) = &self.atomic {
            if self.auction.is_none() {
                return Err(SettingsError::AtomicWithoutAuction);
            }
            atomic.check()?;
        }
        Ok(())
    }
}
