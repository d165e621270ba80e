//! Golden vectors of everything that is encoded, hashed, signed or proven (protocol sections 3, 4
//! and 7). The files stand in `spec/vectors`; what they hold is described there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "vectors are files, written if the environment asks")]
#![allow(clippy::cast_possible_truncation, reason = "test values are small")]

mod chain;
mod document;
mod fixtures;
mod refusal;

/// One module, one file of vectors and one test for each kind.
macro_rules! kinds {
    ($($kind:ident)*) => {
        $(mod $kind;)*
        $(#[test] fn $kind() { document::settle(stringify!($kind), &$kind::vectors()); })*
    };
}

kinds! {
    batch
    block
    certificate
    committee
    events
    evidence
    genesis
    header
    legs
    merkle_path
    merkle_tree
    observation
    observation_set
    proposal
    proposed_block
    proven_entry
    proven_result
    proven_slice
    proven_withdrawal
    receipt
    results
    signing
    slice_proof
    slices
    transaction
    vote
}
