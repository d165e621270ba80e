//! The slices of a block: entries, leaves, and the root.

use serde_json::{Value, json};
use weft_types::merkle::{Blake3, TreeHash};
use weft_types::slice::NamespaceTree;
use weft_types::{
    BidMode, Bytes, Decision, Leg, LegPlace, Legs, NamespaceId, Slice, SliceEntry, SliceLeaf,
    TransactionId,
};

use crate::document::{Vector, hex};
use crate::fixtures::{address, hash_of};

pub(crate) fn vectors() -> Vec<Vector> {
    let one = slice(7, &["one"]);
    let later = slice(7, &["two"]);
    let bytes = borsh::to_vec(&vec![one.clone()]).unwrap();
    // Count and namespace, then the count of entries.
    let tag = 4 + 8 + 4;
    let tagged = |value: u8| {
        let mut bytes = bytes.clone();
        bytes[tag] = value;
        bytes
    };
    // The tag and the bundle, then the decision.
    let mut undecided = borsh::to_vec(&vec![of(7, [vec![decision(Decision::Failed)]])]).unwrap();
    undecided[tag + 1 + 32] = 3;
    // The tag, the bid and the bidder, then the mode.
    let mut other_mode = borsh::to_vec(&vec![headed(7, &[7], &[])]).unwrap();
    other_mode[tag + 1 + 32 + 20] = 2;
    vec![
        vector("no slices", vec![], "accepted"),
        vector("one slice of one entry", vec![one.clone()], "accepted"),
        vector("one slice of three entries", vec![slice(7, &["one", "two", "three"])], "accepted"),
        vector(
            "three slices",
            vec![slice(7, &["one"]), slice(9, &["two", "three"]), slice(u64::MAX, &["four"])],
            "accepted",
        ),
        vector("forced messages alone", vec![forced_to(7, &["hear me", "me too"])], "accepted"),
        vector(
            "forced messages before submissions",
            vec![of(
                7,
                [forced_to(7, &["hear me"]).entries, slice(7, &["one", "two"]).entries],
            )],
            "accepted",
        ),
        vector("a head alone", vec![headed(7, &[7], &[])], "accepted"),
        vector("a head before submissions", vec![headed(7, &[7], &["one", "two"])], "accepted"),
        vector(
            "a head before a forced message and a submission",
            vec![of(
                7,
                [headed(7, &[7], &[]), forced_to(7, &["hear me"]), slice(7, &["one"])]
                    .map(|slice| slice.entries),
            )],
            "accepted",
        ),
        vector(
            "one bid's heads of two slices",
            vec![
                headed(7, &[7, 9], &["one"]),
                slice(8, &["two"]),
                headed(9, &[7, 9], &[]),
            ],
            "accepted",
        ),
        vector(
            "heads of an atomic bid",
            vec![atomic(7, &[7, 9], &["one"]), slice(8, &["two"]), atomic(9, &[7, 9], &[])],
            "accepted",
        ),
        vector("committed", vec![of(7, [vec![decision(Decision::Committed)]])], "accepted"),
        vector("failed", vec![of(7, [vec![decision(Decision::Failed)]])], "accepted"),
        vector("timed out", vec![of(7, [vec![decision(Decision::TimedOut)]])], "accepted"),
        vector(
            "a decision before all else of one slice and alone in another",
            vec![
                of(
                    7,
                    [
                        vec![decision(Decision::Committed)],
                        forced_to(7, &["hear me"]).entries,
                        slice(7, &["one"]).entries,
                        vec![leg(7, &[7, 9])],
                    ],
                ),
                of(9, [vec![decision(Decision::Committed)]]),
            ],
            "accepted",
        ),
        vector(
            "a leg among submissions",
            vec![of(7, [slice(7, &["one"]).entries, vec![leg(7, &[7, 9])], later.entries])],
            "accepted",
        ),
        vector(
            "legs of one bundle alone in two slices",
            vec![of(7, [vec![leg(7, &[7, 9])]]), of(9, [vec![leg(9, &[7, 9])]])],
            "accepted",
        ),
        vector(
            "legs of two bundles in one slice",
            vec![of(9, [vec![leg(9, &[7, 9]), leg(9, &[9, 845_300])]])],
            "accepted",
        ),
        vector(
            "the last of eight legs",
            vec![of(u64::MAX, [vec![leg(u64::MAX, &[1, 2, 3, 4, 5, 6, 7, u64::MAX])]])],
            "accepted",
        ),
        vector(
            "an entry of each kind but a decision",
            vec![of(
                7,
                [
                    headed(7, &[7, 8, 9], &[]).entries,
                    forced_to(7, &["hear me"]).entries,
                    vec![leg(7, &[7, 9])],
                    slice(7, &["one"]).entries,
                ],
            )],
            "accepted",
        ),
        vector("descending", vec![slice(9, &["two"]), one.clone()], "unsorted"),
        vector("a namespace twice", vec![one, slice(7, &["two"])], "unsorted"),
        Vector::undecodable::<Vec<Slice>>("a submission as a decision", &tagged(0)),
        Vector::undecodable::<Vec<Slice>>("decision 3", &undecided),
        Vector::undecodable::<Vec<Slice>>("head's mode 2", &other_mode),
        Vector::undecodable::<Vec<Slice>>("entry tag 5", &tagged(5)),
        Vector::undecodable::<Vec<Slice>>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Vec<Slice>>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// A namespace's slice with an entry for each name, of one item, then two, and so on.
pub(crate) fn slice(namespace: u64, names: &[&str]) -> Slice {
    let entry = |(i, name): (usize, &&str)| SliceEntry::Submission {
        transaction: TransactionId(hash_of(&format!("transaction {name} of {namespace}"))),
        submitter: address(&format!("submitter {name}")),
        data: (0..=i).map(|item| Bytes::from(format!("{name} {item}").into_bytes())).collect(),
    };
    let entries = names.iter().enumerate().map(entry).collect();
    Slice { namespace: NamespaceId(namespace), entries }
}

/// A namespace's slice of all these entries.
pub(crate) fn of<const N: usize>(namespace: u64, entries: [Vec<SliceEntry>; N]) -> Slice {
    Slice { namespace: NamespaceId(namespace), entries: entries.concat() }
}

/// A namespace's slice that begins with what [`bid`], for these lots, brings to it, and then has
/// these entries.
pub(crate) fn headed(namespace: u64, lots: &[u64], names: &[&str]) -> Slice {
    headed_by(BidMode::Inclusion, namespace, lots, names)
}

/// The same of a bid that is atomic.
pub(crate) fn atomic(namespace: u64, lots: &[u64], names: &[&str]) -> Slice {
    headed_by(BidMode::Atomic, namespace, lots, names)
}

fn headed_by(mode: BidMode, namespace: u64, lots: &[u64], names: &[&str]) -> Slice {
    let (place, data) = stand(namespace, &legs_of_bid(lots));
    let (transaction, bidder) = (bid(), address("bidder"));
    let head = SliceEntry::Head { transaction, bidder, mode, place, data };
    of(namespace, [vec![head], slice(namespace, names).entries])
}

/// What became of an atomic bundle of an earlier height.
pub(crate) fn decision(decision: Decision) -> SliceEntry {
    SliceEntry::Decision { bundle: TransactionId(hash_of("earlier bid")), decision }
}

/// What the bid for these lots brings: two items to each.
pub(crate) fn legs_of_bid(lots: &[u64]) -> Vec<Leg> {
    legs(lots, "head", 2)
}

/// A namespace's leg of the bundle for these namespaces.
pub(crate) fn leg(namespace: u64, bundle: &[u64]) -> SliceEntry {
    let (place, data) = stand(namespace, &legs_of_bundle(bundle));
    let transaction = TransactionId(hash_of(&format!("bundle for {bundle:?}")));
    SliceEntry::Leg { transaction, submitter: address("submitter of bundles"), place, data }
}

/// What the bundle for these namespaces brings: an item to each.
pub(crate) fn legs_of_bundle(namespaces: &[u64]) -> Vec<Leg> {
    legs(namespaces, "leg", 1)
}

/// Legs for these namespaces, of so many items that say of whom they are.
fn legs(namespaces: &[u64], name: &str, items: usize) -> Vec<Leg> {
    let leg = |&namespace: &u64| {
        let item = |item| Bytes::from(format!("{name} {item} of {namespace}").into_bytes());
        Leg { namespace: NamespaceId(namespace), data: (0..items).map(item).collect() }
    };
    namespaces.iter().map(leg).collect()
}

/// Where a namespace's leg stands, and what it brings.
fn stand(namespace: u64, legs: &[Leg]) -> (LegPlace, Vec<Bytes>) {
    let mut placed = Legs::of(legs).places().zip(legs);
    let (place, leg) = placed.find(|(_, leg)| leg.namespace == NamespaceId(namespace)).unwrap();
    (place, leg.data.clone())
}

/// The bid that took the lots of [`headed`] slices.
pub(crate) fn bid() -> TransactionId {
    TransactionId(hash_of("bid"))
}

/// A namespace's slice of forced messages only.
pub(crate) fn forced_to(namespace: u64, messages: &[&str]) -> Slice {
    let entry = |(index, message): (u64, &&str)| SliceEntry::Forced {
        index,
        sender: address(&format!("sender of {message}")),
        data: Bytes::from(message.as_bytes().to_vec()),
    };
    let entries = (70_000..).zip(messages).map(entry).collect();
    Slice { namespace: NamespaceId(namespace), entries }
}

/// The bytes that a leaf's hash covers.
fn layout(leaf: &SliceLeaf) -> Vec<u8> {
    [
        &leaf.namespace.0.to_be_bytes()[..],
        &leaf.entries.to_be_bytes(),
        &leaf.bytes.to_be_bytes(),
        leaf.data_root.as_slice(),
    ]
    .concat()
}

fn vector(name: &str, slices: Vec<Slice>, expected: &str) -> Vector {
    let leaves: Vec<SliceLeaf> = slices.iter().map(Slice::leaf).collect();
    let details: Value = slices
        .iter()
        .zip(&leaves)
        .map(|(slice, leaf)| {
            let encoded = slice.entries.iter().map(|entry| borsh::to_vec(entry).unwrap());
            let entries: Vec<_> = encoded.map(|bytes| Blake3::leaf(&bytes)).collect();
            json!({
                "entry_leaves": entries,
                "leaf": leaf,
                "layout": hex(layout(leaf)),
                "leaf_hash": leaf.hash(),
            })
        })
        .collect();
    let root = NamespaceTree::new(leaves).map(|tree| tree.slices_root()).ok_or("unsorted");
    Vector::of(name, &slices).hash("slices", details).verdict(expected, root)
}
