//! What a node keeps, against crashes and damage.

#![allow(clippy::cast_possible_truncation, reason = "test values are small")]

mod log;
mod view;
