//! The tools from npm that the devnet is tried with: anvil, cast and forge, and the contracts they
//! deploy. They are pinned by the lock file in the crate's directory `tools`, and installed there
//! when they are first needed.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alloy_primitives::keccak256;
use eyre::{WrapErr, bail, ensure, eyre};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::process::Command;

use crate::client::wait_for;
use crate::command::run;

/// How long `npm ci` may take; about 100 MB come over the network.
const INSTALL_PATIENCE: Duration = Duration::from_secs(600);

/// How long forge may take to compile; a few seconds are usual.
const COMPILE_PATIENCE: Duration = Duration::from_secs(180);

/// How long a short question to node or npm may take.
const ASK_PATIENCE: Duration = Duration::from_secs(30);

/// Where the stamp is kept. `npm ci` begins by deleting `node_modules`, so an installation that
/// was interrupted has none.
const STAMP: &str = "node_modules/.stamp";

/// What the packages bring that is used as a program.
const PROGRAMS: [&str; 3] = ["anvil", "cast", "forge"];

/// The installed tools.
#[derive(Clone, Debug)]
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Installs the tools unless they are installed already, and says so through `progress`.
    ///
    /// Several processes may do this at once: one installs, the others wait for it. An error says
    /// what is missing and what to do about it.
    pub async fn install(progress: impl Fn(&str)) -> eyre::Result<Self> {
        Self::install_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"), progress).await
    }

    async fn install_in(directory: &Path, progress: impl Fn(&str)) -> eyre::Result<Self> {
        let directory = directory
            .canonicalize()
            .wrap_err_with(|| format!("no directory of tools at {}", directory.display()))?;
        let tools = Self { directory };
        let stamp = tools.wanted_stamp()?;
        if tools.is_installed(&stamp) {
            return Ok(tools);
        }
        let lock = tools.lock(&progress).await?;
        // Who waited for the lock may find the work done.
        if tools.is_installed(&stamp) {
            return Ok(tools);
        }
        for program in ["node", "npm"] {
            tools.require(program).await?;
        }
        progress("installing anvil, cast, forge and contracts from npm");
        tools.npm_ci(&lock).await?;
        for program in PROGRAMS {
            ensure!(
                tools.program(program).is_file(),
                "npm has installed no {program} for {}: either there is none for this platform, \
                 or its download failed; run `npm ci` in {} to see",
                platform(),
                tools.directory.display()
            );
        }
        std::fs::write(tools.directory.join(STAMP), stamp)?;
        Ok(tools)
    }

    /// Compiles the contracts that are kept as sources, unless that has been done. Processes that
    /// do so at once take turns.
    pub async fn compile(&self, progress: impl Fn(&str)) -> eyre::Result<()> {
        let lock = self.lock(&progress).await?;
        self.require("node").await?;
        progress("compiling the token contract with forge");
        let mut command = self.command(&self.forge());
        command.arg("build").arg("--root").arg(&self.directory);
        let ended = run(&mut command, "forge build", Stdio::from(lock), COMPILE_PATIENCE).await?;
        ended.output("forge build")?;
        Ok(())
    }

    /// The directory in which everything is installed, and forge's project.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of anvil, a development chain.
    pub fn anvil(&self) -> PathBuf {
        self.program("anvil")
    }

    /// The path of cast, a wallet and RPC client.
    pub fn cast(&self) -> PathBuf {
        self.program("cast")
    }

    /// The path of forge, a compiler driver and deployer.
    pub fn forge(&self) -> PathBuf {
        self.program("forge")
    }

    /// A file that an npm package brings, such as `@uniswap/v2-core/build/UniswapV2Pair.json`.
    pub fn package_file(&self, path: &str) -> PathBuf {
        self.directory.join("node_modules").join(path)
    }

    /// A command that sees only the project's settings, none of the user's: variables such as
    /// `ETH_FROM` and files in the home directory would change what the tools do.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env_clear();
        for kept in ["PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.env("HOME", self.directory.join("cache"));
        command
    }

    /// The executable itself, without the JavaScript that npm puts before it: a signal to the
    /// child process must reach it.
    fn program(&self, name: &str) -> PathBuf {
        self.package_file(&format!("@foundry-rs/{name}-{}/bin/{name}", platform()))
    }

    /// What the stamp holds when everything is as the lock file wants it.
    fn wanted_stamp(&self) -> eyre::Result<String> {
        let path = self.directory.join("package-lock.json");
        let lock =
            std::fs::read(&path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
        Ok(format!("{} {:x}\n", platform(), keccak256(lock)))
    }

    fn is_installed(&self, stamp: &str) -> bool {
        std::fs::read_to_string(self.directory.join(STAMP)).is_ok_and(|found| found == stamp)
            && PROGRAMS.iter().all(|program| self.program(program).is_file())
    }

    /// Takes the lock that installing and compiling need. It is held until every copy of the file
    /// is closed; a child that has it as its input holds it on, even if this process is killed.
    async fn lock(&self, progress: impl Fn(&str)) -> eyre::Result<File> {
        let path = self.directory.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        if try_lock(&file)?.is_none() {
            progress("waiting for another process that installs the tools");
            let what = format!("the lock of {}", path.display());
            wait_for(&what, INSTALL_PATIENCE, || async { try_lock(&file) }).await?;
        }
        Ok(file)
    }

    /// Fails plainly if a program that everybody has to bring is missing.
    async fn require(&self, program: &str) -> eyre::Result<()> {
        let mut command = Command::new(program);
        command.arg("--version").current_dir(&self.directory);
        match run(&mut command, program, Stdio::null(), ASK_PATIENCE).await {
            Ok(ended) => ended.output(program).map(drop),
            Err(error) if is_not_found(&error) => bail!(
                "{program} is not installed, or not in a directory of PATH: install Node.js 20 \
                 or later, which brings node and npm"
            ),
            Err(error) => Err(error),
        }
    }

    async fn npm_ci(&self, lock: &File) -> eyre::Result<()> {
        match std::fs::remove_file(self.directory.join(STAMP)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = Command::new("npm");
        command.args(["ci", "--include=optional"]).current_dir(&self.directory);
        let ended = run(&mut command, "npm ci", lock.try_clone()?.into(), INSTALL_PATIENCE).await?;
        if ended.success {
            return Ok(());
        }
        let advice = advice(ended.complaint());
        let directory = self.directory.display().to_string();
        ended.output("npm ci").map(drop).wrap_err_with(|| format!("in {directory}: {advice}"))
    }
}

fn try_lock(file: &File) -> eyre::Result<Option<()>> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(())),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(eyre!("cannot lock: {error}")),
    }
}

