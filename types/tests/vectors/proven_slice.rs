//! A slice of one height with all that proves it, and what must not pass for one.

use weft_types::results::LegRevenue;
use weft_types::slice::ProvenSlice;
use weft_types::{
    B256, BidMode, BidResult, BlockId, DecidedBundle, Decision, Header, LegPlace, NamespaceId,
    OpenedBid, ProvenResult, Results, SliceEntry, SliceProof, SoldLot, TransactionId, Verify,
};

use crate::chain::Chain;
use crate::document::Vector;
use crate::fixtures::{CHAIN, address, hash_of};
use crate::refusal::Refusal;
use crate::slices::{atomic, bid, decision, forced_to, headed, leg, of, slice};

/// What the bid took.
const LOTS: [u64; 3] = [10, 30, 40];

pub(crate) fn vectors() -> Vec<Vector> {
    let chain = Chain::new();
    let fine = chain.prove(30);
    // Changes below the child's header; what stands above it is certified again.
    let again = |change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed.certificate =
            chain.network.certify(changed.child.height, changed.child.id(), &[0, 1, 3]);
        changed
    };
    let change = |change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = fine.clone();
        change(&mut changed);
        changed
    };
    let other_root = SliceProof { count: 4, ..fine.proof.clone() };
    let bytes = borsh::to_vec(&fine).unwrap();
    let mut vectors = vec![
        chain.shown("present", &fine, 30),
        chain.shown("absent", &chain.prove(25), 25),
        chain.shown("absent, no namespaces", &Chain::without_slices().prove(25), 25),
    ];
    let refused = [
        ("header of another chain", again(&|s| chain.link(s, |h| h.chain_id += 1)), "chain_id"),
        ("child of another chain", again(&|s| s.child.chain_id += 1), "chain_id"),
        ("another parent", again(&|s| s.child.parent = BlockId(hash_of("parent"))), "not_parent"),
        ("not the next height", again(&|s| s.child.height += 1), "not_parent"),
        (
            "another committee",
            again(&|s| s.child.validators_hash = hash_of("validators")),
            "wrong_committee",
        ),
        (
            "certificate of another block",
            change(&|s| s.certificate = chain.network.certify(101, s.header.id(), &[0, 1, 3])),
            "wrong_certificate",
        ),
        (
            "certificate of another height",
            change(&|s| s.certificate = chain.network.certify(100, s.child.id(), &[0, 1, 3])),
            "wrong_certificate",
        ),
        (
            "too few votes",
            change(&|s| s.certificate.signatures.truncate(2)),
            "certificate/no_quorum",
        ),
        (
            "another round's votes",
            change(&|s| s.certificate.round += 1),
            "certificate/signature/wrong_signer",
        ),
        (
            "another slices root",
            again(&|s| s.child.parent_outcome.slices_root = hash_of("slices")),
            "proof/root",
        ),
        ("count too high", change(&|s| s.proof = other_root.clone()), "proof/root"),
        ("another's proof", change(&|s| s.proof = chain.prove(10).proof), "proof/wrong_namespace"),
        ("an entry missing", change(&|s| s.entries.truncate(1)), "wrong_entries"),
        ("no entries", change(&|s| s.entries.clear()), "wrong_entries"),
        ("another order", change(&|s| s.entries.swap(0, 1)), "wrong_entries"),
        ("an entry twice", change(&|s| s.entries.extend_from_within(1..)), "wrong_entries"),
    ];
    vectors.extend(refused.map(|(name, slice, reason)| chain.long(name, &slice, 30, reason)));
    let mut invented = chain.prove(25);
    invented.entries = fine.entries.clone();
    vectors.push(chain.long("entries of an absent namespace", &invented, 25, "wrong_entries"));
    vectors.extend(heads());
    vectors.extend(atomic_heads());
    vectors.extend(decisions());
    vectors.push(Vector::undecodable::<ProvenSlice>("one byte short", &bytes[..bytes.len() - 1]));
    // The option stands last.
    let tag = [&bytes[..bytes.len() - 1], &[2]].concat();
    vectors.push(Vector::undecodable::<ProvenSlice>("option tag 2", &tag));
    vectors
}

