//! Sync: blocks given to peers that are behind, and taken from those ahead.

use arc_malachitebft_engine::host::SyncedValueOutcome;
use arc_malachitebft_sync::RawDecidedValue;
use bytes::Bytes;
use ractor::RpcReplyPort;
use tracing::error;
use weft_consensus::driver::{Input, StoredBlock, SyncVerdict};
use weft_consensus::engine::{Context, Value};
use weft_types::{Address, ProposedBlock};

use super::{Sequencer, proposed};
use crate::serve;

/// Where the answer to a block that came by sync goes.
pub(super) struct SyncReply {
    pub round: u32,
    pub proposer: Address,
    pub reply: RpcReplyPort<SyncedValueOutcome<Context>>,
}

impl Sequencer {
    pub(super) fn serve_sync(
        &self,
        from: u64,
        to: u64,
        reply: RpcReplyPort<Vec<RawDecidedValue<Context>>>,
    ) {
        let chain = self.parts.chain.clone();
        tokio::task::spawn_blocking(move || {
            // The peer may have given up meanwhile.
            let _ = reply.send(serve::decided_values(&chain, from, to));
        });
    }

    pub(super) fn check_synced(
        &mut self,
        height: u64,
        bytes: Bytes,
        reply: SyncReply,
    ) -> eyre::Result<()> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.sync_replies.insert(ticket, reply);
        let committee = self.driver.tip().committee().clone();
        let claim = self.ahead.claim(height, bytes, committee);
        if claim.is_ready() {
            return self.on_checked(ticket, claim.finish());
        }
        let checked = self.to_checked.clone();
        tokio::task::spawn_blocking(move || {
            // Gone only if the node stops.
            let _ = checked.blocking_send((ticket, claim.finish()));
        });
        Ok(())
    }

    pub(super) fn on_checked(
        &mut self,
        ticket: u64,
        block: Option<StoredBlock>,
    ) -> eyre::Result<()> {
        match block {
            Some(block) => {
                self.parts.metrics.synced_blocks.inc();
                self.input(Input::Synced { ticket, block })
            }
            None => {
                if let Some(waiting) = self.sync_replies.remove(&ticket) {
                    let _ = waiting.reply.send(SyncedValueOutcome::PeerFault);
                }
                Ok(())
            }
        }
    }

    pub(super) fn answer_sync(&mut self, ticket: u64, block: ProposedBlock, verdict: SyncVerdict) {
        let Some(SyncReply { round, proposer, reply }) = self.sync_replies.remove(&ticket) else {
            return;
        };
        let height = block.header.height;
        let judged = |valid| match Value::new(block) {
            Some(value) => {
                SyncedValueOutcome::Verdict(proposed(height, round, proposer, value, valid))
            }
            None => SyncedValueOutcome::PeerFault,
        };
        let outcome = match verdict {
            SyncVerdict::Valid => judged(true),
            SyncVerdict::Invalid(invalid) => {
                error!(height, %invalid, "a certified block breaks a rule: this node disagrees \
                       with a quorum");
                judged(false)
            }
            SyncVerdict::Incomplete => SyncedValueOutcome::PeerFault,
            SyncVerdict::Late => SyncedValueOutcome::LocalTransientError,
        };
        let _ = reply.send(outcome);
    }
}
