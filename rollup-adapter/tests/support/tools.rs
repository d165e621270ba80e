//! anvil and cast, from npm, pinned.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use weft_rollup_adapter::evm::genesis::EvmGenesis;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools")
}

/// Path of a tool's executable, installed first if need be.
pub fn tool(name: &str) -> PathBuf {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        if find("anvil").is_some() && find("cast").is_some() {
            return;
        }
        let output = Command::new("npm")
            .arg("ci")
            .current_dir(directory())
            .output()
            .expect("npm is needed to install anvil and cast");
        assert!(
            output.status.success(),
            "npm ci failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
    find(name).unwrap_or_else(|| panic!("npm ci has not brought {name} for this platform"))
}

/// The executable itself, without the JavaScript around it: kill must reach it.
fn find(name: &str) -> Option<PathBuf> {
    let scope = directory().join("node_modules/@foundry-rs");
    let prefix = format!("{name}-");
    let packages = std::fs::read_dir(scope).ok()?;
    packages
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join("bin").join(name))
        .find(|path| path.is_file())
}

/// A running anvil.
pub struct Anvil {
    child: Child,
    pub url: String,
    pub port: u16,
}

impl Anvil {
    /// Starts anvil for a rollup. `state`, if given, is read at start and written at a clean end.
    pub fn start(genesis_json: &Path, state: Option<&Path>) -> Self {
        Self::start_on(genesis_json, state, 0)
    }

    pub fn start_on(genesis_json: &Path, state: Option<&Path>, port: u16) -> Self {
        let json = std::fs::read_to_string(genesis_json).unwrap();
        let genesis = EvmGenesis::from_json(&json).unwrap();
        let mut command = Command::new(tool("anvil"));
        command.args(weft_rollup_adapter::evm::external::anvil_arguments(&genesis.spec));
        command.arg("--init").arg(genesis_json);
        command.args(["--port", &port.to_string(), "--host", "127.0.0.1"]);
        if let Some(state) = state {
            command.arg("--state").arg(state);
        }
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("anvil ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.to_owned();
            }
        };
        // Somebody has to read on, or anvil blocks on a full pipe.
        std::thread::spawn(move || for _ in lines {});
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, url: format!("http://{address}"), port }
    }

    /// Kills it without warning.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets it end by itself, so that it writes its state.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
