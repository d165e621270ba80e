//! `weft-conduct`: a validator that misbehaves, for drills and tests.

use clap::Parser;
use weft_devnet::conduct::Conducted;

#[tokio::main]
async fn main() -> eyre::Result<()> {
    Conducted::parse().run().await
}
