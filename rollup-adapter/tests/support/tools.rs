//! anvil and cast: the tools from npm that `devnet/tools` pins, installed there when they are first
//! needed. The devnet does the same with the same lock and stamp, so both may at any time.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use weft_rollup_adapter::evm::genesis::EvmGenesis;

use super::process::PATIENCE;

/// `npm ci` begins by deleting `node_modules`, so an interrupted installation has no stamp.
const STAMP: &str = "node_modules/.stamp";
/// What an installation has to bring.
const PROGRAMS: [&str; 3] = ["anvil", "cast", "forge"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../devnet/tools").canonicalize().unwrap()
}

/// Path of a tool's executable, installed first if need be.
pub fn tool(name: &str) -> PathBuf {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| install(&directory()));
    program(&directory(), name)
}

/// A command that sees nothing of the user's settings, which would change what the tools do.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(tool(name));
    command.env_clear().env("HOME", directory().join("cache"));
    for kept in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

fn install(directory: &Path) {
    let packages = std::fs::read(directory.join("package-lock.json")).unwrap();
    let stamp = format!("{} {:x}\n", platform(), alloy_primitives::keccak256(packages));
    if is_installed(directory, &stamp) {
        return;
    }
    let lock = directory.join(".lock");
    let lock: File = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&lock)
        .unwrap_or_else(|error| panic!("{}: {error}", lock.display()));
    lock.lock().unwrap();
    // Who waited for the lock may find the work done.
    if is_installed(directory, &stamp) {
        return;
    }
    let output = Command::new("npm")
        .args(["ci", "--include=optional"])
        .current_dir(directory)
        // Holds the lock on if this process is killed.
        .stdin(lock.try_clone().unwrap())
        .output()
        .expect("Node.js 20 or later is needed, which brings npm, to install anvil and cast");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm ci in {}: {complaint}", directory.display());
    for name in PROGRAMS {
        let path = program(directory, name);
        assert!(path.is_file(), "npm ci has not brought {}", path.display());
    }
    std::fs::write(directory.join(STAMP), stamp).unwrap();
}

fn is_installed(directory: &Path, stamp: &str) -> bool {
    std::fs::read_to_string(directory.join(STAMP)).is_ok_and(|found| found == stamp)
        && PROGRAMS.iter().all(|name| program(directory, name).is_file())
}

/// The executable itself, without the JavaScript around it: kill must reach it.
fn program(directory: &Path, name: &str) -> PathBuf {
    let package = format!("node_modules/@foundry-rs/{name}-{}", platform());
    directory.join(package).join("bin").join(name)
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

/// When to cut an engine off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it gets the call.
    Before,
    /// When it has answered, and the answer goes nowhere.
    After,
}

/// An address that stays while what is behind it comes and goes: a port that was freed might be
/// somebody else's by the time it is wanted again.
pub struct Relay {
    pub url: String,
    way: Arc<Way>,
}

struct Way {
    target: watch::Sender<Option<u16>>,
    cut: Mutex<Option<(&'static str, Cut)>>,
}

impl Way {
    /// Passes on what is said, until one of the two has enough or they are cut off.
    async fn relay(&self, mut ours: TcpStream, port: u16) -> std::io::Result<()> {
        let mut theirs = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = ours.read(&mut asked) => {
                    let asked = match read? {
                        0 => return Ok(()),
                        read => &asked[..read],
                    };
                    let cut = self.cut_at(asked);
                    if cut != Some(Cut::Before) {
                        theirs.write_all(asked).await?;
                    }
                    if cut == Some(Cut::After) {
                        let answer = theirs.read(&mut answered).await?;
                        assert!(answer > 0, "the engine answers");
                    }
                    if cut.is_some() {
                        self.target.send_replace(None);
                        return Ok(());
                    }
                }
                read = theirs.read(&mut answered) => match read? {
                    0 => return Ok(()),
                    read => ours.write_all(&answered[..read]).await?,
                },
            }
        }
    }

    fn cut_at(&self, asked: &[u8]) -> Option<Cut> {
        let mut cut = self.cut.lock().unwrap();
        let (method, when) = (*cut)?;
        let is_it = asked.windows(method.len()).any(|part| part == method.as_bytes());
        is_it.then(|| {
            *cut = None;
            when
        })
    }
}

impl Relay {
    pub async fn start(target: &Anvil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = watch::Sender::new(Some(target.port));
        let way = Arc::new(Way { target, cut: Mutex::new(None) });
        let shared = way.clone();
        tokio::spawn(async move {
            loop {
                let (ours, _) = listener.accept().await.unwrap();
                let mut target = shared.target.subscribe();
                let Some(port) = *target.borrow_and_update() else { continue };
                let way = shared.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = way.relay(ours, port) => {}
                        _ = target.changed() => {}
                    }
                });
            }
        });
        Self { url, way }
    }

    /// What is behind it from now on; nothing at all with `None`.
    pub fn lead_to(&self, target: Option<&Anvil>) {
        self.way.target.send_replace(target.map(|anvil| anvil.port));
    }

    /// Cuts the engine off at the next call of a method.
    pub fn cut(&self, method: &'static str, when: Cut) {
        *self.way.cut.lock().unwrap() = Some((method, when));
    }

    /// Does not cut it off after all: the method has not been called.
    pub fn spare(&self) {
        let cut = self.way.cut.lock().unwrap().take();
        assert!(cut.is_some(), "the engine was called");
    }

    /// Waits until the engine is cut off.
    pub async fn until_cut(&self) {
        let mut target = self.way.target.subscribe();
        let cut = target.wait_for(Option::is_none);
        tokio::time::timeout(PATIENCE, cut).await.expect("the call is made in time").unwrap();
    }
}

/// A running anvil.
pub struct Anvil {
    child: Child,
    pub url: String,
    pub port: u16,
}

impl Anvil {
    /// Starts anvil for a rollup on a free port, with a saved state if there is one.
    pub fn start(genesis_json: &Path, state: Option<&Path>) -> Self {
        let json = std::fs::read_to_string(genesis_json).unwrap();
        let genesis = EvmGenesis::from_json(&json).unwrap();
        let mut command = command("anvil");
        command.args(weft_rollup_adapter::evm::external::anvil_arguments(&genesis.spec));
        command.args(["--port=0", "--host=127.0.0.1"]);
        // A saved state takes the place of the genesis file.
        match state {
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
