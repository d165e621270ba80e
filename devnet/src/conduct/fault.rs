//! The faults themselves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arc_malachitebft_engine::network::NetworkEvent;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::Context;
use weft_consensus::engine::codec::{ConsensusMessage, VoteMessage};
use weft_node::p2p::P2p;
use weft_node::sequencer::Conduct;
use weft_types::block::{batches_root, events_root};
use weft_types::{
    Address, Batch, BatchDigest, BlockId, Committee, Header, Observation, ProposedBlock, SecretKey,
    Signed, Vote, VoteKind,
};

use super::As;
use super::record::Recorder;

/// Blocks that are remembered.
const REMEMBERED: usize = 16;

/// A node's conduct.
pub struct Faulty {
    conduct: As,
    key: SecretKey,
    chain_id: u64,
    /// The other validators.
    others: Vec<Address>,
    recorder: Option<Recorder>,
    /// Blocks that may be proposed, or be a parent: their headers and batches.
    blocks: BTreeMap<(u64, BlockId), (Header, Vec<BatchDigest>)>,
}

impl Faulty {
    /// A conduct of a member of a committee.
    pub fn new(
        conduct: As,
        key: SecretKey,
        chain_id: u64,
        committee: &Committee,
        recorder: Option<Recorder>,
    ) -> Self {
        let own = key.address();
        let members = committee.members().iter().map(|member| member.address);
        let others = members.filter(|address| *address != own).collect();
        Self { conduct, key, chain_id, others, recorder, blocks: BTreeMap::new() }
    }

    /// The parent of a block.
    fn parent_of(&self, header: &Header) -> Option<&Header> {
        let parent = (header.height.checked_sub(1)?, header.parent);
        self.blocks.get(&parent).map(|(parent, _)| parent)
    }

    /// Half of the other validators, and the rest.
    fn halves(&self) -> (&[Address], &[Address]) {
        self.others.split_at(self.others.len() / 2)
    }
}

impl Conduct for Faulty {
    fn persist(&mut self, block: &StoredBlock) {
        let digests = block.batches.iter().map(|batch| batch.body.digest()).collect();
        let header = &block.value.header;
        let place = (header.height, header.id());
        self.blocks.insert(place, (*header, digests));
        while self.blocks.len() > REMEMBERED {
            self.blocks.pop_first();
        }
    }

    fn push_batch(&mut self, p2p: &P2p, batch: &Batch) {
        if let Some(recorder) = &self.recorder {
            recorder.made(self.key.address(), &batch.body);
        }
        match self.conduct {
            As::WithholdingAuthor => {
                if let Some(first) = self.others.first() {
                    p2p.batch_to(first, batch);
                }
            }
            As::SplitAuthor if batch.body.transactions.len() > 1 => {
                let mut body = batch.body.clone();
                body.transactions.reverse();
                let other = Signed::new(body, self.chain_id, &self.key);
                let (some, rest) = self.halves();
                for address in some {
                    p2p.batch_to(address, batch);
                }
                for address in rest {
                    p2p.batch_to(address, &other);
                }
            }
            _ => p2p.batch(batch),
        }
    }

    fn push_observation(&mut self, p2p: &P2p, observation: Observation) {
        if let Some(recorder) = &self.recorder {
            recorder.made(self.key.address(), &observation.body);
        }
        if self.conduct != As::SplitObserver {
            p2p.observation(observation);
            return;
        }
        let mut body = observation.body.clone();
        body.clock_ms += 1;
        let other = Signed::new(body, self.chain_id, &self.key);
        let (some, rest) = self.halves();
        for address in some {
            p2p.observation_to(address, observation.clone());
        }
        for address in rest {
            p2p.observation_to(address, other.clone());
        }
    }

    fn propose(&mut self, mut block: ProposedBlock) -> ProposedBlock {
        let header = &mut block.header;
        let known = self.blocks.get(&(header.height, header.id()));
        let mut digests = known.map(|(_, digests)| digests.clone()).unwrap_or_default();
        match self.conduct {
            As::DroppingProposer => {
                digests.pop();
                header.batches_root = batches_root(&digests);
            }
            As::AddingProposer => {
                digests.push(BatchDigest(header.parent.0));
                header.batches_root = batches_root(&digests);
            }
            As::ReorderingProposer if digests.len() > 1 => {
                let last = digests.len() - 1;
                digests.swap(0, last);
                header.batches_root = batches_root(&digests);
            }
            As::BackDatingProposer => header.time_ms -= 1,
            As::LyingProposer => header.parent_outcome.ledger_root.0[0] ^= 1,
            As::SwappingProposer => header.parent_outcome.results_root.0[0] ^= 1,
            As::EmptyProposer => {
                // As it would be if it were not too soon for it.
                if let Some(parent) = self.parent_of(header) {
                    header.time_ms = parent.time_ms + 1;
                    header.l1_origin = parent.l1_origin;
                    header.events_root = events_root(&[]);
                }
                block.observations.clear();
                header.observations_root = weft_types::block::observations_root(&[]);
                header.batches_root = batches_root(&[]);
            }
            As::OmittingProposer => {
                if let Some(parent) = self.parent_of(header) {
                    header.l1_origin = parent.l1_origin;
                    header.events_root = events_root(&[]);
                }
            }
            _ => {}
        }
        block
    }

    fn answers_fetches(&self) -> bool {
        self.conduct != As::WithholdingAuthor
    }
}

/// Votes for nil wherever others vote, besides what the engine votes.
pub fn double_voter(
    p2p: P2p,
    key: SecretKey,
    chain_id: u64,
) -> impl Fn(&NetworkEvent<Context>) + Send {
    let voted = Mutex::new((0, 0));
    move |event| {
        let NetworkEvent::Vote(_, vote) = event else { return };
        let Some(vote) = vote.message.plain() else { return };
        let place = (vote.height, vote.round + 1);
        let mut voted = voted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if place <= *voted || vote.block.is_none() {
            return;
        }
        *voted = place;
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            let vote = Vote { kind, height: vote.height, round: vote.round, block: None };
            let signature = key.sign(vote.signing_hash(chain_id));
            let message = VoteMessage { vote, voter: key.address(), signature };
            p2p.consensus(ConsensusMessage::Vote(message), false);
        }
    }
}
