//! What the network brings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{debug, info};
use weft_consensus::driver::Input;
use weft_types::{Batch, Transaction, Verified};

use super::{Sequencer, Tracker};
use crate::chain::{Chain, ids_of};
use crate::mempool::Mempool;
use crate::p2p::message::{FetchRequest, FetchResponse, MAX_FETCH, MAX_FETCH_RESPONSE};
use crate::p2p::{FetchJob, NetEvent};

/// How long transactions are left to another validator that has sealed them.
const DEFERRAL: Duration = Duration::from_secs(2);

impl Sequencer {
    pub(super) fn on_net(&mut self, event: NetEvent) -> eyre::Result<()> {
        match event {
            NetEvent::PeerUp(peer, validator) => {
                info!(%peer, ?validator, "connected");
                if validator.is_some() {
                    let (batches, observation) = self.driver.own_messages();
                    let batches: Vec<Batch> = batches.iter().map(|b| (***b).clone()).collect();
                    self.parts.p2p.catch_up(&peer, &batches, observation);
                }
                Ok(())
            }
            NetEvent::PeerDown(peer) => {
                info!(%peer, "disconnected");
                Ok(())
            }
            NetEvent::Batch(batch) => {
                let ids = ids_of(std::slice::from_ref(&batch));
                self.parts.mempool.defer(ids, Instant::now() + DEFERRAL);
                self.input(Input::Batch(batch))
            }
            NetEvent::Observation(observation, committee) => {
                self.input(Input::Observation(observation, committee))
            }
            NetEvent::Events(events) => self.input(Input::Events(events)),
            NetEvent::Proposal(message) => self.input(Input::Proposal {
                height: message.block.header.height,
                round: message.round,
                proposer: message.proposer,
                value: message.block,
            }),
            NetEvent::PeerHeight(validator, height) => {
                self.input(Input::PeerHeight(validator, height))
            }
            NetEvent::Transactions(transactions) => {
                // What does not fit is the sender's loss, as on a full mempool.
                if self.passed_on.try_send(transactions).is_err() {
                    debug!("too many transactions are passed on");
                }
                Ok(())
            }
            NetEvent::Fetch(job) => {
                self.serve_fetch(job);
                Ok(())
            }
        }
    }

    pub(super) fn serve_fetch(&self, FetchJob { request, answer }: FetchJob) {
        if request.len() > MAX_FETCH || !self.parts.conduct.answers_fetches() {
            return;
        }
        let response = match request {
            FetchRequest::Batches(digests) => {
                let mut bytes = 0;
                let held = digests.iter().filter_map(|digest| self.driver.batch(digest));
                let fits = held.take_while(|batch| {
                    bytes += batch.witness().bytes as usize;
                    bytes < MAX_FETCH_RESPONSE - 1024
                });
                FetchResponse::Batches(fits.map(|batch| (***batch).clone()).collect())
            }
            FetchRequest::Observations(hashes) => {
                let held = hashes.iter().filter_map(|hash| self.driver.observations().get(hash));
                FetchResponse::Observations(held.map(|o| (**o).clone()).collect())
            }
            FetchRequest::Events(digests) => {
                let mut bytes = 0;
                let held = digests.iter().filter_map(|digest| self.driver.l1_events(digest));
                let fits = held.take_while(|events| {
                    bytes += events.witness().bytes as usize;
                    bytes < MAX_FETCH_RESPONSE - 1024
                });
                FetchResponse::Events(fits.map(|events| (***events).clone()).collect())
            }
        };
        // The peer may have given up meanwhile.
        let _ = answer.send(response);
    }
}

/// Takes in transactions that full nodes pass on. Looking them up takes a disk, so it is done
/// beside the sequencer.
pub(super) async fn insert_all(
    chain: Chain,
    mempool: Arc<Mempool>,
    tracker: Arc<Tracker>,
    mut lists: mpsc::Receiver<Vec<Verified<Transaction>>>,
) {
    while let Some(list) = lists.recv().await {
        let (chain, mempool) = (chain.clone(), Arc::clone(&mempool));
        let tracker = Arc::clone(&tracker);
        let inserting = tokio::task::spawn_blocking(move || {
            for transaction in list {
                // Refused ones are the sender's loss: the full node has checked them too.
                let _ = crate::submit::insert(&chain, &mempool, &tracker, transaction);
            }
        });
        if inserting.await.is_err() {
            return;
        }
    }
}
