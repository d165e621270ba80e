//! What the ledger knows, by key (protocol section 6).

use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::merkle::{Keccak, Peaks};
use weft_types::{
    Address, BatchDigest, Committee, Height, L1Origin, NamespaceId, NamespaceSettings, TimeMs,
    TransactionId, Wei,
};

use crate::undecided::{Standing, Undecided};

/// The name of an entry. The order of variants is the order of the map and, as the borsh tag,
/// part of the commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Key {
    /// Where the chain is: a [`Clock`].
    Clock,
    /// The network's [`GlobalPrice`].
    GlobalPrice,
    /// All wei ever burned.
    Burned,
    /// The [`Committee`] of the next height.
    Committee,
    /// An account's balance.
    Account(Address),
    /// A [`Namespace`].
    Namespace(NamespaceId),
    /// A validator's [`ValidatorRecord`].
    Validator(Address),
    /// An author's open lane: a [`LaneCut`].
    Lane(Address),
    /// A transaction that must not be charged again: the height that ordered it. Stands under the
    /// end of its validity, so that forgetting is reading from the front.
    Remembered(Remembered),
    /// The tree of all [withdrawals](weft_types::Withdrawal).
    Withdrawals,
    /// A validator's stake that counts; none if it has no stake.
    Stake(Address),
    /// The [`Committee`] of the next epoch.
    NextCommittee,
    /// What is there for relayers: a [`Relay`].
    Relay,
    /// What an account has put up to back its bids.
    Collateral(Address),
    /// Collateral on its way back to its account's balance.
    Release(Release),
    /// An atomic bundle that is [`Undecided`], by its transaction.
    Undecided(TransactionId),
}

/// The key of a remembered transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Remembered {
    /// Until when it is remembered.
    pub valid_until: TimeMs,
    /// Which.
    pub id: TransactionId,
}

/// The key of collateral on its way back. Stands under the time at which it is there, so that paying
/// is reading from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Release {
    /// Block time from which it is there.
    pub at_ms: TimeMs,
    /// Whose.
    pub account: Address,
}

impl Release {
    pub(crate) const FIRST: Self = Self { at_ms: 0, account: Address::ZERO };
    pub(crate) const LAST: Self = Self { at_ms: TimeMs::MAX, account: Address::repeat_byte(0xff) };
}

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Value {
    /// Under [`Key::Clock`].
    Clock(Clock),
    /// Under [`Key::GlobalPrice`].
    GlobalPrice(GlobalPrice),
    /// Under [`Key::Burned`], [`Key::Account`], [`Key::Stake`], [`Key::Collateral`] and
    /// [`Key::Release`]: wei.
    Wei(Wei),
    /// Under [`Key::Committee`] and [`Key::NextCommittee`].
    Committee(Box<Committee>),
    /// Under [`Key::Namespace`].
    Namespace(Box<Namespace>),
    /// Under [`Key::Validator`].
    Validator(ValidatorRecord),
    /// Under [`Key::Lane`].
    Lane(Box<LaneCut>),
    /// Under [`Key::Remembered`].
    Height(Height),
    /// Under [`Key::Withdrawals`].
    Withdrawals(Box<Peaks<Keccak>>),
    /// Under [`Key::Relay`].
    Relay(Relay),
    /// Under [`Key::Undecided`].
    Undecided(Box<Undecided>),
}

/// Where the chain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Clock {
    /// Height of the last block applied.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// How many blocks so far embedded observations.
    pub non_empty_blocks: u64,
    /// Up to where L1 has been taken in.
    pub l1_origin: L1Origin,
}

/// A price and when it was last moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GlobalPrice {
    /// Wei per byte.
    pub base_fee: Wei,
    /// Block time of the last move.
    pub at_ms: TimeMs,
}

/// A rollup's namespace.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Namespace {
    /// What its owner decided.
    pub settings: NamespaceSettings,
    /// Its price, beyond the global one, and when it was last moved.
    pub price: GlobalPrice,
    /// Bytes that the quota's bucket held at `tokens_at_ms`.
    pub tokens: u64,
    /// Block time of registration, last update or last executed submission, whichever came last,
    /// with or without a quota.
    pub tokens_at_ms: TimeMs,
    /// What its lot's reserve was, in wei, after `reserve_at`: what [`Namespace::reserve`] starts from.
    pub reserve: Wei,
    /// Height of registration, last update, last sold lot or last decision on a bundle that held it,
    /// whichever came last.
    pub reserve_at: Height,
    /// All wei that its lots have brought it.
    pub earned: Wei,
    /// The atomic bundle that holds it. Until that is decided it offers no lots.
    pub held_by: Option<TransactionId>,
    /// How well its executors have kept deadlines of late.
    pub standing: Standing,
}

/// What is there for those who post headers on L1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Relay {
    /// Wei to pay them with.
    pub pool: Wei,
    /// Number of the L1 block in which the last header was posted that was paid for.
    pub paid_at: u64,
}

/// What the ledger keeps of a validator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorRecord {
    /// The count of non-empty blocks at the last one that embedded an observation of it.
    pub last_seen: u64,
    /// Wei it still owes for bytes in its lane that nobody paid for.
    pub debt: Wei,
    /// All wei it was paid of fees and auctions.
    pub earned: Wei,
}

/// Up to where an author's open lane has been ordered.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct LaneCut {
    /// Which of the author's lanes is open.
    pub incarnation: u32,
    /// Place of the last batch ordered; 0 for none.
    pub seq: u64,
    /// That batch; zero for none.
    pub digest: BatchDigest,
    /// Unspent bytes of the author's share, carried over.
    pub carry: u32,
}
