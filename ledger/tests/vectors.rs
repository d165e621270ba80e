//! Golden vectors of ledger entries and of the ledger root (protocol section 6). The files stand
//! in `spec/vectors`; what they hold is described there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "vectors are files, written if the environment asks")]

#[path = "../../types/tests/vectors/document.rs"]
#[allow(dead_code, reason = "shared with the vectors of weft-types, which use all of it")]
mod document;

use document::{Vector, hex, settle};
use serde_json::{Value as Json, json};
use weft_ledger::{
    Clock, GlobalPrice, Key, LaneCut, Namespace, Relay, Release, Remembered, SnapshotError, State,
    ValidatorRecord, Value,
};
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::hash::keccak256;
use weft_types::{
    Address, AuctionSettings, B256, BatchDigest, Committee, Genesis, L1Origin, Member, NamespaceId,
    NamespaceSettings, Params, Quota, Results, Stake, Submitters, TransactionId, Withdrawal,
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
        ("key tag 15", vec![15, 7, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("value tag 10", vec![0, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
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
    let namespace = Namespace {
        settings: limited(),
        price,
        tokens: 654_321,
        tokens_at_ms: NOW + 1,
        reserve: 4 * 10u128.pow(15),
        reserve_at: 1_234_560,
        earned: 5 * 10u128.pow(19),
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
    vec![
        ("clock", (Key::Clock, Value::Clock(clock))),
        ("global price", (Key::GlobalPrice, Value::GlobalPrice(price))),
        ("burned", (Key::Burned, Value::Wei(10u128.pow(21) + 1))),
        ("committee", (Key::Committee, Value::Committee(Box::new(committee)))),
        ("account", (Key::Account(address("rich")), Value::Wei(u128::MAX))),
        (
            "namespace",
            (Key::Namespace(NamespaceId(845_300)), Value::Namespace(Box::new(namespace))),
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
    ]
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
    }
}

fn price_content(price: &GlobalPrice) -> Json {
    json!({ "base_fee": price.base_fee.to_string(), "at_ms": price.at_ms.to_string() })
}
