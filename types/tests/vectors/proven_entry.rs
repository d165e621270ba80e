//! One entry of a slice with all that proves it, and what must not pass for one.

use serde_json::json;
use weft_types::merkle::{Blake3, TreeHash};
use weft_types::slice::ProvenEntry;
use weft_types::{
    B256, BidMode, BlockId, Bytes, Decision, Header, LegPlace, Legs, NamespaceId, Results,
    SliceEntry, Verify,
};

use crate::chain::Chain;
use crate::document::Vector;
use crate::fixtures::{CHAIN, hash_of};
use crate::refusal::Refusal;
use crate::slices::{
    atomic, decision, forced_to, headed, leg, legs_of_bid, legs_of_bundle, of, slice,
};

/// Who has a lot that the bid took.
const LOTS: [u64; 2] = [10, 30];

/// Who has a leg of the bundle.
const BUNDLE: [u64; 3] = [10, 20, 40];

/// Places of the entries in the slice of namespace 10.
const HEAD: usize = 0;
const FORCED: usize = 1;
const SUBMISSION: usize = 2;
const LEG: usize = 3;

pub(crate) fn vectors() -> Vec<Vector> {
    let chain = chain(leg(10, &BUNDLE));
    let proven = |namespace, index, legs| chain.prove_entry(namespace, index, legs);
    let accepted = [
        ("a head", 10, proven(10, HEAD, bid())),
        ("a forced message", 10, proven(10, FORCED, None)),
        ("a submission", 10, proven(10, SUBMISSION, None)),
        ("a leg", 10, proven(10, LEG, bundle())),
        ("the last entry", 10, proven(10, 4, None)),
        ("the next leg", 20, proven(20, 1, bundle())),
        ("a head alone", 30, proven(30, 0, bid())),
        ("a leg alone", 40, proven(40, 0, bundle())),
    ];
    let mut vectors: Vec<Vector> =
        accepted.iter().map(|(name, of, entry)| shown(&chain, name, *of, entry)).collect();
    vectors.extend(not_certified(&chain));
    vectors.extend(elsewhere(&chain));
    vectors.extend(other_legs(&chain));
    vectors.extend(lying_places());
    vectors.extend(of_atomic_bundles());

    let bytes = borsh::to_vec(&proven(10, SUBMISSION, None)).unwrap();
    let tag = entry_tag(&proven(10, SUBMISSION, None));
    let mut unknown = bytes.clone();
    unknown[tag] = 5;
    // The option stands last.
    let option = [&bytes[..bytes.len() - 1], &[2]].concat();
    let undecodable = [
        ("entry tag 5", unknown),
        ("option tag 2", option),
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("one byte more", [&bytes[..], &[0]].concat()),
    ];
    vectors
        .extend(undecodable.map(|(name, bytes)| Vector::undecodable::<ProvenEntry>(name, &bytes)));
    vectors
}

/// What is wrong with headers, certificate or the slice's own proof.
fn not_certified(chain: &Chain) -> Vec<Vector> {
    let fine = chain.prove_entry(10, LEG, bundle());
    let change = |change: &dyn Fn(&mut ProvenEntry)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed
    };
    // Changes at or below the child's header; what stands above it is certified again.
    let again = |with: &dyn Fn(&mut ProvenEntry)| {
        let mut changed = change(with);
        let Header { height, .. } = changed.child;
        changed.certificate = chain.network.certify(height, changed.child.id(), &[0, 1, 3]);
        changed
    };
    let link = |entry: &mut ProvenEntry| {
        entry.header.chain_id += 1;
        entry.child.parent = entry.header.id();
    };
    let certify = |height, of: &Header| chain.network.certify(height, of.id(), &[0, 1, 3]);
    [
        ("header of another chain", 10, again(&link), "chain_id"),
        ("child of another chain", 10, again(&|e| e.child.chain_id += 1), "chain_id"),
        (
            "another parent",
            10,
            again(&|e| e.child.parent = BlockId(hash_of("parent"))),
            "not_parent",
        ),
        ("not the next height", 10, again(&|e| e.child.height += 1), "not_parent"),
        (
            "another committee",
            10,
            again(&|e| e.child.validators_hash = hash_of("validators")),
            "wrong_committee",
        ),
        (
            "certificate of another block",
            10,
            change(&|e| e.certificate = certify(101, &e.header)),
            "wrong_certificate",
        ),
        (
            "certificate of another height",
            10,
            change(&|e| e.certificate = certify(100, &e.child)),
            "wrong_certificate",
        ),
        (
            "too few votes",
            10,
            change(&|e| e.certificate.signatures.truncate(2)),
            "certificate/no_quorum",
        ),
        (
            "another round's votes",
            10,
            change(&|e| e.certificate.round += 1),
            "certificate/signature/wrong_signer",
        ),
        (
            "another slices root",
            10,
            again(&|e| e.child.parent_outcome.slices_root = hash_of("slices")),
            "proof/root",
        ),
        ("count too high", 10, change(&|e| e.proof.count = 5), "proof/root"),
        ("of another namespace", 20, fine.clone(), "proof/wrong_namespace"),
        (
            "another's proof",
            10,
            change(&|e| e.proof = chain.prove(20).proof),
            "proof/wrong_namespace",
        ),
        (
            "of an absent namespace",
            25,
            change(&|e| e.proof = chain.prove(25).proof),
            "wrong_entries",
        ),
    ]
    .map(|(name, of, entry, reason)| long(chain, name, of, &entry, reason))
    .into()
}

