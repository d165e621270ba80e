//! The directory of a devnet: one network at a time, and nothing cleared that is not a devnet's.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use eyre::{WrapErr, bail, ensure};
use rustix::fs::{FlockOperation, flock};

/// The file by which a devnet's directory is known. Locked while a network runs in it.
const MARK: &str = ".weft-devnet";

/// A directory that is this process's alone.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    _lock: File,
}

impl Dir {
    /// Takes a directory, and clears it unless what it holds is to be kept.
    ///
    /// # Errors
    ///
    /// If it holds anything and is no devnet's, or if a devnet runs in it.
    pub fn open(path: &Path, keep: bool) -> eyre::Result<Self> {
        std::fs::create_dir_all(path).wrap_err_with(|| path.display().to_string())?;
        let path = path.canonicalize()?;
        let mark = path.join(MARK);
        if !mark.exists() && std::fs::read_dir(&path)?.next().is_some() {
            bail!("{} holds something that is no devnet; give another --dir", path.display());
        }
        let lock = OpenOptions::new().create(true).append(true).open(&mark)?;
        ensure!(
            flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
            "a devnet runs in {}; stop it, or give another --dir and --base-port",
            path.display()
        );
        refuse_leftovers(&path)?;
        if !keep {
            for entry in std::fs::read_dir(&path)? {
                let entry = entry?.path();
                if entry == mark {
                    continue;
                }
                let removed = if entry.is_dir() {
                    std::fs::remove_dir_all(&entry)
                } else {
                    std::fs::remove_file(&entry)
                };
                removed.wrap_err_with(|| format!("cannot clear {}", entry.display()))?;
            }
        }
        Ok(Self { path, _lock: lock })
    }

    /// Whether a devnet runs in a directory.
    pub fn is_used(path: &Path) -> bool {
        let lock = File::open(path.join(MARK));
        lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A devnet that was killed leaves its processes running: says which.
fn refuse_leftovers(path: &Path) -> eyre::Result<()> {
    let Ok(text) = std::fs::read_to_string(path.join("network.json")) else { return Ok(()) };
    let described: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let mut pids = Vec::new();
    for part in ["validators", "full_nodes", "rollups"] {
        for process in described[part].as_array().into_iter().flatten() {
            pids.extend(["pid", "engine_pid"].iter().filter_map(|key| process[key].as_u64()));
        }
    }
    let l1 = &described["l1"];
    let around = [&l1["chain"], &l1["relayer"]];
    let providers = l1["providers"].as_array().into_iter().flatten();
    pids.extend(providers.chain(around).filter_map(|process| process["pid"].as_u64()));
    let place = path.as_os_str().as_encoded_bytes();
    pids.retain(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.windows(place.len()).any(|part| part == place)
    });
    let pids: Vec<String> = pids.iter().map(u64::to_string).collect();
    ensure!(
        pids.is_empty(),
        "an earlier devnet in {} was killed and left processes behind; stop them with: kill {}",
        path.display(),
        pids.join(" ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until nobody holds it: a process that another test has just forked may for a moment.
    fn released(path: &Path) {
        let since = std::time::Instant::now();
        while Dir::is_used(path) {
            assert!(since.elapsed().as_secs() < 30, "{} is in use", path.display());
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_what_is_a_devnets_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("thesis.txt"), "years of work").unwrap();
        let error = Dir::open(path, false).unwrap_err();
        assert!(error.to_string().contains("no devnet"), "{error}");
        assert!(path.join("thesis.txt").exists());

        let own = path.join("devnet");
        assert!(!Dir::is_used(&own));
        let dir = Dir::open(&own, false).unwrap();
        assert!(Dir::is_used(&own));
        let error = Dir::open(&own, false).unwrap_err();
        assert!(error.to_string().contains("a devnet runs"), "{error}");
        drop(dir);
        released(&own);
        std::fs::write(own.join("validator.log"), "").unwrap();
        drop(Dir::open(&own, true).unwrap());
        assert!(own.join("validator.log").exists());
        drop(Dir::open(&own, false).unwrap());
        assert!(!own.join("validator.log").exists());
    }

    #[test]
    fn processes_left_behind_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path(), false).unwrap();
        let mut child = std::process::Command::new("tail")
            .arg("-f")
            .arg(dir.path().join(MARK))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let described = serde_json::json!({ "validators": [{ "pid": child.id() }] });
        std::fs::write(dir.path().join("network.json"), described.to_string()).unwrap();
        drop(dir);
        released(directory.path());
        // The command line of a process stands a moment after the process does.
        let command_line = format!("/proc/{}/cmdline", child.id());
        while std::fs::read(&command_line).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let opened = Dir::open(directory.path(), false);
        child.kill().unwrap();
        child.wait().unwrap();
        let error = opened.unwrap_err();
        assert!(error.to_string().contains(&child.id().to_string()), "{error}");
        Dir::open(directory.path(), false).unwrap();
    }
}
