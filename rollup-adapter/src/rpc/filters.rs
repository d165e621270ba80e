//! Filters that wallets poll: bounded in number, forgotten when nobody asks for them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, FilterBlockOption};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::error::RpcError;
use super::{Rpc, logs};
use crate::evm::chain::Tip;
use crate::random;

/// Most filters at a time.
pub const MAX_FILTERS: usize = 1024;
/// How long a filter that nobody asks for is kept.
pub const KEEP: Duration = Duration::from_secs(300);
/// Most block hashes in an answer; the next answer goes on from there.
const MAX_BLOCKS: u64 = 1000;
/// Most transaction hashes in an answer.
const MAX_HASHES: usize = 10_000;

enum Kind {
    /// Logs, from a block on.
    Logs { filter: Box<Filter>, next: u64 },
    /// Blocks, from a block on.
    Blocks { next: u64 },
    /// Transactions as they are accepted.
    Pending { hashes: broadcast::Receiver<B256> },
}

struct Entry {
    kind: Kind,
    used: Instant,
}

/// All filters.
#[derive(Default)]
pub struct Filters(Mutex<All>);

#[derive(Default)]
struct All {
    entries: HashMap<U64, Entry>,
    /// How many times the chain had taken back blocks when filters were last looked at.
    unwinds: u64,
}

impl All {
    /// Blocks that were taken back and made anew are new.
    fn notice(&mut self, tip: Tip) {
        if std::mem::replace(&mut self.unwinds, tip.unwinds) == tip.unwinds {
            return;
        }
        for entry in self.entries.values_mut() {
            if let Kind::Logs { next, .. } | Kind::Blocks { next } = &mut entry.kind {
                *next = (*next).min(tip.kept.saturating_add(1));
            }
        }
    }
}

impl Filters {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, kind: Kind) -> Result<Value, RpcError> {
        let filters = &mut self.lock().entries;
        let now = Instant::now();
        filters.retain(|_, entry| now.duration_since(entry.used) < KEEP);
        if filters.len() >= MAX_FILTERS {
            return Err(RpcError::limit(format!("more than {MAX_FILTERS} filters")));
        }
        let id = U64::from(random::bits());
        filters.insert(id, Entry { kind, used: now });
        Ok(json!(id))
    }
}

fn not_found() -> RpcError {
    RpcError::server("filter not found")
}

/// What a poll has to look up, decided while the filters are locked.
enum Due {
    Logs { filter: Box<Filter>, from: u64, to: u64 },
    Blocks { from: u64, to: u64 },
    Hashes(Vec<B256>),
}

impl Rpc {
    fn head_number(&self) -> u64 {
        self.setup().chain.tip().borrow().number
    }

    pub(super) fn new_log_filter(&self, filter: Filter) -> Result<Value, RpcError> {
        logs::check(&filter)?;
        let head = self.head_number();
        // What is there already is `eth_getFilterLogs`'s; changes begin after it.
        let next = match filter.block_option {
            FilterBlockOption::Range { from_block: Some(BlockNumberOrTag::Number(n)), .. } => {
                n.max(head.saturating_add(1))
            }
            FilterBlockOption::Range { .. } => head.saturating_add(1),
            FilterBlockOption::AtBlockHash(_) => {
                return Err(RpcError::params("a filter is about a range of blocks"));
            }
        };
        self.0.filters.add(Kind::Logs { filter: Box::new(filter), next })
    }

    pub(super) fn new_block_filter(&self) -> Result<Value, RpcError> {
        self.0.filters.add(Kind::Blocks { next: self.head_number().saturating_add(1) })
    }

    pub(super) fn new_pending_filter(&self) -> Result<Value, RpcError> {
        self.0.filters.add(Kind::Pending { hashes: self.setup().gateway.announcements() })
    }

    pub(super) fn uninstall_filter(&self, id: U64) -> bool {
        self.0.filters.lock().entries.remove(&id).is_some()
    }

