//! What the tests share: a tiny Weft chain with real keys, a double of a Weft node, wallets, and
//! the tools from npm.
#![allow(dead_code, reason = "every test binary uses a part")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "test code")]

pub mod chain;
pub mod clean;
pub mod dir;
pub mod node;
pub mod process;
pub mod programs;
pub mod tools;
pub mod wallet;
