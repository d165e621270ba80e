//! Epochs: who holds the seats, by stake (protocol section 10).
//!
//! Block time is divided into epochs. A block whose time lies in a later epoch than its parent's
//! ends its epoch: the committee that was set by for the next one takes over with the block after
//! it, and the stakes of now set by the one for the epoch after that. So a stake counts from the
//! second epoch after the one in which the network learned of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use weft_types::{Address, Committee, Member, TimeMs, Wei};

use crate::entry::{Key, Value};
use crate::state::State;

/// Stakes above this count as this: far above all ether there is, and low enough to multiply.
const MOST_STAKE: Wei = 1 << 112;

impl State {
    /// The epoch of a block time.
    pub fn epoch(&self, time_ms: TimeMs) -> u64 {
        time_ms.checked_div(self.params().epoch_ms).unwrap_or(0)
    }

    /// Whether a block at this time, on top of this state, ends the epoch.
    pub fn ends_epoch(&self, time_ms: TimeMs) -> bool {
        self.epoch(time_ms) > self.epoch(self.clock().time_ms)
    }

    /// The committee that decides the block after one at this time.
    pub fn committee_after(&self, time_ms: TimeMs) -> &Committee {
        if self.ends_epoch(time_ms) { self.next_committee() } else { self.committee() }
    }

    /// Ends the epoch, if a block at this time does. Call before the clock moves, after stakes
    /// have.
    pub(crate) fn turn_epoch(&mut self, time_ms: TimeMs) {
        if !self.ends_epoch(time_ms) {
            return;
        }
        let committee = self.next_committee().clone();
        for member in committee.members() {
            let record = self.validator(&member.address);
            self.set_validator(member.address, record);
        }
        if let Some(next) = self.committee_by_stake() {
            self.put(Key::NextCommittee, Value::Committee(Box::new(next)));
        }
        self.put(Key::Committee, Value::Committee(Box::new(committee)));
    }

    /// The committee that the stakes of now come to; `None` if there are none.
    pub(crate) fn committee_by_stake(&self) -> Option<Committee> {
        let members = seats(self.stakes(), self.params().committee_size);
        Committee::new(members).ok()
    }
}

/// Deals equal seats by stake, by highest averages (D'Hondt): each goes to whoever would then have
/// the most stake per seat, of equals to the lower address. Ascending by address; those without a
/// seat are left out. To split a stake gains no seat, but where quotients
/// are exactly equal.
pub fn seats(stakes: impl IntoIterator<Item = (Address, Wei)>, size: u16) -> Vec<Member> {
    let claim = |(address, stake): (Address, Wei)| Claim {
        stake: stake.min(MOST_STAKE),
        address,
        seats: 0,
    };
    let mut claims: BinaryHeap<Claim> =
        stakes.into_iter().filter(|(_, stake)| *stake > 0).map(claim).collect();
    for _ in 0..size {
        let Some(mut first) = claims.pop() else { break };
        first.seats = first.seats.saturating_add(1);
        claims.push(first);
    }
    let mut members: Vec<Member> = claims
        .into_iter()
        .filter(|claim| claim.seats > 0)
        .map(|claim| Member { address: claim.address, seats: claim.seats })
        .collect();
    members.sort_unstable();
    members
}

/// A validator's claim to the next seat.
#[derive(PartialEq, Eq)]
struct Claim {
    stake: Wei,
    address: Address,
    seats: u64,
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // stake / (seats + 1), compared crosswise.
        let ours = self.stake.saturating_mul(u128::from(other.seats.saturating_add(1)));
        let theirs = other.stake.saturating_mul(u128::from(self.seats.saturating_add(1)));
        ours.cmp(&theirs).then_with(|| Reverse(self.address).cmp(&Reverse(other.address)))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(stakes: &[Wei], size: u16) -> Vec<u64> {
        let address = |i: usize| Address::with_last_byte(u8::try_from(i).unwrap());
        let claims = stakes.iter().enumerate().map(|(i, stake)| (address(i), *stake));
        let members = seats(claims, size);
        assert!(members.is_sorted_by(|a, b| a.address < b.address));
        (0..stakes.len())
            .map(|i| members.iter().find(|m| m.address == address(i)).map_or(0, |m| m.seats))
            .collect()
    }

    #[test]
    fn equal_stakes_have_equal_seats_and_lower_addresses_the_rest() {
        assert_eq!(dealt(&[32, 32, 32, 32], 4), [1, 1, 1, 1]);
        assert_eq!(dealt(&[32, 32, 32, 32], 10), [3, 3, 2, 2]);
        assert_eq!(dealt(&[1, 1, 1], 2), [1, 1, 0]);
    }

    #[test]
    fn seats_go_by_stake() {
        assert_eq!(dealt(&[53, 24, 23], 7), [4, 2, 1]);
        assert_eq!(dealt(&[100, 1], 4), [4, 0]);
        assert_eq!(dealt(&[0, 5], 4), [0, 4]);
        assert_eq!(dealt(&[Wei::MAX, Wei::MAX, 1], 4), [2, 2, 0]);
        assert!(dealt(&[], 4).is_empty());
    }

    #[test]
    fn splitting_a_stake_gains_nothing() {
        for whole in 1..60 {
            for part in 1..whole {
                let alone: u64 = dealt(&[whole, 40, 17], 9)[0];
                let split = dealt(&[part, 40, 17, whole - part], 9);
                assert!(split[0] + split[3] <= alone, "{whole} as {part}");
            }
        }
    }
}
