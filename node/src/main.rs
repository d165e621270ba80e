//! `weft`.

use clap::Parser;

fn main() -> eyre::Result<()> {
    weft_node::cli::Cli::parse().run()
}
