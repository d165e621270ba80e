//! `weft status`.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::say;

const DEFAULT_API: &str = "http://127.0.0.1:26701";

/// Which node to ask.
#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    /// The API of a node.
    #[arg(long, value_name = "URL", default_value = DEFAULT_API, env = "WEFT_API")]
    pub(super) api: String,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let client = Client::new(&self.api.api)?;
        let status = client.get("/status").await?;
        let validators = client.get("/v1/validators").await?;
        let l1 = client.get("/v1/l1").await?;
        if self.json {
            let all = serde_json::json!({ "status": status, "validators": validators, "l1": l1 });
            say(&serde_json::to_string_pretty(&all)?);
            return Ok(());
        }
        let ready = match status["reason"].as_str() {
            Some(reason) => format!("no: {reason}"),
            None => "yes".to_owned(),
        };
        for (name, value) in [
            ("ready", ready),
            ("role", text(&status["role"])),
            ("chain", text(&status["chain_id"])),
            ("height", text(&status["height"])),
            ("block", text(&status["block"])),
            ("price", format!("{} wei/byte", text(&status["price_per_byte"]))),
            ("peers", format!("{}, {} validators", status["peers"], status["validator_peers"])),
            (
                "mempool",
                format!(
                    "{} transactions, {} bytes",
                    status["mempool_transactions"], status["mempool_bytes"]
                ),
            ),
            ("L1", l1_line(&l1)),
            ("version", text(&status["version"])),
        ] {
            say(&format!("{name:<10}{value}"));
        }
        say("");
        say(&format!("{:<44}{:>6}  {:<10}{}", "validator", "seats", "present", "connected"));
        for validator in validators["validators"].as_array().into_iter().flatten() {
            let yes = |fine: bool| if fine { "yes" } else { "no" };
            say(&format!(
                "{:<44}{:>6}  {:<10}{}",
                text(&validator["address"]),
                validator["seats"],
                yes(validator["absent"] == Value::Bool(false)),
                yes(validator["connected"] == Value::Bool(true)),
            ));
        }
        show_providers(&l1);
        Ok(())
    }
}

fn l1_line(l1: &Value) -> String {
    if l1["contracts"].is_null() {
        return "none".to_owned();
    }
    let origin = text(&l1["origin"]["number"]);
    match (l1["alarm"].as_str(), l1["watched"]["agreed"].as_str()) {
        (Some(alarm), _) => format!("block {origin} taken in; {alarm}"),
        (None, Some(agreed)) => format!("block {origin} taken in, providers agree up to {agreed}"),
        (None, None) => format!("block {origin} taken in"),
    }
}

fn show_providers(l1: &Value) {
    let providers = l1["watched"]["providers"].as_array().cloned().unwrap_or_default();
    if providers.is_empty() {
        return;
    }
    say("");
    say(&format!("{:<36}{:<13}{:>9}{:>7}  {}", "L1 provider", "state", "final", "lag", "reason"));
    for provider in &providers {
        say(&format!(
            "{:<36}{:<13}{:>9}{:>7}  {}",
            text(&provider["name"]),
            text(&provider["state"]),
            text(&provider["finalized"]),
            text(&provider["lag"]),
            provider["reason"].as_str().unwrap_or("-"),
        ));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
