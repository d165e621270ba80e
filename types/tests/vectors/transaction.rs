//! Transactions: each payload, each rule of form, each limit.

use weft_types::limits::{
    MAX_BID_AMOUNT, MAX_BID_LEGS, MAX_EXECUTORS, MAX_PARTNERS, MAX_SUBMIT_ITEMS, MAX_SUBMITTERS,
    MAX_TRANSACTION_BYTES,
};
use weft_types::{Address, AtomicSettings, AuctionSettings, B256, BidMode, Bytes, Leg, NamespaceId, NamespaceSettings, Payload, Quota, Signable, Signed, Submitters, Transaction, TransactionBody, TransactionId, Verify, Wei, transaction, Partners};

use crate::document::Vector;
use crate::fixtures::{CHAIN, NOW, account, address, hash_of, signing, twin, with_v};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = accepted();
    vectors.extend(accepted_atomic());
    vectors.extend(at_the_limits());
    vectors.extend(refused());
    vectors.extend(refused_atomic());
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
    let auction = |every, floor| NamespaceSettings {
        auction: Some(AuctionSettings { every, floor }),
        ..listed.clone()
    };
    let (sold_rarely, sold_always) = (auction(u64::MAX, MAX_BID_AMOUNT), auction(1, 0));
    let several = leg(7, vec![b"first", b"\x00", b"third item"]);
    let dearest = Payload::Bid {
        sequence: u64::MAX,
        height: u64::MAX,
        amount: MAX_BID_AMOUNT,
        mode: BidMode::Inclusion,
        legs: vec![leg(u64::MAX, vec![b"x"])],
    };
    let cheapest = Payload::Bid {
        sequence: 0,
        height: 0,
        amount: 1,
        mode: BidMode::Inclusion,
        legs: vec![leg(0, vec![b"x"])],
    };
    let large = several.clone();
    let farthest = vec![leg(0, vec![b"x"]), leg(u64::MAX, vec![b"x"])];
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
        (
            "register namespace with an auction",
            sign(body(Payload::RegisterNamespace { namespace, settings: sold_rarely })),
        ),
        ("update namespace with an auction", sign(body(update(sold_always)))),
        ("update namespace, anyone", sign(body(update(settings())))),
        ("update namespace, nobody", sign(body(update(nobody)))),
        (
            "withdraw",
            sign(body(Payload::Withdraw { to: address("receiver"), amount: 3 * 10u128.pow(18) })),
        ),
        ("bid for one lot", sample_bid()),
        ("bid for two lots", sign(body(bid(10u128.pow(17), vec![several, leg(9, vec![b"x"])])))),
        ("bid that withdraws another", sign(body(bid(0, vec![])))),
        ("bid of the largest numbers", sign(body(dearest))),
        ("bid of the smallest numbers", sign(body(cheapest))),
        ("bundle of two legs", sign(body(bundle(vec![large, leg(9, vec![b"x"])])))),
        ("bundle of the farthest namespaces", sign(body(bundle(farthest)))),
        ("lock collateral", sign(body(Payload::LockCollateral { amount: 7 * 10u128.pow(18) }))),
        (
            "release collateral",
            sign(body(Payload::ReleaseCollateral { amount: 5 * 10u128.pow(18) })),
        ),
        ("lock all there could be", sign(body(Payload::LockCollateral { amount: u128::MAX }))),
        (
            "release all there could be",
            sign(body(Payload::ReleaseCollateral { amount: u128::MAX })),
        ),
    ]
    .into_iter()
    .map(|(name, transaction)| vector(name, &transaction, "accepted"))
    .collect()
}

