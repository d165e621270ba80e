//! A node that was started.

use std::path::Path;

use serde_json::{Value, json};
use weft_types::SecretKey;

use crate::client::Client;
use crate::plan::PlannedNode;
use crate::process::{Process, Recipe};

/// A node that was started.
#[derive(Debug)]
pub struct Node {
    /// What was planned.
    pub plan: PlannedNode,
    /// Its process.
    pub process: Process,
    /// Its API.
    pub client: Client,
}

impl Node {
    /// Starts a planned node.
    pub fn start(plan: &PlannedNode, program: &Path) -> eyre::Result<Self> {
        let recipe = Recipe {
            name: plan.name.clone(),
            program: program.to_owned(),
            args: vec!["start".to_owned(), "--home".to_owned(), plan.home.display().to_string()],
            env: Vec::new(),
            log: plan.home.join("node.log"),
        };
        let process = Process::start(recipe)?;
        Ok(Self { client: Client::new(plan.api), plan: plan.clone(), process })
    }

    /// As `network.json` has it.
    pub fn describe(&self) -> Value {
        let address = self.plan.key.as_ref().map(SecretKey::address);
        json!({
            "name": self.plan.name,
            "address": address,
            "api": format!("http://{}", self.plan.api),
            "metrics": format!("http://{}/metrics", self.plan.metrics),
            "listen": [self.plan.listen.to_string()],
            "home": self.plan.home,
            "pid": self.process.pid(),
        })
    }
}