    /// What is new since the last poll.
    pub(super) async fn filter_changes(&self, id: U64) -> Result<Value, RpcError> {
        let tip = *self.setup().chain.tip().borrow();
        let head = tip.number;
        let most = self.setup().limits.log_blocks;
        let due = {
            let mut filters = self.0.filters.lock();
            filters.notice(tip);
            let entry = filters.entries.get_mut(&id).ok_or_else(not_found)?;
            entry.used = Instant::now();
            match &mut entry.kind {
                Kind::Logs { filter, next } => {
                    let from = *next;
                    let to = head.min(from.saturating_add(most).saturating_sub(1));
                    let to = filter.get_to_block().map_or(to, |last| last.min(to));
                    *next = to.saturating_add(1).max(from);
                    Due::Logs { filter: filter.clone(), from, to }
                }
                Kind::Blocks { next } => {
                    let from = *next;
                    let to = head.min(from.saturating_add(MAX_BLOCKS).saturating_sub(1));
                    *next = to.saturating_add(1).max(from);
                    Due::Blocks { from, to }
                }
                Kind::Pending { hashes } => {
                    let mut found = Vec::new();
                    while found.len() < MAX_HASHES {
                        match hashes.try_recv() {
                            Ok(hash) => found.push(hash),
                            // Too many for a slow poller: it gets the newer ones.
                            Err(TryRecvError::Lagged(_)) => {}
                            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                        }
                    }
                    Due::Hashes(found)
                }
            }
        };
        match due {
            Due::Hashes(hashes) => Ok(json!(hashes)),
            Due::Logs { from, to, .. } | Due::Blocks { from, to } if from > to => Ok(json!([])),
            Due::Logs { filter, from, to } => self.logs_between(&filter, from, to).await,
            Due::Blocks { from, to } => {
                let mut hashes = Vec::new();
                for number in from..=to {
                    let block = self
                        .read("eth_getBlockByNumber", vec![json!(U64::from(number)), json!(false)])
                        .await?;
                    // It may have been taken back meanwhile.
                    if !block.is_null() {
                        hashes.push(block["hash"].clone());
                    }
                }
                Ok(Value::Array(hashes))
            }
        }
    }

    /// All logs that a filter matches.
    pub(super) async fn filter_logs(&self, id: U64) -> Result<Value, RpcError> {
        let filter = {
            let mut filters = self.0.filters.lock();
            let entry = filters.entries.get_mut(&id).ok_or_else(not_found)?;
            entry.used = Instant::now();
            match &entry.kind {
                Kind::Logs { filter, .. } => filter.clone(),
                Kind::Blocks { .. } | Kind::Pending { .. } => return Err(not_found()),
            }
        };
        self.read("eth_getLogs", vec![json!(filter)]).await
    }

    /// The logs of some blocks that a filter matches, whatever range it names itself.
    pub(super) async fn logs_between(
        &self,
        filter: &Filter,
        from: u64,
        to: u64,
    ) -> Result<Value, RpcError> {
        let filter = filter.clone().from_block(from).to_block(to);
        self.read("eth_getLogs", vec![json!(filter)]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_new_again_once() {
        let mut all = All::default();
        let used = Instant::now();
        all.entries.insert(U64::from(1), Entry { kind: Kind::Blocks { next: 21 }, used });
        all.entries.insert(U64::from(2), Entry { kind: Kind::Blocks { next: 5 }, used });
        let next = |all: &All, id: u64| match all.entries[&U64::from(id)].kind {
            Kind::Blocks { next } => next,
            _ => unreachable!("filters of blocks"),
        };
        let mut tip = Tip { number: 20, unwinds: 0, kept: 0 };
        all.notice(tip);
        assert_eq!((next(&all, 1), next(&all, 2)), (21, 5));
        tip = Tip { number: 30, unwinds: 1, kept: 12 };
        all.notice(tip);
        assert_eq!((next(&all, 1), next(&all, 2)), (13, 5));
        all.entries.insert(U64::from(1), Entry { kind: Kind::Blocks { next: 31 }, used });
        all.notice(tip);
        assert_eq!(next(&all, 1), 31, "already noticed");
    }
}