/// What atomic bundles need: bids, settings, verdicts.
fn accepted_atomic() -> Vec<Vector> {
    let legs = |namespaces: &[u64]| namespaces.iter().map(|id| leg(*id, vec![b"x"])).collect();
    let largest = AtomicSettings {
        executors: vec![Address::ZERO, Address::repeat_byte(0xff)],
        quorum: 2,
        bond: u128::MAX,
        hold_fee: MAX_BID_AMOUNT,
        partners: Partners::Only((0..MAX_PARTNERS as u64).map(NamespaceId).collect()),
    };
    let (bundle, namespace) = (TransactionId(hash_of("bundle")), NamespaceId(845_300));
    let verdict = |effects| Payload::Verdict { bundle, namespace, effects };
    let farthest = Payload::Verdict {
        bundle: TransactionId(B256::repeat_byte(0xff)),
        namespace: NamespaceId(u64::MAX),
        effects: Some(B256::repeat_byte(0xff)),
    };
    let first = Payload::Verdict {
        bundle: TransactionId::ZERO,
        namespace: NamespaceId(0),
        effects: Some(B256::ZERO),
    };
    [
        ("atomic bid for two lots", sign(body(atomic_bid(1, legs(&[7, 9]))))),
        (
            "atomic bid for most lots",
            sign(body(atomic_bid(MAX_BID_AMOUNT, legs(&[1, 2, 3, 4, 5, 6, 7, u64::MAX])))),
        ),
        (
            "register namespace with executors",
            sign(body(Payload::RegisterNamespace { namespace, settings: executed(atomic()) })),
        ),
        ("one executor", update(executors(1, 1))),
        ("two of two executors", update(executors(2, 2))),
        ("two of three executors", update(executors(3, 2))),
        ("three of four executors", update(executors(4, 3))),
        ("all of five executors", update(executors(5, 5))),
        ("executors of the largest numbers", update(largest)),
        ("verdict", sign(body(verdict(Some(hash_of("effects")))))),
        ("verdict that a leg fails", sign(body(verdict(None)))),
        ("verdict of the largest numbers", sign(body(farthest))),
        ("verdict of zeros", sign(body(first))),
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
    let full_leg = |items: usize| {
        let data = vec![Bytes::from_static(b"x"); items];
        Leg { namespace: NamespaceId(7), data }
    };
    let of_leg = |items: usize| sign(body(bid(1, vec![full_leg(items)])));
    let of_leg_of_two =
        |items: usize| sign(body(bundle(vec![full_leg(items), leg(9, vec![b"y"])])));
    let legs =
        |legs: usize| (1..=legs as u64).map(|namespace| leg(namespace, vec![b"x"])).collect();
    let of_legs = |count: usize| sign(body(bid(1, legs(count))));
    let of_many = |count: usize| sign(body(bundle(legs(count))));
    let most = MAX_SUBMITTERS as u8;
    let all = MAX_EXECUTORS as u8;
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
        vector("most executors", &update(executors(all, all / 2 + 1)), "accepted"),
        vector(
            "one executor too many",
            &update(executors(all + 1, all / 2 + 1)),
            "settings/executors",
        ),
        vector("most legs", &of_legs(MAX_BID_LEGS), "accepted"),
        vector("one leg too many", &of_legs(MAX_BID_LEGS + 1), "too_many_legs"),
        long("most items of a leg", &of_leg(MAX_SUBMIT_ITEMS), one_item, "accepted"),
        long(
            "one item too many of a leg",
            &of_leg(MAX_SUBMIT_ITEMS + 1),
            one_item,
            "too_many_items",
        ),
        vector("bundle of most legs", &of_many(MAX_BID_LEGS), "accepted"),
        vector("bundle of one leg too many", &of_many(MAX_BID_LEGS + 1), "too_many_legs"),
        vector("bundle of one leg", &of_many(1), "too_few_legs"),
        vector("bundle of no legs", &of_many(0), "too_few_legs"),
        long(
            "most items of a bundle's leg",
            &of_leg_of_two(MAX_SUBMIT_ITEMS),
            one_item,
            "accepted",
        ),
        long(
            "one item too many of a bundle's leg",
            &of_leg_of_two(MAX_SUBMIT_ITEMS + 1),
            one_item,
            "too_many_items",
        ),
    ]
}

