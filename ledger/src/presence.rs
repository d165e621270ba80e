//! Presence and who may lead (protocol section 5, leaders).

use weft_types::{Address, Committee};

use crate::entry::ValidatorRecord;
use crate::state::State;

impl State {
    /// Whether a validator has been seen in none of the last `absence_window` non-empty blocks.
    pub fn is_absent(&self, validator: &Address) -> bool {
        let seen = self.validator(validator).last_seen;
        self.clock().non_empty_blocks.saturating_sub(seen) >= self.params().absence_window
    }

    /// For each member of the next committee, whether it may lead round 0: everybody who is
    /// present, or all if those are no quorum.
    pub fn leaders(&self) -> Vec<bool> {
        let committee = self.committee();
        let present: Vec<bool> =
            committee.members().iter().map(|m| !self.is_absent(&m.address)).collect();
        if is_quorum(committee, &present) { present } else { vec![true; present.len()] }
    }

    pub(crate) fn see(&mut self, observers: &[Address], non_empty_blocks: u64) {
        for observer in observers {
            let record = self.validator(observer);
            self.set_validator(
                *observer,
                ValidatorRecord { last_seen: non_empty_blocks, ..record },
            );
        }
    }
}

fn is_quorum(committee: &Committee, present: &[bool]) -> bool {
    let seats = committee
        .members()
        .iter()
        .zip(present)
        .filter(|(_, present)| **present)
        .fold(0u64, |sum, (member, _)| sum.saturating_add(member.seats));
    committee.is_quorum(seats)
}
