//! Legs of a bid or a bundle: their digests, the root over them, and the place of each.

use weft_types::legs::LegDigest;
use weft_types::merkle::{Keccak, TreeHash};
use weft_types::{Bytes, Leg, Legs, NamespaceId};

use crate::document::{Vector, hex};
use crate::slices::{legs_of_bid, legs_of_bundle};

pub(crate) fn vectors() -> Vec<Vector> {
    let two = legs_of_bundle(&[7, 9]);
    let bytes = borsh::to_vec(&Legs::of(&two)).unwrap();
    let overlong = [&u32::MAX.to_le_bytes(), &bytes[4..]].concat();
    let change = |change: fn(&mut Vec<Leg>)| {
        let mut changed = two.clone();
        change(&mut changed);
        changed
    };
    vec![
        vector("one leg, of a bid", &legs_of_bid(&[845_300])),
        vector("two legs", &two),
        vector("two legs of two items", &legs_of_bid(&[7, 9])),
        vector("two legs alike but for the namespace", &change(|l| l[1].data = l[0].data.clone())),
        vector("another second namespace", &change(|l| l[1].namespace = NamespaceId(10))),
        vector("one item split in two", &change(|l| l[0].data = split(&l[0].data[0]))),
        vector("three legs", &legs_of_bundle(&[7, 9, 845_300])),
        vector("eight legs", &legs_of_bundle(&[0, 1, 7, 9, 256, 1477, 845_300, u64::MAX])),
        Vector::undecodable::<Legs>("more legs than bytes", &overlong),
        Vector::undecodable::<Legs>("one byte short", &bytes[..bytes.len() - 1]),
        Vector::undecodable::<Legs>("one byte more", &[&bytes[..], &[0]].concat()),
    ]
}

/// Two items of the same bytes.
fn split(item: &Bytes) -> Vec<Bytes> {
    vec![item.slice(..3), item.slice(3..)]
}

/// The bytes that a leaf's hash covers.
fn layout(leg: &LegDigest) -> Vec<u8> {
    [&leg.namespace.0.to_be_bytes()[..], leg.digest.as_slice()].concat()
}

fn vector(name: &str, legs: &[Leg]) -> Vector {
    let all = Legs::of(legs);
    let digests: Vec<_> = all.0.iter().map(|leg| leg.digest).collect();
    let layouts: Vec<Vec<u8>> = all.0.iter().map(layout).collect();
    let leaves: Vec<_> = layouts.iter().map(|layout| Keccak::leaf(layout)).collect();
    let places: Vec<_> = all.places().collect();
    for (place, leg) in places.iter().zip(legs) {
        assert!(all.holds(leg.namespace, place, &leg.data), "{name}: a place leads astray");
    }
    let places: Vec<_> = places.iter().map(|place| hex(borsh::to_vec(place).unwrap())).collect();
    let found = serde_json::json!({ "root": all.root(), "places": places });
    Vector::of(name, &all)
        .context("data", legs.iter().map(|leg| &leg.data).collect::<Vec<_>>())
        .hash("digests", digests)
        .hash("layouts", layouts.iter().map(hex).collect::<Vec<_>>())
        .hash("leaves", leaves)
        .verdict("accepted", Ok::<_, String>(found))
}
