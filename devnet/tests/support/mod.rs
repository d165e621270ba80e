//! What tests with a network of real processes share: they run one at a time, and whoever runs takes a
//! lock that other test processes wait for.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};
use weft_devnet::drill::{Lab, Scale, free_base_port};
use weft_devnet::programs::{Programs, workspace};
use weft_devnet::tools::Tools;

#[expect(clippy::print_stderr, reason = "progress of tests that take a minute")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// Waits for its turn, and gets everything ready.
pub async fn lab() -> (Lab, File) {
    let dir = workspace().join("target/drill-tests");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = File::create(dir.join("lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || {
        flock(&lock, FlockOperation::LockExclusive).map(|()| lock)
    });
    let lock = lock.await.unwrap().unwrap();
    let (programs, _) = Programs::build(false).await.unwrap();
    let tools = Tools::install(say).await.unwrap();
    let base_port = free_base_port().unwrap();
    (Lab { programs, tools, dir, base_port, scale: Scale::Short, say }, lock)
}
