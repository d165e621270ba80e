//! Logs are torn and flipped, views deleted.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eyre::{WrapErr, ensure, eyre};

use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::network::{Network, Node};
use crate::plan::Options;

/// The validator that suffers.
const VICTIM: usize = 3;

/// How long a node may take to be back.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let mut network = lab.start(Options { ..lab.options("storage") }).await?;
    let duration = lab.scale.pick(Duration::from_secs(20), Duration::from_secs(240));
    let rates =
        Rates { rate: 200.0, rollup_rate: 0.0, duration, patience: Duration::from_secs(10) };
    let traffic = Traffic::start(&network, rates, &[VICTIM]).await?;
    let first = &network.validators[0].client;
    first.wait_height(first.height().await? + lab.scale.pick(100, 2000), duration * 3).await?;

    for kill in [false, true] {
        delete_view(&mut network, kill, findings).await?;
    }
    for bytes in [1, 7, 100] {
        tear(&mut network, bytes, findings).await?;
    }
    let load = traffic.finish(findings).await?;
    flip(&mut network, findings).await?;
    audit::chain(&network, &load, findings).await?;
    lose(&mut network, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

fn data(node: &Node) -> PathBuf {
    node.plan.home.join("data")
}

/// The newest segment of a node's block log.
fn newest_segment(node: &Node) -> eyre::Result<PathBuf> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(data(node).join("log"))? {
        segments.push(entry?.path());
    }
    segments.sort();
    segments.pop().ok_or_else(|| eyre!("no block log"))
}

async fn back(network: &mut Network) -> eyre::Result<Duration> {
    let started = Instant::now();
    let tip = network.validators[0].client.height().await?;
    network.wait_ready(PATIENCE).await?;
    network.validators[VICTIM].client.wait_height(tip, PATIENCE).await?;
    Ok(started.elapsed())
}

async fn delete_view(
    network: &mut Network,
    kill: bool,
    findings: &mut Findings,
) -> eyre::Result<()> {
    let node = &mut network.validators[VICTIM];
    if kill {
        node.process.kill().await?;
    } else {
        ensure!(node.process.stop().await?, "{} did not stop when asked to", node.plan.name);
    }
    let height = network.validators[0].client.height().await?;
    let node = &mut network.validators[VICTIM];
    fs::remove_dir_all(data(node).join("view")).wrap_err("no view to delete")?;
    node.process.restart()?;
    let took = back(network).await?;
    let how = if kill { "killed" } else { "stopped" };
    findings.note(
        format!("view deleted while {how}"),
        format!("ready again, all {height} heights replayed, after {}", seconds(took)),
    );
    Ok(())
}

/// Leaves a killed node's log with a write that was not finished: the beginning of a frame.
async fn tear(network: &mut Network, bytes: usize, findings: &mut Findings) -> eyre::Result<()> {
    let node = &mut network.validators[VICTIM];
    node.process.kill().await?;
    let segment = newest_segment(node)?;
    let length = usize::try_from(fs::metadata(&segment)?.len())?;
    let whole = fs::read(&segment)?;
    let from = length.saturating_sub(bytes * 2);
    let file = OpenOptions::new().append(true).open(&segment)?;
    (&file).write_all(&whole[from..from + bytes])?;
    let said = log_lines(node)?.len();
    node.process.restart()?;
    let took = back(network).await?;
    let lines = log_lines(&network.validators[VICTIM])?;
    let said = lines[said..].iter().any(|line| line.contains("never finished"));
    ensure!(said, "a tail torn after {bytes} bytes was not mentioned");
    findings.note(
        format!("log torn {bytes} bytes into a write"),
        format!("cut to the last whole frame, said so, caught up after {}", seconds(took)),
    );
    Ok(())
}

