//! Who decided which heights: one entry for each change.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use weft_types::{Committee, Height};

/// Committees by the first height that each decides.
#[derive(Clone)]
pub struct Committees(Arc<RwLock<BTreeMap<Height, Arc<Committee>>>>);

impl Committees {
    /// Those that are known. There is one of height 1, from the genesis.
    pub fn new(genesis: Committee, known: BTreeMap<Height, Committee>) -> Self {
        let all = Self(Arc::new(RwLock::new([(0, Arc::new(genesis))].into())));
        for (from, committee) in known {
            all.take_over(from, committee);
        }
        all
    }

    /// The one that decides a height, as far as that is decided.
    pub fn at(&self, height: Height) -> Arc<Committee> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = all.range(..=height).next_back();
        Arc::clone(found.expect("the genesis has one for every height").1)
    }

    /// The last height before another takes over from the one of a height, if one is known to.
    pub fn until(&self, height: Height) -> Option<Height> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let next = all.range(height.saturating_add(1)..).next()?;
        next.0.checked_sub(1)
    }

    /// A committee decides from a height on. That an epoch brings the same one again is no change.
    pub fn take_over(&self, from: Height, committee: Committee) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let last = all.range(..from).next_back();
        if last.is_none_or(|(_, last)| **last != committee) {
            all.insert(from, Arc::new(committee));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{Address, Member};

    #[test]
    fn each_height_has_the_last_that_took_over() {
        let of = |byte| {
            Committee::new(vec![Member { address: Address::with_last_byte(byte), seats: 1 }])
                .unwrap()
        };
        let committees = Committees::new(of(1), [(10, of(2))].into());
        committees.take_over(15, of(2));
        committees.take_over(20, of(3));
        for (height, byte) in [(0, 1), (1, 1), (9, 1), (10, 2), (19, 2), (20, 3), (u64::MAX, 3)] {
            assert_eq!(*committees.at(height), of(byte), "height {height}");
        }
        for (height, until) in [(0, Some(9)), (9, Some(9)), (10, Some(19)), (20, None)] {
            assert_eq!(committees.until(height), until, "height {height}");
        }
    }
}
