//! Engine 2: another process, driven over its JSON-RPC.
//!
//! | file | what |
//! |---|---|
//! | [`client`] | JSON-RPC over HTTP, bounded |
//! | [`journal`] | what was made of which slice, durable |
//! | [`engine`] | one block per slice, exactly once |
//!
//! The engine is anvil, or whatever speaks its `anvil_` and `evm_` methods: transactions are handed
//! to its pool one by one and mined on demand. `spec/evm-rollup.md` says how it has to be started.

pub mod client;
pub mod engine;
pub mod journal;

pub use client::{EngineClient, EngineError};
pub use engine::{External, ExternalError};
pub use journal::Journal;
