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

use super::spec::ChainSpec;

pub use client::{EngineClient, EngineError};
pub use engine::{External, ExternalError};
pub use journal::Journal;

/// How anvil has to be started for a rollup, apart from `--init` with the rollup's genesis file,
/// and where it listens. What each flag is for stands in `spec/evm-rollup.md`.
pub fn anvil_arguments(spec: &ChainSpec) -> Vec<String> {
    let flags = [
        "--no-mining",
        "--order=fifo",
        "--hardfork=osaka",
        "--enable-tx-gas-limit",
        "--disable-pool-balance-checks",
        "--disable-default-create2-deployer",
        "--disable-console-log",
        "--accounts=0",
        "--no-request-size-limit",
    ];
    let mut arguments: Vec<String> = flags.map(str::to_owned).into();
    arguments.push(format!("--chain-id={}", spec.chain_id));
    arguments.push(format!("--gas-limit={}", spec.gas_limit));
    arguments.push(format!("--block-base-fee-per-gas={}", spec.base_fee));
    arguments.push(format!("--timestamp={}", spec.genesis_time));
    arguments
}
