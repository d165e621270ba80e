//! LtHash: a commitment to a set that is cheap to change (protocol section 6).
//!
//! Each element is stretched by blake3 to 1024 sixteen-bit words; the commitment is their sum,
//! word by word, modulo 2^16. Adding or removing an element is one hash and one pass, whatever the
//! size of the set, and whoever holds the whole set can recompute the sum. Finding two sets with
//! one sum is a short-vector problem in a lattice, at about 200 bits for these sizes. See
//! `spec/decisions/0003-lattice-hash-for-the-ledger.md`.

use weft_types::B256;

const WORDS: usize = 1024;

/// The sum over a set of elements.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Lattice(Box<[u16; WORDS]>);

impl Lattice {
    /// The sum over nothing.
    pub(crate) fn empty() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// Adds an element.
    pub(crate) fn add(&mut self, element: &[u8]) {
        self.combine(element, u16::wrapping_add);
    }

    /// Takes an element out. Whether it was in is for the caller to know.
    pub(crate) fn remove(&mut self, element: &[u8]) {
        self.combine(element, u16::wrapping_sub);
    }

    /// 32 bytes that stand for the sum.
    pub(crate) fn root(&self) -> B256 {
        let mut bytes = [0u8; WORDS * 2];
        for (place, word) in bytes.chunks_exact_mut(2).zip(self.0.iter()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        B256::from(*blake3::hash(&bytes).as_bytes())
    }

    fn combine(&mut self, element: &[u8], with: impl Fn(u16, u16) -> u16) {
        let mut bytes = [0u8; WORDS * 2];
        blake3::Hasher::new().update(element).finalize_xof().fill(&mut bytes);
        for (word, stretch) in self.0.iter_mut().zip(bytes.chunks_exact(2)) {
            *word = with(*word, u16::from_le_bytes([stretch[0], stretch[1]]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let mut a = Lattice::empty();
        a.add(b"one");
        a.add(b"two");
        let mut b = Lattice::empty();
        b.add(b"two");
        b.add(b"three");
        b.add(b"one");
        assert_ne!(a.root(), b.root());
        b.remove(b"three");
        assert_eq!(a.root(), b.root());
        a.remove(b"one");
        a.remove(b"two");
        assert!(a == Lattice::empty());
    }

    #[test]
    fn counts_how_often() {
        let mut once = Lattice::empty();
        once.add(b"x");
        let mut twice = once.clone();
        twice.add(b"x");
        assert_ne!(once.root(), twice.root());
    }
}
