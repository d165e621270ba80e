//! Transactions: each payload, each rule of form, each limit.

use weft_types::limits::{MAX_SUBMIT_ITEMS, MAX_SUBMITTERS, MAX_TRANSACTION_BYTES};
use weft_types::{
    Address, Bytes, NamespaceId, NamespaceSettings, Payload, Quota, Signable, Signed, Submitters,
    Transaction, TransactionBody, Verify, transaction,
};

use crate::document::Vector;
use crate::fixtures::{CHAIN, NOW, account, address, signing, twin, with_v};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = accepted();
    vectors.extend(at_the_limits());
    vectors.extend(refused());
    vectors.extend(undecodable());
    vectors
}

fn accepted() -> Vec<Vector> {
    let quota = Quota { bytes_per_second: 65_536, burst_bytes: 1_000_000 };
    let listed = NamespaceSettings {
        submitters: Submitters::Only(sorted(["gateway", "sequencer", "operator"])),
        quota: Some(quota),
        ..settings()
    };
    let nobody =
        NamespaceSettings { submitters: Submitters::Only(vec![]), quota: None, ..settings() };
    let namespace = NamespaceId(845_300);
    let update = |settings| Payload::UpdateNamespace { namespace, settings };
    let dear = TransactionBody {
        valid_until: u64::MAX,
        salt: u64::MAX,
        max_fee: u128::MAX,
        ..body(Payload::Transfer { to: address("receiver"), amount: u128::MAX })
    };
    let zero = TransactionBody {
        valid_until: 0,
        salt: 0,
        max_fee: 0,
        ..body(Payload::Transfer { to: Address::ZERO, amount: 0 })
    };
    [
        ("submit one item", sample()),
        ("submit three items", sign(body(submit(vec![b"first", b"\x00", b"third item"])))),
        (
            "transfer",
            sign(body(Payload::Transfer { to: address("receiver"), amount: 15 * 10u128.pow(18) })),
        ),
        ("transfer of the largest numbers", sign(dear)),
        ("transfer of nothing", sign(zero)),
        (
            "register namespace",
            sign(body(Payload::RegisterNamespace { namespace, settings: listed })),
        ),
        ("update namespace, anyone", sign(body(update(settings())))),
        ("update namespace, nobody", sign(body(update(nobody)))),
        (
            "withdraw",
            sign(body(Payload::Withdraw { to: address("receiver"), amount: 3 * 10u128.pow(18) })),
        ),
    ]
    .into_iter()
    .map(|(name, transaction)| vector(name, &transaction, "accepted"))
    .collect()
}

fn at_the_limits() -> Vec<Vector> {
    let item = |bytes: usize| vec![Bytes::from(vec![0xab; bytes])];
    let of_size = |size: usize| {
        let empty = borsh::to_vec(&sign(body(payload(item(0))))).unwrap().len();
        sign(body(payload(item(size - empty))))
    };
    let of_items = |items: usize| sign(body(payload(vec![Bytes::from_static(b"x"); items])));
    let of_submitters = |count: u8| {
        let list = (1..=count).map(Address::with_last_byte).collect();
        let settings = NamespaceSettings { submitters: Submitters::Only(list), ..settings() };
        sign(body(Payload::RegisterNamespace { namespace: NamespaceId(7), settings }))
    };
    let most = MAX_SUBMITTERS as u8;
    let one_item = b"\x01\x00\x00\x00x";
    vec![
        long("largest", &of_size(MAX_TRANSACTION_BYTES), &[0xab], "accepted"),
        long("one byte too large", &of_size(MAX_TRANSACTION_BYTES + 1), &[0xab], "too_large"),
        long("most items", &of_items(MAX_SUBMIT_ITEMS), one_item, "accepted"),
        long("one item too many", &of_items(MAX_SUBMIT_ITEMS + 1), one_item, "too_many_items"),
        long("most submitters", &of_submitters(most), &[], "accepted"),
        long(
            "one submitter too many",
            &of_submitters(most + 1),
            &[],
            "settings/too_many_submitters",
        ),
    ]
}

