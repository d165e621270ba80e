//! `weft status` and `weft evidence`.

use clap::{Args, Subcommand};
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

#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// List what a node keeps.
    List {
        #[command(flatten)]
        api: ApiArgs,
    },
}

impl StatusArgs {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let client = Client::new(&self.api.api)?;
        let status = client.get("/status").await?;
        let validators = client.get("/v1/validators").await?;
        if self.json {
            let both = serde_json::json!({ "status": status, "validators": validators });
            say(&serde_json::to_string_pretty(&both)?);
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
        Ok(())
    }
}

impl EvidenceCommand {
    pub(super) async fn run(self) -> eyre::Result<()> {
        let Self::List { api } = self;
        let evidence = Client::new(&api.api)?.get("/v1/evidence").await?;
        let all = evidence["evidence"].as_array().cloned().unwrap_or_default();
        if all.is_empty() {
            say("no evidence");
        }
        for piece in all {
            say(&format!("{}  {}", text(&piece["offender"]), piece["evidence"]["slot"]));
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
