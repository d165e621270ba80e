//! The programs a network is made of, built by cargo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use eyre::{WrapErr, bail, ensure, eyre};
use tokio::process::Command;

/// Packages whose binaries a network runs.
const PACKAGES: [&str; 3] = ["weft-node", "weft-rollup-adapter", "weft-devnet"];

/// Programs that a network is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `weft`.
    pub weft: PathBuf,
    /// `weft-rollup`.
    pub weft_rollup: PathBuf,
    /// `weft-conduct`: a validator that misbehaves.
    pub weft_conduct: PathBuf,
    /// `weft-devnet` itself.
    pub weft_devnet: PathBuf,
}

impl Programs {
    /// Has cargo build them in the profile of the running program, and says how long that took.
    /// Cargo shows its own progress on standard error, if `verbose` or if it fails.
    pub async fn build(verbose: bool) -> eyre::Result<(Self, Duration)> {
        let started = Instant::now();
        let directory = directory_of_this()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.arg("build").arg("--bins").stdin(Stdio::null()).stdout(Stdio::null());
        for package in PACKAGES {
            command.args(["-p", package]);
        }
        if directory.ends_with("release") {
            command.arg("--release");
        }
        command.current_dir(workspace());
        // What cargo tells the programs it runs must not reach the cargo below: build scripts that
        // look at it would run again, and everything that rests on them with them.
        for (name, _) in std::env::vars_os() {
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
            if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
                command.env_remove(name);
            }
        }
        if verbose {
            let status = command.status().await.wrap_err("cannot run cargo")?;
            ensure!(status.success(), "cargo build failed");
        } else {
            let output = command.output().await.wrap_err("cannot run cargo")?;
            if !output.status.success() {
                bail!("cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok((Self::in_directory(&directory)?, started.elapsed()))
    }

    fn in_directory(directory: &Path) -> eyre::Result<Self> {
        let program = |name: &str| {
            let path = directory.join(name);
            ensure!(path.exists(), "cargo built no {}", path.display());
            Ok(path)
        };
        Ok(Self {
            weft: program("weft")?,
            weft_rollup: program("weft-rollup")?,
            weft_conduct: program("weft-conduct")?,
            weft_devnet: program("weft-devnet")?,
        })
    }
}

/// Where cargo has put the running program.
fn directory_of_this() -> eyre::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let directory = this.parent().ok_or_else(|| eyre!("no directory of {}", this.display()))?;
    // Tests run from a directory below that of programs.
    let directory = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    directory.map(Path::to_owned).ok_or_else(|| eyre!("no directory above deps"))
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    let devnet = Path::new(env!("CARGO_MANIFEST_DIR"));
    devnet.parent().unwrap_or(devnet)
}
