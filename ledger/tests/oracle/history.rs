//! Random histories: a genesis, and blocks described by intent.
//!
//! A plan says "valid until exactly this block", "one wei less than the fee", "what was ordered
//! sixteen heights ago": what that comes to follows from where the chain is by then. So random
//! histories meet every bound from both sides, and a plan can be shrunk piece by piece.

mod world;

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use weft_ledger::LaneCut;
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::{
    Address, AtomicSettings, AuctionSettings, B256, BatchDigest, Genesis, L1Origin, Member,
    NamespaceId, NamespaceSettings, Params, Partners, Quota, SecretKey, Stake, Submitters, Wei,
};

pub(crate) use world::{Block, World};

const CHAIN_ID: u64 = 77;
/// Accounts with a key; any of them may be a validator.
const KEYS: usize = 14;
/// Accounts: two more have no key.
const ACCOUNTS: usize = KEYS + 2;
const NAMESPACES: u64 = 4;
/// Accounts that bid.
const BIDDERS: usize = 8;

/// Ascending by address.
static KEYRING: LazyLock<Vec<(Address, SecretKey)>> = LazyLock::new(|| {
    let key = |i: usize| SecretKey::from_bytes([u8::try_from(i).unwrap() + 1; 32]).unwrap();
    let mut keys: Vec<_> = (0..KEYS).map(key).map(|key| (key.address(), key)).collect();
    keys.sort_by_key(|(address, _)| *address);
    keys
});

