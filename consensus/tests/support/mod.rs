//! What several tests need.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod lone;

use weft_consensus::Tip;
use weft_ledger::State;
use weft_types::Genesis;

/// The tip of a network whose blocks are smaller than any genesis allows.
pub(crate) fn cramped(genesis: &Genesis, max_block_bytes: u32) -> Tip {
    let tip = Tip::genesis(genesis).unwrap();
    let mut genesis = genesis.clone();
    genesis.params.max_block_bytes = max_block_bytes;
    let entries = tip.state.entries().map(|(key, value)| (*key, value.clone()));
    let state = State::from_snapshot(&genesis, entries, tip.state.ledger_root()).unwrap();
    Tip { state, ..tip }
}