/// Slices that begin with a head, or would.
fn heads() -> Vec<Vector> {
    let chain = Chain::with_auction(auction());
    let change = |namespace: u64, change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = chain.prove(namespace);
        change(&mut changed);
        changed
    };
    let lot = |namespace: u64| chain.results.proven_lot(NamespaceId(namespace));
    let its_bid = || chain.results.proven().pop();
    // Slices of which the auction says something else than they do.
    let otherwise = |change: fn(&mut SoldLot)| {
        let mut results = auction();
        change(&mut results.lots[0]);
        Chain::with_auction(results).prove(10)
    };
    let another_root = |change: fn(&mut SoldLot)| {
        let mut results = auction();
        change(&mut results.lots[0]);
        results.proven_lot(NamespaceId(10))
    };
    let path = |change: &dyn Fn(&mut ProvenResult)| {
        let mut lot = lot(10).unwrap();
        change(&mut lot);
        Some(lot)
    };
    let mut vectors = vec![
        chain.shown("a head and its lot, and a leg", &chain.prove(10), 10),
        chain.shown("legs among submissions, no head", &chain.prove(20), 20),
        chain.shown("a head alone", &chain.prove(30), 30),
        chain.shown("absent beside slices with heads", &chain.prove(25), 25),
    ];
    let refused = [
        ("a head without a lot", 10, change(10, &|s| s.lot = None)),
        ("a head with another lot of its bid", 10, change(10, &|s| s.lot = lot(30))),
        ("a head with its bid for a lot", 10, change(10, &|s| s.lot = its_bid())),
        (
            "a head of another bid",
            10,
            otherwise(|lot| lot.bid = TransactionId(hash_of("another bid"))),
        ),
        ("a head of another bidder", 10, otherwise(|lot| lot.bidder = address("another bidder"))),
        (
            "a lot of another auction",
            10,
            change(10, &|s| s.lot = another_root(|lot| lot.revenue += 1)),
        ),
        ("a lot of a larger tree", 10, change(10, &|s| s.lot = path(&|lot| lot.count += 1))),
        ("a lot in another place", 10, change(10, &|s| s.lot = path(&|lot| lot.path.index = 1))),
        (
            "a lot with a sibling missing",
            10,
            change(10, &|s| s.lot = path(&|lot| lot.path.siblings.truncate(1))),
        ),
        ("a lot without a head", 40, change(40, &|s| s.lot = lot(40))),
        ("another's lot without a head", 20, change(20, &|s| s.lot = lot(10))),
        ("a lot of an absent namespace", 25, change(25, &|s| s.lot = lot(10))),
    ];
    vectors.extend(refused.map(|(name, of, slice)| chain.long(name, &slice, of, "wrong_head")));
    vectors.extend(misplaced_heads());
    let others = [
        ("a head in another place", 10, change(10, &|s| place_of(&mut s.entries[0]).index = 1)),
        ("a leg in another place", 10, change(10, &|s| place_of(&mut s.entries[2]).index = 1)),
        (
            "a leg under another root",
            10,
            change(10, &|s| place_of(&mut s.entries[2]).root = hash_of("root")),
        ),
        ("a leg left out", 20, change(20, &|s| drop(s.entries.remove(1)))),
    ];
    vectors.extend(others.map(|(name, of, slice)| chain.long(name, &slice, of, "wrong_entries")));
    vectors.push(chain.long(
        "a head left out, and its lot too",
        &change(10, &|s| {
            s.entries.remove(0);
            s.lot = None;
        }),
        10,
        "wrong_entries",
    ));
    vectors
}

/// Slices that begin with the head of an atomic bid.
fn atomic_heads() -> Vec<Vector> {
    let slices = || [10, 30, 40].map(|namespace| atomic(namespace, &LOTS, &["one"])).to_vec();
    let held = |change: &dyn Fn(&mut Results)| {
        let mut results = auction();
        results.lots.iter_mut().for_each(|lot| lot.revenue = 0);
        change(&mut results);
        Chain::of(slices(), results)
    };
    let chain = held(&|_| {});
    let fine = chain.prove(10);
    let mut as_inclusion = fine.clone();
    let Some(SliceEntry::Head { mode, .. }) = as_inclusion.entries.first_mut() else {
        panic!("a head")
    };
    *mode = BidMode::Inclusion;
    // A bundle of the same bid, decided in the same block, is no lot.
    let decided = held(&|results| results.bundles.push(decided_bid()));
    let mut with_bundle = decided.prove(10);
    with_bundle.lot = decided.results.proven().pop();
    vec![
        chain.shown("an atomic head", &fine, 10),
        chain.long("an atomic head as another", &as_inclusion, 10, "wrong_entries"),
        decided.long("a head with its bundle for a lot", &with_bundle, 10, "wrong_head"),
    ]
}

