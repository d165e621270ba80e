//! The client's side of a Weft node's HTTP API.
//!
//! | file | what |
//! |---|---|
//! | [`client`] | one endpoint: bounded requests and responses |
//! | [`events`] | an event stream, read event by event |
//! | [`sse`] | its grammar, pure |
//! | [`auctions`] | what is for sale and what became of bids |
//! | [`bid`] | bids: made, signed, submitted |
//! | [`shapes`] | the JSON that a node answers with |
//!
//! Nothing an endpoint says is believed. What matters is verified by [`crate::light`]; the rest
//! (status, prices, receipts) only steers what is tried next.

pub mod auctions;
pub mod bid;
pub mod client;
pub mod events;
pub mod shapes;
pub mod sse;

pub use auctions::AuctionStream;
pub use bid::{Bid, Submitted, submit_to_all};
pub use client::{ApiError, Endpoint, SliceStream};
