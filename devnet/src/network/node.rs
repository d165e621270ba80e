//! A node that was started.

use std::time::Duration;

use serde_json::{Value, json};
use weft_types::SecretKey;

use crate::client::{Client, http_client};
use crate::plan::PlannedNode;
use crate::process::{Process, Recipe};
use crate::programs::Programs;

/// How long metrics may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    pub fn start(plan: &PlannedNode, programs: &Programs) -> eyre::Result<Self> {
        let home = plan.home.display().to_string();
        let (program, args) = match plan.conduct {
            None => (&programs.weft, vec!["start".to_owned(), "--home".to_owned(), home]),
            Some(conduct) => {
                let record = plan.record().display().to_string();
                let args = ["--home", &home, "--as", &conduct.name(), "--record", &record]
                    .map(str::to_owned);
                (&programs.weft_conduct, args.to_vec())
            }
        };
        let recipe = Recipe {
            name: plan.name.clone(),
            program: program.clone(),
            args,
            env: Vec::new(),
            log: plan.home.join("node.log"),
        };
        let process = Process::start(recipe)?;
        Ok(Self { client: Client::new(plan.api), plan: plan.clone(), process })
    }

    /// All its metrics, as text.
    pub async fn metrics(&self) -> eyre::Result<String> {
        let url = format!("http://{}/metrics", self.plan.metrics);
        Ok(http_client(PATIENCE).get(url).send().await?.error_for_status()?.text().await?)
    }

    /// A metric's value, summed over its labels; zero if it is not there.
    pub async fn metric(&self, name: &str) -> eyre::Result<f64> {
        let text = self.metrics().await?;
        let values = text.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
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