fn refused() -> Vec<Vector> {
    let of = |settings: NamespaceSettings| {
        sign(body(Payload::UpdateNamespace { namespace: NamespaceId(7), settings }))
    };
    let only = |list| of(NamespaceSettings { submitters: Submitters::Only(list), ..settings() });
    let quota = |bytes_per_second, burst_bytes| {
        of(NamespaceSettings {
            quota: Some(Quota { bytes_per_second, burst_bytes }),
            ..settings()
        })
    };
    let mut descending = sorted(["gateway", "sequencer"]);
    descending.reverse();
    let fine = sample();
    let with = |signature| Transaction { signature, ..fine.clone() };
    let elsewhere = TransactionBody { chain_id: CHAIN + 1, ..fine.body.clone() };
    [
        ("another chain", Signed::new(elsewhere, CHAIN + 1, &account("sender")), "chain_id"),
        ("no items", sign(body(submit(vec![]))), "no_items"),
        (
            "withdraw nothing",
            sign(body(Payload::Withdraw { to: address("receiver"), amount: 0 })),
            "nothing_to_withdraw",
        ),
        ("an empty item", sign(body(submit(vec![b"first", b"", b"third"]))), "empty_item"),
        ("submitters descending", only(descending), "settings/unsorted_submitters"),
        ("a submitter twice", only(vec![address("gateway"); 2]), "settings/unsorted_submitters"),
        ("quota without a rate", quota(0, 1), "settings/empty_quota"),
        ("quota without a burst", quota(1, 0), "settings/empty_quota"),
        ("high s", with(twin(fine.signature)), "signature/high_s"),
        ("recovery byte 29", with(with_v(fine.signature, 29)), "signature/recovery_byte"),
    ]
    .into_iter()
    .map(|(name, transaction, reason)| vector(name, &transaction, reason))
    .collect()
}

fn undecodable() -> Vec<Vector> {
    let fine = borsh::to_vec(&sample()).unwrap();
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = fine.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    // chain_id, valid_until, salt and max_fee, then the payload's tag, then its namespace.
    let (tag, items) = (40, 49);
    let fixed = borsh::to_vec(&sign(body(Payload::UpdateNamespace {
        namespace: NamespaceId(7),
        settings: settings(),
    })))
    .unwrap();
    let in_settings = |from_tag: usize, byte: u8| {
        let mut bytes = fixed.clone();
        bytes[tag + from_tag] = byte;
        bytes
    };
    // After the tag: the namespace and two addresses.
    let submitters = 1 + 8 + 20 + 20;
    [
        ("no bytes", vec![]),
        ("one byte short", fine[..fine.len() - 1].to_vec()),
        ("one byte more", [&fine[..], &[0]].concat()),
        ("payload tag 5", changed(tag, &[5])),
        ("more items than bytes", changed(items, &u32::MAX.to_le_bytes())),
        ("an item longer than the rest", changed(items + 4, &u32::MAX.to_le_bytes())),
        ("submitters tag 2", in_settings(submitters, 2)),
        ("option tag 2", in_settings(submitters + 1, 2)),
    ]
    .into_iter()
    .map(|(name, bytes)| Vector::undecodable::<Transaction>(name, &bytes))
    .collect()
}

/// A well-formed transaction.
pub(crate) fn sample() -> Transaction {
    sign(body(submit(vec![b"hello, rollup"])))
}

/// A well-formed transaction that carries this item for a namespace.
pub(crate) fn submission(namespace: u64, item: &'static [u8]) -> Transaction {
    let data = vec![Bytes::from_static(item)];
    sign(body(Payload::Submit { namespace: NamespaceId(namespace), data }))
}

/// A signed transaction of the vectors' network.
pub(crate) fn sign(body: TransactionBody) -> Transaction {
    Signed::new(body, CHAIN, &account("sender"))
}

/// A body with this payload.
pub(crate) fn body(payload: Payload) -> TransactionBody {
    let max_fee = 2_500_000_000_000_000;
    TransactionBody { chain_id: CHAIN, valid_until: NOW + 60_000, salt: 81_985, max_fee, payload }
}

/// Settings without a list or a quota.
pub(crate) fn settings() -> NamespaceSettings {
    NamespaceSettings {
        owner: address("owner"),
        revenue_recipient: address("treasury"),
        submitters: Submitters::Anyone,
        quota: None,
    }
}

fn payload(data: Vec<Bytes>) -> Payload {
    Payload::Submit { namespace: NamespaceId(845_300), data }
}

fn submit(items: Vec<&'static [u8]>) -> Payload {
    payload(items.into_iter().map(Bytes::from_static).collect())
}

fn sorted<const N: usize>(names: [&str; N]) -> Vec<Address> {
    let mut addresses = names.map(address);
    addresses.sort();
    addresses.to_vec()
}

fn vector(name: &str, transaction: &Transaction, expected: &str) -> Vector {
    complete(Vector::of(name, transaction), transaction, expected)
}

fn long(name: &str, transaction: &Transaction, unit: &[u8], expected: &str) -> Vector {
    complete(Vector::long(name, transaction, unit), transaction, expected)
}

fn complete(vector: Vector, transaction: &Transaction, expected: &str) -> Vector {
    let checked = transaction.verify(CHAIN).map(|witness| {
        assert_eq!(witness.id, transaction::id_of(transaction));
        serde_json::json!({ "sender": witness.sender, "bytes": witness.bytes })
    });
    vector
        .context("chain_id", CHAIN.to_string())
        .hash("signing", signing(transaction.body.slot(), CHAIN, transaction.body.body_hash()))
        .hash("id", transaction::id_of(transaction))
        .verdict(expected, checked.map_err(Refusal))
}