/// Paths that do not lead from the entry to its slice.
fn elsewhere(chain: &Chain) -> Vec<Vector> {
    let change = |change: &dyn Fn(&mut ProvenEntry)| {
        let mut changed = chain.prove_entry(10, LEG, bundle());
        change(&mut changed);
        changed
    };
    let another = |change: fn(&mut SliceEntry)| {
        let mut changed = chain.prove_entry(10, LEG, bundle());
        change(&mut changed.entry);
        changed
    };
    let last = || chain.prove_entry(10, 4, None);
    let of_next = || chain.prove_entry(20, 1, bundle());
    [
        ("path of another entry", change(&|e| e.path = last().path)),
        ("another index", change(&|e| e.path.index = 2)),
        ("an index beyond the end", change(&|e| e.path.index = 5)),
        ("another sibling", change(&|e| e.path.siblings[1] = hash_of("sibling"))),
        ("a sibling missing", change(&|e| e.path.siblings.truncate(2))),
        ("a sibling more", change(&|e| e.path.siblings.push(hash_of("sibling")))),
        ("another entry of the slice", change(&|e| e.entry = last().entry)),
        ("the same bundle's leg for another", change(&|e| e.entry = of_next().entry)),
        ("another index among the legs", another(|entry| place_of(entry).index = 1)),
        ("another count of legs", another(|entry| place_of(entry).count = 2)),
        ("another root of legs", another(|entry| place_of(entry).root = hash_of("root"))),
        ("another item", another(|entry| data_of(entry)[0] = Bytes::from_static(b"another"))),
    ]
    .map(|(name, entry)| long(chain, name, 10, &entry, "wrong_entries"))
    .into()
}

/// Legs other than those that the entry's place stands for.
fn other_legs(chain: &Chain) -> Vec<Vector> {
    let with = |index, legs| chain.prove_entry(10, index, legs);
    let change = |change: fn(&mut Legs)| {
        let mut legs = bundle().unwrap();
        change(&mut legs);
        with(LEG, Some(legs))
    };
    [
        ("a leg without legs", with(LEG, None)),
        ("a head without legs", with(HEAD, None)),
        ("a forced message with legs", with(FORCED, bundle())),
        ("a submission with legs", with(SUBMISSION, bundle())),
        ("a submission with no legs listed", with(SUBMISSION, Some(Legs(vec![])))),
        ("a leg with no legs listed", with(LEG, Some(Legs(vec![])))),
        ("a leg with the bid's legs", with(LEG, bid())),
        ("a head with the bundle's legs", with(HEAD, bundle())),
        ("a leg listed alone", change(|legs| legs.0.truncate(1))),
        ("the last leg left out", change(|legs| legs.0.truncate(2))),
        ("a leg more", change(|legs| legs.0.extend_from_within(2..))),
        ("other legs swapped", change(|legs| legs.0.swap(1, 2))),
        ("another leg's namespace changed", change(|legs| legs.0[2].namespace = NamespaceId(41))),
        ("another leg's digest changed", change(|legs| legs.0[1].digest = hash_of("digest"))),
        ("its own digest changed", change(|legs| legs.0[0].digest = hash_of("digest"))),
    ]
    .map(|(name, entry)| long(chain, name, 10, &entry, "wrong_legs"))
    .into()
}

/// Certified entries whose places do not say where they stand.
fn lying_places() -> Vec<Vector> {
    let lie = |change: &dyn Fn(&mut SliceEntry)| {
        let mut entry = leg(10, &BUNDLE);
        change(&mut entry);
        chain(entry)
    };
    let placed = |change: fn(&mut LegPlace)| lie(&|entry| change(place_of(entry)));
    // The leg for the other brings the same, so that only the namespace tells them apart.
    let mut alike = legs_of_bundle(&[10, 20]);
    alike[1].data = alike[0].data.clone();
    let second = Legs::of(&alike).places().nth(1).unwrap();
    [
        ("a place that is another's", placed(|place| place.index = 1), bundle()),
        ("a place beyond the end", placed(|place| place.index = 3), bundle()),
        ("a count below that of the legs", placed(|place| place.count = 2), bundle()),
        ("a count above that of the legs", placed(|place| place.count = 4), bundle()),
        ("a root of nothing", placed(|place| place.root = B256::ZERO), bundle()),
        (
            "items of another leg",
            lie(&|entry| *data_of(entry) = legs_of_bundle(&BUNDLE)[1].data.clone()),
            bundle(),
        ),
        (
            "a place that is another's of the same items",
            lie(&|entry| {
                *place_of(entry) = second;
                *data_of(entry) = alike[0].data.clone();
            }),
            Some(Legs::of(&alike)),
        ),
    ]
    .map(|(name, chain, legs)| {
        long(&chain, name, 10, &chain.prove_entry(10, LEG, legs), "wrong_legs")
    })
    .into()
}

