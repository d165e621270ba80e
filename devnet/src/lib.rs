//! A whole Weft network on one machine: start it, load it, break it, report on it.

pub mod client;
pub mod load;
pub mod network;
pub mod plan;
pub mod process;

pub use client::Client;
pub use network::{Network, Programs};
pub use plan::{Options, Plan};
