//! Who holds the seats, as far as the network has to know.

use std::sync::Arc;

use weft_consensus::Tip;
use weft_types::{Address, Committee, Height};

/// The last height decided, and the committees from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The last height decided.
    pub tip: Height,
    /// Who decides the next one.
    pub committee: Arc<Committee>,
    /// Who decides in the next epoch, which may begin with any height after that.
    pub next: Arc<Committee>,
}

impl Seats {
    /// As of a tip.
    pub fn of(tip: &Tip) -> Self {
        Self {
            tip: tip.header.height,
            committee: Arc::new(tip.committee().clone()),
            next: Arc::new(tip.state.next_committee().clone()),
        }
    }

    /// Moves on to a tip. Committees that stay are not copied.
    pub fn advance(&mut self, tip: &Tip) {
        self.tip = tip.header.height;
        for (known, now) in
            [(&mut self.committee, tip.committee()), (&mut self.next, tip.state.next_committee())]
        {
            if **known != *now {
                *known = Arc::new(now.clone());
            }
        }
    }

    /// Whether somebody has a seat, or will have one in the next epoch: then it is sent what
    /// validators are sent, so that it can take part from the first height on.
    pub fn recognizes(&self, validator: &Address) -> bool {
        self.committee.index_of(validator).is_some() || self.next.index_of(validator).is_some()
    }

    /// The committees that may decide a height: one for the next, two after that.
    pub fn of_height(&self, height: Height) -> impl Iterator<Item = &Arc<Committee>> {
        let another = height > self.tip.saturating_add(1) && self.next != self.committee;
        std::iter::once(&self.committee).chain(another.then_some(&self.next))
    }
}
