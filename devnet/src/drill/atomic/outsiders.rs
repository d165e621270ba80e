//! Executors without a node: one names effects that are none, one says nothing, one contradicts itself.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use eyre::{WrapErr, ensure, eyre};
use futures::future::join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weft_types::{NamespaceId, Payload, SecretKey, TransactionId, Wei};

use crate::client::{Client, wait_for};
use crate::load::sign;
use crate::network::Network;

/// How long a verdict may take to be ordered.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an outsider conducts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    /// Its effects are its own.
    Lies,
    /// It is silent.
    Silent,
    /// It says that a leg fails, and then that it does not.
    Contradicts,
}

/// The outsiders at work.
pub(super) struct Outsiders {
    stop: watch::Sender<bool>,
    task: JoinHandle<eyre::Result<u64>>,
    client: Client,
    /// Who contradicts itself, with its bond in wei.
    contradicts: (Address, Wei),
}

struct Outsider {
    namespace: u64,
    key: SecretKey,
    conduct: Conduct,
}

impl Outsiders {
    pub fn start(network: &Network) -> eyre::Result<Self> {
        let terms = network.plan.options.atomic.ok_or_else(|| eyre!("no atomic bundles"))?;
        let conducts = [Conduct::Lies, Conduct::Silent, Conduct::Contradicts];
        let executors = network.plan.executors();
        let outsider = |((namespace, keys), conduct): ((&u64, &Vec<SecretKey>), Conduct)| {
            Some(Outsider { namespace: *namespace, key: keys.last()?.clone(), conduct })
        };
        let outsiders: Vec<Outsider> =
            executors.iter().zip(conducts).filter_map(outsider).collect();
        let contradicts = outsiders.iter().find(|one| one.conduct == Conduct::Contradicts);
        let contradicts = contradicts.ok_or_else(|| eyre!("too few rollups"))?.key.address();
        let clients: Vec<Client> =
            network.validators.iter().map(|node| node.client.clone()).collect();
        let client = clients.first().cloned().ok_or_else(|| eyre!("no validators"))?;
        let (stop, stopped) = watch::channel(false);
        let chain_id = network.plan.genesis.chain_id;
        let task = tokio::spawn(speak(clients, chain_id, outsiders, stopped));
        Ok(Self { stop, task, client, contradicts: (contradicts, terms.bond) })
    }

    /// Ends it. Checks that who has contradicted itself has lost its bond.
    pub async fn finish(mut self) -> eyre::Result<String> {
        self.stop.send_replace(true);
        let said = (&mut self.task).await?.wrap_err("outsiders")?;
        ensure!(said > 0, "outsiders had nothing to say");
        let (address, bond) = self.contradicts;
        let path = format!("/v1/accounts/{address}");
        wait_for("the bond to be burned", PATIENCE, || async {
            let account = self.client.get(&path).await?;
            Ok((account["collateral"] == "0").then_some(()))
        })
        .await?;
        Ok(format!("{said} false verdicts; who contradicted itself lost its bond of {bond} wei"))
    }
}

impl Drop for Outsiders {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says something false of each bundle that holds a rollup. Returns how often.
async fn speak(
    clients: Vec<Client>,
    chain_id: u64,
    outsiders: Vec<Outsider>,
    mut stopped: watch::Receiver<bool>,
) -> eyre::Result<u64> {
    let first = clients.first().ok_or_else(|| eyre!("no validators"))?;
    let mut events = first.events("/v1/auctions/stream").await?;
    let mut said = 0;
    loop {
        let event = tokio::select! {
            event = events.next() => event?.ok_or_else(|| eyre!("the stream has ended"))?,
            _ = stopped.changed() => return Ok(said),
        };
        for lot in event["lots"].as_array().into_iter().flatten() {
            let Some((namespace, bundle)) = of_lot(lot) else { continue };
            let Some(outsider) = outsiders.iter().find(|one| one.namespace == namespace) else {
                continue;
            };
            let verdict = |effects: Option<B256>, number| {
                let namespace = NamespaceId(namespace);
                let payload = Payload::Verdict { bundle, namespace, effects };
                sign(payload, chain_id, &outsider.key, number)
            };
            let made_up = Some(bundle.0);
            let number = 1 << 42 | said;
            let verdicts = match outsider.conduct {
                Conduct::Silent => continue,
                Conduct::Lies => vec![verdict(made_up, number)],
                Conduct::Contradicts => {
                    vec![verdict(None, number), verdict(made_up, number + (1 << 20))]
                }
            };
            for verdict in &verdicts {
                join_all(clients.iter().map(|client| client.submit(verdict))).await;
                said += 1;
            }
        }
    }
}

fn of_lot(lot: &Value) -> Option<(u64, TransactionId)> {
    Some((lot["namespace"].as_str()?.parse().ok()?, lot["bid"].as_str()?.parse().ok()?))
}
