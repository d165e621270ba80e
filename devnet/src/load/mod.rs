//! Load with open-loop arrival: transactions come when they are due, whether or not the network
//! keeps up, and their latency counts from when they were due.
//!
//! ```text
//! signer thread --due times--> one pipelined connection per lane --> nodes' APIs
//!                                                                     |
//! report <-- latency per tier <-- block streams of every node <-------+
//! ```

mod command;
pub mod evm;
mod http;
mod report;
mod sign;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eyre::ensure;
use tokio::time::{Instant, sleep_until};
use weft_types::{SecretKey, TransactionId};

pub use command::{LoadCommand, rollup_table};
pub use report::{Percentiles, Report};
pub use sign::{Signing, sign};
use watch::Watcher;

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// The nodes to submit to, in turn.
    pub nodes: Vec<SocketAddr>,
    /// Who submits, in turn.
    pub accounts: Vec<SecretKey>,
    /// The network's number.
    pub chain_id: u64,
    /// Namespaces, in turn.
    pub namespaces: Vec<u64>,
    /// Transactions per second.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// About how many bytes each transaction has, or each of its payloads if it has several.
    pub bytes: usize,
    /// Payloads in each transaction.
    pub pack: usize,
    /// Connections per node.
    pub connections: usize,
    /// How long to wait for the last ones to be final.
    pub patience: Duration,
}

/// A transaction that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its id.
    pub id: TransactionId,
    /// The whole HTTP request.
    pub request: Vec<u8>,
    /// When it is due, from the start.
    pub due: Duration,
}

impl Load {
    /// Makes the load and reports on it.
    pub async fn run(&self) -> eyre::Result<Report> {
        ensure!(!self.nodes.is_empty() && !self.accounts.is_empty(), "no nodes or no accounts");
        ensure!(self.rate > 0.0, "the rate must be above zero");
        let lanes = self.nodes.len() * self.connections.max(1);
        let watcher = Watcher::start(&self.nodes).await?;
        let Signing { thread: signer, queues, ready } = Signing::start(self, lanes);
        ready.await?;

        // Everything is due from here on.
        let start = Instant::now();
        let senders: Vec<_> = queues
            .into_iter()
            .enumerate()
            .map(|(lane, queue)| {
                let node = lane % self.nodes.len();
                let address = self.nodes[node];
                tokio::spawn(http::send_all(
                    address,
                    node,
                    queue,
                    start,
                    Arc::clone(&watcher.board),
                ))
            })
            .collect();
        let mut outcome = http::Outcome::default();
        for sender in senders {
            outcome.add(sender.await?);
        }
        signer.join().map_err(|_| eyre::eyre!("the signing thread panicked"))?;
        let sent_for = start.elapsed();
        let until = Instant::now() + self.patience;
        while !watcher.board.all_final() && Instant::now() < until {
            sleep_until(Instant::now() + Duration::from_millis(50)).await;
        }
        Ok(watcher.finish(outcome, sent_for, start.elapsed()))
    }
}

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;
