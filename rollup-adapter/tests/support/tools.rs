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
    /// Starts anvil for a rollup, with a saved state if there is one.
    pub fn start(genesis_json: &Path, state: Option<&Path>) -> Self {
        Self::start_on(genesis_json, state, 0)
    }

    pub fn start_on(genesis_json: &Path, state: Option<&Path>, port: u16) -> Self {
        let json = std::fs::read_to_string(genesis_json).unwrap();
        let genesis = EvmGenesis::from_json(&json).unwrap();
        let mut command = Command::new(tool("anvil"));
        command.args(weft_rollup_adapter::evm::external::anvil_arguments(&genesis.spec));
        command.args(["--port", &port.to_string(), "--host", "127.0.0.1"]);
        // A saved state takes the place of the genesis file.
        match state.filter(|state| state.exists()) {
            Some(state) => command.arg("--load-state").arg(state),
            None => command.arg("--init").arg(genesis_json),
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
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

    /// Calls a method.
    pub async fn call(&self, method: &str, params: serde_json::Value) -> serde_json::Value {
        let body = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": method, "params": params,
        });
        let response = reqwest::Client::new().post(&self.url).json(&body).send().await.unwrap();
        let answer: serde_json::Value = response.json().await.unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Saves its state to a file that it can be started with.
    pub async fn save(&self, file: &Path) {
        let state = self.call("anvil_dumpState", serde_json::json!([])).await;
        let zipped = alloy_primitives::hex::decode(state.as_str().unwrap()).unwrap();
        let with_suffix = file.with_extension("json.gz");
        std::fs::write(&with_suffix, zipped).unwrap();
        let status = Command::new("gunzip").arg("-f").arg(&with_suffix).status().unwrap();
        assert!(status.success());
        assert!(file.exists());
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
