//! Child processes: started with their output in a file, killed without mercy or asked to stop.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use eyre::{WrapErr, eyre};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to stop when asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How to start a process, again and again.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name in messages.
    pub name: String,
    /// What to run.
    pub program: PathBuf,
    /// With what.
    pub args: Vec<String>,
    /// Variables of its environment.
    pub env: Vec<(String, String)>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A process that was started.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Option<Child>,
}

impl Process {
    /// Starts it.
    pub fn start(recipe: Recipe) -> eyre::Result<Self> {
        let mut process = Self { recipe, child: None };
        process.restart()?;
        Ok(process)
    }

    /// Starts it again. It must not be running.
    pub fn restart(&mut self) -> eyre::Result<()> {
        let recipe = &self.recipe;
        let log = open_log(&recipe.log)?;
        let child = Command::new(&recipe.program)
            .args(&recipe.args)
            .envs(recipe.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            // A Ctrl-C on the terminal is for the devnet, which stops its processes in order.
            .process_group(0)
            .spawn()
            .wrap_err_with(|| format!("cannot start {}", recipe.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// How it is started.
    pub fn recipe_mut(&mut self) -> &mut Recipe {
        &mut self.recipe
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.recipe.log
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> eyre::Result<u64> {
        let pid = self.pid().ok_or_else(|| eyre!("{} does not run", self.recipe.name))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
            .wrap_err("this system does not tell how much memory a process has")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| eyre!("no memory of {}", self.recipe.name))
    }

    /// Whether it has ended by itself, and how.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }

    /// Waits for it to end by itself.
    pub async fn wait(&mut self, patience: Duration) -> eyre::Result<std::process::ExitStatus> {
        let child =
            self.child.as_mut().ok_or_else(|| eyre!("{} does not run", self.recipe.name))?;
        let status = timeout(patience, child.wait())
            .await
            .map_err(|_| eyre!("{} did not end in {patience:?}", self.recipe.name))??;
        self.child = None;
        Ok(status)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> eyre::Result<()> {
        let pid = self.pid().ok_or_else(|| eyre!("{} does not run", self.recipe.name))?;
        let pid = Pid::from_raw(i32::try_from(pid)?).ok_or_else(|| eyre!("no such process"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it, as by `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> eyre::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks it to stop and waits; kills it if it does not. Returns whether it stopped by itself.
    pub async fn stop(&mut self) -> eyre::Result<bool> {
        if self.child.is_none() {
            return Ok(true);
        }
        self.signal(Signal::TERM)?;
        match self.wait(STOP_PATIENCE).await {
            Ok(status) => Ok(status.success()),
            Err(_) => {
                self.kill().await?;
                Ok(false)
            }
        }
    }
}

fn open_log(path: &Path) -> eyre::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .wrap_err_with(|| format!("cannot write {}", path.display()))
}
