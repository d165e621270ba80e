//! Log lines: text for people, JSON for machines; colour only on a terminal.

use std::io::IsTerminal;

use eyre::WrapErr;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Sends log lines to standard error.
pub fn start(config: &LogConfig) -> eyre::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)
        .wrap_err_with(|| format!("log.filter is wrong: {}", config.filter))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
