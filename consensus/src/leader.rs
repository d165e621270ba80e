//! Who proposes (protocol section 5, leaders).
//!
//! Proposers rotate over seats. The rotation deals one seat to every member that has some left, in
//! order of address, and again until none is left, so that an operator of many seats does not lead
//! heights in a row. Round 0 is led by those who are present; later rounds by everybody.

use weft_types::{Committee, Height};

/// The rotation of a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Members by seat, present ones only.
    present: Vec<u16>,
    /// Members by seat, all of them.
    all: Vec<u16>,
}

impl Rotation {
    /// The rotation of a committee of which `leaders[i]` says whether member i may lead round 0.
    /// If nobody may, everybody may.
    pub fn new(committee: &Committee, leaders: &[bool]) -> Self {
        let all = deal(committee, |_| true);
        let mut present =
            deal(committee, |i| leaders.get(usize::from(i)).copied().unwrap_or(false));
        if present.is_empty() {
            present.clone_from(&all);
        }
        Self { present, all }
    }

    /// The committee index of the proposer.
    pub fn proposer(&self, height: Height, round: u32) -> u16 {
        let seats = if round == 0 { &self.present } else { &self.all };
        let turn = (height % seats.len() as u64 + u64::from(round)) % seats.len() as u64;
        usize::try_from(turn).ok().and_then(|turn| seats.get(turn)).copied().unwrap_or(0)
    }
}

fn deal(committee: &Committee, may: impl Fn(u16) -> bool) -> Vec<u16> {
    let most = committee.members().iter().map(|m| m.seats).max().unwrap_or(0);
    let mut seats = Vec::new();
    for turn in 0..most {
        for (index, member) in (0u16..).zip(committee.members()) {
            if member.seats > turn && may(index) {
                seats.push(index);
            }
        }
    }
    seats
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{Address, Member};

    fn committee(seats: &[u64]) -> Committee {
        let member = |(i, seats): (usize, &u64)| Member {
            address: Address::with_last_byte(i as u8 + 1),
            seats: *seats,
        };
        Committee::new(seats.iter().enumerate().map(member).collect()).unwrap()
    }

    #[test]
    fn turns_go_by_seats_and_spread() {
        let rotation = Rotation::new(&committee(&[1, 3, 1]), &[true; 3]);
        let turns: Vec<u16> = (0..10).map(|height| rotation.proposer(height, 0)).collect();
        assert_eq!(turns, [0, 1, 2, 1, 1, 0, 1, 2, 1, 1]);
    }

    #[test]
    fn the_absent_lead_no_first_round() {
        let rotation = Rotation::new(&committee(&[1; 4]), &[true, false, true, true]);
        for height in 0..12 {
            assert_ne!(rotation.proposer(height, 0), 1);
        }
        let later: Vec<u16> = (1..5).map(|round| rotation.proposer(8, round)).collect();
        assert_eq!(later, [1, 2, 3, 0]);
    }

    #[test]
    fn somebody_always_leads() {
        let rotation = Rotation::new(&committee(&[1; 4]), &[false; 4]);
        assert_eq!(rotation.proposer(u64::MAX, 0), 3);
        assert_eq!(rotation.proposer(u64::MAX, u32::MAX), 2);
    }
}
