//! The contracts: formatted, tested, as cheap as they are said to be, and with artifacts of what the
//! sources are.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use weft_devnet::command::run;
use weft_devnet::programs::workspace;
use weft_devnet::tools::Tools;

/// How long any of it may take; compiling takes most of it.
const PATIENCE: Duration = Duration::from_secs(900);

async fn succeeds(tools: &Tools, program: &Path, args: &[&str]) -> String {
    let directory = workspace().join("contracts");
    let mut command: Command = tools.command(program);
    command.args(args).current_dir(directory);
    let what = format!("{} {}", program.file_name().unwrap().display(), args.join(" "));
    let ended = run(&mut command, &what, Stdio::null(), PATIENCE).await.unwrap();
    // What fails is told on the output.
    assert!(ended.success, "{what}:\n{}\n{}", ended.stdout, ended.stderr);
    ended.stdout
}

#[tokio::test]
async fn contracts_do_what_they_have_to() {
    let tools = Tools::install(|line| eprintln!("{line}")).await.unwrap();
    let forge = tools.forge();
    succeeds(&tools, &forge, &["fmt", "--check"]).await;
    succeeds(&tools, Path::new("node"), &["artifacts.mjs", "--check"]).await;
    let tested = succeeds(&tools, &forge, &["test"]).await;
    assert!(tested.contains(" tests passed, 0 failed"), "{tested}");
    succeeds(&tools, &forge, &["snapshot", "--check", "--match-contract", "GasTest"]).await;
}