/// Heads of atomic bids, and decisions.
fn of_atomic_bundles() -> Vec<Vector> {
    let decided = vec![decision(Decision::Failed)];
    let slices = vec![
        atomic(10, &LOTS, &["one"]),
        of(20, [decided.clone(), slice(20, &["two"]).entries]),
        atomic(30, &LOTS, &[]),
        of(40, [decided]),
    ];
    let chain = Chain::of(slices, Results::default());
    let proven = |namespace, legs| chain.prove_entry(namespace, 0, legs);
    let change = |namespace, legs, with: SliceEntry| {
        ProvenEntry { entry: with, ..chain.prove_entry(namespace, 0, legs) }
    };
    let mut as_inclusion = proven(10, bid()).entry;
    let SliceEntry::Head { mode, .. } = &mut as_inclusion else { panic!("a head") };
    *mode = BidMode::Inclusion;
    let mut vectors = vec![
        shown(&chain, "an atomic head", 10, &proven(10, bid())),
        shown(&chain, "a decision", 20, &proven(20, None)),
        shown(&chain, "a decision alone", 40, &proven(40, None)),
    ];
    let refused = [
        ("an atomic head as another", 10, change(10, bid(), as_inclusion), "wrong_entries"),
        ("an atomic head without legs", 10, proven(10, None), "wrong_legs"),
        (
            "another decision",
            20,
            change(20, None, decision(Decision::Committed)),
            "wrong_entries",
        ),
        ("a decision with legs", 20, proven(20, bid()), "wrong_legs"),
        ("a decision with no legs listed", 20, proven(20, Some(Legs(vec![]))), "wrong_legs"),
    ];
    vectors
        .extend(refused.map(|(name, of, entry, reason)| long(&chain, name, of, &entry, reason)));
    vectors
}

/// A block with an entry of each kind but a decision for namespace 10, and with legs for others.
fn chain(leg_of_10: SliceEntry) -> Chain {
    let slices = vec![
        of(
            10,
            [
                headed(10, &LOTS, &[]).entries,
                forced_to(10, &["hear me"]).entries,
                slice(10, &["one"]).entries,
                vec![leg_of_10],
                slice(10, &["two"]).entries,
            ],
        ),
        of(20, [slice(20, &["one"]).entries, vec![leg(20, &BUNDLE)]]),
        headed(30, &LOTS, &[]),
        of(40, [vec![leg(40, &BUNDLE)]]),
    ];
    Chain::of(slices, Results::default())
}

fn bid() -> Option<Legs> {
    Some(Legs::of(&legs_of_bid(&LOTS)))
}

fn bundle() -> Option<Legs> {
    Some(Legs::of(&legs_of_bundle(&BUNDLE)))
}

fn place_of(entry: &mut SliceEntry) -> &mut LegPlace {
    let SliceEntry::Leg { place, .. } = entry else { panic!("a leg") };
    place
}

fn data_of(entry: &mut SliceEntry) -> &mut Vec<Bytes> {
    let SliceEntry::Leg { data, .. } = entry else { panic!("a leg") };
    data
}

/// Where the entry's tag stands in the encoding of the whole.
fn entry_tag(proven: &ProvenEntry) -> usize {
    let ProvenEntry { header, child, certificate, proof, .. } = proven;
    borsh::object_length(&(header, child, certificate, proof)).unwrap()
}

fn shown(chain: &Chain, name: &str, namespace: u64, entry: &ProvenEntry) -> Vector {
    complete(chain, Vector::of(name, entry), namespace, entry, "accepted")
}

fn long(chain: &Chain, name: &str, namespace: u64, entry: &ProvenEntry, expected: &str) -> Vector {
    complete(chain, Vector::long(name, entry, &[]), namespace, entry, expected)
}

fn complete(
    chain: &Chain,
    vector: Vector,
    namespace: u64,
    entry: &ProvenEntry,
    expected: &str,
) -> Vector {
    let checked = entry.verify((CHAIN, NamespaceId(namespace), &chain.network.committee));
    let found = checked
        .map(|witness| json!({ "index": witness.index.to_string(), "leaf": witness.leaf }))
        .map_err(Refusal);
    chain
        .complete(vector, namespace, (&entry.header, &entry.child))
        .hash("leaf", Blake3::leaf(&borsh::to_vec(&entry.entry).unwrap()))
        .verdict(expected, found)
}
