//! An EVM rollup: what `spec/evm-rollup.md` says.
//!
//! | file | what |
//! |---|---|
//! | [`genesis`], [`spec`] | what a rollup starts from, and the fields that never change |
//! | [`transaction`], [`skip`] | from an item's bytes to a transaction, or to why it is skipped |
//! | [`block`], [`execute`] | from a slice to a block; pure |
//! | [`visited`] | the state during one block |
//! | [`trie`] | the state root, kept up to date path by path |
//! | [`store`] | everything durable: state, blocks, indexes, cursor |
//! | [`embedded`] | engine 1: revm over the store |
//! | [`external`] | engine 2: another process, over JSON-RPC |
//! | [`call`] | `eth_call` and its kin, over a view of the store |
//! | [`simulate`], [`leg`] | transactions that are run and not kept; what a leg of an atomic bundle will do |

pub mod block;
pub mod call;
pub mod chain;
pub mod embedded;
pub mod execute;
pub mod external;
pub mod genesis;
pub mod items;
pub mod leg;
pub mod simulate;
pub mod skip;
pub mod spec;
pub mod store;
pub mod transaction;
pub mod trie;
pub mod visited;
