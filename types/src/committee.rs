//! The committee: who holds seats, and what counts as enough of them (protocol section 2).

use alloy_primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{keccak256, tag};
use crate::limits::{MAX_COMMITTEE, MAX_SEATS};

/// A validator and its seats.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Member {
    /// The validator's address.
    pub address: Address,
    /// Its seats, at least one. A seat is a unit of power.
    pub seats: u64,
}

/// Why a committee was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// Nobody, or too many.
    #[error("committee has {0} members, expected 1 to {MAX_COMMITTEE}")]
    Size(usize),
    /// Members are unsorted or repeat.
    #[error("members must be strictly ascending by address")]
    Unsorted,
    /// A member without seats, or too many seats in all.
    #[error("member seats must be above zero and {MAX_SEATS} in all at most")]
    Seats,
}

/// The validators of a height, ascending by address. A member's index in it stands for its
/// address wherever size matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, Serialize)]
pub struct Committee {
    members: Vec<Member>,
    #[borsh(skip)]
    #[serde(skip)]
    total: u64,
}

impl Committee {
    /// Checks and makes a committee of members in ascending order of address.
    pub fn new(members: Vec<Member>) -> Result<Self, CommitteeError> {
        if members.is_empty() || members.len() > MAX_COMMITTEE {
            return Err(CommitteeError::Size(members.len()));
        }
        if !members.is_sorted_by(|a, b| a.address < b.address) {
            return Err(CommitteeError::Unsorted);
        }
        let mut total = 0u64;
        for member in &members {
            total = total.saturating_add(member.seats);
            if member.seats == 0 || total > MAX_SEATS {
                return Err(CommitteeError::Seats);
            }
        }
        Ok(Self { members, total })
    }

    /// The members, ascending by address.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// N: all seats.
    pub fn seats(&self) -> u64 {
        self.total
    }

    /// The member at an index.
    pub fn get(&self, index: u16) -> Option<&Member> {
        self.members.get(usize::from(index))
    }

    /// The index of a validator.
    pub fn index_of(&self, address: &Address) -> Option<u16> {
        let index = self.members.binary_search_by(|m| m.address.cmp(address)).ok()?;
        u16::try_from(index).ok()
    }

    /// More than two thirds of all seats.
    pub fn is_quorum(&self, seats: u64) -> bool {
        u128::from(seats) * 3 > u128::from(self.total) * 2
    }

    /// More than a third of all seats: at least one of them is honest.
    pub fn is_support(&self, seats: u64) -> bool {
        u128::from(seats) * 3 > u128::from(self.total)
    }

    /// More than half of all seats.
    pub fn is_majority(&self, seats: u64) -> bool {
        u128::from(seats) * 2 > u128::from(self.total)
    }

    /// `keccak256( keccak256("weft/validators/v1") || count u32 || (address 20 || seats u64)* )`.
    pub fn hash(&self) -> B256 {
        let mut bytes = Vec::with_capacity(36 + self.members.len() * 28);
        bytes.extend_from_slice(tag("weft/validators/v1").as_slice());
        bytes.extend_from_slice(&u32::try_from(self.members.len()).unwrap_or(0).to_be_bytes());
        for member in &self.members {
            bytes.extend_from_slice(member.address.as_slice());
            bytes.extend_from_slice(&member.seats.to_be_bytes());
        }
        keccak256(&[&bytes])
    }
}

impl BorshDeserialize for Committee {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let members = Vec::deserialize_reader(reader)?;
        Self::new(members).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl<'de> Deserialize<'de> for Committee {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            members: Vec<Member>,
        }
        let fields = Fields::deserialize(input)?;
        Self::new(fields.members).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committee(seats: &[u64]) -> Committee {
        let members = seats
            .iter()
            .enumerate()
            .map(|(i, &seats)| Member { address: Address::with_last_byte(i as u8 + 1), seats })
            .collect();
        Committee::new(members).unwrap()
    }

    #[test]
    fn thresholds_are_strict() {
        for (n, quorum, support, majority) in
            [(1, 1, 1, 1), (3, 3, 2, 2), (4, 3, 2, 3), (5, 4, 2, 3), (6, 5, 3, 4), (7, 5, 3, 4)]
        {
            let c = committee(&vec![1; n]);
            let least = |f: &dyn Fn(u64) -> bool| (0..=n as u64).find(|s| f(*s)).unwrap();
            assert_eq!(least(&|s| c.is_quorum(s)), quorum, "quorum of {n}");
            assert_eq!(least(&|s| c.is_support(s)), support, "support of {n}");
            assert_eq!(least(&|s| c.is_majority(s)), majority, "majority of {n}");
        }
    }

    #[test]
    fn refuses_malformed_committees() {
        let member = |byte, seats| Member { address: Address::with_last_byte(byte), seats };
        assert_eq!(Committee::new(vec![]), Err(CommitteeError::Size(0)));
        assert_eq!(Committee::new(vec![member(2, 1), member(1, 1)]), Err(CommitteeError::Unsorted));
        assert_eq!(Committee::new(vec![member(1, 1); 2]), Err(CommitteeError::Unsorted));
        assert_eq!(Committee::new(vec![member(1, 0)]), Err(CommitteeError::Seats));
        assert_eq!(
            Committee::new(vec![member(1, 1), member(2, u64::MAX)]),
            Err(CommitteeError::Seats)
        );
        let bytes = borsh::to_vec(&vec![member(2, 1), member(1, 1)]).unwrap();
        assert!(borsh::from_slice::<Committee>(&bytes).is_err());
    }

    #[test]
    fn hash_tells_committees_apart() {
        assert_ne!(committee(&[1, 1]).hash(), committee(&[1, 2]).hash());
        assert_ne!(committee(&[1, 1]).hash(), committee(&[1, 1, 1]).hash());
        assert_eq!(committee(&[1, 1]).index_of(&Address::with_last_byte(2)), Some(1));
        assert_eq!(committee(&[1, 1]).index_of(&Address::ZERO), None);
    }
}
