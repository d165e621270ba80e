//! From observations to a block, and the engine that votes on it (protocol section 5).
//!
//! The crate has two halves. The deciding half is pure: it takes values and returns values, so
//! that a test or a simulation runs it a million times.
//!
//! | module | rule |
//! |---|---|
//! | [`lanes`], [`observations`] | what a node holds, and what others say they hold |
//! | [`cut`] | rules 3 and 4: which batches, in which order, within which limits |
//! | [`origin`] | rules 6 and 7: how far L1 is taken in |
//! | [`build`] | block = f(observations): cut, order, time, header |
//! | [`validity`] | the named checks that a proposal must pass |
//! | [`leader`] | who proposes |
//! | [`driver`] | when to start, observe, propose, answer, decide |
//! | [`follow`] | taking in what others have decided |
//!
//! The other half, [`engine`], is what Malachite asks for: the context, the signing scheme, and
//! the codecs. No socket, file or clock is touched in either; the node does that.

#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "test values are small"))]

pub mod build;
pub mod content;
pub mod cut;
pub mod driver;
pub mod engine;
pub mod follow;
pub mod lanes;
pub mod leader;
pub mod observations;
pub mod origin;
mod stored;
mod support;
pub mod tip;
pub mod validity;

pub use build::Derived;
pub use content::Content;
pub use driver::Driver;
pub use follow::Delivery;
pub use lanes::Lanes;
pub use tip::Tip;
