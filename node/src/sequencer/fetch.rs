//! Fetching what others name: first from those who name it, then from anybody, again and again
//! until it is here or the height is over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use weft_types::{Address, BatchDigest, Committee, EventsDigest, ObservationHash};

use crate::p2p::message::{FetchRequest, FetchResponse, MAX_FETCH};
use crate::p2p::{NetEvent, P2p};

/// A peer that has not answered by then is passed over for now.
const PATIENCE: Duration = Duration::from_millis(300);

/// Pause before everybody is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Members who did not give what they were asked for last time; they are asked last.
type Unhelpful = Arc<Mutex<BTreeSet<Address>>>;

/// Fetches of the current height.
pub struct Fetcher {
    p2p: P2p,
    events: mpsc::Sender<NetEvent>,
    running: JoinSet<()>,
    unhelpful: Unhelpful,
}

impl Fetcher {
    /// Nothing under way.
    pub fn new(p2p: P2p, events: mpsc::Sender<NetEvent>) -> Self {
        Self { p2p, events, running: JoinSet::new(), unhelpful: Unhelpful::default() }
    }

    /// Gives up on everything: the height is over.
    pub fn clear(&mut self) {
        self.running.abort_all();
        while self.running.try_join_next().is_some() {}
    }

    /// Fetches batches, each from the members that name it first.
    pub fn batches(&mut self, wanted: Vec<(BatchDigest, Vec<u16>)>, committee: &Committee) {
        // Batches that the same members name are asked for together.
        let mut groups: Vec<(Vec<u16>, BTreeSet<BatchDigest>)> = Vec::new();
        for (digest, namers) in wanted {
            match groups.iter_mut().find(|(members, _)| *members == namers) {
                Some((_, digests)) => {
                    digests.insert(digest);
                }
                None => groups.push((namers, BTreeSet::from([digest]))),
            }
        }
        for (namers, digests) in groups {
            let members = in_turn(&namers, committee, &self.unhelpful);
            let (p2p, events) = (self.p2p.clone(), self.events.clone());
            let unhelpful = Arc::clone(&self.unhelpful);
            self.running.spawn(fetch_batches(p2p, events, digests, members, unhelpful));
        }
    }

    /// Fetches events of L1 blocks, each from the members that name it first.
    pub fn events(&mut self, wanted: Vec<(EventsDigest, Vec<u16>)>, committee: &Committee) {
        for (digest, namers) in wanted {
            let members = in_turn(&namers, committee, &self.unhelpful);
            let (p2p, events) = (self.p2p.clone(), self.events.clone());
            let unhelpful = Arc::clone(&self.unhelpful);
            self.running.spawn(fetch_events(p2p, events, digest, members, unhelpful));
        }
    }

    /// Fetches observations, from the proposer that names them first.
    pub fn observations(
        &mut self,
        hashes: Vec<ObservationHash>,
        proposer: Option<u16>,
        committee: &Committee,
    ) {
        let members = in_turn(proposer.as_slice(), committee, &self.unhelpful);
        let (p2p, events) = (self.p2p.clone(), self.events.clone());
        let wanted = hashes.into_iter().collect();
        self.running.spawn(fetch_observations(p2p, events, wanted, members));
    }
}

/// Some members first, then the others; those who did not help lately after all of them.
fn in_turn(first: &[u16], committee: &Committee, unhelpful: &Unhelpful) -> Vec<Address> {
    let all = (0u16..).zip(committee.members()).map(|(index, _)| index);
    let rest = all.filter(|index| !first.contains(index));
    let order = first.iter().copied().chain(rest);
    let mut members: Vec<Address> =
        order.filter_map(|index| committee.get(index)).map(|m| m.address).collect();
    let unhelpful = unhelpful.lock().unwrap_or_else(PoisonError::into_inner);
    members.sort_by_key(|member| unhelpful.contains(member));
    members
}

fn remember(unhelpful: &Unhelpful, member: &Address, helped: bool) {
    let mut unhelpful = unhelpful.lock().unwrap_or_else(PoisonError::into_inner);
    if helped {
        unhelpful.remove(member);
    } else {
        unhelpful.insert(*member);
    }
}

async fn fetch_batches(
    p2p: P2p,
    events: mpsc::Sender<NetEvent>,
    mut wanted: BTreeSet<BatchDigest>,
    members: Vec<Address>,
    unhelpful: Unhelpful,
) {
    loop {
        for member in &members {
            let Some(peer) = p2p.peers().of_validator(member) else { continue };
            let digests = wanted.iter().take(MAX_FETCH).copied().collect();
            let answer = ask(&p2p, peer, FetchRequest::Batches(digests)).await;
            let Some(FetchResponse::Batches(batches)) = answer else {
                remember(&unhelpful, member, false);
                continue;
            };
            remember(&unhelpful, member, !batches.is_empty());
            for batch in batches {
                // A batch that is bad or was not asked for is the peer's fault; the good one is to
                // be had elsewhere.
                if !wanted.contains(&batch.body.digest()) {
                    break;
                }
                let Ok(batch) = p2p.inbound().check_batch(batch).await else { break };
                if wanted.remove(&batch.witness().digest)
                    && events.send(NetEvent::Batch(batch)).await.is_err()
                {
                    return;
                }
            }
            if wanted.is_empty() {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn fetch_events(
    p2p: P2p,
    events: mpsc::Sender<NetEvent>,
    wanted: EventsDigest,
    members: Vec<Address>,
    unhelpful: Unhelpful,
) {
    loop {
        for member in &members {
            let Some(peer) = p2p.peers().of_validator(member) else { continue };
            let answer = ask(&p2p, peer, FetchRequest::Events(vec![wanted])).await;
            let found = match answer {
                Some(FetchResponse::Events(mut list)) => list.pop(),
                _ => None,
            };
            let checked = found.and_then(|found| p2p.inbound().check_events(found).ok());
            let fits = checked.filter(|found| found.witness().digest == wanted);
            remember(&unhelpful, member, fits.is_some());
            if let Some(found) = fits {
                // Gone only if the node stops.
                let _ = events.send(NetEvent::Events(found)).await;
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn fetch_observations(
    p2p: P2p,
    events: mpsc::Sender<NetEvent>,
    mut wanted: BTreeSet<ObservationHash>,
    members: Vec<Address>,
) {
    loop {
        for member in &members {
            let Some(peer) = p2p.peers().of_validator(member) else { continue };
            let hashes = wanted.iter().take(MAX_FETCH).copied().collect();
            let Some(FetchResponse::Observations(observations)) =
                ask(&p2p, peer, FetchRequest::Observations(hashes)).await
            else {
                continue;
            };
            for observation in observations {
                let Ok(Some((observation, committee))) =
                    p2p.inbound().check_observation(observation)
                else {
                    break;
                };
                if wanted.remove(observation.witness())
                    && events.send(NetEvent::Observation(observation, committee)).await.is_err()
                {
                    return;
                }
            }
            if wanted.is_empty() {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn ask(p2p: &P2p, peer: PeerId, request: FetchRequest) -> Option<FetchResponse> {
    timeout(PATIENCE, p2p.fetch(peer, request)).await.ok().flatten()
}
