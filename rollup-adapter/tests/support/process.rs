//! A real `weft-rollup` process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chain::Chain;
use super::dir::TempDir;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home that was made by `weft-rollup init`.
pub struct RollupHome {
    pub dir: TempDir,
    pub evm_genesis: PathBuf,
}

impl RollupHome {
    pub fn init(chain: &Chain, evm_genesis: &str, endpoints: &[String]) -> Self {
        let dir = TempDir::new();
        let weft = dir.join("weft.json");
        std::fs::write(&weft, serde_json::to_string(&chain.genesis).unwrap()).unwrap();
        let evm = dir.join("evm.json");
        std::fs::write(&evm, evm_genesis).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_weft-rollup"))
            .args(["init", "--rpc", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .arg("--home")
            .arg(dir.join("home"))
            .arg("--weft-genesis")
            .arg(&weft)
            .arg("--evm-genesis")
            .arg(&evm)
            .arg("--endpoints")
            .arg(endpoints.join(","))
            .args(["--namespace", &chain.namespace.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { dir, evm_genesis: evm }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Changes a line of the configuration.
    pub fn configure(&self, key: &str, value: &str) {
        let file = self.path().join("config.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let prefix = format!("{key} = ");
        let line = text.lines().find(|line| line.starts_with(&prefix)).expect("a known key");
        std::fs::write(&file, text.replace(line, &format!("{prefix}{value}"))).unwrap();
    }

    /// Starts the rollup and waits until it listens.
    pub fn start(&self, arguments: &[&str]) -> Rollup {
        Rollup::start(&self.path(), arguments)
    }

    /// Runs `weft-rollup verify`: what it prints, or its error.
    pub fn verify(&self) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_weft-rollup"))
            .arg("verify")
            .arg("--home")
            .arg(self.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

pub struct Rollup {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
    http: reqwest::Client,
}

impl Rollup {
    fn start(home: &Path, arguments: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = Command::new(env!("CARGO_BIN_EXE_weft-rollup"))
            .arg("start")
            .arg("--home")
            .arg(home)
            .args(arguments)
            .env("WEFT_ROLLUP__LOG__FILTER", "info,weft_rollup_adapter=debug")
            .env("WEFT_ROLLUP__WEFT__STALL_MS", "300")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let Some(line) = lines.next() else {
                panic!("it ended before it listened:\n{}", log.lock().unwrap());
            };
            let line = line.unwrap();
            log.lock().unwrap().push_str(&format!("{line}\n"));
            if let Some((_, rest)) = line.split_once(" rpc=") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let shared = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                shared.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, url: format!("http://{address}"), log, http: reqwest::Client::new() }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Calls a method; the whole answer.
    pub async fn raw(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(&self.url).json(&body).send().await;
        response.unwrap_or_else(|e| panic!("{e:?}\n{}", self.log())).json().await.unwrap()
    }

    /// Calls a method that has to succeed.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.raw(method, params.clone()).await;
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    pub async fn number(&self, method: &str, params: Value) -> u64 {
        let answer = self.call(method, params).await;
        u64::from_str_radix(answer.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
    }

    pub async fn block_number(&self) -> u64 {
        self.number("eth_blockNumber", json!([])).await
    }

    /// Waits until the last block is at least this one.
    pub async fn until_block(&self, number: u64) -> u64 {
        let since = Instant::now();
        loop {
            let now = self.block_number().await;
            if now >= number {
                return now;
            }
            assert!(since.elapsed() < PATIENCE, "stuck at {now}:\n{}", self.log());
        }
    }

    /// Waits until the slice of a height is taken in.
    pub async fn until_taken(&self, height: u64) {
        let since = Instant::now();
        loop {
            let ready = self.http.get(format!("{}/ready", self.url)).send().await.unwrap();
            let ready: Value = ready.json().await.unwrap();
            let taken = ready["height"].as_str().and_then(|height| height.parse::<u64>().ok());
            if taken >= Some(height) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "at {taken:?}:\n{}", self.log());
        }
    }

    /// Waits until a transaction is final, or what else became of it.
    pub async fn until_settled(&self, hash: &Value) -> Value {
        let since = Instant::now();
        loop {
            let status = self.call("weft_status", json!([hash])).await;
            if status["status"] != "received" {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "{hash} {status}:\n{}", self.log());
        }
    }

    /// Kills it without warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits for that.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Waits until it ends by itself, with an error.
    pub fn until_failed(mut self) -> String {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not fail");
            std::thread::yield_now();
        };
        assert!(!status.success());
        // The log is read by another thread up to its end.
        let since = Instant::now();
        while !self.log().contains("rollup stops") && since.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        self.log()
    }
}

impl Drop for Rollup {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
