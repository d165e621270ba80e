//! Watching blocks for what was sent: when it is final, whether anything comes twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use weft_types::TransactionId;

use super::http::Outcome;
use super::report::{Percentiles, Report};
use crate::client::Client;

/// Pause before a stream is opened again.
const RECONNECT: Duration = Duration::from_millis(200);

/// What was sent and what has become of it.
#[derive(Default)]
pub struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    sent: HashMap<TransactionId, Sent>,
    /// Everything that was sent; others send, too.
    own: HashSet<TransactionId>,
    /// From being due to being seen in a block of the node it was sent to, in microseconds.
    final_micros: Vec<u32>,
    final_count: u64,
    /// Transactions that were shown at two heights, by one node or by two.
    repeated: u64,
    /// Heights at which the nodes' streams showed transactions.
    seen: BTreeMap<TransactionId, u64>,
}

struct Sent {
    due: Instant,
    node: usize,
}

impl Board {
    /// A transaction was sent to a node.
    pub fn sent(&self, id: TransactionId, due: Instant, node: usize) {
        let mut state = self.lock();
        state.own.insert(id);
        state.sent.insert(id, Sent { due, node });
    }

    /// A transaction was refused, or its node died before answering.
    pub fn forget(&self, id: &TransactionId) {
        self.lock().sent.remove(id);
    }

    /// Whether everything that was accepted has been seen.
    pub fn all_final(&self) -> bool {
        self.lock().sent.is_empty()
    }

    fn seen(&self, node: usize, height: u64, ids: Vec<TransactionId>) {
        let now = Instant::now();
        let mut state = self.lock();
        for id in ids {
            if !state.own.contains(&id) {
                continue;
            }
            if *state.seen.entry(id).or_insert(height) != height {
                state.repeated += 1;
            }
            let waits_here = state.sent.get(&id).is_some_and(|sent| sent.node == node);
            if waits_here && let Some(sent) = state.sent.remove(&id) {
                state.finish(sent.due, now);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn finish(&mut self, due: Instant, at: Instant) {
        let micros = at.saturating_duration_since(due).as_micros();
        self.final_micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        self.final_count += 1;
    }
}

/// Follows the blocks of every node.
pub struct Watcher {
    /// What was sent and seen.
    pub board: Arc<Board>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Opens a stream to each node from its tip on.
    pub async fn start(nodes: &[SocketAddr]) -> eyre::Result<Self> {
        let board = Arc::new(Board::default());
        let mut tasks = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let client = Client::new(*node);
            let from = client.height().await? + 1;
            let board = Arc::clone(&board);
            tasks.push(tokio::spawn(follow(client, index, from, board)));
        }
        Ok(Self { board, tasks })
    }

    /// Stops watching and reports.
    pub fn finish(self, outcome: Outcome, sent_for: Duration, all: Duration) -> Report {
        for task in &self.tasks {
            task.abort();
        }
        let mut state = self.board.lock();
        Report {
            sent: outcome.sent,
            accepted: outcome.accepted,
            refused: outcome.refused,
            unanswered: outcome.unanswered,
            finals: state.final_count,
            missing: state.sent.len() as u64,
            repeated: state.repeated,
            sending_seconds: sent_for.as_secs_f64(),
            total_seconds: all.as_secs_f64(),
            accepted_after: Percentiles::of(outcome.accept_micros),
            final_after: Percentiles::of(std::mem::take(&mut state.final_micros)),
            seen: std::mem::take(&mut state.seen),
        }
    }
}

async fn follow(client: Client, node: usize, mut next: u64, board: Arc<Board>) {
    loop {
        // A node that is down is asked again; what it misses is read when it is back.
        let _ = read_stream(&client, node, &mut next, &board).await;
        sleep(RECONNECT).await;
    }
}

async fn read_stream(
    client: &Client,
    node: usize,
    next: &mut u64,
    board: &Board,
) -> eyre::Result<()> {
    let mut blocks = client.blocks(*next).await?;
    while let Some(block) = blocks.next().await? {
        *next = block.height + 1;
        board.seen(node, block.height, block.transactions);
    }
    Ok(())
}
