//! `weft-conduct`: a validator that misbehaves, for drills and tests.

use std::process::ExitCode;

use clap::Parser;
use weft_devnet::conduct::Conducted;

#[tokio::main]
async fn main() -> ExitCode {
    weft_devnet::ended(Conducted::parse().run().await)
}
