//! `weft`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match weft_node::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