/// Slices that begin with a decision, or would.
fn decisions() -> Vec<Vector> {
    let first = || vec![decision(Decision::Committed)];
    let slices = vec![
        of(10, [first(), forced_to(10, &["hear me"]).entries, slice(10, &["one"]).entries]),
        slice(20, &["two"]),
        of(30, [first()]),
    ];
    let chain = Chain::of(slices, auction());
    let change = |change: &dyn Fn(&mut ProvenSlice)| {
        let mut changed = chain.prove(10);
        change(&mut changed);
        changed
    };
    let lot = || chain.results.proven_lot(NamespaceId(10));
    let mut vectors = vec![
        chain.shown("a decision before a forced message and a submission", &chain.prove(10), 10),
        chain.shown("a decision alone", &chain.prove(30), 30),
    ];
    let refused = [
        ("a decision with a lot", change(&|s| s.lot = lot()), "wrong_head"),
        ("a decision left out", change(&|s| drop(s.entries.remove(0))), "wrong_entries"),
        (
            "another decision",
            change(&|s| s.entries[0] = decision(Decision::TimedOut)),
            "wrong_entries",
        ),
        (
            "a decision on another bundle",
            change(&|s| {
                let decision = Decision::Committed;
                s.entries[0] = SliceEntry::Decision { bundle: bid(), decision };
            }),
            "wrong_entries",
        ),
        ("a decision later", change(&|s| s.entries.swap(0, 1)), "wrong_entries"),
        ("a decision twice", change(&|s| s.entries.insert(0, s.entries[0].clone())), "wrong_entries"),
    ];
    vectors.extend(refused.map(|(name, slice, reason)| chain.long(name, &slice, 10, reason)));
    let headed = of(10, [first(), headed(10, &LOTS, &[]).entries]);
    let both = Chain::of(vec![headed], auction());
    let mut proven = both.prove(10);
    proven.lot = both.results.proven_lot(NamespaceId(10));
    vectors.push(both.long("a head after a decision", &proven, 10, "wrong_head"));
    vectors
}

/// The bid of [`auction`], as a bundle that is decided.
fn decided_bid() -> DecidedBundle {
    let leg = |namespace| LegRevenue { namespace: NamespaceId(namespace), revenue: 24_000 };
    DecidedBundle {
        bundle: bid(),
        bidder: address("bidder"),
        height: 100,
        decision: Decision::Committed,
        paid: 90_000,
        legs: LOTS.map(leg).to_vec(),
    }
}

/// Slices that a block must not have: of several heads, or of one that does not stand first.
fn misplaced_heads() -> Vec<Vector> {
    let head = || headed(10, &LOTS, &[]).entries;
    let one = || slice(10, &["one"]).entries;
    [
        ("a second head", of(10, [head(), head()])),
        ("a second head after a submission", of(10, [head(), one(), head()])),
        ("a head after a submission", of(10, [one(), head()])),
    ]
    .map(|(name, slice)| {
        let chain = Chain::of(vec![slice], auction());
        chain.long(name, &chain.prove(10), 10, "wrong_head")
    })
    .into()
}

/// Where a head or a leg says that it stands.
fn place_of(entry: &mut SliceEntry) -> &mut LegPlace {
    match entry {
        SliceEntry::Head { place, .. } | SliceEntry::Leg { place, .. } => place,
        other => panic!("no head or leg: {other:?}"),
    }
}

/// One bid took three lots, of 10, 30 and 40.
fn auction() -> Results {
    let bidder = address("bidder");
    let (reserve, amount) = (1_000, 90_000);
    let lot = |namespace| SoldLot {
        namespace: NamespaceId(namespace),
        reserve,
        bid: bid(),
        bidder,
        payment: amount,
        revenue: 24_000,
    };
    let (result, detail) = (BidResult::Won, B256::ZERO);
    Results {
        lots: LOTS.map(lot).to_vec(),
        bids: vec![OpenedBid {
            bid: bid(),
            bidder,
            height: 100,
            sequence: 1,
            amount,
            result,
            detail,
        }],
        bundles: vec![],
    }
}

impl Chain {
    fn new() -> Self {
        let slices = [10, 20, 30].map(|namespace| slice(namespace, &["one", "two"]));
        Self::of(slices.to_vec(), Results::default())
    }

    fn without_slices() -> Self {
        Self::of(vec![], Results::default())
    }

    /// Namespaces 10 and 30 have heads, 20 and 40 have none. Those of 10 and 20 have legs.
    fn with_auction(results: Results) -> Self {
        let legs = |namespace| vec![leg(namespace, &[10, 20])];
        let slices = vec![
            of(10, [headed(10, &LOTS, &["one"]).entries, legs(10)]),
            of(20, [slice(20, &["two"]).entries, legs(20), slice(20, &["three"]).entries]),
            headed(30, &LOTS, &[]),
            slice(40, &["four"]),
        ];
        Self::of(slices, results)
    }

    /// Changes the lower header and has the child follow it.
    fn link(&self, slice: &mut ProvenSlice, change: fn(&mut Header)) {
        change(&mut slice.header);
        slice.child.parent = slice.header.id();
    }

    fn shown(&self, name: &str, slice: &ProvenSlice, namespace: u64) -> Vector {
        self.checked(Vector::of(name, slice), slice, namespace, "accepted")
    }

    fn long(&self, name: &str, slice: &ProvenSlice, namespace: u64, expected: &str) -> Vector {
        self.checked(Vector::long(name, slice, &[]), slice, namespace, expected)
    }

    fn checked(
        &self,
        vector: Vector,
        slice: &ProvenSlice,
        namespace: u64,
        expected: &str,
    ) -> Vector {
        let checked = slice.verify((CHAIN, NamespaceId(namespace), &self.network.committee));
        self.complete(vector, namespace, (&slice.header, &slice.child))
            .verdict(expected, checked.map_err(Refusal))
    }
}