fn is_not_found(error: &eyre::Report) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == ErrorKind::NotFound)
}

/// This platform, as the tools' packages name it.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{processor}")
}

/// What to do about a failure of `npm ci`, from what it complained of.
fn advice(complaint: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    if says(&["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"]) {
        "the npm registry cannot be reached; the first installation needs the network"
    } else if says(&["EINTEGRITY"]) {
        "a package is not the one that the lock file names; do not use it"
    } else if says(&["EUSAGE"]) {
        "package.json and package-lock.json do not agree; update the lock file"
    } else if says(&["ENOSPC"]) {
        "the disk is full; about 250 MB are needed"
    } else {
        "the tools could not be installed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_is_missing() {
        assert!(advice("npm error code EAI_AGAIN").contains("network"));
        assert!(advice("npm error code EINTEGRITY").contains("lock file"));
        assert!(advice("npm error code EUSAGE").contains("package.json"));
        assert!(advice("something else").contains("could not be installed"));
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let tools = Tools { directory: std::env::temp_dir() };
        let error = tools.require("no-such-program").await.unwrap_err().to_string();
        assert!(error.starts_with("no-such-program is not installed"), "{error}");
        assert!(error.contains("install Node.js"), "{error}");
    }

    #[test]
    fn a_stamp_of_another_lock_file_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let tools = Tools { directory: directory.path().to_owned() };
        let write = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(directory.path().join("package-lock.json"), "{}");
        let stamp = tools.wanted_stamp().unwrap();
        for program in PROGRAMS {
            write(tools.program(program), "");
        }
        assert!(!tools.is_installed(&stamp), "no stamp");
        write(directory.path().join(STAMP), &stamp);
        assert!(tools.is_installed(&stamp));
        write(directory.path().join("package-lock.json"), "{ }");
        assert!(!tools.is_installed(&tools.wanted_stamp().unwrap()), "another lock file");
        std::fs::remove_file(tools.cast()).unwrap();
        assert!(!tools.is_installed(&stamp), "a program is missing");
    }
}
