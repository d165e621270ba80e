//! Golden vectors of ledger entries and of the ledger root (protocol section 6). The files stand
//! in `spec/vectors`; what they hold is described there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "vectors are files, written if the environment asks")]

#[path = "../../types/tests/vectors/document.rs"]
#[allow(dead_code, reason = "shared with the vectors of weft-types, which use all of it")]
mod document;

use document::{Vector, hex, settle};
use serde_json::{Value as Json, json};
use weft_ledger::undecided::{Deadline, PendingLeg, Standing, Undecided, Verdict};
use weft_ledger::{
    Clock, GlobalPrice, Key, LaneCut, Namespace, Relay, Release, Remembered, SnapshotError, State,
    ValidatorRecord, Value,
};
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::hash::keccak256;
use weft_types::{
    Address, AtomicSettings, AuctionSettings, B256, BatchDigest, Committee, Genesis, L1Origin,
    Member, NamespaceId, NamespaceSettings, Params, Partners, Quota, Results, Stake, Submitters,
    TransactionId, Withdrawal,
    merkle::{Keccak, Peaks},
};

const NOW: u64 = 1_790_000_000_000;

/// Key and value of an entry: together, what enters the sum.
type Entry = (Key, Value);

#[test]
fn ledger_state() {
    let entries = one_of_each();
    let mut vectors = vec![vector("no entries", &[])];
    for (name, entry) in &entries {
        vectors.push(vector(name, std::slice::from_ref(entry)));
    }
    let mut all: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    all.dedup_by_key(|(key, _)| *key);
    vectors.push(vector("one of each", &all));
    let member = [&[0xaa; 20][..], &1u64.to_le_bytes()].concat();
    let undecodable = [
        ("key tag 16", vec![16, 7, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("value tag 11", vec![0, 11, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("verdict tag 3", with_verdict(3)),
        ("a verdict of effects without them", with_verdict(1)),
        ("an option tag 2 for who holds a namespace", held_by_option(2)),
        ("no peak of one withdrawal", [&[9, 8, 1][..], &[0; 7], &[0; 4]].concat()),
        (
            "two peaks of one withdrawal",
            [&[9, 8, 1][..], &[0; 7], &[2, 0, 0, 0], &[7; 64]].concat(),
        ),
        ("half a key", vec![4, 1, 2, 3]),
        ("no value", vec![0]),
        ("a committee of nobody", vec![3, 3, 0, 0, 0, 0]),
        ("a member twice", [&[3, 3, 2, 0, 0, 0][..], &member, &member].concat()),
    ];
    for (name, bytes) in undecodable {
        let bytes = [&1u32.to_le_bytes()[..], &bytes].concat();
        vectors.push(Vector::undecodable::<Vec<Entry>>(name, &bytes));
    }
    settle("ledger_state", &vectors);
}

#[test]
fn ledger_genesis() {
    let full = genesis();
    let mut bare = genesis();
    bare.accounts.clear();
    bare.namespaces.clear();
    bare.stakes.clear();
    let dealt = |name: &str, size: u16, stakes: &[(&str, u128)]| {
        let mut genesis = genesis();
        genesis.params.committee_size = size;
        let stake =
            |(name, stake): &(&str, u128)| Stake { validator: address(name), stake: *stake };
        genesis.stakes = stakes.iter().map(stake).collect();
        genesis.stakes.sort_by_key(|stake| stake.validator);
        of_genesis(name, &genesis)
    };
    let others = [("validator e", 100), ("validator f", 80), ("validator g", 30), ("h", 20)];
    let huge = [("validator a", u128::MAX), ("validator b", 1 << 112), ("validator c", 1 << 111)];
    settle(
        "ledger_genesis",
        &[
            of_genesis("full", &full),
            of_genesis("validators only", &bare),
            dealt("seats among others than the first committee", 8, &others),
            dealt("equal stakes and a seat too few", 3, &["a", "b", "c", "d"].map(|n| (n, 32))),
            dealt("stakes above the most that counts", 5, &huge),
        ],
    );
}

/// The state of a genesis: its entries in order of key, the root, and what the first child's
/// header says of it.
fn of_genesis(name: &str, genesis: &Genesis) -> Vector {
    let state = State::genesis(genesis).unwrap();
    let entries: Vec<String> = state.entries().map(|entry| hex(element(entry))).collect();
    let outcome = state.outcome(&[], &Results::default());
    assert_eq!(outcome.ledger_root, state.ledger_root());
    Vector::of(name, genesis).hash("entries", entries).verdict("accepted", Ok::<_, String>(outcome))
}

/// A list of entries and the root that they come to.
fn vector(name: &str, entries: &[Entry]) -> Vector {
    let entries = entries.to_vec();
    let content: Json = entries
        .iter()
        .map(|(key, value)| json!({ "key": key_content(key), "value": value_content(value) }))
        .collect();
    let elements: Vec<String> = entries.iter().map(|(k, v)| hex(element((k, v)))).collect();
    let root = root_of(&entries);
    Vector::with_content(name, &entries, content)
        .hash("elements", elements)
        .hash("ledger_root", root)
        .verdict("accepted", Ok::<_, String>(()))
}

/// The root of any entries. They need not make a whole state: a snapshot of them is refused, but
/// its refusal says what they come to.
fn root_of(entries: &[Entry]) -> B256 {
    match State::from_snapshot(&genesis(), entries.to_vec(), B256::ZERO) {
        Err(SnapshotError::Root { actual, .. }) => actual,
        other => panic!("no state has root zero, got {:?}", other.err()),
    }
}

fn element((key, value): (&Key, &Value)) -> Vec<u8> {
    [borsh::to_vec(key).unwrap(), borsh::to_vec(value).unwrap()].concat()
}

fn one_of_each() -> Vec<(&'static str, Entry)> {
    let committee = Committee::new(members()).unwrap();
    let price = GlobalPrice { base_fee: 1_250_000, at_ms: NOW };
    let clock =
        Clock { height: 1_234_567, time_ms: NOW, non_empty_blocks: 1_200_000, l1_origin: origin() };
    let free = Namespace { held_by: None, standing: Standing::default(), ..held_namespace() };
    let held = Namespace {
        settings: NamespaceSettings { atomic: None, auction: None, ..limited() },
        ..held_namespace()
    };
    let record = ValidatorRecord {
        last_seen: 1_199_999,
        debt: 3 * 10u128.pow(15),
        earned: 6 * 10u128.pow(19),
    };
    let cut = LaneCut {
        incarnation: 3,
        seq: 98_765,
        digest: BatchDigest(hash_of("batch")),
        carry: 262_144,
    };
    let remembered =
        Remembered { valid_until: NOW + 60_000, id: TransactionId(hash_of("transaction")) };
    let mut withdrawals = Peaks::<Keccak>::default();
    for index in 0..5 {
        withdrawals.push(Withdrawal { index, to: address("receiver"), amount: 1 << 60 }.leaf());
    }
    let relay = Relay { pool: 7 * 10u128.pow(15), paid_at: 23_456_700 };
    let release = Release { at_ms: NOW + 60_000, account: address("bidder") };
    let next = Committee::new(members()[1..].to_vec()).unwrap();
    let mut silent = judged();
    silent.legs.iter_mut().for_each(|leg| leg.verdicts.clear());
    vec![
        ("clock", (Key::Clock, Value::Clock(clock))),
        ("global price", (Key::GlobalPrice, Value::GlobalPrice(price))),
        ("burned", (Key::Burned, Value::Wei(10u128.pow(21) + 1))),
        ("committee", (Key::Committee, Value::Committee(Box::new(committee)))),
        ("account", (Key::Account(address("rich")), Value::Wei(u128::MAX))),
        ("namespace", (Key::Namespace(NamespaceId(845_300)), Value::Namespace(Box::new(free)))),
        (
            "namespace that is held",
            (Key::Namespace(NamespaceId(845_301)), Value::Namespace(Box::new(held_namespace()))),
        ),
        (
            "namespace that is held and takes part no more",
            (Key::Namespace(NamespaceId(845_302)), Value::Namespace(Box::new(held))),
        ),
        ("validator", (Key::Validator(members()[1].address), Value::Validator(record))),
        ("lane", (Key::Lane(members()[1].address), Value::Lane(Box::new(cut)))),
        ("remembered transaction", (Key::Remembered(remembered), Value::Height(1_234_500))),
        ("no withdrawals", (Key::Withdrawals, Value::Withdrawals(Box::default()))),
        ("five withdrawals", (Key::Withdrawals, Value::Withdrawals(Box::new(withdrawals)))),
        ("stake", (Key::Stake(members()[2].address), Value::Wei(32 * 10u128.pow(18)))),
        ("next committee", (Key::NextCommittee, Value::Committee(Box::new(next)))),
        ("relay", (Key::Relay, Value::Relay(relay))),
        ("collateral", (Key::Collateral(address("bidder")), Value::Wei(8 * 10u128.pow(18)))),
        ("release", (Key::Release(release), Value::Wei(9 * 10u128.pow(18)))),
        ("undecided, nobody heard", undecided("bid of silence", silent)),
        ("undecided, verdicts of each kind", undecided("bid", judged())),
        ("undecided of the largest numbers", undecided("bid of all", largest())),
    ]
}

/// A bundle that waits, under the transaction of a name.
fn undecided(name: &str, bundle: Undecided) -> Entry {
    (Key::Undecided(TransactionId(hash_of(name))), Value::Undecided(Box::new(bundle)))
}

/// A bundle with two legs: on one, executors have said all that can be said; the other failed.
fn judged() -> Undecided {
    let AtomicSettings { executors, quorum, bond, hold_fee, .. } = atomic();
    let reserve = 4 * 10u128.pow(15);
    let said = [Verdict::Does(hash_of("effects")), Verdict::Void, Verdict::Fails];
    let leg = PendingLeg {
        namespace: NamespaceId(7),
        reserve,
        price: reserve + hold_fee,
        share: 6 * 10u128.pow(17),
        verdicts: executors.iter().copied().zip(said).collect(),
        executors,
        quorum,
        bond,
    };
    let alone = address("executor one");
    let other = PendingLeg {
        namespace: NamespaceId(845_301),
        reserve: 1,
        price: 1,
        share: 4 * 10u128.pow(17),
        executors: vec![alone],
        quorum: 1,
        bond: 0,
        verdicts: vec![(alone, Verdict::Fails)],
    };
    Undecided {
        height: 1_234_560,
        bidder: address("bidder"),
        amount: 10u128.pow(18),
        locked: 11 * 10u128.pow(17),
        deadline: Deadline { time_ms: NOW + 3_000, non_empty_blocks: 1_200_003, height: 1_234_688 },
        legs: vec![leg, other],
    }
}

/// A bundle of which every number is the largest of its type.
fn largest() -> Undecided {
    let leg = PendingLeg {
        namespace: NamespaceId(u64::MAX),
        reserve: u128::MAX,
        price: u128::MAX,
        share: u128::MAX,
        executors: (1..=16).map(Address::with_last_byte).collect(),
        quorum: u8::MAX,
        bond: u128::MAX,
        verdicts: vec![(Address::repeat_byte(0xff), Verdict::Does(B256::repeat_byte(0xff)))],
    };
    Undecided {
        height: u64::MAX,
        bidder: Address::repeat_byte(0xff),
        amount: u128::MAX,
        locked: u128::MAX,
        deadline: Deadline { time_ms: u64::MAX, non_empty_blocks: u64::MAX, height: u64::MAX },
        legs: vec![leg],
    }
}

/// A namespace with something in each of its fields.
fn held_namespace() -> Namespace {
    Namespace {
        settings: limited(),
        price: GlobalPrice { base_fee: 1_250_000, at_ms: NOW },
        tokens: 654_321,
        tokens_at_ms: NOW + 1,
        reserve: 4 * 10u128.pow(15),
        reserve_at: 1_234_560,
        earned: 5 * 10u128.pow(19),
        held_by: Some(TransactionId(hash_of("bid"))),
        standing: Standing { strikes: 2, level: 6, suspended_until: NOW + 1_920_000 },
    }
}

/// The entry of a bundle whose last verdict has another tag.
fn with_verdict(tag: u8) -> Vec<u8> {
    let (key, value) = undecided("bid", judged());
    let mut bytes = element((&key, &value));
    let last = bytes.len() - 1;
    bytes[last] = tag;
    bytes
}

/// The entry of a namespace that is held, with another tag of the option that says so.
fn held_by_option(tag: u8) -> Vec<u8> {
    let namespace = Value::Namespace(Box::new(held_namespace()));
    let mut bytes = element((&Key::Namespace(NamespaceId(7)), &namespace));
    // Before the id and the standing.
    let option = bytes.len() - 1 - 32 - (1 + 1 + 8);
    bytes[option] = tag;
    bytes
}

fn genesis() -> Genesis {
    let allocation = |name, balance| Allocation { address: address(name), balance };
    let mut accounts =
        vec![allocation("rich", 10u128.pow(24)), allocation("poor", 1), allocation("broke", 0)];
    accounts.sort_by_key(|allocation| allocation.address);
    let open = NamespaceSettings {
        submitters: Submitters::Anyone,
        quota: None,
        auction: None,
        atomic: None,
        ..limited()
    };
    Genesis {
        chain_id: 1477,
        time_ms: NOW,
        l1_origin: origin(),
        l1: None,
        params: Params::default(),
        validators: members(),
        stakes: (members().iter().zip(1..))
            .map(|(member, part): (_, u128)| Stake {
                validator: member.address,
                stake: part * 10u128.pow(19),
            })
            .collect(),
        accounts,
        namespaces: vec![
            GenesisNamespace { namespace: NamespaceId(7), settings: open },
            GenesisNamespace { namespace: NamespaceId(845_300), settings: limited() },
        ],
    }
}

fn limited() -> NamespaceSettings {
    NamespaceSettings {
        owner: address("owner"),
        revenue_recipient: address("treasury"),
        submitters: Submitters::Only(vec![address("gateway")]),
        quota: Some(Quota { bytes_per_second: 65_536, burst_bytes: 1_000_000 }),
        auction: Some(AuctionSettings { every: 12, floor: 3 * 10u128.pow(15) }),
        atomic: Some(atomic()),
    }
}

fn atomic() -> AtomicSettings {
    let mut executors = ["one", "two", "three"].map(|name| address(&format!("executor {name}")));
    executors.sort();
    AtomicSettings {
        executors: executors.to_vec(),
        quorum: 2,
        bond: 3 * 10u128.pow(17),
        hold_fee: 2 * 10u128.pow(14),
        partners: Partners::Only(vec![NamespaceId(7), NamespaceId(8)]),
    }
}

fn members() -> Vec<Member> {
    let mut members: Vec<Member> = [("a", 1), ("b", 1), ("c", 2), ("d", 300)]
        .map(|(name, seats)| Member { address: address(&format!("validator {name}")), seats })
        .to_vec();
    members.sort();
    members
}

fn origin() -> L1Origin {
    L1Origin { number: 23_456_789, hash: hash_of("L1 origin") }
}

fn hash_of(name: &str) -> B256 {
    keccak256(&[name.as_bytes()])
}

fn address(name: &str) -> Address {
    Address::from_slice(&hash_of(name)[12..])
}

fn key_content(key: &Key) -> Json {
    match key {
        Key::Clock => json!("clock"),
        Key::GlobalPrice => json!("global_price"),
        Key::Burned => json!("burned"),
        Key::Committee => json!("committee"),
        Key::Account(address) => json!({ "account": address }),
        Key::Namespace(id) => json!({ "namespace": id }),
        Key::Validator(address) => json!({ "validator": address }),
        Key::Lane(author) => json!({ "lane": author }),
        Key::Remembered(Remembered { valid_until, id }) => {
            json!({ "remembered": { "valid_until": valid_until.to_string(), "id": id } })
        }
        Key::Withdrawals => json!("withdrawals"),
        Key::Stake(validator) => json!({ "stake": validator }),
        Key::NextCommittee => json!("next_committee"),
        Key::Relay => json!("relay"),
        Key::Collateral(account) => json!({ "collateral": account }),
        Key::Release(Release { at_ms, account }) => {
            json!({ "release": { "at_ms": at_ms.to_string(), "account": account } })
        }
        Key::Undecided(bundle) => json!({ "undecided": bundle }),
    }
}

fn value_content(value: &Value) -> Json {
    match value {
        Value::Clock(clock) => json!({ "clock": {
            "height": clock.height.to_string(),
            "time_ms": clock.time_ms.to_string(),
            "non_empty_blocks": clock.non_empty_blocks.to_string(),
            "l1_origin": clock.l1_origin,
        } }),
        Value::GlobalPrice(price) => json!({ "global_price": price_content(price) }),
        Value::Wei(wei) => json!({ "wei": wei.to_string() }),
        Value::Committee(committee) => json!({ "committee": committee.members() }),
        Value::Namespace(namespace) => json!({ "namespace": {
            "settings": namespace.settings,
            "price": price_content(&namespace.price),
            "tokens": namespace.tokens.to_string(),
            "tokens_at_ms": namespace.tokens_at_ms.to_string(),
            "reserve": namespace.reserve.to_string(),
            "reserve_at": namespace.reserve_at.to_string(),
            "earned": namespace.earned.to_string(),
            "held_by": namespace.held_by,
            "standing": {
                "strikes": namespace.standing.strikes,
                "level": namespace.standing.level,
                "suspended_until": namespace.standing.suspended_until.to_string(),
            },
        } }),
        Value::Validator(record) => json!({ "validator": {
            "last_seen": record.last_seen.to_string(),
            "debt": record.debt.to_string(),
            "earned": record.earned.to_string(),
        } }),
        Value::Lane(cut) => json!({ "lane": {
            "incarnation": cut.incarnation,
            "seq": cut.seq.to_string(),
            "digest": cut.digest,
            "carry": cut.carry,
        } }),
        Value::Height(height) => json!({ "height": height.to_string() }),
        Value::Withdrawals(tree) => json!({ "withdrawals": {
            "count": tree.count().to_string(),
            "peaks": tree.peaks(),
        } }),
        Value::Relay(relay) => json!({ "relay": {
            "pool": relay.pool.to_string(),
            "paid_at": relay.paid_at.to_string(),
        } }),
        Value::Undecided(bundle) => json!({ "undecided": {
            "height": bundle.height.to_string(),
            "bidder": bundle.bidder,
            "amount": bundle.amount.to_string(),
            "locked": bundle.locked.to_string(),
            "deadline": {
                "time_ms": bundle.deadline.time_ms.to_string(),
                "non_empty_blocks": bundle.deadline.non_empty_blocks.to_string(),
                "height": bundle.deadline.height.to_string(),
            },
            "legs": bundle.legs.iter().map(leg_content).collect::<Vec<Json>>(),
        } }),
    }
}

fn leg_content(leg: &PendingLeg) -> Json {
    let verdict = |verdict| match verdict {
        Verdict::Fails => json!("fails"),
        Verdict::Does(effects) => json!({ "does": effects }),
        Verdict::Void => json!("void"),
    };
    let verdicts = leg
        .verdicts
        .iter()
        .map(|&(executor, said)| json!({ "executor": executor, "verdict": verdict(said) }));
    json!({
        "namespace": leg.namespace,
        "reserve": leg.reserve.to_string(),
        "price": leg.price.to_string(),
        "share": leg.share.to_string(),
        "executors": leg.executors,
        "quorum": leg.quorum,
        "bond": leg.bond.to_string(),
        "verdicts": verdicts.collect::<Vec<Json>>(),
    })
}

fn price_content(price: &GlobalPrice) -> Json {
    json!({ "base_fee": price.base_fee.to_string(), "at_ms": price.at_ms.to_string() })
}
