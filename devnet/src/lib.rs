//! A whole Weft network on one machine: start it, load it, break it, report on it.

pub mod bench;
pub mod client;
pub mod command;
pub mod conduct;
pub mod dir;
pub mod drill;
pub mod exchange;
pub mod l1;
pub mod load;
pub mod network;
pub mod plan;
pub mod process;
pub mod programs;
pub mod rpc;
pub mod searcher;
pub mod table;
pub mod tools;
pub mod up;

pub use client::Client;
pub use network::Network;
pub use plan::{Options, Plan};
pub use programs::Programs;

/// What a program ends with: an error is told in one line, with its causes.
pub fn ended(result: eyre::Result<()>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
