//! Committees: the hash, the thresholds, and what is none.

use serde_json::json;
use weft_types::hash::{keccak256, tag};
use weft_types::{Committee, Member};

use crate::document::{Vector, hex};
use crate::fixtures::{members, validators};
use crate::refusal::Refusal;

pub(crate) fn vectors() -> Vec<Vector> {
    let of = |seats: &[u64]| members(&validators(seats.len()), seats);
    let mut descending = of(&[1, 1, 1]);
    descending.swap(1, 2);
    let mut repeated = of(&[1, 1, 1]);
    repeated[2] = repeated[1];
    let three = borsh::to_vec(&of(&[1, 1, 1])).unwrap();
    vec![
        vector("one member", &of(&[1]), "accepted"),
        vector("three equal members", &of(&[1; 3]), "accepted"),
        vector("four equal members", &of(&[1; 4]), "accepted"),
        vector("unequal members", &of(&[5, 1, 300, 2, 90]), "accepted"),
        vector("most seats", &of(&[1000, 24]), "accepted"),
        vector("nobody", &[], "size"),
        vector("descending", &descending, "unsorted"),
        vector("a member twice", &repeated, "unsorted"),
        vector("a member without seats", &of(&[1, 0, 1]), "seats"),
        vector("one seat too many", &of(&[1000, 25]), "seats"),
        Vector::undecodable::<Vec<Member>>("one byte short", &three[..three.len() - 1]),
        Vector::undecodable::<Vec<Member>>("one byte more", &[&three[..], &[0]].concat()),
    ]
}

fn vector(name: &str, members: &[Member], expected: &str) -> Vector {
    let members = members.to_vec();
    let vector = Vector::of(name, &members);
    let committee = Committee::new(members.clone());
    assert_eq!(borsh::from_slice::<Committee>(&borsh::to_vec(&members).unwrap()).ok(), committee.clone().ok());
    let mut preimage = tag("weft/validators/v1").to_vec();
    preimage.extend((members.len() as u32).to_be_bytes());
    for member in &members {
        preimage.extend(member.address);
        preimage.extend(member.seats.to_be_bytes());
    }
    let hash = keccak256(&[&preimage]);
    let found = committee.map(|committee| {
        assert_eq!(committee.hash(), hash);
        let least = |enough: &dyn Fn(u64) -> bool| (0..).find(|seats| enough(*seats)).unwrap();
        json!({
            "seats": committee.seats().to_string(),
            "quorum": least(&|seats| committee.is_quorum(seats)).to_string(),
            "support": least(&|seats| committee.is_support(seats)).to_string(),
            "majority": least(&|seats| committee.is_majority(seats)).to_string(),
        })
    });
    vector
        .hash("preimage", hex(preimage))
        .hash("validators_hash", hash)
        .verdict(expected, found.map_err(Refusal))
}
