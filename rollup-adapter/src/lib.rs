//! What a rollup links against: verify, follow, execute; and a whole EVM rollup made of it.

pub mod api;
pub mod config;
pub mod cursor;
pub mod derivation;
pub mod evm;
pub mod executor;
pub mod follow;
pub mod gateway;
pub mod home;
pub mod judge;
pub mod l1;
pub mod light;
pub mod metrics;
pub mod random;
pub mod rpc;
pub mod serve;
pub mod service;
pub mod shutdown;
pub mod source;
