//! Malachite.
