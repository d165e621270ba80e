//! `weft evidence`.

use clap::Subcommand;
use eyre::{WrapErr, ensure};
use weft_l1::calls;
use weft_l1::contracts::abi::StakeRegistry;
use weft_l1::wallet::call;
use weft_types::Verify;

use super::client::Client;
use super::l1::{WalletArgs, contracts, send};
use super::say;
use super::stake::{BONDED, EXITING, SLASHED};
use super::status::ApiArgs;
use crate::sequencer::Kept;

#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// List what a node keeps.
    List {
        #[command(flatten)]
        api: ApiArgs,
    },
    /// Submit what a node keeps to Ethereum: one piece for each offender that has a bond. A part of
    /// the bond goes to the sender.
    Submit {
        #[command(flatten)]
        api: ApiArgs,
        #[command(flatten)]
        wallet: WalletArgs,
    },
}

impl EvidenceCommand {
    pub(super) async fn run(self) -> eyre::Result<()> {
        match self {
            Self::List { api } => {
                let kept = evidence_of(&Client::new(&api.api)?).await?;
                if kept.is_empty() {
                    say("no evidence");
                }
                for piece in kept {
                    let slot = serde_json::to_string(&piece.evidence.slot)?;
                    say(&format!("{}  {slot}", piece.offender));
                }
                Ok(())
            }
            Self::Submit { api, wallet } => submit(&Client::new(&api.api)?, &wallet).await,
        }
    }
}

async fn evidence_of(api: &Client) -> eyre::Result<Vec<Kept>> {
    let mut answer = api.get("/v1/evidence").await?;
    serde_json::from_value(answer["evidence"].take()).wrap_err("the node's answer makes no sense")
}

async fn submit(api: &Client, wallet: &WalletArgs) -> eyre::Result<()> {
    let chain_id: u64 = api.status().await?.chain_id.parse()?;
    let ethereum = wallet.open(contracts(api).await?).await?;
    let registry = ethereum.contracts.stake_registry;
    let mut offenders = Vec::new();
    for Kept { offender, evidence } in evidence_of(api).await? {
        if offenders.contains(&offender) {
            continue;
        }
        let guilty = evidence.verify(chain_id).wrap_err("the node's evidence proves nothing")?;
        ensure!(guilty == offender, "the node's evidence is about {guilty}, not {offender}");
        offenders.push(offender);
        let bond = StakeRegistry::bondsCall { validator: offender };
        let bond = call(ethereum.wallet.client(), registry, &bond).await?;
        match bond.status {
            BONDED | EXITING => {
                let slash = calls::slash(&evidence);
                send(&ethereum, &format!("slash {offender}"), registry, &slash, 0).await?;
            }
            SLASHED => say(&format!("{offender} has been slashed")),
            _ => say(&format!("{offender} has no bond")),
        }
    }
    if offenders.is_empty() {
        say("no evidence");
    }
    Ok(())
}