/// Takes the last byte of a killed node's log away, which was durable. A validator that had gone
/// on from there must not sign again; one that had not goes on.
async fn lose(network: &mut Network, findings: &mut Findings) -> eyre::Result<()> {
    let node = &mut network.validators[VICTIM];
    node.process.kill().await?;
    let segment = newest_segment(node)?;
    let length = fs::metadata(&segment)?.len();
    OpenOptions::new().write(true).open(&segment)?.set_len(length - 1)?;
    let said = log_lines(node)?.len();
    node.process.restart()?;
    let client = node.client.clone();
    let ended = tokio::select! {
        ended = node.process.wait(PATIENCE) => Some(ended?),
        ready = client.wait_ready(PATIENCE) => {
            ready?;
            None
        }
    };
    let found = match ended {
        Some(status) => {
            ensure!(!status.success(), "ended without saying why");
            let lines = log_lines(node)?;
            let lost = lines[said..].iter().any(|line| line.contains("must not sign again"));
            ensure!(lost, "ended without saying that durable records are lost");
            "refused: this key may have signed what is lost"
        }
        None => {
            back(network).await?;
            "it was of no decided block: cut, caught up"
        }
    };
    findings.note("last durable byte of the log lost", found);
    Ok(())
}

fn log_lines(node: &Node) -> eyre::Result<Vec<String>> {
    Ok(audit::read(node.process.log())?.lines().map(str::to_owned).collect())
}

/// Flips single bits of a node's log: while it runs, and while it is stopped.
async fn flip(network: &mut Network, findings: &mut Findings) -> eyre::Result<()> {
    let tip = network.validators[VICTIM].client.height().await?;
    let node = &mut network.validators[VICTIM];
    let segment = newest_segment(node)?;
    let length = fs::metadata(&segment)?.len();
    let (mut refused, mut tried) = (0, 0);
    for part in 1..10 {
        let place = length * part / 11;
        flip_bit(&segment, place)?;
        // Somewhere a height now reads wrong; the node must notice wherever that is.
        let healthy = &network.validators[0].client;
        for height in 1..=tip {
            let served = match network.validators[VICTIM].client.block_bytes(height).await {
                Ok(served) => served,
                Err(error) => {
                    let problem = error.downcast_ref::<reqwest::Error>().and_then(|e| e.status());
                    let says_so = problem == Some(reqwest::StatusCode::INTERNAL_SERVER_ERROR);
                    ensure!(says_so, "height {height} with a flipped bit: {error:#}");
                    refused += 1;
                    continue;
                }
            };
            let expected = healthy.block_bytes(height).await?;
            ensure!(served == expected, "height {height} was served with a flipped bit");
        }
        flip_bit(&segment, place)?;
        tried += 1;
        if part == 1 && tip > 2000 {
            // Every block of a long chain is compared once; that takes long enough.
            break;
        }
    }
    findings.note(
        "bits flipped under a running node",
        format!("{tried}; {refused} blocks refused, none served wrong"),
    );
    ensure!(refused > 0, "no flip hit a block");

    let node = &mut network.validators[VICTIM];
    ensure!(node.process.stop().await?, "{} did not stop when asked to", node.plan.name);
    let mut said = String::new();
    for part in 1..10 {
        let place = length * part / 10 - 1;
        flip_bit(&segment, place)?;
        let before = log_lines(node)?.len();
        node.process.restart()?;
        let status = node.process.wait(PATIENCE).await?;
        ensure!(!status.success(), "started on a log with a bit flipped at {place}");
        let lines = log_lines(node)?;
        let line = lines[before..].iter().find(|line| line.contains("damaged"));
        said = line.ok_or_else(|| eyre!("ended without naming the damage at {place}"))?.clone();
        flip_bit(&segment, place)?;
    }
    findings.note("bits flipped in a stopped node's log", "9; refused to start each time");
    let said: String = said.chars().take(90).collect();
    findings.note("what it says", format!("{said}..."));
    node.process.restart()?;
    back(network).await?;
    Ok(())
}

fn flip_bit(path: &Path, place: u64) -> eyre::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)?;
    byte[0] ^= 0x10;
    file.write_all_at(&byte, place)?;
    Ok(())
}