fn refused() -> Vec<Vector> {
    let of = |settings: NamespaceSettings| {
        sign(body(Payload::UpdateNamespace { namespace: NamespaceId(7), settings }))
    };
    let only = |list| of(NamespaceSettings { submitters: Submitters::Only(list), ..settings() });
    let quota = |bytes_per_second, burst_bytes| {
        of(NamespaceSettings { quota: Some(Quota { bytes_per_second, burst_bytes }), ..settings() })
    };
    let auction = |every, floor| {
        of(NamespaceSettings { auction: Some(AuctionSettings { every, floor }), ..settings() })
    };
    let two_legs = |first, second| sign(body(bid(1, vec![first, second])));
    let bound = |first, second| sign(body(bundle(vec![first, second])));
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
        ("lock no collateral", sign(body(Payload::LockCollateral { amount: 0 })), "no_collateral"),
        (
            "release no collateral",
            sign(body(Payload::ReleaseCollateral { amount: 0 })),
            "no_collateral",
        ),
        ("legs descending", two_legs(leg(9, vec![b"x"]), leg(7, vec![b"x"])), "unsorted_legs"),
        ("two legs for one lot", two_legs(leg(7, vec![b"x"]), leg(7, vec![b"y"])), "unsorted_legs"),
        (
            "bid of 1 wei too much",
            sign(body(bid(MAX_BID_AMOUNT + 1, vec![leg(7, vec![b"x"])]))),
            "too_much",
        ),
        ("bid of nothing for a lot", sign(body(bid(0, vec![leg(7, vec![b"x"])]))), "half_bid"),
        ("bid of something for no lot", sign(body(bid(1, vec![]))), "half_bid"),
        ("a leg without items", two_legs(leg(7, vec![b"x"]), leg(9, vec![])), "no_items"),
        (
            "a leg with an empty item",
            two_legs(leg(7, vec![b"x"]), leg(9, vec![b"y", b""])),
            "empty_item",
        ),
        ("bundle's legs descending", bound(leg(9, vec![b"x"]), leg(7, vec![b"x"])), "unsorted_legs"),
        (
            "two of a bundle's legs for one namespace",
            bound(leg(7, vec![b"x"]), leg(7, vec![b"y"])),
            "unsorted_legs",
        ),
        ("a bundle's leg without items", bound(leg(7, vec![b"x"]), leg(9, vec![])), "no_items"),
        (
            "a bundle's leg with an empty item",
            bound(leg(7, vec![b"x", b""]), leg(9, vec![b"y"])),
            "empty_item",
        ),
        ("an auction at no height", auction(0, 1), "settings/auction_never"),
        (
            "an auction with a floor too high",
            auction(1, MAX_BID_AMOUNT + 1),
            "settings/auction_floor",
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

fn refused_atomic() -> Vec<Vector> {
    let changed = |change: &dyn Fn(&mut AtomicSettings)| {
        let mut settings = executors(3, 2);
        change(&mut settings);
        update(settings)
    };
    let no_auction = NamespaceSettings { auction: None, ..executed(atomic()) };
    let one_leg = vec![leg(7, vec![b"x"])];
    let two_legs = vec![leg(7, vec![b"x"]), leg(9, vec![b"x"])];
    let descending = vec![leg(9, vec![b"x"]), leg(7, vec![b"x"])];
    [
        (
            "atomic without an auction",
            sign(body(Payload::UpdateNamespace {
                namespace: NamespaceId(7),
                settings: no_auction,
            })),
            "settings/atomic_without_auction",
        ),
        ("no executors", update(executors(0, 1)), "settings/executors"),
        (
            "executors descending",
            changed(&|settings| settings.executors.reverse()),
            "settings/unsorted_executors",
        ),
        (
            "an executor twice",
            changed(&|settings| settings.executors[1] = settings.executors[0]),
            "settings/unsorted_executors",
        ),
        ("none of one executor", update(executors(1, 0)), "settings/quorum"),
        ("two of one executor", update(executors(1, 2)), "settings/quorum"),
        ("one of two executors", update(executors(2, 1)), "settings/quorum"),
        ("two of four executors", update(executors(4, 2)), "settings/quorum"),
        ("two of five executors", update(executors(5, 2)), "settings/quorum"),
        ("all executors and one more", update(executors(5, 6)), "settings/quorum"),
        ("a quorum of 255", update(executors(5, 255)), "settings/quorum"),
        (
            "holding too dear",
            changed(&|settings| settings.hold_fee = MAX_BID_AMOUNT + 1),
            "settings/hold_fee",
        ),
        (
            "too many partners",
            changed(&|settings| {
                settings.partners = Partners::Only((0..=MAX_PARTNERS as u64).map(NamespaceId).collect());
            }),
            "settings/too_many_partners",
        ),
        (
            "a partner twice",
            changed(&|settings| settings.partners = Partners::Only(vec![NamespaceId(5); 2])),
            "settings/unsorted_partners",
        ),
        ("atomic bid for one lot", sign(body(atomic_bid(1, one_leg))), "atomic_legs"),
        ("atomic bid that withdraws another", sign(body(atomic_bid(0, vec![]))), "atomic_legs"),
        ("atomic bid of nothing for two lots", sign(body(atomic_bid(0, two_legs))), "half_bid"),
        ("atomic bid's legs descending", sign(body(atomic_bid(1, descending))), "unsorted_legs"),
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
    // After the tag: sequence, height and amount, then the mode.
    let mode = tag + 1 + 8 + 8 + 16;
    let mut other_mode = borsh::to_vec(&sample_bid()).unwrap();
    let mut endless = other_mode.clone();
    other_mode[mode] = 2;
    endless[mode + 1..mode + 5].copy_from_slice(&u32::MAX.to_le_bytes());
    let two = bundle(vec![leg(7, vec![b"x"]), leg(9, vec![b"x"])]);
    let mut bundle_endless = borsh::to_vec(&sign(body(two))).unwrap();
    bundle_endless[tag + 1..tag + 5].copy_from_slice(&u32::MAX.to_le_bytes());
    // After the tag: the namespace and two addresses.
    let submitters = 1 + 8 + 20 + 20;
    // Of anyone; then no quota and no auction, each of one byte.
    let atomic_option = submitters + 3;
    // Behind the auction's option stand 24 bytes of it, then the option and the list of executors.
    let list = tag + submitters + 2 + 1 + 24 + 1;
    let mut executors_endless = borsh::to_vec(&update(executors(3, 2))).unwrap();
    executors_endless[list..list + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    // After the tag: a hash and the namespace.
    let effects = tag + 1 + 32 + 8;
    let verdict = |effects| {
        let (bundle, namespace) = (TransactionId(hash_of("bundle")), NamespaceId(7));
        borsh::to_vec(&sign(body(Payload::Verdict { bundle, namespace, effects }))).unwrap()
    };
    let with_option = |mut bytes: Vec<u8>, option: u8| {
        bytes[effects] = option;
        bytes
    };
    let of_leg = verdict(Some(hash_of("effects")));
    [
        ("no bytes", vec![]),
        ("one byte short", fine[..fine.len() - 1].to_vec()),
        ("one byte more", [&fine[..], &[0]].concat()),
        ("payload tag 10", changed(tag, &[10])),
        ("more items than bytes", changed(items, &u32::MAX.to_le_bytes())),
        ("an item longer than the rest", changed(items + 4, &u32::MAX.to_le_bytes())),
        ("submitters tag 2", in_settings(submitters, 2)),
        ("quota's option tag 2", in_settings(submitters + 1, 2)),
        ("auction's option tag 2", in_settings(submitters + 2, 2)),
        ("atomic settings' option tag 2", in_settings(atomic_option, 2)),
        ("atomic settings without content", in_settings(atomic_option, 1)),
        ("more executors than bytes", executors_endless),
        ("bid mode 2", other_mode),
        ("effects' option tag 2", with_option(of_leg.clone(), 2)),
        ("effects after their option tag 0", with_option(of_leg, 0)),
        ("no effects after their option tag 1", with_option(verdict(None), 1)),
        ("more legs than bytes", endless),
        ("more legs of a bundle than bytes", bundle_endless),
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

/// Settings without a list, a quota, an auction or executors.
pub(crate) fn settings() -> NamespaceSettings {
    NamespaceSettings {
        owner: address("owner"),
        revenue_recipient: address("treasury"),
        submitters: Submitters::Anyone,
        quota: None,
        auction: None,
        atomic: None,
    }
}

/// Two of three executors.
pub(crate) fn atomic() -> AtomicSettings {
    AtomicSettings {
        executors: sorted(["executor one", "executor two", "executor three"]),
        quorum: 2,
        bond: 3 * 10u128.pow(17),
        hold_fee: 2 * 10u128.pow(14),
        partners: Partners::Only(vec![NamespaceId(7), NamespaceId(8)]),
    }
}

/// So many of so many executors, for nothing.
fn executors(count: u8, quorum: u8) -> AtomicSettings {
    let executors = (1..=count).map(Address::with_last_byte).collect();
    AtomicSettings { executors, quorum, bond: 0, hold_fee: 0, partners: Partners::Anyone }
}

/// Settings with an auction and these executors.
fn executed(atomic: AtomicSettings) -> NamespaceSettings {
    let auction = Some(AuctionSettings { every: 12, floor: 3 * 10u128.pow(15) });
    NamespaceSettings { auction, atomic: Some(atomic), ..settings() }
}

/// An update to settings with an auction and these executors.
fn update(atomic: AtomicSettings) -> Transaction {
    let settings = executed(atomic);
    sign(body(Payload::UpdateNamespace { namespace: NamespaceId(7), settings }))
}

/// A well-formed bid.
fn sample_bid() -> Transaction {
    sign(body(bid(25 * 10u128.pow(15), vec![leg(845_300, vec![b"first of all"])])))
}

fn bid(amount: Wei, legs: Vec<Leg>) -> Payload {
    Payload::Bid { sequence: 3, height: 1_234_568, amount, mode: BidMode::Inclusion, legs }
}

fn atomic_bid(amount: Wei, legs: Vec<Leg>) -> Payload {
    Payload::Bid { sequence: 3, height: 1_234_568, amount, mode: BidMode::Atomic, legs }
}

fn bundle(legs: Vec<Leg>) -> Payload {
    Payload::Bundle { legs }
}

fn leg(namespace: u64, items: Vec<&'static [u8]>) -> Leg {
    let data = items.into_iter().map(Bytes::from_static).collect();
    Leg { namespace: NamespaceId(namespace), data }
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
