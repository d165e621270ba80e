//! The process `weft`: a validator or full node of a Weft network. All IO lives here.
//!
//! ```text
//!   api ----> mempool ----> sequencer <----> p2p (one libp2p swarm)
//!    ^                       |  ^  ^
//!    |                       v  |  +-------> engine (Malachite: votes, rounds, sync)
//!   chain <-- view <------- log (the truth)
//! ```
//!
//! The sequencer is one task around the pure driver of `weft-consensus`. Everything slow happens
//! elsewhere and comes back to it as an event. A full node runs a follower in the place of
//! sequencer and engine.

pub mod api;
pub mod chain;
pub mod cli;
pub mod config;
pub mod engine;
pub mod follower;
pub mod home;
pub mod keystore;
pub mod l1;
pub mod mempool;
pub mod metrics;
pub mod p2p;
pub mod publish;
pub mod replay;
pub mod run;
pub mod sequencer;
pub mod serve;
pub mod store;
pub mod submit;
pub mod work;
