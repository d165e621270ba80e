//! Everything that was not fsynced is lost, on all validators at once, again and again.
//!
//! A small library that is preloaded into the nodes (`power.c`) remembers what was fsynced: of each
//! file its bytes, of each directory its names. After the kill nodes get nothing else back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use eyre::{WrapErr, ensure};
use tokio::process::Command;

use super::all_killed::kill_all;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::command::run as run_command;
use crate::conduct::As;
use crate::network::Node;
use crate::plan::Options;

/// Heights to go on for between two losses.
const HEIGHTS: u64 = 25;

/// How long the network may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the compiler may take.
const COMPILE_PATIENCE: Duration = Duration::from_secs(60);

const SOURCE: &str = include_str!("power.c");

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let rounds = lab.scale.pick(4, 25);
    let options =
        Options { conduct: (0..4).map(|i| (i, As::Honest)).collect(), ..lab.options("power") };
    let mut network = lab.start(options).await?;
    let library = compile(&lab.dir).await?;
    // The first loss comes after a start with the library.
    for node in &mut network.validators {
        ensure!(node.process.stop().await?, "{} did not stop", node.plan.name);
        let disk = Disk::of(node);
        disk.remember_all()?;
        let env = &mut node.process.recipe_mut().env;
        env.push(("LD_PRELOAD".to_owned(), library.display().to_string()));
        env.push(("WEFT_DURABLE".to_owned(), disk.durable.display().to_string()));
        env.push(("WEFT_DURABLE_OF".to_owned(), disk.of.display().to_string()));
        node.process.restart()?;
    }
    network.wait_ready(PATIENCE).await?;
    let rates = Rates {
        rate: 50.0,
        rollup_rate: 0.0,
        duration: lab.scale.pick(Duration::from_secs(25), Duration::from_secs(180)),
        patience: Duration::from_secs(5),
    };
    let traffic = Traffic::start(&network, rates, &[]).await?;
    let (mut lost, mut kept) = (0, 0);
    for round in 1..=rounds {
        let tip = network.validators[0].client.height().await?;
        // Another phase of a height each time.
        network.validators[round % 4].client.wait_height(tip + HEIGHTS, PATIENCE).await?;
        findings.say(&format!("power fails, {round} of {rounds}"));
        kill_all(&mut network).await?;
        for node in &mut network.validators {
            let disk = Disk::of(node);
            let before = size_of(&disk.of)?;
            disk.lose()?;
            let after = size_of(&disk.of)?;
            lost += before.saturating_sub(after);
            kept += after;
            disk.remember_all()?;
            node.process.restart()?;
        }
        network.wait_ready(PATIENCE).await?;
        let tip = network.validators[0].client.height().await?;
        for node in &network.validators {
            node.client.wait_height(tip + 1, PATIENCE).await?;
        }
    }
    findings.note("power failures of all four at once", rounds.to_string());
    findings.note("bytes", format!("{lost} lost, {kept} kept"));
    let load = traffic.finish(findings).await?;
    ensure!(lost > 0, "nothing was lost: the drill shows nothing");
    audit::chain(&network, &load, findings).await?;
    audit::signatures(&network, findings)?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

async fn compile(dir: &Path) -> eyre::Result<PathBuf> {
    let source = dir.join("power.c");
    let library = dir.join("power.so");
    fs::write(&source, SOURCE)?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let ended = run_command(&mut command, "cc", Stdio::null(), COMPILE_PATIENCE).await;
    ended.wrap_err("this drill needs a C compiler, cc")?.output("cc")?;
    Ok(library)
}

/// A node's disk.
struct Disk {
    /// What is lost.
    of: PathBuf,
    /// What is remembered of it.
    durable: PathBuf,
}

impl Disk {
    fn of(node: &Node) -> Self {
        let home = &node.plan.home;
        Self { of: home.join("data"), durable: home.join("durable") }
    }

    /// Takes everything that is there for durable.
    fn remember_all(&self) -> eyre::Result<()> {
        if self.durable.exists() {
            fs::remove_dir_all(&self.durable)?;
        }
        for part in ["files", "names"] {
            fs::create_dir_all(self.durable.join(part))?;
        }
        self.remember(&self.of)
    }

    fn remember(&self, directory: &Path) -> eyre::Result<()> {
        let mut names = String::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let key = key_of(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            names += &format!("{key} {name}\n");
            if path.is_dir() {
                self.remember(&path)?;
            } else {
                fs::copy(&path, self.durable.join("files").join(key))?;
            }
        }
        fs::write(self.durable.join("names").join(key_of(directory)?), names)?;
        Ok(())
    }

    /// Leaves what is durable and nothing else.
    fn lose(&self) -> eyre::Result<()> {
        let root = key_of(&self.of)?;
        let old = self.of.with_extension("lost");
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        fs::rename(&self.of, &old)?;
        self.restore(&root, &self.of)
    }

    fn restore(&self, key: &str, to: &Path) -> eyre::Result<()> {
        fs::create_dir_all(to)?;
        let names = self.durable.join("names").join(key);
        // A directory that was never fsynced is empty.
        let names = if names.exists() { fs::read_to_string(names)? } else { String::new() };
        for line in names.lines() {
            let Some((key, name)) = line.split_once(' ') else { continue };
            let (to, bytes) = (to.join(name), self.durable.join("files").join(key));
            let was = self.of.with_extension("lost").join(to.strip_prefix(&self.of)?);
            if self.durable.join("names").join(key).exists() || was.is_dir() {
                self.restore(key, &to)?;
            } else if bytes.exists() {
                fs::copy(bytes, to)?;
            } else {
                fs::write(to, "")?;
            }
        }
        Ok(())
    }
}

/// The name by which `power.c` knows a file or directory.
fn key_of(path: &Path) -> eyre::Result<String> {
    let metadata = fs::metadata(path).wrap_err_with(|| path.display().to_string())?;
    let born = metadata.created().wrap_err("the file system does not tell when files were made")?;
    let born = born.duration_since(UNIX_EPOCH)?;
    Ok(format!("{}-{}-{}", metadata.ino(), born.as_secs(), born.subsec_nanos()))
}

fn size_of(path: &Path) -> eyre::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        size +=
            if entry.path().is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(size)
}
