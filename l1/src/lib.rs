//! Ethereum as Weft sees it (protocol section 10, `spec/ethereum.md`).
//!
//! | module | |
//! |---|---|
//! | [`config`] | how to look at it, as an operator configures it |
//! | [`rpc`] | JSON-RPC over HTTP and WebSocket, with bounded answers |
//! | [`calls`] | calls to the contracts, from what they are about |
//! | [`contracts`] | the contracts: calls, and what their logs mean |
//! | [`deploy`] | deploys the contracts |
//! | [`provider`] | what one provider says of finalized blocks |
//! | [`quorum`] | what enough providers agree on, and which of them to trust: pure |
//! | [`watcher`] | asks all providers, again and again |
//! | [`wallet`] | transactions to the contracts |
//!
//! One provider is never believed. A block counts once enough of them name the same hash and the
//! same events for its number; one that says something else, lags or stalls is found out by that,
//! which waiting for an error would never do.

pub mod calls;
pub mod config;
pub mod contracts;
pub mod deploy;
pub mod provider;
pub mod quorum;
pub mod rpc;
pub mod wallet;
pub mod watcher;
