//! The client's side of a Weft node's HTTP API.
//!
//! | file | what |
//! |---|---|
//! | [`client`] | one endpoint: bounded requests and responses |
//! | [`sse`] | the event stream's grammar, pure |
//! | [`shapes`] | the JSON that a node answers with |
//!
//! Nothing an endpoint says is believed. What matters is verified by [`crate::light`]; the rest
//! (status, prices, receipts) only steers what is tried next.

pub mod client;
pub mod shapes;
pub mod sse;

pub use client::{ApiError, Endpoint, SliceStream};