fn address(account: usize) -> Address {
    match KEYRING.get(account) {
        Some((address, _)) => *address,
        None => Address::with_last_byte(u8::try_from(account).unwrap()),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<BlockPlan>,
}

#[derive(Clone, Debug)]
pub(crate) struct BlockPlan {
    gap: Gap,
    /// Which members it embeds, a bit each; nobody, nothing.
    observers: u8,
    batches: Vec<BatchPlan>,
    /// Moves the carry of somebody who has nothing ordered, or its cut to anywhere.
    stray_cut: Option<(Index, LaneCut)>,
    /// The L1 blocks that it passes.
    l1: Vec<Vec<EventPlan>>,
    /// Goes on from a snapshot after this block.
    pub(crate) restores: bool,
    /// Which entry of the snapshot is tampered with, and how.
    pub(crate) tampers: (Index, u8),
}

#[derive(Clone, Debug)]
enum EventPlan {
    Deposit { to: usize, amount: u32 },
    Stake { validator: usize, stake: Wei },
    Forced { namespace: u64, fee: u32, bytes: u8 },
    Posted { poster: usize },
}

/// How much later than its parent a block is.
#[derive(Clone, Debug)]
enum Gap {
    By(u64),
    /// To when something remembered ends, and so much later.
    ToAnEnd(Index, u64),
}

#[derive(Clone, Debug)]
struct BatchPlan {
    author: Index,
    /// Opens a new lane.
    reboots: bool,
    carry: u32,
    transactions: Vec<TransactionPlan>,
}

#[derive(Clone, Debug)]
enum TransactionPlan {
    New {
        sender: usize,
        valid_until: ValidUntil,
        max_fee: MaxFee,
        payload: Box<PayloadPlan>,
        flaw: Option<Flaw>,
    },
    /// One that an earlier block ordered, so many heights ago.
    Again(u64, Index),
    /// Any at all that there was before, be it in this batch.
    AnyAgain(Index),
}

#[derive(Clone, Debug)]
enum ValidUntil {
    /// So long after the block's time.
    Ahead(u64),
    /// So far from as late as is allowed.
    Limit(i8),
    /// Exactly so far from the block's time.
    Now(i8),
    Exactly(u64),
}

#[derive(Clone, Debug)]
enum MaxFee {
    Unlimited,
    /// The cost of inclusion, give or take.
    Inclusion(i8),
    /// What inclusion and namespace cost together, give or take.
    Both(i8),
    Exactly(Wei),
}

#[derive(Clone, Debug)]
enum PayloadPlan {
    Submit { namespace: u64, data: Data },
    Transfer { to: usize, amount: Amount },
    TransferToOneself(Amount),
    Register { namespace: u64, settings: NamespaceSettings },
    Update { namespace: u64, by_owner: bool, settings: NamespaceSettings },
    Withdraw { to: usize, amount: Amount },
    Bid { namespaces: Vec<u64>, height: i8, sequence: u8, amount: BidAmount, atomic: bool },
    Verdict { by: Judge, on: Index, says: Says },
    Bundle { namespaces: Vec<u64>, items: u8 },
    Lock(Amount),
    Release(Amount),
}

#[derive(Clone, Debug)]
enum BidAmount {
    Exactly(Wei),
    /// What its lots' reserves are together, give or take.
    Reserve(i8),
    /// What the sender has put up, give or take.
    Collateral(i8),
    /// The most that holding its namespaces may cost, give or take.
    Holding(i8),
    Withdraw,
}

/// Who gives a verdict.
#[derive(Clone, Debug)]
enum Judge {
    /// An executor that has said nothing yet, of the leg that comes next.
    Next,
    /// Any executor of a leg.
    Any(Index),
    /// The sender.
    Anyone,
}

#[derive(Clone, Debug)]
enum Says {
    /// What most say.
    Usual,
    Fails,
    /// Something else.
    Does(u8),
}

#[derive(Clone, Debug)]
enum Data {
    Items(Vec<u16>),
    /// As much as makes the transaction as large as the bucket is full, give or take.
    Quota(i8),
    /// As much as the sender can pay inclusion for, give or take.
    Inclusion(i8),
    /// As much as it can pay inclusion and namespace for, give or take.
    Both(i8),
}

#[derive(Clone, Debug)]
enum Amount {
    Exactly(Wei),
    /// What is left after inclusion, give or take.
    Everything(i8),
    /// All but what the registration fee and this much besides comes to.
    KeepRegistration(u16),
}

#[derive(Clone, Debug)]
enum Flaw {
    OtherChain,
    /// Recovers to a stranger, who has no balance: well formed.
    SignedForOtherChain,
    BadV,
    HighS,
    NoItems,
    TooManyItems,
    EmptyItem,
    /// As large as may be, or so much larger.
    Size(usize),
    EmptyQuota,
    UnsortedSubmitters,
    TooManySubmitters,
    NeverAuction,
    HighFloor,
    NoLegs,
    TooManyLegs,
    UnsortedLegs,
    TooMuch,
    NoCollateral,
    OneLeg,
    OneAtomicLeg,
    AtomicWithdrawal,
    Atomic(BadAtomic),
}

#[derive(Clone, Copy, Debug)]
enum BadAtomic {
    None,
    TooMany,
    Unsorted,
    /// The quorum is half of them.
    Half,
    /// It is more than there are.
    MoreThanAll,
    HighHoldFee,
    NoAuction,
    TooManyPartners,
    UnsortedPartners,
}

pub(crate) fn histories(blocks: std::ops::Range<usize>) -> impl Strategy<Value = History> {
    let pace =
        prop_oneof![Just([400, 5, 1]), Just([30, 5, 1]), Just([10, 10, 3]), Just([3, 10, 10])];
    let kind = prop_oneof![
        1 => Just(Kind::Steep),
        4 => Just(Kind::Common),
        6 => (prop::collection::vec(willing_settings(), 4), prop::bool::weighted(0.7))
            .prop_map(|(settings, judged)| Kind::Atomic { settings, judged }),
    ];
    (geneses(), pace, kind).prop_flat_map(move |(mut genesis, mut pace, kind)| {
        let mut mix = [5, 1, 0, 1];
        match kind {
            Kind::Common => {}
            // The one way to the highest price within so few blocks.
            Kind::Steep => {
                genesis.params.min_base_fee = 1 << 64;
                genesis.params.target_bytes_per_second = 1;
                pace = [400, 1, 1];
            }
            Kind::Atomic { settings, judged } => {
                mix = if judged { [3, 2, 0, 9] } else { [1, 0, 9, 0] };
                if !judged {
                    genesis.params.hold_limit_ms = 1;
                    genesis.params.suspension_ms = genesis.params.suspension_ms.min(2);
                }
                genesis.params.min_base_fee = genesis.params.min_base_fee.min(1_003);
                genesis.accounts = accounts(&[const { Balance::Rich(100) }; ACCOUNTS], 0);
                genesis.namespaces = (0..NAMESPACES)
                    .zip(settings)
                    .map(|(id, settings)| GenesisNamespace { namespace: NamespaceId(id), settings })
                    .collect();
            }
        }
        let blocks = prop::collection::vec(block_plans(pace, mix), blocks.clone());
        (Just(genesis), blocks).prop_map(|(genesis, blocks)| History { genesis, blocks })
    })
}

#[derive(Clone, Debug)]
enum Kind {
    Common,
    /// Prices go up as fast as they can.
    Steep,
    /// Every namespace takes part in atomic bundles to begin with.
    Atomic {
        settings: Vec<NamespaceSettings>,
        /// Executors are not silent more often than not.
        judged: bool,
    },
}

/// Those of a namespace that is likely to take part in atomic bundles.
fn willing_settings() -> impl Strategy<Value = NamespaceSettings> {
    let bond = prop_oneof![6 => Just(0), 1 => 1u128..2_000];
    (settings(), atomic_settings(), bond, 0u128..300, 0u128..3_000).prop_map(
        |(settings, atomic, bond, floor, hold_fee)| NamespaceSettings {
            auction: Some(AuctionSettings { every: 1, floor }),
            atomic: Some(AtomicSettings { bond, hold_fee, partners: partners_of(floor), ..atomic }),
            ..settings
        },
    )
}

/// Anyone, more often than not.
fn partners_of(number: Wei) -> Partners {
    match number {
        0..40 => Partners::Only((0..NAMESPACES - 1).map(NamespaceId).collect()),
        _ => Partners::Anyone,
    }
}

fn params() -> impl Strategy<Value = Params> {
    let targets = || prop::sample::select(vec![1, 40, 500, 20_000, u64::MAX]);
    (
        prop::sample::select(vec![1_000, 1_001, 20_000, 3_600_000]),
        prop::sample::select(vec![1, 2, 3, 5, u64::MAX]),
        prop::sample::select(vec![8, 1_003, 1 << 64]),
        (targets(), targets()),
        prop::sample::select(vec![0, 5_000, 1 << 50, 1 << 90, Wei::MAX]),
        (1u16..=9, prop::sample::select(vec![1_000, 1_777, 40_000, u64::MAX])),
        (prop::sample::select(vec![0, 1, 9_000, 1 << 80]), 0u64..3),
        auction_params(),
    )
        .prop_map(
            |(
                max_validity_ms,
                absence_window,
                min_base_fee,
                targets,
                registration_fee,
                (committee_size, epoch_ms),
                (relay_reward, relay_interval),
                auction,
            )| Params {
                max_validity_ms,
                absence_window,
                min_base_fee,
                target_bytes_per_second: targets.0,
                namespace_target_bytes_per_second: targets.1,
                registration_fee,
                committee_size,
                epoch_ms,
                relay_reward,
                relay_interval,
                ..auction
            },
        )
}

fn auction_params() -> impl Strategy<Value = Params> {
    (
        prop::sample::select(vec![0, 700, 1 << 40]),
        prop::sample::select(vec![0, 5_000, 1 << 80]),
        prop::sample::select(vec![0, 1, 2, 900, 1 << 20]),
        prop::sample::select(vec![(0, 0), (1_500, 500), (3_333, 6_667), (10_000, 0), (1, 2)]),
        holding_params(),
    )
        .prop_map(
            |(bid_fee, bid_penalty, collateral_delay_ms, (validators, burned), holding)| Params {
                bid_fee,
                bid_penalty,
                collateral_delay_ms,
                auction_validators: validators,
                auction_burned: burned,
                ..holding
            },
        )
}

fn holding_params() -> impl Strategy<Value = Params> {
    (
        prop_oneof![3 => 1u64..5, 1 => Just(900), 1 => Just(60_000)],
        prop_oneof![3 => 4u16..8, 1 => Just(1024)],
        prop::sample::select(vec![0, 1, 4, 3_000, 86_400_000]),
    )
        .prop_map(|(hold_limit_ms, hold_heights, suspension_ms)| Params {
            hold_limit_ms,
            hold_heights,
            suspension_ms,
            ..Params::default()
        })
}

/// Some that are equal, some far apart.
fn stakes() -> impl Strategy<Value = Wei> {
    prop_oneof![3 => Just(32), 2 => 1u128..100, 1 => (0u8..100).prop_map(|bits| 1 << bits)]
}

#[derive(Clone, Debug)]
enum Balance {
    None,
    /// So many bytes at the floor price.
    Poor(u16),
    Rich(u8),
    /// What is missing to 2^128 - 1 in all, for the first who has it.
    Brim,
}

fn geneses() -> impl Strategy<Value = Genesis> {
    let balances = prop_oneof![
        2 => Just(Balance::None),
        3 => (0u16..2_000).prop_map(Balance::Poor),
        10 => (90u8..120).prop_map(Balance::Rich),
        1 => Just(Balance::Brim),
    ];
    let seats = prop_oneof![4 => 1u64..4, 1 => 1u64..100];
    (
        prop_oneof![Just(0), Just(1_700_000_000_000), Just(u64::MAX - (1 << 33))],
        (any::<u64>(), any::<[u8; 32]>()),
        params(),
        prop::sample::subsequence((0..KEYS).collect::<Vec<_>>(), 1..=7),
        prop::collection::vec(seats, 7),
        prop::collection::vec(balances, ACCOUNTS),
        prop::collection::btree_map(0..NAMESPACES, settings(), 0..6),
        prop::collection::btree_map(0..KEYS, stakes(), 0..5),
    )
        .prop_map(
            |(time_ms, (number, hash), params, members, seats, balances, namespaces, stakes)| {
                let validators = members.into_iter().zip(seats);
                Genesis {
                    chain_id: CHAIN_ID,
                    time_ms,
                    l1_origin: L1Origin { number: number >> 16, hash: B256::from(hash) },
                    l1: None,
                    params,
                    validators: validators
                        .map(|(member, seats)| Member { address: address(member), seats })
                        .collect(),
                    stakes: stakes
                        .into_iter()
                        .map(|(validator, stake)| Stake { validator: address(validator), stake })
                        .collect(),
                    accounts: accounts(&balances, params.min_base_fee),
                    namespaces: namespaces
                        .into_iter()
                        .map(|(id, settings)| GenesisNamespace {
                            namespace: NamespaceId(id),
                            settings,
                        })
                        .collect(),
                }
            },
        )
}

fn accounts(balances: &[Balance], floor: Wei) -> Vec<Allocation> {
    let mut accounts: Vec<Allocation> = (balances.iter().enumerate())
        .filter_map(|(account, balance)| {
            let balance = match balance {
                Balance::None => return None,
                Balance::Poor(bytes) => Wei::from(*bytes) * floor,
                Balance::Rich(bits) => (1 << bits) + 12_345,
                Balance::Brim => 0,
            };
            Some(Allocation { address: address(account), balance })
        })
        .collect();
    let sum: Wei = accounts.iter().map(|account| account.balance).sum();
    if let Some(at) = balances.iter().position(|balance| matches!(balance, Balance::Brim)) {
        let account = accounts.iter_mut().find(|account| account.address == address(at));
        account.unwrap().balance = Wei::MAX - sum;
    }
    accounts.sort_by_key(|account| account.address);
    accounts
}

fn settings() -> impl Strategy<Value = NamespaceSettings> {
    let listed = prop::sample::subsequence((0..KEYS).collect::<Vec<_>>(), 0..=KEYS);
    let rates = prop_oneof![1u64..100, 100u64..20_000, Just(u64::MAX)];
    let bursts = prop_oneof![1u64..300, 300u64..2_000, Just(u64::MAX)];
    let quota = (rates, bursts)
        .prop_map(|(bytes_per_second, burst_bytes)| Quota { bytes_per_second, burst_bytes });
    let floors = prop_oneof![9 => Just(0), 4 => 1u128..60, 1 => Just(20_000), 1 => Just(1 << 100)];
    let auction = (prop_oneof![2 => Just(1u64), 1 => 2u64..4], floors)
        .prop_map(|(every, floor)| AuctionSettings { every, floor });
    let auction = prop::option::weighted(0.8, auction);
    let atomic = prop::option::weighted(0.8, atomic_settings());
    let rest = (prop::option::weighted(0.6, quota), auction, atomic);
    (0..KEYS, 0..ACCOUNTS, prop::option::weighted(0.3, listed), rest).prop_map(
        |(owner, revenue_recipient, listed, (quota, auction, atomic))| NamespaceSettings {
            owner: address(owner),
            revenue_recipient: address(revenue_recipient),
            submitters: listed.map_or(Submitters::Anyone, |listed| {
                Submitters::Only(listed.into_iter().map(address).collect())
            }),
            quota,
            auction,
            atomic: atomic.filter(|_| auction.is_some()),
        },
    )
}

/// Executors are accounts that bid, so that some have a bond.
fn atomic_settings() -> impl Strategy<Value = AtomicSettings> {
    let executors = prop::sample::subsequence((0..BIDDERS).collect::<Vec<_>>(), 1..=4);
    let bond = prop_oneof![4 => Just(0), 4 => 1u128..2_000, 1 => Just(1 << 45), 1 => any::<Wei>()];
    let hold_fee =
        prop_oneof![2 => Just(0), 6 => 1u128..9_000, 1 => Just(1 << 48), 1 => Just(1 << 100)];
    let partners = prop_oneof![
        3 => Just(Partners::Anyone),
        2 => prop::sample::subsequence((0..NAMESPACES).collect::<Vec<_>>(), 0..=3)
            .prop_map(|ids| Partners::Only(ids.into_iter().map(NamespaceId).collect())),
    ];
    let drawn = (executors, 0u8..2, bond, hold_fee, partners);
    drawn.prop_map(|(executors, more, bond, hold_fee, partners)| {
        let count = u8::try_from(executors.len()).unwrap();
        AtomicSettings {
            executors: executors.into_iter().map(address).collect(),
            quorum: (count / 2 + 1 + more).min(count),
            bond,
            hold_fee,
            partners,
        }
    })
}

fn block_plans([next, some, far]: [u32; 3], mix: Mix) -> impl Strategy<Value = BlockPlan> {
    let gap = prop_oneof![
        next => Just(Gap::By(1)),
        some => (1u64..2_000).prop_map(Gap::By),
        some => (any::<Index>(), 0u64..3).prop_map(|(which, plus)| Gap::ToAnEnd(which, plus)),
        far => prop_oneof![Just(7_999u64), Just(8_000), Just(8_001), Just(1 << 20), Just(1 << 40)]
            .prop_map(Gap::By),
    ];
    let cut = (any::<Index>(), any::<(u32, u64, [u8; 32], u32)>()).prop_map(
        |(author, (incarnation, seq, digest, carry))| {
            (author, LaneCut { incarnation, seq, digest: BatchDigest(B256::from(digest)), carry })
        },
    );
    let observers = prop_oneof![
        1 => Just(0u8),
        4 => any::<u8>(),
        6 => Just(u8::MAX),
    ];
    (
        gap,
        observers,
        prop::collection::vec(batch_plans(mix), 0..4),
        prop::option::weighted(0.1, cut),
        prop_oneof![
            6 => Just(Vec::new()),
            1 => prop::collection::vec(prop::collection::vec(event_plans(), 0..4), 1..4),
        ],
        prop::bool::weighted(0.1),
        (any::<Index>(), 0u8..3),
    )
        .prop_map(|(gap, observers, batches, stray_cut, l1, restores, tampers)| BlockPlan {
            gap,
            observers,
            batches,
            stray_cut,
            l1,
            restores,
            tampers,
        })
}

fn event_plans() -> impl Strategy<Value = EventPlan> {
    prop_oneof![
        2 => (0..ACCOUNTS, any::<u32>())
            .prop_map(|(to, amount)| EventPlan::Deposit { to, amount }),
        4 => (0..KEYS, prop_oneof![1 => Just(0), 2 => stakes()])
            .prop_map(|(validator, stake)| EventPlan::Stake { validator, stake }),
        2 => (0..NAMESPACES, any::<u32>(), 1u8..200)
            .prop_map(|(namespace, fee, bytes)| EventPlan::Forced { namespace, fee, bytes }),
        2 => (0..ACCOUNTS).prop_map(|poster| EventPlan::Posted { poster }),
    ]
}

/// Weights of batches of mixed transactions, of bids, of bids for the same few bundles, and of verdicts.
type Mix = [u32; 4];

fn batch_plans([mixed, bid, eager, judged]: Mix) -> impl Strategy<Value = BatchPlan> {
    (
        any::<Index>(),
        prop::bool::weighted(0.1),
        0u32..300_000,
        prop_oneof![
            mixed => prop::collection::vec(transaction_plans(), 1..5),
            bid => prop::collection::vec(transactions_of(bids().boxed()), 3..8),
            eager => prop::collection::vec(transactions_of(eager_bids().boxed()), 4..8),
            judged => prop::collection::vec(transactions_of(verdicts().boxed()), 2..9),
        ],
    )
        .prop_map(|(author, reboots, carry, transactions)| BatchPlan {
            author,
            reboots,
            carry,
            transactions,
        })
}

fn transaction_plans() -> impl Strategy<Value = TransactionPlan> {
    prop_oneof![
        16 => transactions_of(payload_plans().boxed()),
        3 => (prop_oneof![1 => 1u64..3, 3 => 15u64..19], any::<Index>())
            .prop_map(|(heights, which)| TransactionPlan::Again(heights, which)),
        1 => any::<Index>().prop_map(TransactionPlan::AnyAgain),
    ]
}

fn transactions_of(payloads: BoxedStrategy<PayloadPlan>) -> impl Strategy<Value = TransactionPlan> {
    let sender = prop_oneof![3 => 0..KEYS, 2 => 0..3usize];
    (sender, valid_until(), max_fee(), payloads, prop::option::weighted(0.06, flaws())).prop_map(
        |(sender, valid_until, max_fee, payload, flaw)| TransactionPlan::New {
            sender,
            valid_until,
            max_fee,
            payload: Box::new(payload),
            flaw,
        },
    )
}

fn bids() -> impl Strategy<Value = PayloadPlan> {
    let amount = prop_oneof![
        6 => (1u32..200).prop_map(|wei| BidAmount::Exactly(wei.into())),
        6 => (1u32..100_000).prop_map(|wei| BidAmount::Exactly(wei.into())),
        2 => (-1i8..2).prop_map(BidAmount::Reserve),
        3 => (-1i8..2).prop_map(BidAmount::Collateral),
        3 => (-1i8..2).prop_map(BidAmount::Holding),
        2 => Just(BidAmount::Withdraw),
    ];
    let lots = prop_oneof![
        3 => prop::sample::subsequence((0..NAMESPACES).collect::<Vec<_>>(), 1..=2),
        1 => prop::sample::subsequence((0..NAMESPACES).collect::<Vec<_>>(), 1..=4),
    ];
    let height = prop_oneof![12 => Just(0i8), 1 => -1i8..2];
    let atomic = prop::bool::weighted(0.7);
    (lots, height, 0u8..4, amount, atomic).prop_map(
        |(namespaces, height, sequence, amount, atomic)| PayloadPlan::Bid {
            namespaces,
            height,
            sequence,
            amount,
            atomic,
        },
    )
}

fn eager_bids() -> impl Strategy<Value = PayloadPlan> {
    let lots = prop::sample::select(vec![[0, 1], [0, 1], [2, 3], [2, 3], [1, 3]]);
    (lots, 9_000u128..20_000).prop_map(|(lots, amount)| PayloadPlan::Bid {
        namespaces: lots.to_vec(),
        height: 0,
        sequence: 0,
        amount: BidAmount::Exactly(amount),
        atomic: true,
    })
}

fn verdicts() -> impl Strategy<Value = PayloadPlan> {
    let by = prop_oneof![
        14 => Just(Judge::Next),
        3 => any::<Index>().prop_map(Judge::Any),
        1 => Just(Judge::Anyone),
    ];
    let says = prop_oneof![
        24 => Just(Says::Usual),
        2 => Just(Says::Fails),
        1 => (0u8..2).prop_map(Says::Does),
    ];
    (by, any::<Index>(), says).prop_map(|(by, on, says)| PayloadPlan::Verdict { by, on, says })
}

fn valid_until() -> impl Strategy<Value = ValidUntil> {
    prop_oneof![
        8 => (0u64..40).prop_map(ValidUntil::Ahead),
        8 => (0u64..1_000).prop_map(ValidUntil::Ahead),
        8 => (-5i8..2).prop_map(ValidUntil::Limit),
        2 => (-2i8..2).prop_map(ValidUntil::Now),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(ValidUntil::Exactly),
    ]
}

fn max_fee() -> impl Strategy<Value = MaxFee> {
    prop_oneof![
        16 => Just(MaxFee::Unlimited),
        2 => (-1i8..2).prop_map(MaxFee::Inclusion),
        2 => (-1i8..2).prop_map(MaxFee::Both),
        1 => prop_oneof![Just(0), any::<Wei>()].prop_map(MaxFee::Exactly),
    ]
}

fn payload_plans() -> impl Strategy<Value = PayloadPlan> {
    let data = prop_oneof![
        4 => prop::collection::vec(1u16..400, 1..4).prop_map(Data::Items),
        2 => (-1i8..2).prop_map(Data::Quota),
        1 => (-1i8..2).prop_map(Data::Inclusion),
        1 => (-1i8..2).prop_map(Data::Both),
    ];
    let amount = || {
        prop_oneof![
            8 => (0u32..100_000).prop_map(|wei| Amount::Exactly(wei.into())),
            1 => any::<Wei>().prop_map(Amount::Exactly),
            1 => Just(Amount::Exactly(Wei::MAX)),
            2 => (-1i8..2).prop_map(Amount::Everything),
            1 => (0u16..500).prop_map(Amount::KeepRegistration),
        ]
    };
    let enough = prop_oneof![2 => Just(Amount::Exactly(1 << 40)), 1 => amount()];
    prop_oneof![
        14 => bids(),
        6 => verdicts(),
        6 => (prop::sample::subsequence((0..NAMESPACES).collect::<Vec<_>>(), 2..=3), 1u8..40)
            .prop_map(|(namespaces, items)| PayloadPlan::Bundle { namespaces, items }),
        6 => enough.prop_map(PayloadPlan::Lock),
        2 => amount().prop_map(PayloadPlan::Release),
        12 => (0..NAMESPACES, data)
            .prop_map(|(namespace, data)| PayloadPlan::Submit { namespace, data }),
        4 => (0..ACCOUNTS, amount()).prop_map(|(to, amount)| PayloadPlan::Transfer { to, amount }),
        1 => amount().prop_map(PayloadPlan::TransferToOneself),
        2 => (0..ACCOUNTS, amount()).prop_map(|(to, amount)| PayloadPlan::Withdraw { to, amount }),
        3 => (0..NAMESPACES, settings())
            .prop_map(|(namespace, settings)| PayloadPlan::Register { namespace, settings }),
        3 => (0..NAMESPACES, prop::bool::weighted(0.8), settings()).prop_map(
            |(namespace, by_owner, settings)| PayloadPlan::Update { namespace, by_owner, settings }
        ),
    ]
}

fn flaws() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        4 => Just(Flaw::OtherChain),
        4 => Just(Flaw::SignedForOtherChain),
        4 => Just(Flaw::BadV),
        4 => Just(Flaw::HighS),
        4 => Just(Flaw::NoItems),
        1 => Just(Flaw::TooManyItems),
        4 => Just(Flaw::EmptyItem),
        1 => (0usize..2).prop_map(Flaw::Size),
        4 => Just(Flaw::EmptyQuota),
        4 => Just(Flaw::UnsortedSubmitters),
        4 => Just(Flaw::TooManySubmitters),
        2 => Just(Flaw::NeverAuction),
        2 => Just(Flaw::HighFloor),
        2 => Just(Flaw::NoLegs),
        2 => Just(Flaw::TooManyLegs),
        2 => Just(Flaw::UnsortedLegs),
        2 => Just(Flaw::TooMuch),
        2 => Just(Flaw::NoCollateral),
        2 => Just(Flaw::OneLeg),
        2 => Just(Flaw::OneAtomicLeg),
        2 => Just(Flaw::AtomicWithdrawal),
        4 => prop::sample::select(vec![
            BadAtomic::None,
            BadAtomic::TooMany,
            BadAtomic::Unsorted,
            BadAtomic::Half,
            BadAtomic::MoreThanAll,
            BadAtomic::HighHoldFee,
            BadAtomic::NoAuction,
            BadAtomic::TooManyPartners,
            BadAtomic::UnsortedPartners,
        ])
        .prop_map(Flaw::Atomic),
    ]
}
